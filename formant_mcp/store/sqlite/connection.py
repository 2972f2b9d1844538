"""One SQLite connection: a private file, migrated when it is opened; its errors are StoreErrors."""

import json
import logging
import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, cast

from formant_mcp.filters import Role
from formant_mcp.store.engine import TO_ERASE, TO_VACUUM, AccountKey, Forms, Parameter, StoredTurn, Value
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.local_time import local_day, local_hour
from formant_mcp.store.meta import note_change, write_text
from formant_mcp.store.sqlite.damage import UNEXPECTED, is_damage
from formant_mcp.store.sqlite.failures import (
    FAILURES,
    AnotherFileError,
    DamagedError,
    code_of,
    damaged_error,
    to_store_error,
)
from formant_mcp.store.sqlite.file import has_damaged_version, prepare, rename_damaged
from formant_mcp.store.sqlite.full_text import DELETE, FTS_COLUMNS, MERGE, forget_words, index_rows, to_fts5
from formant_mcp.store.sqlite.owner import claim, enter
from formant_mcp.store.sqlite.schema import has_to_erase, migrate
from formant_mcp.store.sqlite.templates import to_sqlite
from formant_mcp.store.turn_keys import WORD_COLUMNS, pieces_in, word_rows
from formant_mcp.text_search.query import Expression
from formant_mcp.text_search.tokenizer import indexable
from formant_mcp.values import instants

_log = logging.getLogger(__name__)

# Few sizes, so that SQLite compiles few statements; before 3.32 a statement had at most 999 parameters.
_ROWS_OF_A_STATEMENT = (32, 4, 1)
_BUSY_TIMEOUT = "PRAGMA busy_timeout = 5000"
_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA temp_store = FILE",  # what is sorted and grouped, as far as it does not fit into the cache
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 4000",  # pages: a save waits for the disk once in 16 MB, not once in 4
    "PRAGMA secure_delete = ON",
)


class ToErase(NamedTuple):
    """What is to be erased: up to this deletion; `of_older_version`: also what such a version has deleted."""

    deletion: str
    of_older_version: bool


