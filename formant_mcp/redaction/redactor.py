"""Replaces phone numbers, e-mail addresses and ids by labels: `<number 1>` is the same person throughout an answer.

A label that somebody says is not ours: its brackets become `‹number 1›`.
"""

import re
from collections import Counter
from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import suppress

from pydantic import JsonValue

from formant_mcp.contacts import parse_contact
from formant_mcp.redaction.addresses import addresses_in, may_have_addresses
from formant_mcp.redaction.digit_runs import (
    MOST_TURNS,
    has_loose_end,
    identifiers_in,
    is_aadhaar,
    is_card,
    is_phone,
)
from formant_mcp.redaction.fragments import FEWEST_REPEATED
from formant_mcp.redaction.letter_ids import letter_ids_in, may_have_letter_ids
from formant_mcp.redaction.redacted_text import Label, RedactedText
from formant_mcp.redaction.spans import Identifier, Kind
from formant_mcp.redaction.tokens import Token, most_digits, plain, tokens_of
from formant_mcp.redaction.words import sure_phone_words, words

_NAMES: dict[Kind, str] = {"numbers": "number", "emails": "email", "ids": "id"}
_LABEL = re.compile(r"<(\s*(?:number|email|id)\s*\d+\s*)>", re.IGNORECASE)
_LEAST_INTEGER, _GREATEST_INTEGER = 10**6, 10**19
_FEWEST_NAMED = 7
_LONGEST_NATIONAL = 10
_DIGITS_ALONE, _NOT_DIGIT = re.compile(r"[\d\s()+./-]{7,40}", re.ASCII), re.compile(r"[^0-9]")
_NAMES_IN_KEY = re.compile("[A-Z]?[a-z]+|[A-Z]+")
_FEWEST_DIGITS = 7
_FARTHEST = 3 * MOST_TURNS
_FEWEST_BESIDE_LETTERS = 4


class Redactor:
    """Hides identifiers of these kinds. One for an answer or a file: a label means the same throughout its life."""

    def __init__(self, kinds: Collection[str]) -> None:
        self.kinds = frozenset(kinds)
        self._labels: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        self._counts = Counter[Kind]()

    def text(self, text: str) -> str:
        """The text, with labels for identifiers."""
        return self.turns((text,))[0]

    def turns(self, texts: Sequence[str]) -> list[str]:
        """Successive turns of a call, with labels for identifiers; one that is split is hidden in all its turns."""
        escaped = [text if isinstance(text, RedactedText) else _escaped(text) for text in texts]
        places: dict[int, list[tuple[int, int, Identifier]]] = {}
        for identifier in self._identifiers(escaped):
            if identifier.kind in self.kinds and not any(
                isinstance(texts[place.turn], RedactedText) for place in identifier.places
            ):
                for turn, start, end in identifier.places:
                    places.setdefault(turn, []).append((start, end, identifier))
        return [self._replaced(text, places[turn]) if turn in places else text for turn, text in enumerate(escaped)]

    def part(self, texts: Sequence[str], shown: range) -> list[str]:
        """The turns of `shown` as `turns` returns them, without the work for those far from them."""
        near = _stretch(texts, shown)
        if not near:
            return [_escaped(text) for text in texts[shown.start : shown.stop]]
        redacted = self.turns(texts[near.start : near.stop])[shown.start - near.start : shown.stop - near.start]
        return self.turns(texts)[shown.start : shown.stop] if any(map(_has_loose_end, redacted)) else redacted

    def number(self, number: str | None) -> str | None:
        """A field that has a phone number, as a label."""
        if not number or isinstance(number, RedactedText):
            return number
        if "numbers" not in self.kinds:
            return self.text(number)
        contact = parse_contact(number)
        return RedactedText(self._label("numbers", contact.normal if contact else number))

    def value(self, value: JsonValue) -> JsonValue:
        """A value of the results, with labels for identifiers in all its texts, numbers and keys."""
        return self._value(value, None)

    def name(self, name: str, others: Container[str]) -> str:
        """A field's name with labels, and another one than those that others have: two spellings of one number."""
        shown = self.text(name)
        while shown in others:
            shown += "'"
        return shown

    def value_of_field(self, path: str, value: JsonValue) -> JsonValue:
        """The value that the results have at a dotted path: the field's name says what it is, too."""
        return self._value(value, _kind_of_key(path.rsplit(".", 1)[-1]))

    def _value(self, value: JsonValue, kind: Kind | None) -> JsonValue:
        """A value; `kind` is that of the identifier that its key names."""
        match value:
            case str():
                return self._named(value, kind) or self.text(value)
            case bool() | None:
                return value
            case int() | float():
                return self._size(value, kind)
            case list():
                return [self._value(item, kind) for item in value]
            case dict():
                redacted: dict[str, JsonValue] = {}
                for key, item in value.items():
                    redacted[self.name(key, redacted)] = self._value(item, _kind_of_key(key))
                return redacted

    def _named(self, text: str, kind: Kind | None) -> str | None:
        """A label for a text of digits whose key says that they are an identifier."""
        if (
            kind not in self.kinds
            or isinstance(text, RedactedText)
            or not _DIGITS_ALONE.fullmatch(simple := plain(text))
        ):
            return None
        digits = _NOT_DIGIT.sub("", simple)
        return RedactedText(self._label(kind, digits)) if len(digits) >= _FEWEST_NAMED else None

    def _size(self, value: float, kind: Kind | None) -> JsonValue:
        """A number: itself, unless it is the digits of an identifier."""
        if not _LEAST_INTEGER <= value < _GREATEST_INTEGER or value != int(value):
            return value
        digits = str(int(value))
        is_identifier = is_phone(digits) or is_card(digits) or is_aadhaar(digits)
        redacted = self._named(digits, kind) or (self.text(digits) if is_identifier else digits)
        return value if redacted == digits else redacted

    def _identifiers(self, texts: Sequence[str]) -> Iterator[Identifier]:
        """The identifiers of the texts; a redacted one only has labels, which separate what is before and after."""
        digits = [0 if isinstance(text, RedactedText) else most_digits(text) for text in texts]
        with_digits = set(_turns_with_enough(digits))
        tokens: list[Token] = []
        for turn, text in enumerate(texts):
            if may_have_addresses(text):
                yield from addresses_in(turn, plain(text))
            has_letters = digits[turn] >= _FEWEST_BESIDE_LETTERS and may_have_letter_ids(text)
            if has_letters or turn in with_digits:
                said = list(tokens_of(turn, plain(text)))
                if has_letters and "ids" in self.kinds:
                    yield from letter_ids_in(said)
                tokens += said
        if not self.kinds.isdisjoint(("numbers", "ids")):
            yield from identifiers_in(tokens, self.kinds)

    def _replaced(self, text: str, places: list[tuple[int, int, Identifier]]) -> str:
        """The text with labels in these places, which may overlap."""
        parts: list[str] = []
        labels: list[Label] = []
        done = length = 0
        for start, end, identifier in sorted(places):
            start = _with_signs(text, start, end)
            if start >= done:
                label = self._label(identifier.kind, identifier.normal)
                parts += (text[done:start], label)
                length += start - done + len(label)
                labels.append(Label((length - len(label), length), (start, end)))
            elif end > done:
                labels[-1] = labels[-1]._replace(hidden=(labels[-1].hidden[0], end))
            done = max(done, end)
        return RedactedText("".join(parts) + text[done:], text, labels)

    def _label(self, kind: Kind, normal: str) -> str:
        key = self._key_of_number(normal) if kind == "numbers" else normal
        if key not in self._labels:
            self._counts[kind] += 1
            self._labels[key] = f"<{_NAMES[kind]} {self._counts[kind]}>"
        return self._labels[key]

    def _key_of_number(self, normal: str) -> str:
        """What spellings of a phone number have in common: one without a country's code is that of the code seen."""
        national = _national(normal)
        code = normal.removesuffix(national).lstrip("0")
        seen = self._codes.get(national) or code
        self._codes[national] = seen
        return normal if code and code != seen else national


