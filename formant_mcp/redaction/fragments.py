"""Digits that are said together: the fragments of a turn, of which phone numbers and ids consist.

A fragment is digits and number words with nothing but blanks, separators and a few fillers between them.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import regex

from formant_mcp.redaction.spans import Place
from formant_mcp.redaction.tokens import Token
from formant_mcp.redaction.words import sure_phone_words, words

TIGHT, LOOSE = range(2)
"""What is between two items: at most blanks and separators; a comma or fillers."""

FEWEST_REPEATED = 5
"""How many digits of an identifier are hidden where they are said again."""

UNKNOWN = "??"
"""The digits of a word that is probably a number word."""

_GUESS = re.compile("[a-z']{4,12}", re.IGNORECASE)
_MOST_FILLERS = 3
_NEAR_BEFORE, _NEAR_AFTER = 14, 6
_NEAR_NAME, _MOST_NAMING = 6, 3
_LONGEST_QUANTITY = 7
_TIGHT_MARKS = regex.compile(r"[-–—‐‑.()\[\]+*#_~•·'\"\p{Cf}\p{M}]+")
_DASHES = ("-", "–", "‐", "‑")
_TIMES = frozenset({"baar", "bar", "times", "दफा", "बार"})


class Item(NamedTuple):
    """Digits said as one. `gap` is what is between it and the item before.

    `longer` is another reading with one more digit: `sixty two` is 62, or 60 and 2. `is_guess`: an unknown word between
    number words, probably another spelling of one.
    """

    digits: str
    place: Place
    gap: int = TIGHT
    longer: str = ""
    is_weak: bool = False
    is_written: bool = False
    is_glued: bool = False
    has_plus: bool = False
    is_after_dash: bool = False
    is_guess: bool = False


class Fragment(NamedTuple):
    """Items in a row. `words_before` and `words_after` count those between it and the ends of its turn.

    `near`: the words near it, in its turn and those before. `is_reference`: it is named as that of an order, a ticket
    or the like. `is_first` and `is_last`: no other number or quantity is between it and the turn's beginning, or its
    end.
    """

    items: tuple[Item, ...]
    words_before: int
    words_after: int
    is_first: bool
    is_last: bool
    near: frozenset[str]
    is_reference: bool

    @property
    def digits(self) -> str:
        """All digits of the items."""
        return "".join(item.digits for item in self.items)

    @property
    def turn(self) -> int:
        """The index of the turn."""
        return self.items[0].place.turn


class _Builder:
    """The items of the fragment at hand, from token `first` to token `last`."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.first = self.last = 0
        self.gap = TIGHT
        self.fillers = 0
        self.times: Token | None = None

    def add(self, token: Token, item: Item) -> None:
        if self.times and self.times.number:
            place = item.place._replace(start=self.times.start)
            item = item._replace(digits=item.digits * self.times.number.times, longer="", place=place)
        self.items.append(item if item.gap == self.gap else item._replace(gap=self.gap))
        self.gap, self.fillers, self.times = TIGHT, 0, None


def fragments_of(tokens: Sequence[Token], before: Sequence[Token]) -> list[Fragment]:
    """The fragments of one turn; `before` are the tokens of the turns before it."""
    builders: list[_Builder] = []
    builder = _Builder()
    for n, token in enumerate(tokens):
        if builder.items and _is_guess(tokens, n):
            builder.add(token, Item(UNKNOWN, Place(token.turn, token.start, token.end), is_weak=True, is_guess=True))
            continue
        if (builder.items or builder.times) and not _continues(builder, tokens, n):
            builders.append(_finished(builder, token))
            builder = _Builder()
        if token.kind in ("digits", "number"):
            builder.first = n if not builder.items and not builder.times else builder.first
            builder.last = n
            _add(builder, tokens, n)
    builders = [some for some in (*builders, builder) if some.items]
    counted = [n for n, token in enumerate(tokens) if _is_counted(token)]
    words_until = [0, *accumulate(token.kind == "word" for token in tokens)]
    some = [builder for builder in builders if _may_matter(builder, counted)] or builders[:1]
    return [_fragment(builder, tokens, before, counted, words_until) for builder in some]


def _may_matter(builder: _Builder, counted: Sequence[int]) -> bool:
    """Whether it has enough digits to be hidden, or may go on in another turn: a long turn has many that do neither."""
    is_first = not counted or counted[0] >= builder.first
    is_last = not counted or counted[-1] <= builder.last
    return is_first or is_last or sum(len(item.digits) for item in builder.items) >= FEWEST_REPEATED


def _is_guess(tokens: Sequence[Token], n: int) -> bool:
    """Whether a word between two number words, neither of them an ordinary word, may be a number word too."""
    if tokens[n].kind != "word" or not _GUESS.fullmatch(tokens[n].text) or n + 1 == len(tokens):
        return False
    following = tokens[n + 2] if n + 2 < len(tokens) and tokens[n + 1].text == "," else tokens[n + 1]
    before = tokens[n - 2] if n > 1 and tokens[n - 1].text == "," else tokens[n - 1]
    return all(number and len(number.digits) == 2 for number in (before.number, following.number))


def _is_counted(token: Token) -> bool:
    """Whether a token is surely a number, or a quantity."""
    is_number = token.kind == "digits" or bool(token.number and not token.number.is_weak)
    return is_number or token.kind in ("unit", "opaque")


