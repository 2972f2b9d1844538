"""Summaries: counts, shares, success rates and measures by groups, and how they changed between two periods."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from heapq import nsmallest
from itertools import takewhile
from typing import TypeVar
from zoneinfo import ZoneInfo

from formant_mcp.filters import GROUPINGS, NONE, SIGNALS, Filters
from formant_mcp.models import named
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import Answer, Coverage
from formant_mcp.queries.groupings import SUCCESS_RATE, Argument, check_names, check_paths, kinds_used
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.measures import Statistics, statistics_of_all
from formant_mcp.queries.time_buckets import TIMES, UNREAD, bucket_label, bucket_sort_key, sql_grouping
from formant_mcp.store import Store
from formant_mcp.store.aggregates import DURATION, LOADED, RESULTS, GroupCount, Grouping, Key, Numbers
from formant_mcp.sync.list_sync import ListRequest

_CLOCK_GROUPS = 25  # the hours of a day, and one group for calls without a time
_MOST = 0.9
_MANY = 2_000  # groups or numbers whose computation takes a millisecond or two
Names = tuple[str, ...]
T = TypeVar("T")
_NOTHING = GroupCount(0, 0, 0, ())


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of one group in one period.

    `share`: of all calls whose values are loaded; None for the group of calls whose values are not, for the total while
    there are such calls, and if there are no calls.
    `share_within_first`: the share of the calls with the group's first value, if there are several groupings.
    """

    count: int
    share: float | None
    success_rate: float | None
    measures: dict[str, Statistics]
    example: str = ""
    share_within_first: float | None = None


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """A group by its names, now and in the other period (None without a comparison).

    `is_settled`: calls that are still to be loaded cannot change its counts.
    """

    key: dict[str, str]
    now: Group
    previous: Group | None = None
    is_settled: bool = True

    @property
    def is_unread(self) -> bool:
        """Whether its calls' values are not loaded."""
        return UNREAD in self.key.values()


@dataclass(frozen=True, slots=True)
class SummaryQuery:
    """What to summarize, by which groupings and measures, compared with which period; `top`: how many groups, of those
    with at least `min_count` calls in one of the periods.

    Groups of calls that are not loaded come in addition. `with_interval`: the answer has intervals of success rates.
    """

    filters: Filters
    groupings: tuple[str, ...]
    measures: tuple[str, ...] = ()
    compared_with: tuple[datetime | None, datetime | None] | None = None
    top: int = 20
    min_count: int = 1
    with_interval: bool = False


@dataclass(frozen=True, slots=True)
class Summary(Answer):
    """The groups, everything as one group, and how many groups were left out, `small` of them by `min_count`.

    `notes`: what the figures do not cover yet. `agent_names`: those of the groups' agents, by id.
    """

    overall: GroupComparison
    groups: tuple[GroupComparison, ...]
    others: int
    small: int
    existing: dict[str, Existing]
    notes: tuple[str, ...] = ()
    agent_names: dict[str, str] = field(default_factory=dict[str, str])

    def first(self, count: int) -> "Summary":
        """The summary with its first `count` groups, and as many of calls that are not loaded."""
        kept: dict[bool, list[int]] = {False: [], True: []}
        for index, group in enumerate(self.groups):
            kept[group.is_unread].append(index)
        indexes = sorted(index for kind in kept.values() for index in kind[:count])
        left_out = len(self.groups) - len(indexes)
        return replace(self, groups=tuple(self.groups[index] for index in indexes), others=self.others + left_out)


