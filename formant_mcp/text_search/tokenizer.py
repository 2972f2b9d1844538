"""Splits texts of every script into words: the same for what is stored and for what is searched.

Words are compared without case and accents (Devanagari's nukta is an accent, its vowel signs are not: they belong to
the word; dotless ı is i). Digits of all scripts are equal, and `15,000` is `15000`. Scripts written without spaces are
split into characters, so that a word is found inside a longer text. English words also have a stem, so that `refund`
finds `refunded`. An apostrophe splits words (l'ordine, Ahmet'in), except in other scripts than Latin and in English
contractions (don't, customer's). Words joined by an apostrophe or a hyphen are also found written as one. The index
keeps only their order, so if e-mail was said anywhere, email also finds `e mail`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple, cast

import regex

_UNSPACED = r"[[\p{Han}\p{Hiragana}\p{Katakana}ーｰ\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]--\p{Nd}]"
_LETTERS = rf"[[\p{{L}}\p{{M}}]--{_UNSPACED}]+"
_CONTRACTED = "(?:s|t|d|m|ll|re|ve|em|am|all|clock)"


def _word_pattern(after_apostrophe: str) -> regex.Pattern[str]:
    """The pattern of one word; `after_apostrophe` may continue it after an apostrophe."""
    return regex.compile(
        r"(?P<number>\p{Nd}{1,3}(?:,\p{Nd}{2,3})*,\p{Nd}{3}(?!\p{Nd}))"
        rf"|(?P<unspaced>{_UNSPACED})[\p{{M}}ﾞﾟ]*"
        rf"|(?P<word>[[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]+(?:['’](?:{after_apostrophe}))*)",
        regex.V1,  # for set differences
    )


_WORD = _word_pattern(rf"(?i:{_CONTRACTED})(?![\p{{L}}\p{{M}}\p{{N}}])|(?!\p{{Latin}}){_LETTERS}")
_WORD_UNTIL_VERSION_3 = _word_pattern(_LETTERS)
_ASCII_CONTRACTED = rf"'(?={_CONTRACTED}(?![a-z0-9]))"
_ASCII_WORD = re.compile(rf"\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}(?!\d)|[a-z0-9]+(?:{_ASCII_CONTRACTED}[a-z]+)*")
_ASCII_APOSTROPHE = re.compile(rf"(?<=[a-z0-9]){_ASCII_CONTRACTED}")
_ASCII_JOINED = re.compile(r"[a-z0-9]['-][a-z0-9]")
_JOINTS = {"'": "'", "’": "'", "-": "-", "‐": "-", "‑": "-"}
_JOINT = re.compile("[ '-]")
_MARKS = str.maketrans("", "", "',")
# Accents, and any ASCII left over from a compatibility form such as ⑴: the index would split the word there.
_DROPPED = regex.compile(r"[\u0300-\u036f\u093c\u09bc\u0a3c\u0abc\u0b3c’]|[[\x00-\x7f]--[a-z0-9]]", regex.V1)
_DIGITS = regex.compile(r"\p{Nd}")
# Hindi spells a nasal before its own row of consonants as that letter or as anusvara: हिन्दी is हिंदी. Candrabindu is
# often written as anusvara.
_NASALS = regex.compile("ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ])|\u0901")
_PLAIN = str.maketrans("ıłøđ", "ilod")  # Latin letters that Unicode does not decompose, often typed without the stroke
_LONGEST = 64  # characters of joined words that are found as one, and of what is cached
_ENGLISH = regex.compile(r"[a-z]{3,40}")  # longer ones are not words, and stemming them is slow


class Word(NamedTuple):
    """A word of a text as it is compared, and its place in the text."""

    folded: str
    start: int
    end: int


def words_in(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    if text.isascii():
        for match in _ASCII_WORD.finditer(text.lower()):
            yield Word(match[0].translate(_MARKS), match.start(), match.end())
        return
    for match in _WORD.finditer(text):
        folded = fold(match[0].replace(",", "") if match["number"] else match[0])
        if folded:
            yield Word(folded, match.start(), match.end())


def folded_words(text: str) -> list[str]:
    """The folded words of a text, as `words_in` finds them; faster, because most pieces between blanks come again."""
    words: list[str] = []
    for piece in text.split():
        words += _words_of_piece(piece) if len(piece) <= _LONGEST else [word.folded for word in words_in(piece)]
    return words


@lru_cache(maxsize=16_384)
def _words_of_piece(piece: str) -> tuple[str, ...]:
    return tuple(word.folded for word in words_in(piece))


def joint(text: str, word: Word, following: Word) -> str:
    """The apostrophe or hyphen that joins a word to the next one, '' if none does (numbers are never joined)."""
    if following.start - word.end != 1 or (text[word.end - 1].isdigit() and text[following.start].isdigit()):
        return ""
    return _JOINTS.get(text[word.end], "")


def indexable(text: str) -> str:
    """A text as it is indexed: its words with a blank, an apostrophe or a hyphen between them."""
    if text.isascii():  # the same result, ten times faster, for nearly all English
        plain = _ASCII_APOSTROPHE.sub("", text.lower())
        if not _ASCII_JOINED.search(plain):
            return " ".join(_ASCII_WORD.findall(plain)).translate(_MARKS)
    words = list(words_in(text))
    joints = [joint(text, word, following) or " " for word, following in pairwise(words)]
    return "".join(part for word, end in zip(words, [*joints, ""], strict=False) for part in (word.folded, end))


def forms_in(indexed: str) -> dict[str, str]:
    """The stem of each word of an indexed text, and of joined words as if written as one."""
    stems: dict[str, str] = {}
    for piece in indexed.split():
        words = divided(piece)
        stems |= {word: stem(word) for word in words}
        if len(words) > 1:
            joints = _JOINT.findall(piece)
            joined = [piece, *(f"{words[n]}{mark}{words[n + 1]}" for n, mark in enumerate(joints))]
            stems |= {form: stem("".join(divided(form))) for form in joined if len(form) <= _LONGEST}
    return stems


def divided(form: str) -> tuple[str, ...]:
    """The single words of a form, which may be several words, joined or not."""
    return tuple(_JOINT.split(form))


def indexed_until_version_3(text: str) -> str:
    """A text as indexed by stores up to version 3; FTS5 needs exactly these words to remove it."""
    matches = _WORD_UNTIL_VERSION_3.finditer(text)
    words = (_fold(match[0].replace(",", "") if match["number"] else match[0]) for match in matches)
    return " ".join(word for word in words if word)


@lru_cache(maxsize=65_536)
def fold(word: str) -> str:
    """A word without case and accents, its digits as 0 to 9."""
    return _fold(word).translate(_PLAIN)


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower().translate(_MARKS)
    plain = unicodedata.normalize("NFKD", word).casefold()
    plain = _DIGITS.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)
    return _NASALS.sub("\u0902", unicodedata.normalize("NFC", _DROPPED.sub("", plain)))


def is_unspaced(word: str) -> bool:
    """Whether a folded word is one character of a script written without spaces."""
    match = _WORD.match(word)
    return bool(match and match["unspaced"])


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of an English word (`refund` of `refunded`), any other word itself."""
    return _stemmer()(word) if _ENGLISH.fullmatch(word) else word


@cache
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # pyright: ignore[reportMissingTypeStubs] - here, because only a new word needs it

    english: object = snowballstemmer.stemmer("english")  # pyright: ignore[reportUnknownMemberType]
    return cast(Callable[[str], str], getattr(english, "stemWord"))  # noqa: B009 - it comes without types
