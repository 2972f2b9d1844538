"""Counts and values by groups, over everything that matches."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from formant_mcp.filters import Filters
from formant_mcp.store.connection import Connection, Value
from formant_mcp.store.database import OnDatabase, on_reader, on_writer
from formant_mcp.store.filter_sql import Where, milliseconds, where
from formant_mcp.store.local_time import UNKNOWN_DAY
from formant_mcp.store.rows import text, whole

COLUMNS = ("status", "agent_id", "failure_reason", "contact_number", "direction")
DAY = "local_day"
HOUR = "local_hour"
DURATION = "duration_seconds"
RESULTS = "results."
LOADED = "loaded"  # groups calls by whether the details that a question groups by are loaded: 1 or 0
NOT_READ = "\x01"  # stands in a key for a value that is not loaded yet; no stored text has such a character

_DAY_MS = 86_400_000
# What each stored kind of value is called.
_KINDS = {"text": "text", "date": "text", "number": "number", "numeral": "number", "boolean": "boolean"}
_OF_A_DAY = {"agent_id", "status", DAY}

Key = tuple[str | int | None, ...]
"""A value for each grouping: a text; days or hours since 1970 on the zone's clocks; None where there is none."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What to group by: COLUMNS, DAY, HOUR, LOADED or `results.<path>`, where a list counts for each of its values.

    `not_loaded`: the names whose values may not be loaded yet. A call whose details are due at `now` has NOT_READ for
    them, and never a value that another reading may change.
    """

    names: tuple[str, ...]
    zone: str
    now: datetime | None = None
    not_loaded: frozenset[str] = frozenset()

    def by(self, *names: str) -> "Grouping":
        """The same by other names."""
        return replace(self, names=names)


@dataclass(slots=True)
class GroupCount:
    """How many conversations, how many successful, and the newest of them (or, without its id, its group's key)."""

    count: int
    successes: int
    newest_at: int
    example: str
    key: Key

    def add(self, other: "GroupCount") -> None:
        """Takes in another group."""
        self.count += other.count
        self.successes += other.successes
        if other.newest_at > self.newest_at:
            self.newest_at, self.example, self.key = other.newest_at, other.example, other.key


@dataclass(slots=True)
class Numbers:
    """The numbers of a field, each with how often it occurs, and how many other values it has: texts that read as no
    number, yes and no."""

    counts: Counter[float] = field(default_factory=Counter[float])
    left_out: int = 0

    def count(self, value: Value, times: int) -> None:
        """Takes in a value; None is one that is no number."""
        if value is None:
            self.left_out += times
        else:
            self.counts[float(value)] += times

    def add(self, other: "Numbers") -> None:
        """Takes in those of another group."""
        self.counts.update(other.counts)
        self.left_out += other.left_out

    @property
    def are_most(self) -> bool:
        """Whether half of the values or more are numbers."""
        return self.counts.total() >= max(1, self.left_out)


@dataclass(frozen=True, slots=True)
class FieldStats:
    """One field of the results: its kind, how many conversations have it, and its commonest values or its numbers."""

    path: str
    kind: str
    count: int
    top: tuple[tuple[str, int], ...] = ()
    distinct: int = 0
    numbers: Numbers | None = None


class Aggregates(OnDatabase):
    """Figures over the conversations that match."""

    async def tallies(self, filters: Filters, grouping: Grouping) -> dict[Key, GroupCount]:
        """Counts of each group."""
        coarse = Filters(agent_id=filters.agent_id, status=filters.status, call_successful=filters.call_successful)
        if not set(grouping.names) <= _OF_A_DAY or filters != coarse:
            return await self._tallies(filters, grouping)
        found = await self._by_day(filters, grouping.names, grouping.zone)
        if found is None:
            await self._keep_tallies(grouping.zone)
            found = await self._by_day(filters, grouping.names, grouping.zone)
        return found or {}

    @on_reader
    def _tallies(self, connection: Connection, filters: Filters, grouping: Grouping) -> dict[Key, GroupCount]:
        columns, source, values = _grouped(filters, grouping)
        rows = connection.rows(
            f"SELECT {columns} count(*), sum(outcome IS 'success'), max(coalesce(started_at, 0)), conversation_id"
            f" FROM {source} {_group_by(grouping.names)}",
            values,
        )
        found: dict[Key, GroupCount] = {}
        for *key, count, successes, newest_at, example in rows:
            if count:
                group = _key(key)
                found[group] = GroupCount(whole(count), whole(successes), whole(newest_at), text(example) or "", group)
        return found

    @on_reader
    def numbers(self, connection: Connection, filters: Filters, grouping: Grouping, measure: str) -> dict[Key, Numbers]:
        """The numbers of DURATION or of `results.<path>` in each group."""
        columns, source, values = _grouped(filters, grouping)
        column, is_asked = DURATION, f"{DURATION} IS NOT NULL"
        if measure != DURATION:
            source += " JOIN result_values m ON m.row_id = c.row_id AND m.path = ?"
            values, column, is_asked = [*values, measure.removeprefix(RESULTS)], "m.number", "1"
            if measure in grouping.not_loaded:
                source += f" AND NOT {_DUE}"
                values.append(_at(grouping.now))
        rows = connection.rows(
            f"SELECT {columns} {column}, count(*) FROM {source} WHERE {is_asked}"
            f" {_group_by((*grouping.names, measure))}",
            values,
        )
        found: dict[Key, Numbers] = defaultdict(Numbers)
        for *key, value, times in rows:
            found[_key(key)].count(value, whole(times))
        return found

    @on_reader
    def example(self, connection: Connection, filters: Filters, grouping: Grouping, key: Key) -> str:
        """The newest conversation of a group by agent, status or day."""
        asked = where(filters)
        for name, value in zip(grouping.names, key, strict=True):
            if value is None:
                asked.add(f"{'started_at' if name == DAY else name} IS NULL")
            elif name != DAY:
                asked.add(f"{name} = ? AND {name} COLLATE BINARY = ?", value, value)
            else:  # the day in UTC, half a day wider on both sides so that an index finds it, then the day itself
                around = whole(value) * _DAY_MS
                asked.add("started_at BETWEEN ? AND ?", around - _DAY_MS, around + 2 * _DAY_MS)
                asked.add("local_day(?, started_at) = ?", grouping.zone, value)
        rows = connection.rows(
            f"SELECT conversation_id FROM conversations WHERE {asked.sql} ORDER BY started_at DESC LIMIT 1",
            asked.values,
        )
        return str(rows[0][0]) if rows else ""

    @on_reader
    def span(self, connection: Connection, filters: Filters) -> tuple[int | None, int | None]:
        """The first and the last start, in milliseconds."""
        asked = where(filters)
        ends = [
            connection.rows(
                f"SELECT started_at FROM conversations WHERE {asked.sql} AND started_at IS NOT NULL"
                f" ORDER BY started_at {direction} LIMIT 1",
                asked.values,
            )
            for direction in ("ASC", "DESC")
        ]
        return (whole(ends[0][0][0]), whole(ends[1][0][0])) if ends[0] else (None, None)

    @on_reader
    def count_loaded(self, connection: Connection, filters: Filters, now: datetime) -> int:
        """How many that match have their details, and need not have them read again now."""
        asked = _loaded(filters, now)
        return whole(connection.rows(f"SELECT count(*) FROM conversations c WHERE {asked.sql}", asked.values)[0][0])

    @on_reader
    def paths(
        self, connection: Connection, filters: Filters | None = None, now: datetime | None = None
    ) -> dict[str, str]:
        """The paths of the results' fields, each with its kind; `mixed` where there are several.

        With `now`, only of the calls that `count_loaded` counts.
        """
        within, values = _within(filters or Filters(), now)
        kinds: dict[str, str] = {}
        for path, kind in connection.rows(
            # Each path is searched once for each kind instead of at each of its values.
            "WITH RECURSIVE p(path) AS (SELECT min(path) FROM result_values UNION ALL"
            " SELECT (SELECT min(path) FROM result_values WHERE path > p.path) FROM p WHERE p.path IS NOT NULL),"
            " k(kind) AS (VALUES ('text'), ('number'), ('boolean'), ('numeral'), ('date'))"
            " SELECT p.path, k.kind FROM p, k WHERE p.path IS NOT NULL AND EXISTS"
            f" (SELECT 1 FROM result_values v WHERE v.path = p.path AND v.kind = k.kind AND {within})",
            values,
        ):
            named = _KINDS[str(kind)]
            kinds[str(path)] = named if kinds.get(str(path), named) == named else "mixed"
        return kinds

    @on_reader
    def field(
        self, connection: Connection, filters: Filters, path: str, kind: str, top: int, now: datetime | None = None
    ) -> FieldStats:
        """One field over everything that matches: its numbers where most values are, else the `top` commonest.

        With `now`, only of the calls that `count_loaded` counts.
        """
        within, values = _within(filters, now)
        source, values = f"FROM result_values v WHERE path = ? AND {within}", [path, *values]
        # In the order of an index, which has all that is counted.
        if kind in ("number", "mixed"):
            numbers, count = Numbers(), 0
            for value, times, conversations in connection.rows(
                f"SELECT number, count(*), sum(position = 0) {source} GROUP BY kind, folded, text, number", values
            ):
                numbers.count(value, whole(times))
                count += whole(conversations)
            if numbers.are_most:
                return FieldStats(path, kind, count, numbers=numbers)
        each = (
            f"SELECT text, count(*) FILTER (WHERE {_is_first('v')}) AS first,"
            f" count(*) FILTER (WHERE position = 0) AS conversations {source}"
            " GROUP BY kind, folded, text"
        )
        rows = connection.rows(
            "SELECT text, sum(first), count(*) OVER (), sum(sum(conversations)) OVER ()"
            f" FROM ({each}) GROUP BY text ORDER BY 2 DESC, text LIMIT ?",
            [*values, top],
        )
        commonest = tuple((str(row[0]), whole(row[1])) for row in rows)
        distinct, count = (whole(rows[0][2]), whole(rows[0][3])) if rows else (0, 0)
        return FieldStats(path, kind, count, commonest, distinct)

    @on_reader
    def _by_day(
        self, connection: Connection, filters: Filters, groupings: Sequence[str], zone: str
    ) -> dict[Key, GroupCount] | None:
        """The same out of the tallies kept day by day: the whole of a large account in a few milliseconds.

        None where none are kept for that zone yet.
        """
        if not connection.rows("SELECT 1 FROM zones WHERE zone = ?", [zone]):
            return None
        # The status is compared without case, but grouped by as it was sent.
        names = ["sent" if grouping == "status" else "day" if grouping == DAY else grouping for grouping in groupings]
        asked = where(filters)
        rows = connection.rows(
            f"SELECT {''.join(f'{name}, ' for name in names)} sum(count),"
            " sum(iif(outcome = 'success', count, 0)), max(day) FROM"
            " (SELECT agent_id, status AS sent, status COLLATE NOCASE AS status, outcome, day, count FROM tallies"
            f" WHERE zone = ? AND count > 0) WHERE {asked.sql} {'GROUP BY ' if names else ''}{', '.join(names)}",
            [zone, *asked.values],
        )
        found: dict[Key, GroupCount] = {}
        for *parts, count, successes, day in rows:
            if count:
                key = _key([None if part in ("", UNKNOWN_DAY) else part for part in parts])
                found[key] = GroupCount(whole(count), whole(successes), whole(day) * _DAY_MS, "", key)
        return found

    @on_writer
    def _keep_tallies(self, connection: Connection, zone: str) -> None:
        """Counts a zone's days once; from then on the store keeps them with every change."""
        if connection.run("INSERT INTO zones VALUES (?) ON CONFLICT DO NOTHING", [zone]):
            connection.run(
                "INSERT INTO tallies SELECT ?, coalesce(agent_id, ''), coalesce(status, ''), coalesce(outcome, ''),"
                " local_day(?, started_at), count(*) FROM conversations GROUP BY 2, 3 COLLATE BINARY, 4, 5",
                [zone, zone],
            )


_DUE = "(c.detail_due_at IS NOT NULL AND c.detail_due_at <= ?)"


def _grouped(filters: Filters, grouping: Grouping) -> tuple[str, str, list[Value]]:
    """What to select for the groupings (each with a comma), from where, and the values of both."""
    asked = where(filters)
    source = f"(SELECT * FROM conversations WHERE {asked.sql}) c"
    columns, column_values, paths = "", list[Value](), list[Value]()
    for index, name in enumerate(grouping.names):
        column = f"c.{name}"
        if name in (DAY, HOUR):
            column = f"{name}(?, started_at)"
            column_values.append(grouping.zone)
        elif name == LOADED:
            due = {_not_loaded(each) for each in grouping.not_loaded}
            column = f"iif({' OR '.join(sorted(due)) or '0'}, 0, 1)"
            column_values += [_at(grouping.now)] * len(due)
        elif name not in COLUMNS:
            column = f"g{index}.text"
            source += f" LEFT JOIN result_values g{index} ON g{index}.row_id = c.row_id AND g{index}.path = ?"
            source += f" AND {_is_first(f'g{index}')}"
            paths.append(name.removeprefix(RESULTS))
            if name in grouping.not_loaded:  # values that may have changed are none, so that the call counts once
                source += f" AND NOT {_DUE}"
                paths.append(_at(grouping.now))
        if name in grouping.not_loaded:
            column = f"iif({_not_loaded(name)}, ?, {column})"
            column_values += [_at(grouping.now), NOT_READ]
        columns += f"{column}, "
    return columns, source, [*column_values, *asked.values, *paths]


def _not_loaded(name: str) -> str:
    """Whether a call's value of that name may still change; one parameter: the time."""
    if name == "failure_reason":  # a list row may have it, or say that there is none
        return f"({_DUE} AND (c.failure_reason_known = 0 OR c.ended = 0))"
    return f"({_DUE} AND c.detail_at IS NULL)" if name in COLUMNS else _DUE


def _at(now: datetime | None) -> int:
    return 0 if now is None else milliseconds(now)


def _is_first(alias: str) -> str:
    """Whether a value of a list does not stand in it before: each counts once for a conversation."""
    return (
        f"({alias}.position = 0 OR NOT EXISTS (SELECT 1 FROM result_values e WHERE e.row_id = {alias}.row_id"
        f" AND e.path = {alias}.path AND e.text = {alias}.text AND e.position < {alias}.position))"
    )


def _group_by(groupings: Sequence[str]) -> str:
    # As sent: the columns compare without case, a summary must not.
    return f"GROUP BY {', '.join(f'{i} COLLATE BINARY' for i in range(1, len(groupings) + 1))}" if groupings else ""


def _loaded(filters: Filters, now: datetime) -> Where:
    asked = where(filters)
    asked.add(f"NOT {_DUE}", milliseconds(now))
    return asked


def _within(filters: Filters, now: datetime | None) -> tuple[str, list[Value]]:
    asked = _loaded(filters, now) if now else where(filters)
    if not asked.parts:
        return "1", []
    return f"v.row_id IN (SELECT row_id FROM conversations c WHERE {asked.sql})", asked.values


def _key(parts: Sequence[Value]) -> Key:
    return tuple(
        None if part == UNKNOWN_DAY else part if isinstance(part, str) or part is None else int(part) for part in parts
    )
