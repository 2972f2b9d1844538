"""APIs that allow so many requests a minute, in virtual time: in three kinds of minute, and saying much or nothing."""

import heapq
import itertools
import math
import selectors
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import anyio
import httpx

from tests.providers.scripted import NOON

PER_MINUTE = 50
LATENCY = 0.2
Minute = Literal["fixed", "sliding", "bucket"]
Headers = Literal["all", "retry", ""]


class VirtualTime(selectors.DefaultSelector):
    """Time that advances to the next sleeper's end once all tasks of the event loop wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._count = itertools.count()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Called by the loop: with a timeout of 0 where there is more to run, else to wait."""
        if self._sleepers and timeout != 0:
            until, _, over = heapq.heappop(self._sleepers)
            self.seconds = max(self.seconds, until)
            over.set()
            return super().select(0)
        return super().select(timeout)

    async def sleep(self, seconds: float) -> None:
        over = anyio.Event()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._count), over))
        await over.wait()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@dataclass
class Limit:
    """Allows `allowed` requests in each minute of the clock, in any 60 seconds, or as many as drip into a bucket.

    `headers`: it states "all", or Retry-After where it refuses ("retry"), or nothing.
    """

    headers: Headers
    minute: Minute = "fixed"
    allowed: int = PER_MINUTE
    accepted: int = 0
    refused: int = 0
    accepted_in: Counter[int] = field(default_factory=Counter[int])
    _sent: deque[float] = field(default_factory=deque[float])
    _tokens: float = math.inf
    _filled_at: float = 0.0

    def count(self, seconds: float, now: datetime) -> tuple[bool, dict[str, str]]:
        """Counts a request at that time, in seconds and as a date; returns whether it is accepted, and the headers."""
        take = self._from_bucket if self.minute == "bucket" else self._from_window
        is_accepted, remaining, resets_in, retry_after = take(seconds)
        self.accepted, self.refused = self.accepted + is_accepted, self.refused + (not is_accepted)
        self.accepted_in[int(seconds // 60)] += is_accepted
        headers = dict[str, str]()
        if self.headers == "all":
            headers |= {
                "X-RateLimit-Limit": str(self.allowed),
                "X-RateLimit-Remaining": str(remaining),
                "X-RateLimit-Reset": (now + timedelta(seconds=resets_in)).isoformat(),
            }
        if self.headers and not is_accepted:
            headers["Retry-After"] = str(math.ceil(retry_after))
        return is_accepted, headers

    def _from_window(self, now: float) -> tuple[bool, int, float, float]:
        is_sliding = self.minute == "sliding"
        began_at = now - 60 if is_sliding else now // 60 * 60
        while self._sent and (self._sent[0] < began_at or (is_sliding and self._sent[0] == began_at)):
            self._sent.popleft()
        is_accepted = len(self._sent) < self.allowed
        if is_accepted:
            self._sent.append(now)
        resets_in = (self._sent[0] if is_sliding else began_at) + 60 - now
        return is_accepted, self.allowed - len(self._sent), resets_in, resets_in

    def _from_bucket(self, now: float) -> tuple[bool, int, float, float]:
        """Resets when the bucket is full; a refused request may be sent again when there is one token."""
        per_second = self.allowed / 60
        self._tokens = min(self.allowed, self._tokens + (now - self._filled_at) * per_second)
        self._filled_at, is_accepted = now, self._tokens >= 1
        self._tokens -= is_accepted
        to_full, to_one = (self.allowed - self._tokens) / per_second, max(0.0, 1 - self._tokens) / per_second
        return is_accepted, int(self._tokens), to_full, to_one


class LimitedApi(Limit):
    """Such an API of empty objects, which answers after a fifth of a second."""

    def __init__(
        self, time: VirtualTime, headers: Headers, minute: Minute = "fixed", allowed: int = PER_MINUTE
    ) -> None:
        super().__init__(headers, minute, allowed)
        self.time = time

    async def handle(self, _: httpx.Request) -> httpx.Response:
        is_accepted, headers = self.count(self.time.seconds, self.time.now())
        await self.time.sleep(LATENCY)
        return httpx.Response(200 if is_accepted else 429, json={}, headers=headers)


@dataclass
class Ledger:
    """A text in memory; `refusal`: what a store that cannot be used raises. Its clock is set back at `set_back_at`."""

    time: VirtualTime
    text: str = ""
    set_back_at: float = math.inf
    refusal: Exception | None = None
    changes: int = 0

    async def __call__(self, change: Callable[[str, float], str]) -> None:
        if self.refusal:
            raise self.refusal
        await anyio.lowlevel.checkpoint()
        self.changes += 1
        is_set_back = self.time.seconds >= self.set_back_at
        self.text = change(self.text, self.time.seconds - 3_600 * is_set_back)
