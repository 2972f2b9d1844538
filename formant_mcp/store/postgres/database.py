"""Runs SQL on threads, each with a connection of a pool. A read sees one state of the database.

Whoever writes holds the account's lock until its transaction ends: an account has one writer at a time, as a file has.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import psycopg

from formant_mcp.store.engine import AccountKey, Connection, Owner, to_its_end
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.postgres.accounts import account_of, owners_in
from formant_mcp.store.postgres.connection import (
    ConnectionLostError,
    PostgresConnection,
    QueryEndedError,
    run_command,
    translate_errors,
)
from formant_mcp.store.postgres.pool import Pool
from formant_mcp.store.postgres.schema import SCHEMA, migrate

_CONNECTIONS = 8
_CANCEL_EVERY_SECONDS = 0.05
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

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
            with pool.connection([]) as connection, translate_errors():
                migrate(connection)
                return owners_in(connection)
        finally:
            pool.close()

    async def read(self, work: Callable[[Connection], T], agents: frozenset[str] = ALL_AGENTS) -> T:
        """Runs work that only reads, what exists for these agents; cancels its query if the caller is cancelled.

        Retries once on a new connection.
        """
        used: list[psycopg.Connection] = []
        job = self._start(partial(self._run, partial(self._in_transaction, work, _READ, agents), used))
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            while not job.done():
                for connection in used[-1:]:
                    with suppress(psycopg.Error):
                        await asyncio.to_thread(connection.cancel_safe)
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([job], timeout=_CANCEL_EVERY_SECONDS)
            job.exception()
            raise
        return job.result()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs work in one transaction, to its end even if the caller is cancelled. A lost connection is retried once:
        saving the same again changes nothing."""
        begin = f"BEGIN; SELECT 1 FROM {SCHEMA}.accounts WHERE account = {self._account} FOR UPDATE"
        transact = partial(self._in_transaction, work, begin, ALL_AGENTS)
        return await to_its_end(self._start(partial(self._run, transact, [])))

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.to_thread(self._pool.close)
        self._threads.shutdown(wait=False)

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _open(self, account: AccountKey) -> None:
        with self._pool.connection([]) as connection, translate_errors():
            migrate(connection)
            self._account = account_of(connection, account)

    def _run(self, transact: Callable[[list[psycopg.Connection]], T], used: list[psycopg.Connection]) -> T:
        try:
            return transact(used)
        except ConnectionLostError:
            self._pool.close_idle()  # they may be lost as well
        except QueryEndedError:
            pass
        return transact(used)

    def _in_transaction(
        self, work: Callable[[Connection], T], begin: str, agents: frozenset[str], used: list[psycopg.Connection]
    ) -> T:
        with self._pool.connection(used) as connection, translate_errors():
            try:
                run_command(connection, begin.encode())
                result = work(PostgresConnection(connection, self._account, agents))
                run_command(connection, b"COMMIT")
            except BaseException:
                if not connection.broken:
                    with suppress(psycopg.Error):
                        connection.execute(b"ROLLBACK")
                raise
            return result
