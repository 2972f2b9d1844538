"""The store's file: private, of one account and of this version; a damaged one is set aside, never deleted."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey
from formant_mcp.store.sqlite.connection import open_writer
from formant_mcp.store.sqlite.database import SqliteDatabase
from formant_mcp.store.sqlite.schema import MIGRATIONS
from tests.examples import some
from tests.in_a_loop import in_a_loop
from tests.store.files import calls, damage, open_store, set_aside, write_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]

KEY = "fm-live-5c1e0f2b9a7d"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite"


@pytest.fixture
def open_umask() -> Generator[None]:
    """A user whose new files are readable by everybody unless a program prevents it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
async def test_folder_and_files_are_private_to_their_owner(path: Path) -> None:
    store = await open_store(path)
    await store.write.save(calls(1), NOW)
    assert mode(path.parent) == 0o700
    assert {file.name: mode(file) for file in path.parent.iterdir()} == dict.fromkeys(
        ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"], 0o600
    )
    await store.close()


@pytest.mark.usefixtures("open_umask")
async def test_an_existing_file_is_made_private_and_its_folder_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    tmp_path.chmod(0o755)
    path.touch()
    await (await open_store(path)).close()
    assert [mode(path), mode(tmp_path)] == [0o600, 0o755]


async def test_the_key_is_in_no_file_and_no_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = Settings.load()
    path = settings.store_path(KEY)
    assert path
    assert path.is_relative_to(tmp_path)
    store = await open_store(path, settings.account(KEY))
    await store.write.save(calls(3), NOW)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert path in files
    assert not [file for file in files if KEY in str(file) or KEY.encode() in file.read_bytes()]
    await store.close()


async def test_saved_conversations_survive_reopening_the_store(path: Path) -> None:
    store = await open_store(path)
    await store.write.save(calls(3), NOW)
    identity = await store.identity()
    await store.close()
    store = await open_store(path)
    assert await store.read.count(Filters()) == 3
    assert await store.identity() == identity
    await store.close()


async def test_a_store_in_memory_writes_no_file_and_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = await open_store(None), await open_store(None)
    await one.write.save(calls(1), NOW)
    assert await two.read.count(Filters()) == 0
    assert await one.identity() != await two.identity()
    assert list(tmp_path.iterdir()) == []
    await one.close()
    await two.close()


async def test_a_store_of_another_account_is_refused(path: Path) -> None:
    await write_store(path, 3)
    with pytest.raises(ConfigurationError, match="FORMANT_STORE"):
        await open_store(path, "another account")
    store = await open_store(path)
    assert await store.read.count(Filters()) == 3
    await store.close()


@pytest.mark.parametrize(
    "header", some([b"\0" * 10_000, b"\0" * 100, b"SQLite format 3\0" + b"not a database\n" * 1000], 2)
)
async def test_a_store_with_a_damaged_header_is_set_aside_and_a_new_one_created(path: Path, header: bytes) -> None:
    await write_store(path)
    damaged = header + path.read_bytes()[len(header) :]
    path.write_bytes(damaged)
    store = await open_store(path)
    await store.write.save(calls(2), NOW)
    assert await store.read.count(Filters()) == 2
    assert [copy.read_bytes() for copy in set_aside(path)] == [damaged]
    await store.close()


