"""Finds ids of letters and digits: PAN, GSTIN, IFSC, IBAN, passport and voter ids."""

import re
from collections.abc import Iterator

from formant_mcp.redaction.spans import Identifier, Place

_ID = re.compile(
    r"(?<![^\W_])(?:[A-Z]{3}[ABCFGHJLPTK][A-Z] ?\d{4} ?[A-Z]"
    r"|\d\d ?[A-Z]{5} ?\d{4} ?[A-Z] ?[A-Z\d]Z[A-Z\d]|[A-Z]{4} ?0[A-Z\d]{6}"
    r"|[A-Z]{2}\d\d ?(?:[A-Z\d]{4} ?){2,7}[A-Z\d]{1,4})(?![^\W_])",
    re.IGNORECASE,
)


def letter_ids_in(turn: int, text: str) -> Iterator[Identifier]:
    """The ids of a turn."""
    for match in _ID.finditer(text):
        normal = match[0].replace(" ", "").upper()
        if any(character.isdigit() for character in normal):
            yield Identifier("ids", normal, (Place(turn, *match.span()),))
