"""Finds phone numbers and ids of digits, however they are said: written, spoken, mixed, over several turns.

How long the digits are and how they are said decides. Seven digits said one by one are an identifier, and so is
whatever has the form of a mobile number; an amount, a year, or a list of them is none. What is split over turns must
have the form of a number or be said one by one. An end of an identifier that is said again, of five digits or more, is
hidden too; four digits are not.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from formant_mcp.redaction.fragments import (
    FEWEST_REPEATED,
    LOOSE,
    TIGHT,
    Fragment,
    Item,
    fragments_of,
    near_id,
    near_phone,
)
from formant_mcp.redaction.kinds import LABEL
from formant_mcp.redaction.spans import Identifier, Kind, Place
from formant_mcp.redaction.tokens import Token
from formant_mcp.redaction.words import words

MOST_TURNS = 3
"""How many turns two parts of an identifier may be apart."""

_FEWEST, _LONG, _LONGEST_PHONE, _MOST = 7, 10, 15, 19
_MOST_WORDS_BETWEEN = 8
_NEAR = 14
_MOST_WORDS_BESIDE = 2
_MOST_JOINED, _MOST_PARTS, _FEW_PARTS = 10, 4, 2
_MOBILE = re.compile(r"(?:0{0,2}91)?0?[6-9]\d{9}")
_DIALLED = re.compile(r"0[1-9]\d{8,9}|1(?:800|860)\d{6,7}|00[1-9]\d{8,12}")
_ABROAD = re.compile(r"1?[2-9]\d\d[2-9]\d{6}|91[1-5]\d{9}")
_GROUPED_ABROAD = ((3, 3, 4), (1, 3, 3, 4), (3, 7), (10,), (11,))
_CODE = re.compile(r"0|(?:00)?\d{1,3}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY, _MONTH = "(?:0[1-9]|[12]\\d|3[01])", "(?:0[1-9]|1[0-2])"
_DATE = re.compile(rf"{_YEAR.pattern}{_MONTH}{_DAY}(?:[0-2]\d[0-5]\d[0-5]\d)?|{_DAY}{_MONTH}{_YEAR.pattern}")
_TIMESTAMP = re.compile(r"1[5-9]\d{8}(?:\d{3}){0,2}")  # seconds since 1970, from 2017 to 2033, and parts of a second

_CARD_GROUP = 4
_OFTEN_ONE_BY_ONE, _MOSTLY_ONE_BY_ONE = 0.6, 0.8
_STEPS = (1, 2, 3, 5, 6, 10, 12, 15, 20, 25, 30, 50)

Joined = list[Fragment]


def identifiers_in(tokens: Sequence[Token], kinds: frozenset[str]) -> Iterator[Identifier]:
    """The identifiers that the tokens of successive turns say."""
    rest: list[Fragment] = []
    parts: dict[str, Identifier] = {}
    for joined in _joined(tokens):
        hidden = set[Place]()
        for items, digits in _identifiers(joined):
            kind = _kind(joined, items, digits, kinds)
            if kind:
                identifier = Identifier(kind, digits, tuple(_places(items)))
                parts |= _parts_of(identifier)
                hidden |= {item.place for item in items}
                yield identifier
        rest += (fragment for fragment in joined if hidden.isdisjoint(item.place for item in fragment.items))
    for fragment in rest:
        whole = parts.get(fragment.digits[:FEWEST_REPEATED])
        if whole and fragment.digits in whole.normal:
            yield Identifier(whole.kind, whole.normal, tuple(_places(fragment.items)))


def _parts_of(identifier: Identifier) -> dict[str, Identifier]:
    last = len(identifier.normal) - FEWEST_REPEATED
    return {identifier.normal[n : n + FEWEST_REPEATED]: identifier for n in range(last + 1)}


def _places(items: Sequence[Item]) -> Iterator[Place]:
    for turn, group in groupby(items, lambda item: item.place.turn):
        places = [item.place for item in group]
        yield Place(turn, places[0].start, places[-1].end)


def _digits_of(items: Sequence[Item]) -> str:
    return "".join(item.digits for item in items)


def _said_once(items: Sequence[Item]) -> list[Item]:
    """The items, without those of a turn that says the ones before it again."""
    once: list[Item] = []
    digits = ""
    for _, group in groupby(items, lambda item: item.place.turn):
        turn = list(group)
        said = "".join(item.digits for item in turn)
        if len(said) == 1 or not digits.endswith(said):
            once += turn
            digits += said
    return once


# Fragments that may be one identifier


def has_loose_end(tokens: Sequence[Token]) -> bool:
    """Whether tokens of one turn say digits that may be an end of an identifier of another turn."""
    return any(len(fragment.digits) >= FEWEST_REPEATED for fragment in fragments_of(tokens, ()))


def _joined(tokens: Sequence[Token]) -> Iterator[Joined]:
    """Fragments in a row, of one turn or of several with little between them."""
    joined: Joined = []
    before: list[Token] = []
    words_between = previous = 0
    for turn, group in groupby(tokens, lambda token: token.turn):
        said = list(group)
        if turn > previous + 1:  # what is between says no digits, nor do the turns around it
            if joined:
                yield joined
            joined, before, words_between = [], [], 0
        previous = turn
        fragments = fragments_of(said, before)
        is_other = any(token.text.casefold() in words("other_numbers") or LABEL.fullmatch(token.text) for token in said)
        words_between += 0 if fragments else sum(token.kind in ("word", "number") for token in said)
        if is_other and joined:
            yield joined
            joined = []
        for fragment in fragments:
            if joined and not _may_go_on(joined[-1], fragment, words_between):
                yield joined
                joined = []
            joined.append(fragment)
            words_between = 0
            if len(joined) == _MOST_JOINED:
                yield joined
                joined = []
        before = (before + said)[-_NEAR:]
    if joined:
        yield joined


def _may_go_on(fragment: Fragment, following: Fragment, words_between: int) -> bool:
    return (
        1 <= following.turn - fragment.turn <= MOST_TURNS
        and fragment.is_last
        and following.is_first
        and fragment.words_after + words_between + following.words_before <= _MOST_WORDS_BETWEEN
    )


# What of them is one


def _identifiers(joined: Joined) -> Iterator[tuple[Sequence[Item], str]]:
    """The items that are an identifier together, and its digits."""
    start = 0
    while start < len(joined):
        end, digits = _end_over_turns(joined, start) if len(joined) > start + 1 else (0, "")
        if end:
            yield [item for fragment in joined[start:end] for item in fragment.items], digits
            start = end
        else:
            for items in _in_one_turn(joined[start]):
                yield items, _digits_of(items)
            start += 1


def _end_over_turns(joined: Joined, start: int) -> tuple[int, str]:
    """Where an identifier that begins here and is said over turns ends, and its digits; 0 if none does."""
    if _has_form(joined[start].items):
        return 0, ""
    for read in (list[Item], _as_mobile):
        for end in range(start + 2, len(joined) + 1):
            fragments = joined[start:end]
            items = read(_said_once([item for fragment in fragments for item in fragment.items]))
            if _is_one_over_turns(fragments, items):
                return end, _digits_of(items)
    rest = joined[start:]
    items = [item for fragment in rest for item in fragment.items]
    digits = _digits_of(_said_once(items))
    are_parts = len(digits) <= _LONGEST_PHONE and _are_hardly_more_than_digits(rest)
    is_one = _one_by_one(items) >= _MOSTLY_ONE_BY_ONE or (are_parts and near_phone(rest[:1]))
    is_said = is_one and _is_surely_said(items) and len(digits) >= _LONG
    return (len(joined), digits) if is_said else (0, "")


def _are_hardly_more_than_digits(fragments: Joined) -> bool:
    """Whether turns after the first say hardly anything else, and few parts are round numbers or years."""
    others = max(fragment.words_before + fragment.words_after for fragment in fragments[1:])
    rounds = sum(_is_round_or_year(fragment.digits) for fragment in fragments)
    return others <= _MOST_WORDS_BESIDE and rounds * 2 <= len(fragments)


def _is_one_over_turns(fragments: Joined, items: Sequence[Item]) -> bool:
    digits = _digits_of(items)
    if len(digits) > _MOST or not _is_surely_said(items) or all(_is_round_or_year(part.digits) for part in fragments):
        return False
    if _is_near(fragments[:1]):
        return _has_form(items)
    parts = len({item.place.turn for item in items})
    if parts > _MOST_PARTS or (parts > _FEW_PARTS and not _are_hardly_more_than_digits(fragments)):
        return False
    if _MOBILE.fullmatch(digits):
        return True
    return is_card(digits) and all(len(fragment.digits) == _CARD_GROUP for fragment in fragments)


def _is_near(fragments: Sequence[Fragment]) -> bool:
    return near_phone(fragments) or near_id(fragments)


def _in_one_turn(fragment: Fragment) -> Iterator[Sequence[Item]]:
    if is_card(fragment.digits) or is_aadhaar(fragment.digits):
        yield from _if_one(fragment, fragment.items)
        return
    stretch: list[Item] = []
    for n, item in enumerate(fragment.items):
        is_long = len(item.digits) >= _LONG
        is_another = is_long and not (item.gap == TIGHT and _is_code(stretch))
        if stretch and (is_another or item.has_plus or (item.gap == LOOSE and _is_complete(fragment, stretch, n))):
            yield from _if_one(fragment, stretch)
            stretch = []
        stretch.append(item)
        if is_long:
            yield from _if_one(fragment, stretch)
            stretch = []
    yield from _if_one(fragment, stretch)


def _is_complete(fragment: Fragment, items: Sequence[Item], end: int) -> bool:
    """Whether items of the fragment are a number without those from `end` on."""
    if len(items) > _MOST or not _has_form(items):
        return False
    rest = fragment.items[end : end + _FEWEST]
    is_end_of_it = len(_digits_of(rest)) < _FEWEST and _one_by_one(rest) >= _OFTEN_ONE_BY_ONE
    return not is_end_of_it and not (near_id([fragment]) and len(_digits_of(fragment.items[: _MOST + 1])) <= _MOST)


def _is_code(items: Sequence[Item]) -> bool:
    """Whether the items are a country code, or zeros dialled before a number."""
    return all(item.is_written for item in items) and bool(_CODE.fullmatch(_digits_of(items)))


def _if_one(fragment: Fragment, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items if they are an identifier; or all but the first or the last, if only those have the form of one."""
    for part in map(_as_mobile, (items, items[1:], items[:-1])):
        if part and _has_form(part) and _is_one(fragment, part):
            yield part
            return
    if sum(len(item.digits) for item in items) >= _FEWEST and _is_one(fragment, items):
        yield items


