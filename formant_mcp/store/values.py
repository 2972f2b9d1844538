"""The results of a call, flattened to what can be filtered by and counted: one row a leaf."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.store.criteria import number_in


class ResultValue(NamedTuple):
    """One value of one field: where it stands, what it is, how it is shown, compared and reckoned with."""

    path: str
    position: int
    kind: str
    text: str
    folded: str
    number: float | None


def flatten(results: Mapping[str, JsonValue]) -> list[ResultValue]:
    """Every leaf with a value, by its dotted path; a list's values share a path, in order; null is no value."""
    found: list[ResultValue] = []
    counts: dict[str, int] = {}
    for path, leaf in _leaves(results):
        kind, text, number = _described(leaf)
        position = counts.get(path, 0)
        counts[path] = position + 1
        found.append(ResultValue(path, position, kind, text, text.casefold(), number))
    return found


def _leaves(results: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    # A stack instead of recursion: the depth is the sender's to choose.
    todo: list[tuple[str, JsonValue]] = list(reversed(list(results.items())))
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo.extend((f"{path}.{key}", inner) for key, inner in reversed(list(value.items())))
        elif isinstance(value, list):
            todo.extend((path, inner) for inner in reversed(value))
        elif value is not None:
            yield path, value


def _described(leaf: JsonValue) -> tuple[str, str, float | None]:
    if isinstance(leaf, bool):
        return "boolean", json.dumps(leaf), None
    if isinstance(leaf, int | float):
        number = number_in(str(leaf)) if abs(leaf) < 1e300 else None
        return "text" if number is None else "number", json.dumps(leaf), number  # what is too large is but a text
    text = str(leaf)
    return "text", text, number_in(text)
