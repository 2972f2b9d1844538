"""Converts values as providers send them: `None` for whatever cannot be read. Nothing here raises."""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import unquote

from pydantic import JsonValue

from formant_mcp.models import clean

Wire = dict[str, JsonValue]
T = TypeVar("T")

MOST_LEVELS = 64
LONGEST_SECONDS = 7 * 86400.0
_TOO_DEEP = "(nested too deeply to be kept)"
_NUMERIC = re.compile(r"\s*[+-]?\d{1,30}(\.\d{1,30})?\s*", re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{1,2}(?:[.,]\d{1,9})?)", re.ASCII)
_UNITS = re.compile(
    r"(?:pt)?(?:(?P<hours>\d{1,4})\s*h(?:rs?|ours?)?)?\s*(?:(?P<minutes>\d{1,5})\s*m(?:ins?|inutes?)?(?!s))?"
    r"\s*(?:(?P<seconds>\d{1,7}(?:\.\d{1,9})?)\s*s(?:ecs?|econds?)?)?\s*(?:(?P<ms>\d{1,10})\s*(?:ms|millis\w*))?",
    re.ASCII | re.IGNORECASE,
)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
# 10^11 seconds are the year 5138, 10^11 milliseconds 1973: no call is on the wrong side. The same holds for micro- and
# nanoseconds.
_TOO_MANY_SECONDS = 1e11
_FINEST = 3  # thousandths of thousandths of thousandths: nanoseconds
_IN_UTC = re.compile(r"\s*(?:UTC|GMT)$", re.IGNORECASE)
_OFFSET_APART = re.compile(r"\s+(?=[+-]\d\d:?\d\d$)", re.ASCII)
_RFC_2822 = re.compile(
    r"(?:[a-z]{3},\s*)?\d{1,2}\s+[a-z]{3}\s+\d{4}\s+\d{1,2}:\d\d(?::\d\d)?\s*(?:[+-]\d{4}|[a-z]{1,4})?",
    re.ASCII | re.IGNORECASE,
)
_TOO_LARGE = 2**63
_NUMBERS = (int, float)
_MOST_WRAPPERS = 4
_WRAPPERS = ("data", "conversation", "call", "result", "item")
_MOST_ENCODINGS = 4
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")  # language models wrap their JSON like this
_BLANKS = "\ufeff \t\r\n"
# The names of the value in an object that wraps a single value.
_BARE = ("value", "id", "code", "number", "phone", "phone_number", "seconds", "name")
_DIRECTION = re.compile(
    r"(?P<inbound>inbound|incoming)|(?P<outbound>outbound|outgoing)|(?P<web>web|browser)", re.IGNORECASE
)
_FALSE = frozenset({"", "false", "0", "no", "off", "null", "none"})
# RFC 3261 and RFC 3966: `"Name" <sip:user@host;parameters>`, `tel:+91-98`.
_ADDRESS = re.compile(r"(?:sips?|tel|whatsapp):(?://)?(?P<user>[^@;?>]*)(?:@[^>]*)?", re.IGNORECASE)
_PHONE = re.compile(r"\+?[\d\s().*#-]{3,}")


def first_present(wire: Wire, *names: str) -> JsonValue:
    """The value of the first of these fields that has one."""
    return next((wire[name] for name in names if wire.get(name) is not None), None)


def as_object(wire: Wire, name: str) -> Wire:
    """The object in a field, also as JSON in a text; an empty one if there is none."""
    value = unpack(wire.get(name))
    return value if isinstance(value, dict) else {}


def is_not_object(wire: Wire, name: str) -> bool:
    """Whether a field that should be an object holds something else."""
    value = unpack(wire.get(name))
    return not isinstance(value, dict) and is_something(value)


class Fields:
    """Reads single fields of a conversation, each from the first object that has it.

    `lost`: our names of the fields that were sent and not understood.
    """

    def __init__(self, *objects: Wire) -> None:
        self._objects = objects
        self._lost: set[str] = set()

    @property
    def lost(self) -> frozenset[str]:
        """Fields that were sent and not understood."""
        return frozenset(self._lost)

    def sent(self, *names: str) -> JsonValue:
        """The value as sent, under the first of these names that has one."""
        return self.read("", lambda sent: sent, *names)

    def read(self, field: str, form: Callable[[JsonValue], T | None], *names: str) -> T | None:
        """Our field, converted by `form`, sent under one of these names, or under its own."""
        for wire in self._objects:
            for name in names or (field,):
                if (sent := wire.get(name)) is not None:
                    value = form(sent)
                    return self.understood(field, form, sent) if value is None else value
        return None

    def understood(self, field: str, form: Callable[[JsonValue], T | None], sent: JsonValue) -> T | None:
        """The same for a given value: the value itself, or the one that an object obviously wraps."""
        value = form(sent)
        if value is not None or sent is None:
            return value
        if isinstance(sent, dict):
            value = form(first_present(sent, *_BARE))
        if value is None and as_bool(sent) and is_something(sent):
            self._lost.add(field)
        return value


def as_direction(value: JsonValue) -> str | None:
    """Who called whom: `inbound`, `outbound`, `web`, else as it was sent."""
    sent = as_text(value)
    match = sent and _DIRECTION.search(sent)
    return (match.lastgroup if match else sent) or None


