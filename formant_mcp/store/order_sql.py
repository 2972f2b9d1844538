"""Orders as SQL. A list has parts, one after the other: calls with numbers, with texts, without a value."""

from collections.abc import Sequence
from dataclasses import dataclass

from formant_mcp.filters import SIGNALS, Filters, Order
from formant_mcp.store.aggregates import RESULTS
from formant_mcp.store.engine import Connection, Parameter, Value
from formant_mcp.store.filter_sql import HAS_SIGNALS, SORTED, Where, where
from formant_mcp.store.rows import READ
from formant_mcp.store.signals import signal_column

_CALLS = "$conversations"


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of a table that meet the condition, by `key` and then by number; `path`: the condition's parameter.

    `is_valued`: the key is a value; else it is the same for all.
    """

    table: str
    condition: str
    key: str = "row_id"
    path: tuple[str, ...] = ()
    is_valued: bool = True

    def has(self, connection: Connection, row: int) -> bool:
        """Whether that row is one of them."""
        return bool(connection.rows(self._key_of_row, [row, *self.path]))

    def select(self, filters: Filters, direction: str, after: int) -> Where:
        """The WHERE clause for those that match, if `after` is given after that row."""
        clause, sign = Where([self.condition], [*self.path]), "<" if direction == "DESC" else ">"
        matching = where(filters)
        if self.table == _CALLS:
            clause.add(matching.sql, *matching.values)
        elif matching.parts:
            is_call = "conversations.row_id = v.row_id"
            clause.add(f"EXISTS (SELECT 1 FROM {_CALLS} WHERE {is_call} AND {matching.sql})", *matching.values)
        if after and self.is_valued:  # the engine compares its own value, which may be no parameter's
            clause.add(f"({self.key}, row_id) {sign} (({self._key_of_row}), ?)", after, *self.path, after)
        elif after:
            clause.add(f"row_id {sign} ?", after)
        return clause

    @property
    def _key_of_row(self) -> str:
        return f"SELECT {self.key} FROM {self.table} WHERE row_id = ? AND {self.condition}"


def list_rows(
    connection: Connection, filters: Filters, order: Order, limit: int, after: int
) -> Sequence[tuple[Value, ...]]:
    """The first `limit` matches, or the first after row `after`: each its row and READ.

    Raises:
        LookupError: row `after` no longer exists.
    """
    parts = _parts(order)
    while after and not parts[0].has(connection, after):
        parts = parts[1:]
        if not parts:
            raise LookupError(after)
    direction = "DESC" if order.descending else "ASC"
    rows: list[tuple[Value, ...]] = []
    for part in parts:
        clause = part.select(filters, direction, after)
        first = (
            f"SELECT row_id AS listed, {part.key} AS value FROM {part.table} WHERE {clause.sql}"
            f" ORDER BY {part.key} {SORTED[direction]}, row_id {direction} LIMIT ?"
        )
        values: list[Parameter] = [*clause.values, limit - len(rows)]
        rows += connection.rows(
            f"SELECT row_id, {READ} FROM ({first}) AS first $join {_CALLS} ON row_id = listed"
            f" ORDER BY value {SORTED[direction]}, row_id {direction}",
            values,
        )
        after = 0
        if len(rows) == limit:
            break
    return rows


def _parts(order: Order) -> Sequence[_Part]:
    name = order.field
    if name.startswith(SIGNALS):
        column = signal_column(name.removeprefix(SIGNALS))
        table, has_value = "$signals_as v", f"{HAS_SIGNALS} AND {column} IS NOT NULL"
        return _Part(table, has_value, column), _without_value(table, has_value)
    if name.startswith(RESULTS):
        path = (name.removeprefix(RESULTS),)
        table, is_first = "$result_values_as v", "path = ? AND position = 0"
        return (
            _Part(table, f"{is_first} AND number IS NOT NULL", "number", path),
            _Part(table, f"{is_first} AND number IS NULL", "folded", path),
            _without_value(table, is_first, path),
        )
    if name not in _COLUMNS:
        raise ValueError(name)
    return _Part(_CALLS, f"{name} IS NOT NULL", name), _Part(_CALLS, f"{name} IS NULL", name, is_valued=False)


_COLUMNS = frozenset({"started_at", "duration_seconds"})


def _without_value(table: str, has_value: str, path: tuple[str, ...] = ()) -> _Part:
    has_one = f"EXISTS (SELECT 1 FROM {table} WHERE v.row_id = conversations.row_id AND {has_value})"
    return _Part(_CALLS, f"NOT {has_one}", path=path, is_valued=False)
