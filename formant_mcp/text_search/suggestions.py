"""Words spelled alike: for a word that does not occur, those that were perhaps meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from string import ascii_lowercase, digits
from typing import NamedTuple

import regex

from formant_mcp.text_search.tokenizer import is_unspaced

_LEAST, _MOST = 3, 24  # letters; what is shorter resembles everything, what is longer takes long to vary
_SHOWN = 40  # letters of a word that is named; no real one has more
_RATIO = 0.65
# Endings that change before another is attached: Tamil's -ம் (பணம், பணத்தை; மரம், மரங்கள்), Turkish p, t and k before a
# vowel (hesap, hesabımı).
_CHANGED = {"ம்": ("த்த", "ங்க")} | {hard: tuple(soft + vowel for vowel in "aeiou") for hard, soft in ("pb", "td", "kg")}
_CHANGING = 4  # letters of a word, or more, of which the last may change so
_HANGUL, _MARK, _LAST_MARKS = (regex.compile(each) for each in (r"\p{Hangul}", r"\p{M}", r"\p{M}+$"))
# Articles and prepositions that Arabic writes as part of the word.
_ARABIC = ("ال", "وال", "بال", "فال", "كال", "لل")


class Candidates(NamedTuple):
    """Where to look for words like one: one edit away, or beginning like it."""

    spellings: list[str]
    beginning: str


def alike(word: str) -> Candidates:
    """Where to look for words like this one; nowhere for one that has no spelling to vary."""
    if len(word) < _LEAST or is_unspaced(word):
        return Candidates([], "\U0010ffff")
    spellings = {*_one_edit(word), *(before + word for before in _ARABIC)} if len(word) <= _MOST else set[str]()
    return Candidates(sorted(spellings), word[: (len(word) + 1) // 2])


def begins_of(word: str) -> list[str]:
    """What words begin with that may be this one with another ending; nothing for a word too short to tell.

    A last vowel sign goes, for in Indian scripts the ending takes its place (ரீஃபண்ட், ரீஃபண்டை). Short: less than two
    letters, or for Korean less than one.
    """
    begin = _LAST_MARKS.sub("", word)
    letters = len(_MARK.sub("", begin))
    if is_unspaced(word) or letters < (1 if _HANGUL.match(word) else 2):
        return []
    changed = [
        word.removesuffix(end) + other
        for end, others in _CHANGED.items()
        if word.endswith(end) and len(word) >= _CHANGING
        for other in others
    ]
    return [begin, *changed]


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Those that resemble it, the most like it first."""
    named = sorted(each for each in candidates if len(each) <= _SHOWN)
    return get_close_matches(word, named, n=20, cutoff=_RATIO)


def _one_edit(word: str) -> set[str]:
    """Every spelling with one letter more, less, another, or two of them swapped."""
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = _letters(word)
    edits = {a + b[1:] for a, b in halves if b}
    edits |= {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
    edits |= {a + letter + b[1:] for a, b in halves if b for letter in letters}
    return edits | {a + letter + b for a, b in halves for letter in letters}


def _letters(word: str) -> str:
    """The letters of its script: a script other than Latin takes a block of 128 in Unicode."""
    if word.isascii():
        return ascii_lowercase + digits
    block = max(map(ord, word)) & ~127
    return "".join(map(chr, range(block, block + 128)))
