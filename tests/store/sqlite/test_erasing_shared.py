"""Erasing where several servers have the store open, where it fails, and where questions come meanwhile."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, time
from typing import NamedTuple

import pytest

from formant_mcp.filters import Filters
from formant_mcp.store.engine import TO_ERASE, TO_VACUUM
from formant_mcp.store.sqlite import connection, erasing, room
from formant_mcp.store.sqlite.connection import SqliteConnection
from tests.store.files import call_saying, open_store, write_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]

SECONDS = 30.0


class Usage(NamedTuple):
    """As `shutil.disk_usage` returns it."""

    total: int
    used: int
    free: int


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with free pages that an older version has not overwritten; nobody waits long for anything."""
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT", "PRAGMA busy_timeout = 20")
    monkeypatch.setattr(erasing, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(erasing, "_RETRY_SECONDS", 0.02)
    path = await write_store(tmp_path / "store.sqlite", 30)
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA secure_delete = OFF")
        store.execute("CREATE TABLE other AS SELECT 'zanzibar ' || turn_id AS text FROM turns")
        store.execute("DROP TABLE other")
        store.executemany("INSERT INTO meta VALUES (?, '')", [[TO_ERASE], [TO_VACUUM]])
        store.commit()
    assert b"zanzibar" in path.read_bytes()
    return path


@contextmanager
def locked(path: Path) -> Generator[sqlite3.Connection]:
    """Another process changes the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def lease(path: Path, seconds: float) -> None:
    """Another server erases, for so long at most."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("INSERT INTO leases VALUES ('erasing', 'another', ?)", [round((time() + seconds) * 1_000)])
        other.commit()


def is_noted(path: Path, name: str = TO_ERASE) -> bool:
    with closing(sqlite3.connect(path)) as other:
        return other.execute("SELECT 1 FROM meta WHERE name = ?", [name]).fetchone() is not None


async def until(is_so: Callable[[], bool]) -> None:
    ends = monotonic() + SECONDS
    while not is_so():
        assert monotonic() < ends
        await asyncio.sleep(0.01)


async def test_while_another_server_erases_a_change_waits_and_nothing_is_logged_or_done_twice(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lease(path, 50)
    with locked(path) as other:
        store = await open_store(path)
        change = asyncio.create_task(store.write.save([call_saying(1_000, "hello")], NOW))
        for _ in range(3):
            assert await store.read.count(Filters()) == 30
            await asyncio.sleep(0.05)
        assert not change.done()
        other.execute("COMMIT")
    await change
    assert is_noted(path)
    assert caplog.records == []
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM leases")
        other.commit()
    await store.erase()
    assert not is_noted(path)
    await store.close()
    assert b"zanzibar" not in path.read_bytes()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM leases").fetchone() == (0,)


@pytest.mark.parametrize("seconds", [-1, 3_600])
async def test_a_server_that_was_killed_while_it_erased_holds_up_nobody(path: Path, seconds: float) -> None:
    """Its lease has ended; or it is from before the clock was set back."""
    lease(path, seconds)
    store = await open_store(path)
    await store.erase()
    assert not is_noted(path)
    await store.close()


async def test_after_an_error_it_is_tried_again_and_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with locked(path):
        store = await open_store(path)
        await store.erase()
        await asyncio.sleep(0.2)
        assert is_noted(path)
    await until(lambda: not is_noted(path))
    await store.close()
    assert b"zanzibar" not in path.read_bytes()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_servers_that_start_together_erase_without_an_error(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stores = await asyncio.gather(*(open_store(path) for _ in range(4)))
    await asyncio.gather(*(store.erase() for store in stores))
    assert not is_noted(path)
    for store in stores:
        await store.close()
    assert b"zanzibar" not in path.read_bytes()
    assert caplog.records == []


async def test_a_change_interrupts_the_rewriting_which_begins_again_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_GIVEN_WAY_SECONDS", 0.2)
    loop, has_begun, vacuum = asyncio.get_running_loop(), asyncio.Event(), SqliteConnection.vacuum

    def vacuum_slowly(connection: SqliteConnection) -> None:
        if not has_begun.is_set():
            loop.call_soon_threadsafe(has_begun.set)
            connection.rows("WITH RECURSIVE e(n) AS (SELECT 1 UNION ALL SELECT n FROM e) SELECT count(*) FROM e")
        vacuum(connection)

    monkeypatch.setattr(SqliteConnection, "vacuum", vacuum_slowly)
    store = await open_store(path)
    async with asyncio.timeout(SECONDS):
        await has_begun.wait()
        await store.write.save([call_saying(1_000, "hello")], NOW)
    assert is_noted(path, TO_VACUUM)
    await store.erase()
    assert not is_noted(path)
    assert await store.read.count(Filters()) == 31
    await store.close()


async def test_a_file_for_whose_copy_there_is_no_room_is_rewritten_when_there_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    temporary, free = tmp_path / "temporary", {"temporary": 0}
    temporary.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))
    assert room.temporary_folder() == temporary

    def disk_usage(folder: Path) -> Usage:
        return Usage(10**12, 0, free.get(folder.name, 10**12))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    store = await open_store(path)
    await store.erase()
    assert is_noted(path)
    assert f"MB in {temporary}" in caplog.text
    free["temporary"] = 10**12
    await until(lambda: not is_noted(path))
    await store.close()


async def test_nobody_waits_for_a_program_that_goes_on_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(erasing, "_MOST_WAITED_SECONDS", 0.1)
    store = await open_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM turns").fetchone()
        await store.write.save([call_saying(99, "nothing of it")], NOW)
        async with asyncio.timeout(SECONDS):
            await store.erase()
        assert "once no other program reads the store" in caplog.text
        assert is_noted(path)
    await until(lambda: not is_noted(path))
    await store.close()
