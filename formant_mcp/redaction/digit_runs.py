"""Finds phone numbers and ids of digits, however they are said: written, spoken, mixed, over several turns.

A run is digits with nothing but separators and fillers between them. Its length and the way it is said decide: seven
digits said one by one are an identifier, and so is whatever has the form of a mobile number; an amount, a year, or a
list of them is none.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from formant_mcp.redaction.spans import Identifier, Kind, Place
from formant_mcp.redaction.tokens import Token
from formant_mcp.redaction.words import words

TIGHT, LOOSE, TURN = range(3)
"""What is between two items: at most blanks and separators, a comma or fillers, or the end of a turn."""

_FEWEST, _FEWEST_SURE, _MOST = 7, 10, 19
_MOST_FILLERS = 3
_MOST_WORDS_BETWEEN = 6
_MOST_TURNS_BETWEEN = 2
_TIMES = frozenset({"baar", "bar", "times", "दफा", "बार"})
_MOBILE = re.compile(r"(?:0{0,2}91)?0?[6-9]\d{9}")
_PHONE = re.compile(r"1?[2-9]\d\d[2-9]\d{6}|0[1-9]\d{8,9}|1(?:800|860)\d{6,7}|00[1-9]\d{8,12}|91[1-5]\d{9}")
_CODE = re.compile(r"0|(?:00)?91|(?:00)?\d{1,3}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)\d\d"
)


class Item(NamedTuple):
    """Digits said together. `gap` is what is between it and the item before."""

    digits: str
    place: Place
    gap: int
    is_weak: bool = False
    is_written: bool = False
    is_glued: bool = False
    has_plus: bool = False


class Run(NamedTuple):
    """Items in a row, and whether words near them speak of phones or of ids."""

    items: tuple[Item, ...]
    near_phone: bool
    near_id: bool


def identifiers_in(tokens: Sequence[Token], kinds: frozenset[str]) -> Iterator[Identifier]:
    """The identifiers that the tokens of successive turns say."""
    for run in _runs(tokens):
        for items in _parts(run):
            kind = _kind(run, items, kinds)
            if kind:
                yield Identifier(kind, "".join(item.digits for item in items), tuple(_places(items)))


def _places(items: Sequence[Item]) -> Iterator[Place]:
    turn, start, end = items[0].place
    for item in items[1:]:
        if item.place.turn != turn:
            yield Place(turn, start, end)
            turn, start, end = item.place
        end = item.place.end
    yield Place(turn, start, end)


# Runs


class _Builder:
    """Collects the items of the run at hand."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.first_token = 0
        self.gap = TIGHT
        self.fillers = 0
        self.times: Token | None = None
        self.tens: Token | None = None
        self.turns = 0
        self.words = 0

    def add(
        self, token: Token, digits: str, *, is_weak: bool = False, is_glued: bool = False, has_plus: bool = False
    ) -> None:
        place = Place(token.turn, token.start, token.end)
        if self.times and self.times.turn == token.turn and self.times.number:
            digits, place = digits * self.times.number.times, place._replace(start=self.times.start)
        self.items.append(Item(digits, place, self.gap, is_weak, token.kind == "digits", is_glued, has_plus))
        self.gap, self.fillers, self.times, self.turns, self.words = TIGHT, 0, None, 0, 0

    def merge(self, token: Token, digits: str) -> None:
        """Replaces the last item by one that ends with this token: ninety eight, five hundred."""
        last = self.items[-1]
        self.items[-1] = last._replace(digits=digits, place=last.place._replace(end=token.end))


def _runs(tokens: Sequence[Token]) -> Iterator[Run]:
    builder = _Builder()
    for n, token in enumerate(tokens):
        if (builder.items or builder.times) and not _continues(builder, tokens, n):
            yield from _finished(builder, tokens, n)
            builder = _Builder()
        if token.kind in ("digits", "number"):
            if not builder.items:
                builder.first_token = n
            _add(builder, tokens, n)
    yield from _finished(builder, tokens, len(tokens))