def _turns_with_enough(digits: Sequence[int]) -> Iterator[int]:
    """The turns that may say enough digits for an identifier, with those before and after them; and its ends."""
    turns = [turn for turn, count in enumerate(digits) if count]
    start, has_enough = 0, False
    for n, turn in enumerate(turns):
        if n + 1 == len(turns) or turns[n + 1] - turn > MOST_TURNS:
            if sum(digits[turns[start] : turn + 1]) >= _FEWEST_DIGITS:
                has_enough = True
                yield from range(turns[start] - MOST_TURNS, turn + MOST_TURNS + 1)
            start = n + 1
    if has_enough:
        yield from (turn for turn in turns if digits[turn] >= FEWEST_REPEATED)


def _stretch(texts: Sequence[str], shown: range) -> range:
    """The turns shown with those around them that may say parts of their identifiers; none if they have nothing."""
    near = range(max(0, shown.start - MOST_TURNS), min(len(texts), shown.stop + MOST_TURNS))
    if not any(may_have_addresses(texts[turn]) for turn in shown) and not any(
        most_digits(texts[turn]) for turn in near
    ):
        return range(0)
    return range(max(0, shown.start - _FARTHEST), min(len(texts), shown.stop + _FARTHEST))


def _has_loose_end(text: str) -> bool:
    return most_digits(text) > 0 and has_loose_end(list(tokens_of(0, plain(text))))


def _escaped(text: str) -> str:
    return _LABEL.sub(r"‹\1›", text) if "<" in text else text


def _with_signs(text: str, start: int, end: int) -> int:
    """Where a number starts, with a sign or bracket before it."""
    while start and (text[start - 1] in "+＋" or (text[start - 1] in "(（" and text.find(")", start, end) >= 0)):
        start -= 1
    return start


def _kind_of_key(key: str) -> Kind | None:
    """The kind of identifier that a result's key names: numbers for `mobile_number`, ids for `accountNumber`."""
    names = {name.casefold() for name in _NAMES_IN_KEY.findall(key)}
    if names & words("other_numbers"):
        return None
    if names & words("id_words"):
        return "ids"
    return "numbers" if names & sure_phone_words() else None


def _national(normal: str) -> str:
    """A phone number without what is dialled before its national form."""
    import phonenumbers  # here, because its tables take longer to load than the server to start

    contact = parse_contact(normal)
    digits = contact.normal if contact else normal
    if len(digits) > _LONGEST_NATIONAL and digits.isdecimal():
        with suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(f"+{digits}")
            if phonenumbers.is_possible_number(number):
                return phonenumbers.national_significant_number(number)
    return digits
