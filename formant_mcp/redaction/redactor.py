"""Replaces phone numbers, e-mail addresses and ids by labels: `<number 1>` is the same person throughout an answer.

A label that somebody says is not ours: its brackets become `‹number 1›`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from pydantic import JsonValue

from formant_mcp.contacts import parse_contact
from formant_mcp.redaction.addresses import addresses_in, may_have_addresses
from formant_mcp.redaction.digit_runs import MOST_TURNS, identifiers_in
from formant_mcp.redaction.letter_ids import letter_ids_in, may_have_letter_ids
from formant_mcp.redaction.spans import Identifier, Kind
from formant_mcp.redaction.tokens import Token, most_digits, plain, tokens_of

KINDS: Final = ("numbers", "emails", "ids")
"""The kinds of identifiers that can be hidden."""

_NAMES: dict[Kind, str] = {"numbers": "number", "emails": "email", "ids": "id"}
_LABEL = re.compile(r"<(\s*(?:number|email|id)\s*\d+\s*)>", re.IGNORECASE)
_LEAST_INTEGER = 10**9
_FEWEST_DIGITS = 7
_FEWEST_BESIDE_LETTERS = 4


class _Redacted(str):
    """A text whose identifiers are labels; it is not redacted again."""

    __slots__ = ()


class Redactor:
    """Hides identifiers of these kinds. One for an answer or a file: a label means the same throughout its life."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = frozenset(kinds)
        self._labels: dict[tuple[Kind, str], str] = {}
        self._counts = Counter[Kind]()

    def text(self, text: str) -> str:
        """The text, with labels for identifiers."""
        return self.turns((text,))[0]

    def turns(self, texts: Sequence[str]) -> list[str]:
        """Successive turns of a call, with labels for identifiers; one that is split is hidden in all its turns."""
        escaped = [text if isinstance(text, _Redacted) else _escaped(text) for text in texts]
        places = [
            (place, identifier)
            for identifier in self._identifiers(escaped)
            if identifier.kind in self._kinds
            for place in identifier.places
        ]
        labels: dict[int, list[tuple[int, int, str]]] = {}
        for (turn, start, end), identifier in sorted(places):
            labels.setdefault(turn, []).append((start, end, self._label(identifier.kind, identifier.normal)))
        return [_replaced(text, labels[turn]) if turn in labels else text for turn, text in enumerate(escaped)]

    def number(self, number: str | None) -> str | None:
        """A field that has a phone number, as a label."""
        if not number or isinstance(number, _Redacted):
            return number
        if "numbers" not in self._kinds:
            return self.text(number)
        contact = parse_contact(number)
        return _Redacted(self._label("numbers", contact.normal if contact else number))

    def value(self, value: JsonValue) -> JsonValue:
        """A value of the results, with labels for identifiers in all its texts, numbers and keys."""
        match value:
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int() | float():
                return self._size(value)
            case list():
                return [self.value(item) for item in value]
            case dict():
                redacted: dict[str, JsonValue] = {}
                for key, item in value.items():
                    name = self.text(key)
                    while name in redacted:
                        name += "'"
                    redacted[name] = self.value(item)
                return redacted

    def _size(self, value: float) -> JsonValue:
        if (
            abs(value) < _LEAST_INTEGER
            or value != value
            or value in (float("inf"), float("-inf"))
            or value != int(value)
        ):
            return value
        text = str(int(abs(value)))
        redacted = self.text(text)
        return value if redacted == text else redacted

    def _identifiers(self, texts: Sequence[str]) -> Iterator[Identifier]:
        """The identifiers of the texts that are not redacted yet."""
        digits = [0 if isinstance(text, _Redacted) else most_digits(text) for text in texts]
        with_digits = set(_turns_with_enough(digits))
        tokens: list[Token] = []
        for turn, text in enumerate(texts):
            if isinstance(text, _Redacted):
                continue
            if may_have_addresses(text):
                yield from addresses_in(turn, plain(text))
            has_letters = digits[turn] >= _FEWEST_BESIDE_LETTERS and may_have_letter_ids(text)
            if has_letters or turn in with_digits:
                said = list(tokens_of(turn, plain(text)))
                if has_letters and "ids" in self._kinds:
                    yield from letter_ids_in(said)
                tokens += said
        if not self._kinds.isdisjoint(("numbers", "ids")):
            yield from identifiers_in(tokens, self._kinds)

    def _label(self, kind: Kind, normal: str) -> str:
        key = kind, _national(normal) if kind == "numbers" else normal
        if key not in self._labels:
            self._counts[kind] += 1
            self._labels[key] = f"<{_NAMES[kind]} {self._counts[kind]}>"
        return self._labels[key]


def _turns_with_enough(digits: Sequence[int]) -> Iterator[int]:
    """The turns that may say enough digits for an identifier, with those before and after them."""
    turns = [turn for turn, count in enumerate(digits) if count]
    start = 0
    for n, turn in enumerate(turns):
        if n + 1 == len(turns) or turns[n + 1] - turn > MOST_TURNS:
            if sum(digits[turns[start] : turn + 1]) >= _FEWEST_DIGITS:
                yield from range(turns[start] - MOST_TURNS, turn + MOST_TURNS + 1)
            start = n + 1


def _escaped(text: str) -> str:
    return _LABEL.sub(r"‹\1›", text) if "<" in text else text


def _replaced(text: str, labels: Iterable[tuple[int, int, str]]) -> str:
    """The text with labels in these places, which are in order and may overlap."""
    parts: list[str] = []
    done = 0
    for start, end, label in labels:
        start = _with_signs(text, start, end)
        if start >= done:
            parts += (text[done:start], label)
        done = max(done, end)
    return _Redacted("".join(parts) + text[done:])


def _with_signs(text: str, start: int, end: int) -> int:
    """Where a number starts, with a sign or bracket before it."""
    while start and (text[start - 1] in "+＋" or (text[start - 1] in "(（" and text.find(")", start, end) >= 0)):
        start -= 1
    return start


def _national(normal: str) -> str:
    """A phone number without what is dialled before its national form."""
    contact = parse_contact(normal)
    digits = contact.normal if contact else normal
    return digits.removeprefix("91") if len(digits) == 12 else digits