def _finished(builder: _Builder, tokens: Sequence[Token], end: int) -> Iterator[Run]:
    items = builder.items
    following = tokens[end] if end < len(tokens) else None
    if following and following.kind == "unit" and items and builder.gap == TIGHT:
        is_quantity = len(items[-1].digits) <= _FEWEST and items[-1].place.turn == following.turn
        items = items[:-1] if is_quantity else items
    if sum(len(item.digits) for item in items) >= _FEWEST:
        near = [token.text.casefold() for token in tokens[max(0, builder.first_token - 14) : builder.first_token]]
        near += [token.text.casefold() for token in tokens[end : end + 6]]
        yield Run(tuple(items), not words("phone_words").isdisjoint(near), not words("id_words").isdisjoint(near))


def _continues(builder: _Builder, tokens: Sequence[Token], n: int) -> bool:
    """Whether the run may go on with this token."""
    token, before = tokens[n], tokens[n - 1]
    if token.turn != before.turn:
        builder.gap, builder.fillers, builder.words = TURN, 0, 0
        builder.turns += token.turn - before.turn
        if builder.turns > _MOST_TURNS_BETWEEN + 1:
            return False
    if token.kind in ("digits", "number"):
        return True
    if token.kind == "separator":
        if builder.gap < LOOSE and any(mark in token.text for mark in ",;…।"):
            builder.gap = LOOSE
        return True
    if token.text.casefold() in _TIMES and builder.items and n + 1 < len(tokens) and tokens[n + 1].number:
        return True
    if token.kind == "filler":
        builder.gap = max(builder.gap, LOOSE)
        builder.fillers += 1
        return builder.fillers <= _MOST_FILLERS or _is_between(tokens, n, builder)
    return _is_between(tokens, n, builder)


def _is_between(tokens: Sequence[Token], n: int, builder: _Builder) -> bool:
    """Whether the token is in a short turn without digits, after one that ends with digits."""
    if builder.gap != TURN or not builder.items or tokens[n].turn == builder.items[-1].place.turn:
        return False
    if tokens[n].kind not in ("word", "filler"):
        return False
    builder.words += 1
    if builder.words > _MOST_WORDS_BETWEEN:
        return False
    for token in tokens[n + 1 : n + 2 * _MOST_WORDS_BETWEEN]:
        if token.turn != tokens[n].turn:
            return True
        if token.kind in ("digits", "number", "unit", "opaque") and not (token.number and token.number.is_weak):
            return False
    return True


def _add(builder: _Builder, tokens: Sequence[Token], n: int) -> None:
    token, number = tokens[n], tokens[n].number
    before = tokens[n - 1] if n else None
    if not number:
        is_next = before is not None and before.turn == token.turn and before.end == token.start
        is_glued = is_next and before is not None and before.kind in ("word", "number", "unit", "filler")
        has_plus = is_next and before is not None and before.text.endswith("+")
        builder.add(token, token.text, is_glued=is_glued, has_plus=has_plus)
        return
    last = builder.items[-1] if builder.items else None
    is_tight = last is not None and builder.gap == TIGHT and before is not None and before.end <= last.place.end + 1
    if number.times:
        builder.times = token
    elif number.is_hundred:
        if last and is_tight and len(last.digits) <= 2:
            builder.merge(token, last.digits + "00")
        else:
            builder.add(token, "100", is_weak=True)
    elif last and before and before.text.casefold() in _TIMES and last.digits in ("2", "3", "4"):
        start = last.place.start
        builder.items.pop()
        builder.add(token, number.digits * int(last.digits))
        builder.items[-1] = builder.items[-1]._replace(
            place=builder.items[-1].place._replace(start=start), gap=last.gap
        )
    elif (
        last
        and is_tight
        and before
        and before.number
        and before.number.is_tens
        and len(number.digits) == 1
        and number.digits != "0"
    ):
        builder.merge(token, last.digits[:-1] + number.digits)
    else:
        builder.add(token, number.digits, is_weak=number.is_weak)


# Identifiers


def _parts(run: Run) -> Iterator[Sequence[Item]]:
    """The items of a run that are an identifier together."""
    stretch: list[Item] = []
    for item in run.items:
        digits = "".join(other.digits for other in stretch)
        is_long = len(item.digits) >= _FEWEST_SURE
        is_another = is_long and not (item.gap == TIGHT and _CODE.fullmatch(digits))
        if is_another or (item.gap != TIGHT and _is_whole(digits)):
            yield from _accepted(run, stretch)
            stretch = []
        stretch.append(item)
        if is_long:
            yield from _accepted(run, stretch)
            stretch = []
    yield from _accepted(run, stretch)


