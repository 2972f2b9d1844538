"""The lists of a provider that can be read from any row on: the whole ('') and each agent's."""

from dataclasses import replace
from datetime import datetime

from formant_mcp.errors import ConflictError, InvalidRequestError
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.list_sync import (
    ListRequest,
    ListStatus,
    ListSync,
    SyncParts,
)
from formant_mcp.sync.offset.incremental import Incremental
from formant_mcp.sync.offset.pages import OffsetList
from formant_mcp.sync.offset.scan import Scan


class OffsetListSync(ListSync):
    """Reads what is new, then scans as far as a question needs."""

    waits_daily = True

    def __init__(self, provider: OffsetProvider, parts: SyncParts) -> None:
        super().__init__(parts)
        self._provider = provider
        self._scans: dict[str, Scan] = {}

    def supported(self, request: ListRequest) -> ListRequest:
        """Only the agent narrows such a list, and `since` says how far it is read."""
        names = self._provider.spec.server_side_filters | {"since"}
        return self._kept(replace(request, filters=request.filters.as_stored().only(names)))

    async def status(self, request: ListRequest, checked_since: datetime) -> ListStatus:
        """How far the store answers a request now; the list must have been checked since then."""
        agent_id = request.filters.agent_id
        stored = await self._store.sync_state.stored_lists(agent_id, self._now(), "", agent_id)
        whole, own = map(self._until_now, stored.states)
        is_in_whole = whole.is_complete or (whole.was_checked(checked_since) and await self._covers(whole, request))
        state = whole if is_in_whole else own
        is_covered = await self._covers(state, request)
        status = self._status(request, state, whole, stored, is_covered=is_covered, checked_since=checked_since)
        return replace(
            status,
            list_total=state.total if state.name == agent_id else None,
            requests_left=_requests_left(state, self._provider.page_size),
        )

    async def _choose(self, request: ListRequest) -> tuple[str, ListRequest]:
        if (await self._state("")).is_complete:
            request = replace(request, filters=request.filters.without(frozenset({"agent_id"})))
        return request.filters.agent_id, request

    async def _update(self, request: ListRequest, progress: Progress) -> None:
        try:
            await super()._update(request, progress)
        except InvalidRequestError as error:
            name, _ = await self._choose(request)
            state = await self._state(name)
            was_listed = state.checked_at is not None or state.scan_rows > 0
            if not name or was_listed or isinstance(error, ConflictError):
                raise
            # The provider cannot list such an agent: the whole list says what there is.
            filters = request.filters.without(frozenset({"agent_id"}))
            await super()._update(replace(request, filters=filters, newest=0), progress)

    def _pages_of_rest(self, state: ListState, request: ListRequest) -> int:
        if self._store.retention.span:
            return 0  # the rest is not kept
        return -(-(state.total or 0) // self._provider.page_size)

    async def _read_new(self, name: str, progress: Progress) -> None:
        await Incremental(self._list(name)).run()

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


def _requests_left(state: ListState, rows: int) -> int:
    left = 0 if state.is_complete_since(None) else (state.total or 0) - state.scan_position
    return -(-max(0, left) // rows)
