"""Statistics of numbers, each of which may occur many times."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, repeat

from formant_mcp.store.aggregates import Numbers


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the numbers of a group; quantiles are those of `statistics.quantiles(..., method="inclusive")`.

    `left_out`: how many values of the field are not numbers. Without any number there are only count and sum.
    """

    count: int
    sum: float
    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    min: float | None = None
    max: float | None = None
    left_out: int = 0


def statistics_of(numbers: Numbers) -> Statistics:
    """The statistics of some numbers."""
    count = numbers.counts.total()
    if not count:
        return Statistics(0, 0.0, left_out=numbers.left_out)
    values = sorted(numbers.counts)
    counts = [numbers.counts[value] for value in values]
    running_counts = list(accumulate(counts))

    def value_at(index: int) -> float:
        return values[bisect_right(running_counts, index)]

    total = math.fsum(chain.from_iterable(map(repeat, values, counts)))
    lower, tenths = divmod(9 * (count - 1), 10)
    p90 = (value_at(lower) * (10 - tenths) + value_at(min(lower + 1, count - 1)) * tenths) / 10
    middle = value_at(count // 2)
    return Statistics(
        count=count,
        sum=total,
        mean=total / count,
        median=middle if count % 2 else (value_at(count // 2 - 1) + middle) / 2,
        p90=p90,
        min=values[0],
        max=values[-1],
        left_out=numbers.left_out,
    )


def statistics_of_all(numbers_by_measure: Mapping[str, Numbers]) -> dict[str, Statistics]:
    """The statistics of each measure that has values."""
    return {
        measure: statistics_of(numbers)
        for measure, numbers in numbers_by_measure.items()
        if numbers.counts or numbers.left_out
    }
