"""What counts as a word, in every script: the same for what is stored and for what is asked.

Words are compared without case and accents (Devanagari's nukta is one, its vowel signs are not: they belong to the
word). Digits are one script, and `15,000` is `15000`. Scripts that are written without spaces are cut into characters,
so that a word is found inside a run. English words also have a stem, by which `refund` finds `refunded`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple, cast

import regex

_UNSPACED = r"[[\p{Han}\p{Hiragana}\p{Katakana}ーｰ\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]--\p{Nd}]"
_WORD = regex.compile(
    r"(?P<number>\p{Nd}{1,3}(?:,\p{Nd}{2,3})*,\p{Nd}{3}(?!\p{Nd}))"
    rf"|(?P<unspaced>{_UNSPACED})[\p{{M}}ﾞﾟ]*"
    rf"|(?P<word>[[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]+(?:['’][[\p{{L}}\p{{M}}]--{_UNSPACED}]+)*)",
    regex.V1,  # which has sets less sets
)
_ASCII_WORD = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)|[a-z0-9]+(?:'[a-z]+)*")
_MARKS = str.maketrans("", "", "',")
# Accents, and whatever ASCII a compatibility form such as ⑴ leaves behind: the index would cut the word there.
_DROPPED = regex.compile(r"[\u0300-\u036f\u093c\u09bc\u0a3c\u0abc\u0b3c’]|[[\x00-\x7f]--[a-z0-9]]", regex.V1)
_DIGITS = regex.compile(r"\p{Nd}")
# Hindi spells a nasal before its own row of consonants as that letter or as anusvara: हिन्दी is हिंदी. Candrabindu is
# written as anusvara as often as not.
_NASALS = regex.compile("ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ])|\u0901")
_ENGLISH = regex.compile(r"[a-z]{3,40}")  # what is longer is no word, and takes long to look at


class Word(NamedTuple):
    """A word of a text as it is compared, and where it stands in the text."""

    folded: str
    start: int
    end: int


def words_in(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    if text.isascii():
        for found in _ASCII_WORD.finditer(text.lower()):
            yield Word(found[0].translate(_MARKS), found.start(), found.end())
        return
    for found in _WORD.finditer(text):
        folded = fold(found[0].replace(",", "") if found["number"] else found[0])
        if folded:
            yield Word(folded, found.start(), found.end())


def indexable(text: str) -> str:
    """A text as it is indexed: its words, a blank between them."""
    if text.isascii():  # the same, ten times as quick: nearly all of English
        return " ".join(_ASCII_WORD.findall(text.lower())).translate(_MARKS)
    return " ".join(word.folded for word in words_in(text))


@lru_cache(maxsize=65_536)
def fold(word: str) -> str:
    """A word without case and accents, its digits as 0 to 9."""
    if word.isascii():
        return word.lower().translate(_MARKS)
    plain = unicodedata.normalize("NFKD", word).casefold()
    plain = _DIGITS.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)
    return _NASALS.sub("\u0902", unicodedata.normalize("NFC", _DROPPED.sub("", plain)))


def is_unspaced(word: str) -> bool:
    """Whether a folded word is one character of a script that is written without spaces."""
    found = _WORD.match(word)
    return bool(found and found["unspaced"])


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of an English word (`refund` of `refunded`), any other word itself."""
    return _stemmer()(word) if _ENGLISH.fullmatch(word) else word


@cache
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # pyright: ignore[reportMissingTypeStubs] - here, for only a new word needs it

    english: object = snowballstemmer.stemmer("english")  # pyright: ignore[reportUnknownMemberType]
    return cast(Callable[[str], str], getattr(english, "stemWord"))  # noqa: B009 - it comes without types
