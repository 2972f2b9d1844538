"""Orders as SQL. A list has parts, one after the other: calls with numbers, with texts, without a value.

What decides between equal calls is their own too, their start and id: neither the order in which they were stored nor
calls that a reader may not see change what the reader gets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from formant_mcp.filters import SIGNALS, Filters, Order
from formant_mcp.store.aggregates import RESULTS
from formant_mcp.store.engine import Connection, Parameter, Value
from formant_mcp.store.filter_sql import HAS_SIGNALS, SORTED, STARTED, Where, where
from formant_mcp.store.rows import READ
from formant_mcp.store.signals import signal_column

_CALLS = "$conversations"
_FURTHER = {"ASC": ">", "DESC": "<"}
_UP_TO = {"ASC": ("<=", "max"), "DESC": (">=", "min")}


@dataclass(frozen=True, slots=True)
class _Part:
    """The calls that meet the condition, in the order of a value and then the newest first.

    Those without a value are in the order of their `key` alone. `values`: a SELECT of rows with the value as
    `its_value`, where it is no column of the calls. `path`: the parameter of values or condition.
    """

    direction: str
    condition: str = "true"
    path: tuple[str, ...] = ()
    value: str = ""
    values: str = ""
    key: tuple[str, ...] = (STARTED, "conversation_id")

    def place(self, connection: Connection, row: int) -> Sequence[Value]:
        """The key of that row; nothing if it is not one of them."""
        return next(iter(connection.rows(self._of_row(", ".join(self.key)), [*self.path, row])), ())

    def rows(
        self, connection: Connection, filters: Filters, limit: int, after: int, place: Sequence[Value]
    ) -> Sequence[tuple[Value, ...]]:
        """The first `limit` that match, if `after` is given after that row, which has that place."""
        rows: list[tuple[Value, ...]] = []
        for following, by_value in self._after(after, place) if after else [(Where(), Where())]:
            if len(rows) < limit:
                rows += self._first(connection, filters, limit - len(rows), following, by_value)
        return rows

    def _first(
        self, connection: Connection, filters: Filters, limit: int, following: Where, by_value: Where | None
    ) -> Sequence[tuple[Value, ...]]:
        """The first `limit` that match and follow; `by_value`: the same as `following`, if values alone decide it."""
        clause, matching = Where([self.condition], [*self.path]), where(filters)
        for part in (matching, following):
            clause.add(part.sql, *part.values)
        if filters.results and connection.tried_first and not self.value:
            first = self._among_first(connection, filters, following)
            rows = self._selected(connection, Where([clause.sql, first.sql], [*clause.values, *first.values]), limit)
            if len(rows) == limit or not first.parts:
                return rows
        elif self.values and by_value and not matching.parts:
            self._add_bound(clause, limit, by_value)
        return self._selected(connection, clause, limit)

    def _among_first(self, connection: Connection, filters: Filters, following: Where) -> Where:
        """What the first calls have that meet all but the conditions, which PostgreSQL would compare with all or none;
        nothing where these are all."""
        clause, others = Where([self.condition], [*self.path]), where(replace(filters, results=()))
        for part in (others, following):
            clause.add(part.sql, *part.values)
        keys = ", ".join(self.key)
        last = f"SELECT {keys} FROM {_CALLS} WHERE {clause.sql} ORDER BY {self._by_key} LIMIT 1 OFFSET ?"
        bound = Where()
        for place in connection.rows(last, [*clause.values, connection.tried_first - 1]):
            bound.add(f"({keys}) {_UP_TO[self._key_direction][0]} ({', '.join('?' * len(place))})", *place)
        return bound

    def _selected(self, connection: Connection, clause: Where, limit: int) -> Sequence[tuple[Value, ...]]:
        order, columns = self._by_key, "row_id AS first_row"
        if self.value:
            columns, order = f"{columns}, {self.value} AS value", f"value {SORTED[self.direction]}, {order}"
        first = f"SELECT {columns} FROM {self._source} WHERE {clause.sql} ORDER BY {order} LIMIT ?"
        values: list[Parameter] = [*clause.values, limit]
        return connection.rows(
            f"SELECT row_id, {READ} FROM ({first}) AS first $join {_CALLS} ON row_id = first_row ORDER BY {order}",
            values,
        )

    def _add_bound(self, clause: Where, limit: int, by_value: Where) -> None:
        """Leaves out calls that are not among the first by their values alone, so that few are joined and sorted."""
        first = f"SELECT its_value FROM ({self.values}) AS v WHERE {by_value.sql} ORDER BY 1 {self.direction} LIMIT ?"
        comparison, last = _UP_TO[self.direction]
        bound = f"(SELECT {last}(its_value) FROM ({first}) AS first_values)"
        clause.add(f"its_value {comparison} {bound}", *self.path, *by_value.values, limit)

    def _after(self, row: int, place: Sequence[Value]) -> Sequence[tuple[Where, Where | None]]:
        """What the calls after that row meet, with the same if values alone decide it: first those with its value."""
        is_next = f"({', '.join(self.key)}) {_FURTHER[self._key_direction]} ({', '.join('?' * len(place))})"
        if not self.value:
            return [(Where([is_next], [*place]), None)]
        # The engine compares its own value, which may be no parameter's.
        its, of_row = f"({self._of_row(self.value)})", (*self.path, row)
        is_further, has_its = f"{self.value} {_FURTHER[self.direction]} {its}", f"{self.value} = {its} AND {is_next}"
        if not self.values:
            return [(Where([f"({is_further} OR {has_its})"], [*of_row, *of_row, *place]), None)]
        further = Where([is_further], [*of_row])
        return (Where([has_its], [*of_row, *place]), None), (further, further)

    def _of_row(self, columns: str) -> str:
        return f"SELECT {columns} FROM {self._source} WHERE {self.condition} AND row_id = ?"

    @property
    def _source(self) -> str:
        return f"({self.values}) AS valued $join {_CALLS} ON row_id = of_row" if self.values else _CALLS

    @property
    def _by_key(self) -> str:
        return ", ".join(f"{column} {SORTED[self._key_direction]}" for column in self.key)

    @property
    def _key_direction(self) -> str:
        return "DESC" if self.value else self.direction


def list_rows(
    connection: Connection, filters: Filters, order: Order, limit: int, after: int
) -> Sequence[tuple[Value, ...]]:
    """The first `limit` matches, or the first after row `after`: each its row and READ.

    Raises:
        LookupError: row `after` no longer exists.
    """
    parts, place = _parts(order), list[Value]()
    while after and not (place := [*parts[0].place(connection, after)]):
        parts = parts[1:]
        if not parts:
            raise LookupError(after)
    rows: list[tuple[Value, ...]] = []
    for part in parts:
        rows += part.rows(connection, filters, limit - len(rows), after, place)
        after = 0
        if len(rows) == limit:
            break
    return rows


def _parts(order: Order) -> Sequence[_Part]:
    name, direction = order.field, "DESC" if order.descending else "ASC"
    if name == "started_at":
        return _by_start(direction)
    if name == "duration_seconds":
        return _Part(direction, f"{name} IS NOT NULL", value=name), *_by_start("DESC", f"{name} IS NULL")
    if name.startswith(SIGNALS):
        column = signal_column(name.removeprefix(SIGNALS))
        table, has_value = "$signals_as v", f"{HAS_SIGNALS} AND {column} IS NOT NULL"
        return _by_value(direction, table, column, has_value), *_without_value(table, has_value)
    if name.startswith(RESULTS):
        path = (name.removeprefix(RESULTS),)
        table, is_first = "$result_values_as v", "path = ? AND position = 0"
        return (
            _by_value(direction, table, "number", f"{is_first} AND number IS NOT NULL", path),
            _by_value(direction, table, "folded", f"{is_first} AND number IS NULL", path),
            *_without_value(table, is_first, path),
        )
    raise ValueError(name)


def _by_value(direction: str, table: str, column: str, has_value: str, path: tuple[str, ...] = ()) -> _Part:
    values = f"SELECT row_id AS of_row, {column} AS its_value FROM {table} WHERE {has_value}"
    return _Part(direction, path=path, value="its_value", values=values)


def _without_value(table: str, has_value: str, path: tuple[str, ...] = ()) -> Sequence[_Part]:
    has_one = f"EXISTS (SELECT 1 FROM {table} WHERE v.row_id = conversations.row_id AND {has_value})"
    return _by_start("DESC", f"NOT {has_one}", path)


def _by_start(direction: str, condition: str = "true", path: tuple[str, ...] = ()) -> Sequence[_Part]:
    """Two parts: after a row with a start, an index leads to the next ones only if none without a start follow."""
    return (
        _Part(direction, f"{condition} AND started_at IS NOT NULL", path, key=("started_at", "conversation_id")),
        _Part(direction, f"{condition} AND started_at IS NULL", path, key=("conversation_id",)),
    )
