"""Counts of conversations that every answer needs: by agent, and by agent, status, outcome and local day.

They are updated in the transaction that changes conversations.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from formant_mcp.store.engine import Connection, Value
from formant_mcp.store.local_time import local_day
from formant_mcp.store.rows import WRITTEN, text

COUNTED = ("agent_id", "status", "outcome", "started_at")
"""The columns of conversations that are counted by."""
CountKey = tuple[Value, ...]
"""The values of COUNTED."""
_OF_WRITTEN = itemgetter(*map(WRITTEN.index, COUNTED))


def count_key(row: Sequence[Value]) -> CountKey:
    """What a row of WRITTEN is counted by."""
    return _OF_WRITTEN(row)


def update_counts(connection: Connection, added: Iterable[CountKey], removed: Iterable[CountKey]) -> None:
    """Updates all counts by conversations that were added and removed; a changed one is both."""
    changes = Counter(added)
    changes.subtract(removed)
    if not any(changes.values()):
        return
    agents = Counter[str]()
    for (agent_id, *_), count in changes.items():
        agents[text(agent_id) or ""] += count
    connection.insert(
        "agents",
        ("agent_id", "count"),
        [(agent_id, count) for agent_id, count in agents.items() if count],
        key=("agent_id",),
        update="count = agents.count + excluded.count",
    )
    days = Counter[tuple[Value, ...]]()
    for (zone,) in connection.rows("SELECT zone FROM $zones"):
        for (agent_id, status, outcome, started_at), count in changes.items():
            day = local_day(str(zone), None if started_at is None else int(started_at))
            days[zone, agent_id or "", status or "", outcome or "", day] += count
    _add_days(connection, [(*key, count) for key, count in days.items() if count])


def start_daily_counts(connection: Connection, zone: str) -> None:
    """Counts the days of a zone from now on."""
    if not connection.insert("zones", ("zone",), [(zone,)], key=("zone",)):
        return
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
