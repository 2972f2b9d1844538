"""Reads what makes calls worth listening to: signals over the whole account, failures, and result values."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from heapq import nsmallest
from typing import NamedTuple

from formant_mcp.analysis.review import Range
from formant_mcp.analysis.signals import MEASURED
from formant_mcp.filters import Filters
from formant_mcp.store.engine import Connection, OnDatabase, Value, on_reader
from formant_mcp.store.filter_sql import NEWEST_FIRST, where
from formant_mcp.store.rows import number, text, whole

_AT_ONCE = 2_000  # calls in memory
_NUMBERS = "kind IN ('number', 'numeral')"
_LONGEST_VALUE = 60  # characters; longer ones are sentences

FAILED = "outcome = 'failure' AND (duration_seconds > 0 OR turn_count > 0)"
"""SQL: whether a call connected and then failed. An index has these calls."""


class SignalRow(NamedTuple):
    """A call's row and agent, and its signals by name, those that are measured."""

    row_id: int
    agent_id: str | None
    signals: dict[str, float]


class ShortValue(NamedTuple):
    """A short value of a call's results."""

    row_id: int
    path: str
    kind: str
    text: str
    number: float | None


class Draw(NamedTuple):
    """Drawn calls, by row and id, and how many they were drawn from, with those left out."""

    calls: list[tuple[int, str]]
    drawn_from: int


