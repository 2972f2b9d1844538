"""Background jobs, which outlive the question that began them, and leases, by which several servers share the work.

Whoever needs what a job is about joins it. What one server reads, the others on the same store wait for.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Hashable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar, cast

from formant_mcp.errors import StoreError
from formant_mcp.store.sync_state import SyncState

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25
_LEASE_SPAN = timedelta(seconds=5)  # how soon after a server's sudden end its work is free again
_RENEW_SECONDS = 1.5
POLL_LEASE_SECONDS = 0.2
_MAX_KEPT = 4  # results that nobody waited for; a recording has megabytes

T = TypeVar("T")

Report = Callable[[int, int], Awaitable[None]]
"""Is called with how many requests of how many are done; 0: it is not said of how many, nor always what is counted."""


@dataclass(slots=True)
class Progress:
    """How far a job is, in requests."""

    done: int = 0
    total: int = 0


def report_to(progress: Progress) -> Report:
    """Lets a job that is waited for count as the one that waits."""

    async def report(done: int, total: int) -> None:
        progress.done, progress.total = done, total

    return report


@dataclass(slots=True, eq=False)
class _Job:
    """`waiting`: the jobs that wait for it; None for a question."""

    progress: Progress = field(default_factory=Progress)
    waiting: list["_Job | None"] = field(default_factory=list["_Job | None"])
    task: asyncio.Task[object] = field(init=False)

    def is_wanted(self) -> bool:
        """Whether a question waits for it, through other jobs too."""
        return any(waiter is None or waiter.is_wanted() for waiter in self.waiting)


_current_job: ContextVar[_Job | None] = ContextVar("current job", default=None)


@dataclass(slots=True)
class BackgroundJobs:
    """The running jobs, by what they are about, and the latest results that are kept for whoever asks next.

    `prepare`: is awaited at the beginning of each.
    """

    prepare: Callable[[], Awaitable[None]] | None = None
    _running: dict[Hashable, _Job] = field(default_factory=dict[Hashable, _Job])
    _kept: dict[Hashable, _Job] = field(default_factory=dict[Hashable, _Job])

    async def join(
        self,
        key: Hashable,
        work: Callable[[Progress], Coroutine[None, None, T]],
        report: Report | None = None,
        *,
        keep: bool = False,
    ) -> T:
        """Waits for the job of that key, begun now if there is none; it goes on when the wait is given up.

        The result of a job that ended while nobody waited is dropped, since it may be out of date by the next time, or
        kept (`keep`) for the next who joins, unless the job failed or several others were kept since.

        Raises:
            FormantError: the job failed.
        """
        job = self._current(key, keep) or self._kept.pop(key, None) or self._begin(key, work, keep)
        waiter = _current_job.get()
        job.waiting.append(waiter)
        try:
            reported = (0, 0)
            while not job.task.done():
                await asyncio.wait({job.task}, timeout=_POLL_SECONDS)
                now = (job.progress.done, job.progress.total)
                if report and now != reported:
                    reported = now
                    await report(*now)
            return cast(T, job.task.result())
        finally:
            job.waiting.remove(waiter)
            if job.task.done():
                self._forget(key, job)

    def start(self, key: Hashable, work: Callable[[Progress], Coroutine[None, None, object]]) -> None:
        """Begins the job of that key, unless it runs; nobody waits for it."""
        if not self._current(key):
            self._begin(key, work, keep=False)

    def is_running(self, key: Hashable) -> bool:
        """Whether the job of that key has begun and not ended."""
        return self._current(key) is not None

    async def yield_to_waiting(self) -> None:
        """Lets questions go first: a job that none waits for pauses here while there are any."""
        current = _current_job.get()
        while current and not current.is_wanted() and any(job.is_wanted() for job in self._running.values()):
            await asyncio.sleep(_POLL_SECONDS)

    async def aclose(self) -> None:
        """Ends all jobs."""
        await cancel_all([job.task for job in self._running.values()])

    def _current(self, key: Hashable, keep: bool = False) -> _Job | None:
        """The running job of that key. One that ended in this turn of the loop is dealt with now, not in the next."""
        job = self._running.get(key)
        if job and job.task.done():
            self._end(key, job, keep)
            return None
        return job

    def _begin(self, key: Hashable, work: Callable[[Progress], Coroutine[None, None, object]], keep: bool) -> _Job:
        job = self._running[key] = _Job()

        async def run() -> object:
            _current_job.set(job)
            if self.prepare:
                await self.prepare()
            return await work(job.progress)

        name = _name_of(key)
        job.task = asyncio.create_task(run(), name=f"job {name}")
        job.task.add_done_callback(partial(_log_end, name, time.monotonic()))
        job.task.add_done_callback(lambda _: self._end(key, job, keep))
        return job

    def _end(self, key: Hashable, job: _Job, keep: bool) -> None:
        is_new = self._forget(key, job)
        if keep and is_new and not job.waiting and not job.task.cancelled() and not job.task.exception():
            self._kept[key] = job
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]

    def _forget(self, key: Hashable, job: _Job) -> bool:
        """False: it was forgotten before."""
        is_here = self._running.get(key) is job
        if is_here:
            del self._running[key]
        return is_here


class Leases:
    """The leases of this server: renewed while it lives, free shortly after it dies."""

    def __init__(
        self,
        sync_state: SyncState,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sync_state = sync_state
        self._now = now
        self._sleep = sleep
        self._owner = secrets.token_hex(8)
        self._held: set[str] = set()
        self._wanted: set[str] = set()
        self._renewal: asyncio.Task[None] | None = None

    async def take(self, *names: str) -> list[str]:
        """Takes those of the leases that nobody, this server included, holds; returns the ones it took."""
        free = [name for name in names if name not in self._held and name not in self._wanted]
        if not free:
            return []
        self._wanted.update(free)
        try:
            taken = await self._sync_state.lease(free, self._owner, self._now(), _LEASE_SPAN)
        except BaseException:  # what is taken although the caller is cancelled is given back
            await self._sync_state.release(free, self._owner)
            raise
        finally:
            self._wanted.difference_update(free)
        self._held.update(taken)
        if taken and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew())
        return taken

    async def drop(self, *names: str) -> None:
        """Gives leases back."""
        self._held.difference_update(names)
        await self._sync_state.release(names, self._owner)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[None]:
        """Holds a lease, waiting for it as long as somebody else does."""
        while not await self.take(name):
            await asyncio.sleep(POLL_LEASE_SECONDS)
        try:
            yield
        finally:
            await self.drop(name)

    async def aclose(self) -> None:
        """Gives all back."""
        if self._renewal:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._held:
            await self.drop(*self._held)

    async def _renew(self) -> None:
        seconds = _RENEW_SECONDS
        while self._held:
            await self._sleep(seconds)
            try:
                await self._sync_state.lease(list(self._held), self._owner, self._now(), _LEASE_SPAN)
                seconds = _RENEW_SECONDS
            except StoreError as error:  # it may pass; a store that was busy for long leaves little time
                seconds = POLL_LEASE_SECONDS
                _log.debug("leases not renewed: %s", type(error).__name__)


async def run_all(calls: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Runs all of them at once; when one fails, the others are not left running."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await cancel_all(tasks)


async def cancel_all(tasks: Collection[asyncio.Task[T]]) -> None:
    """Cancels them, and waits until none is running."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _name_of(key: Hashable) -> str:
    """What the log calls a job: the rest of its key holds ids and filters."""
    return str(cast(tuple[object, ...], key)[0] if isinstance(key, tuple) else key)


def _log_end(name: str, began_at: float, task: asyncio.Task[object]) -> None:
    outcome = "cancelled" if task.cancelled() else "done"
    if not task.cancelled() and (error := task.exception()):
        outcome = type(error).__name__  # its message may name a conversation
    _log.debug("job %s: %s after %d ms", name, outcome, (time.monotonic() - began_at) * 1000)
