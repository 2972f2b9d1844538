"""Signals find what is planted in generated calls, and hardly anything else."""

import pytest

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import PHRASE_SIGNALS, measure
from formant_mcp.text_search.tokenizer import folded_words
from tests.analysis.planted import DISTRACTORS, NEGATED, PLANTED, PlantedCall, calls

COUNT = 600
OTHERS = (
    "agent_repeats", "contact_repeats", "unanswered_questions", "longest_repeat_run", "interruptions",
    "reply_seconds_max", "ended_by", "early_end",
)  # fmt: skip


@pytest.fixture(scope="module")
def planted() -> list[PlantedCall]:
    return list(calls(seed=7, count=COUNT))


@pytest.fixture(scope="module")
def lists() -> PhraseLists:
    return PhraseLists.load()


@pytest.mark.parametrize("signal", sorted(PHRASE_SIGNALS))
def test_phrases_are_found_at_their_turn(planted: list[PlantedCall], lists: PhraseLists, signal: str) -> None:
    expected = [call.signals.get(signal) for call in planted]
    measured = [measure(call.conversation, lists).get(signal) for call in planted]
    right = sum(place is not None and place == wanted for place, wanted in zip(measured, expected, strict=True))

    assert right >= 0.95 * sum(place is not None for place in expected)
    assert right >= 0.95 * sum(place is not None for place in measured)
    assert right > COUNT / 20


@pytest.mark.parametrize("signal", OTHERS)
def test_counts_and_times_are_as_planted(planted: list[PlantedCall], lists: PhraseLists, signal: str) -> None:
    expected = [call.signals[signal] for call in planted]
    measured = [measure(call.conversation, lists)[signal] for call in planted]

    assert (
        sum(
            value == pytest.approx(wanted, abs=0.021) if isinstance(wanted, float) else value == wanted
            for value, wanted in zip(measured, expected, strict=True)
        )
        >= 0.95 * COUNT
    )
    assert signal == "early_end" or len(set(expected)) > 1 or signal == "ended_by"


@pytest.mark.parametrize("line", [line for lines in DISTRACTORS.values() for line in lines])
def test_a_harmless_line_has_no_phrase(lists: PhraseLists, line: str) -> None:
    assert {name for name, _ in lists.find(folded_words(line))} & PHRASE_SIGNALS == set()


@pytest.mark.parametrize(
    ("signal", "line"),
    [(signal, line) for signal, by_language in PLANTED.items() for lines in by_language.values() for line in lines],
)
def test_a_planted_line_has_its_phrase_alone(lists: PhraseLists, signal: str, line: str) -> None:
    assert {name for name, _ in lists.find(folded_words(line))} & PHRASE_SIGNALS == {signal}


@pytest.mark.parametrize(
    ("signal", "line"),
    [(signal, line) for signal, by_language in NEGATED.items() for lines in by_language.values() for line in lines],
)
def test_a_negated_phrase_does_not_count(lists: PhraseLists, signal: str, line: str) -> None:
    assert {name for name, _ in lists.find(folded_words(line))} & PHRASE_SIGNALS == set()


@pytest.mark.parametrize(
    ("signal", "line"),
    [
        ("asked_for_human", "No, I don't want this, I want to talk to a human."),
        ("asked_for_human", "If I don't speak to a manager I will complain."),
        ("asked_for_human", "Insaan se baat nahi ho rahi, kisi insaan se connect karo."),
        ("asked_for_human", "मुझे रोबोट नहीं, इंसान से बात करनी है।"),
        ("asked_if_robot", "I don't know, are you a robot?"),
        ("voicemail", "I am not available to take your call, please leave a message."),
        ("wrong_person", "No, this is a wrong number."),
        ("wrong_person", "Nahi, galat number hai."),
        ("abusive_words", "You are not listening, you idiot."),
        ("opt_out", "No, don't call me at all."),
        ("opt_out", "Kal bhi bola tha, call mat karo."),
        ("refusal", "I will not pay, not today and not tomorrow."),
        ("refusal", "Nahi, main kal bhi nahi dunga."),
        ("refusal", "मैं कभी नहीं दूँगा।"),
    ],
)
def test_a_negation_elsewhere_in_the_sentence_changes_nothing(lists: PhraseLists, signal: str, line: str) -> None:
    assert signal in {name for name, _ in lists.find(folded_words(line))}
