"""What differs between two periods more than by chance, over everything that can be counted.

Chance means that each conversation could as well have been in the other period. Shares are between 0 and 1, and
differences are after minus before; intervals cover 95 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from formant_mcp.analysis.statistics import (
    Distribution,
    Interval,
    adjusted_p_values,
    difference_interval,
    find_step,
    median,
    median_interval,
    rank_test,
    share_difference_interval,
    two_share_p_value,
)

# The share of reported changes that may be by chance; without any change, of questions that report one: below 5 % also
# in large accounts, where few tests are conservative.
LEVEL = 0.04
LEAST_COUNT = 10  # a value is compared if as many conversations of both periods have it, and as many have not


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """How many conversations of a period have each value, of the `total` for which the field could be measured."""

    total: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CountedField:
    """A field with values: a status, an agent, an hour, or whether a signal occurred."""

    name: str
    before: PeriodCounts
    after: PeriodCounts


@dataclass(frozen=True, slots=True)
class NumericField:
    """A field with numbers. Those that are 0 in most conversations belong in a CountedField: 0, or 1 and more."""

    name: str
    before: Distribution
    after: Distribution


@dataclass(frozen=True, slots=True)
class Figure:
    """A value in one period: how many conversations have it, and their share, or the median of a field's numbers."""

    count: int
    share: float | None = None
    median: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A share that differs or, without a value, a median.

    `chance_higher`: of numbers, how likely one after is higher than one before (0 to 1). It differs from 0.5 even if
    the medians do not. `same`: other fields and values with exactly these counts.
    """

    field: str
    value: str | None
    before: Figure
    after: Figure
    difference: float
    interval: Interval
    p_value: float
    p_adjusted: float = 1.0
    chance_higher: float | None = None
    same: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes, those least likely by chance first.

    `compared`: how many values and medians were compared, of how many `fields`.
    """

    changes: tuple[Change, ...]
    compared: int
    fields: int


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many of a day's conversations have the value, or a number above the median before."""

    day: date
    count: int
    total: int


def find_changes(counted: Sequence[CountedField], numeric: Sequence[NumericField] = ()) -> Changes:
    """The changes that chance does not explain, with the p values adjusted for all that was compared."""
    compared = [*_compare_counts(counted), *_compare_numbers(numeric)]
    adjusted = adjusted_p_values([change.p_value for change in compared])
    changes = [
        replace(change, p_adjusted=p_value)
        for change, p_value in zip(compared, adjusted, strict=True)
        if p_value <= LEVEL
    ]
    changes.sort(key=lambda change: (change.p_value, -abs(change.difference)))
    return Changes(tuple(_merge_same(changes)), len(compared), len({change.field for change in compared}))


def start_of_change(change: Change, days: Sequence[DayCount]) -> date | None:
    """The day of both periods from which its share is different; None if no day shows, or another change does."""
    step = find_step([(day.count, day.total) for day in days])
    direction = change.difference if change.chance_higher is None else change.chance_higher - 0.5
    return days[step.index].day if step and (step.after - step.before) * direction > 0 else None


def _compare_counts(fields: Sequence[CountedField]) -> Iterator[Change]:
    for counted in fields:
        before, after = counted.before, counted.after
        if not before.total or not after.total:
            continue
        for value in _values_to_compare(counted):
            counts = before.counts.get(value, 0), before.total, after.counts.get(value, 0), after.total
            shares = counts[0] / counts[1], counts[2] / counts[3]
            yield Change(
                field=counted.name,
                value=value,
                before=Figure(counts[0], share=shares[0]),
                after=Figure(counts[2], share=shares[1]),
                difference=shares[1] - shares[0],
                interval=share_difference_interval(*counts),
                p_value=two_share_p_value(*counts),
            )


def _values_to_compare(counted: CountedField) -> list[str]:
    """Those with enough conversations; of two values that are each other's complement, the one that has become more."""
    before, after = counted.before, counted.after
    names = {*before.counts, *after.counts}
    sums = {value: before.counts.get(value, 0) + after.counts.get(value, 0) for value in names}
    values = sorted(sums, key=lambda value: (sums[value], value))
    most = before.total + after.total - LEAST_COUNT
    if len(values) == 2 and sum(before.counts.values()) == before.total and sum(after.counts.values()) == after.total:
        values.sort(key=lambda value: _gain(counted, value), reverse=True)
        del values[1]
    return [value for value in values if LEAST_COUNT <= sums[value] <= most]


def _gain(counted: CountedField, value: str) -> float:
    before, after = counted.before, counted.after
    return after.counts.get(value, 0) / after.total - before.counts.get(value, 0) / before.total


def _compare_numbers(fields: Sequence[NumericField]) -> Iterator[Change]:
    for numeric in fields:
        test = rank_test(numeric.before, numeric.after)
        if not test:
            continue
        medians = median(numeric.before), median(numeric.after)
        intervals = median_interval(numeric.before), median_interval(numeric.after)
        yield Change(
            field=numeric.name,
            value=None,
            before=Figure(sum(numeric.before.values()), median=medians[0]),
            after=Figure(sum(numeric.after.values()), median=medians[1]),
            difference=medians[1] - medians[0],
            interval=difference_interval(medians[0], intervals[0], medians[1], intervals[1]),
            p_value=test.p_value,
            chance_higher=test.chance_higher,
        )


def _merge_same(changes: Sequence[Change]) -> list[Change]:
    """The changes, with values of different fields that have the same counts as one."""
    merged: list[Change] = []
    for change in changes:
        for index, other in enumerate(merged):
            is_same = change.value is not None and (change.before, change.after) == (other.before, other.after)
            if is_same and change.field != other.field:
                merged[index] = replace(other, same=(*other.same, (change.field, change.value or "")))
                break
        else:
            merged.append(change)
    return merged
