"""A list known whole is looked at: a request or two where nothing is new, a full pass only where it has to be."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.calls import conversation
from tests.fake_formant import FakeFormant, Order
from tests.sync.sync_harness import ALWAYS, DAY, NOON, SECONDS, add_all, claiming, desk_for, ended_calls, later_calls

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FULL_PASS = 5  # requests, for the 450 calls of these tests
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
async def test_where_nothing_is_new_two_requests_are_enough(order: Order, with_total: bool, cap: int | None):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order, with_total)
        api.rows_per_page_cap = cap
        await desk.ask()
        requests, list_status = await desk.cost()

        assert requests <= 2
        assert list_status.is_complete


@LISTED
@pytest.mark.parametrize("size", [1, 100, 299, 300, 450])
@pytest.mark.parametrize("new", [1, 7])
async def test_some_new_calls_cost_some_requests(order: Order, with_total: bool, size: int, new: int):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order, with_total, size)
        await desk.ask()
        add_all(api, later_calls(new))
        requests, list_status = await desk.cost()

        assert await desk.holds_all()
        assert list_status.is_complete
        if order != "none":  # new ones may stand anywhere
            assert requests <= 3


@LISTED
async def test_more_new_calls_than_a_page_has_are_all_found(order: Order, with_total: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order, with_total)
        await desk.ask()
        add_all(api, later_calls(250))
        requests, list_status = await desk.cost()

        assert await desk.holds_all()
        assert list_status.is_complete
        if order != "none":
            assert requests <= 5


@pytest.mark.parametrize("order", ["newest", "oldest", "none"])
async def test_a_total_that_has_fallen_is_said_at_once_and_one_pass_in_the_background_finds_what_is_gone(order: Order):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order)
        await desk.ask()
        api.remove((await desk.stored())[200])
        requests, list_status = await desk.cost()
        assert requests <= (1 if order == "newest" else 3)
        assert (list_status.gone, list_status.is_complete, list_status.requests_left) == (1, False, 0)

        await desk.settled()
        assert await desk.holds_all()
        requests, list_status = await desk.cost()
        assert requests <= (1 if order == "newest" else 2)
        assert (list_status.gone, list_status.is_complete) == (0, True)
        assert len(desk.list_requests()) <= 2 * FULL_PASS + 5


async def test_a_falling_total_begins_a_pass_at_most_hourly():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api)
        await desk.ask()
        api.remove((await desk.stored())[200])
        await desk.ask()
        await desk.settled()
        for n in range(3):
            api.remove((await desk.stored())[200 + n])
            requests, list_status = await desk.cost()
            await desk.settled()
            assert (requests, list_status.gone, list_status.is_complete) == (1, n + 1, False)
            assert not await desk.holds_all()

        desk.clock.advance(timedelta(hours=1))
        await desk.ask()
        await desk.settled()
        assert await desk.holds_all()


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_one_gone_and_one_new_are_both_found(order: Order):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order)
        await desk.ask()
        api.remove((await desk.stored())[200])
        add_all(api, later_calls(1))
        list_status = await desk.ask()
        assert (list_status.gone, list_status.is_complete) in [(1, False), (0, True)]
        assert set(await desk.stored()) >= desk.listed()  # the new one is there at once

        await desk.settled()
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@pytest.mark.parametrize(
    ("order", "with_total"), [("newest", True), ("oldest", True), ("none", True), ("newest", False)]
)
async def test_a_list_that_comes_empty_by_mistake_deletes_nothing(order: Order, with_total: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order, with_total, 200)
        await desk.ask()
        await desk.sync.fetch_details(await desk.stored(), SECONDS)
        details = len(desk.detail_ids())
        for _ in range(2):  # by a look, and by the daily pass
            with empty(api):
                list_status = await desk.ask()
                await desk.settled()
                assert (list_status.gone, list_status.is_complete) == (200, False)
                assert len(await desk.stored()) == 200
            desk.clock.advance(2 * MINUTE)
            await desk.ask()
            await desk.settled()
            assert (await desk.ask()).is_complete
            desk.clock.advance(DAY)
        assert await desk.holds_all()
        await desk.sync.fetch_details(await desk.stored(), SECONDS)
        assert len(desk.detail_ids()) == details


@pytest.mark.parametrize("with_total", [True, False])
@pytest.mark.parametrize("left", [0, 100])
async def test_many_calls_are_gone_when_a_second_pass_a_minute_later_misses_them_too(left: int, with_total: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "newest", with_total, 200)
        await desk.ask()
        api.conversations = api.conversations[:left]
        desk.clock.advance(DAY)
        for _ in range(5):  # asked again at once, nothing is read but the front
            list_status = await desk.ask()
            await desk.settled()
            assert (list_status.gone, list_status.is_complete) == (200 - left, False)
            assert len(await desk.stored()) == 200
        assert len(desk.list_requests()) <= 3 + 3 + 5

        desk.clock.advance(MINUTE)
        await desk.ask()
        await desk.settled()
        list_status = await desk.ask()
        assert (list_status.gone, list_status.is_complete, list_status.stored) == (0, True, left)
        assert await desk.holds_all()


async def test_a_call_that_turns_up_in_the_midst_of_the_list_is_found_by_the_count():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api)
        await desk.ask()
        api.add(conversation(5_000, NOON - timedelta(days=2, minutes=300, seconds=30)))

        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@LISTED
async def test_a_day_later_the_whole_is_read_again(order: Order, with_total: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, order, with_total)
        await desk.ask()
        desk.clock.advance(DAY - timedelta(minutes=1))
        assert (await desk.cost())[0] <= 2

        desk.clock.advance(timedelta(minutes=1))
        assert (await desk.cost())[0] >= FULL_PASS
        assert (await desk.cost())[0] <= 2


async def test_what_is_gone_where_there_is_no_total_is_gone_after_a_day():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, with_total=False)
        await desk.ask()
        api.remove((await desk.stored())[200])
        await desk.ask()
        assert not await desk.holds_all()

        desk.clock.advance(DAY)
        await desk.ask()
        assert await desk.holds_all()


async def test_rows_gone_and_new_behind_them_are_found_without_a_total():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "oldest", with_total=False)
        await desk.ask()
        for conversation_id in (await desk.stored())[100:103]:
            api.remove(conversation_id)
        add_all(api, later_calls(2))

        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


async def test_a_small_list_without_order_and_total_is_read_whole_each_time():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "none", with_total=False)
        await desk.ask()
        add_all(api, later_calls(3))
        requests, list_status = await desk.cost()

        assert requests >= FULL_PASS
        assert list_status.is_complete
        assert await desk.holds_all()


async def test_a_large_list_without_order_and_total_is_not_called_complete_until_it_is_read_whole_again():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "none", with_total=False, size=1_200)
        whole = await desk.ask()
        assert whole.is_complete

        add_all(api, later_calls(3))
        requests, looked = await desk.cost()
        assert requests <= 3
        assert not looked.is_complete
        assert looked.as_of == whole.as_of

        desk.clock.advance(DAY)
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


async def test_a_page_against_the_order_learned_before_makes_it_give_up_the_order():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api)
        await desk.ask()
        assert (await desk.store.sync_state.list_state("")).list_order == "newest"

        api.order = "none"
        assert (await desk.cost())[0] == 1  # the counts agree all the same
        assert (await desk.store.sync_state.list_state("")).list_order == "none"


async def test_without_a_total_a_page_against_the_order_means_a_full_pass():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, with_total=False)
        await desk.ask()
        api.order = "none"
        add_all(api, later_calls(3))

        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@pytest.mark.parametrize("counted", [True, False])
async def test_rows_that_are_listed_twice_do_not_make_every_look_a_full_pass(counted: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "newest")
        api.order, api.repeat_rows, api.total_counts_repeats = "none", 5, counted
        await desk.ask()
        requests, list_status = await desk.cost()

        assert requests <= 3
        assert list_status.is_complete


async def test_a_total_that_counts_more_than_the_list_shows_is_said_and_does_not_make_every_look_a_full_pass():
    async with FakeFormant() as api, desk_for(api) as desk:
        account(api, "oldest")
        api.fault("/v1/conversations?", ALWAYS, claiming(500))
        list_status = await desk.ask()
        assert await desk.holds_all()
        assert (list_status.is_complete, list_status.unlisted) == (False, 50)

        requests, list_status = await desk.cost()
        assert requests <= 3
        assert (list_status.is_complete, list_status.unlisted) == (False, 50)


async def test_an_empty_account_is_complete_and_its_first_call_is_found():
    async with FakeFormant() as api, desk_for(api) as desk:
        assert (await desk.ask()).is_complete
        add_all(api, later_calls(1))

        assert (await desk.ask()).is_complete
        assert await desk.holds_all()
