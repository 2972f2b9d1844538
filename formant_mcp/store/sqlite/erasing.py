"""Erases from the file what was deleted. Three things would keep it readable:

- Free pages and free space within pages: SQLite overwrites them at once (`PRAGMA secure_delete`).
- The index of words: a deletion only adds to it that a turn is gone, until its parts are merged. They are merged here,
  in short transactions, on every version of SQLite. (FTS5's own option, from 3.42, makes the file unreadable for older
  versions of SQLite, and another server may have one.)
- The journal (WAL): it is emptied at the end, as soon as nobody reads an older state.

The deletion itself notes in the store that there is something to erase. So a server that ends before it is done leaves
the rest to the next one that opens the store. Of several servers one erases, by a lease. What an older version left on
free pages takes rewriting the whole file, which other changes wait for, reads do not; this server's own changes may
interrupt it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Protocol, TypeVar

from formant_mcp.errors import StoreError
from formant_mcp.store.engine import Connection
from formant_mcp.store.leases import is_leased, release_leases, take_leases
from formant_mcp.store.sqlite.connection import SqliteConnection
from formant_mcp.store.sqlite.room import shortage

_FIRST_PAGES = 256  # of the index that a step merges: some 20 ms
_STEPS_OF_A_SIZE = 50  # then they are twice as large: a save between two steps lets the merge start over
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 30.0
_LEASE = "erasing"
_LEAST_SPAN, _LEAST_BYTES_A_SECOND = timedelta(minutes=1), 10_000_000  # of the lease; of a slow disk that is rewritten
_POLL_SECONDS = 1.0  # while another server erases
_MOST_WAITED_SECONDS = 5.0  # for readers of an older state, by whoever waits for the end
_RETRY_SECONDS = 60.0  # after an error
_GIVEN_WAY_SECONDS, _MOST_GIVEN_WAY = 30.0, 10  # then changes wait until the file is rewritten

T = TypeVar("T")
_log = logging.getLogger(__name__)


class OnWriter(Protocol):
    """Runs work on the connection that writes; interrupts it if the caller is cancelled."""

    async def __call__(self, work: Callable[[SqliteConnection], T], /, *, in_transaction: bool = True) -> T:
        """The work's result."""
        ...


class Eraser:
    """Erases what was deleted, in the background; of several servers on a store, one."""

    def __init__(self, path: Path, on_writer: OnWriter) -> None:
        self._path = path
        self._on_writer = on_writer
        self._owner = token_hex(8)
        self._has_lease = False
        self._job: asyncio.Task[None] | None = None
        self._rewriting: asyncio.Task[None] | None = None
        self._given_way = 0
        self._try_now = asyncio.Event()
        self._has_failed = asyncio.Event()
        self._warned_of = ""

    def start(self) -> None:
        """Starts the job, or lets it try again now: it goes on until nothing is left to erase."""
        self._has_failed.clear()
        self._try_now.set()
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._erase())

    async def finish(self) -> None:
        """Waits until nothing is left to erase, or it failed and is tried again later."""
        if self._job and not self._job.done():
            failure = asyncio.create_task(self._has_failed.wait())
            await asyncio.wait([self._job, failure], return_when=asyncio.FIRST_COMPLETED)
            failure.cancel()

    async def stop(self, within_seconds: float) -> None:
        """Ends the job, after so many seconds if it is not done; the next server continues."""
        if self._job and not self._job.done():
            if not self._has_failed.is_set():
                await asyncio.wait([self._job], timeout=within_seconds)
            self._job.cancel()
            await asyncio.wait([self._job])
            with suppress(StoreError):
                await self._release()

    def give_way(self) -> None:
        """Lets a change go first where the file is being rewritten, which begins again later; not every time."""
        if self._rewriting and not self._rewriting.done() and self._given_way < _MOST_GIVEN_WAY:
            self._given_way += 1
            self._rewriting.cancel()

    def is_done_elsewhere(self, connection: Connection) -> bool:
        """Whether another server erases now: it may hold up changes for as long as it takes to rewrite the file."""
        return is_leased(connection, _LEASE, self._owner, _now(), self._span())

    async def _erase(self) -> None:
        while True:
            self._try_now.clear()
            try:
                pause = await self._try()
            except (StoreError, OSError) as error:
                self._note(f"What was deleted is not erased from the store's file yet: {error}")
                pause = _RETRY_SECONDS
            if not pause and not self._try_now.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._try_now.wait(), pause)

    async def _try(self) -> float:
        """Erases what it can. Returns how long to wait before the next try, in seconds; 0 if nothing is left."""
        while noted := await self._on_writer(SqliteConnection.begin_erasing, in_transaction=False):
            if await self._on_writer(self.is_done_elsewhere, in_transaction=False) or not await self._take():
                return _POLL_SECONDS
            await self._merge_words()
            lacking = shortage(self._path) if noted.of_older_version else None
            if noted.of_older_version and not lacking and not (await self._take() and await self._rewrite()):
                return _GIVEN_WAY_SECONDS
            await self._empty_journal()
            if lacking:
                needed = f"free {lacking.needed / 1e6:,.0f} MB in {lacking.folder}"
                self._note(f"What was deleted before is not erased from the store's file yet: {needed}.")
                return _RETRY_SECONDS
            await self._on_writer(lambda connection, noted=noted: connection.end_erasing(noted))
            await self._release()
        return 0

    async def _take(self) -> bool:
        span = self._span()
        taken = await self._on_writer(lambda open_: take_leases(open_, [_LEASE], self._owner, _now(), span))
        self._has_lease = bool(taken)
        return self._has_lease

    async def _release(self) -> None:
        if self._has_lease:
            await self._on_writer(self._release_now, in_transaction=False)
            self._has_lease = False

    def _release_now(self, connection: SqliteConnection) -> None:
        with connection.without_waiting():  # else it ends by itself
            release_leases(connection, [_LEASE], self._owner)

    async def _rewrite(self) -> bool:
        """Rewrites the file; False if a change came first."""
        self._rewriting = asyncio.create_task(self._on_writer(SqliteConnection.vacuum, in_transaction=False))
        try:
            await asyncio.wait([self._rewriting])
        except asyncio.CancelledError:
            self._rewriting.cancel()
            with suppress(StoreError, asyncio.CancelledError):
                await self._rewriting
            raise
        if self._rewriting.cancelled():
            return False
        self._rewriting.result()
        return True

    async def _merge_words(self) -> None:
        for step in count():
            pages = _FIRST_PAGES << step // _STEPS_OF_A_SIZE
            if not await self._on_writer(lambda connection, pages=pages: connection.merge_words(pages)):
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _empty_journal(self) -> None:
        pause, waited = _PAUSE_SECONDS, 0.0
        while not await self._on_writer(SqliteConnection.empty_journal, in_transaction=False):
            if waited > _MOST_WAITED_SECONDS:
                self._note("What was deleted is erased from the store's file once no other program reads the store.")
            await asyncio.sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _note(self, warning: str) -> None:
        """Logs it once, and lets nobody wait any longer."""
        if warning != self._warned_of:
            _log.warning("%s", warning)
        self._warned_of = warning
        self._has_failed.set()

    def _span(self) -> timedelta:
        """How long the lease lasts: it cannot be prolonged while the file is rewritten."""
        with suppress(OSError):
            return _LEAST_SPAN + timedelta(seconds=self._path.stat().st_size / _LEAST_BYTES_A_SECOND)
        return _LEAST_SPAN


def _now() -> datetime:
    return datetime.now(UTC)
