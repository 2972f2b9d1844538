"""The newest conversation of each group, which an answer names as its example."""

from collections.abc import Sequence, Set

from formant_mcp.filters import Filters
from formant_mcp.store.aggregates import (
    DAY,
    DAY_MS,
    GroupCount,
    Grouping,
    Key,
    group_by,
    grouped,
    is_daily_counted,
    key_of,
)
from formant_mcp.store.engine import Connection, OnDatabase, on_reader
from formant_mcp.store.filter_sql import NEWEST_FIRST, Where, where
from formant_mcp.store.rows import whole

Call = tuple[int, str]
"""A call's start and id: the greater, the newer."""

_NONE: Call = (0, "")


class Examples(OnDatabase):
    """Finds examples, once it is clear which groups an answer shows."""

    @on_reader
    def of(
        self, connection: Connection, filters: Filters, grouping: Grouping, groups: Sequence[GroupCount]
    ) -> list[str]:
        """The id of the newest conversation of each of these groups; '' for one that has none any more."""
        if is_daily_counted(filters, grouping):
            newest = {key: _newest(connection, filters, grouping, key) for group in groups for key in group.keys}
        else:
            newest = _started_at(connection, filters, grouping, {group.newest_at for group in groups})
        return [max((newest[key] for key in group.keys if key in newest), default=_NONE)[1] for group in groups]


def _started_at(connection: Connection, filters: Filters, grouping: Grouping, starts: Set[int]) -> dict[Key, Call]:
    """Of each group, the newest of the conversations that started then: its start and id."""
    started = Where(["started_at $in_list"], [sorted(starts)])
    if 0 in starts:
        started.parts = ["(started_at $in_list OR started_at IS NULL)"]
    columns, source, values = grouped(filters, grouping, started)
    names = (*grouping.names, "started_at")
    rows = connection.rows(
        f"SELECT {columns} coalesce(started_at, 0), max(conversation_id) FROM {source} {group_by(names)}", values
    )
    newest: dict[Key, Call] = {}
    for *parts, started_at, conversation_id in rows:
        key, one = key_of(parts), (whole(started_at), str(conversation_id))
        newest[key] = max(newest.get(key, one), one)
    return newest


def _newest(connection: Connection, filters: Filters, grouping: Grouping, key: Key) -> Call:
    """The newest conversation of a group by agent, status or day: its start and id."""
    clause = where(filters)
    for name, value in zip(grouping.names, key, strict=True):
        if value is None:
            clause.add(f"{'started_at' if name == DAY else name} IS NULL")
        elif name != DAY:
            clause.add(f"{name} = ? AND {name}$exact = ?", value, value)
        else:  # a wider span in UTC, which an index finds, then the local day itself
            midnight = whole(value) * DAY_MS
            clause.add("started_at BETWEEN ? AND ?", midnight - DAY_MS, midnight + 2 * DAY_MS)
            clause.add("local_day(?, started_at) = ?", grouping.zone, value)
    rows = connection.rows(
        "SELECT coalesce(started_at, 0), conversation_id FROM $conversations"
        f" WHERE {clause.sql} ORDER BY {NEWEST_FIRST} LIMIT 1",
        clause.values,
    )
    return (whole(rows[0][0]), str(rows[0][1])) if rows else _NONE
