"""Runs SQL on threads, each with a connection of a pool. A read sees one state of the database.

Whoever writes holds the account's lock until its transaction ends: an account has one writer at a time, as a file has.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import psycopg
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import ConnectionPool, PoolTimeout

from formant_mcp.store.engine import AccountKey, Connection, to_its_end
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.postgres.accounts import account_of
from formant_mcp.store.postgres.connection import ConnectionLostError, PostgresConnection, translate_errors
from formant_mcp.store.postgres.schema import FUNCTIONS, SCHEMA, migrate

_CONNECTIONS = 8
_WAIT_SECONDS = 5.0  # for a connection, and for a lock
_CANCEL_EVERY_SECONDS = 0.05
_IDLE_SECONDS = 300.0
_OPTIONS = f"-c search_path={FUNCTIONS} -c lock_timeout={_WAIT_SECONDS:.0f}s -c client_min_messages=warning"

T = TypeVar("T")


class PostgresDatabase:
    """The store's database, an engine's Database.

    Raises (from every method):
        StoreError: it does not answer, or cannot be used.
    """

    generation = 0

    def __init__(self, address: str) -> None:
        self._pool = ConnectionPool(
            address,
            min_size=0,
            max_size=_CONNECTIONS,
            open=False,
            timeout=_WAIT_SECONDS,
            max_idle=_IDLE_SECONDS,
            kwargs={"autocommit": True, "options": _OPTIONS, "connect_timeout": 5, "application_name": "formant-mcp"},
            configure=_configure,
        )
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="store")
        self._account = 0

    @classmethod
    async def open(cls, address: str, account: AccountKey, *, takes_over: bool = False) -> "PostgresDatabase":
        """Connects, creates or migrates the tables, and finds the account or adds it.

        `takes_over`: the account's key is new, and verified to be of an account that is stored already.
        """
        database = cls(address)
        try:
            await database._start(partial(database._open, account, takes_over=takes_over))
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, work: Callable[[Connection], T], agents: frozenset[str] = ALL_AGENTS) -> T:
        """Runs work that only reads, what exists for these agents; cancels its query if the caller is cancelled.

        Retries once on a new connection.
        """
        used: list[psycopg.Connection] = []
        job = self._start(partial(self._run, work, used, agents, is_write=False))
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
        return await to_its_end(self._start(partial(self._run, work, [], ALL_AGENTS, is_write=True)))

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.to_thread(self._pool.close)
        self._threads.shutdown(wait=False)

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _open(self, account: AccountKey, *, takes_over: bool) -> None:
        self._pool.open()
        with self._connection([]) as connection:
            migrate(connection)
            self._account = account_of(connection, account, takes_over=takes_over)

    def _run(
        self,
        work: Callable[[Connection], T],
        used: list[psycopg.Connection],
        agents: frozenset[str],
        *,
        is_write: bool,
    ) -> T:
        try:
            return self._in_transaction(work, used, agents, is_write=is_write)
        except ConnectionLostError:
            return self._in_transaction(work, used, agents, is_write=is_write)

    def _in_transaction(
        self,
        work: Callable[[Connection], T],
        used: list[psycopg.Connection],
        agents: frozenset[str],
        *,
        is_write: bool,
    ) -> T:
        with self._connection(used) as connection, translate_errors():
            begin = "BEGIN" if is_write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            connection.execute(begin.encode())
            try:
                if is_write:
                    lock = f"SELECT 1 FROM {SCHEMA}.accounts WHERE account = {self._account} FOR UPDATE"
                    connection.execute(lock.encode())
                result = work(PostgresConnection(connection, self._account, agents))
                connection.execute(b"COMMIT")
            except BaseException:
                if not connection.broken:
                    with suppress(psycopg.Error):
                        connection.execute(b"ROLLBACK")
                raise
            return result

    @contextmanager
    def _connection(self, used: list[psycopg.Connection]) -> Generator[psycopg.Connection]:
        """A connection of the pool; `used` names it while somebody may cancel its query."""
        try:
            connection = self._pool.getconn()
        except (PoolTimeout, psycopg.Error):
            raise ConnectionLostError(
                "The database does not answer.", "Check that it runs, and the address in FORMANT_STORE; then retry."
            ) from None
        used.append(connection)
        try:
            yield connection
        finally:
            used.clear()
            self._pool.putconn(connection)


def _configure(connection: psycopg.Connection) -> None:
    # One type for whole numbers, however small: else 300 * 300 overflows, and each width is a statement of its own.
    connection.adapters.register_dumper(int, Int8Dumper)
