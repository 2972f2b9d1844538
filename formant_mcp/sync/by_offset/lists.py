"""The lists of a provider that can be read from any row on: the whole ('') and each agent's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import BackgroundJobs, Progress, report_to
from formant_mcp.sync.by_offset.one_list import EVER, OneList
from formant_mcp.sync.by_offset.pages import SHORT_LIST_PAGES, Pages
from formant_mcp.sync.by_offset.passes import FullPass
from formant_mcp.sync.details import Details
from formant_mcp.sync.freshness import DAY
from formant_mcp.sync.leases import Leases
from formant_mcp.sync.list_sync import ListRequest, ListStatus, may_scan_for_gone


class OffsetLists:
    """Keeps them known: a glance where all is known, the newest part where that is enough, else a full pass."""

    def __init__(
        self,
        provider: OffsetProvider,
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

    def supported(self, need: ListRequest) -> ListRequest:
        """Only the agent narrows such a list, and `since` says how far it is read."""
        names = self._provider.spec.server_side_filters | {"since"}
        return replace(need, filters=need.filters.as_stored().only(names))

    async def bring(self, need: ListRequest, progress: Progress) -> None:
        """Brings that part of the list up to date, and what was running when last seen.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        whole = self._store.ledger.scope("")
        scope = "" if whole.complete_at else need.filters.agent_id
        try:
            await self._refresh(scope, need, progress)
        except InvalidRequestError:
            if not scope:
                raise
            scope = ""  # the provider cannot list such an agent: the whole list tells what there is
            await self._refresh(scope, replace(need, newest=0), progress)
        running = self._store.read.running(scope or need.filters.agent_id, self._now())
        await self._details.read(running, progress)

    def list_status(self, need: ListRequest, requested_at: datetime) -> ListStatus:
        """How far the store answers that need, as things stand now, for a question asked at that time."""
        whole = self._store.ledger.scope("")
        answers_all = whole.complete_at or self._answers(whole, need, requested_at)
        known = whole if answers_all else self._store.ledger.scope(need.filters.agent_id)
        is_sound = not (known.unreadable or known.shortfall or known.ends_early or known.gone)
        return ListStatus(
            as_of=known.checked_at,
            is_complete=self._answers(known, need, requested_at) and is_sound,
            known=self._store.read.count_seen(""),
            total=whole.total,
            list_total=known.total if known.scope == need.filters.agent_id else None,
            requests_left=self._requests_left(known),
            unreadable=known.unreadable or known.pass_unreadable,
            shortfall=known.shortfall,
            ends_early=known.ends_early,
            gone=known.gone,
        )

    async def _refresh(self, scope: str, need: ListRequest, progress: Progress) -> None:
        known, fresh_since = self._store.ledger.scope(scope), need.fresh_since or self._now()
        if known.complete_at:
            await self._refresh_whole(known, known.complete_at, progress)
        elif not need.is_narrow or known.list_order == "none" or self._is_being_read_on(known):
            await self._pass(known, fresh_since, progress)
        else:
            pages = self._pages(scope)
            async with self._leases.hold(f"newest:{scope}"):
                is_read = await self._one(scope, pages).read_newest(need)
            if not is_read:
                await self._pass(known, fresh_since, progress, pages)
            elif self._is_short(self._store.ledger.scope(scope)):
                self._start_pass(scope, pages)

    async def _refresh_whole(self, known: ListState, complete_at: datetime, progress: Progress) -> None:
        """Looks at a list that is known whole; it is read again when that is a day old, or does not explain itself.

        Where the provider only counts fewer calls than are known, or announces more, that is done in the background.
        """
        scope = known.scope
        is_explained = await self._one(scope, self._pages(scope)).look()
        is_old = self._now() - complete_at >= DAY
        looked = self._store.ledger.scope(scope)
        if not is_explained and looked.complete_at == complete_at and not looked.gone_at:
            self._store.ledger.update(scope, complete_at=None)
        if is_old or not is_explained:
            await self._pass(known, self._now(), progress)
            return
        may_be_gone = looked.gone or self._store.read.count_missing(scope, complete_at)
        if (may_be_gone or looked.ends_early) and may_scan_for_gone(looked, self._now()):
            self._store.ledger.update(scope, rescan_at=self._now())
            self._start_pass(scope)

    async def _pass(
        self, before: ListState, fresh_since: datetime, progress: Progress, pages: Pages | None = None
    ) -> None:
        """Waits for a full pass, whoever began it; `before`: what was known when the question was asked.

        What came after another's pass began is looked for, unless that began after `fresh_since`.
        """
        scope = before.scope
        known = self._store.ledger.scope(scope)
        if known.complete_at in (None, before.complete_at):
            if known.gone_at and not may_scan_for_gone(known, self._now()):
                return  # the last one missed many calls: the next is to be some time later
            key, is_ours = ("pass", scope), not self._jobs.is_running(("pass", scope))
            await self._jobs.join(key, lambda each: self._run_pass(scope, each, pages), report_to(progress))
            if is_ours:
                return
        complete_at = self._store.ledger.scope(scope).complete_at
        if complete_at and complete_at < fresh_since:
            await self._one(scope, self._pages(scope)).look()

    def _start_pass(self, scope: str, pages: Pages | None = None) -> None:
        self._jobs.start(("pass", scope), lambda progress: self._run_pass(scope, progress, pages))

    async def _run_pass(self, scope: str, progress: Progress, pages: Pages | None) -> None:
        before = self._store.ledger.scope(scope).complete_at
        async with self._leases.hold(f"pass:{scope}"):
            complete_at = self._store.ledger.scope(scope).complete_at
            if complete_at and complete_at != before and await self._one(scope, self._pages(scope)).look():
                return  # another server has read it meanwhile
            pages = pages or self._pages(scope)
            pages.reuse()
            await FullPass(self._provider, self._store, self._details, self._now, scope, progress, pages).run()

    def _pages(self, scope: str) -> Pages:
        return Pages(self._provider, self._store, self._now, scope)

    def _one(self, scope: str, pages: Pages) -> OneList:
        return OneList(self._provider, self._store, self._now, scope, pages)

    def _is_being_read_on(self, known: ListState) -> bool:
        return self._is_short(known) and self._jobs.is_running(("pass", known.scope))

    def _is_short(self, known: ListState) -> bool:
        return known.total is not None and known.total <= SHORT_LIST_PAGES * self._provider.page_size

    def _answers(self, known: ListState, need: ListRequest, requested_at: datetime) -> bool:
        return known.checked_at is not None and known.checked_at >= requested_at and self._covers(known, need)

    def _covers(self, known: ListState, need: ListRequest) -> bool:
        if known.complete_at:
            return True
        since = known.covered_since
        if since is None or not need.is_narrow:
            return False
        if need.filters.since:
            return since <= need.filters.since
        if since <= EVER:
            return True
        return self._store.read.count(Filters(agent_id=need.filters.agent_id, since=since)) >= need.newest

    def _requests_left(self, known: ListState) -> int:
        left = 0 if known.complete_at else (known.total or 0) - known.pass_offset
        return -(-max(0, left) // self._provider.page_size)
