"""What accounts a database has, without creating or migrating anything."""

from collections import defaultdict
from collections.abc import Iterator

import psycopg

from formant_mcp.errors import ConfigurationError, FormantError, StoreError
from formant_mcp.store.facts import StoreFacts
from formant_mcp.store.postgres.failures import translate_errors
from formant_mcp.store.postgres.pool import Pool
from formant_mcp.store.postgres.schema import FUNCTIONS, MIGRATIONS, SCHEMA, migrate, version_of
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

_CHANGE = f"DELETE FROM {SCHEMA}.conversations WHERE false"
"""It needs the state of the database that every change needs, and changes nothing."""

_LOCKED_SCHEMAS = """
    SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s) AND NOT has_schema_privilege(oid, 'USAGE') ORDER BY nspname
"""
# Each table with the rights that the role lacks there; none where it has all of them. The version need only be read.
_RIGHTS_MISSING = f"""
    SELECT relname, array_agg(name ORDER BY position)
           FILTER (WHERE NOT has_table_privilege(oid, name)
                   AND (relname <> 'version' OR NOT has_table_privilege(oid, 'SELECT')))
    FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS rights (name, position)
    WHERE relnamespace = to_regnamespace('{SCHEMA}') AND relkind IN ('r', 'p') GROUP BY relname ORDER BY relname
"""
_LOCKED_FUNCTIONS = f"""
    SELECT 1 FROM pg_proc
    WHERE pronamespace = to_regnamespace('{FUNCTIONS}') AND NOT has_function_privilege(oid, 'EXECUTE')
"""

_GRANT = (
    f"Let the owner of the tables run: GRANT USAGE ON SCHEMA {SCHEMA}, {FUNCTIONS} TO its_name; GRANT SELECT, INSERT,"
    f" UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO its_name; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA"
    f" {FUNCTIONS} TO its_name;"
)


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
            if missing := "; ".join(_missing_rights(connection)):
                return StoreError(f"The role of FORMANT_STORE has too few rights: {missing}.", _GRANT)
            if version_of(connection) in range(1, len(MIGRATIONS)):
                return None
            migrate(connection)
            connection.execute(_CHANGE)
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


def _missing_rights(connection: psycopg.Connection) -> Iterator[str]:
    """What the role may not do with the tables that there are, though a server needs it."""
    if schemas := connection.execute(_LOCKED_SCHEMAS, [[SCHEMA, FUNCTIONS]]).fetchall():
        yield f"USAGE on {', '.join(name for (name,) in schemas)}"
    tables, by_rights = connection.execute(_RIGHTS_MISSING).fetchall(), defaultdict[str, list[str]](list)
    for table, rights in tables:
        by_rights[", ".join(rights or ())].append(table)
    for rights, names in by_rights.items():
        if rights:
            are_all = len(names) >= len(tables) - 1  # without that of the version
            yield f"{'all tables' if are_all else ', '.join(names)} ({rights})"
    if connection.execute(_LOCKED_FUNCTIONS).fetchone():
        yield f"EXECUTE on the functions of {FUNCTIONS}"


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
