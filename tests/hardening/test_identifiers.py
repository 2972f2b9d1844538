"""How many identifiers are hidden, how many clean words are, and that no text takes longer than its length allows."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from formant_mcp.demo.calls import sample_calls
from formant_mcp.redaction import digit_runs, redactor
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redactor import Redactor
from tests.analysis.planted import calls
from tests.hardening import held_out
from tests.hardening.planted_identifiers import PLANTED
from tests.hardening.planted_text import BETWEEN_TURNS, hidden_tokens, leftover

pytestmark = pytest.mark.hardening

TESTS = Path(__file__).parents[1]
FEWEST_HIDDEN, MOST_CLEAN_HIDDEN = 0.995, 0.005
FEWEST_HELD_OUT, MOST_HELD_OUT_HIDDEN = 0.98, 0.01
HELD_OUT: dict[str, Callable[[], Iterable[str]]] = {
    "said by hand": held_out.said_by_hand,
    "said by hand, again": lambda: held_out.said_by_hand("held_out_again.txt"),
    "said in calls": lambda: held_out.said_by_hand("held_out_calls.txt"),
    "spelled by others": lambda: held_out.spelled_by_others(1000),
    "of every country": held_out.numbers_of_every_country,
}


def missed(marked: Iterable[str]) -> tuple[float, list[str]]:
    """The share of identifiers that is hidden completely, and the sentences of the others."""
    sentences = list(marked)
    left = [sentence for sentence in sentences if leftover(sentence, Redactor(KINDS))]
    return 1 - len(left) / len(sentences), left


def planted(name: str) -> list[str]:
    count, make = PLANTED[name]
    rng = Random(f"planted {name}")
    return [make(rng) for _ in range(count)]


def said_on_calls() -> list[Sequence[str]]:
    lines = (TESTS / "analysis/said_on_calls.txt").read_text("utf-8").splitlines()
    return [[line.split("\t")[1]] for line in lines if "\t" in line]


def hard_sentences() -> list[Sequence[str]]:
    return [line.split(BETWEEN_TURNS) for line in held_out.said_by_hand("clean_sentences.txt")]


def demo_transcripts() -> list[Sequence[str]]:
    return [[turn.text for turn in call.turns] for call in sample_calls(datetime(2026, 11, 20, 10, tzinfo=UTC))]


def generated_calls() -> list[Sequence[str]]:
    return [[turn.text for turn in call.conversation.turns or ()] for call in calls(seed=1, count=500)]


CLEAN = {
    "said on calls": said_on_calls,
    "hard sentences": hard_sentences,
    "demo transcripts": demo_transcripts,
    "generated calls": generated_calls,
}


def clean_hidden(transcripts: Iterable[Sequence[str]]) -> tuple[float, list[str]]:
    """The share of words that is hidden where nothing should be, and the texts that lose one."""
    hidden = total = 0
    texts: list[str] = []
    for turns in transcripts:
        for said, redacted in zip(turns, Redactor(KINDS).turns(turns), strict=True):
            lost, count = hidden_tokens(said, redacted)
            hidden, total = hidden + lost, total + count
            texts += [f"{said} -> {redacted}"] if lost else []
    print(f"{hidden} of {total} clean words hidden")
    return hidden / total, texts


def test_ten_thousand_identifiers_are_planted() -> None:
    assert sum(count for count, _ in PLANTED.values()) >= 10_000


@pytest.mark.parametrize("name", PLANTED)
def test_planted_identifiers_are_hidden(name: str) -> None:
    share, left = missed(planted(name))
    print(f"{name}: {len(left)} of {PLANTED[name][0]} shown")
    assert share >= FEWEST_HIDDEN, (f"{name}: {share:.2%}", left[:20])


@pytest.mark.parametrize("name", HELD_OUT)
def test_identifiers_that_the_detector_was_not_built_on_are_hidden(name: str) -> None:
    sentences = list(HELD_OUT[name]())
    share, left = missed(sentences)
    print(f"{name}: {len(left)} of {len(sentences)} shown")
    assert share >= FEWEST_HELD_OUT, (f"{name}: {share:.2%}", left[:20])


@pytest.mark.parametrize("name", CLEAN)
def test_clean_words_stay(name: str) -> None:
    share, texts = clean_hidden(CLEAN[name]())
    assert share <= MOST_CLEAN_HIDDEN, (f"{name}: {share:.3%}", texts[:20])


def test_clean_words_that_the_detector_was_not_built_on_stay() -> None:
    share, texts = clean_hidden(line.split(BETWEEN_TURNS) for line in held_out.said_by_hand("clean_calls.txt"))
    assert share <= MOST_HELD_OUT_HIDDEN, (f"{share:.3%}", texts)


def test_there_are_five_hundred_hard_sentences() -> None:
    assert len(hard_sentences()) >= 500


@pytest.mark.parametrize(
    ("finder", "name"),
    [
        ("identifiers_in", "numbers, over turns"),
        ("addresses_in", "e-mail addresses, spoken"),
        ("letter_ids_in", "ids of letters and digits"),
    ],
)
def test_the_suite_fails_without_a_finder(finder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(*_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(redactor, finder, finds_nothing)
    assert missed(planted(name))[0] < FEWEST_HIDDEN


def test_the_suite_fails_if_any_digits_are_an_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_one(*_: object) -> bool:
        return True

    monkeypatch.setattr(digit_runs, "_is_one", is_one)
    assert clean_hidden(hard_sentences())[0] > MOST_CLEAN_HIDDEN


LONG = {
    "digits": "1", "spaced digits": "9 ", "numbers": "98765 43210 ", "nau": "nau ", "do": "do ", "letters": "A 1 ",
    "at": " at", "domains": " at gmail dot", "at signs": "@", "local parts": "a@", "dots": "a.", "hexadecimal": "a1",
    "labels": "<number 1>", "commas": "1,", "brackets": "(1", "dates": "1-1-1-", "words": "nine 8 saat umm ",
    "unknown words": "sattar foobar ", "UPI ids": "a at okaxis ", "decimals": "1.", "IBAN": "GB82 ", "pluses": "+1",
    "spelled": "a dot ", "double": "double ", "times": "do baar ", "Devanagari": "नौ ", "blanks": "9    ",
}  # fmt: skip


def seconds(redact: Callable[[], object]) -> float:
    """CPU seconds that it takes, of two times the shorter."""
    durations: list[float] = []
    for _ in range(2):
        began = time.process_time()
        redact()
        durations.append(time.process_time() - began)
    return max(min(durations), 0.001)


@pytest.mark.parametrize("name", LONG)
def test_a_text_of_ten_times_the_length_takes_about_ten_times_as_long(name: str) -> None:
    short, long = ((LONG[name] * length)[:length] for length in (4_000, 40_000))
    duration = seconds(lambda: Redactor(KINDS).text(long))
    assert duration < 40 * seconds(lambda: Redactor(KINDS).text(short))  # a square would be 100


@pytest.mark.parametrize("piece", ["1", "nau "])
def test_a_hundred_thousand_digits_are_hidden(piece: str) -> None:
    redacted = Redactor(KINDS).text(piece * 100_000)
    assert redacted.count("<") == 1
    assert len(redacted) < 20


def test_ten_times_as_many_turns_take_about_ten_times_as_long() -> None:
    turns = ["98765", "haan ji", "nau aath"]
    duration = seconds(lambda: Redactor(KINDS).turns(turns * 2_000))
    assert duration < 40 * seconds(lambda: Redactor(KINDS).turns(turns * 200))
