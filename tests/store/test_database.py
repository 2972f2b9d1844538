"""The store's file: private, one account's, of this version; what is damaged is kept aside, never deleted."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.filters import DetailRequest, Filters
from formant_mcp.models import Conversation
from formant_mcp.queries.conditions import parse_condition, parse_contact_filter
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey
from formant_mcp.store.connection import open_writer
from formant_mcp.store.database import Database
from formant_mcp.store.local_time import local_day
from formant_mcp.store.schema import MIGRATIONS
from formant_mcp.store.sync_state import ListState
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
        other.execute("UPDATE spoken_data SET block = x'00'")
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


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
async def test_a_store_of_an_older_version_becomes_one_of_this(path: Path, version: int) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as older:
        for script in MIGRATIONS[:version]:
            older.executescript(script)
        if version:
            older.execute("INSERT INTO meta VALUES ('identity', 'kept')")
        older.execute(f"PRAGMA user_version = {version}")
        older.commit()
    store = await open_store(path)
    await store.write.save(calls(2), NOW)
    assert await store.read.turn_count("call-1") == 20
    assert not version or await store.identity() == "kept"
    await store.close()
    assert shape(path) == shape(await write_store(path.with_name("new.sqlite"), 1))


async def test_values_and_numbers_of_an_older_store_are_read_as_they_are_now(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as older:
        older.create_function("local_day", 2, local_day, deterministic=True)
        for script in MIGRATIONS[:3]:
            older.executescript(script)
        older.executescript(
            "INSERT INTO meta VALUES ('account', 'key');"
            "INSERT INTO conversations (row_id, conversation_id, contact_number, contact_reversed, ended, status,"
            " failure_reason, failure_reason_known, detail_at, first_seen_at, seen_at) VALUES"
            " (1, 'old', '+91 098765-43210 x5', '5012345678901 9', 1, 'no_answer', 'line dropped', 1, 0, 0, 0);"
            "INSERT INTO result_values VALUES (1, 'amount', 0, 'text', '₹15,000', '₹15,000', NULL),"
            " (1, 'code', 0, 'text', '007', '007', 7), (1, 'csat', 0, 'number', '4.0', '4.0', 4),"
            " (1, 'due', 0, 'text', '2026-11-20T10:00:00Z', '2026-11-20t10:00:00z', NULL),"
            " (1, 'intent', 0, 'text', 'Payment-Confirmed', 'payment-confirmed', NULL),"
            " (1, 'paid', 0, 'boolean', 'true', 'true', NULL);"
            "PRAGMA user_version = 3"
        )
    store = await open_store(path)
    results = ["amount>=15000", "code=007", "csat=4", "due<=2026-11-20", "intent=payment confirmed", "paid=true"]
    asked = Filters(
        status=("No Answer",),
        failure_reason="Line-Dropped",
        contact_number=parse_contact_filter("+919876543210"),
        results=tuple(parse_condition(each) for each in results),
    )
    assert await store.read.count(asked) == 1
    assert await store.read.count(Filters(results=(parse_condition("code=7"),))) == 0
    assert await store.figures.paths() == {
        "amount": "number", "code": "text", "csat": "number", "due": "text", "intent": "text", "paid": "boolean"
    }  # fmt: skip
    await store.close()


async def test_what_an_older_version_may_have_misread_is_read_again(path: Path) -> None:
    path.parent.mkdir()
    rows = [
        ("no turns", None, 60, None),
        ("never connected", "busy", None, None),
        ("silent turn", None, 60, 1),
        ("ended as usual", "end_call tool was called.", 60, 2),
        ("well read", "busy", 60, 2),
    ]
    with closing(sqlite3.connect(path)) as older:
        for script in MIGRATIONS[:3]:
            older.executescript(script)
        older.create_function("local_day", 2, lambda *_: 0)
        older.execute("INSERT INTO meta VALUES ('identity', 'kept')")
        for name, reason, seconds, turns in rows:
            older.execute(
                "INSERT INTO conversations (conversation_id, ended, failure_reason, failure_reason_known,"
                " duration_seconds, turn_count, detail_at, detail_due_at, first_seen_at, seen_at)"
                " VALUES (?, 1, ?, 1, ?, ?, 1, NULL, 1, 1)",
                [name, reason, seconds, turns],
            )
        older.execute("INSERT INTO turns VALUES ((3 << 20) | 0, 'contact', '', NULL)")
        older.execute(
            "INSERT INTO turns VALUES ((5 << 20) | 0, 'Rahul', 'Hello', NULL), ((5 << 20) | 1, 'agent', 'Hi', NULL)"
        )
        older.execute("PRAGMA user_version = 3")
        older.commit()
    store = await open_store(path)
    due = await store.read.details_to_fetch(DetailRequest(Filters()), NOW)
    known = await store.read.get([name for name, *_ in rows])
    unreadable = await store.read.unreadable(Filters())
    await store.close()
    assert sorted(due) == ["ended as usual", "no turns", "silent turn"]
    assert [known[name].failure_reason for name, *_ in rows] == [None, "busy", None, None, "busy"]
    assert unreadable == {"speakers": 1}


async def test_the_state_of_lists_of_an_older_store_is_kept_under_its_new_names(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as older:
        older.create_function("local_day", 2, local_day, deterministic=True)
        for script in MIGRATIONS[:5]:
            older.executescript(script)
        older.executescript(
            "INSERT INTO meta VALUES ('account', 'key');"
            "INSERT INTO conversations (conversation_id, ended, failure_reason_known, first_seen_at, seen_at)"
            " VALUES ('call-1', 1, 1, 0, 0);"
            "INSERT INTO scopes VALUES ('', 'oldest', 99, 3, 2, 1, 1001, 1002, 1003, 1004, 1005, 40, 1, 98, 41, 4,"
            " 'next', 1006, 1, 5, 1007, 1008);"
            "PRAGMA user_version = 5"
        )
    store = await open_store(path)
    state = await store.sync_state.list_state("")
    await store.close()
    assert state == ListState(
        "", "oldest", 99, expected_excess=3, unreadable=2, unlisted=1, checked_at=at(1001), last_full_scan_at=at(1002),
        covered_from=at(1003), covered_until=at(1004), scan_started_at=at(1005), scan_position=40, scan_total=98,
        scan_rows=41, scan_unreadable=4, scan_cursor="next", coverage_started_at=at(1006), ends_early=True, gone=5,
        gone_at=at(1007), rescan_at=at(1008),
    )  # fmt: skip


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def shape(path: Path) -> list[tuple[str, str]]:
    """Every table, index and trigger, and how it was made."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


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
