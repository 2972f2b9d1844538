"""Backup, restore and deletion: the commands and the SQL of the page about deployment, executed as they are there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from formant_mcp.filters import Filters
from formant_mcp.members import Member
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from tests.postgres_server import programs
from tests.store.files import never
from tests.store.oracle import NOW
from tests.store.postgres.stores import answers, ask, everything, open_at, speaking

PROGRAMS = ("pg_dump", "pg_restore", "psql")
FOUND = programs() or Path()

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not all((FOUND / name).exists() for name in PROGRAMS), reason="a server without its clients"),
    pytest.mark.skipif(sys.platform == "win32", reason="commands are for a POSIX shell"),
]

PAGE = (Path(__file__).parents[3] / ".github" / "deploy" / "README.md").read_text("utf-8")
KEY, URL = "key-of-alpha", "http://127.0.0.1:9"
# What Compose does with these commands: `exec` and `run` start a program in a container, and nothing else is done.
COMPOSE = """#!/bin/sh
test "$1" = compose || exit 64
case "$2" in
  exec) shift 2; while test "$1" = -T; do shift; done; test "$1" = postgres || exit 64; shift; exec "$@" ;;
  run) test "$3 $4 $5 $6" = "--rm --entrypoint python formant-mcp" || exit 64; shift 6; exec python "$@" ;;
  stop|start) test "$3" = formant-mcp ;;
  *) exit 64 ;;
