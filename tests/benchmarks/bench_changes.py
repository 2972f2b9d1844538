"""Counts how often `find_changes` reports what is by chance, and how often it finds what was planted.

    python -m tests.benchmarks.bench_changes [--runs 1000] [--planted-runs 100]

Each run has calls of its own, from a seed: 300 to 5,000 of them by chance, in two periods that differ by nothing. At
most 5 % of these runs may report anything, else this fails. Then each change is planted in the calls after, at several
sizes and numbers of calls; a run finds it if it reports that field and value. Last comes the day of a
step. Printed are shares of runs.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

from formant_mcp.analysis.changes import find_changes
from formant_mcp.analysis.statistics import find_step
from tests.analysis.random_calls import Call, two_periods

SIZES = (300, 1_000, 5_000)
STEP_AT = 18
Plant = Callable[[Random], Callable[[Call], Call]]


def by_chance(runs: int) -> float:
    """The share of runs that report anything though nothing differs."""
    reported: Counter[str] = Counter()
    runs_with_any, compared, started = 0, 0, time.process_time()
    for seed in range(runs):
        random = Random(seed)
        found = find_changes(*two_periods(random, random.randint(300, 5_000)))
        runs_with_any += bool(found.changes)
        compared += found.compared
        reported.update(change.field for change in found.changes)
    print(f"nothing planted: {runs_with_any} of {runs} runs report anything; {compared / runs:.0f} compared in each")
    print(f"  fields reported: {dict(reported)}; {time.process_time() - started:.0f} s of CPU")
    return runs_with_any / runs


def moved(field: str, value: str, share: float) -> Plant:
    """That share of the calls which have the field gets this value instead of its own."""

    def plant(random: Random) -> Callable[[Call], Call]:
        def change(call: Call) -> Call:
            has_it = field in call.values and random.random() < share
            return replace(call, values=call.values | {field: value}) if has_it else call

        return change

    return plant


def longer(factor: float) -> Plant:
    """Calls last longer."""

    def change(call: Call) -> Call:
        return replace(call, numbers={name: round(number * factor) for name, number in call.numbers.items()})

    return lambda random: change


PLANTED: list[tuple[str, str, str | None, Plant]] = [
    ("status failed 12 % -> 16 %", "status", "failed", moved("status", "failed", 0.045)),
    ("status failed 12 % -> 21 %", "status", "failed", moved("status", "failed", 0.10)),
    ("a new intent 0 % -> 2 %", "results.intent", "new", moved("results.intent", "new", 0.02)),
    ("a new intent 0 % -> 5 %", "results.intent", "new", moved("results.intent", "new", 0.05)),
    ("robot 2 % -> 5 %", "robot", "true", moved("robot", "true", 0.03)),
    ("robot 2 % -> 10 %", "robot", "true", moved("robot", "true", 0.08)),
    ("inbound 20 % -> 28 %", "direction", "inbound", moved("direction", "inbound", 0.10)),
    ("duration + 10 %", "duration_seconds", None, longer(1.1)),
    ("duration + 30 %", "duration_seconds", None, longer(1.3)),
]


def power(runs: int) -> None:
    """Prints the share of runs that find each planted change, by number of calls."""
    print(f"{'planted':30}" + "".join(f"{size:>8,} calls" for size in SIZES))
    for name, field, value, plant in PLANTED:
        shares: list[float] = []
        for size in SIZES:
            found = 0
            for seed in range(runs):
                random = Random(seed)
                changes = find_changes(*two_periods(random, size, plant(random))).changes
                found += any((change.field, change.value) == (field, value) for change in changes)
            shares.append(found / runs)
        print(f"{name:30}" + "".join(f"{share:>14.0%}" for share in shares))


def daily_share(random: Random, day: int, kind: str) -> float:
    """The share of a day: from the 19th of 28 days on another one, or one that varies by day."""
    match kind:
        case "10 % every day":
            return 0.10
        case "between 5 and 15 %":
            return random.uniform(0.05, 0.15)
        case _:
            return float(kind) if day >= STEP_AT else 0.10


def days(runs: int) -> None:
    """Prints how often the right day is found, or one although there is none."""
    print(f"{'share of a value by day':24}{'calls a day':>12}{'right +-1':>12}{'other day':>12}{'none':>12}")
    for kind in ("10 % every day", "between 5 and 15 %", "0.15", "0.20", "0.40"):
        for per_day in (20, 100, 400):
            outcomes: Counter[str] = Counter()
            for seed in range(runs):
                random = Random(seed)
                shares = [daily_share(random, day, kind) for day in range(28)]
                step = find_step([(sum(random.random() < s for _ in range(per_day)), per_day) for s in shares])
                outcomes["none" if step is None else "right" if abs(step.index - STEP_AT) <= 1 else "other"] += 1
            name = f"10 % -> {float(kind):.0%}" if kind.startswith("0.") else kind
            figures = "".join(f"{outcomes[outcome] / runs:>12.0%}" for outcome in ("right", "other", "none"))
            print(f"{name:24}{per_day:>12}{figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--planted-runs", type=int, default=100)
    options = parser.parse_args()
    share = by_chance(options.runs)
    power(options.planted_runs)
    days(options.planted_runs)
    if share > 0.05:
        sys.exit(f"{share:.1%} of the runs report something though nothing differs")


if __name__ == "__main__":
    main()
