"""The rate limit that all requests to one provider share."""

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
_RATE_SECONDS = 60.0
_FEWEST_FOR_A_RATE, _MOST_FOR_A_RATE = 10, 100  # responses
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


class RateLimiter:
    """Limits concurrency, honours Retry-After and X-RateLimit-Remaining.

    The headers are those of Formant's rate limits: `X-RateLimit-Limit` (documented as 50 a minute), `-Remaining`,
    `-Reset` (an ISO 8601 date-time; epoch numbers are read too) and `Retry-After` (RFC 9110, 10.2.3).
    """

    def __init__(self, *, sleep: Sleep, now: WallClock, monotonic: Monotonic) -> None:
        self._sleep = sleep
        self._now = now
        self._monotonic = monotonic
        self._concurrency = MOST_IN_FLIGHT
        self._slots = anyio.CapacityLimiter(MOST_IN_FLIGHT)
        self._reductions = 0
        self._successes = 0
        self._per_minute: float | None = None
        self._remaining: int | None = None
        self._resets_at = math.inf
        self._wait_until = 0.0
        self._answered_at = deque[float](maxlen=_MOST_FOR_A_RATE)

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight: 16, halved after a 429, one more after every 16 successes."""
        return self._concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The last `X-RateLimit-Limit`, else the rate of the last minute's responses, if there were enough."""
        if self._per_minute:
            return self._per_minute
        recent = [at for at in self._answered_at if self._monotonic() - at <= _RATE_SECONDS]
        seconds = recent[-1] - recent[0] if len(recent) >= _FEWEST_FOR_A_RATE else 0
        return round((len(recent) - 1) / seconds * 60) if seconds else None

    @asynccontextmanager
    async def permit(self, deadline: float) -> AsyncGenerator[int, None]:
        """Waits until one request may be sent; yields the number to pass to `update_from_response`.

        Raises:
            RateLimitError: it may not be sent before `deadline`, a time of the monotonic clock.
        """
        request = object()
        while True:
            await self._wait_until_allowed(deadline)
            await self._slots.acquire_on_behalf_of(request)
            if self._seconds_to_wait() <= 0:
                break
            self._slots.release_on_behalf_of(request)
        try:
            yield self._reductions
        finally:
            self._slots.release_on_behalf_of(request)

    async def wait(self, seconds: float) -> None:
        """Sleeps. Limits that expire by then are cleared afterwards, even if the clock disagrees."""
        until = self._monotonic() + seconds
        await self._sleep(seconds)
        self._clear_expired_limits(until)

    def update_from_response(self, permit: int, status: int, headers: Mapping[str, str]) -> float | None:
        """Applies one response's rate limit headers; returns the seconds to wait before a retry, if it says so."""
        self._answered_at.append(self._monotonic())
        now = _date(headers.get("date", "")) or self._now()  # the provider's clock if sent: ours may be wrong
        remaining = _parse_number(headers.get("x-ratelimit-remaining"))
        reset = _seconds_until(headers.get("x-ratelimit-reset"), now)
        self._per_minute = _parse_number(headers.get("x-ratelimit-limit")) or self._per_minute
        self._track_remaining(remaining, reset)
        waits = [_seconds_until(headers.get("retry-after"), now)]
        if status == 429:
            waits.append(None if remaining else reset)
            self._reduce_concurrency(permit)
        elif status < 300:
            self._increase_concurrency()
        self._resize_limiter()
        retry_after_seconds = max((wait for wait in waits if wait), default=None)
        if status == 429 and retry_after_seconds:
            self._wait_until = max(self._wait_until, self._monotonic() + retry_after_seconds)
        return retry_after_seconds

    async def _wait_until_allowed(self, deadline: float) -> None:
        while (seconds := self._seconds_to_wait()) > 0:
            if self._monotonic() + seconds > deadline:
                raise too_many_requests(seconds)
            await self.wait(seconds)

    def _seconds_to_wait(self) -> float:
        now = self._monotonic()
        self._clear_expired_limits(now)
        return max(self._wait_until, self._resets_at if self._remaining == 0 else 0.0) - now

    def _clear_expired_limits(self, until: float) -> None:
        if self._wait_until <= until:
            self._wait_until = 0.0
        if self._resets_at <= until:
            self._remaining = int(self._per_minute) if self._per_minute else None
            self._resets_at = math.inf
            self._resize_limiter()

    def _track_remaining(self, remaining: float | None, reset: float | None) -> None:
        if remaining is None or not reset:
            # Without headers: keep counting down to the last stated reset, if there is one.
            has_reset = self._remaining is not None and self._resets_at < math.inf
            self._remaining = max(0, (self._remaining or 0) - 1) if has_reset else None
            return
        resets_at = self._monotonic() + reset
        later = resets_at - self._resets_at if self._resets_at < math.inf else math.inf
        if later > _SAME_WINDOW_SECONDS:
            self._remaining, self._resets_at = int(remaining), resets_at
        elif later >= -_SAME_WINDOW_SECONDS:  # responses may overtake each other: the lowest counts
            self._remaining = min(self._remaining or 0, int(remaining))

    def _reduce_concurrency(self, permit: int) -> None:
        self._successes = 0
        if permit == self._reductions:  # requests sent together and refused together reduce it once
            self._reductions += 1
            self._concurrency = max(1, self._concurrency // 2)

    def _increase_concurrency(self) -> None:
        self._successes += 1
        if self._successes >= _SUCCESSES_PER_STEP:
            self._successes = 0
            self._concurrency = min(MOST_IN_FLIGHT, self._concurrency + 1)

    def _resize_limiter(self) -> None:
        """Keeps concurrency within what remains too: requests in flight may not be counted yet."""
        most = self._concurrency if self._remaining is None else min(self._concurrency, self._remaining)
        self._slots.total_tokens = max(1, most)


def too_many_requests(seconds: float | None) -> RateLimitError:
    """The error for an exceeded rate limit, with the seconds to wait if the provider states them."""
    wait = f"in {math.ceil(seconds)} s" if seconds else "in a minute"
    return RateLimitError("Rate limit reached.", f"Retry {wait}.", retry_after_seconds=seconds)


def _parse_number(text: str | None) -> float | None:
    match = _NUMBER.match(text.strip()) if text else None
    return float(match[0]) if match else None


def _seconds_until(text: str | None, now: datetime) -> float | None:
    """Seconds from `now` to the time in a header: seconds, an epoch in seconds or milliseconds, an HTTP or ISO date."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        figure = float(text)
        if figure < 1e8:
            return figure
        return max(0.0, (figure if figure < 1e11 else figure / 1000) - now.timestamp())
    moment = _date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _date(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