async def summarize(loader: Loader, context: RequestContext, query: SummaryQuery, zone: ZoneInfo) -> Summary:
    """Loads what the query needs and computes the figures.

    Raises:
        InvalidRequestError: a grouping or measure that does not exist; names those that do.
    """
    check_names(query.groupings, query.measures, loader.sync.unsupported_filters)
    periods, list_request = [query.filters], ListRequest(query.filters)
    if query.compared_with:
        periods.append(replace(query.filters, since=query.compared_with[0], until=query.compared_with[1]))
        list_request = ListRequest(spanning(periods))
    names = (*query.groupings, *query.measures)
    in_detail = {"failure_reason", *loader.sync.detail_only_fields}
    from_details = frozenset(name for name in names if name.startswith((RESULTS, SIGNALS)) or name in in_detail)
    signals = frozenset(name.removeprefix(SIGNALS) for name in names if name.startswith(SIGNALS))
    request = DataRequest(
        query.filters, list_request, bool(from_details), kinds_used(names), signals, also=tuple(periods[1:])
    )
    coverage = await loader.ensure_loaded(context, request)
    # While the list is incomplete, calls without details may be stored before the figures are computed.
    not_loaded = frozenset[str]() if coverage.is_loaded else from_details
    named = (
        Argument("group_by", query.groupings, (*GROUPINGS, *TIMES)),
        Argument("measures", query.measures, (DURATION, SUCCESS_RATE)),
    )
    path_notes = await check_paths(loader.store, coverage, *named, is_loaded=coverage.is_loaded)
    figures = [
        await _PeriodFigures(loader.store, filters, query, zone, context.requested_at, not_loaded).load()
        for filters in periods
    ]
    now, before = figures[0], figures[1] if len(figures) > 1 else None
    shown, others, small = await _compute(len(now.counts), partial(_shown, figures, query))
    for period in figures:
        await period.load_examples(shown)
    coverage = coverage.at_least(now.overall.count)
    is_settled = coverage.is_whole and coverage.is_counted
    are_settled = is_settled and all(period.shared == period.total for period in figures)
    groups = [await _compare(query, name, now, before, are_settled) for name in shown]
    return Summary(
        coverage=coverage,
        overall=GroupComparison({}, now.overall, before and before.overall, is_settled),
        groups=tuple(groups),
        others=others,
        small=small,
        existing=await available_values(loader.store, query.filters, coverage.matched),
        notes=(*path_notes, *_notes(coverage, now, before), *_success_notes(query, now)),
        agent_names=await _agent_names(loader.store, query.groupings, shown),
    )


async def _compare(
    query: SummaryQuery, name: Names, now: "_PeriodFigures", before: "_PeriodFigures | None", is_settled: bool, /
) -> GroupComparison:
    """The group with that name, in both periods."""
    key = dict(zip(query.groupings, name, strict=True))
    return GroupComparison(key, await now.group(name), before and await before.group(name), is_settled)


async def _agent_names(store: Store, groupings: Names, shown: list[Names]) -> dict[str, str]:
    """The names of the agents in the groups, by id."""
    agents = {name[groupings.index("agent_id")] for name in shown} if "agent_id" in groupings else set[str]()
    return await store.read.agent_names(sorted(agents)) if agents else {}


async def _compute(count: int, work: Callable[[], T]) -> T:
    """Runs `work` over `count` groups or numbers: on a thread if there are many, so that other calls need not wait."""
    return await asyncio.to_thread(work) if count > _MANY else work()


async def overall_of(store: Store, filters: Filters, zone: ZoneInfo) -> Group:
    """Everything that matches as one group."""
    return (await _PeriodFigures(store, filters, SummaryQuery(filters, ()), zone).load()).overall


