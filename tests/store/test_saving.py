"""What is saved stays as it was saved: details survive later list rows, and nothing is left of what is deleted."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.errors import StoreError
from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.writer import PreviousRow
from tests.store.oracle import NOW, conversations

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
def store() -> Store:
    return Store(None, AccountKey("service", "account"), lambda _, __: None)


def stored(store: Store, conversation_id: str = "call-1_1") -> Conversation | None:
    """A conversation as the store has it, turns and all."""
    found = store.read.get([conversation_id]).get(conversation_id)
    if found is None or store.read.turn_count(conversation_id) is None:
        return found
    return replace(found, turns=tuple(store.read.turns(conversation_id, 0, 1000)))


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


@settings(deadline=None)
@given(read=st.lists(conversations(ONE_ID), min_size=1, max_size=4))
def test_what_was_known_is_kept_by_whatever_is_read_later(read: list[Conversation]) -> None:
    store = Store(None, AccountKey("service", "account"), lambda _, __: None)
    known = merged(read[0], read[0])
    for each in read:
        store.write.save([each], NOW)
        known = merged(known, each)
        assert stored(store) == known
    store.close()


@settings(deadline=None)
@given(read=st.lists(conversations(), max_size=5, unique_by=lambda each: each.conversation_id))
def test_saving_twice_is_saving_once(read: list[Conversation]) -> None:
    store = Store(None, AccountKey("service", "account"), lambda _, __: None)
    store.write.save(read, NOW)
    once = [stored(store, each.conversation_id) for each in read]
    pages = store.read.page(Filters(), "newest", 10)
    assert store.write.save(read, NOW).keys() == {each.conversation_id for each in read}
    assert [stored(store, each.conversation_id) for each in read] == once
    assert store.read.page(Filters(), "newest", 10) == pages
    store.close()


def test_a_conversation_comes_back_as_it_was_saved(store: Store) -> None:
    store.write.save([DETAIL], NOW)
    assert stored(store) == DETAIL


def test_saving_says_what_was_known_before_and_when_it_was_seen(store: Store) -> None:
    rows = [Conversation("call-1_1", started_at=NOW), Conversation("call-2_1")]
    assert store.write.save(rows[:1], NOW) == {}
    assert store.write.save(rows, LATER) == {"call-1_1": PreviousRow(started_at=NOW, seen_at=NOW)}


def test_a_number_without_digits_is_no_longer_found_by_the_old_ones(store: Store) -> None:
    store.write.save([DETAIL], NOW)
    store.write.save([Conversation("call-1_1", contact_number="anonymous")], LATER)
    assert store.read.count(Filters(contact_number=("43210",))) == 0
    store.write.save([Conversation("call-1_1", contact_number="+91 98765 43210"), Conversation("call-2_1")], LATER)
    store.write.save([Conversation("call-1_1")], LATER)
    assert store.read.count(Filters(contact_number=("43210",))) == 1


def test_a_later_detail_leaves_nothing_of_the_one_before(store: Store) -> None:
    store.write.save([DETAIL], NOW)
    store.write.save([replace(DETAIL, results={"csat": 1}, turns=(Turn(0, "agent", "Hello"),))], LATER)
    assert store.read.turns("call-1_1", 0, 10) == [Turn(0, "agent", "Hello")]
    assert store.read.turn_count("call-1_1") == 1
    assert list(store.figures.paths()) == ["csat"]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("count", range(5))
def test_a_window_gives_those_turns_and_no_others(store: Store, first: int, count: int) -> None:
    other = replace(DETAIL, conversation_id="call-2_1", turns=(Turn(0, "agent", "of another call"),))
    store.write.save([DETAIL, other], NOW)
    turns = list(DETAIL.turns or ())
    assert store.read.turns("call-1_1", first, count) == turns[first : first + count]
    assert store.read.turns("call-3_1", first, count) == []


def test_no_transcript_and_an_empty_one_are_told_apart(store: Store) -> None:
    store.write.save([replace(DETAIL, turns=None), replace(DETAIL, conversation_id="call-2_1", turns=())], NOW)
    assert [store.read.turn_count(each) for each in ("call-1_1", "call-2_1", "call-3_1")] == [None, 0, None]


def test_deleting_forgets_row_turns_and_values_and_leaves_the_others(store: Store) -> None:
    other = replace(DETAIL, conversation_id="call-2_1", results={"csat": 2})
    store.write.save([DETAIL, other], NOW)
    store.write.delete("call-1_1")
    assert stored(store) is None
    assert store.read.turns("call-1_1", 0, 10) == []
    assert list(store.figures.paths()) == ["csat"]
    assert stored(store, "call-2_1") == other
    store.write.save([Conversation("call-1_1")], LATER)
    assert stored(store) == Conversation("call-1_1")
    assert store.read.count(Filters(results=(Condition("intent", "exists"),))) == 0


def test_what_a_full_pass_did_not_see_is_forgotten_of_that_agent_alone(store: Store) -> None:
    rows = [Conversation("old-7", agent_id="7"), Conversation("old-8", agent_id="8"), Conversation("old-none")]
    store.write.save([*rows, replace(DETAIL, conversation_id="old-detail")], NOW)
    store.write.save([Conversation("new-7", agent_id="7")], LATER)
    store.write.delete_unseen("7", LATER)
    assert store.read.ids_with_prefix("", 10) == ["new-7", "old-8", "old-none"]
    assert store.figures.paths() == {}
    store.write.delete_unseen("", LATER)
    assert store.read.ids_with_prefix("", 10) == ["new-7"]


def test_a_page_that_cannot_be_saved_whole_is_not_saved_at_all(store: Store) -> None:
    broken = replace(DETAIL, conversation_id="call-2_1", turns=(Turn(0, "agent", "a"), Turn(0, "agent", "same place")))
    with pytest.raises(StoreError):
        store.write.save([DETAIL, broken], NOW)
    assert store.read.count(Filters()) == 0
    store.write.save([DETAIL], NOW)
    assert stored(store) == DETAIL


def test_a_transcript_of_ten_thousand_turns_comes_back_in_order(store: Store) -> None:
    turns = tuple(Turn(index, "agent", f"word {index}") for index in range(10_000))
    store.write.save([replace(DETAIL, turns=turns)], NOW)
    assert store.read.turn_count("call-1_1") == 10_000
    assert store.read.turns("call-1_1", 9_998, 50) == [turns[9_998], turns[9_999]]


def test_a_detail_without_times_does_not_undo_the_outcome_of_its_row(store: Store) -> None:
    store.write.save([Conversation("call-1_1", status="voicemail_left", outcome="failure", ended_at=NOW)], NOW)
    store.write.save([Conversation("call-1_1", status="voicemail_left", has_detail=True)], NOW)
    assert store.read.get(["call-1_1"])["call-1_1"].outcome == "failure"
    store.write.save([Conversation("call-1_1", status="in_progress", ended=False)], NOW)
    assert store.read.get(["call-1_1"])["call-1_1"].outcome is None


def test_what_a_row_tells_of_the_results_is_kept_until_the_detail_tells_them_all(store: Store) -> None:
    store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert store.read.get(["one"])["one"].results == {"summary": "They spoke."}
    assert store.read.needing_refresh(["one"], NOW) == ["one"]
    store.write.save([Conversation("one", results={"summary": "They agreed.", "a": 1}, has_detail=True)], NOW)
    store.write.save([Conversation("one", results={"summary": "They spoke."})], NOW)
    assert store.read.get(["one"])["one"].results == {"summary": "They agreed.", "a": 1}
