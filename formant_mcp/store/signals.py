"""The signals of each call whose details are loaded: measured when these are saved, and later from stored transcripts
where an earlier version saved them, or the lists of phrases have changed since.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.phrases import KEY_VERSION
from formant_mcp.analysis.signals import (
    MEASURED,
    NOT_SAID,
    PARTIES,
    SAID,
    SIGNALS,
    TURNS_BY_TIMES,
    Kind,
    Signal,
    measure,
    turns_to_hear,
)
from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store.engine import Connection, Database, OnDatabase, Value, on_reader, on_writer, one_query
from formant_mcp.store.filter_sql import HAS_SIGNALS, Where, milliseconds, where
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.meta import CALLS, note_change, read_text, write_text
from formant_mcp.store.phrases import save_phrases, spoken_in
from formant_mcp.store.rows import READ, number, whole, with_results
from formant_mcp.store.turn_keys import row_of, turn_key

Measure = Callable[[Conversation], Mapping[str, Measured]]

OF_RECORDINGS = tuple(name for name, signal in SIGNALS.items() if signal.needs == "recording")
OF_DETAILS = tuple(name for name in MEASURED if name not in OF_RECORDINGS)
# The times of turns and what became of tool calls are not stored, only what was measured of them.
_OF_STORED = tuple(name for name in OF_DETAILS if MEASURED[name].needs in ("transcript", "speakers"))
_MEASURED_WITH = "signals"  # the name, in the table meta, of what the stored calls are measured with
_CHECKING = "…"  # follows it until all calls were checked for signals
_CHECKED_AT_ONCE = 10_000  # calls
_MEASURED_AT_ONCE = 50  # calls; they keep the thread that writes for some 20 ms


def save_signals(connection: Connection, measured: Mapping[int, Mapping[str, Measured]], had_details: Set[int]) -> None:
    """Saves what is measured of calls, by row; `had_details`: those that may have signals. Equal ones are not written
    again."""
    columns = ("is_due", *OF_DETAILS, "row_id")
    stored = dict[int, tuple[Value, ...]]()
    if had_details:
        sql = f"SELECT {', '.join(columns)} FROM $signals WHERE row_id $in_list"
        stored = {whole(row[-1]): row for row in connection.rows(sql, [list(had_details)])}
    rows = {row_id: _row(row_id, values, OF_DETAILS) for row_id, values in measured.items()}
    connection.insert("signals", columns, [row for row_id, row in rows.items() if row_id not in stored])
    changed = [row for row_id, row in rows.items() if stored.get(row_id, row) != row]
    connection.update_rows("signals", columns[:-1], "row_id", changed)


@dataclass(frozen=True, slots=True)
class SignalStats:
    """A signal over many calls: in how many it is measured, and what.

    `calls`: in how many of them it is above 0, true or said; `parties`: how many each party ended, by party.
    """

    name: str
    measured: int
    calls: int | None = None
    mean: float | None = None
    max: float | None = None
    parties: tuple[tuple[str, int], ...] = ()


class Signals(OnDatabase):
    """Reads the signals of conversations, and measures those that are due.

    `lists`: the phrases that they are searched for.
    """

    def __init__(self, database: Database, lists: PhraseLists, agents: frozenset[str] = ALL_AGENTS) -> None:
        super().__init__(database, agents)
        self._lists = lists
        self._measured_with = f"{lists.digest} {KEY_VERSION}"

    def limited_to(self, agents: frozenset[str]) -> "Signals":
        """The same for a reader for whom only these agents' conversations exist."""
        return Signals(self.database, self._lists, agents)

    @on_reader
    def of(self, connection: Connection, conversation_ids: Sequence[str]) -> dict[str, dict[str, Measured]]:
        """What is measured of these conversations, by id; without those that are still to be measured."""
        columns = ", ".join(f"signals.{name}" for name in SIGNALS)
        rows = connection.rows(
            f"SELECT conversation_id, {columns} FROM $conversations $join $signals USING (row_id)"
            " WHERE is_due = 0 AND conversation_id $in_list",
            [list(conversation_ids)],
        )
        return {str(name): _measured(values) for name, *values in rows}

    @on_reader
    def turns_to_hear(self, connection: Connection, row_ids: Sequence[int]) -> dict[int, dict[str, int]]:
        """The turn to listen to for the signals of these calls that have one, by row and name."""
        stored = _stored(connection, list(row_ids))
        turns = {row_id: turns_to_hear(call.turns or (), self._lists) for row_id, call in stored.items()}
        columns = ", ".join(TURNS_BY_TIMES.values())
        sql = f"SELECT row_id, {columns} FROM $signals WHERE row_id $in_list"
        for row_id, *indexes in connection.rows(sql, [list(row_ids)]):
            by_times = zip(TURNS_BY_TIMES, indexes, strict=True)
            turns.setdefault(whole(row_id), {}).update(
                {name: whole(turn) for name, turn in by_times if turn is not None}
            )
        return turns

    @on_reader
    def count_measured(self, connection: Connection, filters: Filters, names: Sequence[str]) -> dict[str, int]:
        """Of how many matches each signal is measured; a phrase's: it is said, or no turn could have said it."""
        columns = (_measured_column(name, _signal(name).kind) for name in names)
        clause = where(filters)
        rows = connection.rows(
            f"SELECT {', '.join(f'count({column})' for column in columns)} FROM $signals_as s"
            f" WHERE {HAS_SIGNALS}{_of_matches(clause)}",
            clause.values,
        )
        return dict(zip(names, map(whole, rows[0]), strict=True))

    @on_reader
    def stats(self, connection: Connection, filters: Filters, now: datetime | None = None) -> list[SignalStats]:
        """Each signal that is measured of a matching call, over all of them, in the order of SIGNALS.

        With `now`, only of calls whose details need not be fetched again then.
        """
        clause = where(filters)
        if now:
            clause.add("(detail_due_at IS NULL OR detail_due_at > ?)", milliseconds(now))
        columns = [column for name, signal in SIGNALS.items() for column in _figures(name, signal.kind)]
        (row,) = connection.rows(
            f"SELECT {', '.join(columns)} FROM $signals WHERE {HAS_SIGNALS}{_of_matches(clause)}",
            clause.values,
        )
        values = iter(row)
        stats = [_stats(name, signal.kind, values) for name, signal in SIGNALS.items()]
        return [signal for signal in stats if signal.measured]

    @on_reader
    def count_due(self, connection: Connection, filters: Filters) -> int:
        """How many matches are still to be measured."""
        if not connection.rows("SELECT 1 FROM $signals WHERE is_due = 1 LIMIT 1"):
            return 0
        clause = where(filters)
        clause.add("row_id IN (SELECT row_id FROM $signals_as s WHERE is_due = 1)")
        return whole(connection.rows(f"SELECT count(*) FROM $conversations WHERE {clause.sql}", clause.values)[0][0])

    @one_query
    def are_measured(self, connection: Connection) -> bool:
        """Whether no call is due, and calls were measured with the same before."""
        rows = connection.rows(
            "SELECT (SELECT value FROM $meta WHERE name = ?), (SELECT min(is_due) FROM $signals WHERE is_due = 1)",
            [_MEASURED_WITH],
        )
        return rows[0] == (self._measured_with, None)

    @on_writer
    def make_due(self, connection: Connection, after: int = 0) -> int:
        """Makes calls due that are not measured, among some thousand after row `after`, and at first all those that
        were measured with something else. Returns the last row that it checked, 0 if there are no more."""
        if not after:
            self._make_outdated_due(connection)
        rows = connection.rows(
            "SELECT row_id, detail_at IS NULL OR EXISTS (SELECT 1 FROM $signals_as s WHERE s.row_id = c.row_id)"
            " FROM $conversations_as c WHERE row_id > ? ORDER BY row_id LIMIT ?",
            [after, _CHECKED_AT_ONCE],
        )
        connection.insert("signals", ("row_id", "is_due"), [(row_id, 1) for row_id, is_fine in rows if not is_fine])
        if len(rows) == _CHECKED_AT_ONCE:
            return whole(rows[-1][0])
        write_text(connection, _MEASURED_WITH, self._measured_with)  # calls that are saved later are measured then
        return 0

    @on_writer
    def measure_due(self, connection: Connection) -> int:
        """Measures a few of the calls that are due, the last stored first; returns how many."""
        rows = connection.rows(
            "SELECT row_id FROM $signals WHERE is_due = 1 ORDER BY row_id DESC LIMIT ?", [_MEASURED_AT_ONCE]
        )
        row_ids = [whole(row[0]) for row in rows]
        self._measure_rows(connection, row_ids)
        return len(row_ids)

    @on_writer
    def measure(self, connection: Connection, conversation_ids: Sequence[str]) -> int:
        """Measures those of these that are stored and due, or were never measured; returns how many."""
        rows = connection.rows(
            "SELECT row_id, (SELECT is_due FROM $signals_as s WHERE s.row_id = c.row_id) FROM $conversations_as c"
            " WHERE detail_at IS NOT NULL AND conversation_id $in_list",
            [list(conversation_ids)],
        )
        connection.insert("signals", ("row_id", "is_due"), [(row_id, 1) for row_id, is_due in rows if is_due is None])
        due = [whole(row_id) for row_id, is_due in rows if is_due != 0]
        self._measure_rows(connection, due)
        return len(due)

    @on_writer
    def save_of_recording(self, connection: Connection, conversation_id: str, measured: Mapping[str, Measured]) -> None:
        """Saves what is measured of a recording, if the call's details are loaded."""
        rows = connection.rows("SELECT row_id FROM $conversations WHERE conversation_id = ?", [conversation_id])
        values = [(*map(measured.get, OF_RECORDINGS), whole(row_id)) for (row_id,) in rows]
        connection.update_rows("signals", OF_RECORDINGS, "row_id", values)
        note_change(connection, CALLS)

    def _make_outdated_due(self, connection: Connection) -> None:
        checked_with = f"{self._measured_with}{_CHECKING}"
        if read_text(connection, _MEASURED_WITH) not in (self._measured_with, checked_with):
            connection.update("signals", "is_due = 1", "true", [()])
            write_text(connection, _MEASURED_WITH, checked_with)

    def _measure_rows(self, connection: Connection, row_ids: list[int]) -> None:
        stored = _stored(connection, row_ids)
        # Rows without a conversation should not exist, but would be due for ever.
        measured = {row_id: measure(call, self._lists) for row_id, call in stored.items()}
        connection.update_rows(
            "signals",
            ("is_due", *_OF_STORED),
            "row_id",
            [_row(row_id, measured.get(row_id, {}), _OF_STORED) for row_id in row_ids],
        )
        save_phrases(connection, {row_id: spoken_in(call) for row_id, call in stored.items()}, stored.keys())
        if row_ids:
            note_change(connection, CALLS)


