"""One PostgreSQL connection, for one account; its errors are StoreErrors."""

import json
import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count, islice
from string import Template

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus

from formant_mcp.errors import StoreError
from formant_mcp.filters import Role
from formant_mcp.store.engine import TABLES, Forms, Parameter, StoredTurn, Value
from formant_mcp.store.filter_sql import HAS_SIGNALS
from formant_mcp.store.limits import ALL_AGENTS, Limit
from formant_mcp.store.postgres import word_counts
from formant_mcp.store.postgres.full_text import to_tsquery, to_tsvector, words_of
from formant_mcp.store.postgres.keys import (
    NotCompared,
    compared_parameters,
    stored_parameters,
    stored_rows,
    to_copy,
    without_unstorable,
)
from formant_mcp.store.postgres.schema import SCHEMA
from formant_mcp.store.postgres.stoppable import StoppableConnection
from formant_mcp.store.turn_keys import row_of
from formant_mcp.text_search.query import Expression
from formant_mcp.text_search.tokenizer import indexable

_DURABLE = frozenset({"members"})  # tables of what no provider has: a token that was revoked must stay so
# Tables where nothing is changed or deleted: each connection inserts a row once. If the database's machine fails, the
# connection ends, and with it the memory of what may be lost.
_KEPT = frozenset({"words", "labels"})
_MOST_KEPT = 50_000  # rows in memory, a few MB
_COPIED_FROM = 5  # rows; fewer are inserted faster by a statement
_COPIED_AT_ONCE = 100  # rows
_ANALYZED_FROM = 1_000  # conversations
_ANALYZED = {"conversations": "account, row_id, conversation_id", "result_values": "account, row_id"}
# How many rows these have depends on the word or the field. A prepared statement soon has one plan for all of them,
# which may take ten times as long.
_PLANNED_EACH_TIME = re.compile(r"\$(hits|result_values)")
_LOST = (
    "08",
    "57P",
    "25P03",
    "25P04",
)  # beginnings of codes (https://www.postgresql.org/docs/current/errcodes-appendix.html)


class ConnectionLostError(StoreError):
    """The connection ended; another one may work."""


