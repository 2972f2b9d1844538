"""Keys that PostgreSQL accepts, of whatever a provider sends: an index entry has at most 2,700 bytes.

A longer key is stored as its beginning and a hash of the whole. The same is done to what is compared with it, so an
equal one is found.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

from formant_mcp.store.engine import Parameter, Value

_LONGEST_BYTES = 800  # three such keys and a few short ones share an index entry
_KEPT_CHARACTERS = 200
_KEYS = frozenset(
    {"conversation_id", "agent_id", "status", "contact_reversed", "user_id", "name", "path", "folded", "text"}
)
_LEFT_OUT = {"words": (0, 1), "labels": (0, 1)}  # tables whose rows are only found by their keys, and the columns
_COLUMN = re.compile(r"(\w+) (?:[<>=]+ \?|\$in_list)")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_NOT_COPIED = re.compile(r"[\0\ud800-\udfff\\\t\n\r]")
_NOT_IN_ARRAY = re.compile(r'[\0\ud800-\udfff\\"]')
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def without_unstorable(text: str) -> str:
    """The text without NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)


def to_copy(rows: Iterable[Sequence[Value]]) -> bytes:
    """Rows as COPY takes them (https://www.postgresql.org/docs/current/sql-copy.html), some at once: a call of the
    driver for each row takes longer than all else."""
    columns = [_column_to_copy(values) for values in zip(*rows, strict=True)]
    return "".join([f"{row}\n" for row in map("\t".join, zip(*columns, strict=True))]).encode()


def _column_to_copy(values: Sequence[Value]) -> Iterable[str]:
    """A column's values as COPY takes them; those of one type, which nearly all columns have, at once."""
    types = set(map(type, values))
    if types <= {int, float}:
        return map(repr, values)
    if types == {str} and not _NOT_COPIED.search("".join(cast(Sequence[str], values))):
        return cast(Sequence[str], values)
    return map(_to_copy, values)


def _to_copy(value: Value) -> str:
    if isinstance(value, str):
        return without_unstorable(value).translate(_ESCAPES) if _NOT_COPIED.search(value) else value
    return r"\N" if value is None else repr(value)


def to_array(values: Sequence[Value]) -> str:
    """Values of one type as the text of an array
    (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)."""
    if set(map(type, values)) == {str}:
        texts = cast(Sequence[str], values)
        if _NOT_IN_ARRAY.search("".join(texts)):
            texts = [without_unstorable(text).replace("\\", r"\\").replace('"', r"\"") for text in texts]
        return '{"' + '","'.join(texts) + '"}'
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def to_json(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> str:
    """Rows as an array in JSON, of an object each."""
    return json.dumps(
        [
            {
                name: without_unstorable(value) if isinstance(value, str) else value
                for name, value in zip(columns, row, strict=True)
            }
            for row in rows
        ],
        ensure_ascii=False,
    )


def key(text: str) -> str:
    """A text as it is stored where it is compared."""
    if len(text) <= _LONGEST_BYTES and text.isascii() and "\0" not in text:  # nearly all
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _LONGEST_BYTES and not _UNSTORABLE.search(text):
        return text
    return f"{without_unstorable(text[:_KEPT_CHARACTERS])}…{hashlib.sha256(encoded).hexdigest()}"


def stored_rows(
    table: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]
) -> tuple[Sequence[Sequence[Value]], bool]:
    """The rows with their keys as they are stored, and whether any had to be changed."""
    if places := _LEFT_OUT.get(table):
        return [row for row in rows if all(_is_storable(row[place]) for place in places)], False
    places = [place for place, column in enumerate(columns) if column in _KEYS]
    if all(_is_storable(row[place]) for row in rows for place in places):
        return rows, False
    return [
        [key(value) if place in places and isinstance(value, str) else value for place, value in enumerate(row)]
        for row in rows
    ], True


def stored_parameters(template: str, parameters: Sequence[Parameter]) -> list[Parameter]:
    """The parameters of a change, those that are compared or stored as keys as they are stored."""
    columns = _columns(template)
    return [
        _stored(value) if column in _KEYS else _listed(value) for column, value in zip(columns, parameters, strict=True)
    ]


def compared_parameters(parameters: Sequence[Parameter]) -> tuple[list[Parameter], Mapping[Value, str]]:
    """The parameters of a query as they are compared, and what those that had to be changed were."""
    originals: dict[Value, str] = {}
    compared: list[Parameter] = []
    for parameter in parameters:
        compared.append(_stored(parameter))
        for value in parameter if isinstance(parameter, list | tuple) else (parameter,):
            if isinstance(value, str) and (stored := key(value)) is not value:
                originals[stored] = value
    return compared, originals


class NotCompared(str):
    """A text that is sent as it is, however long."""

    __slots__ = ()


def _stored(parameter: Parameter) -> Parameter:
    if isinstance(parameter, NotCompared):
        return str(parameter)
    if isinstance(parameter, str):
        return key(parameter)
    if isinstance(parameter, list | tuple):
        return cast(Parameter, [key(value) if isinstance(value, str) else value for value in parameter])
    return parameter


def _listed(parameter: Parameter) -> Parameter:
    """Any sequence as a list, for an array."""
    return cast(Parameter, list(parameter)) if isinstance(parameter, tuple) else parameter


def _is_storable(value: Value) -> bool:
    return not isinstance(value, str) or key(value) is value


@lru_cache(1000)
def _columns(template: str) -> Sequence[str]:
    return _COLUMN.findall(template)
