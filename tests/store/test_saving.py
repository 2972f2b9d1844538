"""Saved conversations stay as saved: details survive later list rows, and deleting leaves nothing."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.errors import StoreError
from formant_mcp.filters import NEWEST, Condition, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store
from formant_mcp.store.counts import start_daily_counts
from formant_mcp.store.engine import Connection, Value
from formant_mcp.store.writer import PreviousRow
from tests.in_a_loop import in_a_loop
from tests.store.files import open_store
from tests.store.oracle import NOW, conversations

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(minutes=5)
ONE_ID = st.just("call-1_1")
WITH_STATUS = {"status", "outcome", "ended"}
DETAIL = Conversation(
    "call-1_1",
    agent_id="7",
    contact_number="+91 98765 43210",
    status="completed",
    outcome="success",
    started_at=NOW,
    duration_seconds=61.5,
    results={"intent": "भुगतान", "csat": 4, "tags": ["a", "b"], "language": {"primary": "hi"}, "paid": None},
    turns=(Turn(0, "agent", "नमस्ते!", 0.0), Turn(1, "contact", "हाँ जी", 1.5), Turn(2, "supervisor", "", None)),
    has_detail=True,
)


@pytest.fixture
async def store() -> AsyncGenerator[Store]:
    store = await open_store(None)
    yield store
    await store.close()


async def stored(store: Store, conversation_id: str = "call-1_1") -> Conversation | None:
    """A conversation as the store has it, turns and all."""
    row = (await store.read.get([conversation_id])).get(conversation_id)
    if row is None or await store.read.turn_count(conversation_id) is None:
        return row
    return row._replace(turns=tuple(await store.read.turns(conversation_id, 0, 1000)))


def merged(old: Conversation, new: Conversation) -> Conversation:
    """What is stored after `new` was saved over `old`: a missing value overwrites nothing."""
    kept = new._asdict()
    for name, value in kept.items():
        if value is None and name not in WITH_STATUS:
            kept[name] = getattr(old, name)
    if new.status is None:
        kept |= {name: getattr(old, name) for name in WITH_STATUS}
    elif new.outcome is None and new.ended and new.status == old.status:
        kept["outcome"] = old.outcome
    if new.has_detail:
        kept |= {"results": new.results, "turns": new.turns}
    kept["has_detail"] = old.has_detail or new.has_detail
    # That a running call had no reason says nothing once it is over.
    says_more = old.ended or not new.ended or new.status is None or old.failure_reason is not None
    was_known = old.failure_reason_known and says_more
    kept["failure_reason_known"] = was_known or new.failure_reason_known
    if was_known != new.failure_reason_known:
        kept["failure_reason"] = (old if was_known else new).failure_reason
    return Conversation(**kept)


@given(read=st.lists(conversations(ONE_ID), min_size=1, max_size=4))
@in_a_loop
async def test_fields_that_later_reads_lack_are_kept(read: list[Conversation]) -> None:
    store = await open_store(None)
    expected = merged(read[0], read[0])
    for conversation in read:
        await store.write.save([conversation], NOW)
        expected = merged(expected, conversation)
        assert await stored(store) == expected
    await store.close()


@given(first=conversations(ONE_ID), data=st.data())
@in_a_loop
async def test_a_row_with_nothing_new_changes_nothing(first: Conversation, data: st.DataObject) -> None:
    store = await open_store(None)
    await store.write.save([first], NOW)
    optional = [name for name, value in Conversation._field_defaults.items() if value is None and name != "turns"]
    left_out = dict.fromkeys(data.draw(st.lists(st.sampled_from(optional), max_size=3)))
    row = first._replace(has_detail=False, turns=None, results=None, failure_reason_known=data.draw(st.booleans()))
    row = row._replace(**left_out)
    await store.write.save([row], LATER)
    expected = merged(merged(first, first), row)
    assert await stored(store) == expected
    assert (await store.write.save([row], LATER))["call-1_1"].seen_at == LATER
    await store.close()


@given(read=st.lists(conversations(), max_size=5, unique_by=lambda conversation: conversation.conversation_id))
@in_a_loop
async def test_saving_twice_equals_saving_once(read: list[Conversation]) -> None:
    store = await open_store(None)
    await store.write.save(read, NOW)
    once = [await stored(store, conversation.conversation_id) for conversation in read]
    pages = await store.read.page(Filters(), NEWEST, 10)
    assert (await store.write.save(read, NOW)).keys() == {conversation.conversation_id for conversation in read}
    assert [await stored(store, conversation.conversation_id) for conversation in read] == once
    assert await store.read.page(Filters(), NEWEST, 10) == pages
    await store.close()


async def test_a_conversation_is_read_back_as_saved(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    assert await stored(store) == DETAIL


async def test_saving_returns_the_previous_row_and_when_it_was_seen(store: Store) -> None:
    rows = [Conversation("call-1_1", started_at=NOW), Conversation("call-2_1")]
    assert await store.write.save(rows[:1], NOW) == {}
    assert await store.write.save(rows, LATER) == {"call-1_1": PreviousRow(started_at=NOW, seen_at=NOW)}


async def test_a_page_saved_by_a_clock_that_is_late_does_not_undo_when_a_row_was_seen(store: Store) -> None:
    row = Conversation("call-1_1", started_at=NOW)
    await store.write.save([row], LATER)
    await store.write.save([row], NOW)
    await store.write.save([row._replace(status="ended")], NOW)
    assert await store.read.not_seen_since(Filters(), LATER) == []


async def test_saves_at_the_same_time_are_as_good_as_one_after_another(store: Store) -> None:
    calls = [Conversation(f"call-{n}_1", status="completed", started_at=NOW) for n in range(4)]
    later = calls[2]._replace(status="failed")
    await store.write.save(calls[:1], NOW)
    waiting = [[calls[3]], calls[:2], calls[1:3], [later], [later, calls[3]]]
    previous = await asyncio.gather(*(store.write.save(page, LATER) for page in waiting))
    seen, seen_now = PreviousRow(NOW, NOW), PreviousRow(NOW, LATER)
    assert previous[:2] == [{}, {"call-0_1": seen}]
    assert previous[2:4] == [{"call-1_1": seen_now}, {"call-2_1": seen_now}]
    assert previous[4] == {"call-2_1": seen_now, "call-3_1": seen_now}
    assert [await stored(store, f"call-{n}_1") for n in range(4)] == [*calls[:2], later, calls[3]]
    assert await store.read.count(Filters(status=("failed",))) == 1


async def test_a_number_replaced_by_one_without_digits_is_no_longer_found(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    await store.write.save([Conversation("call-1_1", contact_number="anonymous")], LATER)
    assert await store.read.count(Filters(contact_number=("43210",))) == 0
    await store.write.save(
        [Conversation("call-1_1", contact_number="+91 98765 43210"), Conversation("call-2_1")], LATER
    )
    await store.write.save([Conversation("call-1_1")], LATER)
    assert await store.read.count(Filters(contact_number=("43210",))) == 1


async def test_a_later_detail_replaces_the_earlier_one(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    await store.write.save([DETAIL._replace(results={"csat": 1}, turns=(Turn(0, "agent", "Hello"),))], LATER)
    assert await store.read.turns("call-1_1", 0, 10) == [Turn(0, "agent", "Hello")]
    assert await store.read.turn_count("call-1_1") == 1
    assert list(await store.aggregates.paths()) == ["csat"]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("count", range(5))
async def test_turns_returns_exactly_the_requested_window(store: Store, first: int, count: int) -> None:
    other = DETAIL._replace(conversation_id="call-2_1", turns=(Turn(0, "agent", "of another call"),))
    await store.write.save([DETAIL, other], NOW)
    turns = list(DETAIL.turns or ())
    assert await store.read.turns("call-1_1", first, count) == turns[first : first + count]
    assert await store.read.turns("call-3_1", first, count) == []


async def test_turn_count_distinguishes_no_transcript_from_an_empty_one(store: Store) -> None:
    await store.write.save([DETAIL._replace(turns=None), DETAIL._replace(conversation_id="call-2_1", turns=())], NOW)
    assert [await store.read.turn_count(call_id) for call_id in ("call-1_1", "call-2_1", "call-3_1")] == [None, 0, None]


async def test_deleting_removes_row_turns_and_values_of_that_conversation_only(store: Store) -> None:
    other = DETAIL._replace(conversation_id="call-2_1", results={"csat": 2})
    await store.write.save([DETAIL, other], NOW)
    await store.write.delete("call-1_1")
    assert await stored(store) is None
    assert await store.read.turns("call-1_1", 0, 10) == []
    assert list(await store.aggregates.paths()) == ["csat"]
    assert await stored(store, "call-2_1") == other
    await store.write.save([Conversation("call-1_1")], LATER)
    assert await stored(store) == Conversation("call-1_1")
    assert await store.read.count(Filters(results=(Condition("intent", "exists"),))) == 0


async def test_delete_unseen_removes_unseen_conversations_of_that_agent_only(store: Store) -> None:
    rows = [Conversation("old-7", agent_id="7"), Conversation("old-8", agent_id="8"), Conversation("old-none")]
    await store.write.save([*rows, DETAIL._replace(conversation_id="old-detail")], NOW)
    await store.write.save([Conversation("new-7", agent_id="7")], LATER)
    await store.write.delete_unseen("7", LATER)
    assert await store.read.ids_with_prefix("", 10) == ["new-7", "old-8", "old-none"]
    assert await store.aggregates.paths() == {}
    await store.write.delete_unseen("", LATER)
    assert await store.read.ids_with_prefix("", 10) == ["new-7"]


async def test_a_page_is_saved_whole_or_not_at_all(store: Store) -> None:
    broken = DETAIL._replace(conversation_id="call-2_1", turns=(Turn(0, "agent", "a"), Turn(0, "agent", "same place")))
    with pytest.raises(StoreError):
        await store.write.save([DETAIL, broken], NOW)
    assert await store.read.count(Filters()) == 0
    await store.write.save([DETAIL], NOW)
    assert await stored(store) == DETAIL


async def test_a_transcript_of_ten_thousand_turns_is_read_back_in_order(store: Store) -> None:
    turns = tuple(Turn(index, "agent", f"word {index}") for index in range(10_000))
    await store.write.save([DETAIL._replace(turns=turns)], NOW)
    assert await store.read.turn_count("call-1_1") == 10_000
    assert await store.read.turns("call-1_1", 9_998, 50) == [turns[9_998], turns[9_999]]


async def test_a_detail_without_an_outcome_keeps_that_of_its_list_row(store: Store) -> None:
    await store.write.save([Conversation("call-1_1", status="voicemail_left", outcome="failure", ended_at=NOW)], NOW)
    await store.write.save([Conversation("call-1_1", status="voicemail_left", has_detail=True)], NOW)
    assert (await store.read.get(["call-1_1"]))["call-1_1"].outcome == "failure"
    await store.write.save([Conversation("call-1_1", status="in_progress", ended=False)], NOW)
    assert (await store.read.get(["call-1_1"]))["call-1_1"].outcome is None


async def test_results_from_a_list_row_are_kept_until_the_detail_has_all_of_them(store: Store) -> None:
    await store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert (await store.read.get(["one"]))["one"].results == {"summary": "They spoke."}
    assert await store.read.needing_refresh(["one"], NOW) == ["one"]
    await store.write.save([Conversation("one", results={"summary": "They agreed.", "a": 1}, has_detail=True)], NOW)
    await store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert (await store.read.get(["one"]))["one"].results == {"summary": "They agreed.", "a": 1}


async def test_counts_of_what_no_call_has_any_more_are_deleted(store: Store) -> None:
    def counts(connection: Connection) -> list[list[tuple[Value, ...]]]:
        return [
            connection.rows("SELECT agent_id, count FROM $agents"),
            connection.rows("SELECT agent_id, status, count FROM $daily_counts"),
        ]

    await store.database.write(lambda connection: start_daily_counts(connection, "Asia/Kolkata"))
    await store.write.save([DETAIL._replace(agent_id="8", status="queued", has_detail=False)], NOW)
    assert await store.database.read(counts) == [[("8", 1)], [("8", "queued", 1)]]
    await store.write.save([DETAIL], LATER)
    assert await store.database.read(counts) == [[("7", 1)], [("7", "completed", 1)]]
    await store.write.delete("call-1_1")
    assert await store.database.read(counts) == [[], []]
