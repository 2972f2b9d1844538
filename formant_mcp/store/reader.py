"""Reads conversations, turns and counts from the store."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from pydantic import JsonValue

from formant_mcp.filters import FIELDS, NO_FILTERS, DetailRequest, Filters, Order, is_whole
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store.distinct import distinct_values
from formant_mcp.store.engine import Connection, OnDatabase, on_reader, one_query
from formant_mcp.store.filter_sql import NEWEST_FIRST, Where, is_running, milliseconds, where
from formant_mcp.store.meta import MARKS, VERSION
from formant_mcp.store.order_sql import list_rows
from formant_mcp.store.result_values import values_by_path
from formant_mcp.store.rows import READ, conversation, number, text, whole, with_results
from formant_mcp.store.turn_keys import KEY_BITS, row_of, turn_key

_KINDS = frozenset(kind.name for kind in fields(Unreadable)) - {"fields"} | FIELDS.keys()
SHOWN_KINDS = _KINDS - {"speakers"}
"""What may be unreadable of a conversation that is shown: a turn itself shows that its speaker is unknown."""
_IN_RANGE = "($turn_row = ? AND turn_id BETWEEN ? AND ?)"
_ALL = 1 << 62  # rows, where a LIMIT is required
_VALUE_KINDS = ("text", "number", "boolean", "numeral", "date")
_COMPARABLE = {"number": ("numeral",)}


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of conversations: all that are stored, those that match, those still running that need a refresh, those
    whose details the answer needs, and those of them whose details must be fetched; whether any is unreadable in part.
    `version`: that of the calls then, see `Reader.version`.
    """

    stored: int
    matched: int
    running: int
    details: int
    due: int
    has_unreadable: bool
    version: str = field(compare=False)