def _fragment(
    builder: _Builder,
    tokens: Sequence[Token],
    before: Sequence[Token],
    counted: Sequence[int],
    words_until: Sequence[int],
) -> Fragment:
    first, last = builder.first, builder.last
    near = [*before[-_NEAR_BEFORE:], *tokens[max(0, first - _NEAR_BEFORE) : first]][-_NEAR_BEFORE:]
    near += tokens[last + 1 : last + 1 + _NEAR_AFTER]
    return Fragment(
        tuple(builder.items),
        words_until[first],
        words_until[-1] - words_until[last + 1],
        not counted or counted[0] >= first,
        not counted or counted[-1] <= last,
        frozenset(token.text.casefold() for token in near),
        _is_reference(tokens[max(0, first - _NEAR_NAME) : first]),
    )


def _is_reference(before: Sequence[Token]) -> bool:
    """Whether these tokens end like `order number` or `ticket no. is`."""
    named = [token.text.casefold() for token in before if token.kind != "separator"][-_MOST_NAMING:]
    return not words("reference_words").isdisjoint(named) and (words("id_words") | sure_phone_words()).isdisjoint(named)


def _finished(builder: _Builder, following: Token) -> _Builder:
    """Without a last item that is a quantity, because a unit follows it."""
    is_quantity = following.kind == "unit" and builder.gap == TIGHT
    if is_quantity and builder.items and len(builder.items[-1].digits) <= _LONGEST_QUANTITY:
        builder.items.pop()
    return builder


def _continues(builder: _Builder, tokens: Sequence[Token], n: int) -> bool:
    """Whether the fragment may go on with this token."""
    token = tokens[n]
    if token.kind in ("digits", "number"):
        return True
    if token.kind == "separator":
        if builder.gap == TIGHT and not _TIGHT_MARKS.fullmatch(token.text):
            builder.gap = LOOSE
        return True
    if token.text.casefold() in _TIMES:
        return bool(builder.items) and n + 1 < len(tokens) and tokens[n + 1].number is not None
    if token.kind == "filler":
        builder.gap = LOOSE
        builder.fillers += 1
        return builder.fillers <= _MOST_FILLERS
    return False


def _add(builder: _Builder, tokens: Sequence[Token], n: int) -> None:
    token, number = tokens[n], tokens[n].number
    place = Place(token.turn, token.start, token.end)
    before = tokens[n - 1] if n else None
    last = builder.items[-1] if builder.items else None
    if not number:
        adjacent = before if before and before.end == token.start else None
        is_glued = adjacent is not None and adjacent.kind not in ("separator", "mark", "opaque")
        mark = adjacent.text[-1] if adjacent and adjacent.kind == "separator" else ""
        if _are_ordinary_words(builder.items) and len(token.text) > 2:  # no. 98765, for 98765
            builder.items.clear()
            builder.first, builder.gap = n, TIGHT
        has_plus, is_after_dash = mark == "+", mark in _DASHES
        builder.add(token, Item(token.text, place, builder.gap, "", False, True, is_glued, has_plus, is_after_dash))
    elif number.times:
        builder.times = token
    elif number.is_hundred:
        if last and builder.gap == TIGHT and len(last.digits) <= 2:
            builder.items[-1] = last._replace(digits=last.digits + "00", place=last.place._replace(end=token.end))
        else:
            builder.add(token, Item("100", place, is_weak=True))
    elif last and before and before.text.casefold() in _TIMES and last.digits in ("2", "3", "4"):
        builder.items.pop()
        builder.gap = last.gap
        builder.add(token, Item(number.digits * int(last.digits), place._replace(start=last.place.start)))
    elif last and _are_tens_and_ones(tokens, n) and builder.gap == TIGHT and not builder.times:
        digits = last.digits[:-1] + number.digits
        longer = last.digits + number.digits
        builder.items[-1] = last._replace(digits=digits, longer=longer, place=last.place._replace(end=token.end))
    else:
        builder.add(token, Item(number.digits, place, longer=number.longer, is_weak=number.is_weak))


def _are_ordinary_words(items: Sequence[Item]) -> bool:
    return bool(items) and all(item.is_weak for item in items)


def _are_tens_and_ones(tokens: Sequence[Token], n: int) -> bool:
    """Whether the token ends a number like ninety eight or ninety-eight."""
    number = tokens[n].number
    if not number or len(number.digits) != 1 or number.digits == "0":
        return False
    before = tokens[n - 2] if n > 1 and tokens[n - 1].text in _DASHES else tokens[n - 1] if n else None
    return before is not None and before.number is not None and before.number.is_tens


def near_phone(fragments: Sequence[Fragment]) -> bool:
    """Whether a word near speaks of phones, and none of the numbers of something else."""
    near = frozenset[str]().union(*(fragment.near for fragment in fragments))
    if words("other_numbers").isdisjoint(near):
        return not words("phone_words").isdisjoint(near)
    return not sure_phone_words().isdisjoint(near)


def near_id(fragments: Sequence[Fragment]) -> bool:
    """Whether a word near speaks of accounts, cards or identity numbers."""
    return any(not words("id_words").isdisjoint(fragment.near) for fragment in fragments)
