"""How far each list of the provider is stored, and which process works on what."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast

from formant_mcp.store.engine import Connection, OnDatabase, Value, on_writer, one_query
from formant_mcp.store.filter_sql import is_running, milliseconds
from formant_mcp.store.leases import release_leases, take_leases
from formant_mcp.store.meta import read_text, write_text
from formant_mcp.store.purge import begun_with, refuse_if_purged
from formant_mcp.store.rows import moment, text, whole

StateValue = Value | datetime
ListOrder = Literal["newest", "oldest", "none"]


@dataclass(frozen=True, slots=True)
class ListState:
    """How far one list is stored: the whole (''), one agent's, or what else a provider narrows it by.

    `last_full_scan_at`: when the last scan that found everything began. It found `expected_excess` rows fewer than the
    provider counted; `unlisted` of those were on no page, `unreadable` rows could not be read. `ends_early`: the
    provider announced more of the list and gave no way to it.
    `covered_from` to `covered_until`: every call that started in between is stored; `coverage_started_at`: since when.
    After a full scan `covered_from` is set only where calls that started before are not kept.
    `scan_*`: the checkpoint of a scan under way: when it began, the row or cursor where it continues, the total as of
    then, how many rows it has read and how many of them could not be read.
    `gone`: how many stored calls the provider no longer counts or lists; `gone_at`: when a scan first missed so many
    that another must confirm it; `rescan_at`: when a scan last began because calls may be gone.
    """

    name: str
    list_order: ListOrder | None = None
    total: int | None = None
    expected_excess: int = 0
    unreadable: int = 0
    unlisted: int = 0
    checked_at: datetime | None = None
    last_full_scan_at: datetime | None = None
    covered_from: datetime | None = None
    covered_until: datetime | None = None
    scan_started_at: datetime | None = None
    scan_position: int = 0
    scan_total: int | None = None
    scan_rows: int = 0
    scan_unreadable: int = 0
    scan_cursor: str | None = None
    coverage_started_at: datetime | None = None
    ends_early: bool = False
    gone: int = 0
    gone_at: datetime | None = None
    rescan_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a full scan found everything, though more may have come since."""
        return self.last_full_scan_at is not None

    @property
    def knows_all(self) -> bool:
        """Whether the list was stored to its end when it was last checked."""
        return self.is_complete and self.covered_from is None and not self.ends_early

    def is_complete_since(self, since: datetime | None) -> bool:
        """Whether a full scan found everything that started since then; None: everything."""
        return self.is_complete and (self.covered_from is None or (since is not None and self.covered_from <= since))

    def was_checked(self, since: datetime) -> bool:
        """Whether the list was compared with the provider's since then."""
        return self.checked_at is not None and self.checked_at >= since


class StoredLists(NamedTuple):
    """How many conversations are stored, whether one of the agent's is to be read again as it was still running, and
    how far lists are stored; all as of one moment."""

    stored: int
    has_running: bool
    states: list[ListState]


def _parse_order(value: Value) -> ListOrder | None:
    return cast(ListOrder | None, value)


def _parse_optional(value: Value) -> int | None:
    return None if value is None else whole(value)


_PARSERS: dict[object, Callable[[Value], object]] = {
    str: str,
    int: whole,
    bool: bool,
    int | None: _parse_optional,
    str | None: text,
    datetime | None: moment,
    ListOrder | None: _parse_order,
}
_RAISED = "{0} = CASE WHEN list_states.{0} > excluded.{0} THEN list_states.{0} ELSE excluded.{0} END"
_COLUMNS = {field.name: _PARSERS[field.type] for field in fields(ListState)}
_MODEL: Callable[..., ListState] = ListState
_STATES = f"{', '.join(_COLUMNS)} FROM $each_text LEFT JOIN $list_states ON name = value"


def changes(before: ListState, after: ListState) -> dict[str, StateValue]:
    """The fields in which two states of a list differ, with their later values."""
    return {name: getattr(after, name) for name in _COLUMNS if getattr(after, name) != getattr(before, name)}


