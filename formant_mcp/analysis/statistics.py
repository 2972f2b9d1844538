"""Intervals, tests and robust figures of counted data: pure formulas, each with its source.

Shares are between 0 and 1, intervals cover 95 %, p values are two-sided. Every formula takes conversations as
independent of each other.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Interval = tuple[float, float]
Distribution = Mapping[float, int]
"""How often each number occurs."""

Z_95 = 1.959963984540054  # the normal distribution's quantile of 0.975
EXACT_BELOW = 100.0  # expected counts: Cochran's 5 is for p values near 0.05, and those that count here are far smaller
SMALLEST_SAMPLE = 20  # for a normal approximation of ranks
LEAST_UNTIED = 10.0  # expected values of a sample that differ from the commonest one
_ROUNDING = 1 + 1e-9


def wilson_interval(count: int, total: int) -> Interval:
    """The interval of the share `count / total` (E. B. Wilson 1927); the total is at least 1."""
    square = Z_95**2
    middle = (count + square / 2) / (total + square)
    half = Z_95 / (total + square) * math.sqrt(count * (total - count) / total + square / 4)
    return max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < total else 1.0


def success_interval(successes: int, count: int) -> Interval | None:
    """The interval of a success rate; None if there are no conversations."""
    return wilson_interval(successes, count) if count else None


def difference_interval(before: float, of_before: Interval, after: float, of_after: Interval) -> Interval:
    """The interval of `after - before` from the interval of each, by "square and add" (Zou & Donner 2008)."""
    difference = after - before
    return (
        difference - math.hypot(after - of_after[0], of_before[1] - before),
        difference + math.hypot(of_after[1] - after, before - of_before[0]),
    )


def share_difference_interval(before: int, before_total: int, after: int, after_total: int) -> Interval:
    """The interval of the difference of two shares: method 10 of R. G. Newcombe 1998. Between -1 and 1."""
    return difference_interval(
        before / before_total,
        wilson_interval(before, before_total),
        after / after_total,
        wilson_interval(after, after_total),
    )


def two_share_p_value(before: int, before_total: int, after: int, after_total: int) -> float:
    """How likely chance alone makes two shares at least as different.

    Fisher's exact test (R. A. Fisher 1935; two-sided: all tables that are no likelier) where an expected count is below
    EXACT_BELOW, else the score test with the continuity correction of F. Yates 1934, which approximates it.
    """
    count, total = before + after, before_total + after_total
    rarer, smaller = min(count, total - count), min(before_total, after_total)
    if not rarer or not smaller:
        return 1.0
    if rarer * smaller / total < EXACT_BELOW:
        return _fisher_p_value(after, after_total, count, total)
    inverse = 1 / before_total + 1 / after_total
    distance = abs(after / after_total - before / before_total) - inverse / 2
    pooled = count / total
    return _normal_p_value(distance / math.sqrt(pooled * (1 - pooled) * inverse))


def _fisher_p_value(drawn: int, draws: int, count: int, total: int) -> float:
    """Two-sided p value of `drawn` among `draws` of `total`, `count` of which have the value (hypergeometric).

    The probabilities are computed from the likeliest number outwards, relative to its own.
    """
    others = total - draws - count
    mode = (draws + 1) * (count + 1) // (total + 2)
    relative = {mode: 1.0}
    for number in range(mode, min(draws, count)):
        ratio = (count - number) * (draws - number) / ((number + 1) * (others + number + 1))
        relative[number + 1] = relative[number] * ratio
    for number in range(mode, max(0, -others), -1):
        ratio = number * (others + number) / ((count - number + 1) * (draws - number + 1))
        relative[number - 1] = relative[number] * ratio
    limit = relative[drawn] * _ROUNDING
    unlikely = math.fsum(weight for weight in relative.values() if weight <= limit)
    return unlikely / math.fsum(relative.values())


def _normal_p_value(deviations: float) -> float:
    """The two-sided p value of a standard normal; 1 for what a continuity correction made negative."""
    return math.erfc(max(0.0, deviations) / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class RankTest:
    """The p value, and how likely a number of the second sample is higher than one of the first (0 to 1, ties half)."""

    p_value: float
    chance_higher: float


def rank_test(before: Distribution, after: Distribution) -> RankTest | None:
    """Whether the numbers of two samples are equally high (Mann & Whitney 1947; ties as in Lehmann 1975).

    The normal approximation with continuity correction; None where it would be poor: samples that are small, or nearly
    all of one number.
    """
    sizes = sum(before.values()), sum(after.values())
    total = sum(sizes)
    values = sorted({*before, *after})
    ties = [before.get(value, 0) + after.get(value, 0) for value in values]
    if min(sizes) < SMALLEST_SAMPLE or (total - max(ties)) * min(sizes) / total < LEAST_UNTIED:
        return None
    lower, wins = 0, 0.0
    for value in values:
        wins += after.get(value, 0) * (lower + before.get(value, 0) / 2)
        lower += before.get(value, 0)
    pairs = sizes[0] * sizes[1]
    tied = sum(tie**3 - tie for tie in ties) / (total * (total - 1))
    deviation = math.sqrt(pairs / 12 * (total + 1 - tied))
    return RankTest(_normal_p_value((abs(wins - pairs / 2) - 0.5) / deviation), wins / pairs)


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """Each p value adjusted for all, in the same order, so that 5 % of what is below 0.05 is by chance.

    The false discovery rate of Y. Benjamini & Y. Hochberg 1995.
    """
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    ascending = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in reversed(list(enumerate(ascending, start=1))):
        smallest = min(smallest, p_values[index] * (len(p_values) / rank))
        adjusted[index] = smallest
    return adjusted


def _in_order(numbers: Distribution, *ranks: int) -> list[float]:
    """The numbers at these ranks, from 0."""
    values = sorted(numbers)
    running_counts = list(accumulate(numbers[value] for value in values))
    return [values[bisect_right(running_counts, rank)] for rank in ranks]


def median(numbers: Distribution) -> float:
    """The middle one, or the mean of the two in the middle; there is at least one number."""
    count = sum(numbers.values())
    return sum(_in_order(numbers, (count - 1) // 2, count // 2)) / 2


def median_interval(numbers: Distribution) -> Interval:
    """The interval of the median by ranks (Campbell & Gardner 1988); there is at least one number."""
    count = sum(numbers.values())
    lower = max(0, round((count - Z_95 * math.sqrt(count)) / 2) - 1)
    low, high = _in_order(numbers, lower, count - 1 - lower)
    return low, high


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual among some numbers; `deviation`: the estimated standard deviation, 0 if half are the same."""

    median: float
    deviation: float

    @classmethod
    def among(cls, numbers: Distribution) -> "Usual":
        """Median, and deviation by the median absolute deviation (Hampel 1974); there is at least one number."""
        middle = median(numbers)
        distances: dict[float, int] = {}
        for value, count in numbers.items():
            distance = abs(value - middle)
            distances[distance] = distances.get(distance, 0) + count
        return cls(middle, 1.482602218505602 * median(distances))


