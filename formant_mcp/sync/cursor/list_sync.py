"""The lists of a provider whose pages each name the next: the whole, and what it narrows by itself."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from formant_mcp.filters import Filters
from formant_mcp.providers.base import CursorProvider
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.cursor.scan import ListScan, earlier, has_holes, list_name
from formant_mcp.sync.details import DAY, HOUR
from formant_mcp.sync.list_sync import ListRequest, ListStatus, ListSync, SyncParts, is_day_old, may_scan_for_gone

_WAIT_FOR_REST_SECONDS = 2.0  # in this time a small list is read whole, so that its newest calls are complete too

_EVER = datetime.min.replace(tzinfo=UTC)

Plan = Literal["incremental", "backfill", "scan", "nothing"]
"""What a question needs: what is new; windows back in time; the list to its end."""


class CursorListSync(ListSync):
    """Reads what is new where all is stored, the part that a question needs, or the whole list."""

    def __init__(self, provider: CursorProvider, parts: SyncParts) -> None:
        super().__init__(parts)
        self._provider = provider
        self._honoured: dict[str, bool] = {}
        self._lists: dict[str, ListScan] = {}

    def supported(self, request: ListRequest) -> ListRequest:
        """The request with server-side filters alone; `until` only of a period that is long over."""
        spec = self._provider.spec
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
        whole, own, period = await self._store.sync_state.list_states(
            "", _name(request.filters), list_name(self._period(request))
        )
        state = whole if self._is_in_whole(whole, request) else own
        is_covered, gone = _covers(state, request), state.gone
        if request.filters.until:
            gone = gone or period.gone
            if not is_covered and self._is_recent(period):
                state, is_covered, checked_since = period, True, _EVER
        stored = await self._store.read.count_seen("")
        status = self._status(
            replace(state, gone=gone), whole, is_covered=is_covered, checked_since=checked_since, stored=stored
        )
        return replace(
            status,
            # What came since the provider stated the total is counted here.
            total=stored + whole.unlisted if whole.is_complete and whole.total is not None else None,
            is_listing=not is_covered and not state.ends_early,
        )

    async def update(self, request: ListRequest, progress: Progress) -> None:
        """Reads what is new in the list, and as far back as the request needs.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        if self._is_in_whole(await self._state(""), request):
            request = replace(request, filters=Filters(), newest=0)
        plan, filters = await self._plan(request)
        list_scan = self._list(filters)
        if plan == "incremental":
            await list_scan.fetch_new(progress)
            await self._rescan_if_needed(list_scan.name, request.filters.agent_id)
        elif plan == "backfill":
            await self._backfill(list_scan, request, progress)
        elif plan == "scan":
            await self._scan_whole(list_scan, request, progress)

    async def _plan(self, request: ListRequest) -> tuple[Plan, Filters]:
        """What the request takes, and of which list."""
        filters = _without_times(request.filters)
        state = await self._state(list_name(filters))
        is_transient = not self._provider.spec.transient_statuses.isdisjoint(filters.status)
        if state.is_complete and not is_transient and not has_holes(state):
            return "incremental", filters
        if request.filters.until and not _covers(state, request):
            period = self._period(request)
            return "nothing" if self._is_recent(await self._state(list_name(period))) else "scan", period
        return "backfill" if request.is_narrow else "scan", filters

    async def _backfill(self, list_scan: ListScan, request: ListRequest, progress: Progress) -> None:
        """Back in time as far as the request needs; for the newest calls the rest follows, a small list at once."""
        async with self._exclusive(list_scan.name):
            is_covered = await list_scan.backfill(request, progress)
        if request.newest:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_FOR_REST_SECONDS if is_covered else None):
                    await self._scan_whole(list_scan, request, progress)

    async def _scan_whole(self, list_scan: ListScan, request: ListRequest, progress: Progress) -> None:
        """Waits for a scan of a list to its end, whoever began it, and reads what came meanwhile."""
        started_at, state = self._now(), (await self._state(list_scan.name))
        if state.gone_at and not may_scan_for_gone(state, started_at):
            return  # the last scan missed many calls: the next is to be some time later
        await self._join_scan(list_scan.name, progress, await self._until_complete(list_scan.name))
        last_full_scan_at = (await self._state(list_scan.name)).last_full_scan_at
        if last_full_scan_at and last_full_scan_at < started_at and not request.filters.until:
            await list_scan.fetch_new(progress)

    async def _rescan_if_needed(self, name: str, agent_id: str) -> None:
        """Daily; sooner where calls may be gone."""
        state, now = await self._state(name), self._now()
        is_missing = (
            state.last_full_scan_at and (await self._store.read.count_missing(agent_id, state.last_full_scan_at)) > 0
        )
        if state.gone_at or (is_missing and not is_day_old(state, now)):
            is_needed = may_scan_for_gone(state, now)
        else:
            is_needed = is_day_old(state, now)
        if is_needed:
            await self._store.sync_state.update(name, rescan_at=now)
            self._start_backfill(name, await self._until_complete(name))

    async def _read_batch(self, name: str, request: ListRequest, progress: Progress) -> bool:
        return await self._lists[name].read_batch(progress)

    def _list(self, filters: Filters) -> ListScan:
        name = list_name(filters)
        if name not in self._lists:
            self._lists[name] = ListScan(self._provider, self._parts, filters, self._honoured)
        return self._lists[name]

    def _is_in_whole(self, whole: ListState, request: ListRequest) -> bool:
        """Whether the whole list is stored, and its rows say which of them match."""
        is_hidden = bool(request.filters.user_id) and "user_id" in self._provider.spec.detail_only_fields
        return not is_hidden and whole.is_complete

    def _period(self, request: ListRequest) -> Filters:
        """A list of its own for a period that is over: nothing is added to it."""
        # Whole hours, so that the same `30d` a little later is the same list.
        since = request.filters.since and earlier(request.filters.since, self._provider.spec.max_queue_time).replace(
            minute=0, second=0, microsecond=0
        )
        until = request.filters.until and request.filters.until.replace(minute=0, second=0, microsecond=0) + HOUR
        return replace(_without_times(request.filters), since=since, until=until)

    def _is_recent(self, state: ListState) -> bool:
        """Whether a full scan of that list found everything within a day."""
        return state.is_complete and not is_day_old(state, self._now()) and not has_holes(state)


def _covers(state: ListState, request: ListRequest) -> bool:
    since = request.filters.since
    return state.is_complete or (state.covered_from is not None and since is not None and state.covered_from <= since)


def _without_times(filters: Filters) -> Filters:
    return filters.without(frozenset({"since", "until"}))


def _name(filters: Filters) -> str:
    return list_name(_without_times(filters))
