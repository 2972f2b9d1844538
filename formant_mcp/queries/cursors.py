"""Cursors of everything that is paged; each is valid only for the same query on the same store.

`c:20:5d0c41e2a97b3f86:9f1c2a`: 20 shown so far, the last row, and a fingerprint of query and store. The next page
starts after that row, wherever new calls have moved it, so no row is repeated or skipped. Rows are numbered as they
were stored, and a member who may see some agents only must not learn how many calls there are: the number is masked.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from formant_mcp.errors import InvalidRequestError

_FORM = re.compile(r"c:(\d{1,9}):([0-9a-f]{16}):([0-9a-f]{6})")
_HINT = (
    "Omit cursor to start over, or give next_cursor from the previous answer, e.g. c:20:5d0c41e2a97b3f86:9f1c2a, and"
    " keep the other arguments unchanged."
)
_HALF = 1 << 32
_ROUNDS = range(4)


class Cursor(NamedTuple):
    """How many were shown, and the row after which the next page starts; 0 for the first page."""

    shown: int = 0
    row: int = 0


def query_fingerprint(*parts: object) -> str:
    """A hash of a query: equal for equal parts. A cursor shows only its beginning."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def format_cursor(cursor: Cursor, fingerprint: str) -> str:
    """The cursor as a text."""
    return f"c:{cursor.shown}:{_permute(cursor.row, fingerprint, _ROUNDS):016x}:{fingerprint[:6]}"


def parse_cursor(text: str, fingerprint: str) -> Cursor:
    """The cursor of a text, the first page for an empty one.

    Raises:
        InvalidRequestError: it is not one of ours, or was issued for other arguments.
    """
    if not text:
        return Cursor()
    match = _FORM.fullmatch(text)
    if not match:
        raise InvalidRequestError("cursor: invalid.", _HINT)
    if match[3] != fingerprint[:6]:
        raise InvalidRequestError("cursor: it was issued for different arguments.", _HINT)
    return Cursor(int(match[1]), _swap(_permute(_swap(int(match[2], 16)), fingerprint, reversed(_ROUNDS))))


def _permute(number: int, key: str, rounds: Iterable[int]) -> int:
    """Another number of 64 bits for each one, in an order that only the key gives: a Feistel network."""
    left, right = divmod(number, _HALF)
    for round_ in rounds:
        digest = hashlib.sha256(f"{key}:{round_}:{right}".encode()).digest()
        left, right = right, left ^ int.from_bytes(digest[:4], "big")
    return left * _HALF + right


def _swap(number: int) -> int:
    left, right = divmod(number, _HALF)
    return right * _HALF + left


def stale_cursor_error() -> InvalidRequestError:
    """The error for a cursor whose row no longer exists."""
    return InvalidRequestError(
        "cursor: expired, the call it pointed to no longer exists.", "Omit cursor to start over."
    )
