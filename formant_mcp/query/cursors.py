"""Cursors: where a list goes on, good for the same question on the same store alone.

`c:20:4711:9f1c2a`: so many shown, the last one's row, and a mark of question and store. The next page begins behind
that row, wherever new calls have pushed it, so none is shown twice or left out.
"""

import hashlib
import re
from typing import NamedTuple

from formant_mcp.errors import InvalidRequestError

_FORM = re.compile(r"c:(\d{1,9}):(\d{1,18}):([0-9a-f]{6})")
_HINT = (
    "Leave cursor out to start again, or give next_cursor of the answer before, e.g. c:20:4711:9f1c2a, with the same"
    " other arguments."
)


class Cursor(NamedTuple):
    """How many were shown, and the row that the next page begins behind; 0 for the first page."""

    shown: int = 0
    row: int = 0


def question_mark(*parts: object) -> str:
    """A short mark of a question: the same for the same parts, another for others."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:6]


def write_cursor(cursor: Cursor, mark: str) -> str:
    """The cursor as a text."""
    return f"c:{cursor.shown}:{cursor.row}:{mark}"


def read_cursor(text: str, mark: str) -> Cursor:
    """The cursor of a text, the first page for an empty one.

    Raises:
        InvalidRequestError: it is not one of ours, or belongs to another question.
    """
    if not text:
        return Cursor()
    found = _FORM.fullmatch(text)
    if not found:
        raise InvalidRequestError("cursor was not issued by this server.", _HINT)
    if found[3] != mark:
        raise InvalidRequestError("cursor belongs to another question.", _HINT)
    return Cursor(int(found[1]), int(found[2]))


def lost_cursor() -> InvalidRequestError:
    """What to say where the row that a cursor names is gone."""
    return InvalidRequestError("cursor points to a call that is gone.", "Leave cursor out to start again.")
