"""Signals against plain oracles, on calls with times, without them, and with half of them."""

from dataclasses import replace
from itertools import pairwise, takewhile
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.analysis.phrase_lists import LISTS, PhraseLists
from formant_mcp.analysis.signals import MEASURED, PHRASE_SIGNALS, SIGNALS, Value, measure, turns_to_hear
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.text_search.tokenizer import words_in
from tests.examples import examples

LISTED = PhraseLists.load()
OF_RECORDINGS = {"recording_gap_seconds", "recording_silence_share"}
OF_SPEAKERS = {name for name, signal in SIGNALS.items() if signal.needs in ("speakers", "ends", "ends or flags")}
OF_ENDS = {name for name, signal in MEASURED.items() if signal.needs == "ends"}
OF_FLAGS = {name for name, signal in MEASURED.items() if signal.needs == "ends or flags"}

TEXTS = (
    "", "Hello", "ok", "May I confirm your name", "Sorry, may I confirm YOUR name?", "Your balance is 5,000 rupees now",
    "Your balance is 70 rupees", "What is the late fee", "who is this?", "ji, kitna dena hai", "हाँ कब तक का समय है",
    "मेरा समय नहीं है आज", "are you a robot", "I want to talk to a human", "Please leave a message after the tone",
    "wrong number", "stop calling me", "tum sab chutiye ho", "I won't pay",
)  # fmt: skip
ROLES = ("agent", "contact", "agent", "contact", "tool", "operator")
TIMES = st.sampled_from(("none", "starts", "half", "all"))
FLAGS = st.sampled_from((st.none(), st.booleans(), st.sampled_from((True, None)), st.sampled_from((True, False, None))))


@st.composite
def transcripts(draw: st.DrawFn, times: str | None = None, flags: bool | None = None) -> tuple[Turn, ...]:
    """Turns that may overlap, with all their times, half of them, starts alone, or none; so with flags."""
    which = times or draw(TIMES)
    flag = draw(FLAGS) if flags is None else st.none()
    turns: list[Turn] = []
    clock = 0.0
    for index in range(draw(st.integers(0, 14))):
        start = max(0.0, clock + draw(st.integers(-3, 8)) / 2)
        end = start + draw(st.integers(0, 10)) / 2
        clock = max(clock, end)
        has = {"none": (False, False), "starts": (True, False), "all": (True, True)}.get(which)
        has_start, has_end = has or (draw(st.booleans()), draw(st.booleans()))
        turns.append(
            Turn(
                index,
                draw(st.sampled_from(ROLES)),
                draw(st.sampled_from(TEXTS)),
                start if has_start else None,
                end if has_end else None,
                draw(flag),
            )
        )
    return tuple(turns)


def call(turns: tuple[Turn, ...] | None) -> Conversation:
    return Conversation("c", outcome="success", duration_seconds=60.0, turns=turns)


def spoken(turns: tuple[Turn, ...]) -> list[Turn]:
    return [turn for turn in turns if turn.text and turn.role != "tool"]


def of(role: str, turns: tuple[Turn, ...]) -> list[Turn]:
    return [turn for turn in spoken(turns) if turn.role == role]


def words(text: str) -> list[str]:
    return [word.folded for word in words_in(text)]


def sentence(turn: Turn) -> str:
    return " ".join(word for word in words(turn.text) if word not in LISTED.fillers and not word.isdigit())


def repeats(turns: list[Turn]) -> list[bool]:
    said = [sentence(turn) for turn in turns]
    return [len(one.split()) >= 3 and one in said[:place] for place, one in enumerate(said)]


def is_question(turn: Turn) -> bool:
    said = words(turn.text)
    rest = said[len(list(takewhile(LISTED.fillers.__contains__, said))) :]
    starts = [phrase.words for phrase in LISTED.phrases if phrase.list_name == "question_starts"]
    begins = any(tuple(part[: len(start)]) == start for part in (said, rest) for start in starts)
    return bool(sentence(turn)) and ("?" in turn.text or begins)


def unanswered(turns: tuple[Turn, ...]) -> list[int]:
    agent = of("agent", turns)
    again = dict(zip((turn.index for turn in agent), repeats(agent), strict=True))
    after = {
        question.index: [turn.index for turn in agent if turn.index > question.index]
        for question in filter(is_question, of("contact", turns))
    }
    return [index for index, later in after.items() if not later or again[later[0]]]


