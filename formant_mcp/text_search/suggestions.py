"""Suggestions for a word that does not occur: words spelled alike, or with another ending."""

from collections.abc import Iterable
from difflib import get_close_matches
from string import ascii_lowercase, digits
from typing import NamedTuple

import regex

from formant_mcp.text_search.tokenizer import is_unspaced

_MIN_LETTERS, _MAX_LETTERS = 3, 24  # a shorter word resembles everything, a longer one has too many variants
_MAX_SUGGESTED_LETTERS = 40  # no real word has more
_RATIO = 0.65
# Endings that change when another is attached: Tamil's -ம் (பணம், பணத்தை; மரம், மரங்கள்), Turkish p, t and k before a
# vowel (hesap, hesabımı).
_CHANGED = {"ம்": ("த்த", "ங்க")} | {hard: tuple(soft + vowel for vowel in "aeiou") for hard, soft in ("pb", "td", "kg")}
_MIN_LETTERS_TO_CHANGE = 4
_HANGUL, _MARK, _LAST_MARKS = (regex.compile(pattern) for pattern in (r"\p{Hangul}", r"\p{M}", r"\p{M}+$"))
# Articles and prepositions that Arabic writes as part of the word.
_ARABIC = ("ال", "وال", "بال", "فال", "كال", "لل")


class Candidates(NamedTuple):
    """Candidates for words like a given one: spellings one edit away, and words with the same prefix."""

    spellings: list[str]
    prefix: str


def candidates_for(word: str) -> Candidates:
    """The candidates for words like this one; none for a word too short, or of a script without spelling variants."""
    if len(word) < _MIN_LETTERS or is_unspaced(word):
        return Candidates([], "\U0010ffff")
    spellings = {*_one_edit(word), *(before + word for before in _ARABIC)} if len(word) <= _MAX_LETTERS else set[str]()
    return Candidates(sorted(spellings), word[: (len(word) + 1) // 2])


def prefixes_of(word: str) -> list[str]:
    """Prefixes of words that may be this one with another ending; none for a word that is too short.

    A last vowel sign is dropped, because in Indian scripts the ending replaces it (ரீஃபண்ட், ரீஃபண்டை). Too short means
    less than two letters, or for Korean less than one.
    """
    prefix = _LAST_MARKS.sub("", word)
    letters = len(_MARK.sub("", prefix))
    if is_unspaced(word) or letters < (1 if _HANGUL.match(word) else 2):
        return []
    changed = [
        word.removesuffix(end) + other
        for end, others in _CHANGED.items()
        if word.endswith(end) and len(word) >= _MIN_LETTERS_TO_CHANGE
        for other in others
    ]
    return [prefix, *changed]


def most_similar(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidates that resemble the word, most similar first."""
    shortest = sorted(candidate for candidate in candidates if len(candidate) <= _MAX_SUGGESTED_LETTERS)
    return get_close_matches(word, shortest, n=20, cutoff=_RATIO)


def _one_edit(word: str) -> set[str]:
    """Every spelling with one letter added, removed or replaced, or two adjacent letters swapped."""
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = _letters(word)
    edits = {a + b[1:] for a, b in halves if b}
    edits |= {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
    edits |= {a + letter + b[1:] for a, b in halves if b for letter in letters}
    return edits | {a + letter + b for a, b in halves for letter in letters}


def _letters(word: str) -> str:
    """The letters of its script: other scripts than Latin are a block of 128 in Unicode."""
    if word.isascii():
        return ascii_lowercase + digits
    block = max(map(ord, word)) & ~127
    return "".join(map(chr, range(block, block + 128)))
