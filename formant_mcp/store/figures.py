"""Counts and values by groups, over everything that matches."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from formant_mcp.filters import Filters
from formant_mcp.store.calendar import UNKNOWN_DAY
from formant_mcp.store.criteria import where
from formant_mcp.store.database import Database, Value
from formant_mcp.store.rows import text, whole

COLUMNS = ("status", "agent_id", "failure_reason", "contact_number")
DAY = "local_day"
HOUR = "local_hour"
DURATION = "duration_seconds"
RESULTS = "results."

_DAY_MS = 86_400_000
# What each stored kind of value is called.
_KINDS = {"text": "text", "date": "text", "number": "number", "numeral": "number", "boolean": "boolean"}
_OF_A_DAY = {"agent_id", "status", DAY}

Key = tuple[str | int | None, ...]
"""A value for each grouping: a text; days or hours since 1970 on the zone's clocks; None where there is none."""


@dataclass(slots=True)
class Tally:
    """How many conversations, how many successful, and the newest of them (or, without its id, its group's key)."""

    count: int
    successes: int
    newest_at: int
    example: str
    key: Key

    def add(self, other: "Tally") -> None:
        """Takes in another group."""
        self.count += other.count
        self.successes += other.successes
        if other.newest_at > self.newest_at:
            self.newest_at, self.example, self.key = other.newest_at, other.example, other.key


