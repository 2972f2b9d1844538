"""Cursors of everything that is paged; each is valid only for the same query on the same store.

`c:20:4711:9f1c2a`: 20 shown so far, row 4711 was the last, and a fingerprint of query and store. The next page starts
after that row, wherever new calls have moved it, so no row is repeated or skipped.
"""

import hashlib
import re
from typing import NamedTuple

from formant_mcp.errors import InvalidRequestError

_FORM = re.compile(r"c:(\d{1,9}):(\d{1,18}):([0-9a-f]{6})")
_HINT = (
    "Omit cursor to start over, or give next_cursor from the previous answer, e.g. c:20:4711:9f1c2a, and keep the other"
    " arguments unchanged."
)


class Cursor(NamedTuple):
    """How many were shown, and the row after which the next page starts; 0 for the first page."""

    shown: int = 0
    row: int = 0


def query_fingerprint(*parts: object) -> str:
    """A short hash of a query: equal for equal parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:6]


def format_cursor(cursor: Cursor, fingerprint: str) -> str:
    """The cursor as a text."""
    return f"c:{cursor.shown}:{cursor.row}:{fingerprint}"


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
    if match[3] != fingerprint:
        raise InvalidRequestError("cursor: it was issued for different arguments.", _HINT)
    return Cursor(int(match[1]), int(match[2]))


def stale_cursor_error() -> InvalidRequestError:
    """The error for a cursor whose row no longer exists."""
    return InvalidRequestError(
        "cursor: expired, the call it pointed to no longer exists.", "Omit cursor to start over."
    )
