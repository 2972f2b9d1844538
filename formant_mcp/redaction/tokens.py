"""Splits turns into the tokens that digits are said with: digits, number words, and what may be between them.

What has digits and is no identifier (an amount, a date, a time, a UUID) is one token that ends a run of digits.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

import regex

from formant_mcp.redaction.number_words import NumberWord, number_word
from formant_mcp.redaction.words import words

TokenKind = Literal["digits", "number", "separator", "filler", "unit", "word", "mark", "opaque"]


class Token(NamedTuple):
    """A part of a turn; `number` is the meaning of a number word."""

    kind: TokenKind
    turn: int
    start: int
    end: int
    text: str
    number: NumberWord | None = None


_TOKEN = regex.compile(r"\p{Nd}+|[aA]/[cC](?!\p{L})|[\p{L}\p{M}]+(?:['’]\p{L}+)?|[^\s\p{L}\p{M}\p{Nd}]+")
# Currency, percent, degrees, what is around a label and the sign of an address belong to other numbers.
_SEPARATOR = regex.compile(r"[[\p{P}\p{S}\p{Cf}\p{M}]--[\p{Sc}%‰°<>‹›@]]+", regex.V1)
_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’]\p{L}+)?")
_LONGEST_KEPT = 64
_MOST_DIGITS_OF_WORD = 3
_DIGIT, _ANY_DIGIT = re.compile(r"\d"), regex.compile(r"[\p{Nd}\p{No}]")
_NOT_ASCII_DIGIT = regex.compile(r"[[\p{Nd}\p{No}]--[0-9]]", regex.V1)
_PLAIN = str.maketrans("－−﹣．＠＋，／（）\u00a0\u2007\u2009\u202f", "---.@+,/()    ")

_CURRENCY = r"(?:₹|\$|€|£|(?<![a-z])(?:rs\b\.?|inr\b|usd\b|eur\b|aed\b|rupees?\b|रु\.?|रुपये|रुपए))"
_OPAQUE = re.compile(
    "|".join(
        (
            r"[<‹]\s{0,9}(?:number|email|id)\s{0,9}\d{1,19}\s{0,9}[>›]",
            r"(?<![\da-f])[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?:_\d+)?(?!\w)",
            r"(?<![^\W_])(?:[a-z]{1,9}\d{1,4}|\d{1,4}[a-z]{1,9}){16}[a-z\d]*+(?![^\W_])",
            r"(?<![^\W_])(?=[\da-f]{0,63}[a-f][\da-f]{0,63}(?![^\W_]))(?=[a-f]{0,20}\d)[\da-f]{16,64}(?![^\W_])",
            r"(?<![\w.-])(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d|[-/.]\d)"
            r"(?:[T ]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\s?[+-]\d\d:?\d\d)?)?",
            r"(?<![\w.-])(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)?\d\d(?!\d|[-/.]\d)",
            r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-_T][0-2]\d[0-5]\d(?:[0-5]\d)?(?!\d)",
            r"(?<![\d:])\d\d?:\d\d(?::\d\d)?(?![\d:])",
            rf"{_CURRENCY}\s?-?\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}(?:\.\d+)?(?!\d)",
            rf"{_CURRENCY}\s?-?\d{{1,9}}(?:\.\d{{1,2}})?(?!\d|[ -]\d{{4}})",
            r"(?<![\d.,])(?:\d{1,3}(?:,\d{3})?|\d{1,2}(?:,\d\d)*),\d{3}(?:\.\d{1,2})?(?!\d|,\d|[ -]\d{5})",
            r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)",
            r"(?<![\d.])(?<!\d[ -])\d{1,9}\.\d{1,2}(?![\d.]|\s?\d)",
        )
    ),
    re.IGNORECASE,
)


@lru_cache(maxsize=16_384)
def _word_kind(word: str) -> tuple[TokenKind, NumberWord | None]:
    folded = word.casefold()
    number = number_word(word)
    if number:
        return "number", number
    if folded in words("units"):
        return "unit", None
    return ("filler" if folded in words("fillers") else "word"), None


@lru_cache(maxsize=1_024)
def _mark_kind(mark: str) -> TokenKind:
    return "separator" if _SEPARATOR.fullmatch(mark) else "mark"


def _most_digits_of_words(piece: str) -> tuple[int, bool]:
    """How many digits the number words of a piece may say, and whether one of them is beyond doubt."""
    numbers = [number for word in _WORD.findall(piece) if (number := number_word(word))]
    return _MOST_DIGITS_OF_WORD * len(numbers), any(not number.is_weak for number in numbers)


_most_digits_of_piece = lru_cache(maxsize=16_384)(_most_digits_of_words)


def most_digits(text: str) -> int:
    """At most how many digits a text says; 0 if none is beyond doubt. Most turns have few, and need nothing further."""
    total = len((_DIGIT if text.isascii() else _ANY_DIGIT).findall(text))
    is_sure = total > 0
    for piece in text.split():
        digits, is_number = (_most_digits_of_piece if len(piece) <= _LONGEST_KEPT else _most_digits_of_words)(piece)
        if digits:
            total += digits
            is_sure = is_sure or is_number
    return total if is_sure else 0


def plain(text: str) -> str:
    """The text with digits of all scripts and forms as 0 to 9; a digit is still one character."""
    if text.isascii():
        return text
    return _NOT_ASCII_DIGIT.sub(lambda digit: str(unicodedata.digit(digit[0], digit[0])), text.translate(_PLAIN))


def tokens_of(turn: int, text: str) -> Iterator[Token]:
    """The tokens of a plain text."""
    opaque = iter(_OPAQUE.finditer(text) if _DIGIT.search(text) else ())
    following = next(opaque, None)
    skip_until = 0
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        while following and following.end() <= start:
            following = next(opaque, None)
        if start < skip_until:
            continue
        if following and following.start() < end and following.end() > start:
            skip_until = following.end()
            yield Token("opaque", turn, start, max(end, skip_until), text[start:skip_until])
            continue
        token = match[0]
        if token[0].isdigit():
            yield Token("digits", turn, start, end, token)
        elif token[0].isalpha() or token[-1].isalpha():
            kind, number = _word_kind(token)
            yield Token(kind, turn, start, end, token, number)
        else:
            yield Token(_mark_kind(token), turn, start, end, token)
