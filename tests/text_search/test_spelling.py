"""Which words are other spellings of a word: pairs, words that only sound near, and answers from a vocabulary.

`pytest -s tests/text_search` prints the shares, and every word that is wrong.
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import formant_mcp.demo
from formant_mcp.text_search.spelling import nearest, phonetic_key, spellings
from formant_mcp.text_search.tokenizer import fold, words_in
from tests.examples import some

FOLDER = Path(__file__).parent
SCRIPTS = Path(formant_mcp.demo.__file__).parent / "scripts"
WORDS = st.one_of(
    st.text("aeiouyhncksgw", max_size=12),
    st.text("कखजयरसहनअआइएंँािीुे्ः", max_size=8),
    st.text(max_size=6).map(fold),
)


def lines(name: str) -> Iterator[list[str]]:
    """The folded words of each line of a file."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield [fold(word) for word in line.split()]


@cache
def vocabulary(*names: str) -> dict[str, set[str]]:
    """The words of calls, and those of these files, by their keys."""
    words = {word for name in ("vocabulary.txt", *names) for line in lines(name) for word in line}
    for path in SCRIPTS.glob("*.txt"):
        words |= {word.folded for word in words_in(path.read_text(encoding="utf-8"))}
    assert len(words) > 20_000
    by_key: dict[str, set[str]] = {}
    for word in words:
        by_key.setdefault(phonetic_key(word), set()).add(word)
    return by_key


def answers(word: str, *names: str) -> list[str]:
    """The first 20 other spellings in the vocabulary."""
    return list(nearest(word, spellings(word, vocabulary(*names).get(phonetic_key(word), ()))))[:20]


def share(what: str, wrong: list[str], count: int) -> float:
    """Prints and returns the share that is right."""
    print(f"\n{what}: {1 - len(wrong) / count:.3f} of {count} are right; wrong: {', '.join(wrong)}")
    return 1 - len(wrong) / count


@pytest.mark.parametrize("name", ["spellings.txt", "dhvani.txt"])
def test_spellings_of_a_word_are_recognised(name: str) -> None:
    pairs = [pair for words in lines(name) for pair in combinations(dict.fromkeys(words), 2)]
    missed = [f"{one} {other}" for one, other in pairs if list(spellings(one, [other])) != [other]]
    assert len(pairs) > 500
    assert share(name, missed, len(pairs)) >= 0.9


def test_different_words_that_sound_near_stay_apart() -> None:
    pairs = list(lines("different_words.txt"))
    confused = [f"{one} {other}" for one, other in pairs if spellings(one, [other])]
    assert len(pairs) > 500
    assert share("different words", confused, len(pairs)) >= 0.97


@pytest.mark.parametrize(
    ("name", "also", "least"),
    some([("answers.txt", ["spellings.txt"], 0.97), ("answers_dhvani.txt", [], 0.925), ("answers.txt", [], 0.95)], 2),
)
def test_the_first_20_words_of_a_vocabulary_are_right(name: str, also: list[str], least: float) -> None:
    right = {query: words.split() for query, _, words in _answers(name)}
    words = {word for words in vocabulary(*also).values() for word in words}
    wrong = [f"{query} {word}" for query in right for word in answers(query, *also) if word not in right[query]]
    count = sum(len(answers(query, *also)) for query in right)
    assert len(right) > 100
    assert share(f"{name} {also}", wrong, count) >= least
    expected = [(query, word) for query in right for word in right[query] if word in words]
    missed = [f"{query} {word}" for query, word in expected if word not in answers(query, *also)]
    assert share(f"found of {name} {also}", missed, len(expected)) >= 0.95


def test_the_nearest_words_are_right_most_often() -> None:
    right = {query: words.split() for query, _, words in _answers("answers_dhvani.txt")}
    first = {query: words[0] for query in right if (words := answers(query))}
    wrong = [f"{query} {word}" for query, word in first.items() if word not in right[query]]
    assert share("the nearest", wrong, len(first)) >= 0.95


@pytest.mark.parametrize(
    ("word", "best"),
    [
        ("late", "लेट"),
        ("lage", "लगे"),
        ("bill", "बिल"),
        ("call", "कॉल"),
        ("paisa", "paise"),
        ("nahi", "nahin"),
        ("insurance", "इंश्योरेंस"),
        ("रुपये", "rupaye"),
    ],
)
def test_the_likeliest_spelling_comes_first(word: str, best: str) -> None:
    assert answers(word, "spellings.txt")[0] == best


@pytest.mark.parametrize(
    "word", ["", "a", "ok", "न", "123", "15000", "b2b", "aaeeiioouu", "返", "பணம்", "café", "x" * 41]
)
def test_some_words_have_no_other_spelling(word: str) -> None:
    assert phonetic_key(word) == ""
    assert spellings(word, ["ok", "okay", "15000", "bb", word]) == {}


@given(WORDS, st.lists(WORDS, max_size=6))
def test_any_words_can_be_compared(word: str, others: list[str]) -> None:
    same = spellings(word, others)
    assert word not in same
    assert len(same) == len(set(same))
    assert {phonetic_key(other) for other in same} <= {phonetic_key(word)}
    assert list(same.items()) == list(spellings(word, sorted(others, reverse=True)).items())
    assert list(same.values()) == sorted(same.values())
    assert all(list(spellings(other, [word])) == [word] for other in same)


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("paisa", "paise पैसा pesa", {"paise": 0, "पैसा": 0, "pesa": 1}),
        ("vakil", "wakeel vakeel वकील", {"vakeel": 0, "wakeel": 0, "वकील": 1}),
        ("ठीक", "theek thik", {"theek": 0, "thik": 0}),
        ("kal", "कल काल", {"कल": 0, "काल": 1}),
        ("nahi", "नहीं nahin", {"nahin": 0, "नहीं": 0}),
        ("accha", "अच्छा achha acha", {"acha": 0, "achha": 0, "अच्छा": 0}),
        ("insurance", "इंश्योरेंस", {"इंश्योरेंस": 6}),
    ],
)
def test_distances_are_counted_in_latin_letters(word: str, candidates: str, expected: dict[str, int]) -> None:
    assert spellings(word, candidates.split()) == expected


def test_of_a_short_word_only_the_nearest_words_of_each_script_are_left() -> None:
    assert nearest("kal", {"कल": 0, "kaal": 1, "काल": 1}) == {"कल": 0, "kaal": 1}
    assert nearest("काम", {"kaam": 0, "kam": 0, "cam": 1}) == {"kaam": 0, "kam": 0}
    assert nearest("kal", {"काल": 1}) == {"काल": 1}
    assert nearest("पेमेंट", {"pement": 1, "payment": 3}) == {"pement": 1, "payment": 3}


def _answers(name: str) -> list[tuple[str, str, str]]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line.partition(":") for line in text.splitlines() if not line.startswith("#")]
