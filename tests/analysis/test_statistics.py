"""The formulas against reference values of SciPy 1.17.1 and statsmodels 0.15.0, and their properties."""

import math
import statistics
from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.analysis.statistics import (
    Interval,
    Usual,
    adjusted_p_values,
    difference_interval,
    find_step,
    median,
    median_interval,
    rank_test,
    share_difference_interval,
    success_interval,
    two_share_p_value,
    wilson_interval,
)

Shares = tuple[int, int, int, int]

COUNTS = st.integers(1, 3_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
SAMPLES = st.dictionaries(st.integers(-50, 50), st.integers(1, 40), min_size=1)


def close(value: float | tuple[float, ...]) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "total", "interval"),
    [  # statsmodels: proportion_confint(count, total, method="wilson")
        (0, 20, (0.0, 0.1611251580528194)),
        (1, 29, (0.006113214292762667, 0.17175521879320294)),
        (81, 263, (0.2552885198782742, 0.36620957698280004)),  # 0.2553, 0.3662 in Newcombe 1998
        (20, 20, (0.8388748419471804, 1.0)),
        (700_000, 1_000_000, (0.6991010647758705, 0.7008973986465038)),
    ],
)
def test_the_interval_of_a_share(count: int, total: int, interval: Interval) -> None:
    assert wilson_interval(count, total) == close(interval)
    assert success_interval(count, total) == close(interval)


def test_no_conversations_have_no_success_interval() -> None:
    assert success_interval(0, 0) is None


@pytest.mark.parametrize(
    ("shares", "interval"),
    [  # statsmodels: confint_proportions_2indep(after…, before…, method="newcomb", compare="diff")
        ((0, 10, 0, 20), (-0.27753279986288926, 0.1611251580528194)),
        ((48, 80, 56, 70), (0.05243147240236498, 0.33387265403690614)),  # 0.0524, 0.3339 in Newcombe 1998
        ((3, 10, 9, 10), (0.1705227239345029, 0.809017973535488)),  # 0.1705, 0.8090 in Newcombe 1998
        ((2, 34, 6, 984), (-0.18487971865804198, -0.009589839570326879)),
        ((500, 10_000, 600, 9_000), (0.009996903898089873, 0.023400467720309227)),
    ],
)
def test_the_interval_of_a_difference_of_shares(shares: Shares, interval: Interval) -> None:
    assert share_difference_interval(*shares) == close(interval)


@pytest.mark.parametrize(
    ("shares", "p_value"),
    [  # SciPy: fisher_exact(table)
        ((1, 10, 8, 10), 0.005477494641581329),
        ((3, 40, 12, 38), 0.009331046952154642),
        ((2, 2_000, 15, 1_900), 0.0010100961519144932),
        ((0, 900, 9, 300), 3.482612682799443e-06),
        ((60, 600, 95, 610), 0.004422651458933601),
        ((7, 3_000, 7, 3_000), 1.0),
        # SciPy: chi2_contingency(table, correction=True)
        ((500, 5_000, 560, 5_100), 0.11529802290348957),
        ((1_000, 2_000, 1_090, 2_000), 0.004843212254960106),
        ((300, 1_500, 1_400, 5_000), 7.749485259510656e-10),
        ((4_000, 40_000, 4_600, 41_000), 1.8931331724309476e-08),
        # There is nothing to compare.
        ((0, 10, 0, 20), 1.0),
        ((10, 10, 20, 20), 1.0),
        ((0, 0, 3, 20), 1.0),
    ],
)
def test_the_p_value_of_two_shares(shares: Shares, p_value: float) -> None:
    assert two_share_p_value(*shares) == close(p_value)


@given(COUNTS, COUNTS)
def test_shares_and_their_differences_lie_in_their_intervals(before: tuple[int, int], after: tuple[int, int]) -> None:
    low, high = wilson_interval(*after)
    assert 0 <= low <= after[0] / after[1] <= high <= 1
    low, high = share_difference_interval(*before, *after)
    difference = after[0] / after[1] - before[0] / before[1]
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9


@given(COUNTS, COUNTS)
def test_the_order_of_periods_and_the_complement_change_no_p_value(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    p_value = two_share_p_value(*before, *after)
    assert 0 <= p_value <= 1 + 1e-12
    assert two_share_p_value(*after, *before) == close(p_value)
    (count, total), (other, other_total) = before, after
    assert two_share_p_value(total - count, total, other_total - other, other_total) == close(p_value)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_small_counts_are_tested_exactly(total: int, other_total: int, data: st.DataObject) -> None:
    count, other = data.draw(st.integers(0, total)), data.draw(st.integers(0, other_total))
    drawn = count + other
    tables = [
        math.comb(total, number) * math.comb(other_total, drawn - number)
        for number in range(max(0, drawn - other_total), min(drawn, total) + 1)
    ]
    limit = math.comb(total, count) * math.comb(other_total, other)
    exact = Fraction(sum(table for table in tables if table <= limit), sum(tables))
    assert two_share_p_value(count, total, other, other_total) == close(float(exact))


def test_ranks_with_ties() -> None:
    test = rank_test({0: 20, 1: 14, 2: 9, 3: 5, 7: 2}, {0: 11, 1: 15, 2: 14, 3: 9, 5: 4, 9: 1})
    assert test  # SciPy: mannwhitneyu(after, before, method="asymptotic", use_continuity=True)
    assert (test.chance_higher, test.p_value) == close((0.6316666666666667, 0.017126658918152522))


def test_ranks_without_ties() -> None:
    test = rank_test(dict.fromkeys(map(float, range(1, 31)), 1), dict.fromkeys((9.5 + n for n in range(25)), 1))
    assert test
    assert (test.chance_higher, test.p_value) == close((0.692, 0.015283411524089513))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        (dict.fromkeys(range(19), 1), dict.fromkeys(range(900), 1)),
        ({5: 100}, {5: 200}),
        ({0: 990, 1: 9}, {0: 1_000, 4: 9}),
    ],
    ids=["empty", "small", "all the same", "nearly all the same"],
)
def test_ranks_refuse_what_a_normal_approximation_is_poor_for(
    before: dict[float, int], after: dict[float, int]
) -> None:
    assert rank_test(before, after) is None


