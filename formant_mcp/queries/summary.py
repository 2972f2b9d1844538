"""Summaries: counts, shares, success rates and measures by groups, and how they changed between two periods."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NONE, Filters
from formant_mcp.models import clean
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.queries.loader import Coverage, DataRequest, Loader, RequestContext
from formant_mcp.queries.time_buckets import TIMES, UNREAD, label, place, stored
from formant_mcp.store import Store
from formant_mcp.store.aggregates import COLUMNS, DURATION, LOADED, RESULTS, GroupCount, Grouping, Key, Numbers
from formant_mcp.sync.list_sync import ListRequest

MAX_GROUPINGS = 3
_CLOCK_GROUPS = 25  # the hours of a day, and calls without a time
Names = tuple[str, ...]
_MOST_NAMED = 5
_NOTHING = GroupCount(0, 0, 0, "", ())


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over the numbers of a group: quantiles as `statistics.quantiles(..., method="inclusive")` has them.

    `left_out`: how many values of the field are no numbers. Of no number at all there are only count and sum.
    """

    count: int
    sum: float
    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    min: float | None = None
    max: float | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of one group in one period.

    `share`: of all calls whose values are loaded; None for those whose are not, for the whole while some are not, and
    where there are no calls.
    `share_within_first`: the same of the calls that have the group's first value, where there are several groupings.
    """

    count: int
    share: float | None
    success_rate: float | None
    measures: dict[str, Statistics]
    example: str = ""
    share_within_first: float | None = None


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """A group by its names, now and in the other period (None where nothing is compared).

    `is_settled`: no call that is still to be loaded can change how many calls it has, now or before.
    """

    key: dict[str, str]
    now: Group
    previous: Group | None = None
    is_settled: bool = True

    @property
    def is_unread(self) -> bool:
        """Whether it is of calls whose values are not loaded."""
        return UNREAD in self.key.values()


@dataclass(frozen=True, slots=True)
class SummaryQuery:
    """What to summarize, how grouped, with which measures, compared with what; the `top` groups are given.

    Groups of calls that are not loaded are given besides.
    """

    filters: Filters
    groupings: tuple[str, ...]
    measures: tuple[str, ...] = ()
    compared_with: tuple[datetime | None, datetime | None] | None = None
    top: int = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The groups, the whole as one group, and how many groups were left out.

    `notes`: what the figures do not cover yet. `agent_names`: those of the groups' agents, by id.
    """

    coverage: Coverage
    overall: GroupComparison
    groups: tuple[GroupComparison, ...]
    others: int
    existing: dict[str, Existing]
    notes: tuple[str, ...] = ()
    agent_names: dict[str, str] = field(default_factory=dict[str, str])

    def first(self, count: int) -> "Summary":
        """The first `count` groups, and as many of calls that are not loaded."""
        kept: dict[bool, list[int]] = {False: [], True: []}
        for n, group in enumerate(self.groups):
            kept[group.is_unread].append(n)
        places = sorted(n for some in kept.values() for n in some[:count])
        left_out = len(self.groups) - len(places)
        return replace(self, groups=tuple(self.groups[n] for n in places), others=self.others + left_out)


