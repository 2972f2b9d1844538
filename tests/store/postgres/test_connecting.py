"""An address, a login or rights that do not do: what is wrong and what to do, at once."""

import time
from asyncio import gather, sleep
from collections.abc import Callable, Generator

import pytest

from formant_mcp.commands.checks import Check, of_stores
from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.filters import Filters
from formant_mcp.settings import Settings
from formant_mcp.store.aggregates import DAY, Grouping
from tests.postgres_server import PostgresServer
from tests.store.files import calls
from tests.store.oracle import NOW
from tests.store.postgres.refusals import PASSWORD, SECRET, assert_says_nothing, refused
from tests.store.postgres.stores import ask, ask_now, name_in, open_at

pytestmark = pytest.mark.anyio

OUR_TABLES = "ON ALL TABLES IN SCHEMA formant_mcp"
Login = Callable[[str], str]


@pytest.fixture
def database(empty_database: str) -> str:
    """One without tables."""
    return empty_database


@pytest.fixture
def login(server: PostgresServer, database: str) -> Generator[Login]:
    """Creates a role with a right to the database, and returns the address for it."""
    names: list[str] = []

    def create(right: str) -> str:
        names.append(f"role_{time.monotonic_ns()}")
        ask_now(database, f"CREATE ROLE {names[-1]} LOGIN PASSWORD '{SECRET}'")
        if right:
            ask_now(database, f"GRANT {right} TO {names[-1]}")
        return database.replace("tests@", f"{names[-1]}:{PASSWORD}@")

    yield create
    for name in names:
        ask_now(database, f"DROP OWNED BY {name} CASCADE")
        ask_now(database, f"DROP ROLE {name}")


@pytest.fixture
def asks_for_passwords(server: PostgresServer) -> Generator[None]:
    """A server that wants passwords from all but the tests' own role."""
    before = (server.data / "pg_hba.conf").read_text()
    server.write("pg_hba.conf", "local all tests trust\nlocal all all scram-sha-256\n")
    server.reload()
    yield
    server.write("pg_hba.conf", before)
    server.reload()


