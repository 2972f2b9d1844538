"""How many examples Hypothesis tries: few during development (`quick`), many in CI (`thorough`).

`HYPOTHESIS_PROFILE` chooses one; else it is `thorough` where `CI` is set. A test that needs more or fewer examples than
the others takes a multiple of the profile's number:

    @settings(max_examples=examples(0.5))

Where a test is parametrized by combinations that differ little, `is_thorough` chooses how many.
"""

import os

from hypothesis import settings

QUICK, THOROUGH = 15, 20


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
