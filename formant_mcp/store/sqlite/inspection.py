"""What stores there are in files, as they are: nothing is created, migrated, locked or changed by it."""

import re
import sqlite3
import time
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from formant_mcp.store.engine import TO_ERASE, TO_VACUUM
from formant_mcp.store.facts import StoreFacts
from formant_mcp.store.sqlite.failures import (
    DAMAGED_CODES,
    FAILURES,
    LOCKED_CODES,
    SqliteFailure,
    code_of,
    to_store_error,
)
from formant_mcp.store.sqlite.file import MAGIC, OUR_TABLES, files_of, is_ours
from formant_mcp.store.sqlite.schema import MIGRATIONS

_OWN_NAME = re.compile(r"[0-9a-f]{24}\.sqlite")  # as `Settings.store_path` names a new store
_UNREADABLE = "cannot be read"
_STEPS = 100_000  # of SQLite's, between two checks of the time


def inspect_file(path: Path) -> StoreFacts | None:
    """The store in a file; None if there is none, or the file is something else."""
    try:
        if path.is_symlink():
            return StoreFacts(path.name, path, is_ours=False, problem="is a symbolic link, which is not followed")
        if not path.is_file():
            return None
        with path.open("rb") as file:
            beginning = file.read(len(MAGIC))
    except OSError as error:
        return _unreadable(path, f"{_UNREADABLE} ({error.strerror})")
    if beginning != MAGIC:
        is_damaged = path.stat().st_size and (_OWN_NAME.fullmatch(path.name) is not None or is_ours(path))
        return _unreadable(path, "damaged") if is_damaged else None
    try:
        with _reading(path) as connection:
            return _facts(path, connection) if _is_store(connection) else None
    except FAILURES as error:
        return _unreadable(path, _problem(error))


def stores_in(folders: Iterable[Path]) -> list[StoreFacts]:
    """The stores in these folders. A file that cannot be read counts only if it has the name of a new store."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.sqlite"))]
    return [facts for path in paths if (facts := inspect_file(path)) and facts.is_ours]


def ids_in_file(path: Path) -> list[str]:
    """The ids of all conversations in a file.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with _reading(path) as connection:
            return [str(row[0]) for row in connection.execute("SELECT conversation_id FROM conversations")]
    except FAILURES as error:
        raise to_store_error(error, path) from None


def check_integrity(path: Path, seconds: float) -> str:
    """What SQLite's quick check finds; '' if nothing, 'unfinished' if that took too long."""
    ends = time.monotonic() + seconds
    try:
        with _reading(path) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
            result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if result == "ok" else "damaged"
    except FAILURES as error:
        return "unfinished" if code_of(error) == sqlite3.SQLITE_INTERRUPT else _problem(error)


@contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that changes nothing.

    A file that others have open is read through SQLite's locks and journal. For any other, SQLite would create these,
    so it is read as one that nobody changes.
    """
    is_open = all(path.with_name(path.name + ending).exists() for ending in ("-wal", "-shm"))
    name = f"{path.absolute().as_uri()}?mode=ro{'' if is_open else '&immutable=1'}"
    with closing(sqlite3.connect(name, uri=True, timeout=2, check_same_thread=False)) as connection:
        yield connection


def _is_store(connection: sqlite3.Connection) -> bool:
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tables >= OUR_TABLES and _version(connection) > 0


def _facts(path: Path, connection: sqlite3.Connection) -> StoreFacts:
    version, (size, used_at) = _version(connection), _size(path)
    names = ["account", "service", TO_ERASE, TO_VACUUM]
    meta = dict(connection.execute("SELECT name, value FROM meta WHERE name IN (?, ?, ?, ?)", names).fetchall())
    conversations, loaded = connection.execute("SELECT count(*), count(detail_at) FROM conversations").fetchone()
    has_members = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'members'").fetchone()
    members = connection.execute("SELECT count(*) FROM members").fetchone()[0] if has_members else 0
    return StoreFacts(
        path.name,
        path,
        service=str(meta.get("service", "")),
        keys=frozenset(str(meta.get("account", "")).split()),
        conversations=int(conversations),
        loaded=int(loaded),
        members=int(members),
        bytes=size,
        last_used_at=used_at,
        version=version,
        newest=len(MIGRATIONS),
        has_to_erase=TO_ERASE in meta,
        has_to_rewrite=TO_VACUUM in meta,
        problem="" if version <= len(MIGRATIONS) else "written by a newer version of formant-mcp",
    )


def _unreadable(path: Path, problem: str) -> StoreFacts:
    size, used_at = _size(path)
    is_ours = _OWN_NAME.fullmatch(path.name) is not None
    return StoreFacts(path.name, path, is_ours=is_ours, bytes=size, last_used_at=used_at, problem=problem)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _size(path: Path) -> tuple[int, datetime | None]:
    """The bytes of a store's files, and when one was last changed."""
    size, latest = 0, 0.0
    for file in files_of(path):
        with suppress(OSError):  # a journal that another process has just deleted
            status = file.stat()
            size, latest = size + status.st_size, max(latest, status.st_mtime)
    return size, datetime.fromtimestamp(latest, UTC) if latest else None


def _problem(error: SqliteFailure) -> str:
    code = code_of(error)
    return "damaged" if code in DAMAGED_CODES else "locked by another program" if code in LOCKED_CODES else _UNREADABLE
