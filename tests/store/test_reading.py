"""What the store tells beside pages: which details are due, which calls still run, which values there are."""

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


async def test_a_detail_is_due_until_it_was_read_and_again_when_it_said_so(store: Store) -> None:
    await store.write.save([Conversation("row"), Conversation("older", started_at=NOW - HOUR)], NOW)
    await store.write.save(
        [Conversation("final", has_detail=True), Conversation("running", ended=False, has_detail=True)], NOW
    )
    asked = ["running", "nobody", "final", "row"]
    assert await store.read.needing_refresh(asked, NOW + 59 * MINUTE) == ["nobody", "row"]
    assert await store.read.needing_refresh(asked, NOW + HOUR) == ["running", "nobody", "row"]
    assert await store.read.details_to_fetch(DetailRequest(Filters()), NOW) == ["older", "row"]
    assert await store.read.details_to_fetch(DetailRequest(Filters()), NOW, 1) == ["older"]
    assert await store.read.count_details_to_fetch(DetailRequest(Filters()), NOW + HOUR) == 3


async def test_only_what_may_match_is_due_and_what_a_list_row_told_is_not(store: Store) -> None:
    rows = [
        Conversation("unknown", agent_id="7", status="failed"),
        Conversation("told", agent_id="7", status="failed", failure_reason="busy", failure_reason_known=True),
        Conversation("told by halves", agent_id="7", status="failed", failure_reason="busy"),
        Conversation("told that there is none", agent_id="7", status="failed", failure_reason_known=True),
        Conversation("of another agent", agent_id="8", status="failed"),
    ]
    await store.write.save(rows, NOW)
    asked = Filters(agent_id="7", failure_reason="busy")
    assert await store.read.details_to_fetch(DetailRequest(asked, whole=False), NOW) == ["told by halves", "unknown"]
    assert (
        await store.read.count_details_to_fetch(DetailRequest(asked), NOW) == 4
    )  # a search needs the transcripts as well
    with_results = Filters(agent_id="7", failure_reason="busy", results=(Condition("intent", "exists"),))
    assert await store.read.count_details_to_fetch(DetailRequest(with_results, whole=False), NOW) == 4


async def test_running_calls_are_those_of_a_day_not_seen_for_a_minute(store: Store) -> None:
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


async def test_the_values_there_are_come_once_each(store: Store) -> None:
    statuses = ["Busy", "completed", "busy", None, "completed"]
    await store.write.save([Conversation(f"call-{n}", status=status) for n, status in enumerate(statuses)], NOW)
    assert [each.lower() for each in await store.read.distinct("status")] == ["busy", "completed"]
    assert await store.read.distinct("agent_id") == []
    with pytest.raises(ValueError, match="results"):
        await store.read.distinct("results")


async def test_known_calls_are_counted_by_agent_and_by_when_they_were_seen(store: Store) -> None:
    await store.write.save([Conversation("a", agent_id="7"), Conversation("b", agent_id="8")], NOW)
    await store.write.save([Conversation("b", agent_id="8"), Conversation("c", agent_id="7")], NOW + HOUR)
    counts = [
        await store.read.count_seen(""),
        await store.read.count_seen("7"),
        await store.read.count_seen("", NOW + HOUR),
    ]
    assert counts == [3, 2, 2]


async def test_a_beginning_finds_ids_in_their_order_whatever_signs_it_holds(store: Store) -> None:
    await store.write.save([Conversation(each) for each in ("ab_2", "ab_1", "ab%", "abc", "b", "ab🙂")], NOW)
    assert await store.read.ids_with_prefix("ab_", 5) == ["ab_1", "ab_2"]
    assert await store.read.ids_with_prefix("ab", 2) == ["ab%", "ab_1"]
    assert await store.read.ids_with_prefix("ab🙂", 2) == ["ab🙂"]
    assert await store.read.ids_with_prefix("x", 2) == []


async def test_ids_are_found_whatever_characters_they_hold(store: Store) -> None:
    ids = ['with "quotes"', "with ' and \\", "अ_1", "a,b", "[]"]
    await store.write.save([Conversation(each) for each in ids], NOW)
    assert sorted(await store.read.get([*ids, "nobody"])) == sorted(ids)
