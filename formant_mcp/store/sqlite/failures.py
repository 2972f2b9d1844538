"""SQLite's errors as ours."""

import sqlite3
from pathlib import Path

from formant_mcp.errors import StoreError

SqliteFailure = sqlite3.Error | UnicodeDecodeError
"""What the sqlite3 module raises: the latter where a damaged name in SQLite's message is no UTF-8."""

FAILURES = (sqlite3.Error, UnicodeDecodeError)
DAMAGED_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
LOCKED_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class DamagedError(StoreError):
    """The file is corrupt: it must be renamed, and a new one created."""


class LockedError(StoreError):
    """Another process changes the file, for longer than one waits."""


class AnotherFileError(StoreError):
    """The file at the store's path is no longer the one that was opened."""


def code_of(error: SqliteFailure) -> int:
    """SQLite's primary code; its extended ones carry more in their upper bits (sqlite.org/rescode.html)."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def damaged_error(path: Path) -> DamagedError:
    """The error for a corrupt file, which is renamed."""
    return DamagedError(
        f"The local store was corrupt. It was renamed to {path.name}.damaged-… and a new one was created.", "Retry."
    )


def to_store_error(error: SqliteFailure, path: Path | None) -> StoreError:
    """What an error of a whole file means, and what to do."""
    code = code_of(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    where = f" ({path.parent})" if path else ""
    if code == sqlite3.SQLITE_FULL or name == "SQLITE_IOERR_SHMSIZE":
        return StoreError(
            f"The disk of the local store is full{where}; what was stored before is safe.",
            "Free some space, or set FORMANT_STORE to a path on another disk.",
        )
    if code in LOCKED_CODES:
        return LockedError("The local store is locked by another process.", "Retry in a few seconds.")
    return StoreError(
        f"The local store cannot be used{where}: {name}.",
        "Check permissions and disk, or set FORMANT_STORE to another path.",
    )
