"""Fixtures for tests of providers."""

from collections.abc import AsyncGenerator

import pytest

from tests.provider_apis import ELEVENLABS, PROVIDERS, VOICEABLE, VOICEOS, Opened, ProviderFixture
from tests.providers.cursors import OpenedByCursor, opened_by
from tests.providers.scripted import Clock


def _name(provider: ProviderFixture) -> str:
    return provider.name


@pytest.fixture
def clock() -> Clock:
    """A clock that advances only by sleeping."""
    return Clock()


@pytest.fixture(params=PROVIDERS, ids=_name)
async def opened(request: pytest.FixtureRequest) -> AsyncGenerator[Opened]:
    """An empty account of each provider in turn: its API and its client."""
    async with request.param.opened() as opened:
        yield opened


@pytest.fixture(params=[ELEVENLABS, VOICEABLE, VOICEOS], ids=_name)
async def by_cursor(request: pytest.FixtureRequest) -> AsyncGenerator[OpenedByCursor]:
    """The same for each provider whose list is paged by cursor."""
    async with opened_by(request.param) as opened:
        yield opened


@pytest.fixture(params=[ELEVENLABS, VOICEABLE], ids=_name)
async def by_opaque_cursor(request: pytest.FixtureRequest) -> AsyncGenerator[OpenedByCursor]:
    """The same for those with opaque cursors."""
    async with opened_by(request.param) as opened:
        yield opened
