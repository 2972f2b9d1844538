"""Finds the fields of a conversation that may hold its transcript, by their names."""

import re
from collections.abc import Iterator
from functools import lru_cache

from pydantic import JsonValue

from formant_mcp.providers.json_values import Wire, is_something
from formant_mcp.providers.speakers import plain

_NAMES = frozenset({"messages", "turns", "utterances"})
_NAME = re.compile(
    r"(?!.*(?:transcriber|transcriptionist)).*(?:transcript|dialog)\w*|\w*(?:chat|conversation|message)(?:history|log)"
)
_NO_TRANSCRIPT = re.compile(
    r".*(?:ids?|ur[li]s?|link|path|file|status|state|summary|languages?|model|provider|config|settings|options|at|time"
    r"|secs|seconds|ms|error|format|type|version|count|length|cost|enabled|available|title|hash)"
)
_CALL_OBJECTS = ("data", "call", "conversation", "artifact", "recording", "analysis")


def other_transcripts(wire: Wire, name: str = "", levels: int = 2) -> Iterator[JsonValue]:
    """Other fields of a conversation that may be its transcript; counts and flags are not, whatever their name."""
    transcripts, objects = _candidate_fields(tuple(wire), name)
    for field in transcripts:
        if isinstance(value := wire[field], str | list | dict) and is_something(value):
            yield value
    for field in objects if levels else ():
        if isinstance(part := wire[field], dict):
            yield from other_transcripts(part, levels=levels - 1)


@lru_cache(256)
def _candidate_fields(fields: tuple[str, ...], name: str) -> tuple[list[str], list[str]]:
    """Which of an object's fields may be a transcript by their name, and which may hold one; `name` is neither.

    Cached because the rows of a list have the same fields.
    """
    by_plain_name = {plain(field): field for field in fields if field != name}
    transcripts = [
        field
        for plain_name, field in by_plain_name.items()
        if plain_name in _NAMES or (_NAME.fullmatch(plain_name) and not _NO_TRANSCRIPT.fullmatch(plain_name))
    ]
    return transcripts, [by_plain_name[part] for part in _CALL_OBJECTS if part in by_plain_name]
