"""What is older than is kept leaves nothing behind in any table, and the rest is as if it had never been there."""

from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.filters import NO_FILTERS
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store
from formant_mcp.store.engine import TABLES, Connection, Value
from formant_mcp.store.sqlite.database import SqliteDatabase
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

OLD, NEW = "marmalade", "elderflower"
DAY = timedelta(days=1)


def call(number: int, days_ago: float, word: str, **fields: str) -> Conversation:
    """A call with that word in everything that it has."""
    return Conversation(
        f"{word}-{number}",
        agent_id=fields.get("agent_id", f"agent-{word}"),
        contact_number=f"+1415555{word}{number}",
        status=f"status-{word}",
        failure_reason=f"reason-{word}",
        started_at=NOW - days_ago * DAY,
        results={word: f"{word} said {number}"},
        turns=(Turn(0, "agent", f"we say {word} and {word}-follow"), Turn(1, "contact", f"common {word}{number}")),
        has_detail=True,
    )


OLDER = [call(number, 31 + number / 10, OLD) for number in range(12)]
NEWER = [call(number, 29 - number, NEW) for number in range(12)]


async def delete_old(store: Store, days: float = 30) -> int:
    """Deletes what is older, as a server does; returns how many calls."""
    store.keep_for(timedelta(days=days))
    kept_from, count = store.retention.kept_from(NOW), 0
    assert kept_from
    while old := await store.retention.expired(kept_from):
        await store.retention.delete(old, kept_from)
        count += len(old)
    while await store.retention.drop_unused(kept_from):
        pass
    await store.erase()
    return count


async def everything_in(store: Store) -> dict[str, list[tuple[Value, ...]]]:
    """All rows of all tables, without what is each store's own."""

    def read(connection: Connection) -> dict[str, list[tuple[Value, ...]]]:
        return {
            table: connection.rows(f"SELECT * FROM ${table}") for table in TABLES if table not in ("meta", "leases")
        }

    return await store.database.read(read)


async def values(store: Store, column: str, table: str) -> set[str]:
    rows = await store.database.read(lambda connection: connection.rows(f"SELECT {column} FROM ${table}"))
    return {str(row[0]) for row in rows}


async def filled(path: Path | None, *calls: Conversation) -> Store:
    store = await open_store(path)
    await store.write.save(calls, NOW)
    return store


async def test_no_table_has_a_word_or_a_number_of_an_older_call(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite", *OLDER, *NEWER)
    assert await delete_old(store) == len(OLDER)
    left = await everything_in(store)
    assert OLD not in repr(left)
    assert len(left["conversations"]) == len(NEWER)
    fresh = await filled(tmp_path / "fresh.sqlite", *NEWER)
    assert await values(store, "word", "words") == await values(fresh, "word", "words")
    if not isinstance(store.database, SqliteDatabase):
        assert OLD not in repr(await values(store, "counts::text", "word_counts"))


@pytest.mark.file_store
async def test_no_byte_of_the_file_or_its_journal_has_a_word_of_an_older_call(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite", *OLDER, *NEWER)
    await delete_old(store)
    found = [file.name for file in tmp_path.iterdir() if OLD.encode() in file.read_bytes()]
    assert found == []


async def test_what_is_kept_is_counted_as_in_a_store_that_never_had_more(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite", *OLDER, *NEWER)
    await delete_old(store)
    fresh = await filled(tmp_path / "fresh.sqlite", *NEWER)
    assert await store.read.count(NO_FILTERS) == await fresh.read.count(NO_FILTERS) == len(NEWER)
    assert await store.read.agents() == await fresh.read.agents()
    columns = ("status", "failure_reason", "agent_id")
    assert await store.read.distinct(*columns) == await fresh.read.distinct(*columns)
    of_rows = await everything_in(store), await everything_in(fresh)
    for table in ("turns", "result_values", "signals", "phrases"):
        assert len(of_rows[0][table]) == len(of_rows[1][table])
    assert sorted(row[-2:] for row in of_rows[0]["agents"]) == sorted(row[-2:] for row in of_rows[1]["agents"])


async def test_what_is_too_old_is_not_saved_and_reading_on_is_no_use(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "store.sqlite")
    store.keep_for(30 * DAY)
    before = await store.write.save([*OLDER, *NEWER], NOW)
    assert set(before) == {old.conversation_id for old in OLDER}
    assert await store.read.count_seen("") == len(NEWER)
    assert OLD not in repr(await everything_in(store))


async def test_a_call_without_a_start_is_as_old_as_its_end_and_one_without_both_stays(tmp_path: Path) -> None:
    ended = Conversation("ended", ended_at=NOW - 40 * DAY)
    late = Conversation("late", ended_at=NOW - DAY)
    ageless = Conversation("ageless", contact_number="+14155550000")
    store = await filled(tmp_path / "store.sqlite", ended, late, ageless)
    assert await delete_old(store) == 1
    assert await values(store, "conversation_id", "conversations") == {"late", "ageless"}


async def test_words_that_are_still_said_stay_however_many_there_are(tmp_path: Path) -> None:
    many = " ".join(f"word{number}" for number in range(1_200))
    old = Conversation("old", started_at=NOW - 40 * DAY, turns=(Turn(0, "agent", f"{many} gone"),), has_detail=True)
    new = Conversation("new", started_at=NOW - DAY, turns=(Turn(0, "agent", many),), has_detail=True)
    store = await filled(tmp_path / "store.sqlite", old, new)
    await delete_old(store)
    assert await values(store, "word", "words") == set(many.split())


async def test_lists_say_that_they_are_stored_from_then_on_alone(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.sqlite", *OLDER, *NEWER)
    state = store.sync_state
    await state.update("", total=24, last_full_scan_at=NOW, checked_at=NOW)
    await state.update(f"agent-{NEW}", total=12, last_full_scan_at=NOW, checked_at=NOW)
    await state.update(f"agent-{OLD}", total=12, covered_from=NOW - 50 * DAY, scan_started_at=NOW, checked_at=NOW)
    await delete_old(store)
    kept_from = store.retention.kept_from(NOW)
    whole, newer, older = await state.list_states("", f"agent-{NEW}", f"agent-{OLD}")
    assert (whole.covered_from, whole.expected_excess, whole.is_complete_since(None)) == (kept_from, 12, False)
    assert whole.is_complete_since(kept_from)
    assert (newer.covered_from, newer.expected_excess) == (kept_from, 0)
    assert (older.covered_from, older.expected_excess, older.scan_started_at) == (kept_from, 12, None)
