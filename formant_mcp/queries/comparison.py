"""The other period of a comparison."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.queries.dates import parse_since, parse_until

_MILLISECOND = timedelta(milliseconds=1)
_ONE = "Give compare_previous=true alone, or compare_since=2026-W46 with or without compare_until."


@dataclass(frozen=True, slots=True)
class Comparison:
    """From when to when, both included, and what there is to say about that."""

    since: datetime
    until: datetime
    note: str = ""


def parse_comparison(
    filters: Filters, since: str, until: str, *, previous: bool, now: datetime, zone: ZoneInfo
) -> Comparison | None:
    """The period that the filters' own is compared with; None where nothing is compared.

    `previous` is the equally long time just before the filters' `since`. `compare_since` without `compare_until` goes
    on to just before `since`, or for want of it to now.

    Raises:
        InvalidRequestError: two comparisons at once, no beginning, an impossible range.
    """
    if previous and (since or until):
        raise InvalidRequestError("compare_previous and compare_since cannot be combined.", _ONE)
    if until and not since:
        raise InvalidRequestError("compare_until needs compare_since.", _ONE)
    own_until = min(filters.until or now, now)  # what lies ahead has no calls to compare
    if previous:
        if filters.since is None:
            raise InvalidRequestError("compare_previous needs since, which is not given.", "Add it, e.g. since=7d.")
        if filters.since > own_until:
            raise InvalidRequestError(
                "since lies in the future: there is no time to compare.", "Give an earlier one, e.g. since=7d."
            )
        length = own_until - filters.since
        try:
            return Comparison(filters.since - length - _MILLISECOND, filters.since - _MILLISECOND)
        except OverflowError:
            raise InvalidRequestError(
                "compare_previous reaches back too far.", "Give a later since, e.g. since=7d."
            ) from None
    begin = parse_since(since, now, zone, "compare_since")
    if begin is None:
        return None
    end = parse_until(until, now, zone, "compare_until")
    if end is None:
        end = filters.since - _MILLISECOND if filters.since and filters.since > begin else now
    if begin > end:
        end_is = "compare_until" if until else "now"
        raise InvalidRequestError(f"compare_since is after {end_is}.", "Give an earlier one, e.g. 2026-W46.")
    return Comparison(begin, end, _note(filters, begin, end, now))


def _note(filters: Filters, begin: datetime, end: datetime, now: datetime) -> str:
    notes: list[str] = []
    if (filters.since is None or filters.since <= end) and begin <= (filters.until or now):
        notes.append("The two periods overlap: calls in both are counted in both.")
    if begin > now:
        notes.append("The other period lies in the future: it has no calls yet.")
    return " ".join(notes)
