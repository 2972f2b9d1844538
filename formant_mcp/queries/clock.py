"""Hours of the day and days of the week, as people and models write them and as answers print them."""

import re
from collections.abc import Sequence

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NO_TIME, NONE
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.queries.time_buckets import WEEKDAYS

_HOUR = r"(\d{1,2})(?::?00)?\s*(am|pm)?"
_HOURS = re.compile(rf"{_HOUR}(?:\s*(?:-|–|to|until)\s*{_HOUR})?")
_SEPARATOR = re.compile(r"\s*(?:[,;]|\band\b)\s*")
_TO = re.compile(r"\s*(?:-|–|\bto\b)\s*")
_SHORTEST_NAME = 2
_GROUPS = {"weekday": range(5), "workday": range(5), "weekend": range(5, 7)}


def parse_hours(text: str) -> tuple[int, ...]:
    """The hours of the day, 0 to 23: `9-18` is 9:00 until before 18:00, `20-6` spans midnight, `9` is a single hour.

    Raises:
        InvalidRequestError: a part is no hour or range of hours.
    """
    hours: set[int] = set()
    for part in filter(None, _SEPARATOR.split(text.strip().lower())):
        match = _HOURS.fullmatch(part)
        if part == NONE:
            hours.add(NO_TIME)
            continue
        begin = match and _hour(match[1], match[2], match[4])
        end = match and match[3] and _hour(match[3], match[4], None)
        if begin is None or begin > 23 or (match and match[3] and end is None) or end == begin:
            raise InvalidRequestError("hours must be whole hours from 0 to 24, e.g. 9-18, 20-6 or 9.")
        hours.update([begin] if not isinstance(end, int) else [hour % 24 for hour in _up_to(begin, end)])
    return tuple(sorted(hours))


def parse_weekdays(names: Sequence[str]) -> tuple[int, ...]:
    """The days of the week (0 is Monday): full or abbreviated names, `Monday-Friday`, `weekdays`, `weekend`.

    Raises:
        InvalidRequestError: a name is no weekday.
    """
    days: set[int] = set()
    for name in names:
        begin, *end = _TO.split(name.strip().lower(), maxsplit=1)
        if name == NONE:
            days.add(NO_TIME)
        elif begin.removesuffix("s") in _GROUPS and not end:
            days.update(_GROUPS[begin.removesuffix("s")])
        elif end:
            days.update(day % 7 for day in _up_to(_weekday(begin), _weekday(end[0]) + 1, 7))
        else:
            days.add(_weekday(begin))
    return tuple(sorted(days))


def _hour(digits: str, half: str | None, other_half: str | None) -> int | None:
    """An hour up to 24; in `9-5pm` both are in the same half of the day."""
    hour, half = int(digits), half or other_half
    if half:
        return None if not 1 <= hour <= 12 else hour % 12 + (12 if half == "pm" else 0)
    return hour if hour <= 24 else None


def _up_to(begin: int, end: int, length: int = 24) -> range:
    return range(begin, end if end > begin else end + length)


def _weekday(word: str) -> int:
    for day, weekday in enumerate(WEEKDAYS):
        if len(word) >= _SHORTEST_NAME and weekday.lower().startswith(word.removesuffix(".")):
            return day
    guess = did_you_mean(nearest(word, WEEKDAYS))
    raise InvalidRequestError(f"weekdays must be days of the week, e.g. Monday or Mon-Fri.{guess}")
