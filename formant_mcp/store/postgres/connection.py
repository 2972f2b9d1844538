"""One PostgreSQL connection, for one account; its errors are StoreErrors."""

import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from itertools import islice, repeat

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus

from formant_mcp.errors import StoreError
from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms, Parameter, StoredTurn, Value
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.meta import note_change
from formant_mcp.store.postgres import word_counts
from formant_mcp.store.postgres.failures import connection_lost, translate_errors
from formant_mcp.store.postgres.full_text import to_tsquery, to_tsvector, words_of
from formant_mcp.store.postgres.keys import (
    NotCompared,
    compared_parameters,
    stored_parameters,
    stored_rows,
    to_array,
    to_copy,
    to_json,
)
from formant_mcp.store.postgres.pipeline import Pipeline, Sent
from formant_mcp.store.postgres.schema import SCHEMA
from formant_mcp.store.postgres.stoppable import StoppableConnection
from formant_mcp.store.postgres.templates import to_postgres
from formant_mcp.store.rows import whole
from formant_mcp.store.turn_keys import WORD_COLUMNS, pieces_in, row_of, word_rows
from formant_mcp.store.vocabulary import forget_unsaid
from formant_mcp.text_search.query import Expression
from formant_mcp.text_search.tokenizer import divided, indexable

_DURABLE = frozenset({"members"})  # tables of what no provider has: a token that was revoked must stay so
# Tables where nothing is changed and little deleted: each connection inserts a row once. If the database's machine
# fails, the connection ends, and with it the memory of what may be lost.
_KEPT = frozenset({"words", "labels"})
_COPIED_FROM = 100  # rows; fewer are inserted faster by a statement, which need not be waited for
_COPIED_AT_ONCE = 100  # rows
_ANALYZED_FROM = 1_000  # conversations
_BY_ROW = "account, row_id"
_ANALYZED = {"conversations": f"{_BY_ROW}, conversation_id", "result_values": _BY_ROW, "turns": _BY_ROW}
# How many rows these have depends on the word or the field. A prepared statement soon has one plan for all of them,
# which may take ten times as long.
_PLANNED_EACH_TIME = re.compile(r"\$(hits|result_values)")
_FORGOTTEN = "forgotten"  # the name, in the table meta, of what changes when rows of _KEPT are deleted after all
_TURN_TYPES = {
    "row_id": "bigint",
    "turn_id": "bigint",
    "role": "text",
    "text": "text",
    "seconds": "double precision",
    "lexemes": "tsvector",
}