async def test_a_store_of_zeros_alone_is_set_aside_as_after_a_loss_of_power(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\0" * 10_000)
    await (await open_store(path)).close()
    assert [copy.read_bytes() for copy in set_aside(path)] == [b"\0" * 10_000]


async def test_a_store_damaged_while_open_raises_once_and_then_works_again(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.read.turns("call-250", 0, 5)
    await store.write.save(calls(2), NOW)
    assert await store.read.count(Filters()) == 2
    assert len(set_aside(path)) == 1
    assert mode(path) == 0o600
    await store.close()


async def test_damage_found_while_saving_fails_only_that_save(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.write.save(calls(300), NOW)
    await store.write.save(calls(2), NOW)
    assert await store.read.count(Filters()) == 2
    await store.close()


async def test_a_truncated_store_is_reported_as_damaged(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    await store.write.save(calls(301)[300:], NOW)  # so that the journal has the file's length
    os.truncate(path, 4096 * 3)
    with pytest.raises(StoreError, match="damaged"):
        await store.read.turns("call-250", 0, 5)
    assert await store.read.count(Filters()) == 0
    await store.close()


async def test_damage_that_another_process_handled_first_does_not_discard_the_new_store(path: Path) -> None:
    await write_store(path)
    one, two = await open_store(path), await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await one.read.turns("call-250", 0, 5)
    await one.write.save(calls(2), NOW)
    with pytest.raises(StoreError, match="damaged"):
        await two.read.turns("call-250", 0, 5)
    assert await two.read.count(Filters()) == 2
    assert len(set_aside(path)) == 1
    await one.close()
    await two.close()


async def test_a_damaged_search_index_is_reported_as_damaged(path: Path) -> None:
    await write_store(path, 3)
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE turns_fts_data SET block = x'00'")
        other.commit()
    store = await open_store(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.write.save(calls(3, turns=21), NOW)
    assert len(set_aside(path)) == 1
    await store.close()


async def test_a_store_that_replaces_a_damaged_one_belongs_to_the_same_account(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.read.turns("call-250", 0, 5)
    await store.write.save(calls(1), NOW)
    with pytest.raises(ConfigurationError, match="another account"):
        await open_store(path, "another account")
    await store.close()


async def test_a_store_of_a_newer_version_is_refused_and_left_unchanged(path: Path) -> None:
    await write_store(path, 1)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        await open_store(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


async def test_a_path_that_cannot_be_opened_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "store.sqlite"):
        with pytest.raises(StoreError, match="cannot be opened") as raised:
            await open_store(path)
        assert "FORMANT_STORE" in raised.value.hint


async def test_a_store_locked_by_another_process_can_be_opened_and_read_but_not_written(path: Path) -> None:
    await write_store(path, 3)
    database = await SqliteDatabase.open(path, AccountKey("service", "key"))
    await database.write(lambda connection: connection.rows("PRAGMA busy_timeout = 0"))  # do not wait for the lock
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = await open_store(path)
        assert await store.read.count(Filters()) == 3
        with pytest.raises(StoreError, match="locked by another process") as raised:
            await database.write(lambda connection: None)
        other.execute("ROLLBACK")
    assert "Retry" in raised.value.hint
    await store.write.delete_unseen("", NOW + timedelta(days=1))
    assert await store.read.count(Filters()) == 0
    await store.close()
    await database.close()


async def test_opening_waits_while_another_process_creates_the_store(path: Path) -> None:
    await write_store(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")  # as in a store that has just been created
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(open_store(path))
        assert not (await asyncio.wait([opening], timeout=0.2))[0]
        other.execute("COMMIT")
        store = await opening
    assert await store.read.count(Filters()) == 3
    await store.close()


def test_processes_that_start_together_all_open_the_new_store(tmp_path: Path) -> None:
    together = Barrier(8)

    @in_a_loop
    async def begin(path: Path) -> None:
        together.wait()
        store = await open_store(path)
        await store.write.save([Conversation("call")], NOW)
        await store.close()

    with ThreadPoolExecutor(8) as threads:
        for attempt in range(5):
            list(threads.map(begin, [tmp_path / f"{attempt}.sqlite"] * 8))


@pytest.mark.parametrize("count", [0, 1, 3, 5, 32, 71])
def test_insert_inserts_each_row_once_and_in_order(count: int):
    connection = open_writer(None, AccountKey("service", "account"))
    connection.rows("CREATE TABLE numbers (place INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    rows = [(None, f"number {n}") for n in range(count)]
    connection.insert("numbers", ("place", "name"), [*rows, *rows], key=("name",))
    assert connection.rows("SELECT * FROM numbers ORDER BY place") == [(n + 1, f"number {n}") for n in range(count)]
    connection.close()
