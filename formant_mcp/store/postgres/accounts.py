"""Which account of the database a key belongs to."""

import psycopg

from formant_mcp.store.engine import AccountKey
from formant_mcp.store.postgres.schema import SCHEMA

_LOCK = 7_265_401_939


def account_of(connection: psycopg.Connection, account: AccountKey, *, takes_over: bool) -> int:
    """The number of the key's account, which is added if there is none.

    `takes_over`: the key is new, and verified to be of the account of the same service that is stored already.
    """
    with connection.transaction():
        if number := _find(connection, account):
            return number
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if number := _find(connection, account):  # another server was first
            return number
        number = _only_account(connection, account.service) if takes_over else 0
        if not number:
            row = connection.execute(f"SELECT coalesce(max(account), 0) + 1 FROM {SCHEMA}.accounts").fetchone()
            number = int(row[0]) if row else 1
            insert = f"INSERT INTO {SCHEMA}.accounts (account, service) VALUES (%s, %s)"
            connection.execute(insert, [number, account.service])
        connection.execute(f"INSERT INTO {SCHEMA}.account_keys VALUES (%s, %s)", [account.key, number])
        return number


def _find(connection: psycopg.Connection, account: AccountKey) -> int:
    row = connection.execute(f"SELECT account FROM {SCHEMA}.account_keys WHERE key = %s", [account.key]).fetchone()
    return int(row[0]) if row else 0


def _only_account(connection: psycopg.Connection, service: str) -> int:
    row = connection.execute(f"SELECT max(account) FROM {SCHEMA}.accounts WHERE service = %s", [service]).fetchone()
    return int(row[0] or 0) if row else 0