def _as_mobile(items: Sequence[Item]) -> Sequence[Item]:
    """The items with the longer readings that make them a mobile number, if there are such readings."""
    missing = _LONG - sum(len(item.digits) for item in items)
    if missing <= 0 or missing > sum(bool(item.longer) for item in items):
        return items
    longer: list[Item] = []
    for item in items:
        is_longer = bool(item.longer) and missing > 0
        missing -= is_longer
        longer.append(item._replace(digits=item.longer, is_weak=False) if is_longer else item)
    return longer if _MOBILE.fullmatch(_digits_of(longer)) else items


def _is_one(fragment: Fragment, items: Sequence[Item]) -> bool:
    """Whether items of one turn are an identifier."""
    digits = _digits_of(items)
    is_near = _is_near([fragment])
    if not _is_surely_said(items) or (fragment.is_reference and len(digits) < _LONG and not _has_form(items)):
        return False
    if any(item.is_guess for item in items):
        return _are_pairs(items)
    if len(items) == 1:
        if len(digits) >= _LONG and (is_near or not _is_time(digits)):
            return not items[0].is_glued or bool(_MOBILE.fullmatch(digits))
        is_other = items[0].is_glued or _is_time(digits) or digits.endswith("000")
        return is_near or items[0].has_plus or not is_other
    if _is_counting(items) or all(_is_round_or_year(item.digits) for item in items):
        return False
    if items[0].has_plus or _has_form(items) or _one_by_one(items) >= _OFTEN_ONE_BY_ONE:
        return True
    if not any(item.is_written for item in items) and _are_pairs(items):
        return True
    is_tight = all(item.gap == TIGHT for item in items[1:])
    if is_near:
        return is_tight or (len(digits) >= _LONG and all(len(item.digits) <= 3 for item in items))
    is_written = is_tight and all(item.is_written for item in items)
    rounds = sum(_is_round_or_year(item.digits) for item in items)
    is_list = all(len(item.digits) == 3 and item.digits[0] != "0" for item in items)  # of readings: 110 145 180 210
    return (
        is_written
        and not is_list
        and (rounds * 3 <= len(items) if len(digits) >= _LONG else not rounds and _is_local(items))
    )


