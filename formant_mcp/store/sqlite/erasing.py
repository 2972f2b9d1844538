"""Erases from the file what was deleted. Three things would keep it readable:

- Free pages and free space within pages: SQLite overwrites them at once (`PRAGMA secure_delete`).
- The index of words: a deletion only adds to it that a turn is gone, until its parts are merged. They are merged here,
  in short transactions, on every version of SQLite. (FTS5's own option, from 3.42, makes the file unreadable for older
  versions of SQLite, and another server may have one.)
- The journal (WAL): it is emptied at the end, as soon as nobody reads an older state.

The deletion itself notes in the store that there is something to erase. So a server that ends before it is done leaves
the rest to the next one that opens the store.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from formant_mcp.errors import StoreError
from formant_mcp.store.sqlite.connection import SqliteConnection

_FIRST_PAGES = 256  # of the index that a step merges: some 20 ms
_STEPS_OF_A_SIZE = 50  # then they are twice as large: a save between two steps lets the merge start over
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 30.0
_ROOM = 3  # times the file's size: what it takes to rewrite it

T = TypeVar("T")
_log = logging.getLogger(__name__)


class OnWriter(Protocol):
    """Runs work on the connection that writes; interrupts it if the caller is cancelled."""

    async def __call__(self, work: Callable[[SqliteConnection], T], /, *, in_transaction: bool = True) -> T:
        """The work's result."""
        ...


class Eraser:
    """Erases what was deleted, in the background."""

    def __init__(self, path: Path, on_writer: OnWriter) -> None:
        self._path = path
        self._on_writer = on_writer
        self._job: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the job, unless it runs: it goes on until nothing is left to erase."""
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._erase())

    async def finish(self) -> None:
        """Waits for the job's end."""
        if self._job and not self._job.done():
            await asyncio.wait([self._job])

    async def stop(self, within_seconds: float) -> None:
        """Ends the job, after so many seconds if it is not done; the next server continues."""
        if self._job and not self._job.done():
            await asyncio.wait([self._job], timeout=within_seconds)
            self._job.cancel()
            await asyncio.wait([self._job])

    async def _erase(self) -> None:
        try:
            while noted := await self._on_writer(SqliteConnection.begin_erasing):
                await self._merge_words()
                has_room = not noted.of_older_version or self._has_room()
                if noted.of_older_version and has_room:
                    await self._on_writer(SqliteConnection.vacuum, in_transaction=False)
                await self._empty_journal()
                if not has_room:
                    _log.warning("What was deleted before is not erased yet: free %d times the store's size.", _ROOM)
                    return  # the next start tries again
                await self._on_writer(lambda connection, noted=noted: connection.end_erasing(noted))
        except (StoreError, OSError) as error:
            _log.warning("What was deleted is not erased from the store's file yet: %s", error)

    async def _merge_words(self) -> None:
        for step in count():
            pages = _FIRST_PAGES << step // _STEPS_OF_A_SIZE
            if not await self._on_writer(lambda connection, pages=pages: connection.merge_words(pages)):
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _empty_journal(self) -> None:
        pause = _PAUSE_SECONDS
        while not await self._on_writer(SqliteConnection.empty_journal, in_transaction=False):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._path.parent).free > _ROOM * self._path.stat().st_size
