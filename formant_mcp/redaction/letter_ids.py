"""Finds ids of letters and digits, written, spaced or spelled: PAN, GSTIN, IFSC, IBAN, and those that are named near.

A turn is read as cells: letters, groups of capital letters, and digits. An id begins and ends with a cell.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from formant_mcp.redaction.spans import Identifier, Place
from formant_mcp.redaction.tokens import Token
from formant_mcp.redaction.words import words

_SURE = re.compile(r"[A-Z]{3}[ABCFGHJLPTK][A-Z]\d{4}[A-Z]|\d\d[A-Z]{5}\d{4}[A-Z][A-Z\d]Z[A-Z\d]|[A-Z]{4}0[A-Z\d]{6}")
_IBAN = re.compile(r"[A-Z]{2}\d\d[A-Z\d]{11,30}")
_NAMED = re.compile(r"[A-Z]\d{7}|[A-Z]{3}\d{7}|[A-Z]{2}\d{13}")  # passport, voter id, driving licence of India
_HINT = re.compile(r"[^\W\d_]\d|\d[^\W\d_]|(?<![^\W_])[A-Z]{3,5}(?![^\W_])|(?:(?<![^\W_])[^\W\d_]\W+){2}")
_LONGEST_LETTERS = 6
_FEWEST, _SHORTEST_IBAN = 8, 15


class _Cell(NamedTuple):
    text: str
    start: int
    end: int
    is_sure: bool


def may_have_letter_ids(text: str) -> bool:
    """Whether letters are beside digits, or spelled; a cheap test."""
    return bool(_HINT.search(text))


def letter_ids_in(tokens: Sequence[Token]) -> Iterator[Identifier]:
    """The ids that the tokens of one turn say, which are not none."""
    named = not words("letter_id_words").isdisjoint(token.text.casefold() for token in tokens)
    for cells in _rows_of_cells(tokens):
        text = "".join(cell.text for cell in cells)
        if len(text) >= _FEWEST and any(character.isdigit() for character in text):
            for first, last, normal in _matches(cells, text, named):
                yield Identifier("ids", normal, (Place(tokens[0].turn, cells[first].start, cells[last].end),))


def _rows_of_cells(tokens: Sequence[Token]) -> Iterator[list[_Cell]]:
    cells: list[_Cell] = []
    times = 1
    for n, token in enumerate(tokens):
        if _is_example(tokens, n) or (n and _is_example(tokens, n - 1)):
            continue
        text = _cell_text(token)
        if token.number and token.number.times:
            times = token.number.times
        elif text:
            is_glued = n > 0 and tokens[n - 1].end == token.start
            is_next = n + 1 < len(tokens) and tokens[n + 1].start == token.end
            is_sure = len(token.text) == 1 or token.text.isupper() or is_glued or is_next or not token.text.isalpha()
            cells.append(_Cell(text * times, token.start, token.end, is_sure or bool(token.number)))
            times = 1
        elif token.kind != "separator":
            yield cells
            cells, times = [], 1
    yield cells


def _is_example(tokens: Sequence[Token], n: int) -> bool:
    """Whether the token is the `for` of B for Bombay."""
    if tokens[n].text.casefold() != "for" or not 0 < n < len(tokens) - 1:
        return False
    letter, example = tokens[n - 1].text.casefold(), tokens[n + 1].text.casefold()
    return len(letter) == 1 and example.startswith(letter)


def _cell_text(token: Token) -> str:
    """The letters or digits that a token says; '' if it is an ordinary word."""
    if token.kind == "digits":
        return token.text
    if token.number and len(token.text) > 1 and not token.number.is_hundred:
        return token.number.digits
    is_short = token.text.isascii() and token.text.isalpha() and len(token.text) <= _LONGEST_LETTERS
    return token.text.upper() if is_short else ""


def _matches(cells: Sequence[_Cell], text: str, named: bool) -> Iterator[tuple[int, int, str]]:
    """The first and last cell of each id, and the id."""
    starts = [0, *accumulate(len(cell.text) for cell in cells)]
    last_cells = {end: n for n, end in enumerate(starts[1:])}
    for first, start in enumerate(starts[:-1]):
        ends = {
            match.end()
            for pattern in (_SURE, _NAMED)
            if (match := pattern.match(text, start)) and (named or pattern is _SURE)
        }
        if iban := _IBAN.match(text, start):
            ends |= {end for end in _ends_by_check(text, start, iban.end()) if end in last_cells}
        for end in ends:
            last = last_cells.get(end)
            if last is not None and (named or _are_sure(cells[first : last + 1])) and not _is_part(cells, first, last):
                yield first, last, text[start:end]


def _are_sure(cells: Sequence[_Cell]) -> bool:
    return all(cell.is_sure for cell in cells)


def _is_part(cells: Sequence[_Cell], first: int, last: int) -> bool:
    """Whether letters or digits without a blank go on before or after these cells."""
    is_after = first > 0 and cells[first - 1].end == cells[first].start
    return is_after or (last + 1 < len(cells) and cells[last].end == cells[last + 1].start)


def _ends_by_check(text: str, start: int, last: int) -> Iterator[int]:
    """The ends that an IBAN from `start` may have by its check digits, at most at `last`."""
    head = int("".join(str(int(character, 36)) for character in text[start : start + 4]))
    rest = 0
    for end in range(start + 4, last):
        digits = int(text[end], 36)
        rest = (rest * (10 if digits < 10 else 100) + digits) % 97
        # Nearly never, and much faster than the library, which also knows each country's form.
        if end + 1 >= start + _SHORTEST_IBAN and (rest * 10**6 + head) % 97 == 1 and _is_iban(text[start : end + 1]):
            yield end + 1


@lru_cache(maxsize=1_024)
def _is_iban(text: str) -> bool:
    from stdnum import iban  # here, because most answers have none

    return iban.is_valid(text)
