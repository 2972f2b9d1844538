"""Counts of conversations that every answer needs: by agent, and by agent, status, outcome and local day.

They are updated in the transaction that changes conversations.
"""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

from formant_mcp.store.engine import Connection, Value
from formant_mcp.store.local_time import local_day
from formant_mcp.store.rows import WRITTEN

COUNTED = ("agent_id", "status", "outcome", "started_at")
"""The columns of conversations that are counted by."""
CountKey = tuple[Value, ...]
"""The values of COUNTED."""
_OF_WRITTEN = itemgetter(*map(WRITTEN.index, COUNTED))


def count_key(row: Sequence[Value]) -> CountKey:
    """What a row of WRITTEN is counted by."""
    return _OF_WRITTEN(row)


def update_counts(connection: Connection, added: Sequence[CountKey], removed: Sequence[CountKey]) -> None:
    """Updates all counts by conversations that were added and removed; a changed one is both."""
    agents = Counter(str(key[0] or "") for key in added)
    agents.subtract(str(key[0] or "") for key in removed)
    connection.insert(
        "agents",
        ("agent_id", "count"),
        [(agent_id, count) for agent_id, count in agents.items() if count],
        key=("agent_id",),
        update="count = agents.count + excluded.count",
    )
    fewer = [(agent_id,) for agent_id, count in agents.items() if count < 0]
    if fewer:
        connection.delete("agents", "agent_id = ? AND count <= 0", fewer)
    days = Counter[tuple[Value, ...]]()
    for (zone,) in connection.rows("SELECT zone FROM $zones") if added or removed else ():
        days.update(_in_zone(str(zone), key) for key in added)
        days.subtract(_in_zone(str(zone), key) for key in removed)
    _add_days(connection, [(*key, count) for key, count in days.items() if count])
    fewer_days = [key for key, count in days.items() if count < 0]
    if fewer_days:
        is_day = "zone = ? AND agent_id = ? AND status = ? AND outcome = ? AND day = ? AND count <= 0"
        connection.delete("daily_counts", is_day, fewer_days)


def _in_zone(zone: str, key: CountKey) -> tuple[Value, ...]:
    """What is counted by in daily_counts."""
    agent_id, status, outcome, started_at = key
    day = local_day(zone, None if started_at is None else int(started_at))
    return zone, agent_id or "", status or "", outcome or "", day


def start_daily_counts(connection: Connection, zone: str) -> None:
    """Counts the days of a zone from now on."""
    if connection.rows("SELECT 1 FROM $zones WHERE zone = ?", [zone]):
        return
    connection.insert("zones", ("zone",), [(zone,)])
    rows = connection.rows(
        "SELECT coalesce(agent_id, ''), coalesce(status, ''), coalesce(outcome, ''), local_day(?, started_at), count(*)"
        " FROM $conversations GROUP BY 1, 2$exact, 3, 4",
        [zone],
    )
    _add_days(connection, [(zone, *row) for row in rows])


def _add_days(connection: Connection, counts: Sequence[Sequence[Value]]) -> None:
    connection.insert(
        "daily_counts",
        ("zone", "agent_id", "status", "outcome", "day", "count"),
        counts,
        key=("zone", "agent_id", "day", "status", "outcome"),
        update="count = daily_counts.count + excluded.count",
    )
