"""Fixtures for tests of sources."""

import pytest

from tests.sources.scripted import Clock


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that tests run in."""
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    """A clock that only sleeping moves."""
    return Clock()
