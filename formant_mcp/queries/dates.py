"""Parses dates and periods, as people and models write them and as answers print them, in the user's zone."""

import re
from calendar import isleap, monthrange
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
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
_YEAR = re.compile(r"19\d\d|20\d\d|2100", re.ASCII)  # other four digits are more often a time than a year
_EPOCH = re.compile(r"\d{10}|\d{13}", re.ASCII)
_MOMENT = re.compile(
    r"(?P<day>\d{4}[-/]?(?:\d{2}[-/]?\d{2}|w\d{2}-?\d))(?:[t ](?P<clock>\d[\d:.,]*))?"
    r"(?: ?(?P<offset>z|utc|gmt|[+-]\d{2}:?\d{2}(?::\d{2})?))?",
    re.ASCII,
)
_WITHOUT_YEAR = re.compile(r"\d{2}-\d{2} \d{2}:\d{2}\b", re.ASCII)
_DAYS_END = re.compile(r"24(?::?00){0,2}")
_PRECISIONS = ((re.compile(r"\d{2}(?::?\d{2})?"), timedelta(minutes=1)), (re.compile(r"[^.,]*"), timedelta(seconds=1)))
_MILLISECOND = timedelta(milliseconds=1)
USUAL_PERIOD = timedelta(days=7)
_COMPARISONS = "Give compare_previous=true alone, or compare_since=2026-W46 with or without compare_until."

_Span = tuple[datetime, datetime]
"""The first and the last instant of a period."""


def parse_since(text: str, now: datetime, zone: ZoneInfo, argument: str = "since") -> datetime | None:
    """The first instant included, in UTC; a date without a time begins at midnight in `zone`. None for an empty text.

    Raises:
        InvalidRequestError: it is invalid; names `argument` and what is accepted.
    """
    span = _parse(text, now, zone, argument)
    return span and span[0]


def parse_until(text: str, now: datetime, zone: ZoneInfo, argument: str = "until") -> datetime | None:
    """The last instant included, in UTC. None for an empty text.

    A day, week, month or year is included whole, and so is a minute or second.

    Raises:
        InvalidRequestError: it is invalid; names `argument` and what is accepted.
    """
    span = _parse(text, now, zone, argument)
    return span and span[1]


def is_read_without_year(moment: datetime, now: datetime, zone: ZoneInfo) -> bool:
    """Whether the minute of a local time is understood as that of its year if a table leaves the year out."""
    return _with_year(f"{moment:%m-%d %H:%M}", now, zone) == f"{moment:%Y-%m-%d %H:%M}"


