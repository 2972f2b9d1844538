"""Everything of an account is deleted, and nothing that began before brings any of it back."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.members import Member
from formant_mcp.models import Conversation
from formant_mcp.store import Store
from formant_mcp.store.engine import TABLES, Connection
from formant_mcp.store.sqlite.removal import remove_if_free
from tests.store.files import call_saying, open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

SECRET = "marmalade"


async def filled(path: Path | None) -> Store:
    store = await open_store(path)
    calls = [call_saying(number, f"{SECRET} number {number}", "and so on") for number in range(30)]
    await store.write.save([*calls, Conversation("a-row", agent_id="7", status="busy")], NOW)
    await store.sync_state.update("", total=31, last_full_scan_at=NOW, checked_at=NOW)
    await store.members.add(Member("anna", frozenset()), None, NOW)
    return store


def left_in(connection: Connection) -> dict[str, int]:
    """The tables that have rows."""
    counts = {table: connection.rows(f"SELECT count(*) FROM ${table}")[0][0] for table in TABLES}
    return {table: int(count or 0) for table, count in counts.items() if count}


async def words_of(store: Store) -> list[str]:
    rows = await store.database.read(lambda connection: connection.rows("SELECT word FROM $words ORDER BY word"))
    return [str(row[0]) for row in rows]


async def test_nothing_is_left_but_whose_store_it_is(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite")
    await store.purge.everything()
    left = await store.database.read(left_in)
    assert left.keys() <= {"meta"}
    names = {str(row[0]) for row in await store.database.read(lambda open_: open_.rows("SELECT name FROM $meta"))}
    assert names <= {"account", "service", "purged", "calls", "forgotten"}
    assert await store.read.count_seen("") == 0
    assert await store.members.all() == []


async def test_what_is_saved_afterwards_is_found_and_counted_as_in_a_new_store(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite")
    await store.purge.everything()
    await store.write.save([call_saying(1, f"{SECRET} again")], NOW)
    assert await store.read.count_seen("") == 1
    assert await words_of(store) == ["again", SECRET]


async def test_another_connection_that_saves_the_same_words_again_saves_all_of_them(tmp_path: Path) -> None:
    """In a database each connection remembers which words it has inserted."""
    store = await filled(tmp_path / "store.sqlite")
    other = await open_store(tmp_path / "store.sqlite")
    await other.write.save([call_saying(40, f"{SECRET} number 1")], NOW)
    await store.purge.everything()
    await other.write.save([call_saying(41, f"{SECRET} number 1")], NOW)
    assert await words_of(other) == ["1", SECRET, "number"]


async def test_work_that_began_before_a_purge_saves_nothing_after_it(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite")
    await store.purge.note_begin()
    await store.write.save([call_saying(50, "still here")], NOW)
    purging = await open_store(tmp_path / "store.sqlite")
    await purging.purge.everything()
    with pytest.raises(StoreError, match="formant-mcp purge"):
        await store.write.save([call_saying(51, "too late")], NOW)
    with pytest.raises(StoreError, match="formant-mcp purge"):
        await store.sync_state.update("", last_full_scan_at=NOW + timedelta(hours=1))
    assert await store.read.count_seen("") == 0
    await store.purge.note_begin()  # the next question's work
    await store.write.save([call_saying(52, "in time")], NOW)
    assert await store.read.count_seen("") == 1


@pytest.mark.file_store
async def test_a_file_that_others_have_open_has_none_of_the_words_left_in_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    server = await filled(path)
    assert SECRET.encode() in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    purging = await open_store(path)
    await purging.purge.everything()
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not remove_if_free(path)
    await server.close()
    await purging.close()
    assert remove_if_free(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.file_store
async def test_a_file_whose_journal_was_left_by_a_crash_is_removed_with_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await (await filled(path)).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("DELETE FROM meta")
        other.commit()
        copy = tmp_path / "copy.sqlite"
        for ending in ("", "-wal"):
            copy.with_name(copy.name + ending).write_bytes(path.with_name(path.name + ending).read_bytes())
    assert remove_if_free(copy)
    assert [file.name for file in tmp_path.iterdir()] == ["store.sqlite"]