@dataclass(slots=True)
class Numbers:
    """The numbers of a field, and how many other values it has: texts that read as no number, yes and no."""

    found: list[float] = field(default_factory=list[float])
    left_out: int = 0

    def add(self, other: "Numbers") -> None:
        """Takes in those of another group."""
        self.found += other.found
        self.left_out += other.left_out

    @property
    def are_most(self) -> bool:
        """Whether half of the values or more are numbers."""
        return len(self.found) >= max(1, self.left_out)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the results: its kind, how many conversations have it, and its commonest values or its numbers."""

    path: str
    kind: str
    count: int
    top: tuple[tuple[str, int], ...] = ()
    distinct: int = 0
    numbers: Numbers | None = None


class Figures:
    """Figures over the conversations that match."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tallies(self, filters: Filters, groupings: Sequence[str], zone: str) -> dict[Key, Tally]:
        """Counts by groupings: COLUMNS, DAY, HOUR or `results.<path>`, where a list counts for each of its values."""
        coarse = Filters(agent_id=filters.agent_id, status=filters.status, call_successful=filters.call_successful)
        if set(groupings) <= _OF_A_DAY and filters == coarse:
            return self._by_day(filters, groupings, zone)
        columns, source, values = _grouped(filters, groupings, zone)
        rows = self._database.rows(
            f"SELECT {columns} count(*), sum(outcome IS 'success'), max(coalesce(started_at, 0)), conversation_id"
            f" FROM {source} {_group_by(groupings)}",
            values,
        )
        found: dict[Key, Tally] = {}
        for *key, count, successes, newest_at, example in rows:
            if count:
                found[_key(key)] = Tally(
                    whole(count), whole(successes), whole(newest_at), text(example) or "", _key(key)
                )
        return found

    def numbers(self, filters: Filters, groupings: Sequence[str], measure: str, zone: str) -> dict[Key, Numbers]:
        """The numbers of DURATION or of `results.<path>`, by the same groupings."""
        columns, source, values = _grouped(filters, groupings, zone)
        column, is_asked = DURATION, f"{DURATION} IS NOT NULL"
        if measure != DURATION:
            source += " JOIN result_values m ON m.row_id = c.row_id AND m.path = ?"
            values, column, is_asked = [*values, measure.removeprefix(RESULTS)], "m.number", "1"
        found: dict[Key, Numbers] = defaultdict(Numbers)
        for *key, value in self._database.rows(f"SELECT {columns} {column} FROM {source} WHERE {is_asked}", values):
            _count_in(found[_key(key)], value)
        return found

    def example(self, filters: Filters, groupings: Sequence[str], key: Key, zone: str) -> str:
        """The newest conversation of a group by agent, status or day."""
        asked = where(filters)
        for grouping, value in zip(groupings, key, strict=True):
            if value is None:
                asked.add(f"{'started_at' if grouping == DAY else grouping} IS NULL")
            elif grouping != DAY:
                asked.add(f"{grouping} = ? AND {grouping} COLLATE BINARY = ?", value, value)
            else:  # the day in UTC, half a day wider on both sides so that an index finds it, then the day itself
                around = whole(value) * _DAY_MS
                asked.add("started_at BETWEEN ? AND ?", around - _DAY_MS, around + 2 * _DAY_MS)
                asked.add("local_day(?, started_at) = ?", zone, value)
        rows = self._database.rows(
            f"SELECT conversation_id FROM conversations WHERE {asked.sql} ORDER BY started_at DESC LIMIT 1",
            asked.values,
        )
        return str(rows[0][0]) if rows else ""

    def span(self, filters: Filters) -> tuple[int | None, int | None]:
        """The first and the last start, in milliseconds."""
        asked = where(filters)
        ends = [
            self._database.rows(
                f"SELECT started_at FROM conversations WHERE {asked.sql} AND started_at IS NOT NULL"
                f" ORDER BY started_at {direction} LIMIT 1",
                asked.values,
            )
            for direction in ("ASC", "DESC")
        ]
        return (whole(ends[0][0][0]), whole(ends[1][0][0])) if ends[0] else (None, None)

    def paths(self, filters: Filters | None = None) -> dict[str, str]:
        """The paths of the results' fields, each with its kind; `mixed` where there are several."""
        within, values = _within(filters or Filters())
        kinds: dict[str, str] = {}
        for path, kind in self._database.rows(
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

    def field(self, filters: Filters, path: str, kind: str, top: int) -> Field:
        """One field over everything that matches: its numbers where most values are, else the `top` commonest."""
        within, values = _within(filters)
        source, values = f"FROM result_values v WHERE path = ? AND {within}", [path, *values]
        count = self._database.rows(f"SELECT count(*) {source} AND position = 0", values)[0][0]
        if kind in ("number", "mixed"):
            numbers = Numbers()
            for (value,) in self._database.rows(f"SELECT number {source}", values):
                _count_in(numbers, value)
            if numbers.are_most:
                return Field(path, kind, whole(count), numbers=numbers)
        each = f"SELECT text, count(*) n {source} AND {_is_first('v')} GROUP BY text"
        rows = self._database.rows(
            f"SELECT text, n, count(*) OVER () FROM ({each}) ORDER BY n DESC, text LIMIT ?", [*values, top]
        )
        commonest = tuple((str(row[0]), whole(row[1])) for row in rows)
        return Field(path, kind, whole(count), commonest, whole(rows[0][2]) if rows else 0)

    def _by_day(self, filters: Filters, groupings: Sequence[str], zone: str) -> dict[Key, Tally]:
        """The same out of the tallies kept day by day: the whole of a large account in a few milliseconds."""
        self._keep_tallies(zone)
        # The status is compared without case, but grouped by as it was sent.
        names = ["sent" if grouping == "status" else "day" if grouping == DAY else grouping for grouping in groupings]
        asked = where(filters)
        rows = self._database.rows(
            f"SELECT {''.join(f'{name}, ' for name in names)} sum(count),"
            " sum(iif(outcome = 'success', count, 0)), max(day) FROM"
            " (SELECT agent_id, status AS sent, status COLLATE NOCASE AS status, outcome, day, count FROM tallies"
            f" WHERE zone = ? AND count > 0) WHERE {asked.sql} {'GROUP BY ' if names else ''}{', '.join(names)}",
            [zone, *asked.values],
        )
        found: dict[Key, Tally] = {}
        for *parts, count, successes, day in rows:
            if count:
                key = _key([None if part in ("", UNKNOWN_DAY) else part for part in parts])
                found[key] = Tally(whole(count), whole(successes), whole(day) * _DAY_MS, "", key)
        return found

    def _keep_tallies(self, zone: str) -> None:
        """Counts a zone's days once; from then on the store keeps them with every change."""
        if self._database.rows("SELECT 1 FROM zones WHERE zone = ?", [zone]):
            return
        with self._database.transaction():
            if self._database.run("INSERT INTO zones VALUES (?) ON CONFLICT DO NOTHING", [zone]):
                self._database.run(
                    "INSERT INTO tallies SELECT ?, coalesce(agent_id, ''), coalesce(status, ''), coalesce(outcome, ''),"
                    " local_day(?, started_at), count(*) FROM conversations GROUP BY 2, 3 COLLATE BINARY, 4, 5",
                    [zone, zone],
                )


def _grouped(filters: Filters, groupings: Sequence[str], zone: str) -> tuple[str, str, list[Value]]:
    """What to select for the groupings (each with a comma), from where, and the values of both."""
    asked = where(filters)
    columns, source = "", f"(SELECT * FROM conversations WHERE {asked.sql}) c"
    zones: list[Value] = []
    paths: list[Value] = []
    for index, grouping in enumerate(groupings):
        if grouping in (DAY, HOUR):
            columns += f"{grouping}(?, started_at), "
            zones.append(zone)
        elif grouping in COLUMNS:
            columns += f"c.{grouping}, "
        else:
            columns += f"g{index}.text, "
            source += f" LEFT JOIN result_values g{index} ON g{index}.row_id = c.row_id AND g{index}.path = ?"
            source += f" AND {_is_first(f'g{index}')}"
            paths.append(grouping.removeprefix(RESULTS))
    return columns, source, [*zones, *asked.values, *paths]


def _is_first(alias: str) -> str:
    """Whether a value of a list does not stand in it before: each counts once for a conversation."""
    return (
        f"({alias}.position = 0 OR NOT EXISTS (SELECT 1 FROM result_values e WHERE e.row_id = {alias}.row_id"
        f" AND e.path = {alias}.path AND e.text = {alias}.text AND e.position < {alias}.position))"
    )


def _group_by(groupings: Sequence[str]) -> str:
    # As sent: the columns compare without case, a summary must not.
    return f"GROUP BY {', '.join(f'{i} COLLATE BINARY' for i in range(1, len(groupings) + 1))}" if groupings else ""


def _within(filters: Filters) -> tuple[str, list[Value]]:
    asked = where(filters)
    if not asked.parts:
        return "1", []
    return f"v.row_id IN (SELECT row_id FROM conversations c WHERE {asked.sql})", asked.values


def _count_in(numbers: Numbers, value: Value) -> None:
    if value is None:
        numbers.left_out += 1
    else:
        numbers.found.append(float(value))


def _key(parts: Sequence[Value]) -> Key:
    return tuple(
        None if part == UNKNOWN_DAY else part if isinstance(part, str) or part is None else int(part) for part in parts
    )
