"""Runs SQL on threads, away from the event loop: one thread writes, a few read.

A read sees one state of the file, with every write that ended before it (SQLite's WAL).
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Literal, TypeVar

from formant_mcp.store.engine import AccountKey, Connection, to_its_end
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.sqlite.connection import (
    SqliteConnection,
    open_reader,
    open_writer,
)
from formant_mcp.store.sqlite.erasing import Eraser
from formant_mcp.store.sqlite.failures import AnotherFileError, DamagedError, LockedError

_READERS = 3
_INTERRUPT_EVERY_SECONDS = 0.01
_ERASING_SECONDS = 0.3  # before the file is closed; the next server continues

T = TypeVar("T")


class _Worker:
    """A thread with its own connection, opened at first use. Only the holder of `lock` may use them."""

    def __init__(self, connect: Callable[[], SqliteConnection]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.connection: SqliteConnection | None = None
        self.lock = asyncio.Lock()

    async def read(self, work: Callable[[Connection], T], agents: frozenset[str]) -> T:
        """Runs the work in one transaction; interrupts it if the caller is cancelled."""
        return await self._run(lambda: self._in_transaction(work, "BEGIN", agents))

    async def erase(self, work: Callable[[SqliteConnection], T], *, in_transaction: bool = True) -> T:
        """Runs the work, in one transaction or outside; interrupts it if the caller is cancelled."""
        if in_transaction:
            return await self._run(lambda: self._in_transaction(work, "BEGIN IMMEDIATE", ALL_AGENTS))
        return await self._run(lambda: work(self._connected()))

    async def _run(self, work: Callable[[], T]) -> T:
        async with self.lock:
            job = self._start(work)
            try:
                await asyncio.wait([job])
            except asyncio.CancelledError:
                while not job.done():  # an interrupt between two statements has no effect
                    if self.connection:
                        self.connection.interrupt()
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([job], timeout=_INTERRUPT_EVERY_SECONDS)
                job.exception()
                raise
            return job.result()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs the work in one transaction, to its end even if the caller is cancelled."""
        async with self.lock:
            return await to_its_end(self._start(lambda: self._in_transaction(work, "BEGIN IMMEDIATE", ALL_AGENTS)))

    async def connect(self) -> None:
        """Opens the connection if it is not open."""
        await to_its_end(self._start(self._connected))

    async def disconnect(self, close: Callable[[SqliteConnection], None] = SqliteConnection.close) -> None:
        """Closes the connection, by `close`; the next work opens another."""

        def disconnect() -> None:
            connection, self.connection = self.connection, None
            if connection:
                close(connection)

        await to_its_end(self._start(disconnect))

    async def close(self) -> None:
        """Closes the connection and ends the thread."""
        try:
            async with self.lock:
                if self.connection:
                    await self.disconnect()
        finally:
            self._thread.shutdown(wait=False)

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _in_transaction(
        self, work: Callable[[SqliteConnection], T], begin: Literal["BEGIN", "BEGIN IMMEDIATE"], agents: frozenset[str]
    ) -> T:
        connection = self._connected()
        with connection.transaction(begin, agents):
            return work(connection)

    def _connected(self) -> SqliteConnection:
        if self.connection is None:
            self.connection = self._connect()
        return self.connection


class SqliteDatabase:
    """The store's file, or a store in memory with one connection and one thread.

    Raises (from every method):
        StoreError: full disk, locked, corrupt, from a newer version, or cannot be opened.
        ConfigurationError: the file is another account's.
    """

    def __init__(self, path: Path | None, account: AccountKey) -> None:
        self.generation = 0  # how often a corrupt file was replaced
        self._writer = _Worker(lambda: open_writer(path, account))
        self._readers = [_Worker(lambda: self._open_reader(path)) for _ in range(_READERS)] if path else []
        self._eraser = Eraser(path, self._writer.erase) if path else None
        # Last in, first out: the reader used last has the most recent pages in its cache.
        self._idle = asyncio.LifoQueue[_Worker]()
        for worker in self._readers or [self._writer]:
            self._idle.put_nowait(worker)

    @classmethod
    async def open(cls, path: Path | None, account: AccountKey) -> "SqliteDatabase":
        """Opens the file.

        `account`: its owner.
        """
        database = cls(path, account)
        try:
            await database._writer.connect()
        except BaseException:
            await database.close()
            raise
        database._erase_if_due()
        return database

    async def read(
        self, work: Callable[[Connection], T], agents: frozenset[str] = ALL_AGENTS, *, is_one_query: bool = False
    ) -> T:
        """Runs work that only reads, what exists for these agents; interrupts its query if the caller is cancelled.

        It is always a transaction, which costs nothing here.
        """
        worker = await self._idle.get()
        try:
            return await self._unless_damaged(lambda: worker.read(work, agents))
        except AnotherFileError:
            pass  # the file was moved or replaced; the writer still has it open
        finally:
            self._idle.put_nowait(worker)
        return await self._unless_damaged(lambda: self._writer.read(work, agents))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs work in one transaction, to its end even if the caller is cancelled."""
        if self._eraser:
            self._eraser.give_way()
        try:
            return await to_its_end(asyncio.create_task(self._unless_damaged(lambda: self._write(work))))
        finally:
            self._erase_if_due()

    async def erase(self) -> None:
        """Waits until what was deleted can be read in the file no more."""
        if self._eraser:
            await self._eraser.finish()

    async def close(self) -> None:
        """Closes the file."""
        if self._eraser:
            await self._eraser.stop(_ERASING_SECONDS)
        try:
            await asyncio.gather(*(reader.close() for reader in self._readers))
        finally:  # alone: where two close at once, each may leave the journal to the other
            await self._writer.close()

    async def _unless_damaged(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result.

        If the file is corrupt, it is renamed and replaced by an empty one, once however many reads fail.

        Raises:
            DamagedError: the file was corrupt.
        """
        opened = self._writer.connection
        try:
            return await work()
        except DamagedError:
            async with AsyncExitStack() as locks:
                for worker in [self._writer, *self._readers]:
                    await locks.enter_async_context(worker.lock)
                if self._writer.connection is opened:
                    for reader in self._readers:
                        await reader.disconnect()
                    self.generation += 1
                    await self._writer.disconnect(SqliteConnection.set_aside)
                    await self._writer.connect()
            raise

    async def _write(self, work: Callable[[Connection], T]) -> T:
        """The work's result; where another server erases, which may lock the file for long, it waits for that."""
        while True:
            try:
                return await self._writer.write(work)
            except LockedError:
                if not self._eraser or not await self.read(self._eraser.is_done_elsewhere):
                    raise

    def _erase_if_due(self) -> None:
        if self._eraser and self._writer.connection and self._writer.connection.has_deleted:
            self._eraser.start()

    def _open_reader(self, path: Path | None) -> SqliteConnection:
        writer = self._writer.connection
        if path is None or writer is None:
            raise AnotherFileError("The local store is not open.")
        return open_reader(path, writer.file)
