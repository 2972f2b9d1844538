"""How often each value of each field occurs among some calls, such as those of a day."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress
from typing import cast

from formant_mcp.analysis.signals import SAID, SIGNALS
from formant_mcp.filters import NONE, Filters
from formant_mcp.filters import SIGNALS as SIGNAL
from formant_mcp.store.aggregates import DURATION, NOT_READ, RESULTS, Grouping, grouped, is_first
from formant_mcp.store.engine import Connection, OnDatabase, Value, on_reader
from formant_mcp.store.examples import Call
from formant_mcp.store.filter_sql import HAS_SIGNALS, milliseconds
from formant_mcp.store.local_time import QUARTER, local_hour
from formant_mcp.store.rows import whole
from formant_mcp.store.signals import signal_column

HOUR_OF_DAY = "hour"
_FLAGS = ("false", "true")
_LONGEST = 100  # characters of a text that is counted as a value; longer ones are sentences


@dataclass(slots=True)
class FieldCounts:
    """How many calls have each value of a field, and how often each number occurs.

    `total`: for how many calls the field could be measured, or how many have the result field. `examples`: the newest
    call with that value or number; `example`: the newest that has the result field.
    """

    total: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    numbers: Counter[float] = field(default_factory=Counter[float])
    examples: dict[str | float, Call] = field(default_factory=dict[str | float, Call])
    example: Call | None = None

    def add(self, other: "FieldCounts") -> None:
        """Adds the counts of newer calls."""
        self.total += other.total
        self.counts.update(other.counts)
        self.numbers.update(other.numbers)
        self.examples.update(other.examples)
        self.example = other.example or self.example


@dataclass(slots=True)
class ValueCounts:
    """The counts of each field among some calls that have ended.

    `calls`: how many these are; `loaded`: those whose details are loaded; `with_results`: those of them with results.
    """

    calls: int = 0
    loaded: int = 0
    with_results: int = 0
    fields: dict[str, FieldCounts] = field(default_factory=dict[str, FieldCounts])

    def add(self, other: "ValueCounts") -> None:
        """Adds the counts of newer calls."""
        self.calls += other.calls
        self.loaded += other.loaded
        self.with_results += other.with_results
        for name, counts in other.fields.items():
            self.of(name).add(counts)

    def of(self, name: str) -> FieldCounts:
        """The counts of that field."""
        return self.fields.setdefault(name, FieldCounts())


class ValueCounter(OnDatabase):
    """Counts the values of all fields, in one pass over the calls and one over what their details have."""

    @on_reader
    def count(
        self, connection: Connection, filters: Filters, own: Grouping, signals: Sequence[str], now: datetime
    ) -> ValueCounts:
        """The counts over the matching calls that started and ended.

        `own`: fields of conversations. Result fields and `signals` are counted of calls whose details need not be
        fetched at `now`. Dates and long texts are no values, and of a list only its first number is counted.
        """
        columns, source, values = grouped(filters, own)
        rows = connection.rows(
            f"SELECT {columns} c.started_at / {QUARTER}, c.{DURATION}, c.detail_due_at, c.results IS NOT NULL, c.row_id"
            f", c.started_at, c.conversation_id FROM {source} WHERE c.ended = 1 AND c.started_at IS NOT NULL"
            " ORDER BY c.started_at, c.conversation_id",
            values,
        )
        if not rows:
            return ValueCounts()
        *own_values, quarters, durations, due_at, has_results, row_ids, starts, ids = zip(*rows, strict=True)
        calls = cast(list[Call], list(zip(starts, ids, strict=True)))
        call_of = dict(zip(map(whole, row_ids), calls, strict=True))
        requested_at = milliseconds(now)
        is_loaded = [due is None or due > requested_at for due in due_at]
        loaded = list(map(whole, compress(row_ids, is_loaded)))
        results = list(compress(loaded, compress(has_results, is_loaded)))
        counted = ValueCounts(len(rows), len(loaded), len(results))
        for name, texts in zip(own.names, own_values, strict=True):
            counted.fields[name] = _of_texts(texts, calls, NONE)
        hours = {quarter: f"{(local_hour(own.zone, quarter * QUARTER) or 0) % 24:02d}" for quarter in set(quarters)}
        counted.fields[HOUR_OF_DAY] = _of_texts([hours[quarter] for quarter in quarters], calls)
        counted.fields[DURATION] = _of_numbers(durations, calls)
        if signals and loaded:
            _count_signals(connection, counted, signals, {row_id: call_of[row_id] for row_id in loaded})
        if results:
            _count_results(connection, counted, {row_id: call_of[row_id] for row_id in results})
        return counted


def _count_signals(
    connection: Connection, counted: ValueCounts, signals: Sequence[str], calls: Mapping[int, Call]
) -> None:
    """Counts the signals of calls, given by row."""
    columns = ", ".join(f"s.{signal_column(name)}" for name in signals)
    rows = connection.rows(
        f"SELECT {columns}, s.agent_turns, s.row_id FROM $signals_as s WHERE {HAS_SIGNALS} AND s.row_id $in_list",
        [list(calls)],
    )
    rows.sort(key=lambda row: calls[whole(row[-1])])
    *columns_measured, agent_turns, row_ids = zip(*rows, strict=True) if rows else ((),) * (len(signals) + 2)
    measured = [calls[whole(row_id)] for row_id in row_ids]
    for name, values in zip(signals, columns_measured, strict=True):
        match SIGNALS[name].kind:
            case "turn":  # where it is not said, nobody said it if all speakers are identified
                total = sum(pair != (None, None) for pair in zip(values, agent_turns, strict=True))
                said = [SAID if value is not None else None for value in values]
                counts = replace(_of_texts(said, measured), total=total)
            case "flag":
                counts = _of_texts([None if value is None else _FLAGS[bool(value)] for value in values], measured)
            case "text":
                counts = _of_texts(values, measured)
            case _:
                counts = _of_numbers(values, measured)
        counted.fields[SIGNAL + name] = counts


def _count_results(connection: Connection, counted: ValueCounts, calls: Mapping[int, Call]) -> None:
    """Counts the result values of calls, given by row, the newest last."""
    ordered = list(calls.values())
    is_text = f"kind IN ('text', 'boolean') AND length(text) <= {_LONGEST}"
    rows = connection.rows(
        f"SELECT path, CASE WHEN {is_text} THEN text END, CASE WHEN position = 0 THEN number END,"
        " count(*), count(*) FILTER (WHERE position = 0), max(place)"
        f" FROM $each_in_order $join $result_values_as v ON row_id = value WHERE {is_first('v')} GROUP BY 1, 2, 3",
        [list(calls)],
    )
    for path, text, number, count, conversations, place in rows:
        counts, newest = counted.of(f"{RESULTS}{path}"), ordered[whole(place)]
        counts.total += whole(conversations)
        counts.example = max(counts.example or newest, newest)
        if text is not None:
            counts.counts[str(text)] += whole(count)
            counts.examples[str(text)] = newest
        elif number is not None:
            counts.numbers[float(number)] += whole(count)
            counts.examples[float(number)] = newest


def _of_texts(values: Sequence[Value], calls: Sequence[Call], missing: str = "") -> FieldCounts:
    """The counts of texts, each a call's, the newest last; `missing`: the value of calls without one, which else are
    not counted."""
    examples, counted = dict(zip(values, calls, strict=True)), FieldCounts()
    for value, count in Counter(values).items():
        name = missing if value in (None, "") else str(value)
        if name and name != NOT_READ:
            counted.total += count
            counted.counts[name] += count
            counted.examples[name] = max(counted.examples.get(name, examples[value]), examples[value])
    return counted


def _of_numbers(values: Sequence[Value], calls: Sequence[Call]) -> FieldCounts:
    numbers, examples = Counter(cast(Sequence[float], values)), dict(zip(values, calls, strict=True))
    missing = cast(Counter[float | None], numbers).pop(None, 0)
    examples.pop(None, None)
    return FieldCounts(len(values) - missing, numbers=numbers, examples=cast(dict[str | float, Call], examples))
