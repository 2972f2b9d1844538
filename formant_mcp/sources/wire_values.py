"""Values as providers send them, made into ours: `None` for whatever cannot be read. Nothing here raises."""

import math
import re
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from formant_mcp.models import clean

Wire = dict[str, JsonValue]

MOST_LEVELS = 64
LONGEST_SECONDS = 7 * 86400.0
AGENT_WORDS = frozenset({"agent", "bot", "assistant", "ai"})
CONTACT_WORDS = frozenset({"contact", "human", "customer", "user", "caller", "callee", "client"})
_TOO_DEEP = "(nested too deeply to be kept)"
_NUMERIC = re.compile(r"\s*[+-]?\d{1,30}(\.\d{1,30})?\s*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
# 10^11 seconds are the year 5138, 10^11 milliseconds 1973: no call is on the wrong side.
_LEAST_MILLISECONDS = 1e11
_TOO_LARGE = 2**63
_LONGEST_ROLE = 40


def first(wire: Wire, *names: str) -> JsonValue:
    """The value of the first of these fields that has one."""
    return next((wire[name] for name in names if wire.get(name) is not None), None)


def part(wire: Wire, name: str) -> Wire:
    """The object in a field, an empty one where there is none."""
    value = wire.get(name)
    return value if isinstance(value, dict) else {}


def role(value: JsonValue) -> str:
    """`agent` or `contact` for the words that providers have for them, any other as sent."""
    sent = text(value) or ""
    if sent.lower() in AGENT_WORDS:
        return "agent"
    if sent.lower() in CONTACT_WORDS:
        return "contact"
    return sent.replace(" ", "_")[:_LONGEST_ROLE] or "unknown"


def text(value: JsonValue) -> str | None:
    """A clean text that is not empty. Whole numbers become their digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LARGE:
        return str(value)
    return clean(value) or None if isinstance(value, str) else None


def number(value: JsonValue) -> float | None:
    """A finite number, also one that was sent as text."""
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        figure = float(value)
    except OverflowError:
        return None
    return figure if math.isfinite(figure) else None


def seconds(value: JsonValue) -> float | None:
    """A duration or an offset into a call: between nothing and a week."""
    figure = number(value)
    return figure if figure is not None and 0 <= figure <= LONGEST_SECONDS else None


def count(value: JsonValue) -> int | None:
    """How many: a whole number that is not negative."""
    figure = number(value)
    return int(figure) if figure is not None and figure >= 0 and figure.is_integer() else None


def flag(value: JsonValue) -> bool:
    """True or false, also where it was sent as a text."""
    return value.strip().lower() not in {"", "false", "0", "no"} if isinstance(value, str) else bool(value)


def moment(value: JsonValue) -> datetime | None:
    """A time of this century, in UTC: from epoch seconds or milliseconds, or ISO 8601 (UTC where it names no zone)."""
    figure = number(value)
    try:
        if figure is not None:
            sent = _EPOCH + timedelta(seconds=figure / 1000 if abs(figure) >= _LEAST_MILLISECONDS else figure)
        elif isinstance(value, str):
            sent = datetime.fromisoformat(value.strip())
            sent = sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent.astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return sent if _EARLIEST <= sent < _LATEST else None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """The duration from one time to another, where both are known and in order."""
    return None if start is None or end is None else seconds((end - start).total_seconds())


def clean_json(value: JsonValue, levels: int = MOST_LEVELS) -> JsonValue:
    """The same value with every text and key clean and every number one that JSON can hold."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict | list) and levels == 0:
        return _TOO_DEEP
    if isinstance(value, dict):
        return {clean(key): clean_json(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item, levels - 1) for item in value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= _TOO_LARGE):
        return number(value)
    return value
