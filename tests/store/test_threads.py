"""SQL runs on threads of the store's own: the event loop goes on meanwhile, and what waits may be given up."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.connection import Connection
from formant_mcp.store.database import Database
from formant_mcp.store.writer import PreviousRow
from tests.store.files import calls, damage, never, open_store, set_aside, write_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(minutes=5)
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
SECONDS = 30.0  # far more than any test takes


def endless(connection: Connection) -> int:
    return len(connection.rows(ENDLESS))


def count(connection: Connection) -> object:
    return connection.rows("SELECT count(*) FROM conversations")[0][0]


async def ticks(times: int = 50) -> None:
    """Lets the event loop go round so often."""
    for _ in range(times):
        await asyncio.sleep(0.001)


@pytest.fixture(params=["file", "memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    path = tmp_path / "store.sqlite" if request.param == "file" else None
    database = await Database.open(path, AccountKey("service", "key"))
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


async def test_the_event_loop_goes_on_while_a_query_runs(database: Database) -> None:
    query = asyncio.create_task(database.read(endless))
    await ticks()
    assert not query.done()
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query


async def test_the_event_loop_goes_on_while_a_write_waits_for_the_disk(store: Store, paused: Paused) -> None:
    saving = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    await ticks()
    assert await store.read.count(Filters()) == 0  # what is read is what was there before
    assert not saving.done()
    paused.may_go_on.set()
    assert await saving == {}
    assert await store.read.count(Filters()) == 1


async def test_a_read_that_is_given_up_ends_and_its_connection_answers_the_next(database: Database) -> None:
    for _ in range(3):
        queries = [asyncio.create_task(database.read(endless)) for _ in range(5)]
        await ticks(5)
        for query in queries:
            query.cancel()
        async with asyncio.timeout(SECONDS):
            ended = await asyncio.gather(*queries, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
            assert await asyncio.gather(*(database.read(count) for _ in range(5))) == [0] * 5
    assert await database.write(count) == 0


async def test_a_read_may_be_given_up_before_its_turn_comes(database: Database) -> None:
    queries = [asyncio.create_task(database.read(endless)) for _ in range(3)]
    await ticks(5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await database.read(count)
    for query in queries:
        query.cancel()
    await asyncio.gather(*queries, return_exceptions=True)
    assert await database.read(count) == 0


async def test_a_read_sees_what_every_finished_write_wrote(store: Store) -> None:
    for n in range(1, 20):
        await store.write.save([Conversation(f"call-{n}")], NOW)
        assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [n] * 6


async def test_a_read_sees_one_moment_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store, database = await open_store(path), await Database.open(path, AccountKey("service", "key"))
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


async def test_a_reader_cannot_write(store: Store, tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "store.sqlite", AccountKey("service", "key"))
    with pytest.raises(StoreError):
        await database.read(lambda connection: connection.run("DELETE FROM meta"))
    await database.close()


async def test_a_write_goes_on_to_its_end_though_its_caller_is_cancelled(store: Store, paused: Paused) -> None:
    saving = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    waiting = asyncio.create_task(store.write.save([Conversation("call")], NOW))
    marking = asyncio.create_task(store.sync_state.update("", total=3))
    await ticks(5)
    for task in (saving, waiting, marking):
        task.cancel()
    await ticks(5)
    paused.may_go_on.set()
    ended = await asyncio.gather(saving, waiting, marking, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended)
    assert (await store.read.get(["pause", "call"])).keys() == {"pause", "call"}
    assert (await store.sync_state.list_state("")).total == 3


async def save_together(store: Store, paused: Paused, *pages: list[Conversation]) -> list[object]:
    """Saves the pages while another is being saved; what each caller gets."""
    first = asyncio.create_task(store.write.save([Conversation("pause", has_detail=True)], NOW))
    await until(paused.has_begun)
    others = [asyncio.create_task(store.write.save(page, LATER)) for page in pages]
    await ticks(5)
    paused.may_go_on.set()
    await first
    return list(await asyncio.gather(*others, return_exceptions=True))


async def test_what_is_saved_together_gives_each_caller_what_was_known_of_its_own(store: Store, paused: Paused) -> None:
    await store.write.save([Conversation("a", started_at=NOW), Conversation("b")], NOW)
    a, c = Conversation("a", status="busy"), Conversation("c", has_detail=True, results={"csat": 1})
    found = await save_together(store, paused, [a], [Conversation("b"), c], [replace(c, results={"csat": 2})], [])
    before, later = PreviousRow(NOW, NOW), PreviousRow(None, LATER)
    assert found == [{"a": before}, {"b": PreviousRow(None, NOW)}, {"c": later}, {}]
    assert (await store.read.get(["c"]))["c"].results == {"csat": 2}
    assert (await store.read.get(["a"]))["a"].status == "busy"


async def test_what_is_saved_together_is_saved_whole_or_not_at_all(store: Store, paused: Paused) -> None:
    broken = Conversation("b", has_detail=True, turns=(Turn(0, "agent", "a"), Turn(0, "agent", "same place")))
    found = await save_together(store, paused, [Conversation("a")], [broken], [Conversation("c")])
    assert [type(each) for each in found] == [StoreError] * 3
    assert (await store.read.get(["pause", "a", "b", "c"])).keys() == {"pause"}
    await store.write.save([Conversation("a")], NOW)
    assert await store.read.count(Filters()) == 2


async def changes(database: Database) -> int:
    """How many rows this connection has changed."""
    return int(str((await database.write(lambda connection: connection.rows("SELECT total_changes()")))[0][0]))


async def test_what_is_stored_already_is_not_written_again(store: Store) -> None:
    await store.write.save(calls(10), NOW)
    before = await changes(store.database)
    await store.write.save([replace(call, has_detail=False, turns=None, results=None) for call in calls(10)], LATER)
    assert await changes(store.database) - before == 10  # when each was seen
    await store.write.save(calls(10), LATER)
    assert await changes(store.database) - before == 30  # and when its details were read
    assert len(await store.read.turns("call-7", 0, 100)) == 20


async def test_of_several_reads_that_meet_damage_each_says_so_and_one_new_store_is_begun(tmp_path: Path) -> None:
    path = await write_store(tmp_path / "store.sqlite")
    store = await Store.open(path, AccountKey("service", "key"), never)
    damage(path)
    reads = [store.read.turns(f"call-{n}", 0, 5) for n in range(200, 206)]
    ended = await asyncio.gather(*reads, return_exceptions=True)
    assert any(isinstance(each, StoreError) and "damaged" in each.message for each in ended)
    await store.write.save(calls(2), NOW)
    assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [2] * 6
    assert len(set_aside(path)) == 1
    await store.close()


async def test_a_store_whose_file_is_deleted_goes_on_with_what_it_has_open(tmp_path: Path) -> None:
    path = await write_store(tmp_path / "store.sqlite", 3)
    store = await Store.open(path, AccountKey("service", "key"), never)
    path.unlink()
    assert await store.read.count(Filters()) == 3
    assert await asyncio.gather(*(store.read.count(Filters()) for _ in range(6))) == [3] * 6
    await store.close()
