"""What holds of questions for a part of a list, however long, quiet or changing, and whatever was asked before."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests.calls import Row
from tests.examples import examples, is_thorough
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.sync.sync_harness import DAY, NOON, Harness, InProcess, ended_calls, harness_for, held_as, later_calls
from tests.sync.test_laws import Listing

CAP = 5  # rows of a page, so that a list of hundreds is a long one
ORDERS: list[Order] = ["newest", "oldest", "none"]
requests = st.builds(
    ListRequest,
    st.builds(Filters, since=st.none() | st.integers(0, 450).map(lambda n: NOON - 2 * DAY - timedelta(minutes=n))),
    st.sampled_from([0, 0, 3, 30]),
)


@dataclass(frozen=True)
class Change:
    """Before that request of a question is answered, new calls start (`count` above 0), or some are deleted."""

    request: int
    count: int
    place: float

    def happen(self, api: FakeFormant, order: Order, number: int) -> None:
        held = list(api.conversations)
        if self.count > 0:
            new = later_calls(self.count, 1_000_000 + 100 * number)
            held = [*new, *held] if order == "newest" else [*held, *new[::-1]]
        else:
            at = round(self.place * len(held))
            del held[at : at - self.count]
        api.conversations = held


changes = st.builds(
    Change, st.integers(1, 30), st.sampled_from([-7, -2, -1, 1, 2, 7]), st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
)


def matching(rows: list[Row], request: ListRequest, harness: Harness) -> set[str]:
    """The ids that a question is about, among these calls."""
    since = request.filters.since
    started = sorted(rows, key=lambda row: -harness.api.started(row))
    if since:
        started = [row for row in started if harness.api.started(row) >= since.timestamp() * 1000]
    elif request.newest:
        started = started[: request.newest]
    return {harness.api.id_of(row) for row in started}


@settings(max_examples=examples(2 if is_thorough() else 1))
@given(
    st.integers(0, 400),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.lists(requests, min_size=1, max_size=5),
    st.lists(changes, max_size=3),
    st.integers(0, 1_000),
)
def test_a_complete_answer_has_every_call_that_stayed(
    size: int, order: Order, with_total: bool, asked: list[ListRequest], upheavals: list[Change], seed: int
):
    async def run() -> None:
        listing = Listing(size, order, with_total=with_total, cap=CAP, seed=seed)
        api = listing.open()
        api.order = "as_held"
        api.conversations = held_as(order, ended_calls(size))
        transport: InProcess = listing.transport(api)
        async with harness_for(api, transport=transport) as harness:
            numbers = count(1)
            for request in asked:
                before, started_at = list(api.conversations), len(api.requests)

                def change(_: Request, started_at: int = started_at) -> None:
                    for each in upheavals:
                        if each.request == len(api.requests) - started_at:
                            each.happen(api, order, next(numbers))

                api.on_request = change
                status = await harness.ask(request)
                api.on_request = None
                if status.is_complete:
                    both = list({harness.api.id_of(row): row for row in [*before, *api.conversations]}.values())
                    at_all = {harness.api.id_of(row) for row in before}
                    stayed = matching(both, request, harness) & at_all & harness.listed()
                    assert stayed <= set(await harness.stored())
            for _ in range(2):
                harness.clock.advance(DAY)
                status = await harness.ask()
            assert await harness.holds_all()

    asyncio.run(run())
