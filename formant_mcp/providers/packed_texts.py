"""Turns in a text that is not plain speech: JSON lines, truncated JSON, Python literals, tables; and empty texts."""

import ast
import csv
import json
import re

from pydantic import JsonValue

from formant_mcp.providers.json_values import unpack
from formant_mcp.providers.speakers import SAYS_WHO, plain
from formant_mcp.providers.turn_fields import WORDS

_MOST_MISSES = 16
_DECODER = json.JSONDecoder()
_JSON = re.compile(r"""[\s\\"]*(?:\{\s*(?:[\\"'{}]|\Z)|\[\s*(?:[\\"'{]|\Z|\[\s*["'\d]))""")
_PYTHON = re.compile(r"[\[{]\s*'|[\[{]\s*\{\s*'")
_MARKUP = re.compile(r"\s*<(?:[?!]\w|(\w[\w:.-]*)(?:\s[^<>]*)?>.*</\1>\s*\Z)", re.DOTALL)
_YAML = re.compile(
    rf"\s*(?:---\s*)?(?:-\s+)?(?:{'|'.join(SAYS_WHO)})\s*:.*\n\s+(?:text|content|message|words|transcript)\s*:",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\s*(?:https?|s3|gs|ftp|file|data)://?\S+\s*", re.IGNORECASE)
_NOT = (
    r"(?:not (?:\w+ ){0,2}?|un|in )(?:available|ready|found|generated|created|progress|complete)"
    r"|pending|processing|failed|missing|empty|disabled"
)
_NONE = re.compile(
    rf"\W*(?:n/?a|none|null|nil|undefined|(?:the |call )*transcri\w+ (?:(?:is|was|still|being) )*(?:{_NOT})(?: yet)?"
    r"|(?:no|empty) (?:call )?transcri\w+(?: (?:is|was|yet|available|found|generated|exists?|ready))*)\W*",
    re.IGNORECASE,
)
_LONGEST_NONE = 100


def says_none(text: str) -> bool:
    """Whether a text says that there is no transcript: `Transcript not available`."""
    return len(text) < _LONGEST_NONE and _NONE.fullmatch(text) is not None


def is_not_speech(text: str) -> bool:
    """Whether a text that could not be parsed is an address, or JSON or markup that is broken or unsupported."""
    return any(pattern.match(text) for pattern in (_JSON, _MARKUP, _YAML)) or _ADDRESS.fullmatch(text) is not None


def objects_in(text: str) -> tuple[list[JsonValue], int]:
    """The turns that a text holds as objects, and how many more are incomplete."""
    if not _JSON.match(text):
        return table(_rows(text)), 0
    if isinstance(sent := unpack(text), dict | list):
        return [sent], 0
    stripped = (line.strip().rstrip(",") for line in text.splitlines())
    values = [unpack(line) for line in stripped if line not in ("", "[", "]")]
    objects: list[JsonValue] = [value for value in values if isinstance(value, dict)]
    if len(values) > 1 and len(objects) * 2 >= len(values):
        return objects, len(values) - len(objects)
    whole = _from_python(text) if _PYTHON.match(text.strip()) else None
    return ([whole], 0) if whole else _whole_objects(text)


def _from_python(text: str) -> JsonValue:
    """The value of a Python literal; None if it is not one."""
    try:
        return json.loads(json.dumps(ast.literal_eval(text.strip())))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _whole_objects(text: str) -> tuple[list[JsonValue], int]:
    """The complete objects of truncated JSON, and 1 if something is missing."""
    objects: list[JsonValue] = []
    at, misses = text.find("{"), 0
    while at >= 0 and misses < _MOST_MISSES:
        try:
            value, at = _DECODER.raw_decode(text, at)
            objects.append(value)
        except (ValueError, RecursionError):
            at, misses = at + 1, misses + 1
        at = text.find("{", at)
    return objects, int(bool(objects) and (misses > 0 or text.lstrip().startswith("[")))


def _rows(text: str) -> list[JsonValue]:
    """The rows of a table with commas, semicolons or tabs; none if its first line does not name its columns."""
    header = text.lstrip("\ufeff \r\n").partition("\n")[0]
    delimiter = next((character for character in ",;\t|" if character in header), "")
    if not delimiter or not _names_columns(list(header.strip().split(delimiter))):
        return []
    try:
        return [[*row] for row in csv.reader(text.strip().splitlines(), delimiter=delimiter, skipinitialspace=True)]
    except csv.Error:
        return []


def table(rows: list[JsonValue]) -> list[JsonValue]:
    """The rows of a table as objects, by the names in its first row; none if these name no speaker and words."""
    header, *others = rows or [None]
    names = [name for name in header if isinstance(name, str)] if isinstance(header, list) else []
    if not _names_columns(names):
        return []
    last = len(names) - 1  # words with commas that nobody quoted
    cells = [[*row[:last], ", ".join(map(str, row[last:]))] for row in others if isinstance(row, list)]
    return [dict(zip(names, row, strict=False)) for row in cells]


def _names_columns(header: list[str]) -> bool:
    names = {plain(name) for name in header}
    return not names.isdisjoint(SAYS_WHO) and not names.isdisjoint(WORDS)
