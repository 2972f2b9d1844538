"""Brings what a question needs, within the time it has, and goes on with the rest in the background."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from formant_mcp.errors import ConnectionFailed, FormantError, InvalidRequestError, RateLimitError, ServiceError
from formant_mcp.filters import Filters
from formant_mcp.source import ConversationSource, Recording
from formant_mcp.store import Store
from formant_mcp.store.ledger import Scope
from formant_mcp.sync.details import Details
from formant_mcp.sync.freshness import DAY
from formant_mcp.sync.jobs import Jobs, Progress, Report
from formant_mcp.sync.leases import Leases
from formant_mcp.sync.lists import ListNeed, Lists

T = TypeVar("T")

_PASSING = (ConnectionFailed, RateLimitError, ServiceError)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How far the store can answer a question about the list now.

    `total`: how many conversations the provider says the account has, None where it does not say; `matched` likewise
    for the list asked for. `requests_left`: pages still to be read where `is_complete` is False.
    """

    as_of: datetime | None
    is_complete: bool
    known: int
    total: int | None
    list_total: int | None
    requests_left: int
    unreadable: int
    shortfall: int


class Sync:
    """The one way by which anything comes from the provider into the store."""

    def __init__(self, source: ConversationSource, store: Store, now: Callable[[], datetime]) -> None:
        self._source = source
        self._store = store
        self._now = now
        self._jobs = Jobs()
        self._leases = Leases(store.ledger, now)
        self._details = Details(source, store, self._jobs, self._leases, now)

    async def bring_list(self, need: ListNeed, seconds: float, report: Report | None = None) -> FormantError | None:
        """Brings that part of the list up to date; gives what stood in the way, if it may pass.

        Raises:
            FormantError: it will not pass by itself (a refused key, an answer of the wrong form).
        """
        key, asked_at, ends = ("list", need), self._now(), asyncio.get_running_loop().time() + seconds
        others = self._jobs.is_running(key)
        trouble = await self._bring(key, lambda progress: self._list(need, progress), seconds, report)
        as_of = self.knowledge(need, asked_at).as_of
        if trouble or not others or (as_of and as_of >= asked_at):
            return trouble
        # What another question was bringing may have been read before this one was asked.
        seconds = ends - asyncio.get_running_loop().time()
        return await self._bring(key, lambda progress: self._list(need, progress), seconds, report)

    async def bring_details(
        self, conversation_ids: Sequence[str], seconds: float, report: Report | None = None
    ) -> FormantError | None:
        """Reads transcripts and results of these, in their order; gives and raises what `bring_list` does."""
        if not conversation_ids:
            return None
        ids = tuple(conversation_ids)
        return await self._bring(("details", ids), lambda progress: self._details.read(ids, progress), seconds, report)

    async def bring_one(self, conversation_id: str, asked_at: datetime, seconds: float) -> FormantError | None:
        """Reads one conversation where it is due; gives and raises what `bring_list` does.

        Raises:
            NotFoundError: the provider does not have it.
        """
        return await self._bring(
            ("one", conversation_id), lambda _: self._details.read_one(conversation_id, asked_at), seconds, None
        )

    async def bring_recording(
        self, conversation_id: str, save: Callable[[Recording], Awaitable[T]], seconds: float, purpose: str = "file"
    ) -> T | None:
        """Hands a recording to `save` and gives what that gives; None where the time was too short.

        It then goes on, and whoever asks again for the same `purpose` has it.

        Raises:
            FormantError: there is none, or it cannot be had or saved.
        """

        async def work(_: Progress) -> T:
            async with self._source.open_recording(conversation_id) as recording:
                return await save(recording)

        try:
            async with asyncio.timeout(seconds):
                return await self._jobs.join(("recording", purpose, conversation_id), work, keep=True)
        except TimeoutError:
            return None

    def knowledge(self, need: ListNeed, asked_at: datetime) -> Knowledge:
        """How far the store answers that need, as things stand now."""
        whole = self._store.ledger.scope("")
        answers_all = whole.complete_at or self._answers(whole, need, asked_at)
        known = whole if answers_all else self._store.ledger.scope(need.agent_id)
        return Knowledge(
            as_of=known.checked_at,
            is_complete=self._answers(known, need, asked_at) and not known.unreadable and not known.shortfall,
            known=self._store.read.count_seen(""),
            total=whole.total,
            list_total=known.total if known.scope == need.agent_id else None,
            requests_left=self._requests_left(known),
            unreadable=known.unreadable or known.pass_unreadable,
            shortfall=known.shortfall,
        )

    def knows_all(self) -> bool:
        """Whether the whole list is known, as of the last look at it."""
        return self._store.ledger.scope("").complete_at is not None

    @property
    def lacks(self) -> frozenset[str]:
        """The filters that the provider has no field for."""
        return self._source.lacks

    @property
    def requests_per_minute(self) -> float | None:
        """The provider's present allowance, where it states one."""
        return self._source.requests_per_minute

    async def aclose(self) -> None:
        """Ends what runs in the background; what was read is in the store."""
        await self._jobs.aclose()
        await self._leases.aclose()
        await self._source.aclose()

    async def _bring(
        self,
        key: Hashable,
        work: Callable[[Progress], Coroutine[None, None, None]],
        seconds: float,
        report: Callable[[int, int], Awaitable[None]] | None,
    ) -> FormantError | None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._jobs.join(key, work, report)
        except TimeoutError:
            return None
        except _PASSING as error:
            return error
        return None

    async def _list(self, need: ListNeed, progress: Progress) -> None:
        whole = self._store.ledger.scope("")
        scope = "" if whole.complete_at else need.agent_id
        try:
            await self._refresh(scope, need, progress)
        except InvalidRequestError:
            if not scope:
                raise
            scope = ""  # the provider cannot list such an agent: the whole list tells what there is
            await self._refresh(scope, replace(need, newest=0), progress)
        running = self._store.read.running(scope or need.agent_id, self._now())
        await self._details.read(running, progress)

    async def _refresh(self, scope: str, need: ListNeed, progress: Progress) -> None:
        lists = self._lists(scope, progress)
        known = self._store.ledger.scope(scope)
        if known.complete_at:
            agrees = await lists.look()
            if agrees and self._now() - known.complete_at < DAY:
                return
            if not agrees and self._store.ledger.scope(scope).complete_at == known.complete_at:
                self._store.ledger.update(scope, complete_at=None)
        elif need.is_narrow and known.list_order != "none":
            async with self._leases.hold(f"newest:{scope}"):
                if await lists.read_newest(need):
                    return
        await self._read_all(scope, known, progress)

    async def _read_all(self, scope: str, known: Scope, progress: Progress) -> None:
        async with self._leases.hold(f"pass:{scope}"):
            lists = self._lists(scope, progress)
            complete_at = self._store.ledger.scope(scope).complete_at
            if complete_at and complete_at != known.complete_at and await lists.look():
                return  # another question, or another server, has read it meanwhile
            await lists.read_all()

    def _lists(self, scope: str, progress: Progress) -> Lists:
        return Lists(self._source, self._store, self._now, scope, progress)

    def _answers(self, known: Scope, need: ListNeed, asked_at: datetime) -> bool:
        return known.checked_at is not None and known.checked_at >= asked_at and self._covers(known, need)

    def _covers(self, known: Scope, need: ListNeed) -> bool:
        if known.complete_at:
            return True
        since = known.covered_since
        if since is None or not need.is_narrow:
            return False
        if need.since:
            return since <= need.since
        return self._store.read.count(Filters(agent_id=need.agent_id, since=since)) >= need.newest

    def _requests_left(self, known: Scope) -> int:
        left = known.pass_offset if known.pass_backward else (known.total or 0) - known.pass_offset
        return -(-max(0, left) // self._source.page_size)
