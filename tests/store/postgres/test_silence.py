"""A database that no longer answers, though its connections are open: its processes are stopped."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.filters import Filters
from formant_mcp.members import Member
from formant_mcp.server import mcp_server
from formant_mcp.store import Store, members
from formant_mcp.store.engine import Connection
from formant_mcp.store.postgres import database as postgres_database
from tests.fake_formant import FakeFormant
from tests.server_harness import Account
from tests.store.files import calls
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.refusals import refused
from tests.store.postgres.stores import ask_now, open_at

pytestmark = pytest.mark.anyio

OF_STORES = "SELECT pid FROM pg_stat_activity WHERE application_name = 'formant-mcp' AND datname = current_database()"
MOST_SECONDS = 4.0  # until a cancelled job has ended
LONG = 30.0  # a test that fails ends


@contextmanager
def silent(database: str) -> Generator[None]:
    """Stops the processes of all connections; new ones are answered."""
    processes = [int(str(row[0])) for row in ask_now(database, OF_STORES)]
    assert processes
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Store]:
    """A store with ten calls and several connections."""
    store = await open_at(database)
    await store.write.save(calls(10), NOW)
    await asyncio.gather(*(store.read.count(Filters()) for _ in range(8)))
    yield store
    await store.close()


async def test_a_cancelled_question_ends_though_the_database_does_not_answer(store: Store, database: str) -> None:
    with silent(database):
        for _ in range(2):
            reading = [asyncio.create_task(store.read.count(Filters())) for _ in range(12)]
            await asyncio.sleep(0.2)
            before = time.monotonic()
            for task in reading:
                task.cancel()
            _, unfinished = await asyncio.wait(reading, timeout=MOST_SECONDS)
            assert not unfinished
            assert time.monotonic() - before < MOST_SECONDS
        async with asyncio.timeout(LONG):  # on new connections
            assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(12))) == [10] * 12
    assert await store.read.count(Filters()) == 10


async def test_a_save_without_an_answer_is_repeated_on_a_new_connection(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_database, "_SILENT_SECONDS", 0.5)
    with silent(database):
        async with asyncio.timeout(LONG):
            await store.write.save(calls(12), NOW)
            assert await store.read.count(Filters()) == 12
    assert await counts_are_right(database)


async def test_a_save_that_is_cut_while_it_holds_the_lock_is_refused_and_can_be_repeated(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_database, "_SILENT_SECONDS", 0.5)
    is_inside = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: Connection) -> None:
        connection.update("conversations", "seen_at = ?", "conversation_id = ?", [(1, "call-1")])
        connection.rows("SELECT 1")
        loop.call_soon_threadsafe(is_inside.set)
        time.sleep(0.3)
        connection.rows("SELECT 1")

    writing = asyncio.create_task(store.database.write(work))
    await is_inside.wait()
    with silent(database), refused("busy|does not answer"):
        async with asyncio.timeout(LONG):
            await writing
    await store.write.save(calls(12), NOW)
    assert await store.read.count(Filters()) == 12
    assert await counts_are_right(database)


async def test_who_waits_for_a_save_may_leave_which_is_made_all_the_same(store: Store, database: str) -> None:
    with silent(database):
        saving = asyncio.create_task(store.write.save(calls(12), NOW))
        await asyncio.sleep(0.2)
        before = time.monotonic()
        saving.cancel()
        await asyncio.wait([saving], timeout=MOST_SECONDS)
        assert saving.cancelled()
        assert time.monotonic() - before < MOST_SECONDS
    async with asyncio.timeout(LONG):
        while await store.read.count(Filters()) != 12:
            await asyncio.sleep(0.01)


async def test_a_store_is_closed_though_the_database_does_not_answer(store: Store, database: str) -> None:
    with silent(database):
        saving = asyncio.create_task(store.write.save(calls(12), NOW))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(MOST_SECONDS):
            await store.close()
            with pytest.raises(StoreError):
                await saving


async def test_a_token_that_cannot_be_checked_is_said(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "_ANSWER_SECONDS", 0.2)
    token = await store.members.add(Member("anna"), None, NOW)
    assert token
    with silent(database):
        with refused("does not answer", "Retry"):
            async with asyncio.timeout(MOST_SECONDS):
                await store.members.use(token, NOW)
        assert await store.members.use(token, NOW) == Member("anna")


async def test_a_call_is_answered_in_its_time_and_the_next_one_works(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "_MARGIN_SECONDS", 0.5)
    account = Account(FakeFormant(), "auto", tmp_path)
    async with account.connect(store=database, call_seconds=1) as assistant:
        before_it = await assistant.ask("list_conversations")
        with silent(database):
            before = time.monotonic()
            error = await assistant.refused("list_conversations")
            assert time.monotonic() - before < 1 + 0.5 + MOST_SECONDS
            assert error.startswith("The store does not answer. Retry.")
        assert (await assistant.ask("list_conversations")).structure == before_it.structure