def list_states_in(connection: Connection) -> list[ListState]:
    """How far every list is stored."""
    return [_parse_state(row) for row in connection.rows(f"SELECT {', '.join(_COLUMNS)} FROM $list_states")]


def write_state(connection: Connection, before: ListState, after: ListState) -> None:
    """Changes the stored state of a list."""
    changed = changes(before, after)
    if changed:
        row = (*map(_stored, changed.values()), before.name)
        connection.update_rows("list_states", tuple(changed), "name", [row])


def _states(names: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[ListState]:
    """The states with these names; fresh ones where nothing is stored."""
    states = {str(row[0]): _parse_state(row) for row in rows if row[0] is not None}
    return [states.get(name, ListState(name)) for name in names]


def _parse_state(row: Sequence[Value]) -> ListState:
    parsed = zip(_COLUMNS.items(), row, strict=True)
    return _MODEL(**{column: parse(value) for (column, parse), value in parsed})


class SyncState(OnDatabase):
    """The states of lists, and leases by which several processes share the work on one store."""

    async def list_state(self, name: str) -> ListState:
        """How far that list is stored; a fresh state where nothing is."""
        return (await self.list_states(name))[0]

    async def list_states(self, *names: str) -> list[ListState]:
        """How far each of these lists is stored, all as of one moment."""
        return await self._list_states(names)

    @one_query
    def _list_states(self, connection: Connection, names: Sequence[str]) -> list[ListState]:
        return _states(names, connection.rows(f"SELECT {_STATES}", [list(names)]))

    @one_query
    def stored_lists(self, connection: Connection, agent_id: str, now: datetime, *names: str) -> StoredLists:
        """How far each of these lists is stored, and what else a question first wants to know."""
        running = is_running(agent_id, now)
        some = f"SELECT count(*) FROM (SELECT 1 FROM $conversations WHERE {running.sql} LIMIT 1) AS one"
        rows = connection.rows(
            f"SELECT (SELECT sum(count) FROM $agents), ({some}), {_STATES}", [*running.values, list(names)]
        )
        return StoredLists(whole(rows[0][0]), whole(rows[0][1]) > 0, _states(names, [row[2:] for row in rows]))

    async def update(self, name: str, **changes: StateValue) -> None:
        """Sets some fields of a list's state."""
        if changes:
            await self._write(begun_with(), name, changes, "{0} = excluded.{0}")

    async def raise_to(self, name: str, **least: StateValue) -> None:
        """Raises fields to these values, but none that another has raised further at the same time."""
        await self._write(begun_with(), name, least, _RAISED)

    @on_writer
    def change_text(
        self, connection: Connection, name: str, now: datetime, change: Callable[[str, float], str]
    ) -> None:
        """Hands a text that all servers share ('' at first), and the store's time in seconds, to `change`; stores what
        it returns. It is called again where the connection was lost."""
        before = read_text(connection, name)
        after = change(before, connection.milliseconds(milliseconds(now)) / 1000)
        if after != before:
            write_text(connection, name, after)

    @on_writer
    def lease(
        self, connection: Connection, names: Iterable[str], owner: str, now: datetime, span: timedelta
    ) -> list[str]:
        """Takes, or prolongs, those of the leases that nobody else holds; returns the ones it got."""
        return take_leases(connection, names, owner, now, span)

    @on_writer
    def _write(
        self, connection: Connection, mark: str | None, name: str, changes: Mapping[str, StateValue], how: str
    ) -> None:
        """Writes fields of a list's state, for work that began with that mark."""
        unknown = changes.keys() - _COLUMNS.keys()
        if unknown:
            raise ValueError(unknown)
        refuse_if_purged(connection, mark)
        values = [_stored(value) for value in changes.values()]
        connection.claim()
        update = ", ".join(map(how.format, changes))
        connection.insert("list_states", ("name", *changes), [(name, *values)], key=("name",), update=update)

    @on_writer
    def release(self, connection: Connection, names: Iterable[str], owner: str) -> None:
        """Gives leases back."""
        release_leases(connection, names, owner)


def _stored(value: StateValue) -> Value:
    if isinstance(value, datetime):
        return milliseconds(value)
    return int(value) if isinstance(value, bool) else value