async def summarize(loader: Loader, context: RequestContext, question: SummaryQuery, zone: ZoneInfo) -> Summary:
    """Loads what the question needs and computes the figures.

    Raises:
        InvalidRequestError: a grouping or measure that does not exist; names those that do.
    """
    _check_words(question, loader.sync.unsupported_filters)
    periods, need = [question.filters], ListRequest(question.filters)
    if question.compared_with:
        periods.append(replace(question.filters, since=question.compared_with[0], until=question.compared_with[1]))
        need = ListRequest(_spanning(periods))
    names = (*question.groupings, *question.measures)
    in_detail = {"failure_reason", *loader.sync.detail_only_fields}
    wanted = frozenset(name for name in names if name.startswith(RESULTS) or name in in_detail)
    looks_at = frozenset(
        "results" if name.startswith(RESULTS) else "started_at" if name in TIMES else name for name in names
    )
    coverage = await loader.ensure_loaded(
        context, DataRequest(question.filters, need, bool(wanted), looks_at, also=tuple(periods[1:]))
    )
    not_loaded = wanted if coverage.details_read < coverage.details_needed else frozenset[str]()
    path_notes = await _check_paths(loader.store, question, coverage)
    figures = [
        await _PeriodFigures(loader.store, filters, question, zone, context.requested_at, not_loaded).load()
        for filters in periods
    ]
    now, before = figures[0], figures[1] if len(figures) > 1 else None
    # Without a grouping, the whole is all there is.
    shown, others = _shown(figures, question) if question.groupings else ([], 0)
    is_settled = coverage.is_whole and coverage.is_counted
    are_settled = is_settled and all(each.shared == each.total for each in figures)
    groups = [
        GroupComparison(
            dict(zip(question.groupings, name, strict=True)),
            await now.group(name),
            before and await before.group(name),
            are_settled,
        )
        for name in shown
    ]
    return Summary(
        coverage=coverage,
        overall=GroupComparison({}, now.overall, before and before.overall, is_settled),
        groups=tuple(groups),
        others=others,
        existing=await available_values(loader.store, question.filters, coverage.matched),
        notes=(*path_notes, *_notes(coverage, now, before)),
        agent_names=await _agent_names(loader.store, question.groupings, shown),
    )


async def _agent_names(store: Store, groupings: Names, shown: list[Names]) -> dict[str, str]:
    """The names of the agents that are grouped by, by id."""
    agents = {name[groupings.index("agent_id")] for name in shown} if "agent_id" in groupings else set[str]()
    return await store.read.agent_names(sorted(agents)) if agents else {}


async def overall_of(store: Store, filters: Filters, zone: ZoneInfo) -> Group:
    """Everything that matches as one group."""
    return (await _PeriodFigures(store, filters, SummaryQuery(filters, ()), zone).load()).overall


