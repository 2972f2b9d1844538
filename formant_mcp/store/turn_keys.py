"""A turn's key: its conversation's row and its index, so that one range of keys is one transcript in order."""

from collections.abc import Iterable

from formant_mcp.text_search.spelling import phonetic_key
from formant_mcp.text_search.tokenizer import forms_in

KEY_BITS = 20
MAX_TURNS = 1 << KEY_BITS


def turn_key(row_id: int, index: int) -> int:
    """The key of a turn. An index higher than a transcript can have gives the end of the range."""
    return (row_id << KEY_BITS) + min(index, MAX_TURNS)


def row_of(turn_id: int) -> int:
    """The row of a turn's conversation."""
    return turn_id >> KEY_BITS


WORD_COLUMNS = ("word", "stem", "spelling")


def pieces_in(indexed: Iterable[str]) -> set[str]:
    """The distinct words of indexed texts, joined ones in one piece."""
    return {piece for text in indexed for piece in text.split()}


def word_rows(pieces: Iterable[str]) -> list[tuple[str, str, str]]:
    """The distinct words of these pieces, joined ones too, each with its stem and its phonetic key."""
    return [(word, stem, phonetic_key(word)) for word, stem in sorted(forms_in(" ".join(pieces)).items())]
