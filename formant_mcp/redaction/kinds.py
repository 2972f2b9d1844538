"""The kinds of identifiers that can be hidden, as settings and options name them."""

import re
from typing import Final

KINDS: Final = ("numbers", "emails", "ids")
LABEL: Final = re.compile(r"<(?:number|email|id) [0-9]+>")
"""What answers have in place of an identifier; each answer numbers its own."""


def parse_kinds(text: str) -> frozenset[str]:
    """The kinds in a list with commas; none for ''.

    Raises:
        ValueError: a word is no kind, so something would stay visible that should not.
    """
    kinds = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    if not kinds.issubset(KINDS):
        raise ValueError(f"takes {', '.join(KINDS)}, with commas between them")
    return kinds
