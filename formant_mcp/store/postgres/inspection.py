"""What accounts a database has, without creating or migrating anything."""

import psycopg

from formant_mcp.errors import ConfigurationError, FormantError, StoreError
from formant_mcp.store.facts import StoreFacts
from formant_mcp.store.postgres.failures import translate_errors
from formant_mcp.store.postgres.pool import Pool
from formant_mcp.store.postgres.schema import MIGRATIONS, SCHEMA, migrate, version_of
from formant_mcp.store.postgres.stoppable import Use
from formant_mcp.store.rows import moment

_ACCOUNTS = f"""
    SELECT account, service, array_agg(key),
           (SELECT coalesce(sum(count), 0) FROM {SCHEMA}.agents WHERE agents.account = accounts.account),
           (SELECT count(*) FROM {SCHEMA}.members WHERE members.account = accounts.account),
           (SELECT max(checked_at) FROM {SCHEMA}.list_states WHERE list_states.account = accounts.account)
    FROM {SCHEMA}.accounts JOIN {SCHEMA}.account_keys USING (account)
    GROUP BY account, service ORDER BY account
"""

_CHANGES = (
    f"UPDATE {SCHEMA}.conversations SET seen_at = seen_at WHERE false",
    f"INSERT INTO {SCHEMA}.conversations SELECT * FROM {SCHEMA}.conversations WHERE false",
    f"DELETE FROM {SCHEMA}.conversations WHERE false",
)
"""They need the rights and the state of the database that every change needs, and change nothing."""


def inspect_database(address: str) -> list[StoreFacts]:
    """The accounts in a database; none if it has no tables of this program. Their sizes are not counted apart.

    Raises:
        StoreError: it does not answer. ConfigurationError: that is no address, or too few rights.
    """
    pool = Pool(address)
    try:
        with pool.connection(Use()) as connection, translate_errors():
            version = version_of(connection)
            return _accounts(connection, address, version) if version else []
    finally:
        pool.close()


def refusal_of_database(address: str) -> FormantError | None:
    """Why a server cannot use the database; None if it can. What it does first is tried, and undone.

    The migration of an older version is not tried: it may take long, and hold up others.
    """
    pool = Pool(address)
    try:
        with pool.connection(Use()) as connection, translate_errors(), connection.transaction(force_rollback=True):
            if version_of(connection) in range(1, len(MIGRATIONS)):
                return None
            migrate(connection)
            for change in _CHANGES:
                connection.execute(change)
            return None
    except (ConfigurationError, StoreError) as error:
        return error
    finally:
        pool.close()


def ids_in_database(store: StoreFacts) -> list[str]:
    """The ids of all conversations of an account.

    Raises:
        StoreError, ConfigurationError: as above.
    """
    pool = Pool(str(store.where))
    sql = f"SELECT conversation_id FROM {SCHEMA}.conversations WHERE account = %s"
    try:
        with pool.connection(Use()) as connection, translate_errors():
            return [str(row[0]) for row in connection.execute(sql, [store.account]).fetchall()]
    finally:
        pool.close()


def _accounts(connection: psycopg.Connection, address: str, version: int) -> list[StoreFacts]:
    newer = "written by a newer version of formant-mcp" if version > len(MIGRATIONS) else ""
    return [
        StoreFacts(
            f"account-{number}",
            address,
            account=number,
            service=str(service),
            keys=frozenset(keys),
            conversations=int(conversations),
            members=int(members),
            last_used_at=moment(checked_at),
            version=version,
            newest=len(MIGRATIONS),
            problem=newer,
        )
        for number, service, keys, conversations, members, checked_at in connection.execute(_ACCOUNTS).fetchall()
    ]
