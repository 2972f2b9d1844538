"""Which account of the database a key belongs to."""

import psycopg

from formant_mcp.store.engine import SAMPLE_AGES, AccountKey, Owner
from formant_mcp.store.postgres.schema import SCHEMA

_LOCK = 7_265_401_939  # any number, the same for all who add accounts


def account_of(connection: psycopg.Connection, account: AccountKey) -> int:
    """The number of the key's account, which is added if there is none."""
    with connection.transaction():
        if number := _find(connection, account.key):
            return number
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        number = _find(connection, account.key)  # another server may have been first
        if not number:
            number = _find(connection, account.verified_by) or _add(connection, account.service)
            connection.execute(f"INSERT INTO {SCHEMA}.account_keys VALUES (%s, %s)", [account.key, number])
        return number


def owners_in(connection: psycopg.Connection) -> list[Owner]:
    """The accounts that have conversations."""
    accounts = connection.execute(
        f"SELECT account, service, array_agg(key) FROM {SCHEMA}.accounts JOIN {SCHEMA}.account_keys USING (account)"
        " GROUP BY account ORDER BY account"
    ).fetchall()
    owners = [Owner(service, frozenset(keys), _sample(connection, number)) for number, service, keys in accounts]
    return [owner for owner in owners if owner.sample]


def _find(connection: psycopg.Connection, key: str) -> int:
    row = connection.execute(f"SELECT account FROM {SCHEMA}.account_keys WHERE key = %s", [key]).fetchone()
    return int(row[0]) if row else 0


def _add(connection: psycopg.Connection, service: str) -> int:
    row = connection.execute(
        f"INSERT INTO {SCHEMA}.accounts (account, service)"
        f" SELECT coalesce(max(account), 0) + 1, %s FROM {SCHEMA}.accounts RETURNING account",
        [service],
    ).fetchone()
    return int(row[0]) if row else 0


def _sample(connection: psycopg.Connection, account: int) -> tuple[str, ...]:
    """The ids of conversations of several ages, in the order to request them."""
    conversations = f"{SCHEMA}.conversations WHERE account = %s"
    row = connection.execute(f"SELECT count(*) FROM {conversations}", [account]).fetchone()
    places = dict.fromkeys(round(age * (int(row[0]) - 1)) for age in SAMPLE_AGES) if row and row[0] else ()
    ordered = f"SELECT conversation_id FROM {conversations} ORDER BY started_at DESC NULLS LAST, row_id DESC"
    rows = (connection.execute(f"{ordered} LIMIT 1 OFFSET %s", [account, place]).fetchone() for place in places)
    return tuple(str(row[0]) for row in rows if row)