def _are_pairs(items: Sequence[Item]) -> bool:
    """Whether it is most of a mobile number, said in pairs; a word may be unknown, or left out."""
    pairs = [item.digits for item in items if len(item.digits) == 2 and not item.is_guess]
    guesses = sum(item.is_guess for item in items)
    is_list = all(pair[1] in "05" for pair in pairs)
    return len(pairs) >= 4 - guesses and guesses <= 1 and len(items) <= 6 and not is_list and pairs[0][0] in "6789"


def _is_local(items: Sequence[Item]) -> bool:
    """Whether it is grouped as a local number: 555-0100, 2345-6789."""
    return items[-1].is_after_dash and [len(item.digits) for item in items] in ([3, 4], [4, 4])


def _is_surely_said(items: Sequence[Item]) -> bool:
    """Whether enough of the digits are beyond doubt."""
    digits = _digits_of(items)
    sure = sum(len(item.digits) for item in items if not item.is_weak)
    fewest = 2 if len(set(digits)) >= 4 and is_phone(digits) else max(4, (len(digits) + 1) // 2)
    return sure >= fewest


def _one_by_one(items: Sequence[Item]) -> float:
    """The share of digits that are said one by one, or doubled."""
    single = sum(len(item.digits) for item in items if len(item.digits) <= 3 and len(set(item.digits)) == 1)
    return single / sum(len(item.digits) for item in items)


def _is_counting(items: Sequence[Item]) -> bool:
    if any(item.is_guess for item in items) or (len(items) == _LONG and _MOBILE.fullmatch(_digits_of(items))):
        return False
    steps = {int(after.digits) - int(item.digits) for item, after in pairwise(items)}
    are_doubled = all(len(set(item.digits)) < len(item.digits) for item in items)
    return len(items) > 3 and len(steps) == 1 and not are_doubled and all(abs(step) in _STEPS for step in steps)


def _is_time(digits: str) -> bool:
    return bool(_DATE.fullmatch(digits) or _TIMESTAMP.fullmatch(digits))


def _is_round_or_year(digits: str) -> bool:
    return digits.endswith("00") or bool(_YEAR.fullmatch(digits))


def _has_form(items: Sequence[Item]) -> bool:
    """Whether the digits, as they are grouped, have the form of a phone number, a card or an Aadhaar number."""
    digits = _digits_of(items)
    if _ABROAD.fullmatch(digits) and not _DIALLED.fullmatch(digits):
        lengths = tuple(len(item.digits) for item in items)
        is_grouped = lengths in _GROUPED_ABROAD and all(item.gap == TIGHT for item in items[1:])
        return bool(_MOBILE.fullmatch(digits)) or is_grouped or _one_by_one(items) >= _OFTEN_ONE_BY_ONE
    return is_phone(digits) or is_card(digits) or is_aadhaar(digits)


def is_phone(digits: str) -> bool:
    """Whether the digits are those of a phone number, in India, North America, or with a prefix."""
    return bool(_MOBILE.fullmatch(digits) or _DIALLED.fullmatch(digits) or _ABROAD.fullmatch(digits))


def is_card(digits: str) -> bool:
    """Whether it is a card's number, by its length, first digit and check digit."""
    if not 13 <= len(digits) <= _MOST or digits[0] not in "23456":
        return False
    from stdnum import luhn  # here, because most answers have no such number

    return luhn.is_valid(digits)


def is_aadhaar(digits: str) -> bool:
    """Whether it is an Aadhaar number, by its check digit."""
    if len(digits) != 12 or digits[0] in "01":
        return False
    from stdnum.in_ import aadhaar

    return aadhaar.is_valid(digits)


def _kind(joined: Joined, items: Sequence[Item], digits: str, kinds: frozenset[str]) -> Kind | None:
    """The kind of an identifier, of those that are hidden; None if it is of no such kind."""
    has_phone_form = is_phone(digits) or items[0].has_plus
    if len(digits) > _LONGEST_PHONE:
        order: tuple[Kind, ...] = ("ids",) if is_card(digits) or near_id(joined) else ("ids", "numbers")
    elif has_phone_form and not (near_id(joined) and not near_phone(joined)):
        order = ("numbers", "ids") if is_card(digits) or is_aadhaar(digits) else ("numbers",)
    elif near_id(joined) or is_card(digits) or is_aadhaar(digits):
        order = ("ids", "numbers")
    else:
        order = ("numbers",)
    return next((kind for kind in order if kind in kinds), None)
