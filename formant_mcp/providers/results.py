"""Parses the results of a call, in whatever form they were sent, into an object, and counts what was lost."""

import json
import re

from pydantic import JsonValue

from formant_mcp.providers.json_values import MOST_LEVELS, Wire, as_text, clean, clean_json, is_something, unpack
from formant_mcp.providers.speakers import plain

_NAMES = ("name", "key", "id", "field", "label", "path")
_VALUES = ("value", "result", "answer")
_WRAPPERS = ("data", "results", "result", "value", "json", "output", "response", "content", "text")
_MOST_STEPS = 8
_JSON_START = re.compile(r'\{\s*"|\[\s*[\[{]')
_LINE = re.compile(
    r"[*•#>\-\s]*(?P<name>[^\W\d][\w .()/\-]{0,39}?)\**\s*[:=](?!//|(?<=\d:)\d)\s*\**\s*(?P<value>\S.*)", re.DOTALL
)
_BROKEN = ("{", "[{", "```")


def read_results(wire: JsonValue) -> tuple[Wire | None, int]:
    """An object of results, None if there are none; and how many values were lost.

    JSON in a string is parsed, however often it was encoded, also inside a value and with prose around it. Names and
    values become an object, whether they are sent as pairs, as a list of objects, or as lines of `name: value`; values
    with the same name become a list. Anything else is kept as `value`: `{"value": "paid"}`; a list or broken JSON kept
    this way counts as lost, because none of its fields can be used.
    """
    if wire is None:
        return None, 0
    sent = unpack(wire)
    for _ in range(_MOST_STEPS):
        before, sent = sent, _unwrap_once(sent)
        if sent is before:
            break
    if sent is None:
        return None, 0
    cleaned, lost = clean_json(_unpack_nested(sent))
    if isinstance(cleaned, dict):
        return cleaned, lost
    is_list = isinstance(cleaned, list) and is_something(cleaned)
    is_broken = isinstance(cleaned, str) and (cleaned.startswith(_BROKEN) or _JSON_START.search(cleaned) is not None)
    return {"value": cleaned}, lost + (is_list or is_broken)


def _unwrap_once(sent: JsonValue) -> JsonValue:
    """One step towards an object of names and values; the same value if there is nothing to unwrap."""
    if isinstance(sent, str):
        return _json_in(sent) or _parse_lines(sent) or sent
    if isinstance(sent, list):
        pairs_of_items = [_pairs(item) for item in sent]
        pairs = [pair for pairs_of_item in pairs_of_items if pairs_of_item for pair in pairs_of_item]
        return _merged(pairs) if pairs and None not in pairs_of_items else sent
    if not isinstance(sent, dict) or not 1 <= len(sent) <= 2:
        return sent
    (name, value), *others = sent.items()
    if not others:
        inner = _json_of(value) if plain(name) in _WRAPPERS else None
        return sent if inner is None else inner
    fields = {plain(field): value for field, value in sent.items()}
    named = next((fields[field] for field in _NAMES if field in fields), None)
    return {named: fields["value"]} if isinstance(named, str) and clean(named) and "value" in fields else sent


def _pairs(item: JsonValue) -> list[tuple[str, JsonValue]] | None:
    """The names and values in an item of a list; None if it has another form."""
    if item is None:
        return []
    if isinstance(item, dict):
        return list((_pair(item) or item).items())
    if isinstance(item, str):
        match = _LINE.fullmatch(item)
        return [(match["name"], match["value"])] if match else None
    if isinstance(item, list) and len(item) == 2 and isinstance(name := item[0], str) and clean(name):
        return [(name, item[1])]
    return None


def _pair(wire: Wire) -> Wire | None:
    """A value by its name; the other fields of the object become `<name>_<field>`."""
    fields = {plain(name): name for name in wire}
    name_field = next((fields[name] for name in _NAMES if name in fields and as_text(wire[fields[name]])), None)
    value_field = next((fields[name] for name in _VALUES if name in fields), None)
    if name_field is None or value_field is None:
        return None
    name = as_text(wire[name_field]) or ""
    others = {f"{name}_{field}": value for field, value in wire.items() if field not in (name_field, value_field)}
    return {name: wire[value_field], **others}


def _merged(pairs: list[tuple[str, JsonValue]]) -> Wire:
    merged: dict[str, list[JsonValue]] = {}
    for name, value in pairs:
        merged.setdefault(clean(name), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in merged.items()}


def _parse_lines(text: str) -> Wire | None:
    """Two or more lines (or parts between semicolons) of `name: value`; other lines continue the line before them."""
    lines = [line.strip() for line in (text.splitlines() if "\n" in text else text.split(";")) if line.strip()]
    matches = [_LINE.fullmatch(line) for line in lines]
    if sum(map(bool, matches)) < max(2, len(lines) / 2):
        return None
    pairs: list[tuple[str, list[str]]] = []
    for line, match in zip(lines, matches, strict=True):
        if match or not pairs:
            pairs.append((match["name"], [match["value"]]) if match else ("value", [line]))
        else:
            pairs[-1][1].append(line)
    return _merged([(name, " ".join(parts)) for name, parts in pairs])


def _json_in(text: str) -> JsonValue:
    """The first JSON object or list in a text; None if there is none."""
    start = _JSON_START.search(text)
    try:
        return json.JSONDecoder().raw_decode(text, start.start())[0] if start else None
    except (ValueError, RecursionError):
        return None


def _json_of(value: JsonValue) -> JsonValue:
    """The object or list that a text holds as JSON; None if it holds none."""
    inner = unpack(clean(value)) if isinstance(value, str) else None
    return inner if isinstance(inner, dict | list) else None


def _unpack_nested(value: JsonValue, levels: int = MOST_LEVELS) -> JsonValue:
    """The same value with every JSON text in it parsed."""
    if levels > 0 and (inner := _json_of(value)) is not None:
        value = inner
    if levels > 0 and isinstance(value, dict):
        return {name: _unpack_nested(item, levels - 1) for name, item in value.items()}
    if levels > 0 and isinstance(value, list):
        return [_unpack_nested(item, levels - 1) for item in value]
    return value
