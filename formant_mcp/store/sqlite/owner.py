"""Whose conversations a store's file has: the provider and address they come from, and the keys that may read them.

Keys are stored as hashes. A file without conversations belongs to nobody: it is claimed when the provider's first data
is saved, so a mistyped key claims nothing. A new key of the same provider and address is admitted if the provider
returns conversations of the file for it: see `formant_mcp.app`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from formant_mcp.store.engine import SAMPLE_AGES, AccountKey, Owner, another_account
from formant_mcp.store.sqlite.failures import FAILURES
from formant_mcp.store.sqlite.file import is_ours


def read_owner(path: Path) -> Owner | None:
    """The owner of the file at `path`; None if there is no file, it has no owner yet, or it cannot be read."""
    try:
        if path.is_symlink() or not path.is_file() or not is_ours(path):
            return None
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            keys, service, sample = _keys(connection), _value(connection, "service"), _sample(connection)
    except (*FAILURES, OSError):
        return None
    return Owner(service, keys, sample) if keys and sample else None


def enter(connection: sqlite3.Connection, account: AccountKey) -> bool:
    """Whether the file is this account's; False if it has no owner yet. A verified key is admitted.

    Raises:
        ConfigurationError: the file is another account's.
    """
    keys, service = _keys(connection), _value(connection, "service")
    if _is_empty(connection):
        if account.key not in keys:
            connection.execute("DELETE FROM list_states")  # the list state of an account without calls
        return False
    if not keys:
        return False
    is_of_service = service in ("", account.service)  # files of older versions do not say
    if account.key not in keys and not (account.verified_by in keys and is_of_service):
        raise another_account()
    if not service or account.key not in keys:
        _write(connection, account, keys)
    return True


def claim(connection: sqlite3.Connection, account: AccountKey) -> bool:
    """Makes this account the owner of a file without one; False while another account may still claim it.

    Raises:
        ConfigurationError: another account has claimed it in the meantime.
    """
    keys, is_empty = _keys(connection), _is_empty(connection)
    if account.key not in keys:
        if keys and not is_empty:
            raise another_account()
        _write(connection, account, frozenset())
    return not is_empty


def _keys(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(_value(connection, "account").split())


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM conversations LIMIT 1").fetchone() is None


def _sample(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The ids of conversations of several ages, in the order to request them."""
    count = int(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])
    places = dict.fromkeys(round(age * (count - 1)) for age in SAMPLE_AGES) if count else ()
    newest_first = "SELECT conversation_id FROM conversations ORDER BY started_at DESC, row_id DESC LIMIT 1 OFFSET ?"
    rows = (connection.execute(newest_first, [place]).fetchone() for place in places)
    return tuple(str(row[0]) for row in rows if row)


def _value(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
    return str(row[0]) if row else ""


def _write(connection: sqlite3.Connection, account: AccountKey, keys: frozenset[str]) -> None:
    values = [("account", " ".join(sorted({*keys, account.key}))), ("service", account.service)]
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        values,
    )
