"""Leases of a server that lives: renewed as long as they are held."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.store import AccountKey, Store
from formant_mcp.sync.background import Leases
from formant_mcp.sync.details import next_refresh_at
from tests.sync.sync_harness import SECONDS, Clock

pytestmark = pytest.mark.anyio
SPAN = timedelta(seconds=5)


@pytest.mark.file_store  # opens the file, and its leases end by the test's clock
async def test_leases_are_renewed_again_after_the_store_has_failed(tmp_path: Path):
    path, clock, waits = tmp_path / "store", Clock(), asyncio.Queue[asyncio.Event]()

    async def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))
        over = asyncio.Event()
        waits.put_nowait(over)
        await over.wait()

    store = await Store.open(path, AccountKey("service", "account"), next_refresh_at)
    leases = Leases(store.sync_state, clock.now, sleep)
    try:
        async with asyncio.timeout(SECONDS), leases.hold("list:"):
            first = await waits.get()
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                first.set()
                after_failure = await waits.get()
            clock.advance(SPAN)
            after_failure.set()
            await waits.get()

            assert await store.sync_state.lease(["list:"], "another server", clock.now(), SPAN) == []
    finally:
        await leases.aclose()
        await store.close()


@pytest.mark.file_store  # leases end by the test's clock
async def test_a_lease_that_ends_later_than_any_can_is_free() -> None:
    """As one that a server held which was killed before the clock was set back."""
    store = await Store.open(None, AccountKey("service", "account"), next_refresh_at)
    now = Clock().now()
    assert await store.sync_state.lease(["list:"], "killed", now + timedelta(hours=1), SPAN) == ["list:"]
    assert await store.sync_state.lease(["list:"], "next", now, SPAN) == ["list:"]
    assert await store.sync_state.lease(["list:"], "third", now, SPAN) == []
    assert await store.sync_state.lease(["list:"], "next", now + timedelta(seconds=1), SPAN) == ["list:"]
