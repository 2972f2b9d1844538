"""Sync for a reader for whom only some agents exist: it reads these agents' lists, and reports on nothing else."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import TypeVar

from formant_mcp.analysis.signals import Need
from formant_mcp.errors import FormantError, InvalidResponseError, NotFoundError
from formant_mcp.providers.base import Recording
from formant_mcp.providers.recordings import recording_not_found
from formant_mcp.providers.responses import conversation_not_found
from formant_mcp.store import Store
from formant_mcp.sync.background import Report, cancel_all
from formant_mcp.sync.list_sync import ListRequest, ListStatus, later
from formant_mcp.sync.sync import Sync

T = TypeVar("T")

_AT_ANY_TIME = datetime.max.replace(tzinfo=UTC)
_TICK_SECONDS = 0.5


class LimitedSync:
    """What Sync is to other readers. `store`: the one limited to the reader's agents."""

    def __init__(self, sync: Sync, store: Store) -> None:
        self._sync = sync
        self._store = store
        self._agents = sorted(store.visible_agents)

    async def refresh_list(self, request: ListRequest, seconds: float, report: Report | None = None) -> ListStatus:
        """Updates that part of the agents' lists, or of the whole list if that is stored; returns its status then."""
        ends = asyncio.get_running_loop().time() + seconds
        statuses: list[ListStatus] = []
        async with _ticking(report):
            for own in self._requests(request):
                left = ends - asyncio.get_running_loop().time()
                statuses.append(await self._sync.refresh_list(own, left))
        return await self._as_one(request, statuses)

    async def list_status(self, request: ListRequest, requested_at: datetime) -> ListStatus:
        """How far the store answers that request now, for a question of that time."""
        statuses = [await self._sync.list_status(own, requested_at) for own in self._requests(request)]
        return await self._as_one(request, statuses)

    async def knows_all(self) -> bool:
        """Whether the lists of all agents, as far as they are kept, were stored when they were last checked."""
        lists = await self._whole_lists()
        if all(status.knows_list for status in lists) or not any(status.kept_from for status in lists):
            return all(status.knows_list for status in lists)
        return await self._sync.knows_all() or all([await self._sync.knows_all(agent) for agent in self._agents])

    async def fetch_first_page(self, seconds: float) -> None:
        """Reads the newest conversations if none is stored.

        Raises:
            FormantError: they cannot be read now.
        """
        if await self._store.read.count_seen(""):
            return
        if error := (await self.refresh_list(ListRequest(newest=1), seconds)).error:
            raise error

    async def fetch_details(
        self, conversation_ids: Sequence[str], seconds: float, report: Report | None = None
    ) -> FormantError | None:
        """See Sync; the ids are from the limited store."""
        return await self._sync.fetch_details(conversation_ids, seconds, report)

    async def fetch_one(self, conversation_id: str, requested_at: datetime, seconds: float) -> FormantError | None:
        """See Sync. One of another agent is requested each time, as one is that does not exist.

        Raises:
            NotFoundError: it does not exist, or nothing shows that it is one of the agents'.
        """
        if await self._exists(conversation_id):
            return await self._sync.fetch_one(conversation_id, requested_at, seconds)
        try:
            error = await self._sync.fetch_again(conversation_id, seconds)
        except InvalidResponseError:
            error = None
        except NotFoundError:  # one that is not kept may be another agent's
            raise conversation_not_found(conversation_id) from None
        if not error and not await self._exists(conversation_id):
            raise conversation_not_found(conversation_id)
        return error

    async def fetch_recording(
        self, conversation_id: str, save: Callable[[Recording], Awaitable[T]], seconds: float, purpose: str = "file"
    ) -> T | None:
        """See Sync. Nothing is passed to `save` unless the conversation is one of the agents'."""
        ends = asyncio.get_running_loop().time() + seconds
        if not await self._exists(conversation_id):
            try:
                error = await self.fetch_one(conversation_id, _AT_ANY_TIME, seconds)
            except NotFoundError:
                raise recording_not_found(conversation_id) from None
            if error:
                raise error
        left = ends - asyncio.get_running_loop().time()
        return await self._sync.fetch_recording(conversation_id, save, left, purpose)

    async def measure_stored(self, seconds: float) -> None:
        """See Sync."""
        await self._sync.measure_stored(seconds)

    @property
    def unmeasured(self) -> frozenset[Need]:
        """What signals may need and the provider never sends."""
        return self._sync.unmeasured

    @property
    def unsupported_filters(self) -> frozenset[str]:
        """The filters that the provider has no field for."""
        return self._sync.unsupported_filters

    @property
    def recording_type(self) -> str:
        """The media type that the provider's recordings usually have."""
        return self._sync.recording_type

    @property
    def detail_only_fields(self) -> frozenset[str]:
        """The filters that a list row does not answer, nor the provider for it."""
        return self._sync.detail_only_fields

    @property
    def requests_per_minute(self) -> float | None:
        """The rate limit the provider last stated, else the recent request rate; None if neither is available."""
        return self._sync.requests_per_minute

    async def aclose(self) -> None:
        """Ends what runs in the background, for all readers."""
        await self._sync.aclose()

    def _requests(self, request: ListRequest) -> list[ListRequest]:
        """A request for each list that is needed: of an agent who does not exist, all, which say who does."""
        agent_id = request.filters.agent_id
        agents = [agent_id] if agent_id in self._agents else self._agents
        return [replace(request, filters=replace(request.filters, agent_id=agent)) for agent in agents]

    async def _whole_lists(self) -> list[ListStatus]:
        return [await self._sync.list_status(request, _AT_ANY_TIME) for request in self._requests(ListRequest())]

    async def _exists(self, conversation_id: str) -> bool:
        return conversation_id in await self._store.read.get([conversation_id])

    async def _as_one(self, request: ListRequest, statuses: Sequence[ListStatus]) -> ListStatus:
        """The status of several lists as that of one, with no number of the list of all agents."""
        own = [status for status in statuses if status.is_of_agent]
        shared = [status for status in statuses if not status.is_of_agent]
        moments = [status.as_of for status in statuses if status.as_of]
        whole_lists = await self._whole_lists()
        total = await self._total(whole_lists)
        list_total = statuses[0].list_total
        if request.filters.agent_id not in self._agents:
            is_counted = not request.filters.agent_id and len(own) == len(statuses)
            list_total = total if is_counted else None
        return ListStatus(
            as_of=min(moments) if len(moments) == len(statuses) else None,
            is_complete=all(status.is_complete for status in statuses),
            stored=await self._store.read.count_seen(""),
            total=total,
            list_total=list_total,
            requests_left=sum(status.requests_left for status in own),
            is_listing=any(status.is_listing for status in statuses)
            or any(status.requests_left for status in shared if not status.is_complete),
            unreadable=sum(status.unreadable for status in own),
            unlisted=sum(status.unlisted for status in own),
            ends_early=any(status.ends_early for status in own),
            gone=sum(status.gone for status in own),
            knows_all=all(status.knows_list for status in whole_lists),
            error=next((status.error for status in statuses if status.error), None),
            kept_from=later(*(status.kept_from for status in statuses)),
            may_lack_some=any(status.has_faults for status in shared),
        )

    async def _total(self, whole_lists: Sequence[ListStatus]) -> int | None:
        """How many conversations the agents have: as the provider counts them, or as a list that is stored has them."""
        total = 0
        for agent, status in zip(self._agents, whole_lists, strict=True):
            counted = status.list_total if status.is_of_agent else None
            if counted is None and status.knows_list and status.states_total:
                unlisted = status.unlisted if status.is_of_agent else 0
                counted = await self._store.read.count_seen(agent) + unlisted
            if counted is None:
                return None
            total += counted
        return total


@asynccontextmanager
async def _ticking(report: Report | None) -> AsyncGenerator[None]:
    """Reports that time passes, and no figure of the lists: how many pages they have may be due to other agents."""

    async def tick(report: Report) -> None:
        for ticks in count(1):
            await asyncio.sleep(_TICK_SECONDS)
            await report(ticks, 0)

    ticking = [asyncio.create_task(tick(report))] if report else []
    try:
        yield
    finally:
        await cancel_all(ticking)
