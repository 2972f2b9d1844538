"""What holds of lists of any kind, quiet and changing."""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests.calls import Row, conversation
from tests.examples import examples, is_thorough
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.sync.sync_harness import (
    ALWAYS,
    DAY,
    EVERYTHING,
    NOON,
    InProcess,
    ended_calls,
    harness_for,
    held_as,
    without_has_more,
)

# Not made smaller when it fails: that takes minutes, and an example is short enough to read.
law = settings(
    max_examples=examples(1.5 if is_thorough() else 1),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Listing:
    """How an account lists its calls."""

    size: int
    order: Order
    with_total: bool = True
    with_has_more: bool = True
    cap: int | None = None
    repeats: int = 0
    total_counts_repeats: bool = False
    seed: int = 0

    @property
    def can_be_proven(self) -> bool:
        """One row at a time shows little: without a total, not that no row slipped through between two of them; and
        where the same one comes twice, not whether any notice is taken of the offset."""
        return self.cap != 1 or (self.with_total and not self.repeats) or not self.size

    def open(self) -> FakeFormant:
        api = FakeFormant()
        api.conversations = ended_calls(self.size)
        api.order, api.with_total, api.rows_per_page_cap = self.order, self.with_total, self.cap
        api.repeat_rows, api.total_counts_repeats = self.repeats, self.total_counts_repeats
        if not self.with_has_more:
            api.fault("/v1/conversations?", ALWAYS, without_has_more)
        return api

    def transport(self, api: FakeFormant) -> InProcess:
        return InProcess(api, random.Random(self.seed))


ORDERS: list[Order] = ["newest", "oldest", "none"]
CAPS = st.none() | st.integers(1, 100)


def affordable(listing: Listing) -> bool:
    """No more than some dozens of pages, to be quick."""
    return listing.size <= 40 * (listing.cap or 100)


listings = st.builds(
    Listing,
    size=st.integers(0, 450),
    order=st.sampled_from(ORDERS),
    with_total=st.booleans(),
    with_has_more=st.booleans(),
    cap=CAPS,
    repeats=st.sampled_from([0, 0, 1, 3, 30]),
    total_counts_repeats=st.booleans(),
    seed=st.integers(0, 1_000),
).filter(affordable)


@given(listings)
@example(Listing(size=195, order="newest", with_has_more=False, repeats=10))
@example(Listing(size=300, order="oldest", cap=1, seed=7))
@example(Listing(size=100, order="newest", with_total=False, with_has_more=False))
@example(Listing(size=60, order="newest", with_total=False, with_has_more=False, cap=20))
@example(Listing(size=3, order="none", with_total=False, cap=1))
@law
def test_a_quiet_list_is_stored_exactly_however_it_is_listed(listing: Listing):
    async def run() -> None:
        api = listing.open()
        async with harness_for(api, transport=listing.transport(api)) as harness:
            for _ in range(2):  # the second scan starts with the order
                list_status = await harness.ask()
                assert await harness.holds_all()
                if listing.can_be_proven:
                    assert list_status.is_complete
                elif not listing.with_total and listing.size > 1:
                    assert not list_status.is_complete
                harness.clock.advance(DAY)

    asyncio.run(run())


@dataclass(frozen=True)
class Change:
    """What happens before the so-maniest request is answered: calls come, or go, somewhere in the list."""

    request: int
    count: int
    comes: bool
    place: float

    def happen(self, api: FakeFormant, number: int) -> None:
        held = list(api.conversations)
        at = round(self.place * len(held))
        if self.comes:
            # In order of time, unless the list has no order.
            older = held[at] if at < len(held) else None
            start = NOON - DAY if at == 0 else NOON - 9 * DAY if older is None else None
            held[at:at] = [_between(older, start, number * 1000 + n) for n in range(self.count)]
        else:
            del held[at : at + self.count]
        api.conversations = held


def _between(older: Row | None, start: object, number: int) -> Row:
    row = conversation(100_000 + number, NOON - DAY)
    if start is None and older:
        return row | {"start_timestamp": older["start_timestamp"]}
    return conversation(100_000 + number, NOON - DAY if older else NOON - 9 * DAY)


changes = st.lists(
    st.builds(
        Change,
        request=st.integers(1, 9),
        count=st.sampled_from([1, 1, 2, 5, 120]),
        comes=st.booleans(),
        place=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class Upheaval:
    """Makes the changes happen, and keeps which calls were there all the time, and which at any time."""

    api: FakeFormant
    changes: list[Change]
    always: set[str] = field(default_factory=set[str])
    ever: set[str] = field(default_factory=set[str])
    requests: int = 0

    def begin(self) -> Callable[[Request], None]:
        self.always = self.ever = self._ids()
        return self._on_request

    def _on_request(self, _: Request) -> None:
        self.requests += 1
        for number, change in enumerate(self.changes):
            if change.request == self.requests:
                change.happen(self.api, number)
                self.always = self.always & self._ids()
                self.ever = self.ever | self._ids()

    def _ids(self) -> set[str]:
        return {str(row["conversation_id"]) for row in self.api.conversations}


moving = st.builds(
    Listing,
    size=st.integers(0, 450),
    order=st.sampled_from(ORDERS),
    with_total=st.booleans(),
    cap=CAPS,
    seed=st.integers(0, 1_000),
).filter(affordable)


@given(moving, changes)
@example(Listing(300, "oldest", with_total=False), [Change(3, 1, False, 0.0)])
@example(Listing(300, "oldest"), [Change(3, 1, False, 0.0), Change(3, 1, True, 1.0)])
@example(Listing(300, "newest", cap=20, with_total=False), [Change(4, 5, False, 0.1)])
@law
def test_a_complete_list_has_every_call_that_stayed_and_no_other(listing: Listing, changes: list[Change]):
    async def run() -> None:
        api = listing.open()
        api.order = "as_held"
        api.conversations = held_as(listing.order, ended_calls(listing.size))
        async with harness_for(api, transport=listing.transport(api)) as harness:
            upheaval = Upheaval(api, changes)
            api.on_request = upheaval.begin()
            list_status = await harness.ask()
            stored = set(await harness.stored())
            assert len(await harness.stored()) == len(stored)
            assert stored <= upheaval.ever
            if list_status.is_complete:
                assert stored >= upheaval.always

            api.on_request = None  # and once it is quiet, it comes right
            for _ in range(2):  # where many calls are gone, a second scan is needed
                harness.clock.advance(DAY)
                list_status = await harness.ask()
            if listing.can_be_proven:
                assert list_status.is_complete
                assert await harness.holds_all()
            else:
                assert set(await harness.stored()) >= harness.listed()

    asyncio.run(run())


PAGE_ROWS, PROBES = 100, 4
NEWEST_AT = NOON - timedelta(days=2)


def full_scan_pages(size: int) -> int:
    """Pages of a scan from one end of a list to the other; each begins with the last row of the page before."""
    return 1 + math.ceil((size - PAGE_ROWS) / (PAGE_ROWS - 1))


def since_minutes(minutes: int) -> ListRequest:
    """A question for the newest `minutes` calls, which are a minute apart."""
    return ListRequest(Filters(since=NEWEST_AT - timedelta(minutes=minutes)))


narrow_questions = st.builds(ListRequest, newest=st.integers(1, 4_000)) | st.integers(1, 4_500).map(since_minutes)


@given(st.integers(1_001, 4_500), st.sampled_from(ORDERS[:2]), st.lists(narrow_questions, min_size=1, max_size=5))
@example(2_873, "oldest", [since_minutes(1_827)])  # the pages that prove the order are read before the scan meets them
@settings(law, max_examples=examples(0.5))
def test_no_row_of_a_quiet_list_is_read_twice_within_a_day(size: int, order: Order, questions: list[ListRequest]):
    """However narrow and wider questions follow each other: but for the overlap, and one page to see what is new."""

    async def run() -> None:
        api = Listing(size, order).open()
        async with harness_for(api) as harness:
            for question in questions:
                assert (await harness.ask(question)).is_complete
            assert (await harness.ask(EVERYTHING)).is_complete
            assert await harness.holds_all()
            assert len(api.requests) <= full_scan_pages(size) + PROBES + 2 * (len(questions) + 1)

    asyncio.run(run())
