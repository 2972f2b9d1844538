"""How fast requests may go: what all requests of one source share, so that the provider's allowance is kept."""

import math
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import anyio

from formant_mcp.errors import RateLimitError

Sleep = Callable[[float], Awaitable[None]]
WallClock = Callable[[], datetime]
Monotonic = Callable[[], float]

MOST_IN_FLIGHT = 16
_SUCCESSES_PER_STEP = 16
_SAME_WINDOW_SECONDS = 1.0  # resets are stated in whole seconds
_PACE_SECONDS = 60.0
_FEWEST_FOR_A_PACE, _MOST_FOR_A_PACE = 10, 100  # answers
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


class RateLimiter:
    """Lets requests through: a number at a time, none while the provider says wait, no more than it says remain.

    The headers are those of Formant's rate limits: `X-RateLimit-Limit` (documented as 50 a minute), `-Remaining`,
    `-Reset` (an ISO 8601 date-time; epoch numbers are read too) and `Retry-After` (RFC 9110, 10.2.3).
    """

    def __init__(self, *, sleep: Sleep, now: WallClock, monotonic: Monotonic) -> None:
        self._sleep = sleep
        self._now = now
        self._monotonic = monotonic
        self._concurrency = MOST_IN_FLIGHT
        self._slots = anyio.CapacityLimiter(MOST_IN_FLIGHT)
        self._cuts = 0
        self._successes = 0
        self._per_minute: float | None = None
        self._remaining: int | None = None
        self._resets_at = math.inf
        self._held_until = 0.0
        self._answered_at = deque[float](maxlen=_MOST_FOR_A_PACE)

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight: 16, halved after a 429, one more after every 16 successes."""
        return self._concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The `X-RateLimit-Limit` last stated, else the pace of the last minute's answers, if there were enough."""
        if self._per_minute:
            return self._per_minute
        recent = [at for at in self._answered_at if self._monotonic() - at <= _PACE_SECONDS]
        seconds = recent[-1] - recent[0] if len(recent) >= _FEWEST_FOR_A_PACE else 0
        return round((len(recent) - 1) / seconds * 60) if seconds else None

    @asynccontextmanager
    async def permit(self, deadline: float) -> AsyncGenerator[int, None]:
        """Waits until one request may be sent; gives what `observe` wants to know about the moment of sending.

        Raises:
            RateLimitError: it may not be sent before `deadline`, a time of the monotonic clock.
        """
        request = object()
        while True:
            await self._wait_out_holds(deadline)
            await self._slots.acquire_on_behalf_of(request)
            if self._hold_seconds() <= 0:
                break
            self._slots.release_on_behalf_of(request)
        try:
            yield self._cuts
        finally:
            self._slots.release_on_behalf_of(request)

    async def wait(self, seconds: float) -> None:
        """Sleeps. What holds requests back no longer than that is then over, even where the clock disagrees."""
        until = self._monotonic() + seconds
        await self._sleep(seconds)
        self._end_holds(until)

    def observe(self, permit: int, status: int, headers: Mapping[str, str]) -> float | None:
        """Takes in one response; gives the seconds that it asks to wait before the next try, if it does."""
        self._answered_at.append(self._monotonic())
        now = _date(headers.get("date", "")) or self._now()  # the provider's clock where it tells it: ours may be wrong
        remaining = _number(headers.get("x-ratelimit-remaining"))
        reset = _seconds_until(headers.get("x-ratelimit-reset"), now)
        self._per_minute = _number(headers.get("x-ratelimit-limit")) or self._per_minute
        self._count_down(remaining, reset)
        waits = [_seconds_until(headers.get("retry-after"), now)]
        if status == 429:
            waits.append(None if remaining else reset)
            self._cut(permit)
        elif status < 300:
            self._step_up()
        self._fit_slots()
        asked = max((wait for wait in waits if wait), default=None)
        if status == 429 and asked:
            self._held_until = max(self._held_until, self._monotonic() + asked)
        return asked

    async def _wait_out_holds(self, deadline: float) -> None:
        while (seconds := self._hold_seconds()) > 0:
            if self._monotonic() + seconds > deadline:
                raise too_many_requests(seconds)
            await self.wait(seconds)

    def _hold_seconds(self) -> float:
        now = self._monotonic()
        self._end_holds(now)
        return max(self._held_until, self._resets_at if self._remaining == 0 else 0.0) - now

    def _end_holds(self, until: float) -> None:
        if self._held_until <= until:
            self._held_until = 0.0
        if self._resets_at <= until:
            self._remaining = int(self._per_minute) if self._per_minute else None
            self._resets_at = math.inf
            self._fit_slots()

    def _count_down(self, remaining: float | None, reset: float | None) -> None:
        if remaining is None or not reset:
            # The provider states nothing: count on to a reset that is known, else do not count.
            known = self._remaining is not None and self._resets_at < math.inf
            self._remaining = max(0, (self._remaining or 0) - 1) if known else None
            return
        resets_at = self._monotonic() + reset
        later = resets_at - self._resets_at if self._resets_at < math.inf else math.inf
        if later > _SAME_WINDOW_SECONDS:
            self._remaining, self._resets_at = int(remaining), resets_at
        elif later >= -_SAME_WINDOW_SECONDS:  # answers may overtake each other: the least counts
            self._remaining = min(self._remaining or 0, int(remaining))

    def _cut(self, permit: int) -> None:
        self._successes = 0
        if permit == self._cuts:  # requests that were sent side by side and refused together cut it once
            self._cuts += 1
            self._concurrency = max(1, self._concurrency // 2)

    def _step_up(self) -> None:
        self._successes += 1
        if self._successes >= _SUCCESSES_PER_STEP:
            self._successes = 0
            self._concurrency = min(MOST_IN_FLIGHT, self._concurrency + 1)

    def _fit_slots(self) -> None:
        """What is in flight may not be counted yet, so it is kept within what remains too."""
        most = self._concurrency if self._remaining is None else min(self._concurrency, self._remaining)
        self._slots.total_tokens = max(1, most)


def too_many_requests(seconds: float | None) -> RateLimitError:
    """The error for a used-up allowance, with the seconds to wait where they are known."""
    wait = f"in {math.ceil(seconds)} s" if seconds else "in a minute"
    return RateLimitError(
        "The API accepts no more requests for now.", f"Ask again {wait}.", retry_after_seconds=seconds
    )


def _number(text: str | None) -> float | None:
    found = _NUMBER.match(text.strip()) if text else None
    return float(found[0]) if found else None


def _seconds_until(text: str | None, now: datetime) -> float | None:
    """Seconds from `now` to what a header says: seconds, an epoch in seconds or milliseconds, an HTTP or ISO date."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        figure = float(text)
        if figure < 1e8:
            return figure
        return max(0.0, (figure if figure < 1e11 else figure / 1000) - now.timestamp())
    moment = _date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _date(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