esac
"""


@pytest.fixture
def database(empty_database: str) -> str:
    """One without tables."""
    return empty_database


def section(heading: str) -> str:
    """The part of the page below that heading."""
    return re.split(r"^## ", PAGE.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


def blocks(heading: str, language: str = "sh") -> list[str]:
    """The code of that part."""
    return re.findall(rf"```{language}\n(.+?)```", section(heading), re.DOTALL)


def run(folder: Path, address: str, commands: str, text: str = "") -> str:
    """What a shell prints for these commands, where the server's programs and `docker` are found."""
    docker = folder / "docker"
    docker.write_text(COMPOSE)
    docker.chmod(0o700)
    server = conninfo_to_dict(address)
    environment = {
        "PATH": f"{folder}:{Path(sys.executable).parent}:{FOUND}:{os.environ['PATH']}",
        "HOME": str(folder),
        "FORMANT_STORE": address,
        "FORMANT_API_KEY": KEY,
        "FORMANT_BASE_URL": URL,
        "PGHOST": str(server["host"]),
        "PGPORT": str(server["port"]),
    }
    shell = ["sh", "-e", "-c", commands]
    done = subprocess.run(shell, cwd=folder, env=environment, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


async def two_accounts(address: str) -> tuple[Store, Store]:
    """The store of the settings' account, whose number is 1, and another one; both have the same ids."""
    settings = Settings.model_validate({"api_key": KEY, "base_url": URL})
    alpha = await open_at(address, settings.account(KEY), settings.service())
    await everything(alpha, "alpha")
    beta = await open_at(address, "key of beta")
    await everything(beta, "beta")
    return alpha, beta


async def both(stores: tuple[Store, Store]) -> list[list[object]]:
    """What both are answered."""
    return [await answers(store, name) for store, name in zip(stores, ("alpha", "beta"), strict=True)]


async def closed(stores: tuple[Store, Store]) -> None:
    for store in stores:
        await store.close()


async def test_a_restored_database_gives_the_answers_of_the_one_that_was_dumped(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    first, second = new_database(), new_database()
    stores = await two_accounts(first)
    expected = await both(stores)
    dump, restore = blocks("Backup and restore")[-1].splitlines()
    assert dump.startswith("pg_dump ")
    run(tmp_path, first, dump)
    await stores[0].write.save(speaking("gamma", 9), NOW)  # since the backup
    await stores[1].write.delete("call-1")
    assert await both(stores) != expected
    await closed(stores)
    for address in (first, second):  # over what there is, and into an empty database
        run(tmp_path, address, restore)
        stores = await two_accounts_of(address)
        assert await both(stores) == expected
        await stores[0].write.save(speaking("alpha"), NOW)
        await closed(stores)


async def two_accounts_of(address: str) -> tuple[Store, Store]:
    """The stores that `two_accounts` filled."""
    settings = Settings.model_validate({"api_key": KEY, "base_url": URL})
    alpha = await open_at(address, settings.account(KEY), settings.service())
    return alpha, await open_at(address, "key of beta")


async def test_the_database_of_the_compose_file_is_restored(new_database: Callable[[], str], tmp_path: Path) -> None:
    other = new_database()
    await ask(other, "CREATE ROLE formant SUPERUSER LOGIN")  # as the image of PostgreSQL makes it
    await ask(other, "CREATE DATABASE formant OWNER formant")
    address = re.sub(r"tests@/\w+", "formant@/formant", other)
    try:
        stores = await two_accounts(address)
        expected = await both(stores)
        dump, restore = blocks("Backup and restore")[:2]
        run(tmp_path, address, dump)
        await stores[1].write.delete("call-1")
        await closed(stores)
        run(tmp_path, address, restore)
        stores = await two_accounts_of(address)
        assert await both(stores) == expected
        await closed(stores)
    finally:
        await ask(other, "DROP DATABASE formant WITH (FORCE)")
        await ask(other, "DROP ROLE formant")


async def test_what_is_to_be_deleted_is_and_nothing_of_another_account(database: str, tmp_path: Path) -> None:
    stores = await two_accounts(database)
    for store in stores:
        await store.members.add(Member("anna"), None, NOW)
    expected = await both(stores)
    part, names = section("Delete"), [["alpha", "anna"], ["anna", "beta"]]
    key = run(tmp_path, database, blocks("Delete")[0]).strip()
    (which,) = re.findall(r"`(SELECT account FROM [^`]+)`", part)
    psql = 'psql "$FORMANT_STORE"'
    assert psql in part
    assert run(tmp_path, database, f"{psql} --tuples-only", which.replace("…", key)).strip() == "1"

    (member,) = re.findall(r"`(DELETE FROM formant_mcp.members [^`]+)`", part)
    run(tmp_path, database, psql, member)
    assert [sorted([kept.member.name for kept in await store.members.all()]) for store in stores] == [
        [name for name in names[0] if name != "anna"],
        names[1],
    ]

    await stores[0].close()
    run(tmp_path, database, f"{psql} --set ON_ERROR_STOP=1", blocks("Delete", "sql")[0])
    tables = await ask(
        database,
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'formant_mcp'"
        " AND column_name = 'account'",
    )
    assert len(tables) > 15
    with psycopg.connect(database) as connection:
        for (table,) in tables:
            rows = connection.execute(f"SELECT DISTINCT account FROM formant_mcp.{table}".encode()).fetchall()
            assert rows in ([], [(2,)]), table
    assert await answers(stores[1], "beta") == expected[1]
    await stores[1].close()


async def test_a_role_with_the_rights_of_the_page_runs_the_server(database: str, tmp_path: Path) -> None:
    await closed(await two_accounts(database))
    await ask(database, "CREATE ROLE formant LOGIN")
    try:
        (grants,) = [block for block in blocks("A larger database", "sql") if "GRANT" in block]
        run(tmp_path, database, 'psql "$FORMANT_STORE" --quiet --set ON_ERROR_STOP=1', grants)
        stores = await two_accounts_of(database.replace("tests@", "formant@"))
        await stores[0].write.save(speaking("alpha", 9), NOW)
        await stores[0].write.delete("call-1")
        assert await stores[0].read.count(Filters()) == 9
        await closed(stores)
    finally:
        await ask(database, "DROP OWNED BY formant")
        await ask(database, "DROP ROLE formant")


@pytest.mark.file_store
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="no sqlite3 program here")
async def test_a_backup_of_a_file_gives_its_answers(tmp_path: Path) -> None:
    (command,) = re.findall(r"`(sqlite3 [^`]+)`", section("Backup and restore"))
    store = await open_in(tmp_path / "calls.sqlite")
    expected = await everything(store)
    run(tmp_path, "postgresql:///?host=none&port=1", command)
    await store.write.delete("call-1")
    await store.close()
    (tmp_path / "copy.sqlite").replace(tmp_path / "calls.sqlite")
    store = await open_in(tmp_path / "calls.sqlite")
    assert await answers(store, "alpha") == expected[2:]
    await store.close()


async def open_in(path: Path) -> Store:
    """A store in that file."""
    return await Store.open(path, AccountKey("service", "key"), never)
