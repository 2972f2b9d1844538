"""The store's file: private, one account's, of this version; what is damaged is kept aside, never deleted."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey
from formant_mcp.store.connection import open_writer
from formant_mcp.store.database import Database
from formant_mcp.store.schema import MIGRATIONS
from tests.in_a_loop import in_a_loop
from tests.store.files import calls, damage, open_store, set_aside, write_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

KEY = "fm-live-5c1e0f2b9a7d"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite"


@pytest.fixture
def open_umask() -> Generator[None]:
    """A user whose files are everybody's unless a program sees to it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
async def test_folder_and_files_are_their_owners_alone(path: Path) -> None:
    store = await open_store(path)
    await store.write.save(calls(1), NOW)
    assert mode(path.parent) == 0o700
    assert {each.name: mode(each) for each in path.parent.iterdir()} == dict.fromkeys(
        ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"], 0o600
    )
    await store.close()


@pytest.mark.usefixtures("open_umask")
async def test_a_file_that_was_open_to_others_is_closed_to_them_and_its_folder_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    tmp_path.chmod(0o755)
    path.touch()
    await (await open_store(path)).close()
    assert [mode(path), mode(tmp_path)] == [0o600, 0o755]


async def test_the_key_is_in_no_file_and_in_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = Settings.load()
    path = settings.store_path(KEY)
    assert path
    assert path.is_relative_to(tmp_path)
    store = await open_store(path, settings.account(KEY))
    await store.write.save(calls(3), NOW)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert path in files
    assert not [each for each in files if KEY in str(each) or KEY.encode() in each.read_bytes()]
    await store.close()


async def test_what_was_saved_is_there_when_the_store_is_opened_again(path: Path) -> None:
    store = await open_store(path)
    await store.write.save(calls(3), NOW)
    identity = await store.identity()
    await store.close()
    store = await open_store(path)
    assert await store.read.count(Filters()) == 3
    assert await store.identity() == identity
    await store.close()


async def test_a_store_in_memory_leaves_no_file_and_is_nobody_elses(
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


async def test_a_second_account_is_refused_on_the_same_path(path: Path) -> None:
    await write_store(path, 3)
    with pytest.raises(ConfigurationError, match="FORMANT_STORE"):
        await open_store(path, "another account")
    store = await open_store(path)
    assert await store.read.count(Filters()) == 3
    await store.close()


@pytest.mark.parametrize("damaged", [b"\0" * 10_000, b"SQLite format 3\0" + b"not a database\n" * 1000])
async def test_a_damaged_beginning_is_set_aside_and_a_new_store_created(path: Path, damaged: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damaged)
    store = await open_store(path)
    await store.write.save(calls(2), NOW)
    assert await store.read.count(Filters()) == 2
    assert [each.read_bytes() for each in set_aside(path)] == [damaged]
    await store.close()


async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"dear diary\n")
    path.chmod(0o644)
    with pytest.raises(StoreError, match="is not a store of formant-mcp"):
        await open_store(path)
    assert path.read_bytes() == b"dear diary\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


async def test_a_store_damaged_while_open_says_so_once_and_then_works_again(path: Path) -> None:
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


async def test_damage_found_while_saving_ends_that_saving_alone(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.write.save(calls(300), NOW)
    await store.write.save(calls(2), NOW)
    assert await store.read.count(Filters()) == 2
    await store.close()


async def test_a_store_cut_off_in_the_middle_is_damaged_too(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    await store.write.save(calls(301)[300:], NOW)  # so that its journal says how long it is, not the file itself
    os.truncate(path, 4096 * 3)
    with pytest.raises(StoreError, match="damaged"):
        await store.read.turns("call-250", 0, 5)
    assert await store.read.count(Filters()) == 0
    await store.close()


async def test_damage_that_another_program_met_first_does_not_cost_the_new_store(path: Path) -> None:
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


async def test_a_damaged_index_of_words_is_damage_as_well(path: Path) -> None:
    await write_store(path, 3)
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE turns_fts_data SET block = x'00'")
        other.commit()
    store = await open_store(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.write.save(calls(3, turns=21), NOW)
    assert len(set_aside(path)) == 1
    await store.close()


async def test_a_new_store_in_a_damaged_ones_place_is_the_same_accounts(path: Path) -> None:
    await write_store(path)
    store = await open_store(path)
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        await store.read.turns("call-250", 0, 5)
    await store.write.save(calls(1), NOW)
    with pytest.raises(ConfigurationError, match="another account"):
        await open_store(path, "another account")
    await store.close()


def foreign(path: Path, version: int) -> bytes:
    """A database with one table, as another program or a later version leaves it."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE diary (words TEXT)")
        other.execute("INSERT INTO diary VALUES ('dear diary')")
        other.execute(f"PRAGMA user_version = {version}")
        other.commit()
    return path.read_bytes()


@pytest.mark.parametrize(("version", "words"), [(len(MIGRATIONS) + 1, "newer version"), (0, "another program")])
async def test_what_is_not_ours_is_refused_and_left_as_it_is(path: Path, version: int, words: str) -> None:
    before = foreign(path, version)
    with pytest.raises(StoreError, match=words):
        await open_store(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


async def test_a_folder_in_the_files_place_and_a_file_in_the_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "store.sqlite"):
        with pytest.raises(StoreError, match="cannot be opened") as raised:
            await open_store(path)
        assert "FORMANT_STORE" in raised.value.hint


async def test_while_another_program_writes_the_store_can_be_opened_and_read_but_not_written(path: Path) -> None:
    await write_store(path, 3)
    database = await Database.open(path, AccountKey("service", "key"))
    await database.write(lambda connection: connection.rows("PRAGMA busy_timeout = 0"))  # or it would wait as users do
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = await open_store(path)
        assert await store.read.count(Filters()) == 3
        with pytest.raises(StoreError, match="locked by another process") as raised:
            await database.write(lambda connection: None)
        other.execute("ROLLBACK")
    assert "Retry" in raised.value.hint
    await database.write(lambda connection: connection.run("DELETE FROM conversations"))
    assert await store.read.count(Filters()) == 0
    await store.close()
    await database.close()


async def test_a_server_that_begins_while_another_is_making_the_store_waits_for_it(path: Path) -> None:
    await write_store(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")  # as a store is for the first moments of its life
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(open_store(path))
        assert not (await asyncio.wait([opening], timeout=0.2))[0]
        other.execute("COMMIT")
        store = await opening
    assert await store.read.count(Filters()) == 3
    await store.close()


def test_all_of_several_servers_that_begin_at_once_open_the_new_store(tmp_path: Path) -> None:
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
def test_many_rows_are_inserted_each_once_and_in_order(count: int):
    connection = open_writer(None, AccountKey("service", "account"))
    connection.run("CREATE TABLE numbers (place INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    rows = [(None, f"number {n}") for n in range(count)]
    connection.insert_many("INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO NOTHING", [*rows, *rows])
    assert connection.rows("SELECT * FROM numbers ORDER BY place") == [(n + 1, f"number {n}") for n in range(count)]
    connection.close()
