"""A store of an older version is migrated to this version, and its contents are converted."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from formant_mcp.filters import DetailRequest, Filters
from formant_mcp.queries.conditions import parse_condition, parse_contact_filter
from formant_mcp.store.local_time import local_day
from formant_mcp.store.sqlite.full_text import INSERT, index_rows
from formant_mcp.store.sqlite.schema import MIGRATIONS
from formant_mcp.store.sync_state import ListState
from formant_mcp.store.turn_keys import turn_key
from formant_mcp.text_search.query import Term
from formant_mcp.text_search.tokenizer import indexed_until_version_3
from tests.examples import some
from tests.store.files import calls, open_store, write_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite"


@contextmanager
def older_store(path: Path, version: int) -> Generator[sqlite3.Connection]:
    """A store of that version, to be filled."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as older:
        older.create_function("local_day", 2, local_day, deterministic=True)
        older.execute("PRAGMA synchronous = OFF")  # else each statement waits for the disk
        for script in MIGRATIONS[:version]:
            older.executescript(script)
        yield older
        older.execute(f"PRAGMA user_version = {version}")
        older.commit()


@pytest.mark.parametrize("version", some(range(len(MIGRATIONS)), 3))
async def test_a_store_of_any_older_version_gets_the_current_schema(path: Path, version: int) -> None:
    with older_store(path, version) as older:
        if version:
            older.execute("INSERT INTO meta VALUES ('identity', 'kept')")
    store = await open_store(path)
    await store.write.save(calls(2), NOW)
    assert await store.read.turn_count("call-1") == 20
    assert not version or await store.identity() == "kept"
    await store.close()
    assert shape(path) == shape(await write_store(path.with_name("new.sqlite"), 1))


async def test_values_and_numbers_of_an_older_store_match_current_filters(path: Path) -> None:
    with older_store(path, 3) as older:
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
        )
    store = await open_store(path)
    results = ["amount>=15000", "code=007", "csat=4", "due<=2026-11-20", "intent=payment confirmed", "paid=true"]
    filters = Filters(
        status=("No Answer",),
        failure_reason="Line-Dropped",
        contact_number=parse_contact_filter("+919876543210"),
        results=tuple(parse_condition(text) for text in results),
    )
    assert await store.read.count(filters) == 1
    assert await store.read.count(Filters(results=(parse_condition("code=7"),))) == 0
    assert await store.aggregates.paths() == {
        "amount": "number", "code": "text", "csat": "number", "due": "text", "intent": "text", "paid": "boolean"
    }  # fmt: skip
    await store.close()


async def test_words_of_an_older_store_are_indexed_again(path: Path) -> None:
    said = ["l'ordine e-mail", "I don't know", "ALDIM mı", "Łódź l'a2", "dell’ordine", "O'Brien's 10-20", "फीस"]
    turns = [(turn_key(1, index), "agent", text) for index, text in enumerate(said)]
    with older_store(path, 3) as older:
        older.execute(
            "INSERT INTO conversations (row_id, conversation_id, turn_count, detail_due_at, ended, "
            "failure_reason_known, first_seen_at, seen_at) VALUES (1, 'old', ?, NULL, 1, 1, 0, 0)",
            [len(said)],
        )
        older.executemany("INSERT INTO turns (turn_id, role, text) VALUES (?, ?, ?)", turns)
        older.executemany(INSERT.replace("turns_fts", "spoken"), index_rows(turns, indexed_until_version_3))
    store = await open_store(path)
    for name in ("ordine", "aldim", "email", "mi", "lodz", "brien", "फीस"):
        assert await store.search.occurs(Term((name,), "word")), name
    await store.write.delete("old")
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        left = "SELECT count(*) FROM turns_fts WHERE turns_fts MATCH 'lordine OR ordine OR a2 OR la'"
        assert database.execute(left).fetchone() == (0,)
        database.execute("INSERT INTO turns_fts (turns_fts) VALUES ('integrity-check')")


async def test_words_of_an_older_store_are_found_in_other_spellings(path: Path) -> None:
    turns = [(turn_key(1, 0), "agent", "मेरा पैसा")]
    with older_store(path, 10) as older:
        older.execute(
            "INSERT INTO conversations (row_id, conversation_id, turn_count, ended, failure_reason_known,"
            " first_seen_at, seen_at) VALUES (1, 'old', 1, 1, 1, 0, 0)"
        )
        older.executemany("INSERT INTO turns (turn_id, role, text) VALUES (?, ?, ?)", turns)
        older.executemany(INSERT, index_rows(turns))
        older.execute("INSERT INTO words (word, stem) VALUES ('मेरा', 'मेरा'), ('पैसा', 'पैसा')")
    store = await open_store(path)
    assert await store.search.occurs(Term(("paisa",), "word"), any_spelling=True)
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM words WHERE spelling IS NULL").fetchone() == (0,)


async def test_details_that_an_older_version_may_have_misread_are_fetched_again(path: Path) -> None:
    rows = [
        ("no turns", None, 60, None),
        ("never connected", "busy", None, None),
        ("silent turn", None, 60, 1),
        ("ended as usual", "end_call tool was called.", 60, 2),
        ("well read", "busy", 60, 2),
    ]
    with older_store(path, 3) as older:
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
    store = await open_store(path)
    due = await store.read.details_to_fetch(DetailRequest(Filters()), NOW)
    stored = await store.read.get([name for name, *_ in rows])
    unreadable = await store.read.unreadable(Filters())
    await store.close()
    assert sorted(due) == ["ended as usual", "no turns", "silent turn"]
    assert [stored[name].failure_reason for name, *_ in rows] == [None, "busy", None, None, "busy"]
    assert unreadable == {"speakers": 1}


async def test_list_states_of_an_older_store_are_kept_under_the_new_column_names(path: Path) -> None:
    with older_store(path, 5) as older:
        older.executescript(
            "INSERT INTO meta VALUES ('account', 'key');"
            "INSERT INTO conversations (conversation_id, ended, failure_reason_known, first_seen_at, seen_at)"
            " VALUES ('call-1', 1, 1, 0, 0);"
            "INSERT INTO scopes (scope, list_order, pass_started_at, pass_offset) VALUES ('7', 'oldest', 1005, 40);"
            "INSERT INTO scopes VALUES ('', 'newest', 99, 3, 2, 1, 1001, 1002, 1003, 1004, 1005, 40, 1, 98, 41, 4,"
            " 'next', 1006, 1, 5, 1007, 1008);"
        )
    store = await open_store(path)
    state, oldest_first = await store.sync_state.list_states("", "7")
    await store.close()
    assert oldest_first == ListState("7", "oldest")  # its scan starts over: its position counts from the end now
    assert state == ListState(
        "", "newest", 99, expected_excess=3, unreadable=2, unlisted=1, checked_at=at(1001), last_full_scan_at=at(1002),
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
