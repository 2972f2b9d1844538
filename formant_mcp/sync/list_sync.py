"""How the lists of one account are kept up to date: what is new first, then as far back as a question needs.

The words are the same for both kinds of list. A *scan* reads a list from one end to the other and saves a checkpoint
with each batch of pages; a question stops it as soon as it is covered, a wider one resumes it, and its end makes the
list complete. *Incremental* is a read of what is new in a list that is covered already. *Backfill* is a scan that goes
on in the background. `plan` decides which of them comes next; ListSync runs it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

from formant_mcp.errors import FormantError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState, StateValue, StoredLists
from formant_mcp.store.writer import PreviousRow
from formant_mcp.sync.background import BackgroundJobs, Leases, Progress, report_to
from formant_mcp.sync.details import Details
from formant_mcp.sync.plan import CONFIRM_AFTER, Facts, Step, plan

IsEnough = Callable[[], Awaitable[bool]]
"""Whether a scan has gone as far as a request needs."""
RECHECK_AFTER = timedelta(seconds=5)
"""A list that was checked less long ago is up to date."""
_MANY = 5  # more than a fifth of the stored calls: then the provider may be wrong


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which part of the list a question needs: what the filters may match, or the `newest` so many of it; 0: all.

    `fresh_since`: a list that was checked since then is up to date, as for a page that follows another; None: one
    checked within RECHECK_AFTER is.
    """

    filters: Filters = NO_FILTERS
    newest: int = 0
    fresh_since: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether the newest part of the list may be enough."""
        return self.filters.since is not None or self.newest > 0

    def checked_since(self, requested_at: datetime) -> datetime:
        """Since when the list must have been checked, for a question of that time."""
        return min(self.fresh_since or requested_at, requested_at - RECHECK_AFTER)


@dataclass(frozen=True, slots=True)
class ListStatus:
    """How far the store can answer a question about the list now.

    `stored`: how many conversations of the account are stored; `total`: how many it has, None where the provider does
    not say; `list_total`: how many the requested list has, likewise. `requests_left`: pages still to be read where
    `is_complete` is False; `is_listing`: there are some, but nobody knows how many. `unlisted`: conversations that the
    provider counts but does not list; `ends_early`: it announces more of the list than it gives a way to. `gone`: how
    many stored calls it no longer counts or lists; they are kept until a full scan has settled it. `knows_all`: every
    conversation of the account is listed. `error`: what prevented an update of the list.
    `is_of_agent`: this is the status of one agent's own list; `knows_list`: every conversation of the list is listed.
    `states_total`: the provider states how many it has. `may_lack_some`: the list of all agents has faults, which may
    concern agents who do not exist for the reader. `kept_from`: set where calls that started before may match, which
    are not kept. `has_running`: a call of the list is to be read again, as it had not ended when last seen.
    """

    as_of: datetime | None
    is_complete: bool
    stored: int
    total: int | None
    list_total: int | None = None
    requests_left: int = 0
    is_listing: bool = False
    unreadable: int = 0
    unlisted: int = 0
    ends_early: bool = False
    gone: int = 0
    knows_all: bool = False
    error: FormantError | None = None
    is_of_agent: bool = False
    knows_list: bool = False
    states_total: bool = False
    kept_from: datetime | None = None
    may_lack_some: bool = False
    has_running: bool = False

    @property
    def has_faults(self) -> bool:
        """Whether the list itself is not what it should be."""
        return bool(self.unreadable or self.unlisted or self.ends_early or self.gone or self.may_lack_some)

    def with_stored(self, stored: int) -> "ListStatus":
        """The status when so many are stored; if they were all that the provider counts, they still are."""
        is_all = self.total == self.stored + self.unlisted
        return replace(self, stored=stored, total=stored + self.unlisted if is_all else self.total)


@dataclass(frozen=True, slots=True)
class StoredList:
    """One list of the provider as the store has it; `name`: see ListState."""

    name: str
    store: Store
    now: Callable[[], datetime]

    async def load(self) -> ListState:
        """How far it is stored."""
        return await self.store.sync_state.list_state(self.name)

    async def save(self, **changes: StateValue) -> None:
        """Sets some fields of its state."""
        await self.store.sync_state.update(self.name, **changes)

    @property
    def kept_from(self) -> datetime | None:
        """Since when calls are kept; None: since ever."""
        return self.store.retention.kept_from(self.now())

    async def end_scan(self, **changes: StateValue) -> None:
        """Sets some fields, and removes the checkpoint: the next scan starts over."""
        await self.save(scan_started_at=None, scan_position=0, scan_cursor=None, **changes)

    async def misses_many(self, stored: int, missing: int, started_at: datetime) -> bool:
        """Whether a scan misses so many of the stored calls that a second one must confirm it, which is then noted."""
        loss = unconfirmed_loss(await self.load(), stored, missing, started_at, self.now())
        await self.save(**loss)
        return bool(loss)


@dataclass(frozen=True, slots=True)
class SyncParts:
    """What all lists of an account work with."""

    store: Store
    details: Details
    jobs: BackgroundJobs
    leases: Leases
    now: Callable[[], datetime]


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Turns:
    """What the jobs share that read one list, while there are any."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    scans_ended: int = 0