@dataclass(frozen=True, slots=True)
class Step:
    """Where a share changed: the index of the first day after, and the share until then and since."""

    index: int
    before: float
    after: float
    p_value: float


def find_step(days: Sequence[tuple[int, int]], *, level: float = 0.05, permutations: int = 199) -> Step | None:
    """The day from which a share differs most, or None if no day does beyond chance.

    `days`: successes and total of each, in order; days without conversations do not count. Each day is tried by the
    likelihood ratio of a binomial (Hinkley & Hinkley 1970). The p value is the share of seeded permutations of the days
    that have as great a ratio at any day: it needs no correction for the number of days tried, and takes a share that
    always varies from day to day as chance. Permuting stops when the level cannot be met (Besag & Clifford 1991).
    """
    indexes = [index for index, (_, total) in enumerate(days) if total]
    counted = [days[index] for index in indexes]
    if len(counted) < 2:
        return None
    ratio, split = _best_split(counted)
    generator = random.Random(0)
    shuffled, as_great, most = list(counted), 1, math.floor(level * (permutations + 1))
    for _ in range(permutations):
        generator.shuffle(shuffled)
        as_great += _best_split(shuffled)[0] * _ROUNDING >= ratio
        if as_great > most:
            return None
    before, after = (
        sum(successes for successes, _ in part) / sum(total for _, total in part)
        for part in (counted[:split], counted[split:])
    )
    return Step(indexes[split], before, after, as_great / (permutations + 1))


def _best_split(days: Sequence[tuple[int, int]]) -> tuple[float, int]:
    """The greatest log-likelihood ratio of two shares against one, and the first day of the second."""
    all_successes = sum(successes for successes, _ in days)
    all_conversations = sum(total for _, total in days)
    best, best_split, successes, conversations = 0.0, 1, 0, 0
    for split, (day_successes, day_total) in enumerate(days[:-1], start=1):
        successes += day_successes
        conversations += day_total
        likelihood = _log_likelihood(successes, conversations) + _log_likelihood(
            all_successes - successes, all_conversations - conversations
        )
        if split == 1 or likelihood > best:
            best, best_split = likelihood, split
    return max(0.0, best - _log_likelihood(all_successes, all_conversations)), best_split


def _log_likelihood(successes: int, total: int) -> float:
    """The greatest log-likelihood of a binomial, without its constant."""
    failures = total - successes
    if not successes or not failures:
        return 0.0
    return successes * math.log(successes / total) + failures * math.log(failures / total)
