"""What changed between two periods, over every field of the calls: more than chance explains, and since which day."""

import asyncio
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from formant_mcp.analysis.changes import (
    Change,
    Changes,
    CountedField,
    DayCount,
    NumericField,
    PeriodCounts,
    start_of_change,
)
from formant_mcp.analysis.changes import find_changes as beyond_chance
from formant_mcp.analysis.signals import SIGNALS as MEASURED
from formant_mcp.filters import NONE, Filters
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import RESULTS as RESULT_VALUES
from formant_mcp.queries.coverage import SPEAKERS, WORDS, Answer, Coverage
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.summary import RESULTS, spanning
from formant_mcp.queries.time_buckets import WEEKDAYS
from formant_mcp.store.aggregates import DURATION, Grouping
from formant_mcp.store.examples import Call
from formant_mcp.store.value_counts import HOUR_OF_DAY, FieldCounts, ValueCounts
from formant_mcp.sync.list_sync import ListRequest

EXISTS = "exists"
"""The value of a result field where the calls are counted that have the field."""
NOT_ZERO = "!=0"
"""The value of a number that is mostly 0, where the calls are counted in which it is not."""
WEEKDAY = "weekday"

_OWN = ("status", "failure_reason", "agent_id", "direction")
_USES = RESULT_VALUES | WORDS | SPEAKERS | {"started_at", DURATION, *_OWN}
_AMBIGUOUS = {EXISTS, NOT_ZERO, NONE}  # extracted texts that would read as something else
_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)
_CLOCK_CHANGE = timedelta(hours=1, seconds=1)


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """Which calls to compare, in the period of the filters and in another one; `limit`: the most changes to return."""

    filters: Filters
    compared_with: tuple[datetime, datetime]
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Period:
    """A period, both ends included, and how many calls of it have ended."""

    since: datetime
    until: datetime
    calls: int


@dataclass(frozen=True, slots=True)
class DatedChange:
    """A change, the local day it began if one shows, and the newest call with the value, of the later period if it has
    one."""

    change: Change
    since_day: date | None
    example: str


@dataclass(frozen=True, slots=True)
class ChangeReport(Answer):
    """The changes between an earlier and a later period, those least likely by chance first.

    `others`: how many more there are; `compared`: how many values and medians were compared, of how many `fields`.
    `notes`: what was not compared. `agent_names`: those of changed agents, by id.
    """

    before: Period
    after: Period
    changes: tuple[DatedChange, ...]
    others: int
    compared: int
    fields: int
    existing: dict[str, Existing]
    notes: tuple[str, ...] = ()
    agent_names: dict[str, str] = field(default_factory=dict[str, str])

    def first(self, count: int) -> "ChangeReport":
        """The first `count` changes."""
        others = self.others + max(0, len(self.changes) - count)
        return replace(self, changes=self.changes[:count], others=others)


async def find_changes(loader: Loader, context: RequestContext, query: ChangesQuery, zone: ZoneInfo) -> ChangeReport:
    """Loads all calls of both periods, with details, and compares them.

    Raises:
        FormantError: nothing can be answered at all.
    """
    other = replace(query.filters, since=query.compared_with[0], until=query.compared_with[1])
    periods = sorted((query.filters, other), key=_ends)
    signals = [name for name, signal in MEASURED.items() if signal.needs not in loader.sync.unmeasured]
    request = DataRequest(
        filters=query.filters,
        list_request=ListRequest(spanning(periods)),
        with_details=True,
        uses=_USES - loader.sync.unsupported_filters,
        signals=frozenset(signals),
        also=(other,),
    )
    coverage = await loader.ensure_loaded(context, request)
    own = tuple(name for name in _OWN if name not in loader.sync.unsupported_filters)
    in_details = {"failure_reason", *loader.sync.detail_only_fields}
    grouping = Grouping(own, zone.key, context.requested_at, frozenset(in_details.intersection(own)))
    before, after = [
        await _PeriodCounts(loader, period, grouping, signals).load(context.requested_at) for period in periods
    ]
    left_out = _not_comparable(periods)
    result, dated = await asyncio.to_thread(_compare, before, after, left_out.keys(), query.limit)
    coverage = coverage.at_least((before if periods[0] is query.filters else after).period.calls)
    return ChangeReport(
        coverage=coverage,
        before=before.period,
        after=after.period,
        changes=tuple(dated),
        others=max(0, len(result.changes) - query.limit),
        compared=result.compared,
        fields=result.fields,
        existing=await available_values(loader.store, query.filters, coverage.matched),
        notes=tuple(_notes(coverage, before, after, left_out)),
        agent_names=await _agent_names(loader, result),
    )


