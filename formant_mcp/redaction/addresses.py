"""Finds e-mail addresses and UPI ids, written or spoken (`rahul dot sharma at gmail dot com`)."""

import re
from collections.abc import Iterator

from formant_mcp.redaction.spans import Identifier, Place

_EMAIL = re.compile(
    r"[^\W_](?:[\w.+%'-]{0,63})@(?:[^\W_](?:[\w-]{0,62})\.){1,6}[^\W\d_]{2,24}|[^\W_]@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}"
)
_UPI = re.compile(r"[^\W_][\w.-]{1,63}@[^\W\d_]{2,20}[\w]{0,20}(?![\w.]*\.\w)")


def addresses_in(turn: int, text: str) -> Iterator[Identifier]:
    """The written addresses of a turn."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Identifier("emails", match[0].casefold(), (Place(turn, *match.span()),))
        for match in _UPI.finditer(text):
            yield Identifier("ids", match[0].casefold(), (Place(turn, *match.span()),))
