"""A Sync over an account whose pages hang on each other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.fake_api import Order
from tests.fake_http import Request
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.sync.sync_harness import DAY, NOON, Desk, desk_for

CURSORS = (ELEVENLABS, VOICEABLE, VOICEOS)
ORDERS: tuple[Order, ...] = ("newest", "oldest", "none")
MINUTE = timedelta(minutes=1)
LONG_OVER = NOON - 2 * DAY
each_provider = pytest.mark.parametrize("provider", CURSORS, ids=lambda provider: provider.name)


@asynccontextmanager
async def opened(
    provider: ProviderFixture, count: int, apart: timedelta = MINUTE, path: Path | None = None
) -> AsyncGenerator[Desk]:
    async with provider.api() as api:
        api.conversations = provider.calls(count, LONG_OVER, apart)
        async with desk_for(api, connect=provider.connect, path=path) as desk:
            yield desk


def lists(desk: Desk) -> list[Request]:
    """The requests for pages of the list."""
    return [each for each in desk.api.requests if each.path.endswith("/conversations")]


def is_timed(request: Request) -> bool:
    return bool(request.query.keys() & {"call_start_after_unix", "created_after"})


async def read_whole(desk: Desk) -> None:
    """Asks, and waits for the daily pass, which runs in the background."""
    requested_at = desk.clock.now()
    await desk.ask()
    async with asyncio.timeout(20):
        while not await _passed_since(desk, requested_at):
            await asyncio.sleep(0.005)


async def _passed_since(desk: Desk, moment: datetime) -> bool:
    whole = await desk.store.sync_state.list_state("")
    return max(whole.last_full_scan_at or NOON - DAY, whole.gone_at or NOON - DAY) >= moment