@pytest.mark.parametrize("address", ["postgresql://u:{}@[host/db", "postgresql://u:{}@h/db?nonsense=1"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    with refused("FORMANT_STORE is not a PostgreSQL address", "user:password@host", ConfigurationError):
        await open_at(address.format(PASSWORD))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9/db", "/db?host=/tmp/nowhere", "no-such-host.invalid/db", f"{'x' * 70}.y/db"]
)
async def test_a_server_that_does_not_run_or_exist_is_said_at_once(host: str) -> None:
    before = time.monotonic()
    with refused("The database does not answer", "FORMANT_STORE"):
        await open_at(f"postgresql://u:{PASSWORD}@{host}")
    assert time.monotonic() - before < 4


@pytest.mark.usefixtures("asks_for_passwords")
async def test_a_wrong_or_missing_password_is_said(database: str, login: Login) -> None:
    good = login(f"CREATE ON DATABASE {name_in(database)}")
    for wrong in (good.replace(PASSWORD, "wrong"), good.replace(f":{PASSWORD}", ""), good.replace("role_", "nobody_")):
        with refused("refused the login", "user and password"):
            await open_at(wrong)
    store = await open_at(good)
    await store.write.save(calls(3), NOW)
    assert await store.read.count(Filters()) == 3
    await store.close()


async def test_a_missing_database_or_role_is_said(server: PostgresServer, database: str, login: Login) -> None:
    with refused("does not exist", "name at the end of the address"):
        await open_at(server.address.replace("/postgres?", "/missing?"))
    with refused("refused the login", "user and password"):
        await open_at(database.replace("tests@", "nobody@"))
    address = login("")
    await ask(database, f"REVOKE CONNECT ON DATABASE {name_in(database)} FROM PUBLIC")
    with refused("may not use it", "name at the end"):
        await open_at(address)


async def test_a_role_that_may_not_create_tables_is_said_and_may_use_those_that_are_there(
    database: str, login: Login
) -> None:
    address = login("USAGE ON SCHEMA public")
    with refused("may not create the tables", "CREATE", ConfigurationError):
        await open_at(address)
    await (await open_at(database)).close()
    with refused("too few rights", "USAGE"):
        await open_at(address)
    user = address.partition("//")[2].partition(":")[0]
    await ask(database, f"GRANT USAGE ON SCHEMA formant_mcp, formant_mcp_functions TO {user}")
    await ask(database, f"GRANT SELECT {OUR_TABLES} TO {user}")
    store = await open_at(address)
    with refused("too few rights", "all rights"):
        await store.write.save(calls(3), NOW)
    await ask(database, f"GRANT INSERT, UPDATE, DELETE {OUR_TABLES} TO {user}")
    await store.write.save(calls(3), NOW)
    await ask(database, f"REVOKE DELETE {OUR_TABLES} FROM {user}")
    with refused("too few rights"):
        await store.write.delete("call-1")
    assert await store.read.count(Filters()) == 3
    await store.close()


async def test_more_connections_than_a_role_may_have_are_shared_or_refused(database: str, login: Login) -> None:
    address = login(f"CREATE ON DATABASE {name_in(database)}")
    user = address.partition("//")[2].partition(":")[0]
    store = await open_at(address)
    await store.write.save(calls(3), NOW)
    await ask(database, f"ALTER ROLE {user} CONNECTION LIMIT 1")
    counted = await gather(*(store.read.count(Filters()) for _ in range(20)))
    assert counted == [3] * 20
    with refused("no connection left", "max_connections"):
        await open_at(address)
    await store.close()
    while await ask(database, "SELECT 1 FROM pg_stat_activity WHERE usename = %s", user):
        await sleep(0.01)  # its server process ends a moment after the connection
    store = await open_at(address)
    assert await store.read.count(Filters()) == 3
    await store.close()


async def test_options_of_the_address_are_kept(database: str) -> None:
    store = await open_at(f"{database}&options=-c%20lock_timeout%3D123ms&application_name=reviews")
    rows = await store.database.read(
        lambda connection: connection.rows(
            "SELECT current_setting(value) FROM $each_text", [["lock_timeout", "application_name", "search_path"]]
        )
    )
    assert rows == [("123ms",), ("reviews",), ("formant_mcp_functions",)]
    await store.close()


def store_of(address: str) -> Check:
    """What the doctor says about the store there."""
    return next(of_stores(Settings.model_validate({"api_key": "k", "store": address}), "k"))


async def test_the_doctor_says_whether_a_server_could_use_the_database_and_changes_nothing(
    database: str, login: Login
) -> None:
    address = login("USAGE ON SCHEMA public")
    assert (found := store_of(address)).text == "The role of FORMANT_STORE may not create the tables."
    assert not found.is_right
    assert store_of(database).is_right
    assert await ask(database, "SELECT to_regnamespace('formant_mcp')") == [(None,)]
    store = await open_at(database, Settings.model_validate({}).account("k"))
    await store.write.save(calls(3), NOW)
    await store.close()
    user = address.partition("//")[2].partition(":")[0]
    await ask(database, f"GRANT USAGE ON SCHEMA formant_mcp, formant_mcp_functions TO {user}")
    await ask(database, f"GRANT SELECT, INSERT, UPDATE, DELETE {OUR_TABLES} TO {user}")
    assert store_of(address).is_right
    await ask(database, f"ALTER ROLE {user} SET default_transaction_read_only = on")
    assert store_of(address).text == "The database only accepts reads now."
    assert store_of(database).is_right
    await ask(database, "UPDATE formant_mcp.version SET number = number + 1")
    assert store_of(database).text == "The database was written by a newer version of formant-mcp."


async def test_the_doctor_names_the_rights_that_are_missing_on_any_table_or_schema(database: str, login: Login) -> None:
    await (await open_at(database)).close()
    address = login("USAGE ON SCHEMA public")
    user, lacks = address.partition("//")[2].partition(":")[0], "The role of FORMANT_STORE has too few rights:"
    everything, schemas = f"SELECT, INSERT, UPDATE, DELETE {OUR_TABLES}", "formant_mcp, formant_mcp_functions"
    all_rights = "all tables (SELECT, INSERT, UPDATE, DELETE)"
    found = store_of(address)
    assert found.text == f"{lacks} USAGE on formant_mcp, formant_mcp_functions; {all_rights}."
    await ask(database, f"GRANT USAGE ON SCHEMA {schemas} TO {user}")
    assert store_of(address).text == f"{lacks} {all_rights}."
    await ask(database, f"GRANT SELECT {OUR_TABLES} TO {user}")
    assert store_of(address).text == f"{lacks} all tables (INSERT, UPDATE, DELETE)."
    await ask(database, f"GRANT {everything} TO {user}")
    await ask(database, f"REVOKE INSERT, UPDATE, DELETE ON formant_mcp.version FROM {user}")
    assert store_of(address).is_right
    await ask(database, f"REVOKE ALL ON formant_mcp.word_counts, formant_mcp.phrases FROM {user}")
    await ask(database, f"REVOKE DELETE ON formant_mcp.signals, formant_mcp.members FROM {user}")
    found = store_of(address)
    all_of, delete = "phrases, word_counts (SELECT, INSERT, UPDATE, DELETE)", "members, signals (DELETE)"
    assert found.text == f"{lacks} {delete}; {all_of}."
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA formant_mcp" in found.hint
    await ask(database, f"GRANT {everything} TO {user}")
    await ask(database, f"REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA formant_mcp_functions FROM PUBLIC, {user}")
    assert store_of(address).text == f"{lacks} EXECUTE on the functions of formant_mcp_functions."
    assert_says_nothing(str(StoreError(found.text, found.hint)))


async def test_functions_that_a_role_may_not_use_are_a_matter_of_rights_not_of_versions(
    database: str, login: Login
) -> None:
    store = await open_at(database)
    await store.write.save(calls(3), NOW)
    await store.close()
    address = login("USAGE ON SCHEMA public")
    user = address.partition("//")[2].partition(":")[0]
    await ask(database, f"GRANT USAGE ON SCHEMA formant_mcp TO {user}")
    await ask(database, f"GRANT SELECT, INSERT, UPDATE, DELETE {OUR_TABLES} TO {user}")
    assert store_of(address).text == "The role of FORMANT_STORE has too few rights: USAGE on formant_mcp_functions."
    store = await open_at(address)
    with refused("too few rights", "USAGE on the schema formant_mcp_functions"):
        await store.aggregates.count_by(Filters(), Grouping((DAY,), "Europe/Berlin"))
    await store.close()
