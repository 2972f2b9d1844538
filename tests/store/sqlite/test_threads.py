"""SQL runs on the store's own threads: the event loop keeps running meanwhile, and waiting queries can be cancelled."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.engine import Connection, Database
from formant_mcp.store.sqlite.database import SqliteDatabase
from formant_mcp.store.writer import PreviousRow
from tests.store.files import calls, damage, open_store, set_aside, write_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]

LATER = NOW + timedelta(minutes=5)
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
SECONDS = 30.0  # far more than any test takes


def endless(connection: Connection) -> int:
    return len(connection.rows(ENDLESS))


def count(connection: Connection) -> object:
    return connection.rows("SELECT count(*) FROM conversations")[0][0]


async def ticks(times: int = 50) -> None:
    """Lets the event loop run this many times."""
    for _ in range(times):
        await asyncio.sleep(0.001)


@pytest.fixture(params=["file", "memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    path = tmp_path / "store.sqlite" if request.param == "file" else None
    database = await SqliteDatabase.open(path, AccountKey("service", "key"))
    yield database
    await database.close()


class Paused:
    """A store that pauses while it saves the call named `pause`, until it may go on."""

    def __init__(self) -> None:
        self.has_begun, self.may_go_on = Event(), Event()

    def due(self, conversation: Conversation, read_at: datetime) -> None:
        if conversation.conversation_id == "pause":
            self.has_begun.set()
            assert self.may_go_on.wait(SECONDS)


@pytest.fixture
def paused() -> Paused:
    return Paused()


@pytest.fixture
async def store(paused: Paused, tmp_path: Path) -> AsyncGenerator[Store]:
    store = await Store.open(tmp_path / "store.sqlite", AccountKey("service", "key"), paused.due)
    yield store
    paused.may_go_on.set()
    await store.close()


async def until(event: Event) -> None:
    async with asyncio.timeout(SECONDS):
        while not event.is_set():
            await asyncio.sleep(0.001)


async def test_the_event_loop_keeps_running_during_a_query(database: SqliteDatabase) -> None:
    query = asyncio.create_task(database.read(endless))
    await ticks()
    assert not query.done()
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query


async def test_the_event_loop_keeps_running_while_a_write_waits_for_the_disk(store: Store, paused: Paused) -> None:
    saving = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    await ticks()
    assert await store.read.count(Filters()) == 0  # reads still see the state before the write
    assert not saving.done()
    paused.may_go_on.set()
    assert await saving == {}
    assert await store.read.count(Filters()) == 1


async def test_a_cancelled_read_ends_and_its_connection_serves_the_next(database: SqliteDatabase) -> None:
    for _ in range(3):
        queries = [asyncio.create_task(database.read(endless)) for _ in range(5)]
        await ticks(5)
        for query in queries:
            query.cancel()
        async with asyncio.timeout(SECONDS):
            results = await asyncio.gather(*queries, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            assert await asyncio.gather(*(database.read(count) for _ in range(5))) == [0] * 5
    assert await database.write(count) == 0


async def test_a_read_can_be_cancelled_while_it_waits_for_a_connection(database: SqliteDatabase) -> None:
    queries = [asyncio.create_task(database.read(endless)) for _ in range(3)]
    await ticks(5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await database.read(count)
    for query in queries:
        query.cancel()
    await asyncio.gather(*queries, return_exceptions=True)
    assert await database.read(count) == 0


async def test_a_read_sees_every_finished_write(store: Store) -> None:
    for n in range(1, 20):
        await store.write.save([Conversation(f"call-{n}")], NOW)
        assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [n] * 6


async def test_a_read_sees_one_snapshot_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store, database = await open_store(path), await SqliteDatabase.open(path, AccountKey("service", "key"))
    has_counted, may_go_on = Event(), Event()

    def count_twice(connection: Connection) -> list[object]:
        first = count(connection)
        has_counted.set()
        assert may_go_on.wait(SECONDS)
        return [first, count(connection)]

    reading = asyncio.create_task(database.read(count_twice))
    await until(has_counted)
    await store.write.save(calls(3), NOW)
    may_go_on.set()
    assert await reading == [0, 0]
    assert await database.read(count) == 3
    await store.close()
    await database.close()


async def test_a_read_cannot_write(store: Store, tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "store.sqlite", AccountKey("service", "key"))
    with pytest.raises(StoreError):
        await database.read(lambda connection: connection.rows("DELETE FROM meta"))
    await database.close()


async def test_a_write_completes_even_if_its_caller_is_cancelled(store: Store, paused: Paused) -> None:
    saving = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    waiting = asyncio.create_task(store.write.save([Conversation("call")], NOW))
    marking = asyncio.create_task(store.sync_state.update("", total=3))
    await ticks(5)
    for task in (saving, waiting, marking):
        task.cancel()
    await ticks(5)
    paused.may_go_on.set()
    results = await asyncio.gather(saving, waiting, marking, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert (await store.read.get(["pause", "call"])).keys() == {"pause", "call"}
    assert (await store.sync_state.list_state("")).total == 3


async def save_together(store: Store, paused: Paused, *pages: list[Conversation]) -> list[object]:
    """Saves the pages while another is being saved; returns what each caller gets."""
    first = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    others = [asyncio.create_task(store.write.save(page, LATER)) for page in pages]
    await ticks(5)
    paused.may_go_on.set()
    await first
    return list(await asyncio.gather(*others, return_exceptions=True))


async def test_saves_made_together_return_each_caller_the_previous_rows_of_its_own_page(
    store: Store, paused: Paused
) -> None:
    await store.write.save([Conversation("a", started_at=NOW), Conversation("b")], NOW)
    a, c = Conversation("a", status="busy"), Conversation("c", has_detail=True, results={"csat": 1})
    previous = await save_together(store, paused, [a], [Conversation("b"), c], [c._replace(results={"csat": 2})], [])
    before, later = PreviousRow(NOW, NOW), PreviousRow(None, LATER)
    assert previous == [{"a": before}, {"b": PreviousRow(None, NOW)}, {"c": later}, {}]
    assert (await store.read.get(["c"]))["c"].results == {"csat": 2}
    assert (await store.read.get(["a"]))["a"].status == "busy"


async def test_saves_made_together_succeed_or_fail_together(store: Store, paused: Paused) -> None:
    broken = Conversation("b", has_detail=True, turns=(Turn(0, "agent", "a"), Turn(0, "agent", "same place")))
    errors = await save_together(store, paused, [Conversation("a")], [broken], [Conversation("c")])
    assert [type(error) for error in errors] == [StoreError] * 3
    assert (await store.read.get(["pause", "a", "b", "c"])).keys() == {"pause"}
    await store.write.save([Conversation("a")], NOW)
    assert await store.read.count(Filters()) == 2


async def changes(database: Database) -> int:
    """How many rows this connection has changed."""
    return int(str((await database.write(lambda connection: connection.rows("SELECT total_changes()")))[0][0]))


async def test_unchanged_rows_and_details_are_not_written_again(store: Store) -> None:
    await store.write.save(calls(10), NOW)
    before = await changes(store.database)
    await store.write.save([call._replace(has_detail=False, turns=None, results=None) for call in calls(10)], LATER)
    assert await changes(store.database) - before == 10  # `seen_at` of each row
    await store.write.save(calls(10), LATER)
    assert await changes(store.database) - before == 21  # with when its detail was read, and a mark that calls changed
    assert len(await store.read.turns("call-7", 0, 100)) == 20


async def test_concurrent_reads_of_a_damaged_store_create_one_new_store(tmp_path: Path) -> None:
    path = await write_store(tmp_path / "store.sqlite")
    store = await open_store(path)
    damage(path)
    reads = [store.read.turns(f"call-{n}", 0, 5) for n in range(200, 206)]
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert any(isinstance(result, StoreError) and "damaged" in result.message for result in results)
    await store.write.save(calls(2), NOW)
    assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [2] * 6
    assert len(set_aside(path)) == 1
    await store.close()


async def test_a_store_whose_file_is_deleted_keeps_working_with_its_open_file(tmp_path: Path) -> None:
    path = await write_store(tmp_path / "store.sqlite", 3)
    store = await open_store(path)
    path.unlink()
    assert await store.read.count(Filters()) == 3
    assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [3] * 6
    await store.close()
