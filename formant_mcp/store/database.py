"""One SQLite connection: opened privately, migrated, its errors in our words."""

import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from formant_mcp.errors import StoreError
from formant_mcp.store.schema import NewerVersionError, migrate

Value = str | int | float | None
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",
    "PRAGMA mmap_size = 1073741824",
)


class Database:
    """The connection. `path` None keeps everything in memory.

    Raises (from every method):
        StoreError: full disk, locked, damaged, from a newer version, or not to be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection = self._open()

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        with self._in_our_words():
            return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """One statement; gives how many rows it changed."""
        with self._in_our_words():
            return self._connection.execute(sql, parameters).rowcount

    def run_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> None:
        """One statement for many rows."""
        with self._in_our_words():
            self._connection.executemany(sql, parameters)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of what is written inside, or nothing."""
        with self._in_our_words():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._connection.execute("ROLLBACK")
            raise
        with self._in_our_words():
            self._connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self.path:
            _make_private(self.path)
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if self.path is None or error.sqlite_errorcode not in _DAMAGED:
                raise _worded(error, self.path) from None
        _set_aside(self.path)
        _make_private(self.path)
        with self._in_our_words():
            return _connect(self.path)

    @contextmanager
    def _in_our_words(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self.path and getattr(error, "sqlite_errorcode", None) in _DAMAGED:
                self._connection.close()
                kept = _set_aside(self.path)
                self._connection = self._open()
                raise StoreError(
                    f"The local store was damaged; it is kept as {kept.name} and a new one begun.", "Ask again."
                ) from None
            raise _worded(error, self.path) from None


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        migrate(connection)
    except NewerVersionError:
        connection.close()
        raise StoreError(
            "The local store was written by a newer version of formant-mcp.",
            "Update formant-mcp, or set FORMANT_STORE to another path.",
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    """Makes folder (0700) and file (0600) before SQLite does, which would ask no such thing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(
            f"The local store cannot be opened ({error.strerror}).",
            "Set FORMANT_STORE to a file that can be written, or to :memory:.",
        ) from None


def _set_aside(path: Path) -> Path:
    """Renames a damaged store, so that nothing is deleted; its journal goes with it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))
    return path.with_name(f"{path.name}.damaged-{stamp}")


def _worded(error: sqlite3.Error, path: Path | None) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    where = f" ({path.parent})" if path else ""
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            f"The disk of the local store is full{where}; what was stored before is safe.",
            "Free some space, or set FORMANT_STORE to a path on another disk.",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError("Another program holds the local store.", "Ask again in a few seconds.")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(
        f"The local store cannot be used{where}: {name}.", "Check its rights and disk, or set FORMANT_STORE anew."
    )
