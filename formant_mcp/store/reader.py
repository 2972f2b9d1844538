"""What is asked is answered here: conversations, turns and counts, out of what was saved."""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from formant_mcp.filters import FIELDS, NAMED, DetailRequest, Filters, Order, is_whole
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store.connection import Connection, Value
from formant_mcp.store.database import OnDatabase, on_reader
from formant_mcp.store.filter_sql import ORDERS, Where, milliseconds, where
from formant_mcp.store.rows import READ, conversation, number, text, whole, with_results
from formant_mcp.store.turn_index import row_of, turn_key

_RETRY_MISSING = timedelta(hours=1)
_NOT_JUST_MISSED = "(missing_at IS NULL OR missing_at <= ?)"
_KINDS = frozenset(each.name for each in fields(Unreadable)) - {"fields"} | FIELDS.keys()
_VALUE_KINDS = ("text", "number", "boolean", "numeral", "date")
_SAME_SIZE = {"number": ("numeral",)}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many conversations match; how many that are running were not refreshed; of how many an answer needs details,
    and of how many of these they are due."""

    matched: int
    running: int
    details: int
    due: int


class Reader(OnDatabase):
    """Gives conversations back. They come without turns and results unless a method says otherwise."""

    @on_reader
    def get(self, connection: Connection, conversation_ids: Sequence[str]) -> dict[str, Conversation]:
        """Those of these conversations that are known, with their results, by id."""
        rows = connection.rows(
            f"SELECT results, {READ} FROM conversations WHERE conversation_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(conversation_ids))],
        )
        found = [with_results(row[0], row[1:]) for row in rows]
        return {each.conversation_id: each for each in found}

    @on_reader
    def ids_with_prefix(self, connection: Connection, prefix: str, limit: int) -> list[str]:
        """Ids that begin with `prefix`, in their own order."""
        rows = connection.rows(
            "SELECT conversation_id FROM conversations WHERE conversation_id >= ? AND conversation_id < ?"
            " ORDER BY conversation_id LIMIT ?",
            [prefix, prefix + "\U0010ffff", limit],
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def shortest_prefixes(
        self, connection: Connection, conversation_ids: Sequence[str], minimum: int
    ) -> dict[str, str]:
        """For each id the shortest beginning of it, of at least `minimum` characters, that no other stored id has."""
        rows = connection.rows(
            "SELECT value, (SELECT max(conversation_id) FROM conversations WHERE conversation_id < value),"
            " (SELECT min(conversation_id) FROM conversations WHERE conversation_id > value) FROM json_each(?)",
            [json.dumps(list(conversation_ids))],
        )
        return {str(name): _shortest(str(name), minimum, (text(before), text(after))) for name, before, after in rows}

    @on_reader
    def agent_names(self, connection: Connection, agent_ids: Sequence[str]) -> dict[str, str]:
        """The names of these agents, by id, where one of their newest calls has one."""
        rows = connection.rows(
            "SELECT value, (SELECT agent_name FROM (SELECT agent_name FROM conversations WHERE agent_id = value"
            " ORDER BY started_at DESC LIMIT 20) WHERE agent_name IS NOT NULL LIMIT 1) FROM json_each(?)",
            [json.dumps(list(agent_ids))],
        )
        return {str(agent_id): str(name) for agent_id, name in rows if name is not None}

    @on_reader
    def turn_count(self, connection: Connection, conversation_id: str) -> int | None:
        """How many turns the transcript has; None where there is no transcript."""
        rows = connection.rows("SELECT turn_count FROM conversations WHERE conversation_id = ?", [conversation_id])
        return None if not rows or rows[0][0] is None else whole(rows[0][0])

    @on_reader
    def turns(self, connection: Connection, conversation_id: str, first: int, count: int) -> list[Turn]:
        """`count` turns from the one with index `first`, in order."""
        rows = connection.rows("SELECT row_id FROM conversations WHERE conversation_id = ?", [conversation_id])
        row_id = whole(rows[0][0]) if rows else 0
        start = turn_key(row_id, 0)
        rows = connection.rows(
            "SELECT turn_id, role, text, seconds FROM turns WHERE turn_id >= ? AND turn_id < ? ORDER BY turn_id",
            [turn_key(row_id, first), turn_key(row_id, first + count)],
        )
        return [Turn(whole(row[0]) - start, str(row[1]), str(row[2]), number(row[3])) for row in rows]

    @on_reader
    def windows(self, connection: Connection, windows: Sequence[tuple[int, int, int]]) -> dict[int, dict[int, Turn]]:
        """The turns of several windows, by row and index; each window is a row, a first index and the last."""
        keys = [(turn_key(row, first), turn_key(row, last)) for row, first, last in windows]
        found: dict[int, dict[int, Turn]] = {}
        for key, role, said, seconds in connection.rows(
            "SELECT DISTINCT turn_id, role, turns.text, seconds FROM json_each(?) CROSS JOIN turns"
            " ON turn_id BETWEEN json_extract(value, '$[0]') AND json_extract(value, '$[1]')",
            [json.dumps(keys)],
        ):
            row = row_of(whole(key))
            turn = Turn(whole(key) - turn_key(row, 0), str(role), str(said), number(seconds))
            found.setdefault(row, {})[turn.index] = turn
        return found

    @on_reader
    def page(
        self, connection: Connection, filters: Filters, order: Order, limit: int, after: int = 0
    ) -> list[tuple[int, Conversation]]:
        """The first `limit` that match, or the first after row `after`; each with the number of its row.

        Raises:
            LookupError: row `after` is no longer there.
        """
        column, direction = ORDERS[order]
        sign = "<" if direction == "DESC" else ">"
        key: Value = None
        if after:
            found = connection.rows(f"SELECT {column} FROM conversations WHERE row_id = ?", [after])
            if not found:
                raise LookupError(after)
            key = found[0][0]
        rows: list[tuple[Value, ...]] = []
        # Apart, those with a value and then those without, so that an index has each in order.
        for is_known in (True, False) if not after or key is not None else (False,):
            asked = where(filters)
            asked.add(f"{column} IS {'NOT ' if is_known else ''}NULL")
            if after and is_known:
                asked.add(f"({column}, row_id) {sign} (?, ?)", key, after)
            elif after and key is None:
                asked.add(f"row_id {sign} ?", after)
            rows += connection.rows(
                f"SELECT row_id, {READ} FROM conversations WHERE {asked.sql}"
                f" ORDER BY {column} {direction}, row_id {direction} LIMIT ?",
                [*asked.values, limit - len(rows)],
            )
            if len(rows) == limit:
                break
        return [(whole(row[0]), conversation(row[1:])) for row in rows]

    @on_reader
    def count(self, connection: Connection, filters: Filters) -> int:
        """How many match."""
        select, asked = self._matching(filters)
        return whole(connection.rows(f"{select}{asked.sql}", asked.values)[0][0])

    @on_reader
    def count_seen(self, connection: Connection, agent_id: str, since: datetime | None = None) -> int:
        """How many are known, of one agent where given; of those seen since then where given."""
        if since is None:
            select, asked = self._matching(Filters(agent_id=agent_id))
            return whole(connection.rows(f"{select}{asked.sql}", asked.values)[0][0])
        asked = where(Filters(agent_id=agent_id))
        asked.add("seen_at >= ?", milliseconds(since))
        return self._count(connection, asked)

    @on_reader
    def details_to_fetch(
        self, connection: Connection, need: DetailRequest, now: datetime, limit: int = -1
    ) -> list[str]:
        """Those whose detail is to be read, or read anew, before they can be told about; newest first."""
        asked = _due(need, now)
        rows = connection.rows(
            f"SELECT conversation_id FROM conversations WHERE {asked.sql}"
            # The plus keeps SQLite from going through all calls in order of time to find the few that are due.
            " ORDER BY +started_at DESC, row_id DESC LIMIT ?",
            [*asked.values, limit],
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def count_details_to_fetch(self, connection: Connection, need: DetailRequest, now: datetime) -> int:
        """How many are due."""
        return self._count(connection, _due(need, now))

    @on_reader
    def counts(
        self, connection: Connection, filters: Filters, details: Sequence[DetailRequest], now: datetime
    ) -> "Counts":
        """What an answer says of the conversations that match, and of the details it needs; all of one moment."""
        asked = [
            self._matching(filters),
            ("SELECT count(*) FROM conversations WHERE ", _running(filters.agent_id, now)),
        ]
        asked += [self._matching(each.candidates) for each in details]
        asked += [("SELECT count(*) FROM conversations WHERE ", _due(each, now)) for each in details]
        columns = ", ".join(f"({select}{condition.sql})" for select, condition in asked)
        rows = connection.rows(f"SELECT {columns}", [value for _, condition in asked for value in condition.values])
        matched, running, *rest = map(whole, rows[0])
        return Counts(matched, running, sum(rest[: len(details)]), sum(rest[len(details) :]))

    @on_reader
    def failures(self, connection: Connection, need: DetailRequest, requested_at: datetime) -> dict[str, int]:
        """How many of those due could not be read since then, or are not asked for again yet; by the reason."""
        return self._failures(connection, _due(need, requested_at), requested_at)

    @on_reader
    def failures_among(
        self, connection: Connection, conversation_ids: Sequence[str], requested_at: datetime
    ) -> dict[str, int]:
        """The same of these ids."""
        asked = Where()
        asked.add("conversation_id IN (SELECT value FROM json_each(?))", json.dumps(list(conversation_ids)))
        return self._failures(connection, asked, requested_at)

    @on_reader
    def waiting(self, connection: Connection, now: datetime) -> set[str]:
        """Those whose details could not be read a short while ago, so that no question asks for them yet."""
        rows = connection.rows("SELECT conversation_id FROM conversations WHERE retry_at > ?", [milliseconds(now)])
        return {str(row[0]) for row in rows}

    @on_reader
    def has_details(self, connection: Connection) -> bool:
        """Whether the details of any conversation were ever read."""
        return bool(connection.rows("SELECT 1 FROM conversations WHERE detail_at IS NOT NULL LIMIT 1"))

    @on_reader
    def not_seen_since(self, connection: Connection, filters: Filters, since: datetime, limit: int) -> list[str]:
        """Those that match and that the provider has not shown since then."""
        asked = where(filters)
        asked.add("seen_at < ?", milliseconds(since))
        rows = connection.rows(
            f"SELECT conversation_id FROM conversations WHERE {asked.sql} LIMIT ?", [*asked.values, limit]
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def missing_among(self, connection: Connection, conversation_ids: Sequence[str], since: datetime) -> list[str]:
        """Those of these ids that the provider did not find since then."""
        rows = connection.rows(
            "SELECT conversation_id FROM conversations WHERE missing_at >= ?"
            " AND conversation_id IN (SELECT value FROM json_each(?))",
            [milliseconds(since), json.dumps(list(conversation_ids))],
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def count_missing(self, connection: Connection, agent_id: str, since: datetime) -> int:
        """How many the provider did not find since then, of one agent where given."""
        rows = connection.rows(
            "SELECT count(*) FROM conversations WHERE missing_at >= ? AND (? = '' OR agent_id = ?)",
            [milliseconds(since), agent_id, agent_id],
        )
        return whole(rows[0][0])

    @on_reader
    def needing_refresh(self, connection: Connection, conversation_ids: Sequence[str], now: datetime) -> list[str]:
        """Those of these ids, in their order, that are not known or whose detail is due."""
        settled = connection.rows(
            "SELECT conversation_id FROM conversations WHERE (detail_due_at IS NULL OR detail_due_at > ?)"
            " AND conversation_id IN (SELECT value FROM json_each(?))",
            [milliseconds(now), json.dumps(list(conversation_ids))],
        )
        have = {row[0] for row in settled}
        return [each for each in conversation_ids if each not in have]

    @on_reader
    def running(self, connection: Connection, agent_id: str, now: datetime) -> list[str]:
        """Calls not over when last seen, a minute ago or more, and begun (or first seen) within a day; newest first."""
        asked = _running(agent_id, now)
        rows = connection.rows(
            f"SELECT conversation_id FROM conversations WHERE {asked.sql} ORDER BY started_at DESC", asked.values
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def unreadable(self, connection: Connection, filters: Filters, kinds: Set[str] = _KINDS) -> dict[str, int]:
        """How much of what was sent of those that match could not be understood, of these kinds; only where it is some.

        The kinds are those of `Unreadable`, and its fields.
        """
        return self._unreadable(connection, where(filters), kinds) if kinds else {}

    @on_reader
    def unreadable_among(
        self, connection: Connection, conversation_ids: Sequence[str], kinds: Set[str] = _KINDS - {"speakers"}
    ) -> dict[str, int]:
        """The same of these conversations, but for speakers: who reads a turn sees that its speaker is not known."""
        asked = Where()
        asked.add("conversation_id IN (SELECT value FROM json_each(?))", json.dumps(list(conversation_ids)))
        return self._unreadable(connection, asked, kinds)

    @on_reader
    def count_not_compared(self, connection: Connection, filters: Filters, path: str, kind: str) -> int:
        """How many have a value there of which a `kind` is neither less nor more; of those that match the rest."""
        kinds = [each for each in _VALUE_KINDS if each not in (kind, *_SAME_SIZE.get(kind, ()))]
        has_one = f"path = ? AND kind IN ({', '.join('?' * len(kinds))})"
        if not connection.rows(f"SELECT 1 FROM result_values WHERE {has_one} LIMIT 1", [path, *kinds]):
            return 0
        asked = where(replace(filters, results=tuple(each for each in filters.results if each.path != path)))
        asked.add(f"row_id IN (SELECT row_id FROM result_values WHERE {has_one})", path, *kinds)
        return self._count(connection, asked)

    @on_reader
    def largest(self, connection: Connection, path: str) -> float | None:
        """The largest number of a field, as it was sent; None where there is none."""
        rows = connection.rows("SELECT max(number) FROM result_values WHERE path = ? AND kind = 'number'", [path])
        return number(rows[0][0])

    @on_reader
    def distinct(self, connection: Connection, column: str) -> list[str]:
        """The values that exist in one of these columns, at most 1,000, skipping from one
        to the next so that an index makes it quick."""
        if column not in NAMED:
            raise ValueError(column)
        rows = connection.rows(
            f"WITH RECURSIVE v(x) AS (SELECT min({column}) FROM conversations WHERE {column} IS NOT NULL UNION ALL"
            f" SELECT (SELECT min({column}) FROM conversations WHERE {column} > x) FROM v WHERE x IS NOT NULL)"
            " SELECT x FROM v WHERE x IS NOT NULL LIMIT 1000"
        )
        return [str(row[0]) for row in rows]

    @on_reader
    def agents(self, connection: Connection) -> dict[str, str | None]:
        """The agents there are, at most 1,000, each with the name it has in its newest call."""
        rows = connection.rows(
            "SELECT agent_id, (SELECT agent_name FROM conversations WHERE conversations.agent_id = agents.agent_id"
            " ORDER BY started_at DESC, row_id DESC LIMIT 1)"
            " FROM agents WHERE count > 0 AND agent_id != '' ORDER BY agent_id LIMIT 1000"
        )
        return {str(row[0]): text(row[1]) for row in rows}

    def _unreadable(self, connection: Connection, asked: Where, kinds: Set[str]) -> dict[str, int]:
        # From the few that have some to what they are, never through all calls. A field that is known by now counts no
        # more.
        is_unknown = " ".join(f"WHEN '{name}' THEN {name} IS NULL" for name in FIELDS)
        rows = connection.rows(
            "SELECT kind, sum(count) FROM unreadable CROSS JOIN conversations USING (row_id)"
            f" WHERE kind IN (SELECT value FROM json_each(?)) AND CASE kind {is_unknown} ELSE 1 END AND {asked.sql}"
            " GROUP BY kind ORDER BY kind DESC",
            [json.dumps(sorted(kinds)), *asked.values],
        )
        return {str(kind): whole(count) for kind, count in rows}

    def _failures(self, connection: Connection, asked: Where, requested_at: datetime) -> dict[str, int]:
        asked.add("retry_at >= ?", milliseconds(requested_at))
        rows = connection.rows(
            f"SELECT failure, count(*) FROM conversations WHERE {asked.sql} GROUP BY 1 ORDER BY 2 DESC, 1", asked.values
        )
        return {str(why): whole(count) for why, count in rows}

    def _matching(self, filters: Filters) -> tuple[str, Where]:
        """What counts those that match: a SELECT up to its condition, and that."""
        if filters == Filters(agent_id=filters.agent_id) and is_whole(filters.agent_id):  # kept with every change
            return "SELECT sum(count) FROM agents WHERE ", Where(["? IN ('', agent_id)"], [filters.agent_id])
        return "SELECT count(*) FROM conversations WHERE ", where(filters)

    def _count(self, connection: Connection, asked: Where) -> int:
        rows = connection.rows(f"SELECT count(*) FROM conversations WHERE {asked.sql}", asked.values)
        return whole(rows[0][0])


def _running(agent_id: str, now: datetime) -> Where:
    asked = Where()
    asked.add("ended = 0 AND seen_at <= ?", milliseconds(now - timedelta(minutes=1)))
    asked.add("(? = '' OR agent_id = ?)", agent_id, agent_id)
    asked.add("coalesce(started_at, first_seen_at) > ?", milliseconds(now - timedelta(days=1)))
    asked.add(_NOT_JUST_MISSED, milliseconds(now - _RETRY_MISSING))
    return asked


def _due(need: DetailRequest, now: datetime) -> Where:
    asked = where(need.candidates)
    asked.add("detail_due_at <= ?", milliseconds(now))
    if need.whole or need.filters.results:
        return asked
    # Where only single fields are asked for, a call that has them is settled.
    unsettled: list[str] = []
    if need.filters.failure_reason:  # a list row may have said it already, or that there is none
        unsettled.append("failure_reason_known = 0 OR ended = 0")
    if replace(need.candidates, failure_reason=need.filters.failure_reason) != need.filters:
        unsettled.append("detail_at IS NULL")
    if unsettled:
        asked.add(f"({' OR '.join(unsettled)})")
    return asked


def _shortest(conversation_id: str, minimum: int, neighbours: Sequence[str | None]) -> str:
    length = minimum
    for neighbour in neighbours:
        while neighbour and neighbour.startswith(conversation_id[:length]) and length < len(conversation_id):
            length += 1
    return conversation_id[:length]
