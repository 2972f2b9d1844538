"""An event loop whose time passes at once: it jumps to the next timer as soon as every task and every thread waits."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import TypeVar, TypeVarTuple, Unpack

from tests.providers.scripted import NOON

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_REAL_SECONDS = 20.0  # for a thread; far more than any work takes


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.jobs = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Called by the loop: with a timeout of 0 where there is more to run, else the time to the next timer."""
        if timeout == 0:
            return super().select(0)
        if self.jobs or timeout is None:
            events = super().select(_REAL_SECONDS)
            assert events, "everything waits, and nothing is ever to come"
            return events
        self.seconds += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now` is the wall clock, which a suspended machine finds `suspended` later: its monotonic clock stood still."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        self.suspended = timedelta()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.seconds

    def now(self) -> datetime:
        """To the millisecond, as the store keeps it."""
        return NOON + timedelta(milliseconds=round(self.time() * 1000)) + self.suspended

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._virtual.jobs += 1
        future.add_done_callback(self._end_job)
        return future

    def _end_job(self, _: asyncio.Future[T]) -> None:
        self._virtual.jobs -= 1