def _ends(filters: Filters) -> tuple[datetime, datetime]:
    """The first and the last instant of a period.

    Raises:
        ValueError: it has no start or no end.
    """
    if filters.since is None or filters.until is None:
        raise ValueError(filters)
    return filters.since, filters.until


class _PeriodCounts:
    """The counts of a period: of each local day and, once they are added up, of the `whole`."""

    def __init__(self, loader: Loader, filters: Filters, own: Grouping, signals: Sequence[str]) -> None:
        self._store = loader.store
        self._filters = filters
        self._own = own
        self._signals = signals
        self.days: list[tuple[date, ValueCounts]] = []
        self.whole = ValueCounts()

    async def load(self, requested_at: datetime) -> "_PeriodCounts":
        """Counts day by day, so that a large account needs little memory at once; returns itself."""
        for day, filters in await self._by_day():
            counts = await self._store.values.count(filters, self._own, self._signals, requested_at)
            if counts.calls:
                weekday, newest = WEEKDAYS[day.weekday()], max(counts.of(HOUR_OF_DAY).examples.values())
                counts.fields[WEEKDAY] = FieldCounts(
                    counts.calls, Counter({weekday: counts.calls}), examples={weekday: newest}
                )
                self.days.append((day, counts))
        return self

    def sum(self) -> ValueCounts:
        """Adds up the days; returns the whole."""
        for _, counts in self.days:
            self.whole.add(counts)
        return self.whole

    @property
    def period(self) -> Period:
        """The period, and how many calls it has."""
        return Period(*_ends(self._filters), self.whole.calls)

    async def _by_day(self) -> list[tuple[date, Filters]]:
        """The days from the first to the last call, each with its part of the filters."""
        first, last = await self._store.aggregates.span(self._filters)
        if first is None or last is None:
            return []
        zone, (since, until) = ZoneInfo(self._own.zone), _ends(self._filters)
        day, last_day = (datetime.fromtimestamp(moment / 1000, zone).date() for moment in (first, last))
        days: list[tuple[date, Filters]] = []
        while day <= last_day:
            # In UTC: on the clocks of a zone that turns back at midnight an hour before it occurs twice.
            begin, end = (datetime.combine(midnight, time(), zone).astimezone(UTC) for midnight in (day, day + _DAY))
            whole_day = replace(self._filters, since=max(since, begin), until=min(until, end - _MILLISECOND))
            days.append((day, whole_day))
            day += _DAY
        return days


def _not_comparable(periods: Sequence[Filters]) -> dict[str, str]:
    """Fields of the clock that differ just because the periods do, each with what periods it needs."""
    lengths = [until - since for since, until in map(_ends, periods)]
    needed = ((HOUR_OF_DAY, "whole days", _DAY), (WEEKDAY, "whole weeks", 7 * _DAY))
    return {name: what for name, what, unit in needed if not all(_is_multiple(length, unit) for length in lengths)}


def _is_multiple(length: timedelta, unit: timedelta) -> bool:
    """Whether it is once the unit or a multiple of it, but for a change of clocks."""
    return length > unit / 2 and abs(length - round(length / unit) * unit) <= _CLOCK_CHANGE


def _compare(
    before: _PeriodCounts, after: _PeriodCounts, left_out: Set[str], limit: int
) -> tuple[Changes, list[DatedChange]]:
    """All changes, and the first ones with the day each began and an example."""
    changes = beyond_chance(*_fields(before.sum(), after.sum(), left_out))
    return changes, _dated(changes.changes[:limit], before, after)


def _fields(
    before: ValueCounts, after: ValueCounts, left_out: Set[str]
) -> tuple[list[CountedField], list[NumericField]]:
    """What is compared. A number that is mostly 0 is compared by whether it is."""
    counted: list[CountedField] = []
    numeric: list[NumericField] = []
    for name in sorted({*before.fields, *after.fields} - left_out):
        pair = before.of(name), after.of(name)
        if any(one.counts for one in pair):
            counted.append(CountedField(name, *(PeriodCounts(one.total, _values(name, one)) for one in pair)))
        if name.startswith(RESULTS):
            shares = zip((before, after), pair, strict=True)
            exist = (PeriodCounts(period.with_results, {EXISTS: one.total}) for period, one in shares)
            counted.append(CountedField(name, *exist))
        numbers = [one.numbers for one in pair]
        totals = [one.total() for one in numbers]
        if 2 * sum(one[0] for one in numbers) > sum(totals):
            not_zero = (
                PeriodCounts(total, {NOT_ZERO: total - one[0]}) for total, one in zip(totals, numbers, strict=True)
            )
            counted.append(CountedField(name, *not_zero))
        elif any(totals):
            numeric.append(NumericField(name, *numbers))
    return counted, numeric