def longest_run(turns: list[Turn]) -> int:
    said = [sentence(turn) for turn in turns]
    runs = [
        end - begin
        for begin in range(len(said))
        for end in range(begin + 1, len(said) + 1)
        if len(said[begin].split()) >= 3 and len(set(said[begin:end])) == 1
    ]
    return max(runs, default=0)


def replies(turns: tuple[Turn, ...]) -> list[tuple[float | None, float | None, int]]:
    sides = [turn for turn in spoken(turns) if turn.role in ("agent", "contact")]
    return [
        (before.end_seconds, after.seconds, after.index)
        for before, after in pairwise(sides)
        if (before.role, after.role) == ("contact", "agent")
    ]


def silent_moments(turns: list[Turn]) -> float:
    """The longest silence, counted in steps of a quarter second: all times of these calls are halves."""
    starts, ends = [int(4 * (t.seconds or 0)) for t in turns], [int(4 * (t.end_seconds or 0)) for t in turns]
    longest = current = 0
    for step in range(min(starts), max(starts)):
        is_silent = not any(start <= step < end for start, end in zip(starts, ends, strict=True))
        is_broken = step in starts  # by a turn that takes no time
        current = (0 if is_broken else current) + 1 if is_silent else 0
        longest = max(longest, current)
    return longest / 4


def first(name: str, turns: list[Turn]) -> int | None:
    phrases = [phrase.words for phrase in LISTED.phrases if phrase.list_name == name]
    for turn in turns:
        said = words(turn.text)
        for phrase in phrases:
            for start in range(len(said) - len(phrase) + 1):
                if all(
                    want == "*" or have in want.split("|") for want, have in zip(phrase, said[start:], strict=False)
                ):
                    return turn.index
    return None


@given(transcripts())
def test_words_and_turns_are_counted_as_a_plain_count_does(turns: tuple[Turn, ...]) -> None:
    measured = measure(call(turns), LISTED)
    agent, contact = of("agent", turns), of("contact", turns)
    total = sum(len(words(turn.text)) for turn in spoken(turns))
    expected: dict[str, Value] = {
        "turn_count": len(turns),
        "agent_turns": len(agent),
        "contact_turns": len(contact),
        "longest_agent_turn_words": max((len(words(turn.text)) for turn in agent), default=0),
        "agent_repeats": sum(repeats(agent)),
        "contact_repeats": sum(repeats(contact)),
        "longest_repeat_run": longest_run(agent),
        "unanswered_questions": len(unanswered(turns)),
        "early_end": len(contact) < 2,
    }
    if total:
        expected["agent_word_share"] = round(sum(len(words(turn.text)) for turn in agent) / total, 4)
        role = spoken(turns)[-1].role
        expected["ended_by"] = role if role in ("agent", "contact") else "other"

    timed = OF_ENDS | OF_FLAGS | PHRASE_SIGNALS
    assert {name: value for name, value in measured.items() if name not in timed} == expected


@given(transcripts())
def test_the_turn_to_hear_is_the_first_that_counts(turns: tuple[Turn, ...]) -> None:
    agent, contact = of("agent", turns), of("contact", turns)
    longest = max(agent, key=lambda turn: len(words(turn.text)), default=None)
    counted = {
        "agent_repeats": [turn.index for turn, again in zip(agent, repeats(agent), strict=True) if again],
        "contact_repeats": [turn.index for turn, again in zip(contact, repeats(contact), strict=True) if again],
        "unanswered_questions": unanswered(turns),
        "longest_agent_turn_words": [longest.index] if longest and words(longest.text) else [],
    }
    assert turns_to_hear(turns, LISTED) == {name: indexes[0] for name, indexes in counted.items() if indexes}


@given(transcripts())
def test_the_first_turn_with_a_phrase_is_of_the_side_that_may_say_it(turns: tuple[Turn, ...]) -> None:
    measured = measure(call(turns), LISTED)
    for name in PHRASE_SIGNALS:
        said_by = of("contact", turns)
        if name == "voicemail":
            before = list(takewhile(lambda turn: turn.role != "contact", spoken(turns)))
            said_by = [turn for turn in spoken(turns) if turn.role != "agent" or turn in before]
        assert measured.get(name) == first(name, said_by)


@settings(max_examples=examples(6))
@given(transcripts())
def test_a_reply_is_timed_only_if_all_ends_and_starts_are_there(turns: tuple[Turn, ...]) -> None:
    measured = measure(call(turns), LISTED)
    timed = [(max(0.0, start - end), n) for end, start, n in replies(turns) if end is not None and start is not None]
    waits = [wait for wait, _ in timed]
    is_whole = waits and len(waits) == len(replies(turns))

    assert measured.get("reply_seconds_median") == (median(waits) if is_whole else None)
    assert measured.get("reply_seconds_max") == (max(waits) if is_whole else None)
    assert measured.get("reply_turn") == (next(n for wait, n in timed if wait == max(waits)) if is_whole else None)