def signal_column(name: str) -> str:
    """The column of a signal.

    Raises:
        ValueError: there is no such signal.
    """
    _signal(name)
    return name


def signal_text(name: str, alias: str) -> str:
    """SQL: a signal's value as text, in the form that conditions accept; of a phrase's, whether it is said."""
    column = f"{alias}.{name}"
    texts: dict[Kind, str] = {
        "turn": f"CASE WHEN {column} IS NOT NULL THEN '{SAID}'"
        f" WHEN {alias}.agent_turns IS NOT NULL THEN '{NOT_SAID}' END",
        "flag": f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
        "text": column,
    }
    return texts.get(_signal(name).kind, f"CAST({column} AS text)")


def _of_matches(clause: Where) -> str:
    """SQL: a further condition, that the row is one of the matches."""
    return f" AND row_id IN (SELECT row_id FROM $conversations WHERE {clause.sql})" if clause.parts else ""


def _measured_column(name: str, kind: Kind) -> str:
    """SQL: a value where the signal is measured. A phrase that nobody is known to have said, nobody has said if all
    speakers are identified."""
    return f"coalesce(agent_turns, {name})" if kind == "turn" else name


def _figures(name: str, kind: Kind) -> list[str]:
    """SQL: the figures of `_stats`."""
    match kind:
        case "count":
            return [f"count({name})", f"count(*) FILTER (WHERE {name} <> 0)", f"sum({name})", f"max({name})"]
        case "number":
            return [f"count({name})", f"sum({name})", f"max({name})"]
        case "flag":
            return [f"count({name})", f"sum({name})"]
        case "turn":
            return [f"count({_measured_column(name, kind)})", f"count({name})"]
        case "text":
            return [f"count({name})", *(f"count(*) FILTER (WHERE {name} = '{party}')" for party in PARTIES)]


