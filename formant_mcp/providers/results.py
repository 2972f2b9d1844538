"""The results of a call as an object, in whatever form they were sent, and how much of them could not be kept."""

import json
import re

from pydantic import JsonValue

from formant_mcp.providers.json_values import MOST_LEVELS, Wire, clean, clean_json, is_something, text, unpacked
from formant_mcp.providers.speakers import plain

_NAMES = ("name", "key", "id", "field", "label", "path")
_VALUES = ("value", "result", "answer")
_WRAPPERS = ("data", "results", "result", "value", "json", "output", "response", "content", "text")
_MOST_STEPS = 8
_JSON_BEGINS = re.compile(r'\{\s*"|\[\s*[\[{]')
_LINE = re.compile(
    r"[*•#>\-\s]*(?P<name>[^\W\d][\w .()/\-]{0,39}?)\**\s*[:=](?!//|(?<=\d:)\d)\s*\**\s*(?P<value>\S.*)", re.DOTALL
)
_BROKEN = ("{", "[{", "```")


def read_results(wire: JsonValue) -> tuple[Wire | None, int]:
    """An object of results, None where there are none; how many values it could not keep.

    JSON in a string is read, however often it was encoded, also in a value and with prose around it. Names and values
    are an object of them, in whatever form they come: lists of pairs or of objects, or lines of `name: value`; what
    comes under a name twice is a list. What else is no object is kept as `value`: `{"value": "paid"}`; where that is a
    list, or a text that is JSON and is broken (cut off, say), it is counted, for no field of it can be seen.
    """
    sent = unpacked(wire)
    for _ in range(_MOST_STEPS):
        before, sent = sent, _a_step_nearer(sent)
        if sent is before:
            break
    if sent is None:
        return None, 0
    cleaned, lost = clean_json(_opened(sent))
    if isinstance(cleaned, dict):
        return cleaned, lost
    is_list = isinstance(cleaned, list) and is_something(cleaned)
    is_broken = isinstance(cleaned, str) and (cleaned.startswith(_BROKEN) or _JSON_BEGINS.search(cleaned) is not None)
    return {"value": cleaned}, lost + (is_list or is_broken)


def _a_step_nearer(sent: JsonValue) -> JsonValue:
    """The same, nearer to an object of values by their names; the very same where there is nothing to be done."""
    if isinstance(sent, str):
        return _json_in(sent) or _of_lines(sent) or sent
    if isinstance(sent, list):
        pairs = [_pairs(each) for each in sent]
        found = [pair for each in pairs if each for pair in each]
        return _merged(found) if found and None not in pairs else sent
    if not isinstance(sent, dict) or not 1 <= len(sent) <= 2:
        return sent
    (name, value), *others = sent.items()
    if not others:
        inner = _json_of(value) if plain(name) in _WRAPPERS else None
        return sent if inner is None else inner
    fields = {plain(each): value for each, value in sent.items()}
    named = next((fields[each] for each in _NAMES if each in fields), None)
    return {named: fields["value"]} if isinstance(named, str) and clean(named) and "value" in fields else sent


def _pairs(item: JsonValue) -> list[tuple[str, JsonValue]] | None:
    """The names and values that an item of a list holds; None where it is none of these."""
    if item is None:
        return []
    if isinstance(item, dict):
        return list((_pair(item) or item).items())
    if isinstance(item, str):
        found = _LINE.fullmatch(item)
        return [(found["name"], found["value"])] if found else None
    if isinstance(item, list) and len(item) == 2 and isinstance(name := item[0], str) and clean(name):
        return [(name, item[1])]
    return None


def _pair(wire: Wire) -> Wire | None:
    """A value by its name; what else stands beside the value is `<name>_<field>`."""
    fields = {plain(name): name for name in wire}
    name_field = next((fields[each] for each in _NAMES if each in fields and text(wire[fields[each]])), None)
    value_field = next((fields[each] for each in _VALUES if each in fields), None)
    if name_field is None or value_field is None:
        return None
    name = text(wire[name_field]) or ""
    others = {f"{name}_{each}": value for each, value in wire.items() if each not in (name_field, value_field)}
    return {name: wire[value_field], **others}


def _merged(pairs: list[tuple[str, JsonValue]]) -> Wire:
    values: dict[str, list[JsonValue]] = {}
    for name, value in pairs:
        values.setdefault(clean(name), []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in values.items()}


def _of_lines(text: str) -> Wire | None:
    """Lines (or parts between semicolons) of `name: value`, two or more; others go on with the line before them."""
    lines = [line.strip() for line in (text.splitlines() if "\n" in text else text.split(";")) if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    if sum(map(bool, found)) < max(2, len(lines) / 2):
        return None
    pairs: list[tuple[str, list[str]]] = []
    for line, match in zip(lines, found, strict=True):
        if match or not pairs:
            pairs.append((match["name"], [match["value"]]) if match else ("value", [line]))
        else:
            pairs[-1][1].append(line)
    return _merged([(name, " ".join(said)) for name, said in pairs])


def _json_in(text: str) -> JsonValue:
    """The first object or list of JSON in a text; None where there is none."""
    begins = _JSON_BEGINS.search(text)
    try:
        return json.JSONDecoder().raw_decode(text, begins.start())[0] if begins else None
    except (ValueError, RecursionError):
        return None


def _json_of(value: JsonValue) -> JsonValue:
    """The object or list that a text is as JSON; None where it is none."""
    inner = unpacked(clean(value)) if isinstance(value, str) else None
    return inner if isinstance(inner, dict | list) else None


def _opened(value: JsonValue, levels: int = MOST_LEVELS) -> JsonValue:
    """The same with every text of JSON in it read."""
    if levels > 0 and (inner := _json_of(value)) is not None:
        value = inner
    if levels > 0 and isinstance(value, dict):
        return {name: _opened(each, levels - 1) for name, each in value.items()}
    if levels > 0 and isinstance(value, list):
        return [_opened(each, levels - 1) for each in value]
    return value