class _PeriodFigures:
    """The figures of one period. `not_loaded`: the names whose values are not loaded for all calls.

    `total`: how many calls there are; `shared`: of how many of them shares are; `measured`: how many of them have all
    values that the question groups by or measures; `overall`: everything as one group.
    """

    def __init__(
        self,
        store: Store,
        filters: Filters,
        question: SummaryQuery,
        zone: ZoneInfo,
        now: datetime | None = None,
        not_loaded: frozenset[str] = frozenset(),
    ) -> None:
        self._figures = store.figures
        self._filters = filters
        self._measures = question.measures
        self._groupings = question.groupings
        self._stored = tuple(stored(name, question.groupings) for name in question.groupings)
        self._by = Grouping(self._stored, zone.key, now, not_loaded)
        self._grouped = not_loaded & set(question.groupings)
        self._not_loaded = not_loaded

    async def load(self) -> "_PeriodFigures":
        """Computes the figures; returns itself."""
        self.tallies = await self._tallies()
        self._values: dict[str, dict[Names, Numbers]] = {}
        whole = self._by.by()
        whole_values: dict[str, Numbers] = {}
        for measure in self._measures:
            values: dict[Names, Numbers] = defaultdict(Numbers)
            for key, found in (await self._figures.numbers(self._filters, self._by, measure)).items():
                values[self._name(key)].add(found)
            self._values[measure] = values
            whole_numbers = await self._figures.numbers(self._filters, whole, measure)
            whole_values[measure] = whole_numbers.get((), Numbers())
        tally = (await self._figures.tallies(self._filters, whole)).get((), _NOTHING)
        self.total = tally.count
        self.shared = await self._count_loaded(self._grouped)
        self.measured = await self._count_loaded(self._not_loaded)
        self._within_first = await self._count_first() if len(self._stored) > 1 else {}
        self.overall = await self._group(tally, whole_values, ())
        return self

    async def group(self, name: Names) -> Group:
        """One group; an empty one where there is none of that name."""
        values = {measure: by_name.get(name, Numbers()) for measure, by_name in self._values.items()}
        return await self._group(self.tallies.get(name, _NOTHING), values, name)

    async def _group(self, tally: GroupCount, values: dict[str, Numbers], name: Names) -> Group:
        example = tally.example
        if tally.count and not example:
            by = self._by if name else self._by.by()
            example = await self._figures.example(self._filters, by, tally.key)
        of, of_first = self.shared, self._within_first.get(name[0], 0) if name else 0
        if UNREAD in name or (not name and self.shared < self.total):
            of, of_first = 0, 0
        return Group(
            count=tally.count,
            share=tally.count / of if of else None,
            success_rate=tally.successes / tally.count if tally.count else None,
            measures={measure: measured(found) for measure, found in values.items() if found.found or found.left_out},
            example=example,
            share_within_first=tally.count / of_first if of_first else None,
        )

    async def _tallies(self) -> dict[Names, GroupCount]:
        tallies: dict[Names, GroupCount] = {}
        for key, tally in (await self._figures.tallies(self._filters, self._by)).items():
            name = self._name(key)
            if name in tallies:
                tallies[name].add(tally)
            else:
                tallies[name] = tally
        return tallies

    async def _count_loaded(self, names: frozenset[str]) -> int:
        if not names:
            return self.total
        by = replace(self._by.by(LOADED), not_loaded=names)
        return (await self._figures.tallies(self._filters, by)).get((1,), _NOTHING).count

    async def _count_first(self) -> dict[str, int]:
        """How many of the calls that shares are of have each value of the first grouping."""
        names = (self._stored[0], LOADED) if self._grouped else (self._stored[0],)
        by = replace(self._by.by(*names), not_loaded=self._grouped)
        counts: dict[str, int] = defaultdict(int)
        for key, tally in (await self._figures.tallies(self._filters, by)).items():
            if key[-1] == 1 or not self._grouped:
                counts[label(self._groupings[0], key[0], self._stored[0])] += tally.count
        return counts

    def _name(self, key: Key) -> Names:
        return tuple(
            label(name, value, base) for name, value, base in zip(self._groupings, key, self._stored, strict=True)
        )


def _notes(coverage: Coverage, now: _PeriodFigures, before: _PeriodFigures | None) -> list[str]:
    """What the figures do not cover yet."""
    notes: list[str] = []
    if not (coverage.is_whole and coverage.is_counted):
        other = f" and {before.total:,} in the other period" if before else ""
        notes.append(f"Figures cover the {now.total:,} calls found so far{other}.")
    periods = [now, before] if before else [now]
    what, counts = "Shares and figures of values", [(each.shared, each.total) for each in periods]
    if all(loaded == total for loaded, total in counts):
        what, counts = "Measures", [(each.measured, each.total) for each in periods]
    if any(loaded < total for loaded, total in counts):
        parts = [f"{loaded:,} of {total:,}" for loaded, total in counts]
        notes.append(f"{what} cover the calls loaded so far: {', in the other period '.join(parts)}.")
    return notes


def measured(numbers: Numbers) -> Statistics:
    """The figures of some numbers."""
    values = numbers.found
    if not values:
        return Statistics(0, 0.0, left_out=numbers.left_out)
    deciles = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]] * 9
    total = math.fsum(values)
    return Statistics(
        count=len(values),
        sum=total,
        mean=total / len(values),
        median=statistics.median(values),
        p90=deciles[8],
        min=min(values),
        max=max(values),
        left_out=numbers.left_out,
    )


def _most(question: SummaryQuery) -> int:
    """How many groups are given: hours and weekdays are few, and a hole among them would read as nothing."""
    return max(question.top, _CLOCK_GROUPS) if question.groupings in (("hour",), ("weekday",)) else question.top


