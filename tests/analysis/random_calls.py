"""Calls as an account has them, made by chance: 8 fields that depend on each other, with 60 values and 2 measures."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from formant_mcp.analysis.changes import CountedField, NumericField, PeriodCounts

AGENTS = {f"agent {number}": 1 / number for number in range(1, 11)}
STATUSES = {"completed": 70, "failed": 12, "no-answer": 10, "busy": 6, "cancelled": 2}
FAILURES = {f"reason {number}": 2.0**-number for number in range(9)}
HOURS = {f"{hour:02}": 3 + hour % 5 for hour in range(9, 21)}
INTENTS = {f"intent {number}": 1 / number**1.5 for number in range(1, 15)}
SENTIMENTS = {"positive": 30, "neutral": 50, "negative": 15, "mixed": 5, "unclear": 1}
COUNTED = ("status", "failure_reason", "agent_id", "hour", "direction", "results.intent", "results.sentiment", "robot")
NUMERIC = ("duration_seconds", "signals.contact_turns")


@dataclass(frozen=True, slots=True)
class Call:
    """A call's values by field; it lacks a field that could not be measured."""

    values: dict[str, str]
    numbers: dict[str, float]


def random_call(random: Random) -> Call:
    status = _one_of(random, STATUSES)
    values = {
        "status": status,
        "failure_reason": _one_of(random, FAILURES) if status == "failed" else "(none)",
        "agent_id": _one_of(random, AGENTS),
        "hour": _one_of(random, HOURS),
        "direction": "inbound" if random.random() < 0.2 else "outbound",
    }
    if status != "completed":
        return Call(values, {})
    intent = _one_of(random, INTENTS)
    sentiment = "negative" if intent == "intent 2" and random.random() < 0.5 else _one_of(random, SENTIMENTS)
    is_robot = "true" if random.random() < 0.02 else "false"
    values |= {"results.intent": intent, "results.sentiment": sentiment, "robot": is_robot}
    duration = round(math.exp(random.gauss(4.5, 0.7)))
    return Call(values, {"duration_seconds": duration, "signals.contact_turns": 1 + duration // 15})


def _one_of(random: Random, weights: Mapping[str, float]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


def fields_of(before: Sequence[Call], after: Sequence[Call]) -> tuple[list[CountedField], list[NumericField]]:
    """The counts that `find_changes` compares."""
    counted = [CountedField(name, _counts(name, before), _counts(name, after)) for name in COUNTED]
    return counted, [NumericField(name, _numbers(name, before), _numbers(name, after)) for name in NUMERIC]


def _counts(name: str, calls: Sequence[Call]) -> PeriodCounts:
    counts = Counter(call.values[name] for call in calls if name in call.values)
    return PeriodCounts(counts.total(), counts)


def _numbers(name: str, calls: Sequence[Call]) -> Counter[float]:
    return Counter(call.numbers[name] for call in calls if name in call.numbers)


def two_periods(
    random: Random, count: int, plant: Callable[[Call], Call] | None = None
) -> tuple[list[CountedField], list[NumericField]]:
    """Calls that are the same by chance in both periods, of which the first has a third to two thirds.

    `plant` is applied to the calls after.
    """
    first = round(count * random.uniform(1 / 3, 2 / 3))
    calls = [random_call(random) for _ in range(count)]
    return fields_of(calls[:first], [plant(call) for call in calls[first:]] if plant else calls[first:])
