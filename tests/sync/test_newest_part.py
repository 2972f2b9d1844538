"""The newest part of a long list: a question about it costs some requests, not the whole list."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests import faults
from tests.calls import LazyRows, conversation, many
from tests.examples import each_once, is_thorough, some
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.sync.sync_harness import (
    ALWAYS,
    DAY,
    NOON,
    Harness,
    InProcess,
    add_all,
    claiming,
    count_before_scan,
    ended_calls,
    harness_for,
    later_calls,
)

pytestmark = pytest.mark.anyio

HUGE = 200_000 if is_thorough() else 50_000
ENOUGH = 40  # requests
YESTERDAY = datetime(2026, 11, 19, tzinfo=NOON.tzinfo)
WEEK_AGO = NOON - timedelta(days=7)
ORDERED: tuple[Order, ...] = ("newest", "oldest")
BOTH_ORDERS = pytest.mark.parametrize("order", ORDERED)


@pytest.fixture(scope="module")
def huge() -> FakeFormant:
    """548 calls a day, a year of them where there is time; how they are listed is worked out once for all tests."""
    api = FakeFormant()
    api.conversations = many(HUGE, NOON - timedelta(minutes=1), timedelta(days=365) * HUGE / 200_000)
    return api


def opened(api: FakeFormant, order: Order) -> InProcess:
    api.order = order
    api.answer(Request("GET", "/v1/conversations", {}))
    api.clear()
    return InProcess(api)


def expected(api: FakeFormant, since: datetime, agent_id: str = "") -> list[str]:
    """The ids of the calls since then, newest first."""
    rows = api.conversations
    assert isinstance(rows, LazyRows)
    ids: list[str] = []
    for n in range(len(rows)):
        if rows.started_at(n) < since:
            break
        if agent_id in ("", str(rows[n]["agent_id"])):
            ids.append(str(rows[n]["conversation_id"]))
    return ids


@pytest.mark.parametrize("order", some(ORDERED, 2))
async def test_the_newest_twenty_of_a_huge_list_cost_few_requests(huge: FakeFormant, order: Order):
    async with harness_for(huge, transport=opened(huge, order)) as harness:
        requests, list_status = await harness.cost(ListRequest(newest=20))

        assert requests <= ENOUGH
        assert list_status.is_complete
        assert list_status.total == HUGE
        assert await harness.stored(limit=20) == expected(huge, NOON - DAY)[:20]


@BOTH_ORDERS
async def test_yesterday_of_a_huge_list_costs_few_requests(huge: FakeFormant, order: Order):
    async with harness_for(huge, transport=opened(huge, order)) as harness:
        requests, list_status = await harness.cost(ListRequest(Filters(since=YESTERDAY)))

        assert requests <= ENOUGH
        assert list_status.is_complete
        assert await harness.stored(Filters(since=YESTERDAY)) == expected(huge, YESTERDAY)


@pytest.mark.parametrize("order", some(ORDERED[::-1], 2))
async def test_an_agents_last_week_of_a_huge_list_costs_few_requests(huge: FakeFormant, order: Order):
    async with harness_for(huge, transport=opened(huge, order)) as harness:
        requests, list_status = await harness.cost(ListRequest(Filters(agent_id="101", since=WEEK_AGO)))

        assert requests <= ENOUGH
        assert list_status.is_complete
        assert await harness.stored(Filters(agent_id="101", since=WEEK_AGO)) == expected(huge, WEEK_AGO, "101")


@BOTH_ORDERS
async def test_a_wider_question_reads_only_what_is_not_stored(huge: FakeFormant, order: Order):
    async with harness_for(huge, transport=opened(huge, order)) as harness:
        await harness.ask(ListRequest(Filters(since=NOON - timedelta(days=4))))  # 2,192 calls
        again, _ = await harness.cost(ListRequest(Filters(since=NOON - timedelta(days=4))))
        wider, list_status = await harness.cost(ListRequest(Filters(since=NOON - timedelta(days=6))))

        assert again <= 3
        assert wider <= 16  # 1,096 calls more
        assert list_status.is_complete
        assert await harness.stored(Filters(since=NOON - timedelta(days=6))) == expected(huge, NOON - timedelta(days=6))


async def test_a_long_list_without_order_is_read_whole_and_called_incomplete_until_then(huge: FakeFormant):
    async with harness_for(huge, transport=opened(huge, "none")) as harness:
        requested_at = harness.clock.now()
        while (await harness.store.sync_state.list_state("")).scan_position == 0:
            assert (await harness.sync.refresh_list(ListRequest(newest=20), 0.2)).error is None
        list_status = await harness.sync.list_status(ListRequest(newest=20), requested_at)

        assert not list_status.is_complete
        assert (await harness.store.sync_state.list_state("")).list_order == "none"
        assert 0 < list_status.requests_left <= HUGE / 100
        assert list_status.stored > 0


@pytest.mark.parametrize("size", [1_001, 1_100, 3_000])
@pytest.mark.parametrize("agent_id", ["", "123"])
async def test_lists_of_any_length_give_the_newest(size: int, agent_id: str):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(size)
        need = ListRequest(Filters(agent_id=agent_id), newest=150)
        requests = count_before_scan(api)
        list_status = await harness.ask(need)

        assert list_status.is_complete
        assert 0 < len(requests) <= 10
        assert await harness.stored(limit=150) == [str(row["conversation_id"]) for row in ended_calls(150)]


@pytest.mark.parametrize("cap", [1, 20])
@BOTH_ORDERS
async def test_the_newest_calls_are_found_where_pages_are_shorter_than_requested(order: Order, cap: int):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order, api.rows_per_page_cap = ended_calls(1_100), order, cap
        list_status = await harness.ask(ListRequest(newest=50))

        assert list_status.is_complete
        assert await harness.stored(limit=50) == [str(row["conversation_id"]) for row in ended_calls(50)]


def coming(api: FakeFormant, count: int) -> Callable[[Request], None]:
    """Before each request so many calls come in."""
    numbers = iter(range(1_000_000, 2_000_000, 100))
    return lambda _: add_all(api, later_calls(count, next(numbers)))


@pytest.mark.parametrize(("order", "count"), each_once(ORDERED, [1, 30]))
async def test_calls_that_arrive_during_a_scan_hide_no_others_and_keep_the_order(order: Order, count: int):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(3_000), order
        since = NOON - timedelta(days=2, minutes=1_500)
        api.on_request = coming(api, count)
        requests, list_status = await harness.cost(ListRequest(Filters(since=since)))
        api.on_request = None

        assert list_status.is_complete
        assert requests < 31
        assert set(await harness.stored()) >= {str(row["conversation_id"]) for row in ended_calls(1_500)}
        assert (await harness.store.sync_state.list_state("")).list_order == order

        await harness.ask(ListRequest(Filters(since=since)))
        assert await harness.stored(Filters(since=since)) == await newest_held(api, Filters(since=since), harness)


async def newest_held(api: FakeFormant, filters: Filters, harness: Harness) -> list[str]:
    """What the account holds since then, newest first."""
    assert filters.since
    starts = {str(row["conversation_id"]): row["start_timestamp"] for row in api.conversations}
    since = filters.since.timestamp() * 1000
    held = [(start, each) for each, start in starts.items() if isinstance(start, int) and start >= since]
    order = {each: place for place, each in enumerate(await harness.stored())}
    return [each for _, each in sorted(held, key=lambda pair: (-pair[0], order.get(pair[1], 0)))]


@BOTH_ORDERS
async def test_a_call_deleted_during_a_scan_hides_no_other(order: Order):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(3_000), order
        gone: set[str] = set()

        def remove(_: Request) -> None:
            if len(api.requests) % 3:
                return
            gone.add(str(api.conversations[10]["conversation_id"]))
            api.conversations = [*api.conversations[:10], *api.conversations[11:]]

        api.on_request = remove
        since = NOON - timedelta(days=2, minutes=1_500)
        list_status = await harness.ask(ListRequest(Filters(since=since)))

        assert list_status.is_complete
        assert set(await harness.stored()) >= {str(row["conversation_id"]) for row in ended_calls(1_500)} - gone


@pytest.mark.parametrize(("order", "change"), each_once(ORDERED, ["comes", "goes"]))
async def test_a_change_within_the_stored_part_hides_nothing(order: Order, change: str):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(3_000), order
        since = NOON - timedelta(days=2, minutes=900)
        await harness.ask(ListRequest(Filters(since=since)))
        if change == "comes":
            api.add(conversation(5_000, NOON - timedelta(days=2, minutes=600, seconds=30)))
        else:
            api.remove((await harness.stored())[600])
        wider = NOON - timedelta(days=2, minutes=1_200)
        list_status = await harness.ask(ListRequest(Filters(since=wider)))

        assert list_status.is_complete
        assert set(await harness.stored(Filters(since=wider))) >= set(
            await newest_held(api, Filters(since=wider), harness)
        )


async def test_a_page_out_of_order_withdraws_the_order():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        await harness.ask(ListRequest(newest=20))
        assert (await harness.store.sync_state.list_state("")).list_order == "newest"

        api.order = "none"
        add_all(api, later_calls(1))
        list_status = await harness.ask(ListRequest(newest=20))

        assert (await harness.store.sync_state.list_state("")).list_order == "none"
        assert list_status.is_complete
        assert await harness.holds_all()


async def test_an_empty_list_by_mistake_deletes_nothing_of_the_newest_part():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(6_000)
        need = ListRequest(newest=50)
        await harness.ask(need)
        kept, held = await harness.stored(), api.conversations
        api.conversations = []
        list_status = await harness.ask(need)
        assert (list_status.gone, list_status.is_complete) == (len(kept), False)
        assert await harness.stored() == kept

        api.conversations = held
        list_status = await harness.ask(need)
        assert (list_status.gone, list_status.is_complete) == (0, True)


async def test_the_rest_of_a_short_list_is_read_in_the_background_and_no_page_twice():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(2_400)
        requests = count_before_scan(api)
        await harness.ask(ListRequest(newest=20))
        assert 0 < len(requests) <= 7
        await harness.settled()
        assert await harness.holds_all()
        assert len(api.requests) == 25
        requests, list_status = await harness.cost()
        assert (requests, list_status.is_complete) == (1, True)


async def test_a_list_that_ends_before_its_total_is_not_read_endlessly():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_500)
        api.fault("/v1/conversations?", ALWAYS, claiming(5_000))
        requests, list_status = await harness.cost(ListRequest(Filters(since=NOON - timedelta(days=30))))

        assert requests < 40
        assert not list_status.is_complete
        assert await harness.holds_all()


async def test_the_newest_part_does_not_cover_a_question_about_everything():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        await harness.ask(ListRequest(newest=20))
        assert not (await harness.sync.list_status(ListRequest(), NOON)).is_complete
        assert not (
            await harness.sync.list_status(ListRequest(Filters(since=NOON - timedelta(days=30))), NOON)
        ).is_complete

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_an_agent_that_the_provider_cannot_list_is_searched_in_the_whole_list():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        assert (await harness.ask(ListRequest(Filters(agent_id="nobody", since=NOON - timedelta(days=3))))).is_complete
        assert (await harness.ask(ListRequest(Filters(agent_id="nobody"), newest=20))).is_complete


@pytest.mark.parametrize(("status", "is_listed_before"), [(400, True), (422, True), (409, True), (409, False)])
async def test_a_refusal_that_is_not_of_the_agent_does_not_have_the_whole_list_read(
    status: int, is_listed_before: bool
) -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        of_agent = ListRequest(Filters(agent_id="123"), newest=20)
        if is_listed_before:
            await harness.ask(of_agent)
            await harness.settled()
        api.fault("agent_id=123", 1, status)
        with pytest.raises(InvalidRequestError, match=str(status)):
            await harness.ask(of_agent)
        assert all("agent_id=123" in request.target for request in harness.list_requests())
        assert (await harness.ask(of_agent)).is_complete


@pytest.mark.parametrize("status", [400, 422])
async def test_an_agent_that_the_provider_refuses_to_list_is_searched_in_the_whole_list(status: int) -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        api.fault("agent_id=", 100, status)
        assert (await harness.ask(ListRequest(Filters(agent_id="123"), newest=20))).is_complete
        assert await harness.holds_all()


@pytest.mark.parametrize(("at", "minutes"), each_once(range(1, 6), [0, 30, 400]))
async def test_calls_deleted_while_the_order_is_proven_do_not_hide_the_newest(at: int, minutes: int) -> None:
    api, since = FakeFormant(), NOON - 2 * DAY - timedelta(minutes=minutes)
    api.conversations, api.order, api.rows_per_page_cap = ended_calls(340), "oldest", 7

    def delete_some(_: Request) -> None:
        if len(api.requests) == at:
            api.conversations = api.conversations[:-7]  # the list is shorter by its last page

    api.on_request = delete_some
    async with api, harness_for(api) as harness:
        status = await harness.ask(ListRequest(Filters(since=since)))
        assert status.is_complete
        assert len(await harness.stored(Filters(since=since))) == min(333, minutes + 1)


@pytest.mark.parametrize(("order", "counts"), each_once(ORDERED, [(1, 6), (50, 45)]))
async def test_calls_deleted_from_a_covered_part_are_deleted_here(order: Order, counts: tuple[int, int]) -> None:
    deleted, most_requests = counts
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(4_000), order
        filters = Filters(since=NOON - 2 * DAY - timedelta(minutes=299))
        await harness.ask(ListRequest(filters))
        rows = ended_calls(4_000)
        api.conversations = rows[:10] + rows[10 + deleted :]
        for most in (most_requests, 1):
            harness.clock.advance(timedelta(hours=8))
            cost, status = await harness.cost(ListRequest(filters))
            await harness.settled()
            assert status.is_complete
            assert len(await harness.stored(filters)) == 300 - deleted
            assert cost <= most


async def test_a_stored_call_that_becomes_unreadable_in_its_list_is_kept() -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(4_000)
        filters = Filters(since=NOON - 2 * DAY - timedelta(minutes=299))
        await harness.ask(ListRequest(filters))
        api.conversations = [row for n, row in enumerate(ended_calls(4_000)) if n != 20]  # so that it is read again
        api.fault("offset=0", ALWAYS, faults.unreadable_row)
        harness.clock.advance(timedelta(hours=8))
        await harness.ask(ListRequest(filters))
        assert set(await harness.stored(filters)) >= {api.id_of(row) for row in api.conversations[:280]}
