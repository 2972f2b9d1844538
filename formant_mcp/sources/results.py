"""The results of a call as an object, in whatever form they were sent, and how much of them could not be kept."""

from pydantic import JsonValue

from formant_mcp.sources.speakers import plain
from formant_mcp.sources.wire_values import Wire, clean_json, text, unpacked

_NAMES = ("name", "key", "id", "field", "label", "path")
_VALUES = ("value", "result", "answer")


def read_results(wire: JsonValue) -> tuple[Wire | None, int]:
    """An object of results, None where there are none; how many values it could not keep.

    JSON in a string is read, however often it was encoded. A list of names and values is an object of them, a list of
    one object that object. What else is no object is kept as `value`: `{"value": "paid"}`. A text that begins as a JSON
    object and is none (cut off, say) is kept so too, and counted, for no field of it can be seen.
    """
    sent = unpacked(wire)
    if sent is None:
        return None, 0
    cleaned, lost = clean_json(_of_pairs(sent) if isinstance(sent, list) else sent)
    if isinstance(cleaned, dict):
        return cleaned, lost
    is_broken = isinstance(cleaned, str) and cleaned.startswith(("{", "[{", "```"))
    return {"value": cleaned}, lost + is_broken


def _of_pairs(wire: list[JsonValue]) -> JsonValue:
    """An object of the values by their names; what else stands beside a value is `<name>_<field>`.

    The list as it is where an item has no name or no value, or where a name comes twice.
    """
    if len(wire) == 1 and isinstance(only := wire[0], dict) and _pair(only) is None:
        return only
    pairs = [_pair(each) for each in wire if isinstance(each, dict)]
    found = [pair for pair in pairs if pair]
    names = {name for pair in found for name in pair}
    is_clear = found and len(found) == len(wire) and len(names) == sum(map(len, found))
    return {name: value for pair in found for name, value in pair.items()} if is_clear else wire


def _pair(wire: Wire) -> Wire | None:
    fields = {plain(name): name for name in wire}
    name_field = next((fields[each] for each in _NAMES if each in fields and text(wire[fields[each]])), None)
    value_field = next((fields[each] for each in _VALUES if each in fields), None)
    if name_field is None or value_field is None:
        return None
    name = text(wire[name_field]) or ""
    others = {f"{name}_{each}": value for each, value in wire.items() if each not in (name_field, value_field)}
    return {name: wire[value_field], **others}