class PostgresConnection:
    """A connection in a transaction of one account, an engine's Connection; used by one thread at a time.

    `is_one_query`: there is no transaction, so that a second query would see another state.

    Raises (from every method):
        StoreError: the database cannot be used. ConnectionLostError: another connection may work.
    """

    def __init__(
        self,
        connection: StoppableConnection,
        account: int,
        agents: frozenset[str] = ALL_AGENTS,
        *,
        is_one_query: bool = False,
    ) -> None:
        self._connection = connection
        self._pipeline: Pipeline | None = None
        self._inserted, self._pieces = set[tuple[object, ...]](), set[str]()
        self._deleted, self._said = set[str](), set[str]()  # words of turns, in this transaction
        self._uncounted = word_counts.Uncounted()
        self._forgotten: Sent | None = None
        self._account = account
        self._agents = agents
        self._queries_left = 1 if is_one_query else math.inf

    def rows(self, template: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        if not self._queries_left:
            raise RuntimeError("A second query of work that was to run one.")
        self._queries_left -= 1
        compared, originals = compared_parameters(parameters)
        rows = self._fetch(self._send(template, compared)) if self._pipeline else self._ask(template, compared)
        return [tuple(originals.get(value, value) for value in row) for row in rows] if originals else rows

    def begin(self) -> None:
        """Begins a transaction that writes, once the account has no other writer.

        Its statements are sent without waiting for the answers of those before, until a query needs its own.
        """
        with self._statement():
            self._pipeline = Pipeline(self._connection)
        self._send("BEGIN")
        locked = f"(SELECT * FROM {SCHEMA}.accounts WHERE account = {self._account})"
        self._send(f"SELECT 1 FROM {locked} AS accounts FOR UPDATE")
        self._forgotten = self._send(f"SELECT value FROM $meta WHERE name = '{_FORGOTTEN}'")

    def commit(self) -> None:
        """Ends the transaction, which is saved then."""
        forget_unsaid(self, self._deleted, self._said)
        self._save_counts()
        self._leave_pipeline()
        with self._statement():
            run_command(self._connection, b"COMMIT")
        self._connection.note_inserted(self._inserted, self._pieces)

    def roll_back(self) -> None:
        """Ends the transaction, of which nothing is saved, unless its connection has ended."""
        with suppress(StoreError):  # the first error was raised already
            self._leave_pipeline()
        roll_back(self._connection)

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Value]],
        key: Sequence[str] = (),
        update: str = "",
    ) -> None:
        """Inserts rows; those whose `key` exists update that row instead, or nothing."""
        self._wait_for_disk_if(table in _DURABLE)
        if table in _KEPT:
            self._recall()
            rows = [row for row in rows if (table, *row) not in self._connection.inserted]
            self._inserted.update((table, *row) for row in rows)
        rows, has_long_key = stored_rows(table, columns, rows)
        if table == "conversations":
            columns, rows = ("row_id", *columns), self._numbered(rows)
        if not key and len(rows) >= _COPIED_FROM:
            self._copy(table, columns, rows)
        else:  # A statement may update a row once: a long key may be that of another row, as it was stored.
            self._insert(table, columns, rows, key, update, size=1 if has_long_key else len(rows))
        if table in _ANALYZED and _have_doubled({whole(row[0]) for row in rows}):
            self._analyze(table)

    def insert_columns(self, table: str, types: Mapping[str, str], *columns: Sequence[Value]) -> None:
        """Inserts the rows of these columns, with less work for both sides than a parameter in JSON is."""
        names, arrays = ", ".join(types), ", ".join(f"?::{kind}[]" for kind in types.values())
        template = (
            f"INSERT INTO {SCHEMA}.{table} AS {table} (account, {names})"
            f" SELECT {self._account}, {names} FROM unnest({arrays}) AS new ({names})"
        )
        self._send(template, list(map(to_array, columns)))

    def _insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Value]],
        key: Sequence[str],
        update: str,
        size: int,
    ) -> None:
        names = ", ".join(columns)
        template = (
            f"INSERT INTO {SCHEMA}.{table} AS {table} (account, {names})"
            f" SELECT {self._account}, {names} FROM {_rows_of(table)}"
        )
        if key:
            template += f" ON CONFLICT ({', '.join(('account', *key))}) DO "
            template += f"UPDATE SET {update}" if update else "NOTHING"
        for first in range(0, len(rows), size or 1):
            self._send(template, [to_json(columns, rows[first : first + size])])

    def update(self, table: str, changes: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Changes what meets the condition, once for each row of parameters."""
        self._wait_for_disk_if(table in _DURABLE)
        self._send_many(
            f"UPDATE {SCHEMA}.{table} SET {changes} WHERE account = {self._account} AND ({condition})", rows
        )

    def update_rows(self, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Value]]) -> None:
        """Changes these columns of stored rows, which the key names: the last value of each row."""
        if not rows:
            return
        names = (*columns, key)
        stored, _ = stored_rows(table, names, rows)
        template = (
            f"UPDATE {SCHEMA}.{table} SET {', '.join(f'{name} = new.{name}' for name in columns)}"
            f" FROM (SELECT {', '.join(names)} FROM {_rows_of(table)}) AS new"
            f" WHERE account = {self._account} AND ({table}.{key} = new.{key})"
        )
        self._send(template, [to_json(names, stored)])

    def delete(self, table: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Deletes what meets the condition, once for each row of parameters."""
        self._wait_for_disk_if(table in _DURABLE)
        if table in _KEPT:
            note_change(self, _FORGOTTEN)
        self._send_many(f"DELETE FROM {SCHEMA}.{table} WHERE account = {self._account} AND ({condition})", rows)

    def insert_turns(self, turns: Sequence[StoredTurn], indexed: Sequence[str]) -> None:
        """Inserts turns and the words they are found by."""
        if not turns:
            return
        self._recall()
        self._said |= (pieces := pieces_in(indexed))
        pieces = pieces - self._connection.pieces - self._pieces
        self.insert("words", WORD_COLUMNS, word_rows(pieces), key=("word",))
        self._pieces |= pieces
        words = [words_of(self._account, text) for text in indexed]
        self._count_words(turns, words)
        keys, roles, texts, seconds = zip(*turns, strict=True)
        lexemes = list(map(to_tsvector, repeat(self._account), roles, words))
        self.insert_columns("turns", _TURN_TYPES, list(map(row_of, keys)), keys, roles, texts, seconds, lexemes)

    def delete_turns(self, turns: Sequence[StoredTurn]) -> None:
        """Deletes turns."""
        keys = [turn[0] for turn in turns]
        if keys:
            rows = sorted({row_of(key) for key in keys})
            self.delete("turns", "row_id $in_list AND turn_id $in_list", [(rows, keys)])
            self._deleted |= pieces_in(indexed := [indexable(turn[2]) for turn in turns])
            words = [words_of(self._account, text) for text in indexed]
            self._count_words(turns, words, are_deleted=True)

    deletes_at_once = False  # others share the database
    hits_per_probe = 20
    hits_to_find = 200  # for one, it reads turns until any says the word, which it expects soon; for these, the index
    tried_first = 2_000

    def delete_all_words(self) -> None:
        """Deletes the counts of all words."""
        self.delete(word_counts.TABLE, "true", [()])

    def drop_unsaid(self) -> None:
        """Merges all rows of word counts into one, without words that nobody says any more."""
        word_counts.drop_unsaid(self)

    def match(self, expression: Expression, role: Role, forms: Forms, without: str = "") -> str:
        """The parameter of `$is_hit` for turns of that role that match the expression."""
        wanted = to_tsquery(self._account, expression, role, forms)
        return NotCompared(f"({wanted}) & !({without})" if without else wanted)

    def counted(self, expression: Expression, role: Role, forms: Forms) -> tuple[int, int] | None:
        """How many turns match, of how many conversations, for all words of a stem; None for what is not counted."""
        said, words = ("", set[str]()) if self._agents else word_counts.common_stem(expression, forms)
        if not said:
            return None
        sql = "SELECT counts ->> ?::text, NULL FROM $word_counts UNION ALL SELECT NULL, word FROM $words WHERE stem = ?"
        rows = self.rows(sql, [said, said])
        if any(word and len(divided(str(word))) == 1 and word not in words for _, word in rows):
            return None
        return word_counts.hits([str(numbers) for numbers, _ in rows if numbers], role)

    def milliseconds(self, now: int) -> int:
        """The time that all who share the store go by: the database's."""
        return int(self.rows("SELECT (date_part('epoch', clock_timestamp()) * 1000)::bigint")[0][0] or now)

    def claim(self) -> None:
        """Nothing to do: an account is a row of its own from the beginning."""

    def _wait_for_disk_if(self, is_durable: bool, /) -> None:
        """Lets this transaction end only when it is on disk; others may be lost if the database's machine fails."""
        if is_durable:
            self._send("SET LOCAL synchronous_commit = on")

    def _recall(self) -> None:
        """Drops the memory of what this connection has inserted, where anybody has deleted any of it since."""
        sent, self._forgotten = self._forgotten, None
        if sent:
            rows = self._fetch(sent)
            self._connection.keep_memory_since(str(rows[0][0]) if rows else "")

    def _numbered(self, rows: Sequence[Sequence[Value]]) -> list[Sequence[Value]]:
        """New conversations with their rows, which the account counts itself."""
        if not rows:
            return []
        counted = (
            f"UPDATE {SCHEMA}.accounts SET last_row = last_row + ? WHERE account = {self._account} RETURNING last_row"
        )
        last = int(self.rows(counted, [len(rows)])[0][0] or 0)
        return [(last - len(rows) + number, *row) for number, row in enumerate(rows, 1)]

    def _analyze(self, table: str) -> None:
        """Updates the statistics of a table, which is done each time that the account has doubled.

        Without them PostgreSQL takes any index for as good as any other, as each begins with the account. Its own
        automatism counts the changes of a table, so it may never notice a new account among large ones.
        """
        self._send(f"ANALYZE (SKIP_LOCKED) {SCHEMA}.{table} ({_ANALYZED[table]})")

    def _count_words(
        self, turns: Sequence[StoredTurn], words: Sequence[Sequence[str]], *, are_deleted: bool = False
    ) -> None:
        """Counts words when the transaction ends, or when there are many."""
        self._uncounted.add(turns, words, are_deleted=are_deleted)
        if self._uncounted.are_many:
            self._save_counts()

    def _save_counts(self) -> None:
        """Saves how the turns saved and deleted change the counts of words."""
        if word_counts.save(self, self._uncounted.take()):
            self._analyze("turns")

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        self._leave_pipeline()  # which cannot copy
        with self._statement():
            into = f"COPY {SCHEMA}.{table} (account, {', '.join(columns)}) FROM STDIN"
            with psycopg.RawCursor(self._connection).copy(into.encode()) as copy:
                left = iter(rows)
                while some := list(islice(left, _COPIED_AT_ONCE)):  # the database inserts them meanwhile
                    copy.write(to_copy((self._account, *row) for row in some))
            self._pipeline = Pipeline(self._connection)

    def _ask(self, template: str, parameters: Sequence[Parameter]) -> list[tuple[Value, ...]]:
        """The rows of a query outside a transaction that writes."""
        statement = to_postgres(template, self._account, self._agents)
        prepare = False if _PLANNED_EACH_TIME.search(template) else None
        with self._statement():
            return psycopg.RawCursor(self._connection).execute(statement, parameters, prepare=prepare).fetchall()

    def _send(self, template: str, parameters: Sequence[Parameter] = ()) -> Sent:
        """Sends a statement; an error in it is raised later."""
        if not self._pipeline:
            raise RuntimeError("Only a transaction that writes can change anything.")
        statement = to_postgres(template, self._account)
        with translate_errors():
            return self._pipeline.send(statement, parameters, is_prepared=not _PLANNED_EACH_TIME.search(template))

    def _send_many(self, template: str, rows: Sequence[Sequence[Parameter]]) -> None:
        for row in rows:
            self._send(template, stored_parameters(template, row))

    def _fetch(self, sent: Sent) -> list[tuple[Value, ...]]:
        """Waits for the rows of a query that was sent."""
        with self._statement():
            return self._pipeline.fetch(sent) if self._pipeline else []

    def _leave_pipeline(self) -> None:
        """Waits for all answers."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline:
            with self._statement():
                pipeline.close()

    @contextmanager
    def _statement(self) -> Generator[None]:
        with translate_errors():
            yield
        self._connection.note_answer()


def _have_doubled(row_ids: Set[int]) -> bool:
    """Whether new rows of conversations show that the account has doubled: one of them is a power of two."""
    return any(row_id > _ANALYZED_FROM and row_id.bit_count() == 1 for row_id in row_ids)


def _rows_of(table: str) -> str:
    """A table of new rows, which are one parameter, in JSON; their columns have the types of the stored ones."""
    return f"json_populate_recordset(NULL::{SCHEMA}.{table}, ?)"


def run_command(connection: psycopg.Connection, command: bytes) -> None:
    """Runs a command that has neither parameters nor rows, such as BEGIN; without a cursor, in half the time."""
    result = connection.pgconn.exec_(command)
    if connection.broken or connection.pgconn.status != ConnStatus.OK:
        raise connection_lost()
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)


def roll_back(connection: psycopg.Connection) -> None:
    """Ends a transaction, of which nothing is saved. psycopg would forget all prepared statements with it."""
    with suppress(psycopg.Error, StoreError):
        if not connection.broken:
            run_command(connection, b"ROLLBACK")