def _values(name: str, counts: FieldCounts) -> dict[str, int]:
    is_ambiguous = _AMBIGUOUS if name.startswith(RESULTS) else set[str]()
    return {value: count for value, count in counts.counts.items() if value not in is_ambiguous}


def _dated(changes: Sequence[Change], before: _PeriodCounts, after: _PeriodCounts) -> list[DatedChange]:
    dated: list[DatedChange] = []
    for change in changes:
        days: dict[date, tuple[int, int]] = {}
        for day, counts in (*before.days, *after.days):  # a day may be in both
            count, total = _of_day(change, counts)
            days[day] = (days.get(day, (0, 0))[0] + count, days.get(day, (0, 0))[1] + total)
        begun = start_of_change(change, [DayCount(day, *counts) for day, counts in sorted(days.items())])
        calls = (_example(change, period.whole.of(change.field)) for period in (after, before))
        _, example = next(filter(None, calls), (0, ""))
        dated.append(DatedChange(change, begun, example))
    return dated


def _of_day(change: Change, day: ValueCounts) -> tuple[int, int]:
    """How many of a day's calls have the value, or a number above the median before, and of how many."""
    counts = day.of(change.field)
    match change.value:
        case str(value) if value == EXISTS and change.field.startswith(RESULTS):
            return counts.total, day.with_results
        case str(value) if value == NOT_ZERO and change.field not in _OWN:
            return counts.numbers.total() - counts.numbers[0], counts.numbers.total()
        case str(value):
            return counts.counts[value], counts.total
        case None:
            middle = change.before.median or 0.0
            return sum(n for number, n in counts.numbers.items() if number > middle), counts.numbers.total()


def _example(change: Change, counts: FieldCounts) -> Call | None:
    """The newest call with the value, or with the number nearest to the median after; None if there is none."""
    match change.value:
        case str(value) if value == EXISTS and change.field.startswith(RESULTS):
            return counts.example
        case str(value) if value == NOT_ZERO and change.field not in _OWN:
            return max((counts.examples[number] for number in counts.numbers if number), default=None)
        case str(value):
            return counts.examples.get(value)
        case None:
            middle = change.after.median or 0.0
            nearest = min(counts.numbers, key=lambda number: (abs(number - middle), number), default=0.0)
            return counts.examples.get(nearest)


async def _agent_names(loader: Loader, result: Changes) -> dict[str, str]:
    """The names of the agents among the changed values, by id."""
    agents = {change.value for change in result.changes if change.field == "agent_id" and change.value}
    return await loader.store.read.agent_names(sorted(agents)) if agents else {}


def _notes(coverage: Coverage, before: _PeriodCounts, after: _PeriodCounts, left_out: dict[str, str]) -> list[str]:
    """What the figures do not cover, and what was not compared."""
    notes: list[str] = []
    counts = [after.whole, before.whole]
    if not (coverage.is_whole and coverage.is_counted):
        notes.append(
            f"Figures cover the calls found so far: {after.whole.calls:,} after and {before.whole.calls:,} before."
        )
    if any(one.loaded < one.calls for one in counts):
        parts = [
            f"{one.loaded:,} of {one.calls:,} {when}" for one, when in zip(counts, ("after", "before"), strict=True)
        ]
        notes.append(
            f"Failure reasons, result fields and signals cover the calls loaded so far: {' and '.join(parts)}."
        )
    notes += [f"{name} was not compared: it needs two periods of {what}." for name, what in left_out.items()]
    empty = [which for which, one in (("earlier", before), ("later", after)) if not one.whole.calls]
    if empty:
        which = f"the {empty[0]}" if len(empty) == 1 else "either"
        others = "since and compare_since choose other periods, e.g. since=30d"
        notes.append(f"No calls ended in {which} period; {others}.")
    return notes
