"""What is saved stays as it was saved: details survive later list rows, and nothing is left of what is deleted."""

from collections.abc import AsyncGenerator
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.errors import StoreError
from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.writer import PreviousRow
from tests.in_a_loop import in_a_loop
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
    store = await Store.open(None, AccountKey("service", "account"), lambda _, __: None)
    yield store
    await store.close()


async def stored(store: Store, conversation_id: str = "call-1_1") -> Conversation | None:
    """A conversation as the store has it, turns and all."""
    found = (await store.read.get([conversation_id])).get(conversation_id)
    if found is None or await store.read.turn_count(conversation_id) is None:
        return found
    return replace(found, turns=tuple(await store.read.turns(conversation_id, 0, 1000)))


def merged(old: Conversation, new: Conversation) -> Conversation:
    """What is known after `new` came on top of `old`: a value that is missing empties nothing."""
    kept = {each.name: getattr(new, each.name) for each in fields(Conversation)}
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
async def test_what_was_known_is_kept_by_whatever_is_read_later(read: list[Conversation]) -> None:
    store = await Store.open(None, AccountKey("service", "account"), lambda _, __: None)
    known = merged(read[0], read[0])
    for each in read:
        await store.write.save([each], NOW)
        known = merged(known, each)
        assert await stored(store) == known
    await store.close()


@given(known=conversations(ONE_ID), data=st.data())
@in_a_loop
async def test_a_row_that_says_nothing_new_changes_nothing(known: Conversation, data: st.DataObject) -> None:
    store = await Store.open(None, AccountKey("service", "account"), lambda _, __: None)
    await store.write.save([known], NOW)
    optional = [each.name for each in fields(Conversation) if each.default is None and each.name != "turns"]
    left_out = dict.fromkeys(data.draw(st.lists(st.sampled_from(optional), max_size=3)))
    row = replace(known, has_detail=False, turns=None, results=None, failure_reason_known=data.draw(st.booleans()))
    row = replace(row, **left_out)
    await store.write.save([row], LATER)
    expected = merged(merged(known, known), row)
    assert await stored(store) == expected
    assert (await store.write.save([row], LATER))["call-1_1"].seen_at == LATER
    await store.close()


@given(read=st.lists(conversations(), max_size=5, unique_by=lambda each: each.conversation_id))
@in_a_loop
async def test_saving_twice_is_saving_once(read: list[Conversation]) -> None:
    store = await Store.open(None, AccountKey("service", "account"), lambda _, __: None)
    await store.write.save(read, NOW)
    once = [await stored(store, each.conversation_id) for each in read]
    pages = await store.read.page(Filters(), "newest", 10)
    assert (await store.write.save(read, NOW)).keys() == {each.conversation_id for each in read}
    assert [await stored(store, each.conversation_id) for each in read] == once
    assert await store.read.page(Filters(), "newest", 10) == pages
    await store.close()


