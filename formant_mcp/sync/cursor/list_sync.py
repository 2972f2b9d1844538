"""The lists of a provider whose pages each name the next: the whole, and what it narrows by itself."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from formant_mcp.filters import Filters
from formant_mcp.providers.base import CursorProvider
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.cursor.pages import CursorList, list_name
from formant_mcp.sync.cursor.scan import Scan, earlier
from formant_mcp.sync.details import DAY, HOUR
from formant_mcp.sync.list_sync import IsEnough, ListRequest, ListStatus, ListSync, SyncParts
from formant_mcp.sync.plan import is_day_old

_WAIT_FOR_REST_SECONDS = 2.0  # in this time a small list is read whole, so that its newest calls are complete too

_EVER = datetime.min.replace(tzinfo=UTC)


class CursorListSync(ListSync):
    """Reads what is new where all is stored, the part that a question needs, or the whole list."""

    waits_daily = False

    def __init__(self, provider: CursorProvider, parts: SyncParts) -> None:
        super().__init__(parts)
        self._provider = provider
        self._honoured: dict[str, bool] = {}
        self._scans: dict[str, Scan] = {}

    def supported(self, request: ListRequest) -> ListRequest:
        """The request with server-side filters alone; `until` only of a period that is long over."""
        spec = self._provider.spec
        if self._store.retention.span and "since" in spec.server_side_filters:
            request = self._kept(replace(request, newest=0))
        filters, newest = request.filters.as_stored().only(spec.server_side_filters), request.newest
        status = frozenset(name.lower() for name in filters.status)
        filters = replace(filters, status=tuple(status & spec.statuses))
        if status & spec.transient_statuses:  # few at a time, and any may have left it: all are read each time
            filters, newest = filters.without(frozenset({"since", "until"})), 0
        is_over = filters.since and filters.until and filters.until < self._now() - DAY
        filters = filters if is_over else replace(filters, until=None)
        return replace(request, filters=filters, newest=newest if "since" in spec.server_side_filters else 0)

    async def status(self, request: ListRequest, checked_since: datetime) -> ListStatus:
        """How far the store answers a request now; the list must have been checked since then."""
        names = ("", _name(request.filters), list_name(self._period(request)))
        stored = await self._store.sync_state.stored_lists(request.filters.agent_id, self._now(), *names)
        whole, own, period = map(self._until_now, stored.states)
        state = whole if self._is_in_whole(whole, request) else own
        since = request.filters.since
        is_covered = state.is_complete_since(since) or (since is not None and await self._covers(state, request))
        gone = state.gone
        if request.filters.until:
            gone = gone or period.gone
            if not is_covered and self._valid(period, request).is_complete_since(since):
                state, is_covered, checked_since = period, True, _EVER
        state = replace(state, gone=gone)
        status = self._status(request, state, whole, stored, is_covered=is_covered, checked_since=checked_since)
        return replace(
            status,
            # What came since the provider stated the total is counted here.
            total=status.stored + whole.unlisted if whole.is_complete_since(None) and whole.total is not None else None,
            is_listing=not is_covered and not state.ends_early,
        )

    async def _choose(self, request: ListRequest) -> tuple[str, ListRequest]:
        filters = request.filters
        whole, own = await self._store.sync_state.list_states("", _name(filters))
        if self._is_in_whole(whole, request):
            request = replace(request, filters=Filters(), newest=0)
        elif filters.until:
            is_covered = await self._covers(own, request)
            request = replace(request, filters=replace(filters, until=None) if is_covered else self._period(request))
        list_filters = request.filters if request.filters.until else _without_times(request.filters)
        name = list_name(list_filters)
        if name not in self._scans:
            parts = self._parts
            source = CursorList(
                name, parts.store, parts.now, list_filters, self._provider, parts.details, self._honoured
            )
            self._scans[name] = Scan(source)
        return name, request

    def _pages_of_rest(self, state: ListState, request: ListRequest) -> int:
        return 1 if request.newest else 0  # the provider does not say how many

    def _valid(self, state: ListState, request: ListRequest) -> ListState:
        """A period is read again after a day, what windows cover too; what may change or has holes each time.

        A scan of everything does not continue what windows cover.
        """
        now, filters = self._now(), request.filters
        is_transient = not self._provider.spec.transient_statuses.isdisjoint(filters.status)
        if is_transient or _has_holes(state) or (filters.until and is_day_old(state, now)):
            state = replace(state, last_full_scan_at=None, covered_from=None)
        is_recent = state.coverage_started_at is not None and now - state.coverage_started_at < DAY
        if not state.is_complete and not (is_recent and request.is_narrow):
            state = replace(state, covered_from=None)
        return replace(state, checked_at=now) if filters.until else state

    async def _read_new(self, name: str, progress: Progress) -> None:
        await self._scans[name].read_new(progress)

    async def _read_back(self, name: str, request: ListRequest, progress: Progress, is_enough: IsEnough) -> None:
        """Window by window for the newest calls and those since a time, else to the end of the list."""
        if request.filters.until or not request.is_narrow:
            await self._join_full_scan(name, progress)
            return
        async with self._exclusive(name):
            edge = self._valid(await self._state(name), request).covered_from
            await self._scans[name].read_windows(request, edge, progress)

    async def _backfill(self, name: str, request: ListRequest, progress: Progress) -> None:
        """The rest of a list whose newest calls are stored is waited for, a short time if they are enough."""
        state = await self._state(name)
        if state.is_complete:
            await super()._backfill(name, request, progress)
            return
        is_enough = await self._covers(state, request)
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_FOR_REST_SECONDS if is_enough else None):
                await self._join_full_scan(name, progress)

    async def _read_batch(self, name: str, request: ListRequest, progress: Progress) -> bool:
        return await self._scans[name].read_batch(progress)

    def _is_in_whole(self, whole: ListState, request: ListRequest) -> bool:
        """Whether the whole list is stored, and its rows say which of them match."""
        is_hidden = bool(request.filters.user_id) and "user_id" in self._provider.spec.detail_only_fields
        return not is_hidden and whole.is_complete_since(request.filters.since)

    def _period(self, request: ListRequest) -> Filters:
        """A list of its own for a period that is over: nothing is added to it."""
        # Whole hours, so that the same `30d` a little later is the same list.
        since = request.filters.since and earlier(request.filters.since, self._provider.spec.max_queue_time).replace(
            minute=0, second=0, microsecond=0
        )
        until = request.filters.until and request.filters.until.replace(minute=0, second=0, microsecond=0) + HOUR
        return replace(_without_times(request.filters), since=since, until=until)


def _without_times(filters: Filters) -> Filters:
    return filters.without(frozenset({"since", "until"}))


def _name(filters: Filters) -> str:
    return list_name(_without_times(filters))


def _has_holes(state: ListState) -> bool:
    """Whether the list is to be read again: it ended early, or details are missing that say whose calls these are."""
    return state.ends_early or ("user_id=" in state.name and state.unreadable > 0)
