"""Times as groups: day, week, month, weekday or hour on the zone's calendar, named as the contract has it."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

from formant_mcp.filters import NONE
from formant_mcp.filters import NOT_READ_YET as UNREAD
from formant_mcp.store.aggregates import DAY, HOUR, NOT_READ

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIMES = ("hour", "weekday", "day", "week", "month")
_EPOCH = date(1970, 1, 1)


def stored(grouping: str, all_groupings: Sequence[str]) -> str:
    """What the store groups by for a grouping; the hour is asked for once, where any of them needs it."""
    if grouping not in TIMES:
        return grouping
    return HOUR if "hour" in all_groupings else DAY


@lru_cache(maxsize=65_536)
def label(grouping: str, value: str | int | None, base: str) -> str:
    """The name of a group: `2026-11-20`, `2026-W47`, `2026-11`, `Friday`, `18`, a value as it is, `(none)` or
    `(not read yet)`."""
    if value is None or value == "":
        return NONE
    if value == NOT_READ:
        return UNREAD
    if isinstance(value, str):
        return value
    if grouping == "hour":
        return f"{value % 24:02d}"
    day = _EPOCH + timedelta(days=value // 24 if base == HOUR else value)
    if grouping == "weekday":
        return WEEKDAYS[day.weekday()]
    if grouping == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return f"{day:%Y-%m}" if grouping == "month" else day.isoformat()


def place(grouping: str, name: str) -> tuple[int, str]:
    """Where a group stands among its kind, in order of time; what has no time comes last."""
    if name == NONE:
        return (99, name)
    return (WEEKDAYS.index(name), name) if grouping == "weekday" else (0, name)