class ListSync(ABC):
    """Keeps the lists of one account up to date, in the way that its provider's pagination allows."""

    waits_daily: bool
    """Whether a question waits for the full scan of a list that is a day old."""

    def __init__(self, parts: SyncParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._now = parts.now
        self._turns = WeakValueDictionary[str, _Turns]()

    @abstractmethod
    def supported(self, request: ListRequest) -> ListRequest:
        """The request without the filters that do not narrow this provider's list."""

    def _kept(self, request: ListRequest) -> ListRequest:
        """The request without what is too old to be kept, where it is not for the newest calls alone."""
        kept_from, since = self._store.retention.kept_from(self._now()), request.filters.since
        if kept_from is None or (request.newest and since is None):
            return request
        return replace(request, filters=replace(request.filters, since=later(since, kept_from)))

    @abstractmethod
    async def status(self, request: ListRequest, checked_since: datetime) -> ListStatus:
        """How far the store answers a request now; the list must have been checked since then."""

    @abstractmethod
    async def _choose(self, request: ListRequest) -> tuple[str, ListRequest]:
        """The list that a request is answered from, by its name, and what is needed of it."""

    @abstractmethod
    def _pages_of_rest(self, state: ListState, request: ListRequest) -> int:
        """How many pages a list has whose rest is to be read in the background; 0 of others."""

    @abstractmethod
    async def _read_new(self, name: str, progress: Progress) -> None:
        """Reads what is new in a list."""

    @abstractmethod
    async def _read_batch(self, name: str, request: ListRequest, progress: Progress) -> bool:
        """Reads the next pages of a list's scan and saves the checkpoint; True: it is at its end."""

    async def refresh(self, request: ListRequest, progress: Progress) -> None:
        """Updates that part of the list, unless it is up to date, and the calls that were running when last seen.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        if not (await self.status(request, request.checked_since(self._now()))).is_complete:
            await self._update(request, progress)
        running = await self._store.read.running(request.filters.agent_id, self._now())
        await self._parts.details.read(running, progress)

    async def _update(self, request: ListRequest, progress: Progress) -> None:
        """Reads what is new in the list, and as far back as the request needs."""
        name, request = await self._choose(request)
        before, checked_since = await self._state(name), request.checked_since(self._now())
        facts = partial(self._facts, name, request, before, checked_since)

        async def is_enough() -> bool:
            return (await facts()).is_enough

        done: set[Step] = set()
        while (step := plan(now := await facts(), done)) != "done":
            done.add(step)
            if step == "incremental":
                async with self._exclusive(name):
                    state = await self._state(name)
                    is_read = state.checked_at != now.state.checked_at  # by whoever held it before
                    if not (is_read and state.was_checked(checked_since)):
                        await self._read_new(name, progress)
            elif step == "scan":
                await self._read_back(name, request, progress, is_enough)
                done.discard("incremental")  # for what came while it ran
            else:
                await self._backfill(name, request, progress)

    async def _facts(self, name: str, request: ListRequest, before: ListState, checked_since: datetime) -> Facts:
        state, agent_id = self._valid(await self._state(name), request), request.filters.agent_id
        scanned_at = state.last_full_scan_at
        is_missing = scanned_at is not None and await self._store.read.count_missing(agent_id, scanned_at) > 0
        return Facts(
            state,
            before,
            is_covered=await self._covers(state, request),
            may_be_gone=state.gone > 0 or is_missing,
            pages=self._pages_of_rest(state, request),
            checked_since=checked_since,
            now=self._now(),
            waits_daily=self.waits_daily,
        )

    def _valid(self, state: ListState, request: ListRequest) -> ListState:
        """What of a list's state still holds."""
        return state

    async def _covers(self, state: ListState, request: ListRequest) -> bool:
        """Whether what is stored of a list goes back as far as a request of it needs."""
        if state.covered_from is None:
            return state.is_complete
        since = later(request.filters.since, self._store.retention.kept_from(self._now()))
        if since and state.covered_from <= since:
            return True
        if request.filters.since or not request.newest:
            return False
        covered = replace(request.filters, since=state.covered_from)
        return await self._store.read.count(covered) >= request.newest

    async def _read_back(self, name: str, request: ListRequest, progress: Progress, is_enough: IsEnough) -> None:
        """Reads the list as far back as the request needs."""
        await self._scan(name, request, progress, is_enough)

    async def _backfill(self, name: str, request: ListRequest, progress: Progress) -> None:
        """Has the list scanned to its end in the background."""
        scan, began = await self._full_scan(name), self._now()
        was_complete = (await self._state(name)).is_complete

        async def work(progress: Progress) -> None:
            await scan(progress)
            if was_complete:  # noted at the end alone: the next question continues a scan that was interrupted
                await self._store.sync_state.update(name, rescan_at=began)

        self._parts.jobs.start(("scan", name), work)

    async def _join_full_scan(self, name: str, progress: Progress) -> None:
        """Waits for a list's full scan, begun now unless it runs; it goes on when the wait is given up."""
        await self._parts.jobs.join(("scan", name), await self._full_scan(name), report_to(progress))

    async def _full_scan(self, name: str) -> Callable[[Progress], Coroutine[None, None, None]]:
        """A job that scans a list until everything has been found since now."""
        before = (await self._state(name)).last_full_scan_at

        async def is_complete() -> bool:
            return (await self._state(name)).last_full_scan_at not in (None, before)

        return lambda progress: self._scan(name, ListRequest(), progress, is_complete)

    async def _scan(self, name: str, request: ListRequest, progress: Progress, is_enough: IsEnough) -> None:
        """Continues a list's scan until that is enough or the list ends; jobs that scan the same list take turns."""
        turns = self._turns.setdefault(name, _Turns())
        ended = turns.scans_ended
        while turns.scans_ended == ended and not await is_enough():
            async with self._exclusive(name):
                if turns.scans_ended == ended and not await is_enough():
                    turns.scans_ended += await self._read_batch(name, request, progress)
            await self._parts.jobs.yield_to_waiting()

    @asynccontextmanager
    async def _exclusive(self, name: str) -> AsyncGenerator[None]:
        """One job at a time reads a list's pages, among all servers."""
        turns = self._turns.setdefault(name, _Turns())
        async with turns.lock, self._parts.leases.hold(f"list:{name}"):
            yield

    async def _state(self, name: str) -> ListState:
        return self._until_now(await self._store.sync_state.list_state(name))

    def _until_now(self, state: ListState) -> ListState:
        """The state of a list; it is not checked where that was later than now: the clock has been set back."""
        is_later = state.checked_at is not None and state.checked_at > self._now()
        return replace(state, checked_at=None) if is_later else state

    @staticmethod
    def _status(
        request: ListRequest,
        state: ListState,
        whole: ListState,
        stored: StoredLists,
        *,
        is_covered: bool,
        checked_since: datetime,
    ) -> ListStatus:
        """What a list's state says of a request that it covers, or not."""
        has_faults = state.unreadable or state.unlisted or state.ends_early or state.gone
        return ListStatus(
            as_of=state.checked_at,
            is_complete=is_covered and state.was_checked(checked_since) and not has_faults,
            stored=stored.stored,
            has_running=stored.has_running,
            total=whole.total,
            unreadable=state.unreadable or state.scan_unreadable,
            unlisted=state.unlisted,
            ends_early=state.ends_early,
            gone=state.gone,
            knows_all=whole.knows_all,
            is_of_agent=bool(request.filters.agent_id and state.name),
            knows_list=state.knows_all,
            states_total=state.total is not None,
        )


def later(*moments: datetime | None) -> datetime | None:
    """The latest of these; None if none is given."""
    return max((moment for moment in moments if moment), default=None)


def begun(state: ListState, at: datetime) -> ListState:
    """A list's state when a scan begins; in whole milliseconds, so that the store returns the same time."""
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return replace(state, scan_started_at=at, scan_total=None, scan_position=0, scan_rows=0, scan_unreadable=0)


def unconfirmed_loss(
    state: ListState, stored: int, missing: int, started_at: datetime, now: datetime
) -> dict[str, int | datetime]:
    """What to save of a list whose full scan misses so many of the stored calls that a second one must confirm it.

    Nothing where the first is believed.
    """
    is_confirmed = state.gone_at is not None and started_at - state.gone_at >= CONFIRM_AFTER
    if is_confirmed or missing * _MANY <= stored:
        return {}
    return {"gone": missing, "gone_at": state.gone_at or now}


def shows_any_seen(stored_before: dict[str, PreviousRow], since: datetime | None) -> bool:
    """Whether a page shows a row that a scan begun then has seen: the scan continues from there."""
    return since is not None and any(row.seen_at >= since for row in stored_before.values())
