"""The words of `words/*.txt`. Lines that begin with `#` are comments."""

from functools import cache
from importlib.resources import files


@cache
def words(name: str) -> frozenset[str]:
    """The words of a list."""
    return frozenset(word for line in _lines(name) for word in line.split())


@cache
def sure_phone_words() -> frozenset[str]:
    """The words that speak of phones only."""
    return words("phone_words") - words("any_number")


def rows(name: str) -> list[tuple[str, list[str]]]:
    """The lines of a table: a number, and its words."""
    return [(number, spellings) for number, *spellings in (line.split() for line in _lines(name))]


def _lines(name: str) -> list[str]:
    text = (files("formant_mcp.redaction") / "words" / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]
