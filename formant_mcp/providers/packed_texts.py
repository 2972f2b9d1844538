"""Turns in a text that is not speech: JSON in lines or cut off, Python's notation, a table; and texts without any."""

import ast
import csv
import json
import re

from pydantic import JsonValue

from formant_mcp.providers.json_values import unpacked
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
    """Whether a text stands for a transcript that there is not: `Transcript not available`."""
    return len(text) < _LONGEST_NONE and _NONE.fullmatch(text) is not None


def is_no_speech(text: str) -> bool:
    """Whether a text of which nothing could be read is an address, or JSON or markup that is broken or not known."""
    return any(pattern.match(text) for pattern in (_JSON, _MARKUP, _YAML)) or _ADDRESS.fullmatch(text) is not None


def objects_in(text: str) -> tuple[list[JsonValue], int]:
    """The turns that a text holds as objects, and how many more it began and did not end."""
    if not _JSON.match(text):
        return table(_rows(text)), 0
    if isinstance(sent := unpacked(text), dict | list):
        return [sent], 0
    lines = [unpacked(line) for each in text.splitlines() if (line := each.strip().rstrip(",")) not in ("", "[", "]")]
    found: list[JsonValue] = [each for each in lines if isinstance(each, dict)]
    if len(lines) > 1 and len(found) * 2 >= len(lines):
        return found, len(lines) - len(found)
    whole = _from_python(text) if _PYTHON.match(text.strip()) else None
    return ([whole], 0) if whole else _whole_objects(text)


def _from_python(text: str) -> JsonValue:
    """What a value that was printed by Python is; None where it is none."""
    try:
        return json.loads(json.dumps(ast.literal_eval(text.strip())))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _whole_objects(text: str) -> tuple[list[JsonValue], int]:
    """The objects of JSON that was cut off, as far as they are whole, and whether something is missing."""
    found: list[JsonValue] = []
    at, misses = text.find("{"), 0
    while at >= 0 and misses < _MOST_MISSES:
        try:
            value, at = _DECODER.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            at, misses = at + 1, misses + 1
        at = text.find("{", at)
    return found, int(bool(found) and (misses > 0 or text.lstrip().startswith("[")))


def _rows(text: str) -> list[JsonValue]:
    """The rows of a table with commas, semicolons or tabs; none where its first line does not name its columns."""
    head = text.lstrip("\ufeff \r\n").partition("\n")[0]
    mark = next((mark for mark in ",;\t|" if mark in head), "")
    if not mark or not _names_columns(list(head.strip().split(mark))):
        return []
    try:
        return [[*row] for row in csv.reader(text.strip().splitlines(), delimiter=mark, skipinitialspace=True)]
    except csv.Error:
        return []


def table(rows: list[JsonValue]) -> list[JsonValue]:
    """The rows of a table as objects, by the names in its first row; none where that names no speaker and words."""
    head, *others = rows or [None]
    names = [name for name in head if isinstance(name, str)] if isinstance(head, list) else []
    if not _names_columns(names):
        return []
    last = len(names) - 1  # words with commas that nobody quoted
    cells = [[*row[:last], ", ".join(map(str, row[last:]))] for row in others if isinstance(row, list)]
    return [dict(zip(names, row, strict=False)) for row in cells]


def _names_columns(head: list[str]) -> bool:
    names = {plain(name) for name in head}
    return not names.isdisjoint(SAYS_WHO) and not names.isdisjoint(WORDS)
