"""Dates as people, clients and models write them and as answers print them, read in the user's zone as UTC instants."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError
from formant_mcp.queries.forms import UNITS, unquoted

ACCEPTED = (
    "an ISO date (2026-11-20), an ISO date-time (2026-11-20T18:00, with or without an offset), a week (2026-W47),"
    " a month (2026-11), today, yesterday, this week, last month, or how long ago: 24h, 7d, 2w, last 7 days"
)
_AGO = re.compile(
    r"(?P<period>(?:the )?(?:last|past) )?(?P<count>(?P<number>\d{1,6}) ?|an? |one )?(?P<unit>[a-z]+)(?: ago)?",
    re.ASCII,
)
_CALENDAR = re.compile(r"(?P<which>this|last) (?P<unit>week|month|year)")
_WEEK = re.compile(r"(\d{4})-?w(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_YEAR = re.compile(r"19\d\d|20\d\d|2100", re.ASCII)  # other four digits are a time more often than a year
_EPOCH = re.compile(r"\d{10}|\d{13}", re.ASCII)
_MOMENT = re.compile(
    r"(?P<day>\d{4}[-/]?(?:\d{2}[-/]?\d{2}|w\d{2}-?\d))(?:[t ](?P<clock>\d[\d:.,]*))?"
    r"(?: ?(?P<offset>z|utc|gmt|[+-]\d{2}:?\d{2}(?::\d{2})?))?",
    re.ASCII,
)
_DAYS_END = re.compile(r"24(?::?00){0,2}")
_PRECISIONS = ((re.compile(r"\d{2}(?::?\d{2})?"), timedelta(minutes=1)), (re.compile(r"[^.,]*"), timedelta(seconds=1)))
_MILLISECOND = timedelta(milliseconds=1)

_Span = tuple[datetime, datetime]
"""The first and the last instant of what a text names."""


def parse_since(text: str, now: datetime, zone: ZoneInfo, argument: str = "since") -> datetime | None:
    """The first instant that counts; a date alone begins at its midnight in `zone`. None for an empty text.

    Raises:
        InvalidRequestError: it cannot be read; names `argument` and what is accepted.
    """
    span = _read(text, now, zone, argument)
    return span and span[0]


def parse_until(text: str, now: datetime, zone: ZoneInfo, argument: str = "until") -> datetime | None:
    """The last instant that counts. None for an empty text.

    A day, week, month or year is included whole. So is a minute or second: a call that began in it matches.

    Raises:
        InvalidRequestError: it cannot be read; names `argument` and what is accepted.
    """
    span = _read(text, now, zone, argument)
    return span and span[1]


def _read(text: str, now: datetime, zone: ZoneInfo, argument: str) -> _Span | None:
    text = " ".join(unquoted(text).lower().split())
    if not text:
        return None
    try:
        return _calendar(text, now, zone) or _ago(text, now, zone) or _moment(text, zone)
    except ValueError:
        raise InvalidRequestError(f"{argument} is not a date that can be read.", f"Give {ACCEPTED}.") from None
    except OverflowError:
        raise InvalidRequestError(
            f"{argument} is a date too far away.", "Leave it out for no limit, or give one such as 2026-11-20."
        ) from None


def _calendar(text: str, now: datetime, zone: ZoneInfo) -> _Span | None:
    """A day, week, month or year by its name or its label; None where it is none."""
    today = now.astimezone(zone).date()
    named = _CALENDAR.fullmatch(text.replace("previous ", "last ").replace("current ", "this "))
    if named:
        return _days(_period(named["unit"], today, 1 if named["which"] == "last" else 0), zone)
    if text in ("today", "yesterday"):
        day = today - timedelta(days=text == "yesterday")
        return _days((day, day), zone)
    if week := _WEEK.fullmatch(text):
        return _days(_period("week", date.fromisocalendar(int(week[1]), int(week[2]), 1), 0), zone)
    if month := _MONTH.fullmatch(text):
        return _days(_period("month", date(int(month[1]), int(month[2]), 1), 0), zone)
    if _YEAR.fullmatch(text):
        return _days((date(int(text), 1, 1), date(int(text), 12, 31)), zone)
    return None


def _period(unit: str, day: date, before: int) -> tuple[date, date]:
    """The first and last day of the week, month or year that a day is in, or of so many before."""
    if unit == "week":
        monday = day - timedelta(days=day.weekday(), weeks=before)
        return monday, monday + timedelta(days=6)
    if unit == "month":
        first = _months_before(day.replace(day=1), before)
        return first, first.replace(day=monthrange(first.year, first.month)[1])
    return date(day.year - before, 1, 1), date(day.year - before, 12, 31)


def _ago(text: str, now: datetime, zone: ZoneInfo) -> _Span | None:
    """So long ago, or the period from then to now (`last 7 days`); None where it is neither."""
    if text == "now":
        return now, now
    found = _AGO.fullmatch(text)
    unit = UNITS.get(found["unit"]) if found and (found["period"] or found["count"]) else None
    if not found or not unit:
        return None
    number = int(found["number"] or 1)
    if unit in ("month", "year"):
        here = now.astimezone(zone)
        day = _months_before(here.date(), number * (12 if unit == "year" else 1))
        begin = datetime.combine(day, here.time(), zone).astimezone(UTC)
    else:
        begin = now - timedelta(**{f"{unit}s": number})
    return begin, now if found["period"] else begin


def _months_before(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 - months
    if month < 12:
        raise OverflowError(months)
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _moment(text: str, zone: ZoneInfo) -> _Span:
    """A day or a time: ISO 8601, also with a blank before its offset, or seconds or milliseconds since 1970.

    A day with an offset is the whole day there. A time without one is in `zone`; 24:00 is the end of its day.
    """
    if _EPOCH.fullmatch(text):
        begin = datetime.fromtimestamp(int(text[:10]), UTC) + int(text[10:] or 0) * _MILLISECOND
        return begin, begin if text[10:] else begin + timedelta(seconds=1) - _MILLISECOND
    found = _MOMENT.fullmatch(text)
    if not found:
        raise ValueError(text)
    day, clock, offset = date.fromisoformat(found["day"].replace("/", "-").upper()), found["clock"], found["offset"]
    where = _offset(offset) if offset else zone
    whole_day = _days((day, day), where)
    if not clock:
        return whole_day
    if _DAYS_END.fullmatch(clock):
        return whole_day[1], whole_day[1]
    begin = datetime.combine(day, time.fromisoformat(clock), where).astimezone(UTC)
    length = next((length for form, length in _PRECISIONS if form.fullmatch(clock)), _MILLISECOND)
    return begin, begin + length - _MILLISECOND


def _offset(text: str) -> tzinfo | None:
    return UTC if text[0] not in "+-" else time.fromisoformat(f"00:00{text}").tzinfo


def _days(days: tuple[date, date], zone: tzinfo | None) -> _Span:
    return _midnight(days[0], zone), _midnight(days[1] + timedelta(days=1), zone) - _MILLISECOND


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
