"""Leases, by which several processes share the work on one store: each names its owner, and when it ends."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from formant_mcp.store.engine import Connection
from formant_mcp.store.filter_sql import milliseconds

_MILLISECOND = timedelta(milliseconds=1)


def take_leases(connection: Connection, names: Iterable[str], owner: str, now: datetime, span: timedelta) -> list[str]:
    """Takes, or prolongs, those of the leases that nobody else holds; returns the ones it got.

    `span`: always the same for a lease. One that ends after twice as long is from before the clock was set back, so
    nobody holds it; between the clocks of two servers, and between `now` and the transaction, there is less.
    """
    at, wanted = connection.milliseconds(milliseconds(now)), list(dict.fromkeys(names))
    until = at + span // _MILLISECOND
    connection.delete("leases", "expires_at <= ?", [(at,)])
    connection.delete("leases", "name = ? AND expires_at > ?", [(name, _latest(at, span)) for name in wanted])
    connection.insert(
        "leases",
        ("name", "owner", "expires_at"),
        [(name, owner, until) for name in wanted],
        key=("name",),
        update="expires_at = excluded.expires_at WHERE leases.owner = excluded.owner",
    )
    rows = connection.rows("SELECT name FROM $leases WHERE name $in_list AND owner = ?", [wanted, owner])
    held = {row[0] for row in rows}
    return [name for name in wanted if name in held]


def release_leases(connection: Connection, names: Iterable[str], owner: str) -> None:
    """Gives leases back."""
    connection.delete("leases", "name = ? AND owner = ?", [(name, owner) for name in names])


def is_leased(connection: Connection, name: str, but_by: str, now: datetime, span: timedelta) -> bool:
    """Whether somebody else holds a lease."""
    at = connection.milliseconds(milliseconds(now))
    held = "SELECT 1 FROM $leases WHERE name = ? AND owner <> ? AND expires_at > ? AND expires_at <= ?"
    return bool(connection.rows(held, [name, but_by, at, _latest(at, span)]))


def _latest(at: int, span: timedelta) -> int:
    """When a lease that is held may end."""
    return at + 2 * span // _MILLISECOND
