"""Whether an error comes from a corrupt file.

SQLite notices some damage itself. Other damage only shows in errors that a whole store never causes, so after one of
these the whole file is checked.
"""

import sqlite3
import struct
from contextlib import closing
from functools import cache

from formant_mcp.store.sqlite.failures import DAMAGED_CODES, FAILURES, LOCKED_CODES, code_of
from formant_mcp.store.sqlite.schema import migrate

UNEXPECTED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)
"""What our code raises on values that it never stored."""

_DAMAGED_NAMES = {"SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS"}
_EXPLAINED = {
    *LOCKED_CODES,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_ABORT,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_NO_TEXT = "Could not decode to UTF-8"  # Python's own error for a text, without a code
_TYPES = {"INTEGER": "'integer', 'null'", "REAL": "'real', 'integer', 'null'", "TEXT": "'text', 'null'"}


def is_damage(error: Exception, connection: sqlite3.Connection) -> bool:
    """Whether the error comes from a corrupt file."""
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(_NO_TEXT):
        return True
    if isinstance(error, FAILURES):
        if code_of(error) in DAMAGED_CODES or getattr(error, "sqlite_errorname", "") in _DAMAGED_NAMES:
            return True
        if code_of(error) in _EXPLAINED:
            return False
    return not _is_whole(connection)


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Whether the file has our schema, and every value its column's type; SQLite's own check finds nothing."""
    try:
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",) or _schema(connection) != _own():
            return False
        return not any(connection.execute(check).fetchone() for check in _checks(connection))
    except FAILURES as error:
        return code_of(error) in _EXPLAINED


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every table and index, and how it was made; of those of FTS5, which differ between its versions, the names."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    return {(name, "" if name.startswith("turns_fts_") else str(sql)) for name, sql in rows}


@cache
def _own() -> set[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        migrate(database)
        return _schema(database)


def _checks(connection: sqlite3.Connection) -> list[str]:
    """Queries that find a value that we never store."""
    checks = ["SELECT 1 FROM conversations WHERE results IS NOT NULL AND NOT json_valid(results)"]
    for name, sql in _own():
        if sql.startswith("CREATE TABLE"):
            columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", [name]).fetchall()
            others = [f"typeof({column}) NOT IN ({_TYPES[kind]})" for column, kind in columns if kind in _TYPES]
            checks += [f"SELECT 1 FROM {name} WHERE {' OR '.join(others)}"] if others else []
    return checks