def is_read_without_offset(moment: datetime) -> bool:
    """Whether a local time is understood as itself without its offset: an hour that clocks repeat is the first then."""
    return moment.fold == 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The period to compare with, both ends included, and a note about it.

    `overlaps`: whether some calls may be in both periods. `is_future`: whether there are no calls yet.
    """

    since: datetime
    until: datetime
    note: str = ""
    overlaps: bool = False
    is_future: bool = False


def parse_comparison(
    filters: Filters, since: str, until: str, *, previous: bool, now: datetime, zone: ZoneInfo
) -> Comparison | None:
    """The period to compare the filters' own with; None without a comparison.

    `previous` is the equally long time just before the filters' `since`. `compare_since` without `compare_until` ends
    just before `since`, or now if `since` is not set.

    Raises:
        InvalidRequestError: two comparisons at once, no start, or an impossible range.
    """
    if previous and (since or until):
        raise InvalidRequestError("compare_previous and compare_since cannot be combined.", _COMPARISONS)
    if until and not since:
        raise InvalidRequestError("compare_until requires compare_since.", _COMPARISONS)
    own_until = min(filters.until or now, now)  # there are no calls in the future to compare
    if previous:
        if filters.since is None:
            raise InvalidRequestError("compare_previous requires since.", "Add it, e.g. since=7d.")
        if filters.since > own_until:
            raise InvalidRequestError("since is in the future.", "Give an earlier one, e.g. since=7d.")
        length = own_until - filters.since
        try:
            return Comparison(filters.since - length - _MILLISECOND, filters.since - _MILLISECOND)
        except OverflowError:
            raise InvalidRequestError(
                "compare_previous: the previous period is out of range.", "Give a later since, e.g. since=7d."
            ) from None
    begin = parse_since(since, now, zone, "compare_since")
    if begin is None:
        return None
    end = parse_until(until, now, zone, "compare_until")
    if end is None:
        end = filters.since - _MILLISECOND if filters.since and filters.since > begin else now
    if begin > end:
        end_is = "compare_until" if until else "now"
        raise InvalidRequestError(f"compare_since is later than {end_is}.", "Give an earlier one, e.g. 2026-W46.")
    return _comparison(filters, begin, end, now)


def parse_two_periods(
    filters: Filters, since: str, until: str, *, previous: bool, now: datetime, zone: ZoneInfo
) -> tuple[Filters, Comparison]:
    """The filters with a period of their own, by default the last seven days to their end, and the one to compare with.

    `previous` holds unless there is a `compare_since`.

    Raises:
        InvalidRequestError: as `parse_comparison`; no comparison, periods that overlap, or one that is empty or in the
            future.
    """
    end = min(filters.until or now, now)
    begin = filters.since or end - USUAL_PERIOD
    if begin >= end:
        problem = "The period is empty" if begin == end else "since is in the future"
        raise InvalidRequestError(f"{problem}.", "Give an earlier since, e.g. since=7d.")
    filters = replace(filters, since=begin, until=end)
    previous = previous and not (since or until)
    other = parse_comparison(filters, since, until, previous=previous, now=now, zone=zone)
    if other is None:
        raise InvalidRequestError("There is no period to compare with.", _COMPARISONS)
    if other.since >= min(other.until, now):
        problem = "compare_since is in the future" if other.since > now else "The period to compare with is empty"
        raise InvalidRequestError(f"{problem}.", "Give an earlier compare_since, e.g. 2026-W46.")
    if other.since <= end and begin <= other.until:
        raise InvalidRequestError(
            "The two periods overlap.",
            "End one before the other begins, with since, until, compare_since, compare_until.",
        )
    return filters, other


def _parse(text: str, now: datetime, zone: ZoneInfo, argument: str) -> _Span | None:
    text = " ".join(unquoted(text).lower().split())
    if not text:
        return None
    try:
        return _calendar(text, now, zone) or _ago(text, now, zone) or _moment(_with_year(text, now, zone), zone)
    except ValueError:
        raise InvalidRequestError(f"{argument} is not a valid date.", f"Give {ACCEPTED}.") from None
    except OverflowError:
        raise InvalidRequestError(
            f"{argument}: date out of range.", "Leave it out for no limit, or give one such as 2026-11-20."
        ) from None


def _calendar(text: str, now: datetime, zone: ZoneInfo) -> _Span | None:
    """A day, week, month or year by its name or label; None if it is none."""
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
    """The first and last day of the week, month or year `before` periods before that of a day."""
    if unit == "week":
        monday = day - timedelta(days=day.weekday(), weeks=before)
        return monday, monday + timedelta(days=6)
    if unit == "month":
        first = _months_before(day.replace(day=1), before)
        return first, first.replace(day=monthrange(first.year, first.month)[1])
    return date(day.year - before, 1, 1), date(day.year - before, 12, 31)


def _ago(text: str, now: datetime, zone: ZoneInfo) -> _Span | None:
    """A time ago (`7d`), or the period from then to now (`last 7 days`); None if it is neither."""
    if text == "now":
        return now, now
    match = _AGO.fullmatch(text)
    unit = UNITS.get(match["unit"]) if match and (match["period"] or match["count"]) else None
    if not match or not unit:
        return None
    number = int(match["number"] or 1)
    if unit in ("month", "year"):
        local = now.astimezone(zone)
        day = _months_before(local.date(), number * (12 if unit == "year" else 1))
        begin = datetime.combine(day, local.time(), zone).astimezone(UTC)
    else:
        begin = now - timedelta(**{f"{unit}s": number})
    return begin, now if match["period"] else begin


def _months_before(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 - months
    if month < 12:
        raise OverflowError(months)
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _with_year(text: str, now: datetime, zone: ZoneInfo) -> str:
    """A time without its year, as tables print it: the latest such, at most a day from now."""
    if not _WITHOUT_YEAR.match(text):
        return text
    last = now.astimezone(zone) + timedelta(days=1)
    year = last.year - (text[:11] > f"{last:%m-%d %H:%M}")
    while text.startswith("02-29") and not isleap(year):
        year -= 1
    return f"{year}-{text}"


def _moment(text: str, zone: ZoneInfo) -> _Span:
    """A day or a time: ISO 8601, also with a blank before the offset, or seconds or milliseconds since 1970.

    A day with an offset is the whole day at that offset. A time without one is in `zone`; 24:00 is the end of its day.
    """
    if _EPOCH.fullmatch(text):
        begin = datetime.fromtimestamp(int(text[:10]), UTC) + int(text[10:] or 0) * _MILLISECOND
        return begin, begin if text[10:] else begin + timedelta(seconds=1) - _MILLISECOND
    match = _MOMENT.fullmatch(text)
    if not match:
        raise ValueError(text)
    day, clock, offset = date.fromisoformat(match["day"].replace("/", "-").upper()), match["clock"], match["offset"]
    own_zone = _offset(offset) if offset else zone
    whole_day = _days((day, day), own_zone)
    if not clock:
        return whole_day
    if _DAYS_END.fullmatch(clock):
        return whole_day[1], whole_day[1]
    begin = datetime.combine(day, time.fromisoformat(clock), own_zone).astimezone(UTC)
    length = next((length for form, length in _PRECISIONS if form.fullmatch(clock)), _MILLISECOND)
    return begin, begin + length - _MILLISECOND


def _offset(text: str) -> tzinfo | None:
    return UTC if text[0] not in "+-" else time.fromisoformat(f"00:00{text}").tzinfo


def _days(days: tuple[date, date], zone: tzinfo | None) -> _Span:
    return _midnight(days[0], zone), _midnight(days[1] + timedelta(days=1), zone) - _MILLISECOND


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _comparison(filters: Filters, begin: datetime, end: datetime, now: datetime) -> Comparison:
    if filters.since and begin < end == filters.since:  # periods that touch do not overlap
        end -= _MILLISECOND
    if filters.until and filters.until == begin < end:
        begin += _MILLISECOND
    overlaps = (filters.since is None or filters.since <= end) and begin <= (filters.until or now)
    notes = ["The two periods overlap: calls in both are counted in both."] if overlaps else []
    if begin > now:
        notes.append("The other period is in the future: it has no calls yet.")
    return Comparison(begin, end, " ".join(notes), overlaps, begin > now)
