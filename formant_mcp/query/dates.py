"""Dates as people and assistants write them, read in the user's zone, given as instants in UTC."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError

ACCEPTED = (
    "an ISO date (2026-11-20), an ISO date-time (2026-11-20T18:00, with or without an offset), today, yesterday,"
    " or so long ago: 24h, 7d, 2w"
)
_AGO = re.compile(r"(\d{1,6})\s*([hdw])", re.IGNORECASE)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_MILLISECOND = timedelta(milliseconds=1)


def read_since(text: str, now: datetime, zone: ZoneInfo, argument: str = "since") -> datetime | None:
    """The first instant that counts; a date alone begins at its midnight in `zone`. None for an empty text.

    Raises:
        InvalidRequestError: it cannot be read; names `argument` and what is accepted.
    """
    return _read(text, now, zone, argument, is_end=False)


def read_until(text: str, now: datetime, zone: ZoneInfo, argument: str = "until") -> datetime | None:
    """The last instant that counts; a date alone includes that whole day in `zone`. None for an empty text.

    Raises:
        InvalidRequestError: it cannot be read; names `argument` and what is accepted.
    """
    return _read(text, now, zone, argument, is_end=True)


def _read(text: str, now: datetime, zone: ZoneInfo, argument: str, *, is_end: bool) -> datetime | None:
    text = text.strip()
    if not text:
        return None
    try:
        ago = _AGO.fullmatch(text)
        if ago:
            return now - timedelta(**{_UNITS[ago[2].lower()]: int(ago[1])})
        day = _day(text, now, zone)
        if day is None:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        if is_end:
            return _midnight(day + timedelta(days=1), zone) - _MILLISECOND
        return _midnight(day, zone)
    except ValueError:
        raise InvalidRequestError(f"{argument}: not a date.", f"Give {ACCEPTED}.") from None
    except OverflowError:
        raise InvalidRequestError(f"{argument}: a date beyond reach.", "Leave it out to ask without bound.") from None


def _day(text: str, now: datetime, zone: ZoneInfo) -> date | None:
    today = now.astimezone(zone).date()
    if text.lower() == "today":
        return today
    if text.lower() == "yesterday":
        return today - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
