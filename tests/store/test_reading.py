"""What the store reads besides pages: which details are due, which calls are running, which values exist."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import pytest

from formant_mcp.filters import Condition, DetailRequest, Filters
from formant_mcp.models import Conversation
from formant_mcp.store import AccountKey, Store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def in_an_hour_unless_ended(conversation: Conversation, read_at: datetime) -> datetime | None:
    return None if conversation.ended else read_at + HOUR


@pytest.fixture
async def store() -> AsyncGenerator[Store]:
    store = await Store.open(None, AccountKey("service", "account"), in_an_hour_unless_ended)
    yield store
    await store.close()


async def test_a_detail_is_due_until_it_is_read_and_again_at_its_due_time(store: Store) -> None:
    await store.write.save([Conversation("row"), Conversation("older", started_at=NOW - HOUR)], NOW)
    await store.write.save(
        [Conversation("final", has_detail=True), Conversation("running", ended=False, has_detail=True)], NOW
    )
    ids = ["running", "nobody", "final", "row"]
    assert await store.read.needing_refresh(ids, NOW + 59 * MINUTE) == ["nobody", "row"]
    assert await store.read.needing_refresh(ids, NOW + HOUR) == ["running", "nobody", "row"]
    assert await store.read.details_to_fetch(DetailRequest(Filters()), NOW) == ["older", "row"]
    assert await store.read.details_to_fetch(DetailRequest(Filters()), NOW, 1) == ["older"]
    assert await store.read.count_details_to_fetch(DetailRequest(Filters()), NOW + HOUR) == 3


async def test_only_details_that_may_match_and_whose_field_no_list_row_had_are_due(store: Store) -> None:
    rows = [
        Conversation("unknown", agent_id="7", status="failed"),
        Conversation("with a reason", agent_id="7", status="failed", failure_reason="busy", failure_reason_known=True),
        Conversation("with a reason that may change", agent_id="7", status="failed", failure_reason="busy"),
        Conversation("without a reason", agent_id="7", status="failed", failure_reason_known=True),
        Conversation("of another agent", agent_id="8", status="failed"),
    ]
    await store.write.save(rows, NOW)
    filters = Filters(agent_id="7", failure_reason="busy")
    assert await store.read.details_to_fetch(DetailRequest(filters, whole=False), NOW) == [
        "with a reason that may change",
        "unknown",
    ]
    # A search also needs the transcripts.
    assert await store.read.count_details_to_fetch(DetailRequest(filters), NOW) == 4
    requests = [DetailRequest(filters, whole=False), DetailRequest(Filters(agent_id="9"))]
    assert await store.read.still_due(requests, NOW) == {requests[0]}
    with_results = Filters(agent_id="7", failure_reason="busy", results=(Condition("intent", "exists"),))
    assert await store.read.count_details_to_fetch(DetailRequest(with_results, whole=False), NOW) == 4


async def test_running_lists_unfinished_calls_of_the_last_day_not_seen_for_a_minute(store: Store) -> None:
    running = [
        Conversation("begun yesterday", started_at=NOW - 25 * HOUR, ended=False),
        Conversation("without a start", ended=False),
        Conversation("of agent 8", agent_id="8", started_at=NOW, ended=False),
        Conversation("ended", started_at=NOW),
    ]
    await store.write.save(running, NOW)
    assert await store.read.running("", NOW + 59 * timedelta(seconds=1)) == []
    assert await store.read.running("", NOW + MINUTE) == ["of agent 8", "without a start"]
    assert await store.read.running("8", NOW + MINUTE) == ["of agent 8"]
    assert await store.read.running("", NOW + 25 * HOUR) == []


async def test_distinct_values_come_once_in_any_case(store: Store) -> None:
    statuses = ["Busy", "completed", "busy", None, "completed"]
    await store.write.save([Conversation(f"call-{n}", status=status) for n, status in enumerate(statuses)], NOW)
    assert [status.lower() for status in (await store.read.distinct("status"))["status"]] == ["busy", "completed"]
    assert await store.read.distinct("agent_id", "user_id") == {"agent_id": [], "user_id": []}
    with pytest.raises(ValueError, match="results"):
        await store.read.distinct("results")


async def test_conversations_are_counted_by_agent_and_by_when_they_were_seen(store: Store) -> None:
    await store.write.save([Conversation("a", agent_id="7"), Conversation("b", agent_id="8")], NOW)
    await store.write.save([Conversation("b", agent_id="8"), Conversation("c", agent_id="7")], NOW + HOUR)
    counts = [
        await store.read.count_seen(""),
        await store.read.count_seen("7"),
        await store.read.count_seen("", NOW + HOUR),
    ]
    assert counts == [3, 2, 2]


async def test_ids_with_prefix_are_in_order_and_wildcards_are_literal(store: Store) -> None:
    await store.write.save([Conversation(call_id) for call_id in ("ab_2", "ab_1", "ab%", "abc", "b", "ab🙂")], NOW)
    assert await store.read.ids_with_prefix("ab_", 5) == ["ab_1", "ab_2"]
    assert await store.read.ids_with_prefix("ab", 2) == ["ab%", "ab_1"]
    assert await store.read.ids_with_prefix("ab🙂", 2) == ["ab🙂"]
    assert await store.read.ids_with_prefix("x", 2) == []


async def test_get_finds_ids_with_any_characters(store: Store) -> None:
    ids = ['with "quotes"', "with ' and \\", "अ_1", "a,b", "[]"]
    await store.write.save([Conversation(call_id) for call_id in ids], NOW)
    assert sorted(await store.read.get([*ids, "nobody"])) == sorted(ids)


async def test_get_returns_calls_in_the_order_of_the_ids(store: Store) -> None:
    ids = [f"call-{number}" for number in range(20)]
    await store.write.save([Conversation(conversation_id) for conversation_id in ids], NOW)
    asked = ["call-7", "nobody", "call-19", "call-0", "call-7", "call-12"]
    assert list(await store.read.get(asked)) == ["call-7", "call-19", "call-0", "call-12"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("end", ["", " and so on" * 100])  # too long for a key of PostgreSQL's
async def test_of_a_value_in_several_cases_the_first_is_named_whichever_was_stored_first(
    store: Store, order: int, end: str
) -> None:
    reasons = [f"{reason}{end}" for reason in ("Odd one", "odd one", "odd_one", "busy", "ODD ONE")]
    calls = [Conversation(f"call-{n}", failure_reason=reason) for n, reason in enumerate(reasons)]
    for call in calls[::order]:
        await store.write.save([call], NOW)
    named = [reason.removesuffix(end) for reason in (await store.read.distinct("failure_reason"))["failure_reason"]]
    assert [name.lower() for name in named] == ["busy", "odd one", "odd_one"]
    if not end:
        assert named[1] == "ODD ONE"