def _accepted(run: Run, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    if not items or sum(len(item.digits) for item in items) < _FEWEST:
        return
    if any(item.gap == TURN for item in items[1:]) and not _is_one_over_turns(run, items):
        start = 0
        for end in range(1, len(items) + 1):
            if end == len(items) or items[end].gap == TURN:
                yield from _accepted(run, [items[start]._replace(gap=TIGHT), *items[start + 1 : end]])
                start = end
    elif _is_said_as_one(run, items):
        yield items


def _is_one_over_turns(run: Run, items: Sequence[Item]) -> bool:
    digits = "".join(item.digits for item in items)
    if len(digits) < _FEWEST_SURE:
        return False
    return run.near_phone or run.near_id or _is_whole(digits) or _one_by_one(items) >= 0.8


def _is_said_as_one(run: Run, items: Sequence[Item]) -> bool:
    digits = "".join(item.digits for item in items)
    sure = sum(len(item.digits) for item in items if not item.is_weak)
    if sure < max(4, len(digits) // 2):
        return False
    is_near = run.near_phone or run.near_id
    if len(items) == 1:
        if len(digits) >= _FEWEST_SURE:
            return not items[0].is_glued or bool(_MOBILE.fullmatch(digits))
        return (
            is_near or items[0].has_plus or not (items[0].is_glued or _DATE.fullmatch(digits) or digits.endswith("000"))
        )
    if _is_counting(items):
        return False
    if items[0].has_plus or _one_by_one(items) >= 0.6:
        return True
    if all(_is_round_or_year(item.digits) for item in items):
        return False
    if len(digits) >= _FEWEST_SURE:
        return is_near or _is_whole(digits) or all(item.gap == TIGHT and item.is_written for item in items[1:])
    is_written = all(item.is_written and item.gap == TIGHT for item in items[1:]) and items[0].is_written
    return is_near or (is_written and len(items) <= 3 and not any(_is_round_or_year(item.digits) for item in items))


def _one_by_one(items: Sequence[Item]) -> float:
    """The share of digits that are said one by one, or doubled."""
    total = sum(len(item.digits) for item in items)
    return sum(len(item.digits) for item in items if len(set(item.digits)) == 1 and len(item.digits) <= 3) / total


def _is_counting(items: Sequence[Item]) -> bool:
    return len(items) > 3 and all(int(after.digits) - int(item.digits) == 1 for item, after in pairwise(items))


def _is_round_or_year(digits: str) -> bool:
    return digits.endswith("00") or bool(_YEAR.fullmatch(digits))


def _is_whole(digits: str) -> bool:
    """Whether these digits have the form of a phone number, a card or an Aadhaar number."""
    return bool(_MOBILE.fullmatch(digits) or _PHONE.fullmatch(digits)) or is_card(digits) or is_aadhaar(digits)


def is_card(digits: str) -> bool:
    """Whether it is a card's number, by its length, first digit and check digit."""
    if not 13 <= len(digits) <= _MOST or digits[0] not in "23456":
        return False
    from stdnum import luhn

    return luhn.is_valid(digits)


def is_aadhaar(digits: str) -> bool:
    """Whether it is an Aadhaar number, by its check digit."""
    if len(digits) != 12:
        return False
    from stdnum.in_ import aadhaar

    return aadhaar.is_valid(digits)


def _kind(run: Run, items: Sequence[Item], kinds: frozenset[str]) -> Kind | None:
    """The kind of an identifier that is hidden; None if no such kind is."""
    digits = "".join(item.digits for item in items)
    is_phone = bool(_MOBILE.fullmatch(digits) or _PHONE.fullmatch(digits)) or items[0].has_plus
    is_id = is_card(digits) or is_aadhaar(digits) or run.near_id or len(digits) > 15
    order: tuple[Kind, ...] = ("numbers",)
    if is_id:
        order = ("numbers", "ids") if is_phone and not (run.near_id and not run.near_phone) else ("ids", "numbers")
    if len(digits) > 15:
        order = ("ids",)
    return next((kind for kind in order if kind in kinds), None)