@given(SAMPLES, SAMPLES)
def test_ranks_are_the_same_from_both_sides(before: dict[float, int], after: dict[float, int]) -> None:
    test, reverse = rank_test(before, after), rank_test(after, before)
    assert (test is None) == (reverse is None)
    if test and reverse:
        assert 0 <= test.p_value <= 1
        assert reverse.p_value == close(test.p_value)
        assert reverse.chance_higher == close(1 - test.chance_higher)


def test_p_values_adjusted_for_all_that_was_compared() -> None:
    # The example of Benjamini & Hochberg 1995; statsmodels: multipletests(p_values, method="fdr_bh")
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262]
    p_values += [0.5719, 0.6528, 0.759, 1.0]
    adjusted = [0.0015, 0.003, 0.0095, 0.035625, 0.0603, 0.063857, 0.063857, 0.0645, 0.0765, 0.486, 0.581182]
    adjusted += [0.714875, 0.753231, 0.813214, 1.0]
    assert adjusted_p_values(p_values) == pytest.approx(adjusted, abs=1e-6)
    assert adjusted_p_values(p_values[::-1]) == pytest.approx(adjusted[::-1], abs=1e-6)
    assert adjusted_p_values([]) == []


@given(st.lists(st.floats(0, 1)))
def test_adjusted_p_values_are_no_smaller_and_keep_their_order(p_values: list[float]) -> None:
    adjusted = adjusted_p_values(p_values)
    assert all(p_value <= one <= 1 for p_value, one in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [one for _, one in pairs] == sorted(adjusted)


@given(SAMPLES)
def test_the_median_and_its_interval(numbers: dict[float, int]) -> None:
    middle = statistics.median(Counter(numbers).elements())
    low, high = median_interval(numbers)
    assert median(numbers) == middle
    assert low <= middle <= high


@pytest.mark.parametrize(("count", "interval"), [(50, (18, 33)), (100, (40, 61))])
def test_the_interval_of_a_median(count: int, interval: Interval) -> None:
    # SciPy: quantile_test(range(1, count + 1), p=0.5).confidence_interval(0.95)
    assert median_interval(dict.fromkeys(range(1, count + 1), 1)) == interval


def test_the_interval_of_a_difference_of_medians_is_squared_and_added() -> None:
    assert difference_interval(10, (7, 13), 20, (16, 24)) == (10 - 5, 10 + 5)


@pytest.mark.parametrize(
    ("numbers", "middle", "deviation"),
    [
        ([2, 3, 3, 5, 8, 13, 40], 5, 4.447806655516806),  # statsmodels: robust.scale.mad
        ([*[0] * 6, 1, 4, 5, 6, 7], 0, 0),  # more than half are the same
    ],
)
def test_what_is_usual(numbers: list[float], middle: float, deviation: float) -> None:
    usual = Usual.among(Counter(numbers))
    assert (usual.median, usual.deviation) == close((middle, deviation))


def drawn(random: Random, share: float, total: int) -> tuple[int, int]:
    return sum(random.random() < share for _ in range(total)), total


@pytest.mark.parametrize("at", [3, 14, 25])
def test_the_day_of_a_step(at: int) -> None:
    random = Random(at)
    step = find_step([drawn(random, 0.3 if day >= at else 0.1, 200) for day in range(28)])
    assert step
    assert step.index == at
    assert (step.before, step.after) == pytest.approx((0.1, 0.3), abs=0.05)


def test_days_without_conversations_are_no_step() -> None:
    step = find_step([(1, 10), (0, 0), (2, 10), (1, 10), (1, 10), (0, 0), (9, 10), (8, 10), (0, 0), (9, 10), (9, 10)])
    assert step
    assert step.index == 6


@pytest.mark.parametrize("days", [[], [(1, 5)], [(0, 0), (2, 9)], [(0, 50), (50, 50)], [(5, 50)] * 30, [(0, 9)] * 30])
def test_no_step_shows(days: list[tuple[int, int]]) -> None:
    assert find_step(days) is None


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_chance_makes_few_steps_even_if_days_vary(spread: float) -> None:
    steps = 0
    for seed in range(200):
        random = Random(seed)
        days = [drawn(random, 0.2 + random.uniform(-spread, spread), 60) for _ in range(21)]
        steps += find_step(days) is not None
    assert steps <= 16  # 5 % of 200, and two standard deviations


@given(st.lists(st.integers(0, 9).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), max_size=20))
def test_a_step_begins_on_a_day_with_conversations(days: list[tuple[int, int]]) -> None:
    step = find_step(days)
    if step:
        assert days[step.index][1] > 0
        assert 0 < step.p_value <= 0.05
        assert step == find_step(days)
