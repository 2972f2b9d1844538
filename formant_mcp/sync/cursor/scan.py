"""One list whose pages each name the next, kept up to date: by what is new, by windows back in time, or whole.

Its order does not matter: a window is requested by its times and read to its end.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from formant_mcp.errors import InvalidResponseError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Page
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.cursor.pages import CursorList, CursorPages
from formant_mcp.sync.details import DAY, HOUR
from formant_mcp.sync.list_sync import ListRequest, begun, shows_any_seen

_GROWTH = 4  # of each window, to that before it
_MAX_WINDOWS = 5  # for the newest calls: together almost a year; older ones come with the scan of everything
_FETCHED_AT_ONCE = 100
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)


class Scan:
    """Reads one list; the checkpoint of a full scan is in the store."""

    def __init__(self, source: CursorList) -> None:
        self._list = source
        self._store = source.store
        self._now = source.now
        self._max_queue_time = source.provider.spec.max_queue_time
        self._pages: CursorPages | None = None
        self._state = ListState(source.name)
        self._checkpoint: tuple[datetime | None, str | None] = (None, None)
        self._resumed_at = ""
        self._has_failed = False  # since something new was read

    async def read_new(self, progress: Progress) -> None:
        """Reads what came since the list was last checked.

        The lookback window is an hour, because a call may be listed only when it is over; a day where what narrows the
        list may change while a call runs.
        """
        state, started_at = await self._list.load(), self._now()
        may_change = replace(self._list.filters, agent_id="") != NO_FILTERS
        # The earlier of both: this machine's clock may have been set back since.
        since = min(state.covered_until or started_at, started_at) - (DAY if may_change else HOUR)
        unreadable, ends_early = await self._read(replace(self._list.filters, since=since), progress)
        # Another question may have read further meanwhile.
        await self._store.sync_state.raise_to(
            self._list.name,
            covered_until=started_at,
            checked_at=started_at,
            unreadable=unreadable,
            ends_early=ends_early,
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
        stored = await self._store.read.count(replace(self._list.filters, since=edge))
        return windows < _MAX_WINDOWS and stored < request.newest

    async def _read_window(
        self, since: datetime, until: datetime | None, started_at: datetime, progress: Progress
    ) -> bool:
        """False where it misses so many of the stored calls that it is not believed yet."""
        window = replace(self._list.filters, since=earlier(since, self._max_queue_time), until=until)
        read_at = self._now()
        unreadable, ends_early = await self._read(window, progress)
        if not ends_early and not await self._resolve_missing(replace(window, since=since), read_at, progress):
            return False
        if until is None:  # the first window
            await self._list.save(covered_until=started_at, coverage_started_at=started_at, checked_at=started_at)
        else:
            state = await self._list.load()
            unreadable, ends_early = state.unreadable + unreadable, state.ends_early or ends_early
        await self._list.save(covered_from=since, unreadable=unreadable, ends_early=ends_early)
        return True

    async def _read(self, filters: Filters, progress: Progress) -> tuple[int, bool]:
        """Reads such a list to its end; returns how many rows could not be read, and whether it ended early."""
        pages, unreadable, ends_early = CursorPages(self._list.provider, filters), 0, False
        while pages.cursor is not None:
            cursor, listed = await pages.fetch_next()
            _, more = await self._list.save_page(listed.page, progress)
            unreadable, ends_early = more + (unreadable if cursor else 0), listed.ends_early
        return unreadable, ends_early

    async def read_batch(self, progress: Progress) -> bool:
        """Reads the next page of a full scan and saves the checkpoint; True: it was the last."""
        state = await self._list.load()
        if self._pages is None or self._checkpoint != (state.scan_started_at, state.scan_cursor):
            self._pages = self._resume(state)  # another server may have moved or finished the scan
        pages = self._pages
        try:
            cursor, listed = await pages.fetch_next()
        except InvalidResponseError:
            if self._has_failed:
                await self._restart()  # continuing from there would only end there again
            self._has_failed, self._pages = True, None
            raise
        self._pages = None  # until this page is saved; if that fails, the scan resumes at the checkpoint
        if not cursor:
            self._state = begun(self._state, self._now())
        stored_before, unreadable = await self._list.save_page(listed.page, progress)
        is_resumed = cursor == self._resumed_at != "" and bool(stored_before)
        if is_resumed and not shows_any_seen(stored_before, self._state.scan_started_at):
            return await self._restart()  # the list does not continue from there as it did
        self._resumed_at = ""
        is_new = bool(listed.page.row_count) and not shows_any_seen(stored_before, self._state.scan_started_at)
        self._has_failed = self._has_failed and not is_new
        await self._save_checkpoint(cursor, listed.page, unreadable)
        if pages.cursor is not None:
            self._pages = pages
            return False
        await self._finish(replace(self._state, ends_early=listed.ends_early), progress)
        return True

    def _resume(self, state: ListState) -> CursorPages:
        """The page read last is read again, to see whether the list still continues from there."""
        self._state, self._checkpoint = state, (state.scan_started_at, state.scan_cursor)
        self._resumed_at = (state.scan_cursor or "") if state.scan_started_at else ""
        return CursorPages(self._list.provider, self._list.filters, self._resumed_at)

    async def _restart(self) -> bool:
        """Lets the next batch begin the scan again."""
        self._pages = None
        await self._list.end_scan()
        return False

    async def _save_checkpoint(self, cursor: str, page: Page, unreadable: int) -> None:
        """The counts are those before the page at the cursor, for a resumed scan begins with that page."""
        state = self._state
        self._checkpoint = (state.scan_started_at, cursor)
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
        started_at, filters = state.scan_started_at or self._now(), self._list.filters
        filters = replace(filters, since=filters.since and filters.since + self._max_queue_time)
        if not state.ends_early and not await self._resolve_missing(filters, started_at, progress):
            await self._list.end_scan(checked_at=self._now())
            return
        covered_until = (await self._list.load()).covered_until  # a question may have read further meanwhile
        covered_until = max(started_at, covered_until) if covered_until else started_at
        await self._list.end_scan(
            total=state.scan_total,
            unlisted=max(0, (state.scan_total or 0) - state.scan_rows),
            unreadable=state.scan_unreadable,
            ends_early=state.ends_early,
            last_full_scan_at=None if state.ends_early else started_at,
            checked_at=covered_until,
            covered_until=covered_until,
            covered_from=self._list.kept_from,
        )

    async def _resolve_missing(self, filters: Filters, started_at: datetime, progress: Progress) -> bool:
        """Calls that should have been listed and were not are fetched one by one: changed, passed over, or gone.

        Pages that are counted from the front pass over a row where another has gone meanwhile. Where a hundred were
        fetched and all are gone, the others are taken for gone as well. False where many are missing for the first
        time: nothing is fetched and nothing deleted until they are missing again some time later.
        """
        read, write = self._store.read, self._store.write
        if not (filters.status or filters.call_successful != "any"):  # a call may change these, and leave the list
            missing = await read.not_seen_since(filters, started_at)
            if await self._list.misses_many(await read.count(filters), len(missing), started_at):
                return False
        while hidden := await read.not_seen_since(filters, started_at, _FETCHED_AT_ONCE):
            await write.invalidate_details(hidden)
            await self._list.details.read(hidden, progress, holds_list=True)
            gone = await read.missing_among(hidden, started_at)
            await write.delete(*gone)
            if len(gone) == len(hidden) and filters == NO_FILTERS:
                await write.delete_unseen("", started_at)
            if not set(hidden) - set(await read.not_seen_since(filters, started_at, _FETCHED_AT_ONCE)):
                break  # they cannot be fetched now: what was stored of them stays
        await self._list.save(gone=0, gone_at=None)
        return True


def earlier(moment: datetime, span: timedelta) -> datetime:
    """That long before, or the calendar's first moment."""
    return moment - span if moment - _FIRST_MOMENT > span else _FIRST_MOMENT
