"""Number words as people say digits: English, Hindi in Devanagari, and Hindi in Latin letters.

Hindi in Latin letters has no fixed spelling, so its words are compared by their sound: `paanch`, `panch` and `paach`
are one word. A word that is also an ordinary one (`do`, `no`, `to`, `sat`) is weak: it counts as a digit only among
digits that are beyond doubt.
"""

import re
from functools import cache, lru_cache
from typing import NamedTuple

from formant_mcp.redaction.words import rows, words
from formant_mcp.text_search.tokenizer import fold


class NumberWord(NamedTuple):
    """The digits of a word; `times` is how often it repeats the next one (`double`), `is_tens` for `ninety`.

    `longer` is another reading: `saath` is 7, or 60.
    """

    digits: str = ""
    longer: str = ""
    is_weak: bool = False
    is_tens: bool = False
    times: int = 0
    is_hundred: bool = False


_TIMES = {"double": 2, "dubble": 2, "dabal": 2, "dubal": 2, "triple": 3, "tripple": 3, "treble": 3, "quadruple": 4}
_TIMES_DEVANAGARI = {"डबल": 2, "ट्रिपल": 3}
_SEVEN_OR_SIXTY = ("saath", "sath")
_HUNDRED = ("hundred", "sau", "sou", "सौ", "हंड्रेड")

_SOUNDS = {
    **{"aa": "a", "ee": "i", "ii": "i", "oo": "u", "uu": "u", "au": "o", "ao": "o", "ou": "o", "ow": "o"},
    **{"ai": "e", "ay": "e", "ei": "e", "ey": "e", "ae": "e", "sh": "s", "ch": "c", "cch": "c", "chch": "c"},
    **{"chh": "c", "cchh": "c", "z": "j", "w": "v", "ph": "f", "q": "k", "th": "t", "dh": "d", "kh": "k", "bh": "b"},
}
_SOUND = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))
_DOUBLED, _NASAL = re.compile(r"(.)\1+"), re.compile(r"(?<=[aeiou])[nm](?=[ctspk])")
_LATIN = re.compile("[a-z]{2,14}")
_ENDING = re.compile("(?:is|[vp]an|sat|[ht]ar|asi|n[vb]e|[aeo]v[ei]|ra)$")
_VOWELS = re.compile("[aeiouy]")
_FEWEST_CONSONANTS = 3
_LONGEST = 20


@lru_cache(maxsize=16_384)
def number_word(word: str) -> NumberWord | None:
    """The number that a word says; None if it says none."""
    if len(word) > _LONGEST:
        return None
    folded = word.lower().replace("'", "") if word.isascii() else fold(word)
    exact = _words().get(folded)
    if exact or folded in words("not_numbers"):
        return exact
    if not _LATIN.fullmatch(folded):
        return None
    sound = _sound(folded)
    if sound in _sounds():
        return NumberWord(_sounds()[sound])
    hard = sound.replace("d", "t")
    digits = _consonants().get(_VOWELS.sub("", hard)) if _ENDING.search(hard) else None
    return NumberWord(digits, is_weak=True) if digits else None


@cache
def _words() -> dict[str, NumberWord]:
    """Words by their exact spelling."""
    numbers = {
        word: NumberWord(digits, is_tens=len(digits) == 2 and digits[1] == "0" and digits != "10" and word.isascii())
        for digits, spellings in rows("numbers")
        for word in map(fold, spellings)
    }
    numbers |= {fold(word): NumberWord(times=times) for word, times in (_TIMES | _TIMES_DEVANAGARI).items()}
    numbers |= {fold(word): NumberWord("00", is_hundred=True) for word in _HUNDRED}
    return numbers | {
        fold(word): NumberWord(digits, "60" if word in _SEVEN_OR_SIXTY else "", is_weak=True)
        for digits, spellings in rows("weak_numbers")
        for word in spellings
    }


@cache
def _sounds() -> dict[str, str]:
    """Hindi in Latin letters by its sound; of two numbers that sound alike, the smaller."""
    sounds: dict[str, str] = {}
    for digits, spellings in rows("numbers_by_sound"):
        for spelling in spellings:
            sounds.setdefault(_sound(spelling), digits)
    return sounds


@cache
def _consonants() -> dict[str, str]:
    """Hindi from 11 by its consonants, for spellings with other vowels."""
    consonants: dict[str, str] = {}
    for sound, digits in _sounds().items():
        letters = _VOWELS.sub("", sound.replace("d", "t"))
        if len(digits) == 2 and len(letters) >= _FEWEST_CONSONANTS:
            consonants.setdefault(letters, digits)
    return consonants


def _sound(word: str) -> str:
    sound = _DOUBLED.sub(r"\1", _SOUND.sub(lambda match: _SOUNDS[match[0]], word.replace("aww", "av")))
    return _NASAL.sub("", sound).removesuffix("h")
