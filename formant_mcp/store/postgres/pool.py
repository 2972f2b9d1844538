"""The open connections to the database, and why one cannot be opened."""

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown

from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.store.postgres.failures import connection_lost
from formant_mcp.store.postgres.keys import without_unstorable
from formant_mcp.store.postgres.schema import FUNCTIONS
from formant_mcp.store.postgres.stoppable import StoppableConnection, Use

_WAIT_SECONDS = 5.0  # for a lock, and for a connection
_PREPARED_AFTER = 1  # executions: reading a statement takes as long as a small question does
_OPTIONS = (
    f"-c search_path={FUNCTIONS} -c lock_timeout={_WAIT_SECONDS:.0f}s -c client_min_messages=warning"
    # Queries take less time than compiling them. Few of the pages that they need are next to each other.
    " -c jit=off -c random_page_cost=1.1 -c work_mem=32MB"
    # Where workers save less than a second, starting them and sharing rows with them costs as much.
    " -c parallel_setup_cost=100000"
    # As the file store: a machine that stops loses the last second, which is fetched again.
    " -c synchronous_commit=off"
    " -c idle_session_timeout=300s"  # the database closes what is not used; the next question connects again
)
_DEFAULTS: dict[str, str | int] = {
    "application_name": "formant-mcp",
    "connect_timeout": 5,
    # A machine that vanished is noticed after about 20 s: https://www.postgresql.org/docs/current/libpq-connect.html
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
# libpq has no code for why a connection was refused, only text. A server that speaks another language than English gets
# the general error.
_REFUSALS = (
    (
        r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist|not permitted to log",
        "The database refused the login.",
        "Check user and password (and sslmode) in FORMANT_STORE, and who may connect in its pg_hba.conf.",
    ),
    (
        r"database .* does not exist|permission denied for database",
        "The database that FORMANT_STORE names does not exist, or its role may not use it.",
        "Create it, or check the name at the end of the address.",
    ),
    (
        r"(?i:ssl)|certificate|encryption",
        "No encrypted connection to the database could be made.",
        "Check sslmode, sslrootcert and host in FORMANT_STORE: the server must have ssl on, and for verify-full a"
        " certificate for that host.",
    ),
)
_NONE_LEFT = re.compile("too many clients|too many connections|remaining connection slots")


class NoConnectionLeftError(StoreError):
    """The database has as many connections as it allows."""


class Pool:
    """Connections by their last use. Whoever uses it has as many threads as there may be connections.

    Raises:
        ConfigurationError: that is not an address of a database.
    """

    def __init__(self, address: str) -> None:
        try:
            given = conninfo_to_dict(address)
        except psycopg.Error:
            raise ConfigurationError(
                "FORMANT_STORE is not a PostgreSQL address.",
                "It has the form postgresql://user:password@host:5432/database; special characters are written as %XX.",
            ) from None
        options = f"{_OPTIONS} {given.pop('options', '')}".strip()
        self._settings = {**_DEFAULTS, **given, "options": options}
        self._idle = LifoQueue[StoppableConnection]()
        self._open = set[StoppableConnection]()
        self._is_closed = False

    @contextmanager
    def connection(self, use: Use) -> Generator[StoppableConnection]:
        """A connection; `use` names it while somebody may cancel its query."""
        connection = self._take()
        connection.note_answer()
        use.connection = connection
        try:
            yield connection
        finally:
            use.connection = None
            if self._is_closed or connection.info.transaction_status != TransactionStatus.IDLE:
                self._close(connection)
            else:
                self._idle.put(connection)

    def close_idle(self) -> None:
        """Closes the connections that nobody uses."""
        with suppress(Empty):
            while True:
                self._close(self._idle.get_nowait())

    def close(self) -> None:
        """Closes the connections, those in use at the end of their use."""
        self._is_closed = True
        self.close_idle()

    @property
    def is_used(self) -> bool:
        """Whether any connection is open, of a pool that was closed."""
        return bool(self._open)

    def stop(self) -> None:
        """Ends the connections that are open."""
        for connection in list(self._open):
            connection.stop()

    def _take(self) -> StoppableConnection:
        if self._is_closed:
            raise connection_lost()
        with suppress(Empty):
            return self._idle.get_nowait()
        try:
            return self._connect()
        except NoConnectionLeftError:
            if not self._open:
                raise
            try:
                return self._idle.get(timeout=_WAIT_SECONDS)
            except Empty:
                raise NoConnectionLeftError("The database is busy.", "Retry in a few seconds.") from None

    def _connect(self) -> StoppableConnection:
        try:
            connection = StoppableConnection.connect(
                autocommit=True,
                prepare_threshold=_PREPARED_AFTER,
                **self._settings,  # pyright: ignore[reportArgumentType]
            )
        except (psycopg.Error, ValueError) as error:  # ValueError: a name of a host that cannot be encoded
            raise _refusal(str(error)) from None
        connection.make_stoppable()
        # One type for whole numbers, however small: else 300 * 300 overflows, and each width is a statement of its own.
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_dumper(str, _TextDumper)
        self._open.add(connection)
        return connection

    def _close(self, connection: StoppableConnection) -> None:
        self._open.discard(connection)
        connection.close()


class _TextDumper(StrDumperUnknown):
    """Texts without the characters that PostgreSQL refuses."""

    def dump(self, obj: str) -> bytes:
        return without_unstorable(obj).encode()


def _refusal(reason: str) -> StoreError:
    if _NONE_LEFT.search(reason):
        return NoConnectionLeftError(
            "The database has no connection left.", "Retry in a few seconds; if it persists, raise its max_connections."
        )
    for pattern, message, hint in _REFUSALS:
        if re.search(pattern, reason):
            return StoreError(message, hint)
    return connection_lost()
