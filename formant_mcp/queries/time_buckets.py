"""Time buckets to group by: day, week, month, weekday or hour on the zone's calendar."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

from formant_mcp.filters import NONE
from formant_mcp.filters import NOT_READ_YET as UNREAD
from formant_mcp.store.aggregates import DAY, HOUR, NOT_READ

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIMES = ("hour", "weekday", "day", "week", "month")
_EPOCH = date(1970, 1, 1)


def sql_grouping(grouping: str, all_groupings: Sequence[str]) -> str:
    """What the store groups by for a grouping: hours for all time buckets if any of them needs hours, else days."""
    if grouping not in TIMES:
        return grouping
    return HOUR if "hour" in all_groupings else DAY


@lru_cache(maxsize=65_536)
def bucket_label(grouping: str, value: str | int | None, base: str) -> str:
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


def bucket_sort_key(grouping: str, name: str) -> tuple[int, str]:
    """Sorts the groups of a time bucket by time; the group without a time comes last."""
    if name == NONE:
        return (99, name)
    return (WEEKDAYS.index(name), name) if grouping == "weekday" else (0, name)