class QueryEndedError(StoreError):
    """The query was ended from outside, perhaps by a cancellation that came after its own query."""


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
        self._cursor = psycopg.RawCursor(connection)
        self._connection = connection
        self._inserted = set[tuple[object, ...]]()
        self._account = account
        self._agents = agents
        self._queries_left = 1 if is_one_query else math.inf

    def rows(self, template: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        if not self._queries_left:
            raise RuntimeError("A second query of work that was to run one.")
        self._queries_left -= 1
        compared, originals = compared_parameters(parameters)
        with self._statement():
            statement = _to_postgres(template, self._account, self._agents)
            prepare = False if _PLANNED_EACH_TIME.search(template) else None
            rows = self._cursor.execute(statement, compared, prepare=prepare).fetchall()
        return [tuple(originals.get(value, value) for value in row) for row in rows] if originals else rows

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Value]],
        key: Sequence[str] = (),
        update: str = "",
    ) -> int:
        """Inserts rows; those whose `key` exists update that row instead, or nothing. Returns how many were written."""
        self._wait_for_disk_if(table in _DURABLE)
        if table in _KEPT:
            rows = [row for row in rows if (table, *row) not in self._connection.inserted]
            self._inserted.update((table, *row) for row in rows)
        rows, has_long_key = stored_rows(table, columns, rows)
        if table == "conversations":
            columns, rows = ("row_id", *columns), self._numbered(rows)
        if not key and len(rows) >= _COPIED_FROM:
            self._copy(table, columns, rows)
            if table in _ANALYZED:
                self._analyze(table, rows)
            return len(rows)
        names = ", ".join(columns)
        template = (
            f"INSERT INTO {SCHEMA}.{table} AS {table} (account, {names})"
            f" SELECT {self._account}, {names} FROM {_rows_of(table)}"
        )
        if key:
            template += f" ON CONFLICT ({', '.join(('account', *key))}) DO "
            template += f"UPDATE SET {update}" if update else "NOTHING"
        # A statement may update a row once: a long key may be that of another row, as it was stored.
        size = 1 if has_long_key else max(1, len(rows))
        return sum(
            self._execute(template, _to_json(columns, rows[first : first + size]))
            for first in range(0, len(rows), size)
        )

    def update(self, table: str, changes: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> int:
        """Changes what meets the condition, once for each row of parameters; returns how many rows it changed."""
        self._wait_for_disk_if(table in _DURABLE)
        return self._execute_many(
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
        self._execute(template, _to_json(names, stored))

    def delete(self, table: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Deletes what meets the condition, once for each row of parameters."""
        self._execute_many(f"DELETE FROM {SCHEMA}.{table} WHERE account = {self._account} AND ({condition})", rows)

    def insert_turns(self, turns: Sequence[StoredTurn], indexed: Sequence[str]) -> None:
        """Inserts turns and the words they are found by."""
        if not turns:
            return
        words = [words_of(self._account, text) for text in indexed]
        rows = (
            (row_of(key), key, role, text, seconds, to_tsvector(self._account, role, said))
            for (key, role, text, seconds), said in zip(turns, words, strict=True)
        )
        self._copy("turns", ("row_id", "turn_id", "role", "text", "seconds", "lexemes"), rows)
        self._count_words(turns, words, 1)

    def delete_turns(self, turns: Sequence[StoredTurn]) -> None:
        """Deletes turns."""
        keys = [turn[0] for turn in turns]
        if keys:
            rows = sorted({row_of(key) for key in keys})
            self.delete("turns", "row_id $in_list AND turn_id $in_list", [(rows, keys)])
            self._count_words(turns, [words_of(self._account, indexable(turn[2])) for turn in turns], -1)

    def match(self, expression: Expression, role: Role, forms: Forms, without: str = "") -> str:
        """The parameter of `$is_hit` for turns of that role that match the expression."""
        wanted = to_tsquery(self._account, expression, role, forms)
        return NotCompared(f"({wanted}) & !({without})" if without else wanted)

    def counted(self, expression: Expression, role: Role, forms: Forms) -> tuple[int, int] | None:
        """How many turns match, of how many conversations, for a word; None for what is not counted."""
        said = "" if self._agents else word_counts.counted_stem(expression, forms)
        if not said:
            return None
        numbers = self.rows("SELECT counts ->> ?::text FROM $word_counts", [said])
        return word_counts.hits([str(row[0]) for row in numbers if row[0]], role)

    def milliseconds(self, now: int) -> int:
        """The time that all who share the store go by: the database's."""
        return int(self.rows("SELECT (date_part('epoch', clock_timestamp()) * 1000)::bigint")[0][0] or now)

    def claim(self) -> None:
        """Nothing to do: an account is a row of its own from the beginning."""

    def note_commit(self) -> None:
        """Its transaction has ended and is saved."""
        if len(self._connection.inserted) > _MOST_KEPT:
            self._connection.inserted.clear()
        self._connection.inserted |= self._inserted

    def _wait_for_disk_if(self, is_durable: bool, /) -> None:
        """Lets this transaction end only when it is on disk; others may be lost if the database's machine fails."""
        if is_durable:
            with self._statement():
                self._cursor.execute(b"SET LOCAL synchronous_commit = on")

    def _numbered(self, rows: Sequence[Sequence[Value]]) -> list[Sequence[Value]]:
        """New conversations with their rows, which the account counts itself."""
        if not rows:
            return []
        counted = (
            f"UPDATE {SCHEMA}.accounts SET last_row = last_row + ? WHERE account = {self._account} RETURNING last_row"
        )
        last = int(self.rows(counted, [len(rows)])[0][0] or 0)
        return [(last - len(rows) + number, *row) for number, row in enumerate(rows, 1)]

    def _analyze(self, table: str, rows: Sequence[Sequence[Value]]) -> None:
        """Updates the statistics of a table each time that the account has doubled: its row is a power of two.

        Without them PostgreSQL takes any index for as good as any other, as each begins with the account. Its own
        automatism counts the changes of a table, so it may never notice a new account among large ones.
        """
        row_ids = {int(row[0] or 0) for row in rows}
        if any(row_id > _ANALYZED_FROM and row_id.bit_count() == 1 for row_id in row_ids):
            with self._statement():
                analyze = f"ANALYZE (SKIP_LOCKED) {SCHEMA}.{table} ({_ANALYZED[table]})"
                self._cursor.execute(analyze.encode(), prepare=False)

    def _count_words(self, turns: Sequence[StoredTurn], words: Sequence[Sequence[str]], sign: int) -> None:
        """Adds a row of word counts, and merges levels that are full."""
        said = ((row_of(turn[0]), turn[1], spoken) for turn, spoken in zip(turns, words, strict=True))
        counts, level = word_counts.count(said, sign), 0
        levels = self.rows("SELECT level, count(*), max(number) FROM $word_counts GROUP BY 1")
        sizes = {int(row[0] or 0): (int(row[1] or 0), int(row[2] or 0)) for row in levels}
        while counts:
            size, last = sizes.get(level, (0, 0))
            if size < word_counts.MERGED:
                row = (level, last + 1, json.dumps(counts, ensure_ascii=False))
                self._copy("word_counts", ("level", "number", "counts"), [row])
                return
            rows = self.rows("SELECT counts::text FROM $word_counts WHERE level = ?", [level])
            self.delete("word_counts", "level = ?", [(level,)])
            counts = word_counts.merged([counts, *(json.loads(str(row[0])) for row in rows)])
            level += 1

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        with self._statement():
            into = f"COPY {SCHEMA}.{table} (account, {', '.join(columns)}) FROM STDIN"
            with self._cursor.copy(into.encode()) as copy:
                left = iter(rows)
                while some := list(islice(left, _COPIED_AT_ONCE)):  # the database inserts them meanwhile
                    copy.write(to_copy((self._account, *row) for row in some))

    def _execute(self, template: str, new_rows: str) -> int:
        with self._statement():
            return self._cursor.execute(_to_postgres(template, self._account), [new_rows]).rowcount

    def _execute_many(self, template: str, rows: Sequence[Sequence[Parameter]]) -> int:
        if not rows:
            return 0
        stored = [stored_parameters(template, row) for row in rows]
        statement = _to_postgres(template, self._account)
        with self._statement():
            if len(stored) == 1:  # without the costs of a pipeline
                return self._cursor.execute(statement, stored[0]).rowcount
            self._cursor.executemany(statement, stored)
        return self._cursor.rowcount

    @contextmanager
    def _statement(self) -> Generator[None]:
        with translate_errors():
            yield
        self._connection.note_answer()


@lru_cache(4000)
def _to_postgres(template: str, account: int, agents: frozenset[str] = ALL_AGENTS) -> bytes:
    """The statement, its tables reduced to the rows of the account and these agents, its placeholders numbered."""
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", Template(template).substitute(_names(account, agents))).encode()


@lru_cache(64)
def _names(account: int, agents: frozenset[str] = ALL_AGENTS) -> Mapping[str, str]:
    """What a template's names are here; PostgreSQL merges such a subquery into the query around it."""
    names = (*TABLES, word_counts.TABLE)
    tables = {table: f"(SELECT * FROM {SCHEMA}.{table} WHERE account = {account})" for table in names}
    if agents:
        visible = f"{tables['conversations']} AS visible"
        limit = Limit(agents, visible, lambda hexadecimal: f"convert_from(decode('{hexadecimal}', 'hex'), 'UTF8')")
        rows = {**limit.of_tables("turns.row_id"), word_counts.TABLE: "false"}  # it counts other agents' turns too
        tables = {table: f"{selected[:-1]} AND {rows[table]})" for table, selected in tables.items()}
    return {
        **{table: f"{rows} AS {table}" for table, rows in tables.items()},
        **{f"{table}_as": rows for table, rows in tables.items()},
        "measured_as": f"{tables['signals'][:-1]} AND {HAS_SIGNALS})",  # a tenth of them, if most calls do not connect
        "in_list": "= ANY(?)",
        "each_text": "unnest(?::text[]) AS each(value)",
        "each_number": "unnest(?::bigint[]) AS each(value)",
        "fold": "fold",
        "exact": "",
        # Times with as many digits each, so that their texts have the same order.
        "newest_id": "substr(max((coalesce(started_at, 0) + 2000000000000000000)::text || conversation_id), 20)",
        "join": "JOIN",
        "by_agent": "",
        "by_transcript": "",
        "hits": f"{tables['turns']} AS hits",
        "is_hit": "hits.lexemes @@ ?::tsquery",
        "if_many": "num_nulls(?::bigint, ?::text, ?::bigint) = 0 AND",  # its planner knows how many there are
        "hit_turn": "hits.turn_id",
        "hit_row": "hits.row_id",
        "hit_in_value": "hits.row_id = value",
        "turn_in_value": "turns.row_id = value",
        "turn_row": "row_id",
    }


def _rows_of(table: str) -> str:
    """A table of new rows, which are one parameter, in JSON; their columns have the types of the stored ones."""
    return f"json_populate_recordset(NULL::{SCHEMA}.{table}, ?)"


def _to_json(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> str:
    return json.dumps(
        [
            {
                name: without_unstorable(value) if isinstance(value, str) else value
                for name, value in zip(columns, row, strict=True)
            }
            for row in rows
        ],
        ensure_ascii=False,
    )


def run_command(connection: psycopg.Connection, command: bytes) -> None:
    """Runs a command that has neither parameters nor rows, such as BEGIN; without a cursor, in half the time."""
    result = connection.pgconn.exec_(command)
    if connection.broken or connection.pgconn.status != ConnStatus.OK:
        raise connection_lost()
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)


@contextmanager
def translate_errors() -> Generator[None]:
    """Turns the driver's errors into ours, which quote neither the address nor any value."""
    try:
        yield
    except psycopg.Error as error:
        raise _to_store_error(error) from None


def _to_store_error(error: psycopg.Error) -> StoreError:
    match error:
        case errors.DiskFull():
            return StoreError("The database's disk is full; what was stored before is safe.", "Free some space there.")
        case errors.ReadOnlySqlTransaction():
            return StoreError(
                "The database only accepts reads now.", "Set FORMANT_STORE to the primary server, or retry later."
            )
        case errors.InsufficientPrivilege():
            return StoreError(
                "The role of FORMANT_STORE has too few rights in the database.",
                f"Grant it USAGE on the schemas {SCHEMA}… and all rights on their tables.",
            )
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction():
            return StoreError(
                "The database has another version's tables.", "Start the newest version of formant-mcp on every server."
            )
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return StoreError("The database is busy.", "Retry in a few seconds.")
        case errors.QueryCanceled():
            return QueryEndedError("The database ended a query.", "Retry, or narrow the question.")
        case psycopg.Error(sqlstate=None) if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return connection_lost()
        case psycopg.Error(sqlstate=str(code)) if code.startswith(_LOST):
            return connection_lost()
        case _:
            return StoreError(
                f"The database cannot be used: {type(error).__name__} ({error.sqlstate}).",
                "Check the log of the database.",
            )


def connection_lost() -> ConnectionLostError:
    """The error for a database that does not answer."""
    return ConnectionLostError(
        "The database does not answer.", "Check that it runs, and the address in FORMANT_STORE; then retry."
    )
