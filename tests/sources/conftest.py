"""Fixtures for tests of sources."""

from collections.abc import AsyncGenerator

import pytest

from tests.providers import PROVIDERS, Opened
from tests.sources.scripted import Clock


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that tests run in."""
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    """A clock that only sleeping moves."""
    return Clock()


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.name)
async def opened(request: pytest.FixtureRequest) -> AsyncGenerator[Opened]:
    """An empty account of each provider in turn, its API and its source."""
    async with request.param.opened() as opened:
        yield opened
