"""The lists of a provider that can be read from any row on: the whole ('') and each agent's."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.list_sync import (
    ListRequest,
    ListStatus,
    ListSync,
    SyncParts,
    goes_back_enough,
    is_day_old,
    may_scan_for_gone,
)
from formant_mcp.sync.offset.incremental import Incremental
from formant_mcp.sync.offset.pages import OffsetList
from formant_mcp.sync.offset.scan import Scan

_SHORT_LIST_PAGES = 30  # once the newest part of such a list is stored, the rest is read in the background

Step = Literal["incremental", "scan", "backfill", "done"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the next step depends on.

    `before`: the state when the question came; `is_covered`: whether the store covers the request; `may_be_gone`:
    whether stored calls may be gone; `pages`: of the list.
    """

    state: ListState
    before: ListState
    is_covered: bool
    may_be_gone: bool
    pages: int
    checked_since: datetime
    now: datetime

    @property
    def is_enough(self) -> bool:
        """Whether the scan has gone as far as the request needs."""
        state, before = self.state, self.before
        if is_day_old(before, self.now):
            return state.last_full_scan_at not in (None, before.last_full_scan_at)
        if not state.is_complete and state.gone and state.total:
            return False  # only the end of the scan can show which are gone
        return self.is_covered


def next_step(facts: Facts, done: set[Step]) -> Step:
    """What is to be read next: what is new, then as far back as the request needs, then the rest of a short list."""
    state = facts.state
    has_covered = state.is_complete or state.covered_from is not None
    if has_covered and not state.was_checked(facts.checked_since) and "incremental" not in done:
        return "incremental"
    if not facts.is_enough and "scan" not in done:
        is_waiting = state.gone_at is not None and not may_scan_for_gone(state, facts.now)
        return "done" if is_waiting else "scan"
    if state.is_complete:
        needs_rest = (facts.may_be_gone or state.ends_early) and may_scan_for_gone(state, facts.now)
    else:
        needs_rest = has_covered and 0 < facts.pages <= _SHORT_LIST_PAGES
    return "backfill" if needs_rest and "backfill" not in done else "done"


class OffsetListSync(ListSync):
    """Reads what is new, then scans as far as a question needs."""

    def __init__(self, provider: OffsetProvider, parts: SyncParts) -> None:
        super().__init__(parts)
        self._provider = provider
        self._scans: dict[str, Scan] = {}

    def supported(self, request: ListRequest) -> ListRequest:
        """Only the agent narrows such a list, and `since` says how far it is read."""
        names = self._provider.spec.server_side_filters | {"since"}
        return replace(request, filters=request.filters.as_stored().only(names))

    async def status(self, request: ListRequest, checked_since: datetime) -> ListStatus:
        """How far the store answers a request now; the list must have been checked since then."""
        whole, own = await self._store.sync_state.list_states("", request.filters.agent_id)
        is_in_whole = whole.is_complete or (whole.was_checked(checked_since) and await self._covers(whole, request))
        state = whole if is_in_whole else own
        status = self._status(
            state,
            whole,
            is_covered=await self._covers(state, request),
            checked_since=checked_since,
            stored=await self._store.read.count_seen(""),
        )
        return replace(
            status,
            list_total=state.total if state.name == request.filters.agent_id else None,
            requests_left=_requests_left(state, self._provider.page_size),
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
        facts = partial(self._facts, name, request, before, checked_since)
        done: set[Step] = set()
        while (step := next_step(await facts(), done)) != "done":
            done.add(step)
            if step == "incremental":
                async with self._exclusive(name):
                    await Incremental(self._list(name)).run()
            elif step == "scan":

                async def is_enough() -> bool:
                    return (await facts()).is_enough

                await self._scan(name, request, progress, is_enough)
                done.discard("incremental")  # for what came while it ran
            else:
                if (await self._state(name)).is_complete:
                    await self._list(name).save(rescan_at=self._now())
                self._start_backfill(name, await self._until_complete(name))

    async def _facts(self, name: str, request: ListRequest, before: ListState, checked_since: datetime) -> Facts:
        state = await self._state(name)
        scanned_at = state.last_full_scan_at
        return Facts(
            state,
            before,
            is_covered=await self._covers(state, request),
            may_be_gone=state.gone > 0
            or (scanned_at is not None and await self._store.read.count_missing(name, scanned_at) > 0),
            pages=-(-(state.total or 0) // self._provider.page_size),
            checked_since=checked_since,
            now=self._now(),
        )

    async def _read_batch(self, name: str, request: ListRequest, progress: Progress) -> bool:
        scan = self._scans.setdefault(name, Scan(self._list(name)))
        is_over = await scan.read_batch(request)
        progress.done = scan.pages.requests
        progress.total = progress.done + _requests_left(await self._state(name), scan.pages.stride)
        if is_over:
            del self._scans[name]
        return is_over

    def _list(self, name: str) -> OffsetList:
        return OffsetList(name, self._store, self._now, self._provider)

    async def _covers(self, state: ListState, request: ListRequest) -> bool:
        if state.is_complete:
            return True
        if state.covered_from is None or not request.is_narrow:
            return False
        filters = Filters(agent_id=request.filters.agent_id)
        return await goes_back_enough(self._store, request, filters, state.covered_from)


def _requests_left(state: ListState, rows: int) -> int:
    left = 0 if state.is_complete else (state.total or 0) - state.scan_position
    return -(-max(0, left) // rows)
