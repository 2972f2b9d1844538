"""Summaries: counts, shares, success rates and measures by groups, and how they changed between two periods."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.models import clean
from formant_mcp.query.gather import Call, Coverage, Gathering
from formant_mcp.query.listing import existing_values, need_of
from formant_mcp.query.periods import TIMES, label, place, stored
from formant_mcp.store import Store
from formant_mcp.store.figures import COLUMNS, DURATION, RESULTS, Key, Numbers, Tally

MAX_GROUPINGS = 3
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
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
    """The figures of one group in one period."""

    count: int
    share: float
    success_rate: float
    measures: dict[str, Measure]
    example: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """A group by its names, now and in the other period (None where nothing is compared)."""

    key: dict[str, str]
    now: Group
    previous: Group | None = None


@dataclass(frozen=True, slots=True)
class SummaryQuestion:
    """What to summarize, how grouped, with which measures, compared with what; the `top` groups are given."""

    filters: Filters
    groupings: tuple[str, ...]
    measures: tuple[str, ...] = ()
    compared_with: tuple[datetime | None, datetime | None] | None = None
    top: int = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The groups, the whole as one group, and how many groups were left out."""

    coverage: Coverage
    overall: Compared
    groups: tuple[Compared, ...]
    others: int
    existing: dict[str, list[str]]


async def summarize(gathering: Gathering, call: Call, question: SummaryQuestion, zone: ZoneInfo) -> Summary:
    """Brings what the question needs and reckons.

    Raises:
        InvalidRequestError: a grouping or measure that does not exist; names those that do.
    """
    _check_words(question)
    periods, need = [question.filters], need_of(question.filters)
    if question.compared_with:
        periods.append(replace(question.filters, since=question.compared_with[0], until=question.compared_with[1]))
        begins, ends = zip(*((each.since, each.until) for each in periods), strict=True)
        need = replace(need, since=None if None in begins else min(begins), until=None if None in ends else max(ends))
    names = (*question.groupings, *question.measures)
    in_detail = {"failure_reason", *gathering.sync.only_in_detail}
    looks_inside = any(name.startswith(RESULTS) or name in in_detail for name in names)
    coverage = await gathering.bring(call, question.filters, need, with_details=looks_inside, also=tuple(periods[1:]))
    _check_paths(gathering.store, question, coverage)
    now, *before = [_Reckoning(gathering.store, filters, question, zone) for filters in periods]
    ordered = _ordered(now, before, question)
    return Summary(
        coverage=coverage,
        overall=Compared({}, now.overall, before[0].overall if before else None),
        # Without a grouping, the whole is all there is.
        groups=()
        if not question.groupings
        else tuple(
            Compared(
                dict(zip(question.groupings, name, strict=True)),
                now.group(name),
                before[0].group(name) if before else None,
            )
            for name in ordered[: question.top]
        ),
        others=max(0, len(ordered) - question.top),
        existing=existing_values(gathering.store, question.filters, coverage.matched),
    )


def overall_of(store: Store, question: SummaryQuestion, zone: ZoneInfo) -> Group:
    """Everything that matches as one group."""
    return _Reckoning(store, question.filters, question, zone).overall


class _Reckoning:
    """The figures of one period."""

    def __init__(self, store: Store, filters: Filters, question: SummaryQuestion, zone: ZoneInfo) -> None:
        self._figures = store.figures
        self._filters = filters
        self._groupings = question.groupings
        self._stored = [stored(grouping, question.groupings) for grouping in question.groupings]
        self._zone = zone.key
        self.tallies: dict[Names, Tally] = {}
        self._values: dict[str, dict[Names, Numbers]] = {}
        for key, tally in self._figures.tallies(filters, self._stored, zone.key).items():
            name = self._name(key)
            if name in self.tallies:
                self.tallies[name].add(tally)
            else:
                self.tallies[name] = tally
        for measure in question.measures:
            values: dict[Names, Numbers] = defaultdict(Numbers)
            for key, found in self._figures.numbers(filters, self._stored, measure, zone.key).items():
                values[self._name(key)].add(found)
            self._values[measure] = values
        whole = self._figures.tallies(filters, [], zone.key).get((), Tally(0, 0, 0, "", ()))
        self._total = whole.count
        self._whole = whole
        self._whole_values = {
            measure: self._figures.numbers(filters, [], measure, zone.key).get((), Numbers())
            for measure in question.measures
        }

    @property
    def overall(self) -> Group:
        """Everything as one group."""
        return self._group(self._whole, self._whole_values, [])

    def group(self, name: Names) -> Group:
        """One group; an empty one where there is none of that name."""
        values = {measure: by_name.get(name, Numbers()) for measure, by_name in self._values.items()}
        return self._group(self.tallies.get(name, Tally(0, 0, 0, "", ())), values, self._stored)

    def _group(self, tally: Tally, values: dict[str, Numbers], groupings: list[str]) -> Group:
        example = tally.example
        if tally.count and not example:
            example = self._figures.example(self._filters, groupings, tally.key, self._zone)
        return Group(
            count=tally.count,
            share=tally.count / self._total if self._total else 0.0,
            success_rate=tally.successes / tally.count if tally.count else 0.0,
            measures={name: measured(found) for name, found in values.items() if found.found or found.left_out},
            example=example,
        )

    def _name(self, key: Key) -> Names:
        return tuple(
            label(grouping, value, base)
            for grouping, value, base in zip(self._groupings, key, self._stored, strict=True)
        )


def measured(numbers: Numbers) -> Measure:
    """The figures of some numbers."""
    values = numbers.found
    if not values:
        return Measure(0, 0.0, left_out=numbers.left_out)
    deciles = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]] * 9
    total = math.fsum(values)
    return Measure(
        count=len(values),
        sum=total,
        mean=total / len(values),
        median=statistics.median(values),
        p90=deciles[8],
        min=min(values),
        max=max(values),
        left_out=numbers.left_out,
    )


def _ordered(now: _Reckoning, before: list[_Reckoning], question: SummaryQuestion) -> list[Names]:
    """The groups of both periods, the largest first; where the first grouping is a time, those given in its order."""
    counts: dict[Names, int] = defaultdict(int)
    for reckoning in (now, *before):
        for name, tally in reckoning.tallies.items():
            counts[name] += tally.count
    largest = sorted(counts, key=lambda name: (-counts[name], name))
    if question.groupings and question.groupings[0] in TIMES:
        time, shown = question.groupings[0], largest[: question.top]
        largest[: question.top] = sorted(shown, key=lambda name: (place(time, name[0]), -counts[name], name))
    return largest


def _check_words(question: SummaryQuestion) -> None:
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


def _check_paths(store: Store, question: SummaryQuestion, coverage: Coverage) -> None:
    """A path nobody has gives no group, and a measure needs numbers: an error says more than an empty figure."""
    wanted = [name for name in (*question.groupings, *question.measures) if name.startswith(RESULTS)]
    kinds = store.figures.paths() if wanted and coverage.matched else {}
    for name in wanted if kinds else ():
        kind = kinds.get(name.removeprefix(RESULTS))
        fitting = [
            RESULTS + path for path, k in kinds.items() if name in question.groupings or k in ("number", "mixed")
        ]
        known = f"There are: {', '.join(sorted(fitting))[:1_500] or 'none'}."
        if kind is None:
            raise InvalidRequestError(f"No conversation read so far has {clean(name)[:80]}.", known)
        if name in question.measures and kind not in ("number", "mixed"):
            raise InvalidRequestError(
                f"measures: {clean(name)[:80]} is a {kind}, not a number.", f"Group by it instead. {known}"
            )