class _PeriodFigures:
    """The figures of one period. `not_loaded`: names whose values are not loaded for all calls.

    `total`: the number of calls; `shared`: of how many calls shares are computed; `measured`: how many calls have all
    values that the query groups by or measures; `overall`: everything as one group.
    """

    def __init__(
        self,
        store: Store,
        filters: Filters,
        query: SummaryQuery,
        zone: ZoneInfo,
        now: datetime | None = None,
        not_loaded: frozenset[str] = frozenset(),
    ) -> None:
        self._aggregates = store.aggregates
        self._examples = store.examples
        self._filters = filters
        self._measures = query.measures
        self._groupings = query.groupings
        self._stored = tuple(sql_grouping(name, query.groupings) for name in query.groupings)
        self._by = Grouping(self._stored, zone.key, now, not_loaded)
        self._grouped = not_loaded & set(query.groupings)
        self._not_loaded = not_loaded

    async def load(self) -> "_PeriodFigures":
        """Computes the figures; returns itself."""
        whole = self._by.by()
        wanted = {"groups": self._by}
        if self._groupings:
            wanted["total"] = whole
        if len(self._stored) > 1:
            loaded = [LOADED] if self._grouped else []
            wanted["first"] = replace(self._by.by(self._stored[0], *loaded), not_loaded=self._grouped)
        for name, fields in (("shared", self._grouped), ("measured", self._not_loaded)):
            if fields:
                wanted[name] = replace(self._by.by(LOADED), not_loaded=fields)
        counts = dict(zip(wanted, await self._aggregates.count_by(self._filters, *wanted.values()), strict=True))
        groups = counts["groups"]
        self.counts = await _compute(len(groups), partial(self._counts_by_name, groups))
        total = counts.get("total", groups).get((), _NOTHING)
        self.total = total.count
        self.shared, self.measured = (
            counts[name].get((1,), _NOTHING).count if name in counts else self.total for name in ("shared", "measured")
        )
        self._within_first = self._count_first(counts.get("first", {}))
        self._values: dict[str, dict[Names, Numbers]] = {}
        whole_values: dict[str, Numbers] = {}
        for measure in self._measures:
            numbers = await self._aggregates.numbers(self._filters, self._by, measure)
            self._values[measure] = await _compute(len(numbers), partial(self._numbers_by_name, numbers))
            if self._groupings:
                numbers = await self._aggregates.numbers(self._filters, whole, measure)
            whole_values[measure] = numbers.get((), Numbers())
        await self._load_examples(whole, [total])
        self.overall = await self._group(total, whole_values, ())
        return self

    def failed(self, lacking: int | None = None) -> int:
        """How many calls are no successes; `lacking`: of those without a value of the grouping at that place."""
        groups = (c for name, c in self.counts.items() if lacking is None or name[lacking] == NONE)
        return sum(counted.count - counted.successes for counted in groups)

    async def load_examples(self, names: Iterable[Names]) -> None:
        """Loads the examples of the groups with these names, before they are returned."""
        await self._load_examples(self._by, [self.counts.get(name, _NOTHING) for name in names])

    async def group(self, name: Names) -> Group:
        """The group with that name; an empty one if there is none."""
        values = {measure: by_name.get(name, Numbers()) for measure, by_name in self._values.items()}
        return await self._group(self.counts.get(name, _NOTHING), values, name)

    async def _group(self, total: GroupCount, values: dict[str, Numbers], name: Names) -> Group:
        of, of_first = self.shared, self._within_first.get(name[0], 0) if name else 0
        if UNREAD in name or (not name and self.shared < self.total):
            of, of_first = 0, 0
        return Group(
            count=total.count,
            share=total.count / of if of else None,
            success_rate=total.successes / total.count if total.count else None,
            measures=await _compute(
                sum(len(numbers.counts) for numbers in values.values()), partial(statistics_of_all, values)
            ),
            example=total.example,
            share_within_first=total.count / of_first if of_first else None,
        )

    async def _load_examples(self, by: Grouping, totals: list[GroupCount]) -> None:
        missing = [total for total in totals if total.count and not total.example]
        if missing:
            examples = await self._examples.of(self._filters, by, missing)
            for total, example in zip(missing, examples, strict=True):
                total.example = example

    def _counts_by_name(self, counts_by_key: Mapping[Key, GroupCount]) -> dict[Names, GroupCount]:
        counts: dict[Names, GroupCount] = {}
        for key, total in counts_by_key.items():
            name = self._name(key)
            if name in counts:
                counts[name].add(total)
            else:
                counts[name] = total
        return counts

    def _numbers_by_name(self, numbers_by_key: Mapping[Key, Numbers]) -> dict[Names, Numbers]:
        values: dict[Names, Numbers] = defaultdict(Numbers)
        for key, numbers in numbers_by_key.items():
            values[self._name(key)].add(numbers)
        return values

    def _count_first(self, counts_by_key: Mapping[Key, GroupCount]) -> dict[str, int]:
        """For each value of the first grouping, how many of the calls that shares are computed of."""
        counts: dict[str, int] = defaultdict(int)
        for key, total in counts_by_key.items():
            if key[-1] == 1 or not self._grouped:
                counts[bucket_label(self._groupings[0], key[0], self._stored[0])] += total.count
        return counts

    def _name(self, key: Key) -> Names:
        return tuple(
            bucket_label(name, value, base)
            for name, value, base in zip(self._groupings, key, self._stored, strict=True)
        )


