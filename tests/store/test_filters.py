"""The law of the store: its answer to a query is what plain Python selects from what was saved."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.filters import NEWEST, ORDERS, Condition, Filters, Order
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conditions import parse_condition
from formant_mcp.store import Store
from formant_mcp.store.postgres.connection import PostgresConnection
from formant_mcp.store.sqlite.connection import SqliteConnection
from tests.in_a_loop import in_a_loop
from tests.store.files import stored
from tests.store.oracle import (
    NOW,
    ORDERED_BY,
    RESULTS,
    conditions,
    conversations,
    filters,
    holds,
    in_order,
    matches,
    orders,
)

pytestmark = pytest.mark.anyio

MINUTES = timedelta(minutes=4)
several = st.lists(
    conversations(), min_size=3, max_size=12, unique_by=lambda conversation: conversation.conversation_id
)
enough = settings(suppress_health_check=[HealthCheck.too_slow])


async def test_times_with_a_zone_compare_as_instants() -> None:
    times = ["2026-11-20T23:30:00-08:00", "2026-11-21T01:00:00+05:30", "2026-11-20T20:00Z", "2026-11-20T21:00"]
    store = await stored(*[Conversation(str(n), results={"due": due}, has_detail=True) for n, due in enumerate(times)])

    async def ids_where(condition: str) -> str:
        page = await store.read.page(Filters(results=(parse_condition(condition),)), NEWEST, 100)
        return "".join(sorted(conversation.conversation_id for _, conversation in page))

    assert await ids_where("due<2026-11-20T22:00Z") == "123"
    assert await ids_where("due>2026-11-20T20:00Z") == "03"
    assert await ids_where("due=2026-11-21T01:30+05:30") == "2"
    assert await ids_where("due!=2026-11-21T01:30+05:30") == "013"
    assert await ids_where("due>=2026-11-21") == "1"  # days are as written
    await store.close()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
async def test_hours_and_weekdays_filter_by_the_zones_clocks(zone: str) -> None:
    hours = [Conversation(f"{n:03d}", started_at=NOW + timedelta(hours=n, minutes=20)) for n in range(7 * 24)]
    store = await stored(*hours)
    for call in hours:
        assert call.started_at
        local = call.started_at.astimezone(ZoneInfo(zone))
        local_filters = Filters(hours=(local.hour,), weekdays=(local.weekday(),), zone=zone)
        assert [
            conversation.conversation_id for _, conversation in await store.read.page(local_filters, NEWEST, 5)
        ] == [call.conversation_id]
    await store.close()


def ids_of(listed: list[Conversation]) -> list[str]:
    return [conversation.conversation_id for conversation in listed]


async def all_pages(
    store: Store, request: Filters, order: Order, limit: int, arrivals: list[list[Conversation]]
) -> list[Conversation]:
    """The conversations of all pages, each requested after the last row of the one before; calls arrive in between."""
    listed: list[Conversation] = []
    after = 0
    while page := await store.read.page(request, order, limit, after):
        assert len(page) <= limit
        listed += [conversation for _, conversation in page]
        assert len(listed) < 100, "pages without end"
        after = page[-1][0]
        if arrivals:
            await store.write.save(arrivals.pop(0), NOW)
    return listed


@enough
@given(saved=several, data=st.data())
@in_a_loop
async def test_filters_match_the_conversations_that_the_oracle_matches(
    saved: list[Conversation], data: st.DataObject
) -> None:
    store = await stored(*saved)
    for request in data.draw(st.lists(filters(saved), min_size=4, max_size=10)):
        expected = {conversation.conversation_id for conversation in saved if matches(conversation, request)}
        page = await store.read.page(request, NEWEST, 100)
        assert {conversation.conversation_id for _, conversation in page} == expected
        assert len(page) == await store.read.count(request) == len(expected)
    await store.close()


@enough
@given(results=RESULTS, data=st.data())
@in_a_loop
async def test_conditions_on_results_hold_where_the_oracle_says(
    results: dict[str, JsonValue], data: st.DataObject
) -> None:
    await assert_holds(results, data.draw(st.lists(conditions(results), min_size=3, max_size=12)))


@pytest.mark.parametrize(
    ("results", "texts"),
    [
        ({"intent": "STRASSE"}, ["intent=straße", "intent!=strass"]),
        ({"intent": ["a", None, "b"]}, ["intent!=b", "intent!=c", "intent=b", "intent=null"]),
        ({"csat": "2.0"}, ["csat=2", "csat<=2", "csat<2", "csat>=2", "csat!=2"]),
        ({"csat": True}, ["csat=true", "csat=1", "csat>0"]),
        ({"language": {"primary": "hi"}}, ["language exists", "language=hi", "language.primary=HI", "lang exists"]),
        ({"loan": 98765432109876543}, ["loan=98765432109876544", "loan=98765432109876543"]),
        ({"loan": "98765432109876543"}, ["loan!=98765432109876544"]),
        ({"x": 1 / 3}, ["x=0.3333333333", "x!=0.3333333333", "x<=0.3333333333", "x>0.3333333333", "x=0.33", "x<0.33"]),
        ({"x": None}, ["x=null", "x!=null", "x=(none)", "x!=(none)"]),
        ({"x": {"y": 1}}, ["x=null", "x missing", "x=(none)", "x!=(none)"]),
        ({"note": "late fee was charged"}, ["note=Late fee…", "note!=late…", "note=fee…", "note=…"]),
        ({"rate": 1e-7}, ["rate=0.0000001", "rate=1e-07", "rate!=0.0000001", "rate<1"]),
        ({"loan": "4111111111111111"}, ["loan=4111111111111111", "loan=4,111,111,111,111,111", "loan>5", "loan<z"]),
        ({"due": "2026-11-20"}, ["due<2026-11-21", "due>=2026-11-20", "due<5"]),
        (
            {"due": "2026-11-21T01:00+05:30"},  # 19:30 UTC of the day before
            ["due=2026-11-20T19:30Z", "due<2026-11-20T22:00Z", "due>2026-11-20T19:30:00Z", "due=2026-11-21"],
        ),
    ],
)
async def test_numbers_texts_dates_and_lists_compare_as_people_expect(
    results: dict[str, JsonValue], texts: list[str]
) -> None:
    await assert_holds(results, [parse_condition(text) for text in texts])


async def assert_holds(results: dict[str, JsonValue], wanted: list[Condition]) -> None:
    """Compares the store with the oracle: a call with these results, and one whose results were never read."""
    call = Conversation("call-1_1", results=results, has_detail=True)
    store = await stored(call, Conversation("call-2_1"))
    for condition in wanted:
        assert await store.read.count(Filters(results=(condition,))) == holds(call, condition), condition
    await store.close()


@enough
@given(saved=several, data=st.data(), order=orders, limit=st.integers(1, 5))
@in_a_loop
async def test_paging_to_the_end_lists_every_match_once_in_order(
    saved: list[Conversation], data: st.DataObject, order: Order, limit: int
) -> None:
    store = await stored(*saved)
    request = data.draw(filters(saved))
    listed = await all_pages(store, request, order, limit, [])
    expected = in_order([conversation for conversation in saved if matches(conversation, request)], order)
    assert ids_of(listed) == ids_of(expected)
    await store.close()


@enough
@given(
    calls=st.lists(
        conversations(), min_size=3, max_size=14, unique_by=lambda conversation: conversation.conversation_id
    ),
    cut=st.integers(1, 10),
    order=orders,
    limit=st.integers(1, 3),
)
@in_a_loop
async def test_calls_that_arrive_between_pages_neither_hide_nor_repeat_others(
    calls: list[Conversation], cut: int, order: Order, limit: int
) -> None:
    saved, arriving = calls[:cut], calls[cut:]
    store = await stored(*saved)
    arrivals = [arriving[::2], arriving[1::2]]
    in_all = ids_of(in_order([*saved, *arrivals[0], *arrivals[1]], order))
    ids = ids_of(await all_pages(store, Filters(), order, limit, arrivals))
    assert {conversation.conversation_id for conversation in saved} <= set(ids)
    assert ids == [conversation_id for conversation_id in in_all if conversation_id in ids]
    await store.close()


async def test_conversations_without_the_sort_value_come_last_in_every_order() -> None:
    saved = [Conversation("bare"), Conversation("full", started_at=NOW, duration_seconds=1.0)]
    store = await stored(*saved)
    for order in ORDERS.values():
        assert [conversation.conversation_id for _, conversation in await store.read.page(Filters(), order, 2)] == [
            "full",
            "bare",
        ]
    await store.close()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", ["results.csat", "signals.agent_turns", "signals.ended_by"])
async def test_equal_mixed_and_listed_values_are_paged_as_the_oracle_sorts_them(field: str, descending: bool) -> None:
    values: list[JsonValue] = [
        3,
        "3",
        3.0,
        [5, 1, 9],
        "n/a",
        ["n/a", 4],
        True,
        None,
        "2026-11-20",
        -2.5,
        "₹1,50,000",
        [],
        3,
    ]
    saved = [
        Conversation(
            f"call-{n}",
            agent_id=str(n % 2),
            results={"csat": value},
            duration_seconds=9.0,
            turns=tuple(Turn(index, ("agent", "contact")[n // 2 % 2], "so") for index in range(n % 3)),
            has_detail=n != 2,
        )
        for n, value in enumerate(values)
    ]
    saved[2] = Conversation("call-2", agent_id="0")
    store, order = await stored(*saved), Order(field, descending)
    for request in (Filters(), Filters(agent_id="0")):
        expected = ids_of(in_order([call for call in saved if matches(call, request)], order))
        for limit in (1, 2, 5, 20):
            assert ids_of(await all_pages(store, request, order, limit, [])) == expected
    await store.close()


@pytest.mark.parametrize("tried", [0, 1, 4, 100])
async def test_conditions_select_the_same_pages_however_many_calls_are_tried_first(
    monkeypatch: pytest.MonkeyPatch, tried: int
) -> None:
    for connection in (PostgresConnection, SqliteConnection):
        monkeypatch.setattr(connection, "tried_first", tried)
    saved = [
        Conversation(
            f"call-{n * 7 % 24}",
            started_at=None if n % 4 == 3 else NOW - timedelta(minutes=n // 3),
            agent_id=str(n % 2),
            results={"csat": n % 5, "intent": ("dispute", "refund")[n // 3 % 2]},
            turns=tuple(Turn(index, "agent", "so") for index in range(n % 3)),
            has_detail=n % 7 != 0,
        )
        for n in range(24)
    ]
    store = await stored(*saved)
    disputed, rated = Condition("intent", "=", "dispute"), Condition("csat", "<=", "2")
    spoken, others = Condition("agent_turns", ">=", "1", is_signal=True), Filters(agent_id="0", since=NOW - MINUTES)
    for results in ((disputed,), (disputed, rated), (rated, Condition("x", "missing"), Condition("csat", "!=", "1"))):
        for request in (Filters(results=results), replace(others, results=results)):
            matching = [call for call in saved if matches(call, request)]
            for order in ORDERS.values():
                for limit in (1, 2, 30):
                    listed = await all_pages(store, request, order, limit, [])
                    assert ids_of(listed) == ids_of(in_order(matching, order))
                of_spoken = replace(request, results=(*results, spoken))
                listed = await all_pages(store, of_spoken, order, 2, [])
                assert ids_of(listed) == ids_of(in_order([call for call in matching if call.turns], order))
    await store.close()


async def test_texts_longer_than_an_index_takes_are_paged_one_by_one() -> None:
    notes = [Conversation(f"call-{n}", results={"note": f"{'😀' * 400}{n}"}, has_detail=True) for n in range(5)]
    store = await stored(*notes, Conversation("none"))
    listed = ids_of(await all_pages(store, Filters(), Order("results.note"), 1, []))
    assert sorted(listed[:-1]) == [f"call-{n}" for n in range(5)]
    assert listed[-1] == "none"
    await store.close()


async def test_conversations_that_started_together_are_paged_one_by_one() -> None:
    store = await stored(*(Conversation(f"call-{n}", started_at=NOW) for n in range(5)))
    listed = await all_pages(store, Filters(since=NOW, until=NOW), NEWEST, 1, [])
    assert [conversation.conversation_id for conversation in listed] == [f"call-{n}" for n in (4, 3, 2, 1, 0)]
    await store.close()


@pytest.mark.parametrize("field", ORDERED_BY)
async def test_equal_calls_are_listed_in_an_order_of_their_own_however_they_were_stored(field: str) -> None:
    names = ["a", "Z", "é", "क", "\uffff", "😀", "aa"]
    starts = [NOW, NOW, NOW, NOW, None, None, NOW - timedelta(hours=1)]
    saved = [
        Conversation(name, started_at=start, duration_seconds=9.0, results={"csat": 4}, has_detail=True)
        for name, start in zip(names, starts, strict=True)
    ]
    saved += [Conversation(f"{call.conversation_id}-none", started_at=call.started_at) for call in saved]
    for descending in (True, False):
        order = Order(field, descending)
        expected = ids_of(in_order(saved, order))
        for arrived in (saved, saved[::-1]):
            store = await stored(*arrived)
            assert ids_of(await all_pages(store, Filters(), order, 2, [])) == expected
            await store.close()


async def test_a_page_after_a_deleted_row_is_an_error() -> None:
    store = await stored(Conversation("one"), Conversation("two"))
    row = (await store.read.page(Filters(), NEWEST, 1))[0][0]
    await store.write.delete("two")
    with pytest.raises(LookupError):
        await store.read.page(Filters(), NEWEST, 1, row)
    await store.close()


async def test_since_and_until_are_inclusive() -> None:
    store = await stored(Conversation("call", started_at=NOW))
    assert await store.read.count(Filters(since=NOW, until=NOW)) == 1
    assert await store.read.count(Filters(since=NOW + timedelta(milliseconds=1))) == 0
    assert await store.read.count(Filters(until=NOW - timedelta(milliseconds=1))) == 0
    await store.close()


async def test_filter_values_are_never_executed_as_sql() -> None:
    store = await stored(Conversation("call", agent_id="7", status="busy", failure_reason="busy", user_id="u"))
    hostile = "' OR 1=1 --"
    requests = [
        Filters(agent_id=hostile),
        Filters(status=(hostile, "%")),
        Filters(failure_reason=hostile),
        Filters(user_id=hostile),
        Filters(results=(Condition(hostile, "exists"), Condition("x", "=", hostile))),
    ]
    assert [await store.read.count(request) for request in requests] == [0] * 5
    await store.close()
