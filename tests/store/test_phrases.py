"""Phrases as the store has them: what a plain count of the turns says, whatever was saved first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.analysis.phrases import FormCount, Phrase, distinctive, group, names_of, phrase_key, ranked
from formant_mcp.filters import NEWEST, Filters, Role
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store
from formant_mcp.store.phrases import MOST_SHOWN, FoundPhrase, FoundPhrases, PhraseQuestion
from formant_mcp.text_search.tokenizer import indexable
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.store.files import call_saying, open_store, stored
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

ALL = Filters()
WORDS = ("I", "will", "not", "pay", "you", "tomorrow", "कल", "दूँगा", "Rahul", "15,000", "7", "お金", "yes", "…")
ROLES: dict[Role, tuple[str, ...]] = {
    "contact": ("contact",),
    "agent": ("agent",),
    "any": ("contact", "agent", "speaker_2"),
}
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
roles = st.sampled_from(["contact", "contact", "agent", "speaker_2", "tool"])
questions = st.builds(
    PhraseQuestion,
    st.sampled_from([ALL, Filters(agent_id="1")]),
    st.sampled_from(get_args(Role)),
    st.sampled_from([None, ALL, Filters(agent_id="2")]),
)


@st.composite
def calls(draw: st.DrawFn) -> list[Conversation]:
    numbers = draw(st.lists(st.integers(0, 6), unique=True, max_size=6))
    said = [draw(st.lists(st.tuples(roles, texts), max_size=6)) for _ in numbers]
    return [
        Conversation(
            f"call-{number}",
            agent_id=draw(st.sampled_from(["1", "2"])),
            started_at=draw(st.sampled_from([NOW - timedelta(days=number), None])),
            results=draw(st.sampled_from([None, {"customer_name": "Rahul"}])),
            turns=draw(st.sampled_from([None, *[tuple(Turn(n, *turn) for n, turn in enumerate(turns))] * 3])),
            has_detail=draw(st.sampled_from([True, True, True, False])),
        )
        for number, turns in zip(numbers, said, strict=True)
    ]


class Oracle:
    """Counts one role's turns, the newest calls first; of those that started at one time, the last saved."""

    def __init__(self, saved: Iterable[Conversation], role: Role) -> None:
        self.calls = [
            [turn for turn in turns_of(call) if turn.role in ROLES[role] and key(call, turn)] for call in saved
        ]
        self.saved = list(saved)
        self.keys = [[key(call, turn) for turn in turns] for call, turns in zip(self.saved, self.calls, strict=True)]

    @property
    def spoken(self) -> int:
        return sum(map(bool, self.calls))

    def with_any(self, keys: Sequence[int]) -> int:
        return sum(not set(keys).isdisjoint(said) for said in self.keys)


def turns_of(call: Conversation) -> tuple[Turn, ...]:
    return (call.turns or ()) if call.has_detail else ()


def key(call: Conversation, turn: Turn) -> int:
    names = names_of(["Rahul"] if call.results else [])
    return phrase_key(indexable(turn.text), names) or 0


def expected(newest_first: Sequence[Conversation], question: PhraseQuestion) -> FoundPhrases:
    """The answer, counted plainly."""
    selected = [call for call in newest_first if question.filters.agent_id in ("", call.agent_id)]
    elsewhere = question.elsewhere
    others = [
        call
        for call in newest_first
        if elsewhere is not None and elsewhere.agent_id in ("", call.agent_id) and call not in selected
    ]
    here, there = Oracle(selected, question.role), Oracle(others, question.role)
    turns, conversations = Counter[int](), Counter[int]()
    first = dict[int, tuple[Conversation, Turn]]()
    for call, said, keys in zip(here.saved, here.calls, here.keys, strict=True):
        turns.update(keys)
        conversations.update(set(keys))
        for turn, its_key in zip(said, keys, strict=True):
            first.setdefault(its_key, (call, turn))
    names = names_of({"Rahul" for call, _ in first.values() if call.results})
    forms = [FormCount(form, turns[form], conversations[form], first[form][1].text) for form in sorted(turns)]
    phrases = group(sorted(forms, key=lambda form: (-form.conversations, -form.turns)), names)
    for phrase in phrases:
        phrase.conversations, phrase.elsewhere = here.with_any(phrase.keys), there.with_any(phrase.keys)
    phrases.sort(key=lambda phrase: (-phrase.conversations, -phrase.turns))
    if question.is_distinctive:
        spoken, spoken_elsewhere = (sum(map(bool, side.keys)) for side in (here, there))
        phrases = distinctive(phrases, spoken, spoken_elsewhere)
    shown = phrases if question.is_distinctive else ranked(phrases, MOST_SHOWN)

    def found(phrase: Phrase) -> FoundPhrase:
        call, turn = first[phrase.keys[0]]
        return FoundPhrase(
            phrase.text, phrase.turns, phrase.conversations, phrase.elsewhere, call.conversation_id, turn.index
        )

    return FoundPhrases(
        tuple(map(found, shown)), here.spoken, there.spoken, turns.total(), len(turns), len(turns), not_counted=0
    )


