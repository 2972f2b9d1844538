"""Normalizes the forms in which clients and models send an argument.

null, an empty text and an empty list count as left out; a list may be JSON text, separated by commas or lines, or a
single value; numbers and booleans may be text. Anything else is passed on unchanged, and pydantic refuses it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import unquote

from pydantic import JsonValue

_ADDRESS_IN = re.compile(r"formant://conversations/([^/\s()<>\[\]\"'`?#,;]+)", re.IGNORECASE)
_LINK = re.compile(r"\[[^\[\]\n]{0,100}\]\(([^()\s]+)\)")
_BESIDE_IDS = re.compile(
    r"and|or|&|[-*•·]|\d{1,3}[.)]|(?:recordings?|transcripts?|conversations?|calls?|conversation_ids?|ids?)[:=]?",
    re.IGNORECASE,
)
_CALLS = re.compile(r"(?:(?P<within>, )| \()\d[\d,]* calls?\)$")
ADDRESS = re.compile(r"formant://conversations/([^/]+)(/recording|/transcript)?")
"""The address of a conversation, its recording or its transcript; the id in it is percent-encoded."""

UNITS = {
    word: unit
    for unit, words in {
        "second": "s sec secs second seconds",
        "minute": "m min mins minute minutes",
        "hour": "h hr hrs hour hours",
        "day": "d day days",
        "week": "w wk wks week weeks",
        "month": "month months",
        "year": "y yr yrs year years",
    }.items()
    for word in words.split()
}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_NULLS = ("", "null", "undefined")
QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’"}
_PAIRS = {**QUOTES, "<": ">"}
_LABEL = re.compile(r"(?:conversation_id|id|next_cursor|cursor)\s*[=:]\s*", re.IGNORECASE)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{2,3})+(?:\.\d+)?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MEASURED = re.compile(r"(\S+?)\s*([a-z]+)", re.IGNORECASE)


def is_left_out(value: object) -> bool:
    """Whether it counts as left out: null (as a text, too), an empty text, list or object."""
    if isinstance(value, str):
        return value.strip().lower() in _NULLS
    return value is None or value in ([], {})


def unquoted(text: str) -> str:
    """The text without the quotes, backquotes or angle brackets around it; a text in JSON's form as it was before."""
    text = text.strip()
    while len(text) > 1 and _PAIRS.get(text[0]) == text[-1]:
        text = (as_json if (as_json := json_text(text)) is not None else text[1:-1]).strip()
    return text


def json_text(text: str) -> str | None:
    """The text that is written in quotes with escapes, as answers print some values; None for any other."""
    if "\\" not in text or not text.startswith('"'):
        return None
    try:
        inside: object = json.loads(text)
    except ValueError:
        return None
    return inside if isinstance(inside, str) else None


def unlabelled(text: str) -> str:
    """The text without quotes and without a name before it, as in `cursor="c:20:5d0c41e2a97b3f86:9f1c2a"`."""
    return unquoted(_LABEL.sub("", unquoted(text), count=1) if _LABEL.match(unquoted(text)) else text)


def id_in(text: str) -> str:
    """The conversation id in a text: in a resource address, in quotes, or truncated with `…`, as answers print it."""
    text = unlabelled(text)
    address = _ADDRESS_IN.search(text)
    text = unquote(address[1]) if address else text
    return re.sub(r"(?<=\w)\.+$", "", text.removesuffix("…")).strip()