class Review(OnDatabase):
    """Reads for reviews. Rows are the store's own numbers of calls, and leave no answer."""

    @on_reader
    def distributions(
        self, connection: Connection, filters: Filters, names: Sequence[str]
    ) -> dict[str | None, dict[str, Counter[float]]]:
        """How often each value of these signals occurs in the matches whose transcripts are measured, by agent."""
        columns = ", ".join(map(_column, names))
        counts = defaultdict[str | None, list[Counter[Value]]](lambda: [Counter() for _ in names])
        last, clause = 0, where(filters)
        while rows := connection.rows(
            f"SELECT row_id, agent_id, {columns} FROM $signals_as s $join $conversations_as c USING (row_id)"
            f" WHERE s.turn_count IS NOT NULL AND row_id > ? AND {clause.sql} ORDER BY row_id LIMIT ?",
            [last, *clause.values, _AT_ONCE],
        ):
            last = whole(rows[-1][0])
            by_agent = defaultdict[Value, list[tuple[Value, ...]]](list)
            for row in rows:
                by_agent[row[1]].append(row)
            for agent, rows_of_agent in by_agent.items():
                _, _, *values = zip(*rows_of_agent, strict=True)
                for counter, column in zip(counts[text(agent)], values, strict=True):
                    counter.update(column)
        return {
            agent: {name: _numbers(counter) for name, counter in zip(names, counters, strict=True)}
            for agent, counters in counts.items()
        }

    @on_reader
    def signals_at(
        self, connection: Connection, filters: Filters, limits: Mapping[str, float], names: Sequence[str]
    ) -> list[SignalRow]:
        """The matches with a transcript that have one of `names`, or one of `limits` at that value or above."""
        if not (limits or names):
            return []
        columns = [*limits, *names]
        parts = [f"{_column(name)} >= ?" for name in limits] + [f"{_column(name)} IS NOT NULL" for name in names]
        clause = where(filters)
        rows = connection.rows(
            f"SELECT row_id, agent_id, {', '.join(map(_column, columns))}"
            " FROM $signals_as s $join $conversations_as c USING (row_id)"
            f" WHERE s.turn_count IS NOT NULL AND ({' OR '.join(parts)}) AND {clause.sql}",
            [*map(_limit_of, limits, limits.values()), *clause.values],
        )
        return [
            SignalRow(
                whole(row_id),
                text(agent),
                {name: float(value) for name, value in zip(columns, values, strict=True) if value is not None},
            )
            for row_id, agent, *values in rows
        ]

    @on_reader
    def failed_after_connection(self, connection: Connection, filters: Filters) -> list[int]:
        """The rows of the matches that connected and then failed."""
        clause = where(filters)
        rows = connection.rows(f"SELECT row_id FROM $conversations WHERE {FAILED} AND {clause.sql}", clause.values)
        return [whole(row_id) for (row_id,) in rows]

    @on_reader
    def ranges(self, connection: Connection, filters: Filters, paths: Sequence[str]) -> dict[str, Range]:
        """The range of the numbers of each of these result fields that has some, over all matches."""
        clause = where(filters)
        joined = "$join $conversations_as c USING (row_id)" if clause.parts else ""
        rows = connection.rows(
            "SELECT v.path, min(number), max(number), count(*) FILTER (WHERE number <> round(number))"
            f" FROM $result_values_as v {joined}"
            f" WHERE v.path $in_list AND {_NUMBERS} AND {clause.sql} GROUP BY v.path",
            [list(paths), *clause.values],
        )
        return {
            str(path): Range(float(lowest), float(highest), not fractions)
            for path, lowest, highest, fractions in rows
            if lowest is not None and highest is not None
        }

    @on_reader
    def low_values(self, connection: Connection, filters: Filters, path: str, limit: float) -> dict[int, float]:
        """The lowest number of a field in each match that has one up to the limit, by row."""
        clause = where(filters)
        joined = "$join $conversations_as c USING (row_id)" if clause.parts else ""
        rows = connection.rows(
            f"SELECT row_id, min(number) FROM $result_values_as v {joined}"
            f" WHERE v.path = ? AND {_NUMBERS} AND number <= ? AND {clause.sql} GROUP BY row_id",
            [path, limit, *clause.values],
        )
        return {whole(row_id): float(value) for row_id, value in rows if value is not None}

    @on_reader
    def short_values(self, connection: Connection, row_ids: Sequence[int]) -> list[ShortValue]:
        """The short values of the results of these calls."""
        rows = connection.rows(
            "SELECT row_id, v.path, kind, text, number FROM $each_number $join $result_values_as v ON row_id = value"
            " WHERE length(text) <= ? ORDER BY row_id, v.path, position",
            [list(row_ids), _LONGEST_VALUE],
        )
        return [
            ShortValue(whole(row_id), str(path), str(kind), str(words), number(size))
            for row_id, path, kind, words, size in rows
        ]

    @on_reader
    def newest(self, connection: Connection, row_ids: Sequence[int], limit: int) -> list[tuple[int, str]]:
        """The newest of these calls, each with its id."""
        rows = connection.rows(
            f"SELECT row_id, conversation_id FROM $conversations WHERE row_id $in_list ORDER BY {NEWEST_FIRST} LIMIT ?",
            [list(row_ids), limit],
        )
        return [(whole(row_id), str(name)) for row_id, name in rows]

    @on_reader
    def draw(
        self, connection: Connection, filters: Filters, key: Callable[[str], bytes], count: int, without: Set[int]
    ) -> Draw:
        """The `count` calls with the smallest keys of their ids, of the matches that have ended and have a transcript,
        apart from those rows."""
        clause = where(filters)
        rows = connection.rows(
            "SELECT conversation_id, row_id FROM $conversations $by_transcript"
            f" WHERE turn_count > 0 AND ended = 1 AND {clause.sql}",
            clause.values,
        )
        others = (row for row in rows if row[1] not in without)
        drawn = nsmallest(count, others, key=lambda row: key(str(row[0]))) if count else []
        return Draw([(whole(row_id), str(name)) for name, row_id in drawn], len(rows))


def _limit_of(name: str, limit: float) -> float:
    """A whole number for a column of whole numbers: otherwise PostgreSQL converts each row, and estimates badly."""
    return limit if MEASURED[name].kind == "number" else math.ceil(limit)


def _column(name: str) -> str:
    if name not in MEASURED:
        raise ValueError(name)
    return f"s.{name}"


def _numbers(counts: Counter[Value]) -> Counter[float]:
    return Counter({float(value): count for value, count in counts.items() if value is not None})