def _shown(figures: list[_PeriodFigures], question: SummaryQuery) -> tuple[list[Names], int]:
    """The groups of both periods that are given, and how many are not.

    The largest first, after them those of calls that are not loaded; where the first grouping is a time, in its order.
    """
    counts: dict[Names, list[int]] = defaultdict(lambda: [0] * len(figures))
    for place_of, period in enumerate(figures):
        for name, tally in period.tallies.items():
            counts[name][place_of] = -tally.count
    largest = sorted(counts, key=lambda name: (counts[name], name))
    most, first = _most(question), question.groupings[0]
    shown = [name for is_unread in (False, True) for name in [n for n in largest if (UNREAD in n) == is_unread][:most]]
    if first in TIMES:
        shown.sort(key=lambda name: place(first, name[0]))
    return shown, len(largest) - len(shown)


def _spanning(periods: list[Filters]) -> Filters:
    """The filters from the first beginning to the last end."""
    begins, ends = zip(*((each.since, each.until) for each in periods), strict=True)
    since, until = None if None in begins else min(begins), None if None in ends else max(ends)
    return replace(periods[0], since=since, until=until)


def _check_words(question: SummaryQuery, unsupported: frozenset[str]) -> None:
    if nowhere := sorted(unsupported.intersection(question.groupings)):
        raise InvalidRequestError(f"group_by: this provider's calls have no {nowhere[0]}.", "Group by something else.")
    accepted = f"{', '.join(COLUMNS)}, {', '.join(TIMES)}, results.<path>"
    if len(question.groupings) > MAX_GROUPINGS or len(set(question.groupings)) < len(question.groupings):
        raise InvalidRequestError(f"group_by: at most {MAX_GROUPINGS} groupings, each once.", "Leave some out.")
    for name in question.groupings:
        if name not in (*COLUMNS, *TIMES) and not name.startswith(RESULTS):
            raise InvalidRequestError(f"group_by: no grouping {clean(name)[:60]!r}.", f"There are: {accepted}.")
    for name in question.measures:
        if name != DURATION and not name.startswith(RESULTS):
            hint = f"There are: {DURATION}, results.<path> of a number."
            raise InvalidRequestError(f"measures: no measure {clean(name)[:60]!r}.", hint)


async def _check_paths(store: Store, question: SummaryQuery, coverage: Coverage) -> list[str]:
    """A path that no call has gives no group, and a measure needs numbers: an error says more than an empty figure.

    While calls are not loaded yet that could have the path, a note says so instead.
    """
    wanted = [name for name in (*question.groupings, *question.measures) if name.startswith(RESULTS)]
    kinds = await store.figures.paths() if wanted and coverage.matched else {}
    is_loaded = coverage.is_whole and coverage.details_read == coverage.details_needed
    so_far = "" if is_loaded else " loaded so far"
    notes: list[str] = []
    for name in wanted if kinds else ():
        kind = kinds.get(name.removeprefix(RESULTS))
        fitting = [
            RESULTS + path for path, k in kinds.items() if name in question.groupings or k in ("number", "mixed")
        ]
        there_are = f"Fields{' so far' if so_far else ''}: {', '.join(sorted(fitting))[:1_500] or 'none'}."
        below = sorted(RESULTS + path for path in kinds if path.startswith(f"{name.removeprefix(RESULTS)}."))
        if below and name in question.groupings and kind is not None:
            notes.append(f"Where {name} is an object it counts as {NONE}; group by {', '.join(below[:_MOST_NAMED])}.")
        if kind is None:
            argument = "group_by" if name in question.groupings else "measures"
            guess = nearest(name.removeprefix(RESULTS), kinds)
            missing = f"call{so_far} has {clean(name)[:80]}.{did_you_mean(guess and RESULTS + guess)}"
            if is_loaded:
                others = (*COLUMNS, *TIMES) if argument == "group_by" else (DURATION,)
                raise InvalidRequestError(f"{argument}: no {missing}", f"{there_are} Or: {', '.join(others)}.")
            notes.append(f"No {missing} {there_are}")
        elif name in question.measures and kind not in ("number", "mixed"):
            raise InvalidRequestError(
                f"measures: {clean(name)[:80]} is a {kind} in all calls{so_far}, not a number.",
                f"Group by it instead. {there_are}",
            )
    return notes
