"""Instants as days and hours of a zone's calendar: whole numbers that SQL can group by."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

UNKNOWN_DAY = -1_000_000
QUARTER = 900_000  # milliseconds
_HOUR, _DAY = 3_600_000, 86_400_000


def local_day(zone: str, milliseconds: int | None) -> int:
    """Days since 1970-01-01 on the zone's calendar; UNKNOWN_DAY if there is no time."""
    if milliseconds is None:
        return UNKNOWN_DAY
    return (milliseconds + _offset(zone, milliseconds // QUARTER)) // _DAY


def local_hour(zone: str, milliseconds: int | None) -> int | None:
    """Hours since 1970-01-01 00:00 on the zone's clocks; None if there is no time."""
    if milliseconds is None:
        return None
    return (milliseconds + _offset(zone, milliseconds // QUARTER)) // _HOUR


@lru_cache(maxsize=500_000)
def _offset(zone: str, quarter: int) -> int:
    """The offset in milliseconds, constant within a quarter of an hour (true of all zones since 1972)."""
    moment = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone))
    return (moment.utcoffset() or timedelta()) // timedelta(milliseconds=1)
