"""Counts and numbers by group, over all matching conversations."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from formant_mcp.filters import GROUPINGS, SIGNALS, Filters
from formant_mcp.store.counts import start_daily_counts
from formant_mcp.store.distinct import distinct_sql
from formant_mcp.store.engine import Connection, OnDatabase, Parameter, Value, on_reader, on_writer, one_query
from formant_mcp.store.filter_sql import SORTED, Where, milliseconds, where
from formant_mcp.store.local_time import UNKNOWN_DAY
from formant_mcp.store.rows import whole
from formant_mcp.store.signals import signal_column, signal_text

DAY = "local_day"
HOUR = "local_hour"
DURATION = "duration_seconds"
RESULTS = "results."
LOADED = "loaded"  # groups calls by whether the details that a question groups by are loaded: 1 or 0
NOT_READ = "\x01"  # the key of a value that is not loaded yet; no stored text has this character

DAY_MS = 86_400_000
# What answers call each stored kind of value.
_KINDS = {"text": "text", "date": "text", "number": "number", "numeral": "number", "boolean": "boolean"}
_MANY = 150_000  # calls: to list their rows takes longer than to check one call for each value of a field
_DAILY_COUNTED = {"agent_id", "status", DAY}
_DAILY_FILTERS = frozenset({"agent_id", "status", "call_successful"})

Key = tuple[str | int | None, ...]
"""A value for each grouping: a text; days or hours since 1970 on the zone's clocks; None if there is none."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What to group by: GROUPINGS, DAY, HOUR, LOADED, `signals.<name>` or `results.<path>` (a list counts for each of
    its values).

    `not_loaded`: names whose values may not be loaded yet. A call whose details must be fetched at `now` has NOT_READ
    for them, even if it has an older value.
    """

    names: tuple[str, ...]
    zone: str
    now: datetime | None = None
    not_loaded: frozenset[str] = frozenset()

    def by(self, *names: str) -> "Grouping":
        """This grouping by other names."""
        return replace(self, names=names)


@dataclass(slots=True)
class GroupCount:
    """How many conversations, how many successful ones, and when the newest started: in a group with one of these keys.

    `example`: the newest one; '' until it is loaded.
    """

    count: int
    successes: int
    newest_at: int
    keys: tuple[Key, ...]
    example: str = ""

    def add(self, other: "GroupCount") -> None:
        """Adds another group to this one."""
        self.count += other.count
        self.successes += other.successes
        if other.newest_at > self.newest_at:
            self.newest_at, self.keys = other.newest_at, other.keys
        elif other.newest_at == self.newest_at:
            self.keys += other.keys


@dataclass(slots=True)
class Numbers:
    """How often each number of a field occurs. `left_out`: how many of its values are not numbers."""

    counts: Counter[float] = field(default_factory=Counter[float])
    left_out: int = 0

    def count(self, value: Value, times: int) -> None:
        """Counts a value; None is one that is not a number."""
        if value is None:
            self.left_out += times
        else:
            self.counts[float(value)] += times

    def add(self, other: "Numbers") -> None:
        """Adds the numbers of another group."""
        self.counts.update(other.counts)
        self.left_out += other.left_out

    @property
    def are_most(self) -> bool:
        """Whether half of the values or more are numbers."""
        return self.counts.total() >= max(1, self.left_out)


@dataclass(frozen=True, slots=True)
class FieldStats:
    """A result field: its kind, how many conversations have it, and its most frequent values or its numbers."""

    path: str
    kind: str
    count: int
    top: tuple[tuple[str, int], ...] = ()
    distinct: int = 0
    numbers: Numbers | None = None


class Aggregates(OnDatabase):
    """Computes figures over the matching conversations."""

    async def count_by(self, filters: Filters, *groupings: Grouping) -> list[dict[Key, GroupCount]]:
        """The counts of each group, for each of these groupings (in one zone); all from one moment."""
        counts = await self._count_by(filters, groupings)
        if counts is None:
            await self._start_daily_counts(groupings[0].zone)
            counts = await self._count_by(filters, groupings)
        return counts or [{} for _ in groupings]

    @on_reader
    def _count_by(
        self, connection: Connection, filters: Filters, groupings: Sequence[Grouping]
    ) -> list[dict[Key, GroupCount]] | None:
        """None if the daily counts would do and the zone has none yet."""
        has_daily_counts = bool(connection.rows("SELECT 1 FROM $zones WHERE zone = ?", [groupings[0].zone]))
        counts: list[dict[Key, GroupCount]] = []
        for grouping in groupings:
            if not is_daily_counted(filters, grouping):
                counts.append(_count_conversations(connection, filters, grouping))
            elif has_daily_counts:
                counts.append(_sum_daily_counts(connection, filters, grouping))
            else:
                return None
        return counts

    @one_query
    def numbers(self, connection: Connection, filters: Filters, grouping: Grouping, measure: str) -> dict[Key, Numbers]:
        """The numbers of DURATION, of `results.<path>` or of `signals.<name>` in each group."""
        columns, source, values = grouped(filters, grouping)
        column, has_value = DURATION, f"{DURATION} IS NOT NULL"
        if measure.startswith(SIGNALS):
            column = f"m.{signal_column(measure.removeprefix(SIGNALS))}"
            source, has_value = f"{source} JOIN $measured_as m ON m.row_id = c.row_id", f"{column} IS NOT NULL"
        elif measure != DURATION:
            source += " JOIN $result_values_as m ON m.row_id = c.row_id AND m.path = ?"
            values, column, has_value = [*values, measure.removeprefix(RESULTS)], "m.number", "true"
        if measure in grouping.not_loaded:
            source += f" AND NOT {_DUE}"
            values.append(_at(grouping.now))
        rows = connection.rows(
            f"SELECT {columns} {column}, count(*) FROM {source} WHERE {has_value}"
            f" {group_by((*grouping.names, measure))}",
            values,
        )
        numbers: dict[Key, Numbers] = defaultdict(Numbers)
        for *parts, value, count in rows:
            numbers[key_of(parts)].count(value, whole(count))
        return numbers

    @on_reader
    def span(self, connection: Connection, filters: Filters) -> tuple[int | None, int | None]:
        """The first and the last start, in milliseconds since 1970."""
        clause = where(filters)
        ends = [
            connection.rows(
                f"SELECT started_at FROM $conversations WHERE {clause.sql} AND started_at IS NOT NULL"
                f" ORDER BY started_at {SORTED[direction]} LIMIT 1",
                clause.values,
            )
            for direction in ("ASC", "DESC")
        ]
        return (whole(ends[0][0][0]), whole(ends[1][0][0])) if ends[0] else (None, None)

    @one_query
    def count_loaded(self, connection: Connection, filters: Filters, now: datetime) -> int:
        """How many matches have details that need not be fetched again now."""
        clause = _loaded(filters, now)
        return whole(
            connection.rows(f"SELECT count(*) FROM $conversations_as c WHERE {clause.sql}", clause.values)[0][0]
        )

    @one_query
    def paths(
        self, connection: Connection, filters: Filters | None = None, now: datetime | None = None, matched: int = 0
    ) -> dict[str, str]:
        """The paths of all result fields, each with its kind; `mixed` if there are several.

        With `now`, only from the calls that `count_loaded` counts. `matched`: about how many match, if that is counted.
        """
        within, values = _within(filters or Filters(), now, matched)
        kinds: dict[str, str] = {}
        for path, kind in connection.rows(
            # One index search for each path and kind, instead of one for each value. Those that no call has are left
            # out first: for each of them PostgreSQL would read all values of the path.
            "WITH k(kind) AS (VALUES ('text'), ('number'), ('boolean'), ('numeral'), ('date')), pairs AS MATERIALIZED"
            f" (SELECT p.x AS path, k.kind FROM ({distinct_sql('path', 'result_values')}) AS p, k WHERE"
            " (SELECT 1 FROM $result_values_as v WHERE v.path = p.x AND v.kind = k.kind LIMIT 1) = 1)"
            " SELECT pairs.path, pairs.kind FROM pairs WHERE (SELECT 1 FROM $result_values_as v"
            f" WHERE v.path = pairs.path AND v.kind = pairs.kind AND {within} LIMIT 1) = 1",
            values,
        ):
            name = _KINDS[str(kind)]
            kinds[str(path)] = name if kinds.get(str(path), name) == name else "mixed"
        return kinds

    @on_reader
    def field(
        self,
        connection: Connection,
        filters: Filters,
        path: str,
        kind: str,
        top: int,
        now: datetime | None = None,
        matched: int = 0,
    ) -> FieldStats:
        """One field over all matches: its numbers if most values are numbers, else its `top` most frequent values.

        `now`, `matched`: as for `paths`.
        """
        within, values = _within(filters, now, matched)
        source, values = f"FROM $result_values_as v WHERE path = ? AND {within}", [path, *values]
        # Grouped in the order of an index that has all columns used here.
        if kind in ("number", "mixed"):
            numbers, count = Numbers(), 0
            for value, times, conversations in connection.rows(
                f"SELECT number, count(*), count(*) FILTER (WHERE position = 0) {source}"
                " GROUP BY kind, folded, text, number",
                values,
            ):
                numbers.count(value, whole(times))
                count += whole(conversations)
            if numbers.are_most:
                return FieldStats(path, kind, count, numbers=numbers)
        by_kind = (
            f"SELECT text, count(*) FILTER (WHERE {is_first('v')}) AS first,"
            f" count(*) FILTER (WHERE position = 0) AS conversations {source}"
            " GROUP BY kind, folded, text"
        )
        rows = connection.rows(
            "SELECT text, sum(first), count(*) OVER (), sum(sum(conversations)) OVER ()"
            f" FROM ({by_kind}) AS by_kind GROUP BY text ORDER BY 2 DESC, text LIMIT ?",
            [*values, top],
        )
        most_frequent = tuple((str(row[0]), whole(row[1])) for row in rows)
        distinct, count = (whole(rows[0][2]), whole(rows[0][3])) if rows else (0, 0)
        return FieldStats(path, kind, count, most_frequent, distinct)

    @on_writer
    def _start_daily_counts(self, connection: Connection, zone: str) -> None:
        """Counts the days of a zone, once and from then on."""
        start_daily_counts(connection, zone)


_DUE = "(c.detail_due_at IS NOT NULL AND c.detail_due_at <= ?)"


def _count_conversations(connection: Connection, filters: Filters, grouping: Grouping) -> dict[Key, GroupCount]:
    columns, source, values = grouped(filters, grouping)
    rows = connection.rows(
        f"SELECT {columns} count(*), count(*) FILTER (WHERE outcome = 'success'),"
        f" max(coalesce(started_at, 0)) FROM {source} {group_by(grouping.names)}",
        values,
    )
    counts: dict[Key, GroupCount] = {}
    for *parts, count, successes, newest_at in rows:
        if count:
            key = key_of(parts)
            counts[key] = GroupCount(whole(count), whole(successes), whole(newest_at), (key,))
    return counts


def _sum_daily_counts(connection: Connection, filters: Filters, grouping: Grouping) -> dict[Key, GroupCount]:
    """The counts from `daily_counts`: in a few milliseconds for any account."""
    names = ["day" if name == DAY else name for name in grouping.names]
    clause = where(filters)
    rows = connection.rows(
        f"SELECT {''.join(f'{name}, ' for name in names)} sum(count),"
        " sum(CASE WHEN outcome = 'success' THEN count ELSE 0 END), max(day) FROM $daily_counts"
        f" WHERE zone = ? AND count > 0 AND {clause.sql} {'GROUP BY ' if names else ''}{', '.join(names)}",
        [grouping.zone, *clause.values],
    )
    counts: dict[Key, GroupCount] = {}
    for *parts, count, successes, day in rows:
        if count:
            key = key_of([None if part in ("", UNKNOWN_DAY) else part for part in parts])
            counts[key] = GroupCount(whole(count), whole(successes), whole(day) * DAY_MS, (key,))
    return counts


def is_daily_counted(filters: Filters, grouping: Grouping) -> bool:
    """Whether the groups are counted by day: `newest_at` is the midnight before the newest then."""
    return set(grouping.names) <= _DAILY_COUNTED and filters.only(_DAILY_FILTERS) == filters


def grouped(filters: Filters, grouping: Grouping, also: Where | None = None) -> tuple[str, str, list[Parameter]]:
    """The columns of the groupings (each followed by a comma), the FROM clause, and the parameters of both.

    `also`: what conversations must meet besides the filters.
    """
    clause = where(filters)
    if also:
        clause.add(also.sql, *also.values)
    source = f"(SELECT * FROM $conversations WHERE {clause.sql}) AS c"
    columns, column_values, paths = "", list[Value](), list[Value]()
    for index, name in enumerate(grouping.names):
        column = f"c.{name}"
        if name in (DAY, HOUR):
            column = f"{name}(?, started_at)"
            column_values.append(grouping.zone)
        elif name == LOADED:
            due = {_not_loaded(unread) for unread in grouping.not_loaded}
            column = f"CASE WHEN {' OR '.join(sorted(due)) or 'false'} THEN 0 ELSE 1 END"
            column_values += [_at(grouping.now)] * len(due)
        elif name not in GROUPINGS:
            if name.startswith(SIGNALS):
                column = signal_text(name.removeprefix(SIGNALS), f"g{index}")
                source += f" LEFT JOIN $measured_as g{index} ON g{index}.row_id = c.row_id"
            else:
                column = f"g{index}.text"
                source += f" LEFT JOIN $result_values_as g{index} ON g{index}.row_id = c.row_id AND g{index}.path = ?"
                source += f" AND {is_first(f'g{index}')}"
                paths.append(name.removeprefix(RESULTS))
            if name in grouping.not_loaded:  # without its older values, so that the call counts once
                source += f" AND NOT {_DUE}"
                paths.append(_at(grouping.now))
        if name in grouping.not_loaded:
            column = f"CASE WHEN {_not_loaded(name)} THEN ? ELSE {column} END"
            column_values += [_at(grouping.now), NOT_READ]
        columns += f"{column}, "
    return columns, source, [*column_values, *clause.values, *paths]


def _not_loaded(name: str) -> str:
    """SQL: whether the value of that name must still be fetched. One parameter: the time."""
    if name == "failure_reason":  # the list may have sent it, or that there is none
        return f"({_DUE} AND (c.failure_reason_known = 0 OR c.ended = 0))"
    return f"({_DUE} AND c.detail_at IS NULL)" if name in GROUPINGS else _DUE


def _at(now: datetime | None) -> int:
    return 0 if now is None else milliseconds(now)


def is_first(alias: str) -> str:
    """SQL: whether it is the first occurrence of a value within a list; each counts once for a conversation."""
    return (
        f"({alias}.position = 0 OR NOT EXISTS (SELECT 1 FROM $result_values_as e WHERE e.row_id = {alias}.row_id"
        f" AND e.path = {alias}.path AND e.text = {alias}.text AND e.position < {alias}.position))"
    )


def group_by(groupings: Sequence[str]) -> str:
    """SQL: groups by the first columns, one for each of these names."""
    # By the values as sent: the columns compare without case.
    return f"GROUP BY {', '.join(f'{i}$exact' for i in range(1, len(groupings) + 1))}" if groupings else ""


def _loaded(filters: Filters, now: datetime) -> Where:
    clause = where(filters)
    clause.add(f"NOT {_DUE}", milliseconds(now))
    return clause


def _within(filters: Filters, now: datetime | None, matched: int) -> tuple[str, list[Parameter]]:
    """Whether a value belongs to a match. The rows of all matches are listed first, unless they are many."""
    clause = _loaded(filters, now) if now else where(filters)
    if not clause.parts:
        return "true", []
    if matched > _MANY:
        call = "FROM $conversations_as c WHERE c.row_id = v.row_id"
        return f"EXISTS (SELECT 1 {call} AND {clause.sql})", clause.values
    return f"v.row_id IN (SELECT row_id FROM $conversations_as c WHERE {clause.sql})", clause.values


def key_of(parts: Sequence[Value]) -> Key:
    """The key of a group with these values."""
    return tuple(
        None if part == UNKNOWN_DAY else part if isinstance(part, str) or part is None else int(part) for part in parts
    )
