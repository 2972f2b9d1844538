"""What was brought when: how far each list is known, and who is bringing what right now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Literal, cast

from formant_mcp.store.connection import Connection, Value
from formant_mcp.store.database import OnDatabase, on_reader, on_writer
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.rows import moment, text, whole

ListOrder = Literal["newest", "oldest", "none"]
_TIMES = {
    "checked_at",
    "complete_at",
    "covered_since",
    "covered_to",
    "covered_at",
    "pass_started_at",
    "gone_at",
    "rescan_at",
}


@dataclass(slots=True)
class ListState:
    """How far one list is known: the whole (''), one agent's, or what else a provider narrows it by.

    `complete_at`: when a full pass last found everything; `excess`: how many the provider then counted but did not
    list; `shortfall`: how many of those were never looked at; `unreadable`: rows that could not be read; `ends_early`:
    the provider announced more of the list and gave no way to it.
    `covered_since` … `covered_to`: everything started in between is here (see the list's order), read from
    `covered_at` on. `pass_*`: a full pass under way: when begun, the row or cursor it goes on from, the total it last
    saw, rows read. `gone`: how many calls are kept that the provider no longer counts
    or lists, `gone_at`: since when a full pass misses so many of them that one alone is not believed; `rescan_at`: when
    a pass was last begun because calls may be gone.
    """

    scope: str
    list_order: ListOrder | None = None
    total: int | None = None
    excess: int = 0
    unreadable: int = 0
    shortfall: int = 0
    checked_at: datetime | None = None
    complete_at: datetime | None = None
    covered_since: datetime | None = None
    covered_to: datetime | None = None
    pass_started_at: datetime | None = None
    pass_offset: int = 0
    pass_total: int | None = None
    pass_rows: int = 0
    pass_unreadable: int = 0
    pass_cursor: str | None = None
    covered_at: datetime | None = None
    ends_early: bool = False
    gone: int = 0
    gone_at: datetime | None = None
    rescan_at: datetime | None = None

    @property
    def knows_all(self) -> bool:
        """Whether the list is known to its end, as of the last look at it."""
        return self.complete_at is not None and not self.ends_early


_NAMES = tuple(each.name for each in fields(ListState))


def changes(before: ListState, after: ListState) -> dict[str, Value | datetime]:
    """The fields in which two states of a list differ, with their later values."""
    return {name: getattr(after, name) for name in _NAMES if getattr(after, name) != getattr(before, name)}


class SyncState(OnDatabase):
    """Scopes, and leases by which several processes share the work on one store."""

    @on_reader
    def scope(self, connection: Connection, scope: str) -> ListState:
        """How far that list is known; a fresh one where nothing is."""
        rows = connection.rows(f"SELECT {', '.join(_NAMES)} FROM scopes WHERE scope = ?", [scope])
        return _scope(rows[0]) if rows else ListState(scope)

    @on_writer
    def update(self, connection: Connection, scope: str, **changes: Value | datetime) -> None:
        """Changes some of what is known of a list."""
        if changes:
            _write(connection, scope, changes, "{0} = excluded.{0}")

    @on_writer
    def raise_to(self, connection: Connection, scope: str, **least: Value | datetime) -> None:
        """Changes what is less than these to them, whoever else changes it at the same time."""
        _write(connection, scope, least, "{0} = max(excluded.{0}, coalesce({0}, excluded.{0}))")

    @on_writer
    def lease(
        self, connection: Connection, names: Iterable[str], owner: str, now: datetime, span: timedelta
    ) -> list[str]:
        """Takes, or takes longer, those of the leases that nobody else holds; gives the ones it got."""
        at, until = milliseconds(now), milliseconds(now + span)
        connection.run("DELETE FROM leases WHERE expires_at <= ?", [at])
        return [
            name
            for name in names
            if connection.run(
                "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET expires_at = excluded.expires_at WHERE owner = excluded.owner",
                [name, owner, until],
            )
        ]

    @on_writer
    def release(self, connection: Connection, names: Iterable[str], owner: str) -> None:
        """Gives leases back."""
        connection.run_many("DELETE FROM leases WHERE name = ? AND owner = ?", ((name, owner) for name in names))


def _write(connection: Connection, scope: str, changes: Mapping[str, Value | datetime], how: str) -> None:
    unknown = changes.keys() - set(_NAMES)
    if unknown:
        raise ValueError(unknown)
    values = [milliseconds(value) if isinstance(value, datetime) else value for value in changes.values()]
    connection.claim()
    connection.run(
        f"INSERT INTO scopes (scope, {', '.join(changes)}) VALUES (?{', ?' * len(changes)})"
        f" ON CONFLICT (scope) DO UPDATE SET {', '.join(map(how.format, changes))}",
        [scope, *values],
    )


def _scope(row: tuple[Value, ...]) -> ListState:
    known = ListState(str(row[0]), cast(ListOrder | None, row[1]), None if row[2] is None else whole(row[2]))
    for name, value in zip(_NAMES[3:], row[3:], strict=True):
        if name in _TIMES:
            setattr(known, name, moment(value))
        elif name == "pass_total":
            known.pass_total = None if value is None else whole(value)
        elif name == "ends_early":
            known.ends_early = bool(value)
        elif name == "pass_cursor":
            known.pass_cursor = text(value)
        else:
            setattr(known, name, whole(value))
    return known
