"""A PostgreSQL server for these tests, which run on it whatever `--engine` says, and a database for each test."""

import asyncio
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from tests.postgres_server import SMALL, PostgresServer, postgres_server
from tests.store.postgres.stores import ask_now, delete_everything, name_in, open_at


@pytest.fixture(scope="session")
def server() -> Generator[PostgresServer]:
    """A running server; a test that stops it starts it again."""
    with postgres_server(**SMALL) as server:
        yield server


@contextmanager
def databases(server: PostgresServer, template: str = "template1") -> Generator[Callable[[], str]]:
    """Creates a database and returns its address."""
    names: list[str] = []
    # Before version 15 it was the only one; to log each page instead takes five times as much.
    copies = "STRATEGY file_copy" if server.version >= 15 else ""

    def create() -> str:
        names.append(f"test_{secrets.token_hex(8)}")
        ask_now(server.address, f"CREATE DATABASE {names[-1]} TEMPLATE {template} {copies}")
        return server.address.replace("/postgres?", f"/{names[-1]}?")

    yield create
    for name in names:
        ask_now(server.address, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_database(server: PostgresServer) -> Generator[Callable[[], str]]:
    """Creates a database for this test and returns its address."""
    with databases(server) as create:
        yield create


@pytest.fixture(scope="module")
def shared_database(server: PostgresServer) -> Generator[str]:
    """The address of one for tests whose stores are of accounts of their own, or that delete all that they saved."""
    with databases(server) as create:
        yield create()


@pytest.fixture(scope="session")
def migrated(server: PostgresServer) -> Generator[str]:
    """The name of a database that has the tables, and no account."""
    with databases(server) as create:
        address = create()
        asyncio.run(_migrate(address))
        delete_everything(address)
        yield name_in(address)


async def _migrate(address: str) -> None:
    await (await open_at(address)).close()


@pytest.fixture
def database(server: PostgresServer, migrated: str) -> Generator[str]:
    """The address of a new database, which has the tables: to create them takes longer than most tests."""
    with databases(server, migrated) as create:
        yield create()


@pytest.fixture
def empty_database(new_database: Callable[[], str]) -> str:
    """The address of a new database without tables."""
    return new_database()
