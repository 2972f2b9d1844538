"""The lists of a provider whose pages hang on each other: the whole, and what it narrows down to by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from formant_mcp.filters import Filters
from formant_mcp.providers.base import CursorProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import BackgroundJobs, Progress, report_to
from formant_mcp.sync.by_cursor.one_list import OneList, earlier, has_holes, scope_of
from formant_mcp.sync.details import Details
from formant_mcp.sync.freshness import DAY, HOUR
from formant_mcp.sync.leases import Leases
from formant_mcp.sync.list_sync import ListRequest, ListStatus, may_scan_for_gone

_WAIT_FOR_THE_REST_SECONDS = 2.0  # a small account is read whole in this time


class CursorLists:
    """Keeps them known: what is new where all is known, the part that a question asks for, else a full pass."""

    def __init__(
        self,
        provider: CursorProvider,
        store: Store,
        details: Details,
        jobs: BackgroundJobs,
        leases: Leases,
        now: Callable[[], datetime],
    ) -> None:
        self._provider = provider
        self._store = store
        self._details = details
        self._jobs = jobs
        self._leases = leases
        self._now = now
        self._honoured: dict[str, bool] = {}

    def supported(self, need: ListRequest) -> ListRequest:
        """The request with server-side filters alone; `until` only of a period that is long over."""
        spec = self._provider.spec
        filters, newest = need.filters.as_stored().only(spec.server_side_filters), need.newest
        status = frozenset(each.lower() for each in filters.status)
        filters = replace(filters, status=tuple(status & spec.statuses))
        if status & spec.transient_statuses:  # few at a time, and any may have left it: all are read each time
            filters, newest = filters.without(frozenset({"since", "until"})), 0
        is_over = filters.since and filters.until and filters.until < self._now() - DAY
        filters = filters if is_over else replace(filters, until=None)
        return ListRequest(filters, newest if "since" in spec.server_side_filters else 0)

    async def bring(self, need: ListRequest, progress: Progress) -> None:
        """Brings that part of the list up to date, and what was running when last seen.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        agent_id = need.filters.agent_id
        if self._is_in_whole(need):
            need = ListRequest()
        filters = _without_times(need.filters)
        known = self._store.ledger.scope(scope_of(filters))
        if known.complete_at and not self._is_transient(need.filters) and not has_holes(known):
            await self._one(filters, progress).look()
            if self._is_to_be_read_again(known, known.complete_at, agent_id):
                self._store.ledger.update(known.scope, rescan_at=self._now())
                self._jobs.start(("pass", known.scope), lambda progress: self._run_pass(filters, progress))
        elif need.filters.until and not self._covers(known, need):
            if not self._is_recent(self._period(need)):
                await self._pass(self._period(need), progress)
        elif need.is_narrow:
            await self._reach(filters, need, progress)
        else:
            await self._pass(filters, progress)
        await self._details.read(self._store.read.running(agent_id, self._now()), progress)

    def list_status(self, need: ListRequest, requested_at: datetime) -> ListStatus:
        """How far the store answers that need, as things stand now, for a question asked at that time."""
        whole = self._store.ledger.scope("")
        known = whole if self._is_in_whole(need) else self._store.ledger.scope(scope_of(_without_times(need.filters)))
        covers, fresh = self._covers(known, need), bool(known.checked_at and known.checked_at >= requested_at)
        if need.filters.until and not covers and self._is_recent(self._period(need)):
            known, covers, fresh = self._store.ledger.scope(scope_of(self._period(need))), True, True
        gone = known.gone or (self._store.ledger.scope(scope_of(self._period(need))).gone if need.filters.until else 0)
        count = self._store.read.count_seen("")
        return ListStatus(
            as_of=known.checked_at,
            is_complete=covers and fresh and not (known.unreadable or known.shortfall or known.ends_early or gone),
            known=count,
            # What came since the total was told is counted here.
            total=count + whole.shortfall if whole.complete_at and whole.total is not None else None,
            is_listing=not covers and not known.ends_early,
            unreadable=known.unreadable or known.pass_unreadable,
            shortfall=known.shortfall,
            ends_early=known.ends_early,
            gone=gone,
        )

    async def _reach(self, filters: Filters, need: ListRequest, progress: Progress) -> None:
        """Back in time as far as the need goes; for the newest calls, the rest follows, and is not waited for long."""
        key = ("newest", scope_of(filters))

        async def work(progress: Progress) -> bool:
            async with self._leases.hold(f"newest:{scope_of(filters)}"):
                return await self._one(filters, progress).reach(need)

        # Another question's, if it runs, is waited for, so that it does not pause while it holds the lease.
        while self._jobs.is_running(key):
            await self._jobs.join(key, work, report_to(progress))
        reached = await self._jobs.join(key, work, report_to(progress))
        if need.newest:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_FOR_THE_REST_SECONDS if reached else None):
                    await self._pass(filters, progress)

    async def _pass(self, filters: Filters, progress: Progress) -> None:
        """Waits for a full pass, whoever began it, and for what came while it ran."""
        begun_at, scope = self._now(), scope_of(filters)
        known = self._store.ledger.scope(scope)
        if known.gone_at and not may_scan_for_gone(known, begun_at):
            return  # the last one missed many calls: the next is to be some time later
        await self._jobs.join(("pass", scope), lambda progress: self._run_pass(filters, progress), report_to(progress))
        complete_at = self._store.ledger.scope(scope).complete_at
        if complete_at and complete_at < begun_at and not filters.until:
            await self._one(filters, progress).look()

    async def _run_pass(self, filters: Filters, progress: Progress) -> None:
        one = self._one(filters, progress)
        before = self._store.ledger.scope(one.scope).complete_at
        async with self._leases.hold(f"pass:{one.scope}"):
            if self._store.ledger.scope(one.scope).complete_at == before:  # else another server has read it meanwhile
                await one.read_all()

    def _is_to_be_read_again(self, known: ListState, complete_at: datetime, agent_id: str) -> bool:
        """Daily; sooner where calls may be gone."""
        if known.gone_at:
            return may_scan_for_gone(known, self._now())
        if self._now() - complete_at >= DAY:
            return True
        return self._store.read.count_missing(agent_id, complete_at) > 0 and may_scan_for_gone(known, self._now())

    def _one(self, filters: Filters, progress: Progress) -> OneList:
        return OneList(self._provider, self._store, self._details, self._now, filters, progress, self._honoured)

    def _is_in_whole(self, need: ListRequest) -> bool:
        """Whether the whole list is known, and its rows tell which of them are asked for."""
        is_hidden = bool(need.filters.user_id) and "user_id" in self._provider.spec.detail_only_fields
        return not is_hidden and self._store.ledger.scope("").complete_at is not None

    def _period(self, need: ListRequest) -> Filters:
        """A list of its own for a period that is over: nothing is added to it."""
        # Whole hours, so that `30d` asked again is the same list.
        since = need.filters.since and earlier(need.filters.since, self._provider.spec.max_queue_time).replace(
            minute=0, second=0, microsecond=0
        )
        until = need.filters.until and need.filters.until.replace(minute=0, second=0, microsecond=0) + HOUR
        return replace(_without_times(need.filters), since=since, until=until)

    def _is_recent(self, filters: Filters) -> bool:
        """Whether a full pass over that list found everything within a day."""
        known = self._store.ledger.scope(scope_of(filters))
        return known.complete_at is not None and self._now() - known.complete_at < DAY and not has_holes(known)

    def _is_transient(self, filters: Filters) -> bool:
        return not self._provider.spec.transient_statuses.isdisjoint(filters.status)

    def _covers(self, known: ListState, need: ListRequest) -> bool:
        if known.complete_at:
            return True
        return bool(known.covered_since and need.filters.since and known.covered_since <= need.filters.since)


def _without_times(filters: Filters) -> Filters:
    return filters.without(frozenset({"since", "until"}))
