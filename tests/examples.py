"""How many examples Hypothesis tries: few during development (`quick`), many in CI (`thorough`).

`HYPOTHESIS_PROFILE` chooses one; else it is `thorough` where `CI` is set. A test that needs more or fewer examples than
the others takes a multiple of the profile's number:

    @settings(max_examples=examples(0.5))

Where a test is parametrized by values that differ little, it tries some of them here and all in CI:

    @pytest.mark.parametrize("size", some([1, 100, 299, 300, 450], 2))
    @pytest.mark.parametrize(("order", "with_total"), each_once(ORDERS, [True, False]))
"""

import os
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeVar

from hypothesis import settings

QUICK, THOROUGH = 10, 20
T = TypeVar("T")


def load_profile() -> None:
    """Sets the number for all tests. None has a deadline, as the machine may be busy."""
    settings.register_profile("quick", max_examples=QUICK, deadline=None)
    settings.register_profile("thorough", max_examples=THOROUGH, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("thorough" if os.environ.get("CI") else "quick"))


def is_thorough() -> bool:
    """Whether there is time for everything: some tests try all combinations then, and a choice of them otherwise."""
    return settings().max_examples >= THOROUGH


def examples(times: float) -> int:
    """A multiple of the profile's number."""
    return max(1, round(times * settings().max_examples))


def some(values: Iterable[T], step: int) -> list[T]:
    """The first of them and each `step`th after it; all where there is time."""
    return list(values)[:: 1 if is_thorough() else step]


def each_once(*choices: Sequence[object]) -> list[tuple[object, ...]]:
    """So many combinations that each choice occurs; all where there is time."""
    if is_thorough():
        return list(product(*choices))
    most = max(len(values) for values in choices)
    return [tuple(values[n % len(values)] for values in choices) for n in range(most)]
