"""What changed between two periods: what was planted is reported, and what is by chance is not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.analysis.changes import (
    Change,
    CountedField,
    DayCount,
    Figure,
    NumericField,
    PeriodCounts,
    find_changes,
    start_of_change,
)
from formant_mcp.analysis.statistics import share_difference_interval, two_share_p_value
from tests.analysis.random_calls import COUNTED, NUMERIC, Call, two_periods
from tests.examples import some

SETTLED = PeriodCounts(1_000, {"a": 500, "b": 300, "c": 200})


def field(name: str, before: PeriodCounts, after: PeriodCounts) -> CountedField:
    return CountedField(name, before, after)


def names(changes: tuple[Change, ...]) -> list[tuple[str, str | None]]:
    return [(change.field, change.value) for change in changes]


def test_chance_alone_is_reported_in_at_most_one_of_twenty_runs() -> None:
    reports, seeds = 0, some(range(60), 2)
    for seed in seeds:
        random = Random(seed)
        reports += bool(find_changes(*two_periods(random, random.randint(300, 5_000))).changes)
    assert reports <= len(seeds) / 20  # benchmarks/bench_changes.py counts a thousand runs


def negative(call: Call) -> Call:
    has_sentiment = "results.sentiment" in call.values and call.values["agent_id"] == "agent 1"
    return replace(call, values=call.values | {"results.sentiment": "negative"}) if has_sentiment else call


def longer(call: Call) -> Call:
    return replace(call, numbers={name: 1.5 * number for name, number in call.numbers.items()})


def from_four(call: Call) -> Call:
    return replace(call, values=call.values | {"hour": "16"}) if call.values["hour"] == "09" else call


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (negative, {("results.sentiment", "negative")}),
        (longer, {("duration_seconds", None), ("signals.contact_turns", None)}),
        (from_four, {("hour", "09"), ("hour", "16")}),
    ],
)
def test_what_was_planted_comes_first(plant: Callable[[Call], Call], expected: set[tuple[str, str | None]]) -> None:
    found = find_changes(*two_periods(Random(5), 3_000, plant))
    assert set(names(found.changes[: len(expected)])) == expected
    assert {change.field for change in found.changes} <= {name for name, _ in expected}
    assert {change.field for change in found.changes} <= {*COUNTED, *NUMERIC}


def test_a_changed_share_has_its_figures() -> None:
    after = PeriodCounts(500, {"a": 150, "b": 150, "c": 150, "d": 50})
    found = find_changes([field("intent", SETTLED, after)])
    change = next(change for change in found.changes if change.value == "d")
    assert found.compared == 4
    assert change.before == Figure(0, share=0.0)
    assert change.after == Figure(50, share=0.1)
    assert change.difference == pytest.approx(0.1)
    assert change.interval == share_difference_interval(0, 1_000, 50, 500)
    assert change.p_value == two_share_p_value(0, 1_000, 50, 500)
    assert change.p_value <= change.p_adjusted <= 0.05
    assert "b" not in {change.value for change in found.changes}


def test_changed_numbers_have_medians() -> None:
    before = dict.fromkeys(map(float, range(100)), 3)
    after = dict.fromkeys(map(float, range(30, 130)), 2)
    found = find_changes([], [NumericField("duration_seconds", before, after)])
    (change,) = found.changes
    assert (change.value, found.compared) == (None, 1)
    assert (change.before, change.after) == (Figure(300, median=49.5), Figure(200, median=79.5))
    assert change.interval[0] < change.difference == 30 < change.interval[1]
    assert change.chance_higher == pytest.approx(0.755)


def test_few_conversations_with_a_value_are_not_compared() -> None:
    before = PeriodCounts(5_000, {"a": 5_000})
    found = find_changes([field("reason", before, PeriodCounts(300, {"a": 200, "b": 91, "c": 9}))])
    assert found.compared == 2
    assert {change.value for change in found.changes} == {"a", "b"}


@pytest.mark.parametrize("counts", [{"a": 291, "b": 9}, {"a": 291}, {"a": 300}])
def test_what_few_conversations_lack_is_not_compared(counts: dict[str, int]) -> None:
    assert find_changes([field("reason", PeriodCounts(5_000, {"a": 5_000}), PeriodCounts(300, counts))]).compared == 0


def test_the_rarer_of_two_values_speaks_for_both() -> None:
    before, after = PeriodCounts(1_000, {"true": 100, "false": 900}), PeriodCounts(1_000, {"true": 300, "false": 700})
    found = find_changes([field("robot", before, after)])
    assert names(found.changes) == [("robot", "true")]
    assert found.compared == 1


def test_two_values_that_some_conversations_lack_are_both_compared() -> None:
    before, after = PeriodCounts(1_000, {"true": 100, "false": 800}), PeriodCounts(1_000, {"true": 300, "false": 700})
    assert find_changes([field("robot", before, after)]).compared == 2


def test_values_with_the_same_counts_are_reported_once() -> None:
    before, after = PeriodCounts(1_000, {"x": 50, "y": 500}), PeriodCounts(1_000, {"x": 150, "y": 510})
    renamed = [PeriodCounts(1_000, {"failed": period.counts["x"]}) for period in (before, after)]
    found = find_changes([field("reason", before, after), field("status", *renamed)])
    (change,) = found.changes
    assert (change.field, change.value, change.same) == ("reason", "x", (("status", "failed"),))
    assert found.compared == 3


@pytest.mark.parametrize("empty", [PeriodCounts(0, {}), SETTLED])
def test_a_field_that_was_not_measured_before_is_not_compared(empty: PeriodCounts) -> None:
    periods = (PeriodCounts(0, {}), empty)
    for before, after in (periods, periods[::-1]):
        assert find_changes([field("signal", before, after)], [NumericField("number", {}, {1: 50})]).compared == 0


def test_everything_that_is_compared_raises_the_bar() -> None:
    risen = field("intent", PeriodCounts(1_000, {"a": 100}), PeriodCounts(1_000, {"a": 132}))
    others = [field(f"field {number}", SETTLED, SETTLED) for number in range(20)]
    alone, among_others = find_changes([risen]), find_changes([risen, *others])
    assert names(alone.changes) == [("intent", "a")]
    assert (among_others.changes, among_others.compared) == ((), 61)


FIRST = date(2026, 11, 1)


def days(shares: list[float]) -> list[DayCount]:
    return [DayCount(FIRST + timedelta(index), round(100 * share), 100) for index, share in enumerate(shares)]


def change_of(difference: float, chance_higher: float | None = None) -> Change:
    figure, value = Figure(1_400), None if chance_higher is not None else "a"
    return Change("f", value, figure, figure, difference, (-1.0, 1.0), 0.0, 0.0, chance_higher)


def test_the_day_a_change_began() -> None:
    daily = days([0.1] * 18 + [0.3] * 10)
    assert start_of_change(change_of(0.14), daily) == FIRST + timedelta(18)
    assert start_of_change(change_of(0.0, chance_higher=0.6), daily) == FIRST + timedelta(18)


def test_no_day_shows_a_change_the_other_way() -> None:
    daily = days([0.1] * 18 + [0.3] * 10)
    assert start_of_change(change_of(-0.14), daily) is None
    assert start_of_change(change_of(0.0, chance_higher=0.4), daily) is None
    assert start_of_change(change_of(0.14), days([0.1, 0.2] * 14)) is None


PERIODS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 400)).flatmap(
    lambda counts: st.integers(0, 100).map(lambda missing: PeriodCounts(sum(counts.values()) + missing, counts))
)


@given(st.lists(st.tuples(PERIODS, PERIODS), max_size=6))
def test_every_change_is_beyond_chance_and_reported_once(periods: list[tuple[PeriodCounts, PeriodCounts]]) -> None:
    fields = [field(f"field {index}", *pair) for index, pair in enumerate(periods)]
    found = find_changes(fields)
    reported = [name for change in found.changes for name in ((change.field, change.value), *change.same)]
    assert len(reported) == len(set(reported)) <= found.compared
    assert [change.p_value for change in found.changes] == sorted(change.p_value for change in found.changes)
    for change in found.changes:
        assert change.p_value <= change.p_adjusted <= 0.05
        assert change.before.count + change.after.count >= 10
        assert change.interval[0] <= change.difference <= change.interval[1]
        assert abs(change.difference) > 0
