"""Runs SQL on threads, each with a connection of a pool. A read sees one state of the database.

Whoever writes holds the account's lock until its transaction ends: an account has one writer at a time, as a file has.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import psycopg

from formant_mcp.store.engine import LEFT_AFTER_SECONDS, AccountKey, Connection, Owner, to_its_end
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.postgres.accounts import account_of, owners_in
from formant_mcp.store.postgres.connection import PostgresConnection, roll_back, run_command
from formant_mcp.store.postgres.failures import (
    ConnectionLostError,
    QueryEndedError,
    connection_lost,
    translate_errors,
)
from formant_mcp.store.postgres.inspection import ids_in_database, inspect_database, refusal_of_database
from formant_mcp.store.postgres.pool import Pool
from formant_mcp.store.postgres.schema import migrate
from formant_mcp.store.postgres.stoppable import Use

_CONNECTIONS = 8
_CANCEL_EVERY_SECONDS = 0.05
_CANCEL_SECONDS = 2.0  # a database that answers ends a query at once
_SILENT_SECONDS = 60.0  # no statement takes as long
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

T = TypeVar("T")


class PostgresDatabase:
    """The store's database, an engine's Database.

    Raises (from every method):
        StoreError: it does not answer, or cannot be used. ConfigurationError: that is no address, or too few rights.
    """

    generation = 0

    def __init__(self, address: str) -> None:
        self._pool = Pool(address)
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="store")
        self._account = 0

    @classmethod
    async def open(cls, address: str, account: AccountKey) -> "PostgresDatabase":
        """Connects, creates or migrates the tables, and finds the account or adds it."""
        database = cls(address)
        try:
            await database._start(partial(database._open, account))
        except BaseException:
            await database.close()
            raise
        return database

    @staticmethod
    def read_owners(address: str) -> list[Owner]:
        """The accounts that a database has conversations of."""
        pool = Pool(address)
        try:
            with pool.connection(Use()) as connection, translate_errors():
                migrate(connection)
                return owners_in(connection)
        finally:
            pool.close()

    inspect = staticmethod(inspect_database)
    ids_of = staticmethod(ids_in_database)
    refusal = staticmethod(refusal_of_database)

    async def read(
        self, work: Callable[[Connection], T], agents: frozenset[str] = ALL_AGENTS, *, is_one_query: bool = False
    ) -> T:
        """Runs work that only reads, what exists for these agents; cancels its query if the caller is cancelled.

        Retries once on a new connection. One query is sent alone: a statement sees one state of the database anyway.
        """
        use = Use()
        transact = partial(self._alone if is_one_query else self._reading, work, agents)
        job = self._start(partial(self._run, transact, use))
        try:
            return await _answer(job, use)
        except asyncio.CancelledError:
            await to_its_end(asyncio.create_task(_give_up(job, use)))
            raise

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs work in one transaction, to its end even if the caller is cancelled. A lost connection is retried once:
        saving the same again changes nothing."""
        use = Use()
        job = self._start(partial(self._run, partial(self._writing, work), use))
        return await to_its_end(asyncio.create_task(_answer(job, use)), LEFT_AFTER_SECONDS)

    async def erase(self) -> None:
        """Nothing: the server overwrites what was deleted when it vacuums, and its archives may keep it."""

    async def close(self) -> None:
        """Closes the connections, those in use after a moment."""
        await asyncio.to_thread(self._pool.close)
        self._threads.shutdown(wait=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEFT_AFTER_SECONDS):
                while self._pool.is_used:
                    await asyncio.sleep(_CANCEL_EVERY_SECONDS)
        self._pool.stop()

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _open(self, account: AccountKey) -> None:
        with self._pool.connection(Use()) as connection, translate_errors():
            migrate(connection)
            self._account = account_of(connection, account)

    def _run(self, transact: Callable[[Use], T], use: Use) -> T:
        try:
            return transact(use)
        except (ConnectionLostError, QueryEndedError) as error:
            if isinstance(error, ConnectionLostError):
                self._pool.close_idle()  # they may be lost as well
            if use.is_over:
                raise
        return transact(use)

    def _alone(self, work: Callable[[Connection], T], agents: frozenset[str], use: Use) -> T:
        with self._pool.connection(use) as connection:
            if use.is_over:
                raise connection_lost()
            return work(PostgresConnection(connection, self._account, agents, is_one_query=True))

    def _reading(self, work: Callable[[Connection], T], agents: frozenset[str], use: Use) -> T:
        with self._pool.connection(use) as connection, translate_errors():
            if use.is_over:
                raise connection_lost()
            try:
                run_command(connection, _READ)
                result = work(PostgresConnection(connection, self._account, agents))
                run_command(connection, b"COMMIT")
            except BaseException:
                roll_back(connection)
                raise
            return result

    def _writing(self, work: Callable[[Connection], T], use: Use) -> T:
        with self._pool.connection(use) as connection, translate_errors():
            transaction = PostgresConnection(connection, self._account)
            try:
                transaction.begin()
                result = work(transaction)
                transaction.commit()
            except BaseException:
                transaction.roll_back()
                raise
            return result


async def _answer(job: asyncio.Future[T], use: Use) -> T:
    """The job's result. Ends its connection when the database has not answered for long: the job raises, or retries."""
    while not job.done():
        await asyncio.wait([job], timeout=max(_SILENT_SECONDS - use.seconds_of_silence(), _CANCEL_EVERY_SECONDS))
        if use.connection and use.seconds_of_silence() >= _SILENT_SECONDS:
            use.connection.stop()
    return job.result()


async def _give_up(job: asyncio.Future[T], use: Use) -> None:
    """Ends a job that only reads: cancels its query; if the database does not answer that either, its connection."""
    use.is_over = True
    until = time.monotonic() + _CANCEL_SECONDS
    while (connection := use.connection) and not job.done():
        if time.monotonic() >= until:
            connection.stop()
        else:
            with suppress(psycopg.Error):
                await asyncio.to_thread(connection.cancel_safe, timeout=_CANCEL_SECONDS / 2)
        await asyncio.wait([job], timeout=_CANCEL_EVERY_SECONDS)
    if not job.cancel():  # it may still wait for a thread or for a connection, which ends by itself
        job.exception()
