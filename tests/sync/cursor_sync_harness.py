"""A Sync over an account whose pages each name the next."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.examples import some
from tests.fake_api import Order
from tests.fake_http import Request
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.sync.sync_harness import DAY, NOON, Harness, harness_for

CURSORS = (ELEVENLABS, VOICEABLE, VOICEOS)
ORDERS: tuple[Order, ...] = ("newest", "oldest", "none")
MINUTE = timedelta(minutes=1)
LONG_OVER = NOON - 2 * DAY
each_provider = pytest.mark.parametrize("provider", some(CURSORS, 2), ids=lambda provider: provider.name)
one_provider = pytest.mark.parametrize("provider", some(CURSORS, 3), ids=lambda provider: provider.name)


@asynccontextmanager
async def opened(
    provider: ProviderFixture, count: int, apart: timedelta = MINUTE, path: Path | None = None
) -> AsyncGenerator[Harness]:
    async with provider.api() as api:
        api.conversations = provider.calls(count, LONG_OVER, apart)
        async with harness_for(api, connect=provider.connect, path=path) as harness:
            yield harness


def lists(harness: Harness) -> list[Request]:
    """The requests for pages of the list."""
    return [each for each in harness.api.requests if each.path.endswith("/conversations")]


def is_timed(request: Request) -> bool:
    return bool(request.query.keys() & {"call_start_after_unix", "created_after"})


async def read_whole(harness: Harness) -> None:
    """Asks, and waits for the daily scan, which runs in the background; the question before may have begun it."""
    requested_at = harness.clock.now() - MINUTE
    await harness.ask()
    async with asyncio.timeout(20):
        await harness.settled()
        while not await _scanned_since(harness, requested_at):  # that was an older scan, which had not ended
            await harness.ask()
            await harness.settled()


async def _scanned_since(harness: Harness, moment: datetime) -> bool:
    whole = await harness.store.sync_state.list_state("")
    return max(whole.last_full_scan_at or NOON - DAY, whole.gone_at or NOON - DAY) >= moment
