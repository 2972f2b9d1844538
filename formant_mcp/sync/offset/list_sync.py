"""The lists of a provider that can be read from any row on: the whole ('') and each agent's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Literal

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import BackgroundJobs, Progress
from formant_mcp.sync.details import Details
from formant_mcp.sync.leases import Leases
from formant_mcp.sync.list_sync import ListRequest, ListStatus, ListSync, is_day_old, may_scan_for_gone
from formant_mcp.sync.offset.incremental import Incremental
from formant_mcp.sync.offset.scan import Scan

_SHORT_LIST_PAGES = 30  # read to its end in the background, at once, when its newest part is there

Step = Literal["incremental", "scan", "backfill", "done"]


class OffsetListSync(ListSync):
    """Reads what is new, then scans as far as a question needs."""

    def __init__(
        self,
        provider: OffsetProvider,
        store: Store,
        details: Details,
        jobs: BackgroundJobs,
        leases: Leases,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(store, details, jobs, leases, now)
        self._provider = provider
        self._scans: dict[str, Scan] = {}

    def supported(self, request: ListRequest) -> ListRequest:
        """Only the agent narrows such a list, and `since` says how far it is read."""
        names = self._provider.spec.server_side_filters | {"since"}
        return replace(request, filters=request.filters.as_stored().only(names))

    async def status(self, request: ListRequest, checked_since: datetime) -> ListStatus:
        """How far the store answers a request now; the list must have been checked since then."""
        whole = await self._state("")
        answers = whole.last_full_scan_at or await self._answers(whole, request, checked_since)
        state = whole if answers else (await self._state(request.filters.agent_id))
        is_sound = not (state.unreadable or state.unlisted or state.ends_early or state.gone)
        return ListStatus(
            as_of=state.checked_at,
            is_complete=await self._answers(state, request, checked_since) and is_sound,
            known=await self._store.read.count_seen(""),
            total=whole.total,
            list_total=state.total if state.name == request.filters.agent_id else None,
            requests_left=self._requests_left(state, self._provider.page_size),
            unreadable=state.unreadable or state.scan_unreadable,
            unlisted=state.unlisted,
            ends_early=state.ends_early,
            gone=state.gone,
            knows_all=whole.knows_all,
        )

    async def update(self, request: ListRequest, progress: Progress) -> None:
        """Reads what is new in the list, and as far back as the request needs.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        name = "" if (await self._state("")).last_full_scan_at else request.filters.agent_id
        try:
            await self._update(name, request, progress)
        except InvalidRequestError:
            if not name:
                raise
            # The provider cannot list such an agent: the whole list says what there is.
            await self._update("", replace(request, newest=0), progress)

    async def _update(self, name: str, request: ListRequest, progress: Progress) -> None:
        before, checked_since = await self._state(name), request.checked_since(self._now())
        done: set[Step] = set()
        while (step := await self._next_step(name, request, before, checked_since, done)) != "done":
            done.add(step)
            if step == "incremental":
                async with self._exclusive(name):
                    await Incremental(self._provider, self._store, self._now, name).run()
            elif step == "scan":
                done.discard("incremental")  # for what came while it ran
                await self._scan(name, request, progress, partial(self._is_enough, name, request, before))
            else:
                if (await self._state(name)).last_full_scan_at:
                    await self._store.sync_state.update(name, rescan_at=self._now())
                self._start_backfill(name, await self._until_complete(name))

    async def _next_step(
        self, name: str, request: ListRequest, before: ListState, checked_since: datetime, done: set[Step]
    ) -> Step:
        """What is to be read next; `before`: the state when the question was asked."""
        state, now = await self._state(name), self._now()
        is_covered = state.last_full_scan_at is not None or state.covered_from is not None
        is_checked = state.checked_at is not None and state.checked_at >= checked_since
        if is_covered and not is_checked and "incremental" not in done:
            return "incremental"
        if "scan" not in done and not await self._is_enough(name, request, before):
            is_waiting = state.gone_at is not None and not may_scan_for_gone(state, now)
            return "done" if is_waiting else "scan"
        return "backfill" if "backfill" not in done and await self._needs_backfill(state, now) else "done"

    async def _is_enough(self, name: str, request: ListRequest, before: ListState) -> bool:
        """Whether the scan has gone far enough for a request."""
        state = await self._state(name)
        if before.last_full_scan_at and is_day_old(before, self._now()):
            return state.last_full_scan_at not in (None, before.last_full_scan_at)
        if state.last_full_scan_at is None and state.gone and state.total:
            return False  # only the end of the scan can tell which are gone
        return await self._covers(state, request)

    async def _needs_backfill(self, state: ListState, now: datetime) -> bool:
        """Whether the rest of a short list is to be read, or calls may be gone of a list that was complete."""
        if state.last_full_scan_at is None:
            pages = -(-(state.total or 0) // self._provider.page_size)
            return state.covered_from is not None and 0 < pages <= _SHORT_LIST_PAGES
        may_be_gone = state.gone or (await self._store.read.count_missing(state.name, state.last_full_scan_at))
        return bool(may_be_gone or state.ends_early) and may_scan_for_gone(state, now)

    async def _read_batch(self, name: str, request: ListRequest, progress: Progress) -> bool:
        scan = self._scans.setdefault(name, Scan(self._provider, self._store, self._now, name))
        is_over = await scan.read_batch(request)
        progress.done = scan.requests
        progress.total = scan.requests + self._requests_left(await self._state(name), scan.stride)
        if is_over:
            del self._scans[name]
        return is_over

    async def _answers(self, state: ListState, request: ListRequest, checked_since: datetime) -> bool:
        is_checked = state.checked_at is not None and state.checked_at >= checked_since
        return is_checked and await self._covers(state, request)

    async def _covers(self, state: ListState, request: ListRequest) -> bool:
        if state.last_full_scan_at:
            return True
        if state.covered_from is None or not request.is_narrow:
            return False
        if request.filters.since:
            return state.covered_from <= request.filters.since
        newest = Filters(agent_id=request.filters.agent_id, since=state.covered_from)
        return await self._store.read.count(newest) >= request.newest

    def _requests_left(self, state: ListState, rows: int) -> int:
        left = 0 if state.last_full_scan_at else (state.total or 0) - state.scan_position
        return -(-max(0, left) // rows)
