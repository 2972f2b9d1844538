"""One list whose pages each name the next, kept up to date: by what is new, by windows back in time, or whole.

A list is what the provider returns for some filters: the whole account's, one agent's, one user's, ... Its order does
not matter: a window is requested by its times and read to its end.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast
from urllib.parse import urlencode

from formant_mcp.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Page
from formant_mcp.providers.base import CursorProvider
from formant_mcp.store.sync_state import ListState
from formant_mcp.store.writer import PreviousRow
from formant_mcp.sync.background import Progress
from formant_mcp.sync.cursor.pages import CursorPages
from formant_mcp.sync.details import DAY, HOUR
from formant_mcp.sync.list_sync import (
    ListRequest,
    StoredList,
    SyncParts,
    shows_any_seen,
    unconfirmed_loss,
)

_GROWTH = 4  # of each window, to that before it
_MAX_WINDOWS = 5  # for the newest calls: together almost a year; older ones come with the scan of everything
_FETCHED_AT_ONCE = 100
_NOBODY = "formant-mcp-nobody"  # an id that no user and no agent has
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)


class ListScan:
    """One list; `name` is its name in the store, '' for the whole.

    `honoured`: which fields the provider was seen to narrow by, shared by all lists.
    """

    def __init__(self, provider: CursorProvider, parts: SyncParts, filters: Filters, honoured: dict[str, bool]) -> None:
        self._provider = provider
        self._store = parts.store
        self._details = parts.details
        self._now = parts.now
        self._filters = filters
        self._honoured = honoured
        self._list = StoredList(list_name(filters), parts.store, parts.now)
        self._pages: CursorPages | None = None
        self._state = ListState("")
        self._resumed_at = ""
        self.name = self._list.name

    async def fetch_new(self, progress: Progress) -> None:
        """Reads what came since the list was last checked.

        The lookback window is an hour, because a call may be listed only when it is over; a day where what narrows the
        list may change while a call runs.
        """
        state, started_at = await self._list.load(), self._now()
        may_change = replace(self._filters, agent_id="") != NO_FILTERS
        # The earlier of both: this machine's clock may have been set back since.
        since = min(state.covered_until or started_at, started_at) - (DAY if may_change else HOUR)
        unreadable, ends_early = await self._read(replace(self._filters, since=since), progress)
        # Another question may have read further meanwhile.
        await self._store.sync_state.raise_to(
            self.name, covered_until=started_at, checked_at=started_at, unreadable=unreadable, ends_early=ends_early
        )

    async def read_windows(self, request: ListRequest, edge: datetime | None, progress: Progress) -> None:
        """Reads back in time from what is covered, window by window, as far as the request needs or windows go."""
        started_at, since = self._now(), request.filters.since
        span, windows = 7 * DAY if since else DAY, 0
        while edge is None or (edge > since if since else await self._is_short(request, edge, windows)):
            start = earlier(edge or started_at, span)
            start = max(since, start) if since else start
            if not await self._read_window(start, edge, started_at, progress):
                break
            edge, span, windows = start, span * _GROWTH, windows + 1

    async def _is_short(self, request: ListRequest, edge: datetime, windows: int) -> bool:
        """Whether more windows are needed for the newest calls."""
        stored = await self._store.read.count(replace(self._filters, since=edge))
        return windows < _MAX_WINDOWS and stored < request.newest

    async def read_batch(self, progress: Progress) -> bool:
        """Reads the next page of a full scan and saves the checkpoint; True: it was the last.

        Raises:
            FormantError: it cannot be read now; what was read is kept.
        """
        pages = self._pages or await self._resume()
        try:
            cursor, listed = await pages.fetch_next()
        except InvalidResponseError:
            await self._restart()  # continuing from there would only end there again
            raise
        if not cursor:
            self._state = replace(
                self._state, scan_started_at=self._now(), scan_total=None, scan_rows=0, scan_unreadable=0
            )
        stored_before, unreadable = await self._save(listed.page, progress)
        is_resumed = cursor == self._resumed_at != "" and bool(stored_before)
        if is_resumed and not shows_any_seen(stored_before, self._state.scan_started_at):
            await self._restart()  # the list does not continue from there as it did
            return False
        self._resumed_at = ""
        await self._save_checkpoint(cursor, listed.page, unreadable)
        if pages.cursor is not None:
            return False
        self._pages = None
        await self._finish(replace(self._state, ends_early=listed.ends_early), progress)
        return True

    async def _resume(self) -> CursorPages:
        """The page read last is read again, to see whether the list still continues from there."""
        self._state = await self._list.load()
        self._resumed_at = (self._state.scan_cursor or "") if self._state.scan_started_at else ""
        self._pages = CursorPages(self._provider, self._filters, self._resumed_at)
        return self._pages

    async def _restart(self) -> None:
        await self._list.save(scan_started_at=None, scan_cursor=None)
        self._pages = None

    async def _save_checkpoint(self, cursor: str, page: Page, unreadable: int) -> None:
        """The counts are those before the page at the cursor, for a resumed scan begins with that page."""
        state = self._state
        await self._list.save(
            scan_started_at=state.scan_started_at,
            scan_cursor=cursor,
            scan_rows=state.scan_rows,
            scan_unreadable=state.scan_unreadable,
            scan_total=state.scan_total,
        )
        total = state.scan_total if page.total is None else min(page.total, state.scan_total or page.total)
        self._state = replace(
            state,
            scan_rows=state.scan_rows + page.row_count,
            scan_unreadable=state.scan_unreadable + unreadable,
            scan_total=total,
        )

    async def _finish(self, state: ListState, progress: Progress) -> None:
        started_at = state.scan_started_at or self._now()
        since = self._filters.since and self._filters.since + self._provider.spec.max_queue_time
        filters = replace(self._filters, since=since)
        if not state.ends_early and not await self._resolve_missing(filters, started_at, progress):
            await self._list.save(checked_at=self._now(), scan_started_at=None, scan_cursor=None)
            return
        covered_until = (await self._list.load()).covered_until  # a question may have read further meanwhile
        covered_until = max(started_at, covered_until) if covered_until else started_at
        await self._list.save(
            total=state.scan_total,
            unlisted=max(0, (state.scan_total or 0) - state.scan_rows),
            unreadable=state.scan_unreadable,
            ends_early=state.ends_early,
            last_full_scan_at=None if state.ends_early else started_at,
            checked_at=covered_until,
            covered_until=covered_until,
            covered_from=None,
            scan_started_at=None,
            scan_cursor=None,
        )

    async def _read_window(
        self, since: datetime, until: datetime | None, started_at: datetime, progress: Progress
    ) -> bool:
        """False where it misses so many of the stored calls that it is not believed yet."""
        window = replace(self._filters, since=earlier(since, self._provider.spec.max_queue_time), until=until)
        read_at = self._now()
        unreadable, ends_early = await self._read(window, progress)
        if not ends_early and not await self._resolve_missing(replace(window, since=since), read_at, progress):
            return False
        state = await self._list.load()
        if until is None:  # the first window
            await self._list.save(covered_until=started_at, coverage_started_at=started_at, checked_at=started_at)
        else:
            unreadable, ends_early = state.unreadable + unreadable, state.ends_early or ends_early
        await self._list.save(covered_from=since, unreadable=unreadable, ends_early=ends_early)
        return True

    async def _read(self, filters: Filters, progress: Progress) -> tuple[int, bool]:
        """Reads such a list to its end; returns how many rows could not be read, and whether it ended early."""
        pages, unreadable, ends_early = CursorPages(self._provider, filters), 0, False
        while pages.cursor is not None:
            cursor, listed = await pages.fetch_next()
            _, more = await self._save(listed.page, progress)
            unreadable, ends_early = more + (unreadable if cursor else 0), listed.ends_early
        return unreadable, ends_early

    async def _save(self, page: Page, progress: Progress) -> tuple[dict[str, PreviousRow], int]:
        """Returns what was stored before, and how many rows could not be read as far as the question needs them."""
        user_id, agent_id = self._filters.user_id, self._filters.agent_id
        rows = page.conversations
        if user_id and await self._is_true_of("user_id", {row.user_id for row in rows}):
            rows = [replace(row, user_id=row.user_id or user_id) for row in rows]
        if agent_id and await self._is_true_of("agent_id", {row.agent_id for row in rows}):
            rows = [replace(row, agent_id=row.agent_id or agent_id) for row in rows]
        stored_before = await self._store.write.save(rows, self._now())
        progress.done += 1
        if not user_id or None not in {row.user_id for row in rows}:
            return stored_before, page.unreadable
        ids = [row.conversation_id for row in rows]
        await self._details.read(await self._without_detail(ids), progress)
        return stored_before, page.unreadable + len(await self._without_detail(ids))

    async def _is_true_of(self, name: Literal["agent_id", "user_id"], shown: set[str | None]) -> bool:
        """Whether the list's filter holds for rows that do not show the field that it filters by.

        It does not where the provider ignores the filter: then it also lists calls of a user, or an agent, that does
        not exist.
        """
        if None not in shown:
            return False
        if name not in self._honoured:
            filters = Filters(user_id=_NOBODY) if name == "user_id" else Filters(agent_id=_NOBODY)
            try:
                self._honoured[name] = not (await self._provider.list_page("", filters)).page.row_count
            except (InvalidRequestError, NotFoundError):
                self._honoured[name] = True
        return self._honoured[name]

    async def _without_detail(self, conversation_ids: list[str]) -> list[str]:
        stored = await self._store.read.get(conversation_ids)
        return [conversation_id for conversation_id, row in stored.items() if not row.has_detail]

    async def _resolve_missing(self, filters: Filters, started_at: datetime, progress: Progress) -> bool:
        """Calls that should have been listed and were not are fetched one by one: changed, passed over, or gone.

        Pages that are counted from the front pass over a row where another has gone meanwhile. Where a hundred were
        fetched and all are gone, the others are taken for gone as well. False where many are missing for the first
        time: nothing is fetched and nothing deleted until they are missing again some time later.
        """
        if not (filters.status or filters.call_successful != "any"):  # a call may change these, and leave the list
            missing = await self._store.read.not_seen_since(filters, started_at, -1)
            count = await self._store.read.count(filters)
            if loss := unconfirmed_loss(await self._list.load(), count, len(missing), started_at, self._now()):
                await self._list.save(**loss)
                return False
        while hidden := (await self._store.read.not_seen_since(filters, started_at, _FETCHED_AT_ONCE)):
            await self._store.write.invalidate_details(hidden)
            await self._details.read(hidden, progress)
            gone = await self._store.read.missing_among(hidden, started_at)
            await self._store.write.delete(*gone)
            if len(gone) == len(hidden) and filters == NO_FILTERS:
                await self._store.write.delete_unseen("", started_at)
            if not set(hidden) - set(await self._store.read.not_seen_since(filters, started_at, _FETCHED_AT_ONCE)):
                break  # they cannot be fetched now: what was stored of them stays
        await self._list.save(gone=0, gone_at=None)
        return True


def earlier(moment: datetime, span: timedelta) -> datetime:
    """That long before, or the calendar's first moment."""
    return moment - span if moment - _FIRST_MOMENT > span else _FIRST_MOMENT


def list_name(filters: Filters) -> str:
    """The name of that list in the store."""
    return urlencode({name: _text(value) for name, value in filters.given().items()})


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, cast(tuple[object, ...], value)))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def has_holes(state: ListState) -> bool:
    """Whether the list is to be read again: it ended early, or details are missing that say whose calls these are."""
    return state.ends_early or ("user_id=" in state.name and state.unreadable > 0)
