"""Formant's API, served for tests, over calls that a test adds and removes while it runs.

    async with FakeFormant() as api:
        api.add(conversation(1, started_at))
        api.fault("/recording", 2, 503)
        api.fault("offset=100", 1, faults.html_502)

Faults are in `tests.faults`.
"""

from formant_mcp.demo.apis.formant import FormantApi
from tests.calls import Row, detail
from tests.calls import conversation as conversation
from tests.calls import many as many
from tests.fake_api import FakeApi
from tests.fake_api import Order as Order


class FakeFormant(FakeApi, FormantApi):
    """Formant's API, served; its details are those of `tests.calls`."""

    def detail_of(self, row: Row) -> Row:
        return detail(row)
