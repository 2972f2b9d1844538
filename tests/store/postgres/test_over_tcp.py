"""A database on another machine: by TCP, with a password, encrypted."""

import asyncio
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from formant_mcp.filters import Filters
from tests.command import run
from tests.postgres_server import SMALL, PostgresServer, postgres_server
from tests.prism import free_port
from tests.store.files import calls
from tests.store.oracle import NOW
from tests.store.postgres.refusals import PASSWORD, SECRET, assert_says_nothing, refused
from tests.store.postgres.stores import ask, ask_now, everything, name_in, open_at
from tests.tls import NAME, certificate

pytestmark = pytest.mark.anyio

RULES = """
local   all tests              trust
hostssl all all   127.0.0.1/32 scram-sha-256
host    all all   ::1/128      scram-sha-256
"""
CONNECTIONS = """
    SELECT client_addr::text, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'reviewer'
"""
MOST_SECONDS = 30.0
Address = Callable[[str, str], str]


@pytest.fixture(scope="module")
def server() -> Generator[PostgresServer]:
    """A server that this machine reaches by TCP, with a password; by IPv4 encrypted only."""
    with postgres_server(**SMALL, listen_addresses="127.0.0.1,::1", port=str(free_port())) as server:
        server.write("pg_hba.conf", RULES)
        server.reload()
        ask_now(server.address, f"CREATE ROLE reviewer SUPERUSER LOGIN PASSWORD '{SECRET}'")
        yield server


@pytest.fixture
def database(empty_database: str) -> str:
    """One of that server, without tables."""
    return empty_database


@pytest.fixture
def address(server: PostgresServer, database: str) -> Address:
    """The address of a new database for a host and options."""
    return lambda host, options: f"postgresql://reviewer:{PASSWORD}@{host}:{server.port}/{name_in(database)}?{options}"


@pytest.fixture
def root(server: PostgresServer, tmp_path: Path) -> Generator[Path]:
    """The certificate of the server, which can encrypt during the test."""
    pem = certificate(tmp_path, "root")
    server.write("root.pem", pem.read_text())
    for setting in ("ssl = on", "ssl_cert_file = 'root.pem'", "ssl_key_file = 'root.pem'"):
        ask_now(server.address, f"ALTER SYSTEM SET {setting}")
    server.reload()
    yield pem
    ask_now(server.address, "ALTER SYSTEM RESET ALL")
    server.reload()


@pytest.fixture
def verified(address: Address, root: Path) -> str:
    """The address over an encrypted connection to a server that proves its name."""
    return address(NAME, f"sslmode=verify-full&sslrootcert={root}")


async def test_a_store_over_an_encrypted_connection_answers_as_over_a_socket(
    verified: str, database: str, new_database: Callable[[], str]
) -> None:
    by_socket, encrypted = await open_at(new_database()), await open_at(verified)
    assert await everything(encrypted) == await everything(by_socket)
    assert {is_encrypted for _, is_encrypted in await ask(database, CONNECTIONS)} == {True}
    await by_socket.close()
    await encrypted.close()


async def test_a_question_over_an_encrypted_connection_can_be_cancelled_and_outlives_a_restart(
    verified: str, database: str, server: PostgresServer
) -> None:
    store = await open_at(verified)
    await store.write.save(calls(3), NOW)
    reading = asyncio.create_task(store.database.read(lambda connection: connection.rows("SELECT pg_sleep(600)")))
    running = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    async with asyncio.timeout(MOST_SECONDS):
        while not await ask(database, running):
            pass
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not await ask(database, running)
    server.stop()
    server.start()
    assert await store.read.count(Filters()) == 3
    await store.close()


def test_the_command_uses_an_encrypted_connection_and_says_when_there_is_none(
    verified: str, address: Address, tmp_path: Path
) -> None:
    added = run(tmp_path, "token", "add", "anna", FORMANT_API_KEY="k", FORMANT_STORE=verified)
    assert added.status == 0, added.error
    assert "anna" in run(tmp_path, "token", "list", FORMANT_API_KEY="k", FORMANT_STORE=verified).out
    unverified = verified.replace(f"@{NAME}:", "@127.0.0.1:")
    done = run(tmp_path, "token", "list", FORMANT_API_KEY="k", FORMANT_STORE=unverified)
    assert (done.status, done.out) == (1, "")
    assert "No encrypted connection to the database could be made. Check sslmode, sslrootcert and host" in done.error
    assert_says_nothing(done.error)


@pytest.mark.parametrize(
    ("host", "options"),
    [
        pytest.param(NAME, "sslmode=verify-full&sslrootcert={root}/../other.pem", id="of another authority"),
        pytest.param("127.0.0.1", "sslmode=verify-full&sslrootcert={root}", id="for another host"),
        pytest.param(NAME, "sslmode=verify-full&sslrootcert={root}.missing", id="without a file"),
        pytest.param(NAME, "sslmode=verify-ful&sslrootcert={root}", id="misspelt"),
        pytest.param(NAME, "sslmode=require&sslrootcert=system", id="too weak"),
    ],
)
async def test_a_server_that_does_not_prove_its_name_is_refused(
    host: str, options: str, address: Address, root: Path
) -> None:
    certificate(root.parent, "other")
    with refused("No encrypted connection", "sslrootcert and host"):
        await open_at(address(host, options.format(root=root)))


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_a_server_that_does_not_encrypt_is_refused_where_that_is_required(mode: str, address: Address) -> None:
    with refused("No encrypted connection", "the server must have ssl on"):
        await open_at(address("127.0.0.1", f"sslmode={mode}"))


@pytest.mark.usefixtures("root")
async def test_a_server_that_requires_encryption_gets_it_unless_the_address_forbids_it(
    address: Address, database: str
) -> None:
    with refused("refused the login", "sslmode"):
        await open_at(address("127.0.0.1", "sslmode=disable"))
    store = await open_at(address("127.0.0.1", ""))
    assert await ask(database, CONNECTIONS) == [("127.0.0.1/32", True)]
    await store.close()
    with refused("refused the login", "user and password"):
        await open_at(address("127.0.0.1", "").replace(PASSWORD, "wrong"))


async def test_an_address_may_be_of_ipv6(address: Address, database: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("NOT TESTED: addresses of IPv6, as this machine has no ::1")
    store = await open_at(address("[::1]", ""))
    await store.write.save(calls(3), NOW)
    assert await store.read.count(Filters()) == 3
    assert await ask(database, CONNECTIONS) == [("::1/128", False)]
    await store.close()
    with refused("refused the login", "user and password"):
        await open_at(address("[::1]", "").replace(PASSWORD, "wrong"))