class SqliteConnection:
    """A connection to the store's file, an engine's Connection; used by one thread at a time.

    `account`: the owner of the file, if the connection writes; `is_claimed`: whether the file already names it.

    Raises (from every method):
        StoreError: full disk, locked, or not usable. DamagedError: the file is corrupt.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        account: AccountKey | None = None,
        *,
        is_claimed: bool = False,
        file: os.stat_result | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._account = account
        self._is_claimed = is_claimed
        self.file = file
        self.has_deleted = False  # since erasing last began
        self._deleted = dict[int, tuple[str, str]]()  # turns that this transaction deleted: role and text, by key
        self._agents = ALL_AGENTS

    def rows(self, template: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        with self._translate_sqlite_errors():
            return self._connection.execute(to_sqlite(template, self._agents), _adapted(parameters)).fetchall()

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Value]],
        key: Sequence[str] = (),
        update: str = "",
    ) -> None:
        """Inserts rows; those whose `key` exists update that row instead, or nothing."""
        clash = f" ON CONFLICT ({', '.join(key)}) DO {'UPDATE SET ' + update if update else 'NOTHING'}" if key else ""
        first = 0
        for size in _ROWS_OF_A_STATEMENT:
            while len(rows) - first >= size:
                # Many rows share a statement: the program's other threads can work while it runs.
                places = ", ".join([f"({', '.join('?' * len(columns))})"] * size)
                values = [value for row in rows[first : first + size] for value in row]
                sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {places}{clash}"
                with self._translate_sqlite_errors():
                    self._connection.execute(sql, values)
                first += size

    def update(self, table: str, changes: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Changes what meets the condition, once for each row of parameters."""
        self._run_many(f"UPDATE {table} SET {changes} WHERE {condition}", rows)

    def update_rows(self, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Value]]) -> None:
        """Changes these columns of stored rows, which the key names: the last value of each row."""
        self.update(table, f"{' = ?, '.join(columns)} = ?", f"{key} = ?", rows)

    def delete(self, table: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Deletes what meets the condition, once for each row of parameters."""
        self._run_many(f"DELETE FROM {table} WHERE {condition}", rows)
        if table == "conversations":
            self._note_deletion()

    def insert_turns(self, turns: Sequence[StoredTurn], indexed: Sequence[str]) -> None:
        """Inserts turns and the words they are found by."""
        for key, role, text, _ in turns:
            if self._deleted.get(key) == (role, text):
                del self._deleted[key]
        self.insert("turns", ("turn_id", "role", "text", "seconds"), turns)
        words = [(key, role, text) for (key, role, _, _), text in zip(turns, indexed, strict=True)]
        self.insert("turns_fts", FTS_COLUMNS, index_rows(words, str))
        self.insert("words", WORD_COLUMNS, word_rows(pieces_in(indexed)), key=("word",))

    def delete_turns(self, turns: Sequence[StoredTurn]) -> None:
        """Deletes turns, which must be given as they are stored."""
        self._run_many(DELETE, index_rows([turn[:3] for turn in turns]))
        self.delete("turns", "turn_id = ?", [turn[:1] for turn in turns])
        self._deleted |= {key: (role, text) for key, role, text, _ in turns}

    deletes_at_once = True
    hits_per_probe = 500
    hits_to_find = 1
    tried_first = 0

    def delete_all_words(self) -> None:
        """Deletes the whole index of words; then the file is rewritten, because most of it is free."""
        self._run_many("INSERT INTO turns_fts (turns_fts) VALUES ('delete-all')", [()])
        if self._path:
            write_text(self, TO_VACUUM, "")
            self._note_deletion()

    def drop_unsaid(self) -> None:
        """Nothing to do: words are not counted."""

    def match(self, expression: Expression, role: Role, forms: Forms, without: str = "") -> str:
        """The parameter of `$is_hit` for turns of that role that match the expression."""
        wanted = to_fts5(expression, role, forms)
        return f"({wanted}) NOT ({without})" if without else wanted

    def counted(self, expression: Expression, role: Role, forms: Forms) -> tuple[int, int] | None:
        """None: the index is fast at counting."""

    def milliseconds(self, now: int) -> int:
        """The time that all who share the store go by: all are on this machine."""
        return now

    def _run_many(self, sql: str, rows: Sequence[Sequence[Parameter]]) -> None:
        with self._translate_sqlite_errors():
            self._connection.executemany(to_sqlite(sql), map(_adapted, rows))

    @contextmanager
    def transaction(
        self, begin: Literal["BEGIN", "BEGIN IMMEDIATE"], agents: frozenset[str] = ALL_AGENTS
    ) -> Generator[None]:
        """Saves all of what is written inside, or nothing; reads inside see one state, and of it only these agents."""
        self._agents = agents
        self._deleted = {}
        self._roll_back()  # an interrupt may have hit the rollback of the transaction before
        with self._translate_sqlite_errors():
            self._connection.execute(begin)
        try:
            yield
            self._forget_words()
            with self._translate_sqlite_errors():
                self._connection.execute("COMMIT")
        except UNEXPECTED as error:
            is_damaged = self._path and is_damage(error, self._connection)
            self._roll_back()
            if is_damaged and self._path:
                raise damaged_error(self._path) from None
            raise
        except BaseException:
            self._roll_back()
            raise

    def claim(self) -> None:
        """Makes a new file this account's, before the provider's first data is saved.

        Raises:
            ConfigurationError: another account has claimed it in the meantime.
        """
        if self._account and not self._is_claimed:
            with self._translate_sqlite_errors():
                self._is_claimed = claim(self._connection, self._account)

    def _forget_words(self) -> None:
        """Deletes the words that nobody says any more, now that some turns are deleted."""
        deleted, self._deleted = self._deleted, {}
        if deleted:
            with self._translate_sqlite_errors():
                forget_words(self._connection, pieces_in(indexable(text) for _, text in deleted.values()))
            self._note_deletion()

    def _note_deletion(self) -> None:
        if self._path is None:
            return
        note_change(self, TO_ERASE)
        self.has_deleted = True

    def begin_erasing(self) -> ToErase | None:
        """What is to be erased from the file; None if nothing is."""
        self.has_deleted = False
        names = [TO_ERASE, TO_VACUUM]
        noted = {row[0]: row[1] for row in self.rows("SELECT name, value FROM $meta WHERE name $in_list", [names])}
        return ToErase(str(noted[TO_ERASE]), TO_VACUUM in noted) if TO_ERASE in noted else None

    def merge_words(self, pages: int) -> bool:
        """Rewrites so many pages of the index of words without what was deleted; False if none is left."""
        before = self._connection.total_changes
        with self._translate_sqlite_errors():
            self._connection.execute(MERGE, [-pages])
        return self._connection.total_changes - before >= 2  # https://sqlite.org/fts5.html#the_merge_command

    def vacuum(self) -> None:
        """Rewrites the file, without what an older version left on its free pages."""
        with self._translate_sqlite_errors():
            self._connection.execute("VACUUM")
        self.delete("meta", "name = ?", [(TO_VACUUM,)])

    def empty_journal(self) -> bool:
        """Moves what is in the journal to the file and empties it; False while somebody reads an older state."""
        with self._translate_sqlite_errors(), self.without_waiting():
            return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    @contextmanager
    def without_waiting(self) -> Generator[None]:
        """While the block runs, a lock of another process is an error at once."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._connection.execute(_BUSY_TIMEOUT)

    def end_erasing(self, erased: ToErase) -> None:
        """Notes that it is erased; what was deleted since remains to be."""
        self.delete("meta", "name = ? AND value = ?", [(TO_ERASE, erased.deletion)])

    def interrupt(self) -> None:
        """Interrupts the running query, if any; may be called from any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def set_aside(self) -> None:
        """Closes the connection and renames the corrupt file."""
        self.close()
        if self._path and self.file:
            rename_damaged(self._path, self.file)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk may have ended it already
            with self._translate_sqlite_errors():
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _translate_sqlite_errors(self) -> Generator[None]:
        try:
            yield
        except FAILURES as error:
            if self._path and is_damage(error, self._connection):
                raise damaged_error(self._path) from None
            raise to_store_error(error, self._path) from None


def _adapted(parameters: Sequence[Parameter]) -> list[Value]:
    """Lists become JSON, for json_each."""
    return [json.dumps(value) if isinstance(value, list | tuple) else cast(Value, value) for value in parameters]


def open_writer(path: Path | None, account: AccountKey) -> SqliteConnection:
    """Opens the store to write, at `path` or in memory; a missing file is created, a corrupt one renamed.

    Raises:
        StoreError: it cannot be used. ConfigurationError: it is another account's.
    """
    file = path and prepare(path, account.key)
    try:
        if path and has_damaged_version(path):
            raise damaged_error(path)
        return _open(path, file, account)
    except DamagedError:
        if path is None or file is None:
            raise
    rename_damaged(path, file)
    _log.warning("The local store was corrupt. It was renamed to %s.damaged-… and a new one was created.", path)
    return _open(path, prepare(path, account.key), account)


def open_reader(path: Path, file: os.stat_result | None) -> SqliteConnection:
    """Opens the store to read; `file`: the file that the writer has open.

    Raises:
        AnotherFileError: the file at `path` is a different one now. StoreError: it cannot be used.
    """
    try:
        connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    except FAILURES as error:
        if not path.exists():
            raise AnotherFileError("The local store has been moved.") from None
        raise to_store_error(error, path) from None
    reader = SqliteConnection(connection, path, file=file)
    try:
        if file is None or not os.path.samestat(path.stat(), file):
            raise AnotherFileError("The local store has been replaced.")
        for pragma in ("PRAGMA query_only = ON", *_PRAGMAS):
            reader.rows(pragma)
    except BaseException:
        reader.close()
        raise
    return reader


def _open(path: Path | None, file: os.stat_result | None, account: AccountKey) -> SqliteConnection:
    try:
        connection = _connect(":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rw")
    except FAILURES as error:
        raise to_store_error(error, path) from None
    try:
        migrate(connection)  # before anything writes: a newer version's file stays as it is
        _use_wal(connection)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        is_claimed = enter(connection, account)
        has_deleted = path is not None and has_to_erase(connection)
    except (*FAILURES, *UNEXPECTED) as error:
        is_damaged = path and is_damage(error, connection)
        connection.close()
        if is_damaged and path:
            raise damaged_error(path) from None
        if isinstance(error, FAILURES):
            raise to_store_error(error, path) from None
        raise
    except BaseException:
        connection.close()
        raise
    opened = SqliteConnection(connection, path, account, is_claimed=is_claimed, file=file)
    opened.has_deleted = has_deleted
    return opened


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False, uri=name.startswith("file:"))
    try:
        connection.execute(_BUSY_TIMEOUT)
        connection.create_function("local_day", 2, local_day, deterministic=True)
        connection.create_function("local_hour", 2, local_hour, deterministic=True)
        connection.create_function("instant", 1, _instant_of, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _instant_of(normal: str) -> float | None:
    span = instants(normal)
    return span and span[0]


def _use_wal(connection: sqlite3.Connection, tries: int = 20) -> None:
    """Lets others read while one writes. SQLite fails instead of waiting when several switch at once, so this waits."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if not tries or code_of(error) != sqlite3.SQLITE_BUSY:
            raise
        connection.execute("BEGIN IMMEDIATE")  # SQLite does wait for this
        connection.execute("COMMIT")
        _use_wal(connection, tries - 1)
