"""The results of a call, flattened for filters and counts: one row for each leaf."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.contacts import parse_contact
from formant_mcp.values import EXACT, read_value


class ResultValue(NamedTuple):
    """One value of one field: its path and position, its kind, and its forms to show, compare and calculate with.

    `kind`: `number` or `boolean`; for texts `numeral` (one that reads as a number), `date` or `text`.
    """

    path: str
    position: int
    kind: str
    text: str
    folded: str
    number: float | None


def flatten(results: Mapping[str, JsonValue]) -> list[ResultValue]:
    """Every leaf with a value, by its dotted path; a list's values share a path, in order; null is no value."""
    values: list[ResultValue] = []
    counts: dict[str, int] = {}
    for path, leaf in _leaves(results):
        position = counts.get(path, 0)
        counts[path] = position + 1
        values.append(ResultValue(path, position, *described(leaf)))
    return values


def values_by_path(results: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The values of each path as `flatten` has them: of several of one path a list."""
    values: dict[str, list[JsonValue]] = {}
    for path, leaf in _leaves(results):
        values.setdefault(path, []).append(leaf)
    return {path: leaves[0] if len(leaves) == 1 else leaves for path, leaves in values.items()}


def described(leaf: JsonValue) -> tuple[str, str, str, float | None]:
    """A value's kind, text, normal form, and number."""
    if isinstance(leaf, bool):
        text = json.dumps(leaf)
        return "boolean", text, text, None
    if isinstance(leaf, int | float):
        text, is_number = json.dumps(leaf), abs(leaf) < 1e300  # a larger one is only a text
        return "number" if is_number else "text", text, read_value(text).normal, float(leaf) if is_number else None
    text = str(leaf)
    kind, normal, number = read_value(text)
    if number is not None and abs(number) < EXACT:
        return "numeral", text, normal, number
    return "date" if kind == "date" else "text", text, normal, None


def reversed_contact(number: str | None) -> str | None:
    """A contact's normal form, last character first, so that "ends with" becomes "begins with"."""
    contact = parse_contact(number)
    return contact and contact.normal[::-1]


def _leaves(results: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    # A stack instead of recursion: the sender decides how deeply results are nested.
    todo: list[tuple[str, JsonValue]] = list(reversed(list(results.items())))
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo.extend((f"{path}.{key}", inner) for key, inner in reversed(list(value.items())))
        elif isinstance(value, list):
            todo.extend((path, inner) for inner in reversed(value))
        elif value is not None and str(value).strip():  # an empty text is no value
            yield path, value
