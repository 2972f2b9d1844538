"""The law of the store: what it gives for a question is what plain Python picks out of what was saved."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.filters import Condition, Filters, Order
from formant_mcp.models import Conversation
from formant_mcp.queries.conditions import parse_condition
from formant_mcp.store import AccountKey, Store
from tests.in_a_loop import in_a_loop
from tests.store.oracle import (
    NOW,
    ORDERS,
    RESULTS,
    conditions,
    conversations,
    filters,
    holds,
    is_in_order,
    matches,
)

pytestmark = pytest.mark.anyio

several = st.lists(conversations(), min_size=3, max_size=12, unique_by=lambda each: each.conversation_id)
enough = settings(suppress_health_check=[HealthCheck.too_slow])


async def new_store(saved: list[Conversation]) -> Store:
    store = await Store.open(None, AccountKey("service", "account"), lambda _, __: None)
    await store.write.save(saved, NOW)
    return store


async def test_times_with_a_zone_compare_as_instants() -> None:
    times = ["2026-11-20T23:30:00-08:00", "2026-11-21T01:00:00+05:30", "2026-11-20T20:00Z", "2026-11-20T21:00"]
    store = await new_store(
        [Conversation(str(n), results={"due": due}, has_detail=True) for n, due in enumerate(times)]
    )

    async def found(condition: str) -> str:
        page = await store.read.page(Filters(results=(parse_condition(condition),)), "newest", 100)
        return "".join(sorted(each.conversation_id for _, each in page))

    assert await found("due<2026-11-20T22:00Z") == "123"
    assert await found("due>2026-11-20T20:00Z") == "03"
    assert await found("due=2026-11-21T01:30+05:30") == "2"
    assert await found("due!=2026-11-21T01:30+05:30") == "013"
    assert await found("due>=2026-11-21") == "1"  # days are as written
    await store.close()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
async def test_every_hour_of_every_weekday_is_found_on_the_zones_clocks(zone: str) -> None:
    hours = [Conversation(f"{n:03d}", started_at=NOW + timedelta(hours=n, minutes=20)) for n in range(7 * 24)]
    store = await new_store(hours)
    for call in hours:
        assert call.started_at
        local = call.started_at.astimezone(ZoneInfo(zone))
        asked = Filters(hours=(local.hour,), weekdays=(local.weekday(),), zone=zone)
        assert [each.conversation_id for _, each in await store.read.page(asked, "newest", 5)] == [call.conversation_id]
    await store.close()


async def all_pages(
    store: Store, asked: Filters, order: Order, limit: int, arrivals: list[list[Conversation]]
) -> list[Conversation]:
    """Every page to the end, each asked for after the last row of the one before; new calls arrive in between."""
    found: list[Conversation] = []
    after = 0
    while page := await store.read.page(asked, order, limit, after):
        assert len(page) <= limit
        found += [conversation for _, conversation in page]
        after = page[-1][0]
        if arrivals:
            await store.write.save(arrivals.pop(0), NOW)
    return found


@enough
@given(saved=several, data=st.data())
@in_a_loop
async def test_a_filter_finds_in_the_store_what_it_means(saved: list[Conversation], data: st.DataObject) -> None:
    store = await new_store(saved)
    for asked in data.draw(st.lists(filters(saved), min_size=4, max_size=10)):
        meant = {each.conversation_id for each in saved if matches(each, asked)}
        found = await store.read.page(asked, "newest", 100)
        assert {each.conversation_id for _, each in found} == meant
        assert len(found) == await store.read.count(asked) == len(meant)
    await store.close()


@enough
@given(results=RESULTS, data=st.data())
@in_a_loop
async def test_a_condition_on_results_holds_where_its_words_say(
    results: dict[str, JsonValue], data: st.DataObject
) -> None:
    await assert_holds(results, data.draw(st.lists(conditions(results), min_size=3, max_size=12)))


@pytest.mark.parametrize(
    ("results", "asked"),
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
async def test_numbers_texts_and_lists_compare_as_people_mean(results: dict[str, JsonValue], asked: list[str]) -> None:
    await assert_holds(results, [parse_condition(each) for each in asked])


async def assert_holds(results: dict[str, JsonValue], asked: list[Condition]) -> None:
    """Compares the store with the oracle: a call with these results, and one whose results were never read."""
    call = Conversation("call-1_1", results=results, has_detail=True)
    store = await new_store([call, Conversation("call-2_1")])
    for condition in asked:
        assert await store.read.count(Filters(results=(condition,))) == holds(call, condition), condition
    await store.close()


@enough
@given(saved=several, data=st.data(), order=ORDERS, limit=st.integers(1, 5))
@in_a_loop
async def test_pages_followed_to_the_end_give_every_match_once_in_order(
    saved: list[Conversation], data: st.DataObject, order: Order, limit: int
) -> None:
    store = await new_store(saved)
    asked = data.draw(filters(saved))
    found = await all_pages(store, asked, order, limit, [])
    assert sorted(each.conversation_id for each in found) == sorted(
        each.conversation_id for each in saved if matches(each, asked)
    )
    assert is_in_order(found, order)
    await store.close()


@enough
@given(
    calls=st.lists(conversations(), min_size=3, max_size=14, unique_by=lambda each: each.conversation_id),
    cut=st.integers(1, 10),
    order=ORDERS,
    limit=st.integers(1, 3),
)
@in_a_loop
async def test_calls_that_arrive_between_pages_neither_hide_nor_repeat_another(
    calls: list[Conversation], cut: int, order: Order, limit: int
) -> None:
    there, arriving = calls[:cut], calls[cut:]
    store = await new_store(there)
    found = await all_pages(store, Filters(), order, limit, [arriving[::2], arriving[1::2]])
    ids = [each.conversation_id for each in found]
    assert len(set(ids)) == len(ids)
    assert {each.conversation_id for each in there} <= set(ids)
    assert is_in_order(found, order)
    await store.close()


async def test_calls_without_the_value_come_last_in_every_order() -> None:
    saved = [Conversation("bare"), Conversation("full", started_at=NOW, duration_seconds=1.0)]
    store = await new_store(saved)
    orders: tuple[Order, ...] = ("newest", "oldest", "longest", "shortest")
    for order in orders:
        assert [each.conversation_id for _, each in await store.read.page(Filters(), order, 2)] == ["full", "bare"]
    await store.close()


async def test_calls_of_the_same_moment_are_paged_one_by_one() -> None:
    store = await new_store([Conversation(f"call-{n}", started_at=NOW) for n in range(5)])
    found = await all_pages(store, Filters(since=NOW, until=NOW), "newest", 1, [])
    assert [each.conversation_id for each in found] == [f"call-{n}" for n in (4, 3, 2, 1, 0)]
    await store.close()


async def test_a_page_after_a_row_that_is_gone_is_an_error_not_the_first_page() -> None:
    store = await new_store([Conversation("one"), Conversation("two")])
    row = (await store.read.page(Filters(), "newest", 1))[0][0]
    await store.write.delete("two")
    with pytest.raises(LookupError):
        await store.read.page(Filters(), "newest", 1, row)
    await store.close()


async def test_both_ends_of_a_span_of_time_are_part_of_it() -> None:
    store = await new_store([Conversation("call", started_at=NOW)])
    assert await store.read.count(Filters(since=NOW, until=NOW)) == 1
    assert await store.read.count(Filters(since=NOW + timedelta(milliseconds=1))) == 0
    assert await store.read.count(Filters(until=NOW - timedelta(milliseconds=1))) == 0
    await store.close()


async def test_what_a_filter_holds_is_never_read_as_sql() -> None:
    store = await new_store([Conversation("call", agent_id="7", status="busy", failure_reason="busy", user_id="u")])
    hostile = "' OR 1=1 --"
    questions = [
        Filters(agent_id=hostile),
        Filters(status=(hostile, "%")),
        Filters(failure_reason=hostile),
        Filters(user_id=hostile),
        Filters(results=(Condition(hostile, "exists"), Condition("x", "=", hostile))),
    ]
    assert [await store.read.count(each) for each in questions] == [0] * 5
    await store.close()
