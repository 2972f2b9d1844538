"""The tests of files create each of them as the program does."""

import pytest


@pytest.fixture(autouse=True)
def stores_begin_migrated() -> None:
    """Nothing is copied."""
