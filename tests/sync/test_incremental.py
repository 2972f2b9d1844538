"""A complete list is checked with a request or two where nothing is new, and scanned again only where it has to be."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.calls import conversation
from tests.examples import each_once, some
from tests.fake_formant import FakeFormant, Order
from tests.sync.sync_harness import (
    ALWAYS,
    DAY,
    NOON,
    SECONDS,
    add_all,
    claiming,
    count_before_scan,
    ended_calls,
    harness_for,
    later_calls,
)

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FULL_SCAN = 5  # requests, for the 450 calls of these tests
LISTED = pytest.mark.parametrize(
    ("order", "with_total"),
    [("newest", True), ("oldest", True), ("none", True), ("newest", False), ("oldest", False)],
)


@contextmanager
def empty(api: FakeFormant) -> Generator[None]:
    """While the block runs, the list has no calls."""
    held, api.conversations = api.conversations, []
    yield
    api.conversations = held


def account(api: FakeFormant, order: Order = "newest", with_total: bool = True, size: int = 450) -> None:
    api.order, api.with_total = order, with_total
    api.conversations = ended_calls(size)


@LISTED
@pytest.mark.parametrize("cap", [None, 20])
async def test_a_list_without_new_calls_costs_two_requests_at_most(order: Order, with_total: bool, cap: int | None):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order, with_total)
        api.rows_per_page_cap = cap
        await harness.ask()
        requests, list_status = await harness.cost()

        assert requests <= 2
        assert list_status.is_complete


@LISTED
@pytest.mark.parametrize(("size", "new"), each_once([1, 100, 299, 300, 450], [1, 7]))
async def test_a_few_new_calls_cost_three_requests_at_most(order: Order, with_total: bool, size: int, new: int):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order, with_total, size)
        await harness.ask()
        add_all(api, later_calls(new))
        requests, list_status = await harness.cost()

        assert await harness.holds_all()
        assert list_status.is_complete
        if order != "none":  # new ones may be anywhere
            assert requests <= 3


@LISTED
async def test_more_new_calls_than_a_page_holds_are_all_found(order: Order, with_total: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order, with_total)
        await harness.ask()
        add_all(api, later_calls(250))
        requests, list_status = await harness.cost()

        assert await harness.holds_all()
        assert list_status.is_complete
        if order != "none":
            assert requests <= 5


@pytest.mark.parametrize("order", ["newest", "oldest", "none"])
async def test_a_lower_total_is_reported_at_once_and_a_background_scan_finds_the_deleted_call(order: Order):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order)
        await harness.ask()
        api.remove((await harness.stored())[200])
        counted = count_before_scan(api, holds_scan=True)  # or it may end before the answer is there
        list_status = await harness.ask()
        assert 0 < len(counted) <= (1 if order == "newest" else 3)
        assert (list_status.gone, list_status.is_complete, list_status.requests_left) == (1, False, 0)

        count_before_scan(api)
        api.gate.open()
        await harness.settled()
        assert await harness.holds_all()
        requests, list_status = await harness.cost()
        assert requests <= (1 if order == "newest" else 2)
        assert (list_status.gone, list_status.is_complete) == (0, True)
        assert len(harness.list_requests()) <= 2 * FULL_SCAN + 5


async def test_a_falling_total_starts_a_scan_at_most_hourly():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api)
        await harness.ask()
        api.remove((await harness.stored())[200])
        await harness.ask()
        await harness.settled()
        for n in range(3):
            api.remove((await harness.stored())[200 + n])
            requests, list_status = await harness.cost()
            await harness.settled()
            assert (requests, list_status.gone, list_status.is_complete) == (1, n + 1, False)
            assert not await harness.holds_all()

        harness.clock.advance(timedelta(hours=1))
        await harness.ask()
        await harness.settled()
        assert await harness.holds_all()


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_one_deleted_and_one_new_call_are_both_found(order: Order):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order)
        await harness.ask()
        api.remove((await harness.stored())[200])
        add_all(api, later_calls(1))
        list_status = await harness.ask()
        assert (list_status.gone, list_status.is_complete) in [(1, False), (0, True)]
        assert set(await harness.stored()) >= harness.listed()  # the new one is there at once

        await harness.settled()
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@pytest.mark.parametrize(
    ("order", "with_total"), some([("newest", True), ("oldest", True), ("none", True), ("newest", False)], 2)
)
async def test_an_empty_list_by_mistake_deletes_nothing(order: Order, with_total: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order, with_total, 200)
        await harness.ask()
        await harness.sync.fetch_details(await harness.stored(), SECONDS)
        details = len(harness.detail_ids())
        for _ in range(2):  # at an incremental, and at the daily scan
            with empty(api):
                list_status = await harness.ask()
                await harness.settled()
                assert (list_status.gone, list_status.is_complete) == (200, False)
                assert len(await harness.stored()) == 200
            harness.clock.advance(2 * MINUTE)
            await harness.ask()
            await harness.settled()
            assert (await harness.ask()).is_complete
            harness.clock.advance(DAY)
        assert await harness.holds_all()
        await harness.sync.fetch_details(await harness.stored(), SECONDS)
        assert len(harness.detail_ids()) == details


@pytest.mark.parametrize("with_total", [True, False])
@pytest.mark.parametrize("left", [0, 100])
async def test_many_calls_are_deleted_once_a_second_scan_a_minute_later_misses_them(left: int, with_total: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "newest", with_total, 200)
        await harness.ask()
        api.conversations = api.conversations[:left]
        harness.clock.advance(DAY)
        for _ in range(5):  # asked again at once, nothing is read but the front
            list_status = await harness.ask()
            await harness.settled()
            assert (list_status.gone, list_status.is_complete) == (200 - left, False)
            assert len(await harness.stored()) == 200
        assert len(harness.list_requests()) <= 3 + 3 + 5

        harness.clock.advance(MINUTE)
        await harness.ask()
        await harness.settled()
        list_status = await harness.ask()
        assert (list_status.gone, list_status.is_complete, list_status.stored) == (0, True, left)
        assert await harness.holds_all()


async def test_a_new_call_in_the_middle_of_the_list_is_found_by_the_count():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api)
        await harness.ask()
        api.add(conversation(5_000, NOON - timedelta(days=2, minutes=300, seconds=30)))

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@LISTED
async def test_after_a_day_the_whole_list_is_scanned_again(order: Order, with_total: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, order, with_total)
        await harness.ask()
        harness.clock.advance(DAY - timedelta(minutes=1))
        assert (await harness.cost())[0] <= 2

        harness.clock.advance(timedelta(minutes=1))
        assert (await harness.cost())[0] >= FULL_SCAN
        assert (await harness.cost())[0] <= 2


async def test_without_a_total_deleted_calls_are_found_after_a_day():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, with_total=False)
        await harness.ask()
        api.remove((await harness.stored())[200])
        await harness.ask()
        assert not await harness.holds_all()

        harness.clock.advance(DAY)
        await harness.ask()
        assert await harness.holds_all()


async def test_without_a_total_deleted_and_new_rows_are_found():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "oldest", with_total=False)
        await harness.ask()
        for conversation_id in (await harness.stored())[100:103]:
            api.remove(conversation_id)
        add_all(api, later_calls(2))

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_a_small_list_without_order_and_total_is_scanned_each_time():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "none", with_total=False)
        await harness.ask()
        add_all(api, later_calls(3))
        requests, list_status = await harness.cost()

        assert requests >= FULL_SCAN
        assert list_status.is_complete
        assert await harness.holds_all()


async def test_a_large_list_without_order_and_total_is_incomplete_until_scanned_again():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "none", with_total=False, size=1_200)
        whole = await harness.ask()
        assert whole.is_complete

        add_all(api, later_calls(3))
        requests, looked = await harness.cost()
        assert requests <= 3
        assert not looked.is_complete
        assert looked.as_of == whole.as_of

        harness.clock.advance(DAY)
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_a_page_out_of_order_withdraws_the_order():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api)
        await harness.ask()
        assert (await harness.store.sync_state.list_state("")).list_order == "newest"

        api.order = "none"
        assert (await harness.cost())[0] == 1  # the counts agree all the same
        assert (await harness.store.sync_state.list_state("")).list_order == "none"


async def test_without_a_total_a_page_out_of_order_starts_a_full_scan():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, with_total=False)
        await harness.ask()
        api.order = "none"
        add_all(api, later_calls(3))

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@pytest.mark.parametrize("counted", [True, False])
async def test_repeated_rows_do_not_cause_a_full_scan_each_time(counted: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "newest")
        api.order, api.repeat_rows, api.total_counts_repeats = "none", 5, counted
        await harness.ask()
        requests, list_status = await harness.cost()

        assert requests <= 3
        assert list_status.is_complete


async def test_a_total_above_the_listed_rows_is_reported_and_does_not_cause_a_full_scan_each_time():
    async with FakeFormant() as api, harness_for(api) as harness:
        account(api, "oldest")
        api.fault("/v1/conversations?", ALWAYS, claiming(500))
        list_status = await harness.ask()
        assert await harness.holds_all()
        assert (list_status.is_complete, list_status.unlisted) == (False, 50)

        requests, list_status = await harness.cost()
        assert requests <= 3
        assert (list_status.is_complete, list_status.unlisted) == (False, 50)


async def test_an_empty_account_is_complete_and_its_first_call_is_found():
    async with FakeFormant() as api, harness_for(api) as harness:
        assert (await harness.ask()).is_complete
        add_all(api, later_calls(1))

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()