async def newest_first(store: Store, saved: Iterable[Conversation]) -> list[Conversation]:
    """The saved calls in the order of the store."""
    order = [call.conversation_id for _, call in await store.read.page(ALL, NEWEST, 100)]
    return sorted(saved, key=lambda call: order.index(call.conversation_id))


def last_of(*batches: list[Conversation]) -> list[Conversation]:
    """The calls as they are after these batches were saved: a row without details keeps those saved before."""
    now = dict[str, Conversation]()
    for call in (call for batch in batches for call in batch):
        before = now.get(call.conversation_id)
        if before and not call.has_detail:
            call = before._replace(agent_id=call.agent_id, started_at=call.started_at or before.started_at)
        elif before:
            call = call._replace(started_at=call.started_at or before.started_at)
        now[call.conversation_id] = call
    return list(now.values())


@given(calls(), calls(), st.lists(questions, min_size=1, max_size=4))
@settings(max_examples=examples(2))
@in_a_loop
async def test_phrases_are_those_of_a_plain_count_of_what_was_saved_last(
    first: list[Conversation], second: list[Conversation], asked: list[PhraseQuestion]
) -> None:
    store = await open_store(None)
    saved = list[Conversation]()
    for batch in (first, second):
        await store.write.save(batch, NOW)
        saved = last_of(saved, batch)
        order = await newest_first(store, saved)
        for question in asked:
            assert await store.phrases.find(question) == expected(order, question)
    gone = [call.conversation_id for call in saved[::2]]
    await store.write.delete(*gone)
    order = await newest_first(store, [call for call in saved if call.conversation_id not in gone])
    for question in asked:
        assert await store.phrases.find(question) == expected(order, question)
    await store.close()


@given(calls(), st.lists(questions, min_size=1, max_size=3))
@settings(max_examples=examples(1))
@in_a_loop
async def test_a_reader_of_some_agents_gets_the_phrases_of_an_account_without_others(
    saved: list[Conversation], asked: list[PhraseQuestion]
) -> None:
    store, own = await open_store(None), await open_store(None, key="own")
    await store.write.save(saved, NOW)
    await own.write.save([call for call in saved if call.agent_id == "1"], NOW)
    for question in asked:
        await store.phrases.find(question)  # what is remembered of it must not be shown
        assert await store.limited_to(frozenset("1")).phrases.find(question) == await own.phrases.find(question)
    await store.close()
    await own.close()


@given(calls(), questions)
@settings(max_examples=examples(1))
@in_a_loop
async def test_calls_of_an_earlier_versions_store_are_counted_once_they_are_measured(
    saved: list[Conversation], question: PhraseQuestion
) -> None:
    store = await open_store(None)
    await store.write.save(saved, NOW)
    answer = await store.phrases.find(question)
    await store.database.write(lambda connection: connection.delete("phrases", "row_id > 0", [()]))
    await store.database.write(lambda connection: connection.update("signals", "is_due = 1", "true", [()]))
    assert await store.signals.count_due(ALL) == sum(call.has_detail for call in saved)
    await store.signals.make_due()
    while await store.signals.measure_due():
        pass
    assert await store.signals.count_due(ALL) == 0
    assert await store.phrases.find(question) == answer
    await store.close()


async def test_what_few_calls_say_more_than_the_others_is_found() -> None:
    late_fee = [call_saying(n, "Why is there a late fee?", "ok") for n in range(40)]
    others = [call_saying(n, "I have paid already", "ok") for n in range(40, 200)]
    store = await stored(*(call._replace(agent_id="1") for call in late_fee), *others)
    answer = await store.phrases.find(PhraseQuestion(Filters(agent_id="1"), "contact", ALL, is_distinctive=True))
    (phrase,) = answer.phrases
    assert phrase == FoundPhrase("Why is there a late fee?", 40, 40, 0, "call-39", 0)
    assert (answer.spoken, answer.spoken_elsewhere) == (40, 160)


async def test_an_answer_is_remembered_until_something_of_it_changes() -> None:
    store = await stored(call_saying(1, "hello there"), call_saying(2, "good day"))
    question = PhraseQuestion(ALL, "contact")
    first = await store.phrases.find(question)
    assert await store.phrases.find(question) is first
    await store.write.save([call_saying(2, "Good day!")], NOW)  # the same form in other words
    assert {phrase.text for phrase in (await store.phrases.find(question)).phrases} == {"hello there", "Good day!"}
    await store.write.delete("call-1")
    assert [phrase.text for phrase in (await store.phrases.find(question)).phrases] == ["Good day!"]


async def test_more_transcripts_than_can_be_counted_leave_out_the_oldest() -> None:
    store = await stored(*(call_saying(n, text) for n, text in enumerate(("red", "green", "blue", "black", "white"))))
    answer = await store.phrases.find(PhraseQuestion(ALL, "contact", most=2))
    assert {phrase.conversation_id for phrase in answer.phrases} == {"call-3", "call-4"}
    assert answer.not_counted == 3
