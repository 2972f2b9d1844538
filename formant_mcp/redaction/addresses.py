"""Finds e-mail addresses and UPI ids, written or spoken (`rahul dot sharma at the rate gmail dot com`).

The domain, or the bank's handle, is found first. The local part is what is said before it: at least one word, further
ones that a dot or a dash joins, single letters, digits, and up to two words of a name.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

import regex

from formant_mcp.redaction.number_words import number_word
from formant_mcp.redaction.spans import Identifier, Kind, Place
from formant_mcp.redaction.words import words

_HINTS = (
    *("@", "＠", "dot", " rate", "mail", "yahoo", "outlook", "icloud", "rediff", ".com", ".in"),
    *("डॉट", "रेट", "मेल", "याहू", "(at", "[at", "b l", " ok", "upi", "ybl", "ibl", "axl", "apl", "paytm"),
)
_EMAIL = regex.compile(
    r"[\p{L}\p{M}\p{Nd}_.+%'-]{1,64}@(?:[\p{L}\p{M}\p{Nd}][\p{L}\p{M}\p{Nd}-]{0,62}\.){1,6}[\p{L}\p{M}]{2,24}"
)
_UPI = regex.compile(r"[\p{L}\p{M}\p{Nd}_.-]{2,64}@[a-z][a-z0-9]{1,30}(?![\w-]*\.\w)", regex.IGNORECASE)
_OPEN, _CLOSE = r"\s*[(\[{<*_-]\s*", r"\s*[)\]}>*_-]\s*"
_AT_SIGN = (
    rf"\s*@\s*|{_OPEN}at{_CLOSE}|\s+at\s+the\s+rate(?:\s+of)?\s+|\s+at\s+d\s+rate\s+|\s+at\s+rate\s+"
    r"|\s+एट\s+(?:द\s+)?रेट\s+"
)
_AT_WORD = r"\s+at\s+|\s+(?:एट|ऐट|अट)\s+"
_ENDING = r"com|net|org|edu|gov|biz|io|dev|co|uk|au|sg|ae|de|fr|nic|ac|res|कॉम|काम|इन|नेट|को|ओआरजी"
_ENDING_OR_WORD = r"info|ai|app|me|in|us|ca|store|online"
_SPOKEN_DOT = rf"{_OPEN}dot{_CLOSE}|\s+dot\s+|\s+डॉट\s+|\s+point\s+"
_BRACKETED_DOT = re.compile(rf"{_OPEN}dot{_CLOSE}", re.IGNORECASE)
_DOT = rf"\s*\.\s*|{_SPOKEN_DOT}"
_NO_FULL_STOP = rf"\.(?!\s)|\s+\.\s*|{_SPOKEN_DOT}"
_PIECE = re.compile(r"[^\W_]['’\w\u0900-\u0963-]*|[._,+-]")
_JOINTS = {
    **{".": ".", "dot": ".", "डॉट": ".", "point": ".", "_": "_", "underscore": "_", "अंडरस्कोर": "_", "-": "-"},
    **{"dash": "-", "hyphen": "-", "डैश": "-", "plus": "+", "+": "+"},
}
_DIGIT_WORDS = "zero|one|two|three|four|five|six|seven|eight|nine"
_LONGEST_LOCAL, _LONGEST_SPELLED = 160, 4
_MOST_WORDS, _MOST_DIGITS = 2, 6
_AT_A_TIME = re.compile(_AT_WORD, re.IGNORECASE)
_BEFORE_WORD = regex.compile(
    rf"(?:.*\s)?([\p{{L}}\p{{M}}\p{{Nd}}]+)(?:{_DOT})(?:{_ENDING_OR_WORD}|इन)", regex.IGNORECASE
)
_SPEAKS_OF_MAIL = re.compile(r"\be?-?mail\b|ईमेल", re.IGNORECASE)
_BREAK = re.compile(r"[\s,;:<>()\[\]]")
_SPOKEN = {"कॉम": "com", "इन": "in", "जीमेल": "gmail", "याहू": "yahoo"}


@cache
def _spoken_email() -> regex.Pattern[str]:
    providers = "|".join(sorted(words("providers")))
    word = r"[\p{L}\p{M}\p{Nd}][\p{L}\p{M}\p{Nd}-]{0,40}"
    ending = rf"(?:(?:{_DOT})(?:{_ENDING})|(?:{_NO_FULL_STOP})(?:{_ENDING_OR_WORD}))"
    return regex.compile(
        rf"(?P<sign>{_AT_SIGN}|{_AT_WORD})"
        rf"(?P<domain>(?:{word}\s+){{0,2}}?{word}(?:(?:{_DOT}){word}){{0,3}}?{ending}{ending}*"
        rf"|(?:{providers}))(?![\p{{L}}\p{{M}}\p{{Nd}}])",
        regex.IGNORECASE,
    )


@cache
def _spoken_upi() -> regex.Pattern[str]:
    sure, other = (
        "|".join(map(_handle, sorted(words(name)))) for name in ("upi_handles", "upi_handles_that_are_words")
    )
    return regex.compile(
        rf"(?:(?P<sign>{_AT_SIGN})(?:{sure}|{other})|(?P<sign>{_AT_WORD})(?:{sure})"
        rf"|(?<=\d|{_DIGIT_WORDS})(?P<sign>{_AT_WORD})(?:{other}))(?![\p{{L}}\p{{M}}\p{{Nd}}])",
        regex.IGNORECASE,
    )


def _handle(handle: str) -> str:
    """The pattern of a handle as it is said: `o k axis`, `y b l`."""
    spelled = len(handle) if len(handle) <= _LONGEST_SPELLED else 2 if handle.startswith("ok") else 0
    return "".join(rf"{letter}\s?" for letter in handle[:spelled]) + handle[spelled:]


def may_have_addresses(text: str) -> bool:
    """Whether anything in a text is part of an address; a cheap test."""
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


def addresses_in(turn: int, text: str) -> Iterator[Identifier]:
    """The addresses of a turn, in plain text."""
    if "@" in text:
        yield from (_address("emails", turn, text, match) for match in _EMAIL.finditer(text))
        yield from (_address("ids", turn, text, match) for match in _UPI.finditer(text))
    patterns: tuple[tuple[Kind, regex.Pattern[str]], ...] = (("emails", _spoken_email()), ("ids", _spoken_upi()))
    for kind, pattern in patterns:
        done = 0
        for match in pattern.finditer(text):
            start = _local_start(text, match, done)
            done = match.end()
            if start < match.start() and not (kind == "emails" and _is_time_or_place(match)):
                yield _address(kind, turn, text, match, start)


def _is_time_or_place(match: regex.Match[str]) -> bool:
    """Whether it is like `at six dot in`, which is said of when and where too."""
    last = _BEFORE_WORD.fullmatch(match["domain"]) if _AT_A_TIME.fullmatch(match["sign"]) else None
    word = last[1].casefold() if last else ""
    return word.isdecimal() or word in words("times_and_places") or number_word(word) is not None


def _local_start(text: str, match: regex.Match[str], least: int) -> int:
    """Where the local part before a match starts, at least there."""
    begin = max(least, match.start() - _LONGEST_LOCAL)
    if text[match.start()] == "@":
        return _unbroken_start(text, begin, match.start())
    pieces = [(piece[0], piece.start()) for piece in _PIECE.finditer(text, begin, match.start())]
    start, plain_words = match.start(), 0
    joined = True
    for n in range(len(pieces) - 1, -1, -1):
        piece, place = pieces[n]
        role = _role(piece)
        if role == "joint":
            joined = True
        elif role == "comma" or (piece == "for" and n and len(pieces[n - 1][0]) == 1):
            joined = piece == "for" or joined
            continue
        elif joined and (start < match.start() or role != "other" or _SPEAKS_OF_MAIL.search(text, 0, match.start())):
            joined = False
        elif role == "word" and plain_words < _MOST_WORDS:
            plain_words += 1
        elif role != "letter":
            break
        start = place
    return start


def _unbroken_start(text: str, begin: int, end: int) -> int:
    """Where the characters before `end` without a blank or a bracket start."""
    return max((mark.end() for mark in _BREAK.finditer(text, begin, end)), default=begin)


def _role(piece: str) -> Literal["joint", "comma", "letter", "other", "word"]:
    folded = piece.casefold()
    if folded in _JOINTS:
        return "joint"
    if piece == ",":
        return "comma"
    if len(piece) == 1 or (piece.isdigit() and len(piece) <= _MOST_DIGITS) or number_word(piece):
        return "letter"
    return "other" if folded in words("not_in_addresses") else "word"


def _address(kind: Kind, turn: int, text: str, match: regex.Match[str], start: int = -1) -> Identifier:
    """The address of a match, whose local part begins at `start` if the match does not have it."""
    if start < 0:
        return Identifier(kind, match[0].casefold(), (Place(turn, *match.span()),))
    domain = match.end("sign")
    normal = f"{_written(text[start : match.start()])}@{_written(text[domain : match.end()])}"
    return Identifier(kind, normal, (Place(turn, start, match.end()),))


def _written(text: str) -> str:
    """What is said of an address, as it is written."""
    pieces = (piece.casefold() for piece in _PIECE.findall(_BRACKETED_DOT.sub(".", text)) if piece != ",")
    return "".join(_JOINTS.get(piece) or _SPOKEN.get(piece) or _digits(piece) or piece for piece in pieces)


def _digits(piece: str) -> str:
    number = number_word(piece) if len(piece) > 1 else None
    return number.digits if number else ""