class Reader(OnDatabase):
    """Reads conversations; without turns and results unless a method says otherwise."""

    @one_query
    def get(self, connection: Connection, conversation_ids: Sequence[str]) -> dict[str, Conversation]:
        """The stored ones of these conversations, with their results, by id and in this order."""
        rows = connection.rows(
            f"SELECT results, {READ} FROM $conversations WHERE conversation_id $in_list",
            [list(conversation_ids)],
        )
        conversations = [with_results(row[0], row[1:]) for row in rows]
        stored = {conversation.conversation_id: conversation for conversation in conversations}
        return {name: stored[name] for name in conversation_ids if name in stored}

    async def values(self, conversation_ids: Sequence[str], paths: Collection[str]) -> dict[str, dict[str, JsonValue]]:
        """The values that these calls' results have at these paths, by id and path."""
        stored = await self.get(conversation_ids)
        values = {conversation_id: values_by_path(call.results or {}) for conversation_id, call in stored.items()}
        return {name: {path: of[path] for path in paths if path in of} for name, of in values.items()}

    @one_query
    def ids_with_prefix(self, connection: Connection, prefix: str, limit: int) -> list[str]:
        """Ids with that prefix, sorted."""
        rows = connection.rows(
            "SELECT conversation_id FROM $conversations WHERE conversation_id >= ? AND conversation_id < ?"
            " ORDER BY conversation_id LIMIT ?",
            [prefix, prefix + "\U0010ffff", limit],
        )
        return [str(row[0]) for row in rows]

    @one_query
    def shortest_prefixes(
        self, connection: Connection, conversation_ids: Sequence[str], minimum: int
    ) -> dict[str, str]:
        """For each id, its shortest prefix of at least `minimum` characters that no other stored id has."""
        rows = connection.rows(
            "SELECT value, (SELECT max(conversation_id) FROM $conversations WHERE conversation_id < value),"
            " (SELECT min(conversation_id) FROM $conversations WHERE conversation_id > value) FROM $each_text",
            [list(conversation_ids)],
        )
        return {str(name): _shortest(str(name), minimum, (text(before), text(after))) for name, before, after in rows}

    @one_query
    def agent_names(self, connection: Connection, agent_ids: Sequence[str]) -> dict[str, str]:
        """The names of these agents, by id, if one of their newest calls has a name."""
        rows = connection.rows(
            "SELECT value, (SELECT agent_name FROM (SELECT agent_name FROM $conversations WHERE agent_id = value"
            f" ORDER BY {NEWEST_FIRST} LIMIT 20) AS newest WHERE agent_name IS NOT NULL LIMIT 1)"
            " FROM $each_text",
            [list(agent_ids)],
        )
        return {str(agent_id): str(name) for agent_id, name in rows if name is not None}

    @one_query
    def turn_count(self, connection: Connection, conversation_id: str) -> int | None:
        """How many turns the transcript has; None if there is no transcript."""
        rows = connection.rows("SELECT turn_count FROM $conversations WHERE conversation_id = ?", [conversation_id])
        return None if not rows or rows[0][0] is None else whole(rows[0][0])

    @on_reader
    def turns(self, connection: Connection, conversation_id: str, first: int, count: int) -> list[Turn]:
        """`count` turns, in order, from index `first`."""
        rows = connection.rows("SELECT row_id FROM $conversations WHERE conversation_id = ?", [conversation_id])
        row_id = whole(rows[0][0]) if rows else 0
        start = turn_key(row_id, 0)
        rows = connection.rows(
            f"SELECT turn_id, role, text, seconds FROM $turns WHERE {_IN_RANGE} ORDER BY turn_id",
            [row_id, turn_key(row_id, first), turn_key(row_id, first + count) - 1],
        )
        return [Turn(whole(row[0]) - start, str(row[1]), str(row[2]), number(row[3])) for row in rows]

    @one_query
    def windows(self, connection: Connection, windows: Sequence[tuple[int, int, int]]) -> dict[int, dict[int, Turn]]:
        """The turns of several small windows, by row and index. A window is a row with its first and last index."""
        keys = {key for row, first, last in windows for key in range(turn_key(row, first), turn_key(row, last) + 1)}
        return self._turns(connection, f"turn_id = value AND $turn_row = value >> {KEY_BITS}", sorted(keys))

    @one_query
    def transcripts(self, connection: Connection, rows: Sequence[int]) -> dict[int, dict[int, Turn]]:
        """All turns of conversations, by row and index."""
        return self._turns(connection, "$turn_in_value", rows)

    def _turns(self, connection: Connection, condition: str, values: Sequence[int]) -> dict[int, dict[int, Turn]]:
        turns: dict[int, dict[int, Turn]] = {}
        sql = f"SELECT turn_id, role, text, seconds FROM $each_number $join $turns ON {condition}"
        for key, role, words, seconds in connection.rows(sql, [values]) if values else ():
            row = row_of(whole(key))
            turn = Turn(whole(key) - turn_key(row, 0), str(role), str(words), number(seconds))
            turns.setdefault(row, {})[turn.index] = turn
        return turns

    @on_reader
    def page(
        self, connection: Connection, filters: Filters, order: Order, limit: int, after: int = 0
    ) -> list[tuple[int, Conversation]]:
        """The first `limit` matches, or the first after row `after`; each with its row.

        Raises:
            LookupError: row `after` no longer exists.
        """
        rows = list_rows(connection, filters, order, limit, after)
        return [(whole(row[0]), conversation(row[1:])) for row in rows]

    @one_query
    def count(self, connection: Connection, filters: Filters) -> int:
        """How many conversations match."""
        select, clause = self._matching(filters)
        return whole(connection.rows(f"{select}{clause.sql}", clause.values)[0][0])

    @one_query
    def count_seen(self, connection: Connection, agent_id: str, since: datetime | None = None) -> int:
        """How many conversations are stored: of one agent, or all for ''; only those seen since then, if given."""
        if since is None:
            select, clause = self._matching(Filters(agent_id=agent_id))
            return whole(connection.rows(f"{select}{clause.sql}", clause.values)[0][0])
        clause = where(Filters(agent_id=agent_id))
        clause.add("seen_at >= ?", milliseconds(since))
        return self._count(connection, clause)

    @one_query
    def details_to_fetch(
        self, connection: Connection, request: DetailRequest, now: datetime, limit: int = _ALL
    ) -> list[str]:
        """Ids whose details must be fetched, or fetched again, before they can be shown; newest first."""
        clause = _due(request, now)
        rows = connection.rows(
            f"SELECT conversation_id FROM $conversations WHERE {clause.sql}"
            # The plus keeps SQLite from scanning all calls in order of time for the few that are due.
            f" ORDER BY +{NEWEST_FIRST} LIMIT ?",
            [*clause.values, limit],
        )
        return [str(row[0]) for row in rows]

    @one_query
    def count_details_to_fetch(self, connection: Connection, request: DetailRequest, now: datetime) -> int:
        """How many ids `details_to_fetch` has."""
        return self._count(connection, _due(request, now))

    @one_query
    def still_due(self, connection: Connection, requests: Sequence[DetailRequest], now: datetime) -> set[DetailRequest]:
        """Those of these requests for which `details_to_fetch` has any."""
        clauses = [_due(request, now) for request in requests]
        order = "ORDER BY detail_due_at LIMIT 1"  # by the index of what is due, which mostly is nothing
        columns = ", ".join(f"(SELECT 1 FROM $conversations WHERE {clause.sql} {order})" for clause in clauses)
        rows = connection.rows(f"SELECT {columns}", [value for clause in clauses for value in clause.values])
        return {request for request, due in zip(requests, rows[0], strict=True) if due}

    @one_query
    def counts(
        self, connection: Connection, filters: Filters, details: Sequence[DetailRequest], now: datetime
    ) -> "Counts":
        """The counts of an answer, all from one moment."""
        counted = [
            ("SELECT count(*) FROM (SELECT 1 FROM $unreadable LIMIT 1) AS one WHERE ", Where()),
            self._matching(NO_FILTERS),
            self._matching(filters),
            ("SELECT count(*) FROM $conversations WHERE ", is_running(filters.agent_id, now)),
        ]
        counted += [self._matching(request.candidates) for request in details]
        counted += [("SELECT count(*) FROM $conversations WHERE ", _due(request, now)) for request in details]
        columns = ", ".join(f"({select}{clause.sql})" for select, clause in counted)
        values = [value for _, clause in counted for value in clause.values]
        rows = connection.rows(f"SELECT {VERSION}, {columns}", [*MARKS, *values])
        some, stored, matched, running, *rest = map(whole, rows[0][3:])
        due, needed = sum(rest[len(details) :]), sum(rest[: len(details)])
        return Counts(stored, matched, running, needed, due, some > 0, str(rows[0][:3]))

    @one_query
    def version(self, connection: Connection) -> str:
        """Differs from what it was before whenever any calls were saved, with changes, or deleted since."""
        return str(connection.rows(f"SELECT {VERSION}", MARKS)[0])

    @one_query
    def failures(self, connection: Connection, request: DetailRequest, requested_at: datetime) -> dict[str, int]:
        """How many due details could not be fetched since then, or are not retried yet, by reason."""
        return self._failures(connection, _due(request, requested_at), requested_at)

    @one_query
    def failures_among(
        self, connection: Connection, conversation_ids: Sequence[str], requested_at: datetime
    ) -> dict[str, int]:
        """The same for these ids."""
        return self._failures(connection, _with_ids(conversation_ids), requested_at)

    @one_query
    def waiting(self, connection: Connection, now: datetime) -> set[str]:
        """Ids whose details could not be fetched a short while ago and are not retried yet."""
        rows = connection.rows("SELECT conversation_id FROM $conversations WHERE retry_at > ?", [milliseconds(now)])
        return {str(row[0]) for row in rows}

    @one_query
    def has_details(self, connection: Connection) -> bool:
        """Whether the details of any conversation were ever fetched."""
        return bool(connection.rows("SELECT 1 FROM $conversations WHERE detail_at IS NOT NULL LIMIT 1"))

    @one_query
    def not_seen_since(self, connection: Connection, filters: Filters, since: datetime, limit: int = _ALL) -> list[str]:
        """Ids that match and that the provider has not returned since then."""
        clause = where(filters)
        clause.add("seen_at < ?", milliseconds(since))
        rows = connection.rows(
            f"SELECT conversation_id FROM $conversations WHERE {clause.sql} LIMIT ?", [*clause.values, limit]
        )
        return [str(row[0]) for row in rows]

    @one_query
    def missing_among(self, connection: Connection, conversation_ids: Sequence[str], since: datetime) -> list[str]:
        """Those of these ids that the provider could not find since then."""
        rows = connection.rows(
            "SELECT conversation_id FROM $conversations WHERE missing_at >= ? AND conversation_id $in_list",
            [milliseconds(since), list(conversation_ids)],
        )
        return [str(row[0]) for row in rows]

    @one_query
    def count_missing(self, connection: Connection, agent_id: str, since: datetime) -> int:
        """How many conversations the provider could not find since then: of one agent, or all for ''."""
        rows = connection.rows(
            "SELECT count(*) FROM $conversations WHERE missing_at >= ? AND (? = '' OR agent_id = ?)",
            [milliseconds(since), agent_id, agent_id],
        )
        return whole(rows[0][0])

    @one_query
    def needing_refresh(self, connection: Connection, conversation_ids: Sequence[str], now: datetime) -> list[str]:
        """Those of these ids, in their order, that are not stored or whose details must be fetched."""
        settled = connection.rows(
            "SELECT conversation_id FROM $conversations WHERE (detail_due_at IS NULL OR detail_due_at > ?)"
            " AND conversation_id $in_list",
            [milliseconds(now), list(conversation_ids)],
        )
        up_to_date = {row[0] for row in settled}
        return [name for name in conversation_ids if name not in up_to_date]

    @one_query
    def detail_states(
        self, connection: Connection, conversation_ids: Sequence[str], now: datetime
    ) -> dict[str, tuple[int, int, bool]]:
        """Of the stored ones: the row, when details were saved, in milliseconds (0: never), whether they are due."""
        sql = "SELECT conversation_id, row_id, detail_at, detail_due_at <= ? FROM $conversations"
        rows = connection.rows(f"{sql} WHERE conversation_id $in_list", [milliseconds(now), list(conversation_ids)])
        return {str(name): (whole(row), whole(at or 0), bool(is_due)) for name, row, at, is_due in rows}

    @one_query
    def running(self, connection: Connection, agent_id: str, now: datetime) -> list[str]:
        """Ids of calls that started (or were first seen) within a day and had not ended when last seen, a minute ago or
        more; newest first."""
        clause = is_running(agent_id, now)
        sql = f"SELECT conversation_id FROM $conversations WHERE {clause.sql} ORDER BY {NEWEST_FIRST}"
        return [str(row[0]) for row in connection.rows(sql, clause.values)]

    @one_query
    def unreadable(self, connection: Connection, filters: Filters, kinds: Set[str] = _KINDS) -> dict[str, int]:
        """How much of what the provider sent could not be understood, by kind: those of `Unreadable`, and its fields.

        Kinds without anything unreadable are left out.
        """
        return self._unreadable(connection, where(filters), kinds) if kinds else {}

    @one_query
    def unreadable_among(
        self, connection: Connection, conversation_ids: Sequence[str], kinds: Set[str] = SHOWN_KINDS
    ) -> dict[str, int]:
        """The same for these conversations."""
        return self._unreadable(connection, _with_ids(conversation_ids), kinds) if conversation_ids else {}

    @on_reader
    def count_not_compared(self, connection: Connection, filters: Filters, path: str, kind: str) -> int:
        """How many have a value at `path` that does not compare with a `kind`, among matches of all other filters."""
        kinds = [other for other in _VALUE_KINDS if other not in (kind, *_COMPARABLE.get(kind, ()))]
        has_one = f"path = ? AND kind IN ({', '.join('?' * len(kinds))})"
        if not connection.rows(f"SELECT 1 FROM $result_values WHERE {has_one} LIMIT 1", [path, *kinds]):
            return 0
        others = tuple(condition for condition in filters.results if condition.is_signal or condition.path != path)
        clause = where(replace(filters, results=others))
        clause.add(f"row_id IN (SELECT row_id FROM $result_values WHERE {has_one})", path, *kinds)
        return self._count(connection, clause)

    @one_query
    def largest(self, connection: Connection, path: str) -> float | None:
        """The largest number of a field; None if it has none."""
        rows = connection.rows("SELECT max(number) FROM $result_values WHERE path = ? AND kind = 'number'", [path])
        return number(rows[0][0])

    @one_query
    def distinct(self, connection: Connection, *columns: str) -> dict[str, list[str]]:
        """The values of each of these columns, at most 1,000."""
        return distinct_values(connection, columns)

    @one_query
    def agents(self, connection: Connection) -> dict[str, str | None]:
        """All agents, at most 1,000, each with its name in its newest call."""
        rows = connection.rows(
            "SELECT agent_id, (SELECT agent_name FROM $conversations WHERE conversations.agent_id = agents.agent_id"
            f" ORDER BY {NEWEST_FIRST} LIMIT 1)"
            " FROM $agents WHERE count > 0 AND agent_id != '' ORDER BY agent_id LIMIT 1000"
        )
        return {str(row[0]): text(row[1]) for row in rows}

    def _unreadable(self, connection: Connection, clause: Where, kinds: Set[str]) -> dict[str, int]:
        # Start from the few that have something unreadable. A field that has a value by now no longer counts.
        is_unknown = " ".join(f"WHEN '{name}' THEN {name} IS NULL" for name in FIELDS)
        rows = connection.rows(
            "SELECT kind, sum(count) FROM $unreadable $join $conversations USING (row_id)"
            f" WHERE kind $in_list AND CASE kind {is_unknown} ELSE true END AND {clause.sql}"
            " GROUP BY kind ORDER BY kind DESC",
            [sorted(kinds), *clause.values],
        )
        return {str(kind): whole(count) for kind, count in rows}

    def _failures(self, connection: Connection, clause: Where, requested_at: datetime) -> dict[str, int]:
        clause.add("retry_at >= ?", milliseconds(requested_at))
        rows = connection.rows(
            f"SELECT failure, count(*) FROM $conversations WHERE {clause.sql} GROUP BY 1 ORDER BY 2 DESC, 1",
            clause.values,
        )
        return {str(reason): whole(count) for reason, count in rows}

    def _matching(self, filters: Filters) -> tuple[str, Where]:
        """A SELECT that counts the matches, up to its WHERE clause, and the clause."""
        if filters == Filters(agent_id=filters.agent_id) and is_whole(filters.agent_id):  # triggers keep it
            return "SELECT sum(count) FROM $agents WHERE ", Where(["? IN ('', agent_id)"], [filters.agent_id])
        return "SELECT count(*) FROM $conversations WHERE ", where(filters)

    def _count(self, connection: Connection, clause: Where) -> int:
        rows = connection.rows(f"SELECT count(*) FROM $conversations WHERE {clause.sql}", clause.values)
        return whole(rows[0][0])


def _with_ids(conversation_ids: Sequence[str]) -> Where:
    return Where(["conversation_id $in_list"], [list(conversation_ids)])


def _due(request: DetailRequest, now: datetime) -> Where:
    clause = where(request.candidates)
    clause.add("detail_due_at <= ?", milliseconds(now))
    if request.whole or request.filters.results:
        return clause
    # If only single fields are needed, a call that has them is not fetched again.
    unsettled: list[str] = []
    if request.filters.failure_reason:  # the list may have sent it, or that there is none
        unsettled.append("failure_reason_known = 0 OR ended = 0")
    if replace(request.candidates, failure_reason=request.filters.failure_reason) != request.filters:
        unsettled.append("detail_at IS NULL")
    if unsettled:
        clause.add(f"({' OR '.join(unsettled)})")
    return clause


def _shortest(conversation_id: str, minimum: int, neighbours: Sequence[str | None]) -> str:
    length = minimum
    for neighbour in neighbours:
        while neighbour and neighbour.startswith(conversation_id[:length]) and length < len(conversation_id):
            length += 1
    return conversation_id[:length]