@settings(max_examples=examples(6))
@given(transcripts())
def test_a_gap_is_measured_only_if_all_turns_have_start_and_end(turns: tuple[Turn, ...]) -> None:
    said = spoken(turns)
    is_whole = len(said) > 1 and all(None not in (turn.seconds, turn.end_seconds) for turn in said)

    measured = measure(call(turns), LISTED)
    longest = silent_moments(said) if is_whole else None
    assert measured.get("longest_gap_seconds") == longest
    assert ("gap_turn" in measured) == is_whole
    if longest:
        after = turns[int(measured["gap_turn"])]
        ends = [turn.end_seconds or 0 for turn in said if (turn.seconds or 0) < (after.seconds or 0)]
        assert (after.seconds or 0) - max(ends) == longest


@settings(max_examples=examples(6))
@given(transcripts())
def test_interruptions_are_the_flags_or_contacts_who_begin_within_an_agents_turn(turns: tuple[Turn, ...]) -> None:
    agent, contact = of("agent", turns), of("contact", turns)
    flags = {turn.interrupted for turn in agent}
    sends_no = any(turn.interrupted is False for turn in spoken(turns))
    expected: list[int] | None = None
    if (flags <= {True, False} or (True in flags and not sends_no)) and agent:
        expected = [turn.index for turn in agent if turn.interrupted]
    elif (
        agent
        and not any(None in (t.seconds, t.end_seconds) for t in agent)
        and all(t.seconds is not None for t in contact)
    ):
        expected = [
            turn.index
            for turn in agent
            if any((turn.seconds or 0) < (other.seconds or 0) < (turn.end_seconds or 0) for other in contact)
        ]

    measured = measure(call(turns), LISTED)
    assert measured.get("interruptions") == (None if expected is None else len(expected))
    assert measured.get("interrupted_turn") == (expected[0] if expected else None)


@given(transcripts(times="starts", flags=False))
def test_starts_alone_give_no_wait(turns: tuple[Turn, ...]) -> None:
    assert measure(call(turns), LISTED).keys().isdisjoint(OF_ENDS | OF_FLAGS)


@given(transcripts(), st.randoms())
def test_sums_and_gaps_do_not_depend_on_the_order_of_the_turns(turns: tuple[Turn, ...], random: object) -> None:
    mixed = list(turns)
    getattr(random, "shuffle")(mixed)  # noqa: B009 - Hypothesis does not type it
    one, other = (measure(call(order), LISTED) for order in (turns, tuple(mixed)))
    same = ("turn_count", "agent_turns", "contact_turns", "agent_word_share", "longest_agent_turn_words",
            "agent_repeats", "contact_repeats", "longest_gap_seconds", "interruptions", "early_end")  # fmt: skip

    assert [one.get(name) for name in same] == [other.get(name) for name in same]


@given(transcripts(), st.sampled_from((Unreadable(turns=1), Unreadable(speakers=1))))
def test_where_a_turn_or_its_speaker_is_unreadable_no_side_is_measured(
    turns: tuple[Turn, ...], unreadable: Unreadable
) -> None:
    measured = measure(call(turns)._replace(unreadable=unreadable), LISTED)

    assert measured.keys().isdisjoint(OF_SPEAKERS - PHRASE_SIGNALS)
    assert measured["turn_count"] == len(turns)


@given(transcripts())
def test_every_signal_is_in_the_table_with_its_kind(turns: tuple[Turn, ...]) -> None:
    kinds = {"count": int, "number": (int, float), "flag": bool, "text": str, "turn": int}
    measured = measure(call(turns)._replace(tool_errors=1), LISTED)

    assert measured.keys() <= MEASURED.keys() - OF_RECORDINGS
    assert all(isinstance(value, kinds[MEASURED[name].kind]) for name, value in measured.items())


TALK = (Turn(0, "agent", "Hello, may I confirm your name", 0.0, 2.0), Turn(1, "contact", "Yes", 3.0, 4.0))


