"""What a process does until it is killed: it syncs, answers questions meanwhile, or opens a store of an older version.

Each is a fork of one process that has loaded the program, so that most of its time is work and not its start.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from mcp import Client

from formant_mcp.app import LazyApp, open_app, utc_now
from formant_mcp.filters import DetailRequest, Filters
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.sqlite import connection, schema
from formant_mcp.store.sqlite.connection import SqliteConnection
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import ListRequest

KEY = "any-key"
SECONDS = 20.0  # far more than a pass takes
QUESTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("search_transcripts", {"query": "payment OR कल"}),
    ("summarize_results", {"group_by": ["results.intent", "status"]}),
    ("find_phrases", {}),
    ("list_conversations", {"limit": 50}),
)
_forks = get_context("forkserver")
_forks.set_forkserver_preload([__name__])


def settings(url: str, path: Path) -> Settings:
    """Those of a server with that API and store."""
    return Settings.model_validate(
        {"api_key": KEY, "base_url": url, "store": str(path), "timezone": "Asia/Kolkata", "call_seconds": SECONDS}
    )


async def pass_over(url: str, path: Path, ahead: timedelta = timedelta()) -> bool:
    """Loads everything; returns whether the store is complete. `ahead`: how much later it is by this server's clock."""
    own = settings(url, path)

    def now() -> datetime:
        return utc_now() + ahead

    store = await Store.open(path, AccountKey(own.service(), own.account(KEY)), next_refresh_at)
    sync = Sync(FormantProvider(url, KEY, now=now), store, now)
    try:
        requested_at = now()
        list_status = await sync.refresh_list(ListRequest(), SECONDS)
        due = await store.read.details_to_fetch(DetailRequest(Filters()), now())
        error = await sync.fetch_details(due, SECONDS)
        await sync.measure_stored(SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):  # what may be gone is decided by a scan in the background
                while not (await sync.list_status(ListRequest(), requested_at)).is_complete:
                    await asyncio.sleep(0.01)
                return list_status.error is None and error is None
        return False
    finally:
        await sync.aclose()
        await store.close()


async def _answer(url: str, path: Path) -> None:
    own, words = settings(url, path), PROVIDERS["formant"]
    opening = partial(open_app, own, FormantProvider(url, KEY), KEY)
    async with Client(build_server(LazyApp(opening), "", words)) as client:
        await asyncio.gather(*(client.call_tool(tool, arguments) for tool, arguments in QUESTIONS))


def syncing(url: str, path: Path) -> None:
    """A server's pass."""
    asyncio.run(pass_over(url, path))


def searching(url: str, path: Path) -> None:
    """A server that answers questions while it syncs."""
    asyncio.run(_answer(url, path))


def saving_in_pieces(url: str, path: Path) -> None:
    """A pass that saves each statement on its own, as if there were no transactions, and is killed between two."""

    @contextmanager
    def transaction(self: object, *_: object) -> Generator[None]:
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteConnection, "transaction", transaction)
        dying_while_saving(url, path)


def dying_while_saving(url: str, path: Path) -> None:
    """A pass that is killed before the turns of some call are saved."""

    def insert_turns(self: object, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteConnection, "insert_turns", insert_turns)
        syncing(url, path)


def migrating_in_pieces(url: str, path: Path) -> None:
    """A pass over an older store whose migration saves each statement on its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "migrate", _migrate_in_pieces)
        syncing(url, path)


def _migrate_in_pieces(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    for script in schema.MIGRATIONS[version:]:
        database.executescript(script)
    database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS):d}")


def forked(work: Callable[[str, Path], None], url: str, path: Path) -> BaseProcess:
    """A process that does this work."""
    process = _forks.Process(target=work, args=(url, path))
    process.start()
    return process
