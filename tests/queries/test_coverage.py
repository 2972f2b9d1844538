"""What an answer says of the account while its list is being loaded."""

from dataclasses import replace
from datetime import timedelta

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.queries.loader import DataRequest, RequestContext
from formant_mcp.sync.list_sync import ListRequest
from tests.queries.static_provider import loader_of
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("total", "said"), [(5, 6), (9, 9), (3, 3), (None, None)])
async def test_calls_stored_since_the_list_was_checked_count_as_known_and_not_as_more_than_the_total(
    total: int | None, said: int | None
) -> None:
    calls = [Conversation(f"call-{n}", agent_id="7", started_at=NOW - timedelta(hours=n)) for n in range(6)]
    loader, context, request = (
        await loader_of(calls[:5]),
        RequestContext(NOW, 60),
        DataRequest(Filters(), ListRequest()),
    )
    await loader.ensure_loaded(context, request)
    list_status = replace(await loader.sync.list_status(ListRequest(), NOW), total=total, list_total=None)
    await loader.store.write.save(calls[5:], NOW)
    coverage = await loader.coverage(context, request, list_status, None)
    assert (coverage.matched, coverage.known, coverage.total) == (6, 6, said)
