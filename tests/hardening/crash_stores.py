"""What is in a store, and whether it is what the provider has; stores of older versions with the same contents."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from formant_mcp.store.local_time import local_day
from formant_mcp.store.sqlite.full_text import INSERT, index_rows
from formant_mcp.store.sqlite.schema import MIGRATIONS
from formant_mcp.text_search.tokenizer import indexable, indexed_until_version_3
from tests.fake_formant import FakeFormant

Rows = list[tuple[object, ...]]

_OWN_TIMES = {"row_id", "first_seen_at", "seen_at", "detail_at", "missing_at", "retry_at"}  # those of each store
_OF_CALLS = ("conversations", "result_values", "signals", "phrases", "unreadable")
_OF_ALL = ("agents", "labels", "words")
_COPIED = ("conversations", "turns", "result_values", "agents", "zones", "words", "labels", "meta", "list_states")
_WITH_INDEX, _WITH_VALUE_KINDS, _WITH_NAMED_INDEX = 2, 4, 8
_SENT = {  # fields, and the columns where they are stored as they are
    "conversation_id": "conversation_id",
    "contact_number": "contact_number",
    "status": "status",
    "start_timestamp": "started_at",
    "end_timestamp": "ended_at",
    "duration_seconds": "duration_seconds",
    "failure_reason": "failure_reason",
    "trace_id": "trace_id",
}
_SENT_ROLES = {"human": "contact"}


def problems(path: Path) -> list[str]:
    """What SQLite's checks find in a store."""
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        with closing(sqlite3.connect(path)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'turns_fts'").fetchone():
                database.execute("INSERT INTO turns_fts (turns_fts) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return found


def contents(path: Path) -> dict[str, Rows]:
    """Every row of every table about calls, with the call's id in place of its row's."""
    found: dict[str, Rows] = {}
    with closing(sqlite3.connect(path)) as database:
        for table in _OF_CALLS:
            names = ", ".join(f"it.{name}" for name in _columns(database, table) if name not in _OWN_TIMES)
            join = f"{table} it JOIN conversations call USING (row_id)"
            found[table] = database.execute(f"SELECT call.conversation_id, {names} FROM {join}").fetchall()
        for table in _OF_ALL:
            where = " WHERE count > 0" if table == "agents" else ""
            found[table] = database.execute(f"SELECT * FROM {table}{where}").fetchall()
        join = "turns JOIN conversations ON row_id = turn_id >> 20"
        turns = f"SELECT conversation_id, turn_id & 1048575, role, text, seconds FROM {join}"
        found["turns"] = database.execute(turns).fetchall()
        found["rows without a call"] = [
            (table, *database.execute(f"SELECT count(*) FROM {table} WHERE {key} NOT IN ({_ROWS})").fetchone())
            for table, key in [*((table, "row_id") for table in _OF_CALLS), ("turns", "turn_id >> 20")]
        ]
        join = "turns_fts JOIN conversations ON row_id = turns_fts.rowid >> 20"
        spoken = f"SELECT conversation_id, turns_fts.rowid & 1048575 FROM {join}"
        for word in ("payment", "कल", "haan"):
            match = f"{spoken} WHERE turns_fts MATCH ?"
            found[f"turns with {word}"] = database.execute(match, [indexable(word)]).fetchall()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


_ROWS = "SELECT row_id FROM conversations"


def states(path: Path) -> Rows:
    """How far the lists are stored."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM list_states").fetchall()


def sent(api: FakeFormant) -> Rows:
    """Every call as the provider sends it."""
    calls = Rows()
    for row in map(api.detail_of, api.conversations):
        turns = cast(list[dict[str, str]], row["transcript"] or [])
        said = [(_SENT_ROLES.get(turn["role"], turn["role"]), turn["message"]) for turn in turns]
        calls.append((*(row[name] for name in _SENT), str(row["agent_id"]), row["results"], said))
    return sorted(calls, key=repr)


def stored(path: Path) -> Rows:
    """Every call as it is stored, in the form of `sent`."""
    calls = Rows()
    with closing(sqlite3.connect(path)) as database:
        names = ", ".join(_SENT.values())
        for row_id, results, *values in database.execute(
            f"SELECT row_id, results, {names}, agent_id FROM conversations"
        ):
            of_call = [row_id << 20, (row_id + 1) << 20]
            turns = "SELECT role, text FROM turns WHERE turn_id >= ? AND turn_id < ? ORDER BY turn_id"
            said = database.execute(turns, of_call).fetchall()
            calls.append((*values, json.loads(results) if results else None, said))
    return sorted(calls, key=repr)


def as_older(path: Path, version: int, current: Path) -> Path:
    """A store of that version at `path`, with the contents of the current one."""
    with closing(sqlite3.connect(path)) as older:
        older.create_function("local_day", 2, local_day, deterministic=True)
        for script in MIGRATIONS[:version]:
            older.executescript(script)
        older.execute("ATTACH ? AS current", [str(current)])
        for table in _COPIED:  # those that this version has not have no columns; triggers count agents
            theirs = _columns(older, table, "current")
            if names := ", ".join(name for name in _columns(older, table) if name in theirs):
                older.execute(f"INSERT OR REPLACE INTO main.{table} ({names}) SELECT {names} FROM current.{table}")
        older.execute("DELETE FROM main.meta WHERE name = 'signals'")  # which says that all are measured
        if version < _WITH_VALUE_KINDS:
            older.execute("UPDATE result_values SET kind = 'text' WHERE kind IN ('numeral', 'date')")
        if version >= _WITH_INDEX:
            cut = indexable if version >= _WITH_VALUE_KINDS else indexed_until_version_3
            index = INSERT if version >= _WITH_NAMED_INDEX else INSERT.replace("turns_fts", "spoken")
            turns = older.execute("SELECT turn_id, role, text FROM turns").fetchall()
            older.executemany(index, index_rows(turns, cut))
        older.execute(f"PRAGMA user_version = {version}")
        older.commit()
        older.execute("PRAGMA journal_mode = WAL")
    return path


def _columns(database: sqlite3.Connection, table: str, within: str = "main") -> list[str]:
    return [str(row[0]) for row in database.execute("SELECT name FROM pragma_table_info(?, ?)", [table, within])]