def _notes(coverage: Coverage, now: _PeriodFigures, before: _PeriodFigures | None) -> list[str]:
    """What the figures do not cover yet."""
    notes: list[str] = []
    if not (coverage.is_whole and coverage.is_counted):
        other = f" and {before.total:,} in the other period" if before else ""
        notes.append(f"Figures cover the {now.total:,} calls found so far{other}.")
    periods = [now, before] if before else [now]
    what, counts = "Shares and figures of values", [(period.shared, period.total) for period in periods]
    if all(loaded == total for loaded, total in counts):
        what, counts = "Measures", [(period.measured, period.total) for period in periods]
    if any(loaded < total for loaded, total in counts):
        parts = [f"{loaded:,} of {total:,}" for loaded, total in counts]
        notes.append(f"{what} cover the calls loaded so far: {', in the other period '.join(parts)}.")
    return notes


def _success_notes(query: SummaryQuery, figures: _PeriodFigures) -> list[str]:
    """That calls without success mostly lack a result field, so that nearly all that have it succeeded."""
    failed, notes = figures.failed(), list[str]()
    for place, name in enumerate(query.groupings):
        lacking = figures.failed(place) if name.startswith(RESULTS) else 0
        if lacking >= _MOST * failed > 0:
            field = named(name)
            notes.append(
                f"{lacking:,} of {failed:,} calls without success have no {field}, so success rates by it say little."
            )
    return notes


def max_groups(query: SummaryQuery) -> int:
    """How many groups to return: all hours or weekdays, as a missing one would seem to have no calls."""
    return max(query.top, _CLOCK_GROUPS) if query.groupings in (("hour",), ("weekday",)) else query.top


def _shown(figures: list[_PeriodFigures], query: SummaryQuery) -> tuple[list[Names], int, int]:
    """The groups of both periods to return, how many are left out, and how many of these by `min_count`.

    Largest first, then those of calls that are not loaded; sorted by time as far as the first groupings are times.
    """
    if not query.groupings:  # there is only the total
        return [], 0, 0
    counts: dict[Names, list[int]] = defaultdict(lambda: [0] * len(figures))
    for index, period in enumerate(figures):
        for name, total in period.counts.items():
            counts[name][index] = -total.count
    limit, times = max_groups(query), list(takewhile(TIMES.__contains__, query.groupings))
    large = [name for name, negated in counts.items() if -min(negated) >= query.min_count]

    def largest(*, is_unread: bool) -> list[Names]:
        names = (name for name in large if (UNREAD in name) == is_unread)
        return nsmallest(limit, names, key=lambda name: (counts[name], name))

    shown = [*largest(is_unread=False), *largest(is_unread=True)]
    if times:
        shown.sort(key=lambda name: [bucket_sort_key(time, bucket) for time, bucket in zip(times, name, strict=False)])
    return shown, len(counts) - len(shown), len(counts) - len(large)


def spanning(periods: list[Filters]) -> Filters:
    """The filters from the earliest start to the latest end."""
    begins, ends = zip(*((period.since, period.until) for period in periods), strict=True)
    since, until = None if None in begins else min(begins), None if None in ends else max(ends)
    return replace(periods[0], since=since, until=until)