def _stats(name: str, kind: Kind, values: Iterator[Value]) -> SignalStats:
    measured = whole(next(values))
    if kind == "text":
        counts = tuple((party, whole(next(values))) for party in PARTIES)
        return SignalStats(name, measured, parties=tuple(pair for pair in counts if pair[1]))
    calls = None if kind == "number" else whole(next(values))
    if kind in ("flag", "turn"):
        return SignalStats(name, measured, calls)
    total, largest = number(next(values)), number(next(values))
    mean = None if total is None else total / measured
    return SignalStats(name, measured, calls, mean, largest)


def _row(row_id: int, measured: Mapping[str, Measured], names: Sequence[str]) -> tuple[Value, ...]:
    values = map(measured.get, names)
    return (0, *(int(value) if isinstance(value, bool) else value for value in values), row_id)


def _signal(name: str) -> Signal:
    if name not in SIGNALS:
        raise ValueError(name)
    return SIGNALS[name]


def _measured(values: Iterable[Value]) -> dict[str, Measured]:
    pairs = zip(SIGNALS.items(), values, strict=True)
    return {
        name: bool(value) if signal.kind == "flag" else value for (name, signal), value in pairs if value is not None
    }


def _stored(connection: Connection, row_ids: list[int]) -> dict[int, Conversation]:
    """The calls in these rows, with their turns."""
    if not row_ids:
        return {}
    turns: dict[int, list[Turn]] = {}
    sql = "SELECT turn_id, role, text, seconds FROM $each_number $join $turns ON $turn_in_value ORDER BY turn_id"
    for key, role, text, seconds in connection.rows(sql, [row_ids]):
        row_id = row_of(whole(key))
        turns.setdefault(row_id, []).append(
            Turn(whole(key) - turn_key(row_id, 0), str(role), str(text), number(seconds))
        )
    sql = "SELECT row_id, kind, count FROM $unreadable WHERE row_id $in_list AND kind $in_list"
    unreadable = {
        (whole(row_id), str(kind)): whole(count)
        for row_id, kind, count in connection.rows(sql, [row_ids, ["turns", "speakers"]])
    }
    rows = connection.rows(
        f"SELECT row_id, turn_count, results, {READ} FROM $conversations WHERE row_id $in_list", [row_ids]
    )
    return {
        whole(row_id): with_results(results, row)._replace(
            turns=None if turn_count is None else tuple(turns.get(whole(row_id), ())),
            unreadable=Unreadable(
                turns=unreadable.get((whole(row_id), "turns"), 0),
                speakers=unreadable.get((whole(row_id), "speakers"), 0),
            ),
        )
        for row_id, turn_count, results, *row in rows
    }
