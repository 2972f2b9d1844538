"""The lists of a provider that can be read from any row on: the whole ('') and each agent's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.source import OffsetSource
from formant_mcp.store import Store
from formant_mcp.store.ledger import Scope
from formant_mcp.sync.by_offset.one_list import OneList
from formant_mcp.sync.details import Details
from formant_mcp.sync.freshness import DAY
from formant_mcp.sync.jobs import Progress
from formant_mcp.sync.leases import Leases
from formant_mcp.sync.lists import Knowledge, ListNeed


class OffsetLists:
    """Keeps them known: a glance where all is known, the newest part where that is enough, else a full pass."""

    def __init__(
        self, source: OffsetSource, store: Store, details: Details, leases: Leases, now: Callable[[], datetime]
    ) -> None:
        self.narrows_by = frozenset({"agent_id"})
        self._source = source
        self._store = store
        self._details = details
        self._leases = leases
        self._now = now

    def usable(self, need: ListNeed) -> ListNeed:
        """Agent and time are all that such a list is narrowed by."""
        return ListNeed(agent_id=need.agent_id, since=need.since, newest=need.newest)

    async def bring(self, need: ListNeed, progress: Progress) -> None:
        """Brings that part of the list up to date, and what was running when last seen.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
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

    def knowledge(self, need: ListNeed, asked_at: datetime) -> Knowledge:
        """How far the store answers that need, as things stand now, for a question asked at that time."""
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

    async def _refresh(self, scope: str, need: ListNeed, progress: Progress) -> None:
        one = self._one(scope, progress)
        known = self._store.ledger.scope(scope)
        if known.complete_at:
            agrees = await one.look()
            if agrees and self._now() - known.complete_at < DAY:
                return
            if not agrees and self._store.ledger.scope(scope).complete_at == known.complete_at:
                self._store.ledger.update(scope, complete_at=None)
        elif need.is_narrow and known.list_order != "none":
            async with self._leases.hold(f"newest:{scope}"):
                if await one.read_newest(need):
                    return
        await self._read_all(scope, known, progress)

    async def _read_all(self, scope: str, known: Scope, progress: Progress) -> None:
        async with self._leases.hold(f"pass:{scope}"):
            one = self._one(scope, progress)
            complete_at = self._store.ledger.scope(scope).complete_at
            if complete_at and complete_at != known.complete_at and await one.look():
                return  # another question, or another server, has read it meanwhile
            await one.read_all()

    def _one(self, scope: str, progress: Progress) -> OneList:
        return OneList(self._source, self._store, self._now, scope, progress)

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