def json_in(text: str) -> JsonValue:
    """The list or object that a text contains as JSON or as Python prints it; the text itself if there is none."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    for spelling in (text, "" if '"' in text else text.replace("'", '"')):
        try:
            return cast(JsonValue, json.loads(spelling))
        except (ValueError, RecursionError):
            continue
    return text


def unbracketed(text: str) -> str | None:
    """The inside of a list without quotes, as in `[failed, busy]`; None if only one bracket is there."""
    text = text.strip()
    if text.startswith("[") != text.endswith("]"):
        return None
    return text[1:-1] if text.startswith("[") else text


def as_text(value: object) -> object:
    """A text; a number is an id, and a list of one item is that item."""
    value = _single(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_name(value: object) -> object:
    """A value of a field: without quotes, and without a count of calls as in `busy (12 calls)`.

    `-`, which answers print for a missing value, is `(none)`.
    """
    inside = json_in(value) if isinstance(value, str) else None
    value = as_text(inside if isinstance(inside, list) else value)
    if not isinstance(value, str):
        return value
    name = _without_calls(unquoted(value))
    return "(none)" if name == "-" else name


def _without_calls(text: str) -> str:
    return _CALLS.sub(lambda count: ")" if count["within"] else "", text)


def as_cursor(value: object) -> object:
    """A cursor, without its name and quotes."""
    value = _single(value)
    return unlabelled(value) if isinstance(value, str) else value


def as_number(value: object) -> object:
    """A number. Booleans are refused, which pydantic would accept as 1 and 0."""
    value = _single(value)
    if not isinstance(value, str):
        return None if isinstance(value, bool) else value
    text = unquoted(value)
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def as_share(value: object) -> object:
    """A number, or a percentage such as `20%`."""
    value = as_number(value)
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return float(percent[1]) / 100 if percent else value


def as_seconds(value: object) -> object:
    """A duration: a number, or a number with a unit, such as `142 s` or `2 min`."""
    value = as_number(value)
    match = _MEASURED.fullmatch(value) if isinstance(value, str) else None
    factor = _SECONDS.get(UNITS.get(match[2].lower(), "")) if match else None
    if not match or not factor:
        return value
    try:
        return float(cast(str, as_number(match[1]))) * factor
    except ValueError:
        return value


def as_choice(others: Mapping[str, str]) -> Callable[[object], object]:
    """One of several words, in any case, or a synonym of one in `others`."""

    def read(value: object) -> object:
        value = _single(value)
        if not isinstance(value, str | bool | int):
            return value
        word = unquoted(str(value)).lower()
        return others.get(word, word)

    return read


def as_list(
    read: Callable[[object], object], keys: Sequence[str] = (), separators: str = ",;\n"
) -> Callable[[object], object]:
    """A list whose items `read` normalizes; an object counts as its value for the first of `keys` that it has."""

    def read_all(value: object) -> object:
        if isinstance(value, str):
            value = json_in(value)
        if isinstance(value, str):
            inside = unbracketed(value)
            if inside is None:
                return value
            value = inside
        items = cast(list[object], value) if isinstance(value, list) else [value]
        return [read(part) for item in items for part in _parts(item, keys, separators) if not is_left_out(part)]

    return read_all


def as_ids(value: object) -> object:
    """Conversation ids, also from a sentence or a Markdown list; labels and bullets beside them are removed."""
    items = cast(list[object], value) if isinstance(value, list) else [value]
    items = [_LINK.sub(r" \1 ", item) if isinstance(item, str) else item for item in items]
    parts = _ids(items if isinstance(value, list) else items[0])
    if not isinstance(parts, list):
        return parts
    ids = cast(list[object], parts)
    return [part for part in ids if not (isinstance(part, str) and _BESIDE_IDS.fullmatch(part))] or ids


def as_id(value: object) -> object:
    """A single conversation id."""
    parts = as_ids(value)
    ids = cast(list[object], parts) if isinstance(parts, list) else []
    return as_text(ids[0] if len(ids) == 1 else value)


def _parts(item: object, keys: Sequence[str], separators: str) -> Sequence[object]:
    if isinstance(item, dict):
        fields = cast(dict[str, object], item)
        item = next((fields[key] for key in keys if isinstance(fields.get(key), str)), fields)
    return re.split(f"[{separators}]", _without_calls(item)) if isinstance(item, str) else [item]


_ids = as_list(as_text, keys=("conversation_id", "id"), separators=r",;\s")


def _single(value: object) -> object:
    """The only item of a list of one, else the value itself."""
    items = cast(list[object], value) if isinstance(value, list) else []
    return items[0] if len(items) == 1 else cast(object, value)