async def test_a_conversation_comes_back_as_it_was_saved(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    assert await stored(store) == DETAIL


async def test_saving_says_what_was_known_before_and_when_it_was_seen(store: Store) -> None:
    rows = [Conversation("call-1_1", started_at=NOW), Conversation("call-2_1")]
    assert await store.write.save(rows[:1], NOW) == {}
    assert await store.write.save(rows, LATER) == {"call-1_1": PreviousRow(started_at=NOW, seen_at=NOW)}


async def test_a_number_without_digits_is_no_longer_found_by_the_old_ones(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    await store.write.save([Conversation("call-1_1", contact_number="anonymous")], LATER)
    assert await store.read.count(Filters(contact_number=("43210",))) == 0
    await store.write.save(
        [Conversation("call-1_1", contact_number="+91 98765 43210"), Conversation("call-2_1")], LATER
    )
    await store.write.save([Conversation("call-1_1")], LATER)
    assert await store.read.count(Filters(contact_number=("43210",))) == 1


async def test_a_later_detail_leaves_nothing_of_the_one_before(store: Store) -> None:
    await store.write.save([DETAIL], NOW)
    await store.write.save([replace(DETAIL, results={"csat": 1}, turns=(Turn(0, "agent", "Hello"),))], LATER)
    assert await store.read.turns("call-1_1", 0, 10) == [Turn(0, "agent", "Hello")]
    assert await store.read.turn_count("call-1_1") == 1
    assert list(await store.aggregates.paths()) == ["csat"]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("count", range(5))
async def test_a_window_gives_those_turns_and_no_others(store: Store, first: int, count: int) -> None:
    other = replace(DETAIL, conversation_id="call-2_1", turns=(Turn(0, "agent", "of another call"),))
    await store.write.save([DETAIL, other], NOW)
    turns = list(DETAIL.turns or ())
    assert await store.read.turns("call-1_1", first, count) == turns[first : first + count]
    assert await store.read.turns("call-3_1", first, count) == []


async def test_no_transcript_and_an_empty_one_are_told_apart(store: Store) -> None:
    await store.write.save([replace(DETAIL, turns=None), replace(DETAIL, conversation_id="call-2_1", turns=())], NOW)
    assert [await store.read.turn_count(each) for each in ("call-1_1", "call-2_1", "call-3_1")] == [None, 0, None]


async def test_deleting_forgets_row_turns_and_values_and_leaves_the_others(store: Store) -> None:
    other = replace(DETAIL, conversation_id="call-2_1", results={"csat": 2})
    await store.write.save([DETAIL, other], NOW)
    await store.write.delete("call-1_1")
    assert await stored(store) is None
    assert await store.read.turns("call-1_1", 0, 10) == []
    assert list(await store.aggregates.paths()) == ["csat"]
    assert await stored(store, "call-2_1") == other
    await store.write.save([Conversation("call-1_1")], LATER)
    assert await stored(store) == Conversation("call-1_1")
    assert await store.read.count(Filters(results=(Condition("intent", "exists"),))) == 0


async def test_what_a_full_pass_did_not_see_is_forgotten_of_that_agent_alone(store: Store) -> None:
    rows = [Conversation("old-7", agent_id="7"), Conversation("old-8", agent_id="8"), Conversation("old-none")]
    await store.write.save([*rows, replace(DETAIL, conversation_id="old-detail")], NOW)
    await store.write.save([Conversation("new-7", agent_id="7")], LATER)
    await store.write.delete_unseen("7", LATER)
    assert await store.read.ids_with_prefix("", 10) == ["new-7", "old-8", "old-none"]
    assert await store.aggregates.paths() == {}
    await store.write.delete_unseen("", LATER)
    assert await store.read.ids_with_prefix("", 10) == ["new-7"]


async def test_a_page_that_cannot_be_saved_whole_is_not_saved_at_all(store: Store) -> None:
    broken = replace(DETAIL, conversation_id="call-2_1", turns=(Turn(0, "agent", "a"), Turn(0, "agent", "same place")))
    with pytest.raises(StoreError):
        await store.write.save([DETAIL, broken], NOW)
    assert await store.read.count(Filters()) == 0
    await store.write.save([DETAIL], NOW)
    assert await stored(store) == DETAIL


async def test_a_transcript_of_ten_thousand_turns_comes_back_in_order(store: Store) -> None:
    turns = tuple(Turn(index, "agent", f"word {index}") for index in range(10_000))
    await store.write.save([replace(DETAIL, turns=turns)], NOW)
    assert await store.read.turn_count("call-1_1") == 10_000
    assert await store.read.turns("call-1_1", 9_998, 50) == [turns[9_998], turns[9_999]]


async def test_a_detail_without_times_does_not_undo_the_outcome_of_its_row(store: Store) -> None:
    await store.write.save([Conversation("call-1_1", status="voicemail_left", outcome="failure", ended_at=NOW)], NOW)
    await store.write.save([Conversation("call-1_1", status="voicemail_left", has_detail=True)], NOW)
    assert (await store.read.get(["call-1_1"]))["call-1_1"].outcome == "failure"
    await store.write.save([Conversation("call-1_1", status="in_progress", ended=False)], NOW)
    assert (await store.read.get(["call-1_1"]))["call-1_1"].outcome is None


async def test_what_a_row_tells_of_the_results_is_kept_until_the_detail_tells_them_all(store: Store) -> None:
    await store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert (await store.read.get(["one"]))["one"].results == {"summary": "They spoke."}
    assert await store.read.needing_refresh(["one"], NOW) == ["one"]
    await store.write.save([Conversation("one", results={"summary": "They agreed.", "a": 1}, has_detail=True)], NOW)
    await store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert (await store.read.get(["one"]))["one"].results == {"summary": "They agreed.", "a": 1}