def rows_of(wire: Wire, *names: str) -> list[JsonValue] | None:
    """The list in the first of these fields that was sent; null is an empty list; None if there is no list.

    Without such a field the list is empty if the response says that there are no rows or no further pages.
    """
    sent = next((wire[name] for name in names if wire.get(name) is not None), None)
    if sent is None and (not wire.keys().isdisjoint(names) or _says_empty(wire)):
        return []
    return sent if isinstance(sent, list) else None


def _says_empty(wire: Wire) -> bool:
    return (
        bool(wire.keys() & {"has_more", "total"})
        and not as_bool(wire.get("has_more"))
        and not as_count(wire.get("total"))
    )


def object_of(wire: JsonValue, marks: frozenset[str]) -> Wire | None:
    """The object that has one of these fields: the response itself, or what it wraps, alone in a list or not."""
    for level in range(_MOST_WRAPPERS):
        if isinstance(wire, list) and len(wire) == 1:
            wire = wire[0]
        if not isinstance(wire, dict):
            return None
        inner = next((value for name in _WRAPPERS if isinstance(value := wire.get(name), dict | list)), None)
        is_own_list = level > 0 and isinstance(inner, list) and len(inner) != 1  # a field of what was wrapped
        if not wire.keys().isdisjoint(marks) or inner is None or is_own_list:
            return wire
        wire = inner
    return None


def as_text(value: JsonValue) -> str | None:
    """A clean text that is not empty. Whole numbers become digits."""
    if isinstance(value, str):
        return clean(value) or None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LARGE
    return str(value) if is_whole else None


def as_float(value: JsonValue) -> float | None:
    """A finite number, also if sent as text."""
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    try:
        figure = float(value)
    except OverflowError:
        return None
    return figure if math.isfinite(figure) else None


def as_seconds(value: JsonValue) -> float | None:
    """A duration or an offset into a call, from 0 to a week: `90`, `1:30`, `00:01:30.5`, `90s`, `2 min`."""
    figure = as_float(value)
    if figure is None and isinstance(value, str):
        figure = _seconds_in(value.strip())
    return figure if figure is not None and 0 <= figure <= LONGEST_SECONDS else None


def _seconds_in(text: str) -> float | None:
    if match := _CLOCK.fullmatch(text):
        hours, minutes, rest = match.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))
    match = _UNITS.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    units = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "ms": 0.001}
    return sum(float(match[name] or 0) * length for name, length in units.items())


def as_contact(value: JsonValue) -> str | None:
    """A phone number, also inside a SIP, tel or WhatsApp address; an address without a number as sent."""
    sent = as_text(value)
    match = _ADDRESS.search(sent) if sent and ":" in sent else None
    user = unquote(match["user"]).strip() if match else ""
    return as_text(user) if _PHONE.fullmatch(user) else sent


def as_count(value: JsonValue) -> int | None:
    """A whole number that is not negative."""
    figure = as_float(value)
    return int(figure) if figure is not None and figure >= 0 and figure.is_integer() else None


def as_bool(value: JsonValue) -> bool:
    """True or false, also if sent as text."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def as_datetime(value: JsonValue) -> datetime | None:
    """A time of this century, in UTC (also if it names no zone).

    Accepts epoch seconds, milli-, micro- or nanoseconds, ISO 8601 and RFC 2822 dates.
    """
    figure = as_float(value)
    try:
        if figure is not None:
            scales = 0
            while abs(figure) >= _TOO_MANY_SECONDS and scales < _FINEST:
                figure, scales = figure / 1000, scales + 1
            sent = datetime.fromtimestamp(figure, UTC)
        elif isinstance(value, str):
            text = value.strip()
            if _RFC_2822.fullmatch(text):
                sent = parsedate_to_datetime(text)
            else:
                sent = datetime.fromisoformat(_OFFSET_APART.sub("", _IN_UTC.sub("", text)))
            sent = sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent.astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return sent if _EARLIEST <= sent < _LATEST else None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """The duration from one time to another; None if one is missing or they are not in order."""
    return None if start is None or end is None else as_seconds((end - start).total_seconds())


def unpack(value: JsonValue) -> JsonValue:
    """The value in a JSON text, however often it was encoded; any other value as it is."""
    for _ in range(_MOST_ENCODINGS):
        if not isinstance(value, str):
            break
        packed = _FENCE.sub("", value.strip(_BLANKS))
        if not packed.startswith(("[", "{", '"')):
            break
        try:
            value = json.loads(packed)
        except (ValueError, RecursionError):
            break
    return value


def is_something(value: JsonValue) -> bool:
    """Whether it holds anything but null, blanks and empty lists or objects."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
        elif clean(item) if isinstance(item, str) else item is not None:
            return True
    return False


def clean_json(value: JsonValue, levels: int = MOST_LEVELS) -> tuple[JsonValue, int]:
    """The same value with every text and key clean, and how many values were lost.

    Lost are numbers that JSON cannot hold, what is nested too deeply, and a value whose key became equal to another.
    """
    if isinstance(value, str):
        return clean(value), 0
    if isinstance(value, dict | list) and levels == 0:
        return _TOO_DEEP, 1
    if isinstance(value, dict):
        kept = {clean(key): clean_json(item, levels - 1) for key, item in value.items()}
        lost = len(value) - len(kept) + sum(more for _, more in kept.values())
        return {key: item for key, (item, _) in kept.items()}, lost
    if isinstance(value, list):
        items = [clean_json(item, levels - 1) for item in value]
        return [item for item, _ in items], sum(more for _, more in items)
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= _TOO_LARGE):
        figure = as_float(value)
        return figure, int(figure is None)
    return value, 0
