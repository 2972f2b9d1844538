"""Work that outlives the call that asked for it: it goes on in the background, and whoever asks again joins it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25

T = TypeVar("T")

Report = Callable[[int, int], Awaitable[None]]
"""Told how many requests of how many are done."""


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
    """The running jobs, by what they are about."""

    _running: dict[Hashable, _Job] = field(default_factory=dict[Hashable, _Job])

    async def join(
        self,
        key: Hashable,
        work: Callable[[Progress], Coroutine[None, None, T]],
        report: Report | None = None,
        *,
        keep: bool = False,
    ) -> T:
        """Waits for the job of that key, begun now if there is none; giving up the wait leaves it running.

        What ended while nobody waited is forgotten, for by the next time it may be out of date; or kept (`keep`) for
        the next who asks.

        Raises:
            FormantError: the job failed.
        """
        job = self._running.get(key) or self._begin(key, work, keep)
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
        if key not in self._running:
            self._begin(key, work, keep=False)

    def is_running(self, key: Hashable) -> bool:
        """Whether the job of that key has begun and not ended."""
        return key in self._running

    async def yield_to_waiting(self) -> None:
        """Lets questions go first: a job that none waits for pauses here while there are any."""
        current = _current_job.get()
        while current and not current.is_wanted() and any(job.is_wanted() for job in self._running.values()):
            await asyncio.sleep(_POLL_SECONDS)

    async def aclose(self) -> None:
        """Ends all jobs."""
        tasks = [job.task for job in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Hashable, work: Callable[[Progress], Coroutine[None, None, object]], keep: bool) -> _Job:
        job = self._running[key] = _Job()

        async def run() -> object:
            _current_job.set(job)
            return await work(job.progress)

        job.task = asyncio.create_task(run())
        job.task.add_done_callback(partial(_log_end, _name_of(key), time.monotonic()))
        if not keep:
            job.task.add_done_callback(lambda _: self._forget(key, job))
        return job

    def _forget(self, key: Hashable, job: _Job) -> None:
        if self._running.get(key) is job:
            del self._running[key]


def _name_of(key: Hashable) -> str:
    """What the log calls a job: the rest of its key holds ids and filters."""
    return str(cast(tuple[object, ...], key)[0] if isinstance(key, tuple) else key)


def _log_end(name: str, began_at: float, task: asyncio.Task[object]) -> None:
    outcome = "cancelled" if task.cancelled() else "done"
    if not task.cancelled() and (error := task.exception()):
        outcome = type(error).__name__  # its message may name a conversation
    _log.debug("job %s: %s after %d ms", name, outcome, (time.monotonic() - began_at) * 1000)
