"""Finds ids of letters and digits, written, spaced or spelled: PAN, GSTIN, IFSC, IBAN, and those that are named near.

A turn is read as cells: letters, groups of capital letters, and digits. An id begins and ends with a cell.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from formant_mcp.redaction.spans import Identifier, Place
from formant_mcp.redaction.tokens import Token
from formant_mcp.redaction.words import words

_SURE = re.compile(r"[A-Z]{3}[ABCFGHJLPTK][A-Z]\d{4}[A-Z]|\d\d[A-Z]{5}\d{4}[A-Z][A-Z\d]Z[A-Z\d]|[A-Z]{4}0[A-Z\d]{6}")
_IBAN = re.compile(r"[A-Z]{2}\d\d[A-Z\d]{11,30}")
_NAMED = re.compile(r"[A-Z]\d{7}|[A-Z]{3}\d{7}|[A-Z]{2}\d{13}")  # passport, voter id, driving licence of India
_LONGEST_LETTERS = 6
_FEWEST, _MOST_CELLS = 8, 400


class _Cell(NamedTuple):
    text: str
    start: int
    end: int
    is_sure: bool


def letter_ids_in(tokens: Sequence[Token]) -> Iterator[Identifier]:
    """The ids that the tokens of one turn say."""
    named = not words("letter_id_words").isdisjoint(token.text.casefold() for token in tokens)
    for cells in _rows_of_cells(tokens):
        text = "".join(cell.text for cell in cells)
        if len(text) >= _FEWEST and any(character.isdigit() for character in text):
            for start, end in _matches(cells, text, named):
                yield Identifier("ids", text[start:end], (_place(tokens[0].turn, cells, start, end),))


def _rows_of_cells(tokens: Sequence[Token]) -> Iterator[list[_Cell]]:
    cells: list[_Cell] = []
    times = 1
    for n, token in enumerate(tokens):
        text = _cell_text(token)
        if token.number and token.number.times:
            times = token.number.times
        elif text:
            is_glued = n > 0 and tokens[n - 1].end == token.start
            is_next = n + 1 < len(tokens) and tokens[n + 1].start == token.end
            is_sure = len(token.text) == 1 or token.text.isupper() or is_glued or is_next or not token.text.isalpha()
            cells.append(_Cell(text * times, token.start, token.end, is_sure or bool(token.number)))
            times = 1
        elif token.kind != "separator" or len(cells) >= _MOST_CELLS:
            yield cells
            cells, times = [], 1
    yield cells


def _cell_text(token: Token) -> str:
    """The letters or digits that a token says; '' if it is an ordinary word."""
    if token.kind == "digits":
        return token.text
    if token.number and len(token.text) > 1 and not token.number.is_hundred:
        return token.number.digits
    is_short = token.text.isascii() and token.text.isalpha() and len(token.text) <= _LONGEST_LETTERS
    return token.text.upper() if is_short else ""


def _matches(cells: Sequence[_Cell], text: str, named: bool) -> Iterator[tuple[int, int]]:
    """Start and end of each id in the text of the cells."""
    starts, ends, place = set[int](), set[int](), 0
    unsure: list[tuple[int, int]] = []
    for cell in cells:
        starts.add(place)
        if not cell.is_sure:
            unsure.append((place, place + len(cell.text)))
        place += len(cell.text)
        ends.add(place)
    for pattern in (_SURE, _NAMED) if named else (_SURE,):
        for start in sorted(starts):
            match = pattern.match(text, start)
            if match and match.end() in ends:
                is_sure = named or not any(first < match.end() and last > start for first, last in unsure)
                if is_sure:
                    yield start, match.end()
    for start in sorted(starts):
        match = _IBAN.match(text, start)
        if match:
            yield from (
                (start, end) for end in sorted(ends) if start + 15 <= end <= match.end() and _is_iban(text[start:end])
            )


def _is_iban(text: str) -> bool:
    from stdnum import iban  # here, because most answers have none

    return iban.is_valid(text)


def _place(turn: int, cells: Sequence[_Cell], start: int, end: int) -> Place:
    place = 0
    within: list[_Cell] = []
    for cell in cells:
        if start <= place < end:
            within.append(cell)
        place += len(cell.text)
    return Place(turn, within[0].start, within[-1].end)