@pytest.mark.parametrize(
    ("conversation", "measured"),
    [
        (call(TALK)._replace(ended=False, tool_errors=2), set[str]()),
        (call(None), set[str]()),
        (call(None)._replace(tool_errors=2), {"tool_errors"}),
        (Conversation("c", turns=()), set[str]()),
        (Conversation("c", outcome="failure", turns=()), set[str]()),
    ],
)
def test_a_call_that_runs_or_has_no_transcript_is_not_measured(conversation: Conversation, measured: set[str]) -> None:
    assert measure(conversation, LISTED).keys() == measured


def test_a_call_with_nothing_to_find_has_counts_of_nothing_and_no_phrases() -> None:
    assert measure(call(TALK)._replace(tool_errors=0), LISTED) == {
        "tool_errors": 0,
        "turn_count": 2,
        "agent_turns": 1,
        "contact_turns": 1,
        "agent_word_share": 0.8571,
        "longest_agent_turn_words": 6,
        "agent_repeats": 0,
        "longest_repeat_run": 1,
        "contact_repeats": 0,
        "unanswered_questions": 0,
        "early_end": True,
        "ended_by": "contact",
        "longest_gap_seconds": 1.0,
        "gap_turn": 1,
        "interruptions": 0,
    }


def test_the_table_has_every_phrase_list_and_one_line_for_each_signal() -> None:
    assert set(LISTS) - {"question_starts", "fillers"} == PHRASE_SIGNALS
    assert all(signal.definition and "\n" not in signal.definition for signal in MEASURED.values())


def timed(*spans: tuple[str, float | None, float | None]) -> tuple[Turn, ...]:
    return tuple(Turn(index, role, "Hello", start, end) for index, (role, start, end) in enumerate(spans))


def flagged(*flags: bool | None) -> tuple[Turn, ...]:
    return tuple(Turn(index, "agent", "Hello", interrupted=flag) for index, flag in enumerate(flags))


def with_first_flag(turns: tuple[Turn, ...], flag: bool) -> tuple[Turn, ...]:
    return (replace(turns[0], interrupted=flag), *turns[1:])


@pytest.mark.parametrize(
    ("turns", "signal", "value"),
    [
        (timed(("contact", 0, 2), ("agent", 5, 6)), "reply_seconds_max", 3.0),
        (timed(("contact", 0, 2), ("agent", 1, 6)), "reply_seconds_max", 0.0),
        (timed(("contact", 0, 1), ("contact", 2, 3), ("agent", 5, 6)), "reply_seconds_max", 2.0),
        (timed(("contact", 0, 2), ("agent", 5, None)), "reply_seconds_max", 3.0),
        (timed(("contact", 0, 2), ("agent", 5, 6), ("contact", 7, None), ("agent", 9, 10)), "reply_seconds_max", None),
        (timed(("contact", 0, 2), ("agent", 5, 6), ("contact", 7, 8), ("agent", None, 9)), "reply_seconds_max", None),
        (timed(("agent", 0, 2), ("contact", 3, 4)), "reply_seconds_max", None),
        (timed(("agent", 0, 10), ("contact", 2, 3), ("agent", 11, 12)), "longest_gap_seconds", 1.0),
        (timed(("agent", 0, 4), ("contact", 3, 5)), "longest_gap_seconds", 0.0),
        (timed(("agent", 0, 4)), "longest_gap_seconds", None),
        (timed(("agent", 0, 4), ("contact", 3, 5), ("operator", 9, None)), "longest_gap_seconds", None),
        (timed(("agent", 0, 4), ("contact", 3, 5)), "interruptions", 1),
        (timed(("agent", 0, 4), ("contact", 1, 2), ("contact", 3, 5)), "interruptions", 1),
        (timed(("agent", 0, 4), ("contact", 4, 5)), "interruptions", 0),
        (timed(("agent", 0, 4), ("contact", 0, 5)), "interruptions", 0),
        (timed(("agent", 0, 4), ("contact", 3, 5), ("contact", None, 6)), "interruptions", None),
        (timed(("agent", 0, 4), ("contact", 3, 5), ("agent", 6, None)), "interruptions", None),
        (timed(("contact", 3, 5)), "interruptions", None),
        (flagged(False, None, None), "interruptions", None),
        (flagged(True, False, None), "interruptions", None),
        (flagged(True, False, False), "interruptions", 1),
        (flagged(True, None, None), "interruptions", 1),
        (flagged(None, None, None), "interruptions", None),
        (with_first_flag(timed(("agent", 0, 4), ("contact", 3, 5), ("agent", 6, 8)), False), "interruptions", 1),
    ],
)
def test_times_are_compared_as_the_table_says(turns: tuple[Turn, ...], signal: str, value: Value | None) -> None:
    assert measure(call(turns), LISTED).get(signal) == value
