"""Signals as the store has them: what `measure` says of each call, whatever is saved first, and however filtered."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.analysis.phrase_lists import Phrase, PhraseLists
from formant_mcp.analysis.signals import NOT_SAID, SAID, SIGNALS, Value, measure
from formant_mcp.filters import NEWEST, NONE, Condition, Filters, Operator
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.aggregates import Grouping
from formant_mcp.store.signals import OF_DETAILS, OF_RECORDINGS
from tests.analysis.test_signals import transcripts
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

LISTED = PhraseLists.load()
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
EQUALITY: tuple[Operator, ...] = ("=", "!=", "exists", "missing")
OWN_LISTS = PhraseLists([*LISTED.phrases, Phrase("opt_out", "en", ("your", "balance"))])


async def open_store(where: Path | None = None, lists: PhraseLists | None = None) -> Store:
    return await Store.open(where, AccountKey("service", "account"), lambda conversation, read_at: None, lists)


@pytest.fixture
async def store() -> AsyncGenerator[Store]:
    store = await open_store()
    yield store
    await store.close()


@st.composite
def calls(draw: st.DrawFn) -> list[Conversation]:
    return [
        Conversation(
            f"call-{number}",
            ended=draw(st.sampled_from((True, True, False))),
            duration_seconds=draw(st.sampled_from((None, 60.0))),
            turns=draw(st.none() | transcripts()),
            tool_errors=draw(st.sampled_from((None, 0, 2))),
            has_detail=draw(st.sampled_from((True, True, False))),
            unreadable=Unreadable(turns=draw(st.sampled_from((0, 0, 1))), speakers=draw(st.sampled_from((0, 0, 1)))),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


def expected(calls: list[Conversation]) -> dict[str, dict[str, Value]]:
    return {call.conversation_id: public(measure(call, LISTED)) for call in calls if call.has_detail}


def public(measured: dict[str, Value]) -> dict[str, Value]:
    """Without what is measured for reviews alone."""
    return {name: value for name, value in measured.items() if name in SIGNALS}


@given(calls(), calls())
@settings(max_examples=examples(2))
@in_a_loop
async def test_the_store_has_what_is_measured_of_the_details_saved_last(
    first: list[Conversation], second: list[Conversation]
) -> None:
    store = await open_store()
    await store.write.save(first, NOW)
    await store.write.save(second, NOW)
    names = [f"call-{number}" for number in range(4)]
    assert await store.signals.of(names) == expected(first) | expected(second)
    await store.write.delete(*names)
    await store.write.save(first[:1], NOW)
    assert await store.signals.of(names) == expected(first[:1])
    await store.close()


@given(calls())
@settings(max_examples=examples(1))
@in_a_loop
async def test_stored_transcripts_give_all_signals_but_those_of_times_and_tools(saved: list[Conversation]) -> None:
    store = await open_store()
    await store.write.save(saved, NOW)
    await store.database.write(lambda connection: connection.delete("signals", "row_id > 0", [()]))
    assert not await store.signals.make_due()
    details = [call for call in saved if call.has_detail]
    assert await store.signals.count_due(Filters()) == len(details)
    assert await store.signals.measure_due() == len(details)
    assert await store.signals.measure_due() == await store.signals.count_due(Filters()) == 0
    # Without ends, flags and results of tools, which are not stored.
    stored = [
        call._replace(
            tool_errors=None,
            turns=call.turns and tuple(replace(turn, end_seconds=None, interrupted=None) for turn in call.turns),
        )
        for call in details
    ]
    of_words = {
        call.conversation_id: {
            name: value
            for name, value in public(measure(call, LISTED)).items()
            if SIGNALS[name].needs in ("transcript", "speakers")
        }
        for call in stored
    }
    assert await store.signals.of([call.conversation_id for call in saved]) == of_words
    await store.close()


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from([name for name in OF_DETAILS if name in SIGNALS]))
    kind = SIGNALS[name].kind
    operators: tuple[Operator, ...] = EQUALITY if kind in ("flag", "text") else get_args(Operator)
    operator = draw(st.sampled_from(operators))
    values = {"flag": ("true", "false"), "text": ("agent", "contact")}.get(kind, ("0", "1", "2.0", "0.5"))
    if kind == "turn" and operator == "=":
        values = (*values, SAID, NOT_SAID)
    return Condition(
        name, operator, draw(st.sampled_from((*values, NONE) if operator in ("=", "!=") else values)), is_signal=True
    )


def matches(measured: Mapping[str, Value], condition: Condition) -> bool:
    value = measured.get(condition.path)
    if SIGNALS[condition.path].kind == "turn" and condition.value in (SAID, NOT_SAID, NONE):
        label = SAID if value is not None else NOT_SAID if "agent_turns" in measured else NONE
        return (label == condition.value) == (condition.operator == "=")
    if condition.operator in ("exists", "missing") or condition.value == NONE:
        return (value is None) == (condition.operator in ("missing", "="))
    wanted: Value = condition.value
    if SIGNALS[condition.path].kind == "flag":
        wanted = condition.value == "true"
    elif SIGNALS[condition.path].kind != "text":
        wanted = float(condition.value)
    return value is not None and bool(OPERATORS[condition.operator](value, wanted))


@given(calls(), st.lists(conditions(), min_size=1, max_size=2))
@settings(max_examples=examples(2))
@in_a_loop
async def test_conditions_on_signals_match_as_plainly_compared(
    saved: list[Conversation], wanted: list[Condition]
) -> None:
    store = await open_store()
    await store.write.save(saved, NOW)
    rows = await store.read.page(Filters(results=tuple(wanted)), NEWEST, 10)
    matching = {name for name, values in expected(saved).items() if all(matches(values, one) for one in wanted)}
    assert {conversation.conversation_id for _, conversation in rows} == matching
    await store.close()


@pytest.mark.file_store
async def test_other_phrases_measure_all_stored_calls_again_once_and_keep_what_times_say(tmp_path: Path) -> None:
    turns = (
        Turn(0, "contact", "hello hello who is this", 0.0, 1.0),
        Turn(1, "agent", "Your balance is due", 3.0, 4.0),
        Turn(2, "contact", "your balance again", 5.0, 6.0),
    )
    path = tmp_path / "store.sqlite"
    store = await open_store(path)
    await store.write.save([Conversation("a", turns=turns, duration_seconds=9.0, has_detail=True)], NOW)
    assert not await store.signals.make_due()
    await store.signals.measure_due()
    before = (await store.signals.of(["a"]))["a"]
    assert "opt_out" not in before
    await store.close()
    store = await open_store(path, OWN_LISTS)
    assert not await store.signals.make_due()
    assert await store.signals.measure_due() == 1
    assert not await store.signals.make_due()
    assert await store.signals.measure_due() == 0
    assert before["reply_seconds_max"] == 2.0
    assert (await store.signals.of(["a"]))["a"] == before | {"opt_out": 2}


async def test_what_a_recording_says_stays_when_the_details_are_saved_again(store: Store) -> None:
    call = Conversation("a", turns=(Turn(0, "agent", "hello"),), has_detail=True)
    values = dict.fromkeys(OF_RECORDINGS, 0.5)
    await store.signals.save_of_recording("a", values)
    assert await store.signals.of(["a"]) == {}
    await store.write.save([call], NOW)
    await store.signals.save_of_recording("a", values)
    await store.write.save([call._replace(turns=(*(call.turns or ()), Turn(1, "contact", "hi")))], NOW)
    assert (await store.signals.of(["a"]))["a"].items() >= {"turn_count": 2, **values}.items()


async def test_a_phrase_is_not_counted_as_unsaid_where_a_speaker_is_unknown(store: Store) -> None:
    said = (Turn(0, "speaker 7", "stop calling me"), Turn(1, "contact", "wrong number"))
    await store.write.save([Conversation("a", turns=said, has_detail=True, unreadable=Unreadable(speakers=1))], NOW)
    names = ["opt_out", "wrong_person", "turn_count"]
    assert await store.signals.count_measured(Filters(), names) == {"opt_out": 0, "wrong_person": 1, "turn_count": 1}
    stats = {signal.name: (signal.measured, signal.calls) for signal in await store.signals.stats(Filters())}
    assert ("opt_out" in stats, stats["wrong_person"]) == (False, (1, 1))
    counts = await store.values.count(Filters(), Grouping((), "UTC"), ["opt_out", "wrong_person"], NOW)
    assert [counts.of(f"signals.{name}").total for name in ("opt_out", "wrong_person")] == [0, 0]


async def test_a_signal_is_counted_where_it_is_measured_and_a_phrase_where_it_was_searched_for(store: Store) -> None:
    turns = (Turn(0, "agent", "hello"), Turn(1, "contact", "wrong number"))
    await store.write.save(
        [
            Conversation("a", turns=turns, has_detail=True),
            Conversation("b", turns=turns[:1], has_detail=True, started_at=datetime(2026, 11, 2, tzinfo=UTC)),
            Conversation("c", has_detail=True),
        ],
        NOW,
    )
    count = store.signals.count_measured
    names = ["wrong_person", "agent_turns", "interruptions"]
    assert await count(Filters(), names) == {"wrong_person": 2, "agent_turns": 2, "interruptions": 0}
    assert await count(Filters(since=datetime(2026, 11, 1, tzinfo=UTC)), names[:1]) == {"wrong_person": 1}
    with pytest.raises(ValueError, match="row_id"):
        await count(Filters(), ["row_id"])
