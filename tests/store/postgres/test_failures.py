"""A database that fails or goes away while it is used: each question says so, and the next one is answered."""

import asyncio
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import psycopg
import pytest

from formant_mcp.filters import Filters
from formant_mcp.store import Store
from formant_mcp.store.aggregates import DAY, Grouping
from formant_mcp.store.engine import Connection
from formant_mcp.store.postgres import schema
from formant_mcp.text_search.query import Term
from tests.postgres_server import PostgresServer
from tests.store.files import call_saying, calls
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.refusals import assert_says_nothing, refused
from tests.store.postgres.stores import ask, ask_now, open_at

pytestmark = pytest.mark.anyio

ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000000)"
OF_STORES = "FROM pg_stat_activity WHERE application_name = 'formant-mcp' AND datname = current_database()"
END_ALL = f"SELECT pg_terminate_backend(pid) {OF_STORES}"
END_QUERIES = f"SELECT pg_cancel_backend(pid) {OF_STORES} AND state = 'active'"
RUNNING = f"SELECT count(*) {OF_STORES} AND state = 'active'"


@pytest.fixture(autouse=True)
def private_log(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """What is logged names no address, value or statement."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        assert_says_nothing(record.getMessage())


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Store]:
    """A store with ten calls."""
    store = await open_at(database)
    await store.write.save(calls(10), NOW)
    await store.aggregates.count_by(Filters(), Grouping((DAY,), "Europe/Berlin"))  # from now on days are counted
    yield store
    await store.close()


async def works(store: Store, count: int = 10) -> None:
    """Reads and writes are answered, by several connections at once."""
    counted = await asyncio.gather(*(store.read.count(Filters()) for _ in range(8)))
    assert counted == [count] * 8
    await store.write.save(calls(count), NOW)
    assert await store.read.turn_count(f"call-{count - 1}") == 20


async def running(database: str) -> int:
    """How many statements of stores run in the database."""
    return int(str((await ask(database, RUNNING))[0][0]))


async def wait_until_running(database: str, count: int) -> None:
    async with asyncio.timeout(30):
        while await running(database) != count:
            await asyncio.sleep(0.01)


def once_cut(database: str) -> Callable[[Connection], object]:
    """Work whose connection is ended in the middle of it, the first time."""
    ended: list[bool] = []

    def work(connection: Connection) -> object:
        before = connection.rows("SELECT count(*) FROM $conversations")
        if not ended:
            ended.append(bool(ask_now(database, END_ALL)))
        return before == connection.rows("SELECT count(*) FROM $conversations") and before[0][0]

    return work


async def test_a_connection_lost_in_the_middle_of_a_question_is_replaced_once(store: Store, database: str) -> None:
    await works(store)  # with several connections, all of which are lost
    assert await store.database.read(once_cut(database)) == 10
    assert await store.database.write(once_cut(database)) == 10
    with refused("does not answer", "Check that it runs"):
        await store.database.read(lambda connection: (ask_now(database, END_ALL), connection.rows("SELECT 1")))
    await works(store)


async def test_connections_lost_between_questions_are_not_noticed(store: Store, database: str) -> None:
    for _ in range(2):
        await works(store)
        await ask(database, END_ALL)
    await works(store)


async def test_a_server_that_restarts_between_questions_is_not_noticed(store: Store, server: PostgresServer) -> None:
    await works(store)
    server.stop()
    try:
        before = time.monotonic()
        with refused("does not answer"):
            await store.read.count(Filters())
        with refused("does not answer"):
            await store.write.save(calls(3), NOW)
        assert time.monotonic() - before < 2
    finally:
        server.start()
    await works(store)
    server.stop()
    server.start()
    await works(store)


async def test_a_database_that_only_accepts_reads_is_said_and_is_read(store: Store, database: str) -> None:
    name = database.partition("@/")[2].partition("?")[0]
    await ask(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await ask(database, END_ALL)
    assert await store.read.count(Filters()) == 10
    with refused("only accepts reads", "primary"):
        await store.write.save(calls(11), NOW)
    again = await open_at(database)
    assert await again.read.count(Filters()) == 10
    with refused("only accepts reads"):
        await open_at(database, "a new account")
    await again.close()
    await ask(f"{database}&options=-c%20default_transaction_read_only%3Doff", f"ALTER DATABASE {name} RESET ALL")
    await ask(database, END_ALL)
    await works(store)


async def test_no_tables_are_created_where_only_reads_are_accepted(empty_database: str) -> None:
    with refused("only accepts reads"):
        await open_at(f"{empty_database}&options=-c%20default_transaction_read_only%3Don")


@pytest.fixture
def small_disk(server: PostgresServer) -> Generator[str]:
    """The address of a database on a disk with three free megabytes."""
    disk = server.data.parent / "small"
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root on Linux alone")
    subprocess.run(["chown", server.data.owner(), str(disk)], check=True)
    ask_now(server.address, f"CREATE TABLESPACE small LOCATION '{disk}'")
    ask_now(server.address, "CREATE DATABASE on_small TABLESPACE small")
    (disk / "filling").write_bytes(bytes(shutil.disk_usage(disk).free - 3_000_000))
    yield server.address.replace("/postgres?", "/on_small?")
    ask_now(server.address, "DROP DATABASE on_small WITH (FORCE)")
    ask_now(server.address, "DROP TABLESPACE small")
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_is_said_and_what_was_saved_before_is_kept(small_disk: str, server: PostgresServer) -> None:
    store, saved = await open_at(small_disk), 0
    with refused("disk is full", "Free some space"):
        while True:
            await store.write.save(calls(saved + 20)[saved:], NOW)
            saved += 20
    assert saved
    assert await store.read.count(Filters()) == saved
    assert await store.read.turn_count(f"call-{saved - 1}") == 20
    assert await counts_are_right(small_disk)
    (server.data.parent / "small" / "filling").unlink()
    await store.write.save(calls(saved + 20), NOW)
    assert await store.read.count(Filters()) == saved + 20
    assert await counts_are_right(small_disk)
    await store.close()


async def test_a_lock_of_somebody_else_is_waited_for_and_then_said(store: Store, database: str) -> None:
    with psycopg.connect(database) as other:
        other.execute("LOCK formant_mcp.conversations")
        before = time.monotonic()
        with refused("busy", "Retry in a few seconds"):
            await store.write.save(calls(11), NOW)
        assert 4 < time.monotonic() - before < 9
    await works(store)


async def test_a_cancelled_question_ends_in_the_database_too(store: Store, database: str) -> None:
    for _ in range(3):
        reading = [
            asyncio.create_task(store.database.read(lambda connection: connection.rows(ENDLESS))) for _ in range(4)
        ]
        await wait_until_running(database, 4)
        before = time.monotonic()
        for task in reading:
            task.cancel()
        results = await asyncio.gather(*reading, return_exceptions=True)
        assert time.monotonic() - before < 2
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert await running(database) == 0
        await works(store)


async def test_a_question_is_not_cancelled_by_the_cancellation_of_the_one_before(store: Store) -> None:
    for _ in range(60):
        short = [asyncio.create_task(store.read.count(Filters())) for _ in range(8)]
        await asyncio.sleep(0.001)
        for task in short[::2]:
            task.cancel()
        results = await asyncio.gather(*short, return_exceptions=True)
        assert {result for result in results if not isinstance(result, asyncio.CancelledError)} <= {10}


async def test_a_query_that_the_database_ends_is_said(store: Store, database: str) -> None:
    reading = asyncio.create_task(store.database.read(lambda connection: connection.rows(ENDLESS)))
    with refused("ended a query", "narrow"):
        while not reading.done():
            await ask(database, END_QUERIES)
            await asyncio.wait([reading], timeout=0.02)
        await reading
    await works(store)


async def test_a_change_that_fails_among_others_leaves_none_of_them(store: Store, database: str) -> None:
    def change(connection: Connection) -> None:
        connection.update("conversations", "status = ?", "conversation_id = ?", [("lost", "call-1")])
        connection.update("conversations", "row_id = ?", "conversation_id = ?", [(None, "call-2")])
        connection.update("conversations", "status = ?", "conversation_id = ?", [("lost", "call-3")])

    for _ in range(2):  # the statements are prepared then
        with refused("database"):
            await store.database.write(change)
        assert await ask(database, "SELECT 1 FROM formant_mcp.conversations WHERE status = 'lost'") == []
        await works(store)


async def test_a_query_that_is_ended_by_mistake_is_answered(store: Store, database: str) -> None:
    tries: list[int] = []

    def work(connection: Connection) -> object:
        tries.append(0)
        return connection.rows(ENDLESS if len(tries) == 1 else "SELECT count(*) FROM $conversations")

    for run in (store.database.read, store.database.write):
        tries.clear()
        running_query = asyncio.create_task(run(work))
        await wait_until_running(database, 1)
        await ask(database, END_QUERIES)
        assert await running_query == [(10,)]


KILLED_WHILE_SAVING = """
import asyncio, os, signal, sys
from formant_mcp.store import AccountKey, Store
from tests.store.files import calls
from tests.store.oracle import NOW

def due(conversation, read_at):
    if conversation.conversation_id == "call-39":
        os.kill(os.getpid(), signal.SIGKILL)

async def save():
    store = await Store.open(sys.argv[1], AccountKey("service", "key"), due)
    await store.write.save(calls(50), NOW)

asyncio.run(save())
"""


async def test_a_process_killed_while_it_saves_leaves_nothing_half_written(store: Store, database: str) -> None:
    project = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_SAVING, database], cwd=project, check=False)
    assert ended.returncode == -9
    await wait_until_running(database, 0)
    assert await store.read.count(Filters()) == 10
    assert await counts_are_right(database)
    await works(store)
    await store.write.save(calls(50), NOW)
    assert await store.read.count(Filters()) == 50
    assert await counts_are_right(database)


async def test_tables_of_a_newer_version_are_left_alone(store: Store, database: str) -> None:
    await ask(database, "UPDATE formant_mcp.version SET number = number + 1")
    with refused("newer version", "Update formant-mcp"):
        await open_at(database)
    await works(store)  # who is running goes on


async def test_tables_of_an_older_version_are_migrated_with_what_they_hold(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = (*schema.MIGRATIONS, "CREATE TABLE added (account integer PRIMARY KEY)")
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    stores = await asyncio.gather(*(open_at(database) for _ in range(6)))
    assert await ask(database, "SELECT number FROM formant_mcp.version") == [(len(newer),)]
    assert await ask(database, "SELECT count(*) FROM formant_mcp.added") == [(0,)]
    for other in (*stores, store):
        await works(other)
        await other.close()


async def test_stored_words_get_their_keys_in_every_account(database: str) -> None:
    for key in ("first", "second"):
        store = await open_at(database, key)
        await store.write.save([call_saying(1, "मेरा पैसा")], NOW)
        await store.close()
    await ask(database, "ALTER TABLE formant_mcp.words DROP COLUMN spelling")
    await ask(database, "DROP TABLE formant_mcp.phrases")
    await ask(database, "DROP INDEX formant_mcp.conversations_failed")
    await ask(database, "ALTER TABLE formant_mcp.members DROP COLUMN redacts")
    for column in ("reply_turn", "gap_turn", "interrupted_turn"):
        await ask(database, f"ALTER TABLE formant_mcp.signals DROP COLUMN {column}")
    await ask(database, "UPDATE formant_mcp.version SET number = 3")
    store = await open_at(database, "second")
    assert await ask(database, "SELECT count(*) FROM formant_mcp.words WHERE spelling IS NULL") == [(0,)]
    assert await store.search.occurs(Term(("paisa",), "word"), any_spelling=True)
    await store.close()


async def test_a_migration_that_fails_leaves_the_tables_as_they_were(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = (*schema.MIGRATIONS, "DROP TABLE words; CREATE TABLE turns ()")
    monkeypatch.setattr(schema, "MIGRATIONS", failing)
    with refused("cannot be used"):
        await open_at(database)
    await works(store)


async def test_servers_that_start_at_once_create_the_tables_once(empty_database: str) -> None:
    stores = await asyncio.gather(*(open_at(empty_database) for _ in range(8)))
    assert await ask(empty_database, "SELECT count(*) FROM formant_mcp.accounts") == [(1,)]
    for store in stores:
        await store.close()


async def test_a_table_that_somebody_has_removed_is_said(store: Store, database: str) -> None:
    await ask(database, "ALTER TABLE formant_mcp.turns RENAME TO elsewhere")
    with refused("another version's tables", "newest version"):
        await store.read.turns("call-1", 0, 3)
    await ask(database, "ALTER TABLE formant_mcp.elsewhere RENAME TO turns")
    await works(store)


async def test_a_connection_that_waited_too_long_within_a_change_is_replaced(store: Store, database: str) -> None:
    impatient = await open_at(f"{database}&options=-c%20idle_in_transaction_session_timeout%3D500ms")
    tries: list[int] = []

    def work(connection: Connection) -> object:
        tries.append(0)
        connection.rows("SELECT 1")
        if len(tries) == 1:
            time.sleep(1)
        return connection.rows("SELECT count(*) FROM $conversations")

    for run in (impatient.database.read, impatient.database.write):
        tries.clear()
        assert await run(work) == [(10,)]
        assert len(tries) == 2
    await impatient.close()
