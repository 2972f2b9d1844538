"""How often values occur, as plain Python counts them."""

from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.analysis.signals import SIGNALS
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.changes import EXISTS, NOT_ZERO, WEEKDAY
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.aggregates import Grouping
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.queries.changes_oracle import fields_of
from tests.store.files import open_store, stored
from tests.store.oracle import NOW, TURNS, conversations, filters, matches

pytestmark = pytest.mark.anyio

OWN = ("status", "failure_reason", "agent_id", "direction")


def with_details(call: Conversation, turns: tuple[Turn, ...]) -> Conversation:
    return call._replace(has_detail=True, failure_reason_known=True, turns=turns)


CALLS = st.lists(
    st.builds(with_details, conversations(), TURNS), max_size=8, unique_by=lambda call: call.conversation_id
)


def grouping(zone: str) -> Grouping:
    return Grouping(OWN, zone, NOW, frozenset({"failure_reason"}))


@settings(max_examples=examples(1))
@given(
    data=st.data(),
    calls=CALLS,
    zone=st.sampled_from(["UTC", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
@in_a_loop
async def test_counts_are_those_of_the_oracle(data: st.DataObject, calls: list[Conversation], zone: str) -> None:
    wanted = data.draw(filters(calls))
    store = await open_store(None)
    await store.write.save(calls, NOW)
    counts = await store.values.count(wanted, grouping(zone), list(SIGNALS), NOW)
    await store.close()
    matching = [call for call in calls if matches(call, wanted) and call.ended and call.started_at]
    results = [call for call in matching if call.results is not None]
    assert counts.with_results == len(results)
    counted, numeric = fields_of(matching, [], ZoneInfo(zone))
    for field in counted:
        own = counts.of(field.name)
        if EXISTS in field.before.counts:
            assert own.total == field.before.counts[EXISTS]
        elif field.name != WEEKDAY and NOT_ZERO not in field.before.counts:
            assert (own.total, own.counts) == (field.before.total, Counter(field.before.counts)), field.name
    for field in numeric:
        assert counts.of(field.name).numbers == Counter(field.before), field.name


async def test_details_that_are_due_are_not_counted() -> None:
    calls = [
        Conversation("a", started_at=NOW, results={"x": 1}, turns=(), has_detail=True),
        Conversation("b", started_at=NOW, status="busy"),
        Conversation("c", started_at=NOW, failure_reason="busy", failure_reason_known=True),
    ]
    store = await Store.open(None, AccountKey("s", "k"), lambda call, read_at: None if call.has_detail else read_at)
    await store.write.save(calls, NOW)
    counts = await store.values.count(Filters(), grouping("UTC"), ["turn_count"], NOW)
    assert (counts.calls, counts.loaded, counts.with_results) == (3, 1, 1)
    assert counts.of("status").counts == {"(none)": 2, "busy": 1}
    assert counts.of("failure_reason").counts == {"(none)": 1, "busy": 1}
    assert counts.of("results.x").example == (round(NOW.timestamp() * 1000), "a")


async def test_another_agents_calls_are_not_counted_for_a_member() -> None:
    calls = [
        Conversation(name, agent_id=name, started_at=NOW, results={name: "x"}, turns=(), has_detail=True)
        for name in ("1", "2")
    ]
    store = (await stored(*calls)).limited_to(frozenset({"2"}))
    counts = await store.values.count(Filters(), grouping("UTC"), ["turn_count"], NOW)
    assert counts.of("agent_id").counts == {"2": 1}
    assert counts.calls == 1
    assert {name for name in counts.fields if name.startswith("results.")} == {"results.2"}
