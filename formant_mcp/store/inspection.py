"""What stores there are, as they are: nothing is created, migrated, locked or changed by it."""

import re
import sqlite3
import time
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from formant_mcp.store.sqlite.file import is_ours
from formant_mcp.store.sqlite.schema import MIGRATIONS

_MAGIC = b"SQLite format 3\0"
_OF_STORES = {"meta", "conversations", "turns"}
# As `store.sqlite.file` names a corrupt store, and as `Settings.store_path` names a new one.
_DAMAGED = re.compile(r".+\.damaged-\d{8}T\d{12}(?:-journal|-wal|-shm)?")
_OWN_NAME = re.compile(r"[0-9a-f]{24}\.sqlite")
_STEPS = 100_000  # of SQLite's, between two checks of the time


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One account's store. `name`: what commands call it; `where`: its file, or the database's address, where `account`
    is its number.

    `service`, `keys`: hashes, see AccountKey; `loaded`: conversations with details; `version`: of its schema, `newest`
    this program's. `problem`: why it cannot be read, or used; '' if it can.
    """

    name: str
    where: Path | str
    account: int = 0
    service: str = ""
    keys: frozenset[str] = frozenset()
    conversations: int = 0
    loaded: int = 0
    members: int = 0
    bytes: int = 0
    last_used_at: datetime | None = None
    version: int = 0
    newest: int = len(MIGRATIONS)
    problem: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is certain that this program wrote it, though it may not be readable any more."""
        is_link = isinstance(self.where, Path) and self.where.is_symlink()
        return self.version > 0 or (_OWN_NAME.fullmatch(self.name) is not None and not is_link)


def inspect_file(path: Path) -> StoreFacts | None:
    """The store in a file; None if there is none, or the file is something else."""
    try:
        if path.is_symlink():
            return StoreFacts(path.name, path, problem="is a symbolic link, which is not followed")
        if not path.is_file():
            return None
        with path.open("rb") as file:
            beginning = file.read(len(_MAGIC))
    except OSError as error:
        return StoreFacts(path.name, path, problem=f"cannot be read ({error.strerror})")
    if beginning != _MAGIC:
        size, used_at = _size(path)
        is_damaged = bool(size) and (_OWN_NAME.fullmatch(path.name) is not None or is_ours(path))
        return StoreFacts(path.name, path, bytes=size, last_used_at=used_at, problem="damaged") if is_damaged else None
    try:
        with _reading(path) as connection:
            return _facts(path, connection) if _is_ours(connection) else None
    except sqlite3.Error as error:
        size, used_at = _size(path)
        return StoreFacts(path.name, path, bytes=size, last_used_at=used_at, problem=_problem(error))


def stores_in(folders: Iterable[Path]) -> list[StoreFacts]:
    """The stores in these folders. A file that cannot be read counts only if it has the name of a new store."""
    paths = [path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*.sqlite"))]
    stores = [facts for path in paths if (facts := inspect_file(path))]
    return [facts for facts in stores if facts.is_ours]


def damaged_in(folders: Iterable[Path]) -> list[Path]:
    """The corrupt stores in these folders, which this program has renamed, with their journals."""
    return [
        path
        for folder in dict.fromkeys(folders)
        for path in sorted(folder.glob("*.damaged-*"))
        if _DAMAGED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]


def files_of(path: Path) -> list[Path]:
    """A store's file and those that SQLite keeps beside it."""
    return [
        file for ending in ("", "-wal", "-shm", "-journal") if (file := path.with_name(path.name + ending)).exists()
    ]


def ids_in_file(path: Path) -> list[str]:
    """The ids of all conversations in a file."""
    with _reading(path) as connection:
        return [str(row[0]) for row in connection.execute("SELECT conversation_id FROM conversations")]


def check_integrity(path: Path, seconds: float) -> str:
    """What SQLite's quick check finds; '' if nothing, 'unfinished' if that took too long."""
    ends = time.monotonic() + seconds
    try:
        with _reading(path) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
            result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if result == "ok" else "damaged"
    except sqlite3.Error as error:
        is_interrupted = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_INTERRUPT
        return "unfinished" if is_interrupted else _problem(error)


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


def _is_ours(connection: sqlite3.Connection) -> bool:
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tables >= _OF_STORES and _version(connection) > 0


def _facts(path: Path, connection: sqlite3.Connection) -> StoreFacts:
    version, (size, used_at) = _version(connection), _size(path)
    meta = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('account', 'service')").fetchall())
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
        problem="" if version <= len(MIGRATIONS) else "written by a newer version of formant-mcp",
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _size(path: Path) -> tuple[int, datetime | None]:
    """The bytes of a store's files, and when one was last changed."""
    stats = [file.stat() for file in files_of(path)]
    latest = max((stat.st_mtime for stat in stats), default=None)
    return sum(stat.st_size for stat in stats), None if latest is None else datetime.fromtimestamp(latest, UTC)


def _problem(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "damaged"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "locked by another program"
        case _:
            return "cannot be read"
