"""The rate limit that all requests with one key share, also those of other servers."""

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import anyio

from formant_mcp.errors import RateLimitError, StoreError
from formant_mcp.providers.allowance import CLOCK_SECONDS, Allowance, StatedLimit, parse_limit

Sleep = Callable[[float], Awaitable[None]]
WallClock = Callable[[], datetime]
Monotonic = Callable[[], float]

Ledger = Callable[[Callable[[str, float], str]], Awaitable[None]]
"""Keeps one text for all who use a key: hands it, with the time in seconds that they all go by, to a function, and
stores what that returns. Nobody else changes it meanwhile; the function may be called more than once."""

MOST_IN_FLIGHT = 16
_SUCCESSES_PER_STEP = 16
_RATE_SECONDS = 60.0
_FEWEST_FOR_A_RATE, _MOST_FOR_A_RATE = 10, 100  # responses
_SHARED_AT_ONCE = 0.1  # of the requests that are accepted for all that is known
_SHORT_WAIT = 0.2
_COMPARE_SECONDS = 1.0  # how often the ledger is read while no limit applies

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Permit:
    """Lets one request be sent.

    `reductions`: how often concurrency had been reduced by then. `in_flight`: how many this server had sent, this one
    included. `is_alone`: all others wait for the answer, which shows whether a limit applies.
    """

    reductions: int
    in_flight: int
    is_alone: bool


class RateLimiter:
    """Limits concurrency, and sends no more requests than the provider allows to all who use the key together.

    While nothing limits them, requests are counted in the ledger once a second, else one by one. Where it cannot be
    used, this server counts alone. `documented_per_minute`: a limit that the provider may have; until it states one,
    refuses a request or has accepted more, the first request that exceeds this one is answered before anybody sends the
    next. Where none is documented, few are in flight once that many could be too many, until more were accepted.
    """

    def __init__(
        self, *, sleep: Sleep, now: WallClock, monotonic: Monotonic, documented_per_minute: int | None = None
    ) -> None:
        self._sleep = sleep
        self._now = now
        self._monotonic = monotonic
        self._concurrency = MOST_IN_FLIGHT
        self._slots = anyio.CapacityLimiter(MOST_IN_FLIGHT)
        self._in_order = anyio.Lock(fast_acquire=True)  # pages of a list are best read in the order they are requested
        self._reductions = 0
        self._successes = 0
        self._answered_at = deque[float](maxlen=_MOST_FOR_A_RATE)
        self._ledger: Ledger | None = None
        self._allowance = Allowance()
        self._compared_at = -math.inf
        self._clock_offset = 0.0
        self._not_before = -math.inf
        self._uncounted = 0
        self._settled = self._accepted_at_once = 0
        self._most_in_flight = math.inf
        self._documented = documented_per_minute
        self._unapplied: list[tuple[float, StatedLimit]] = []

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight: 16, halved after a 429, one more after every 16 successes."""
        return self._concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The limit, stated or learned, else the rate of the last minute's responses, if there were enough."""
        if self._allowance.per_minute:
            return self._allowance.per_minute
        recent = [at for at in self._answered_at if self._monotonic() - at <= _RATE_SECONDS]
        seconds = recent[-1] - recent[0] if len(recent) >= _FEWEST_FOR_A_RATE else 0
        return round((len(recent) - 1) / seconds * 60) if seconds else None

    def share(self, ledger: Ledger) -> None:
        """Counts in that ledger from now on."""
        self._ledger, self._compared_at = ledger, -math.inf

    async def refresh(self) -> None:
        """Learns from the ledger what others have learned."""
        await self._change(lambda _: None)

    @asynccontextmanager
    async def permit(self, deadline: float) -> AsyncGenerator[Permit, None]:
        """Waits until one request may be sent; yields what to pass to `update_from_response`.

        Raises:
            RateLimitError: it may not be sent before `deadline`, a time of the monotonic clock.
        """
        while True:
            async with AsyncExitStack() as held:
                async with self._in_order:
                    await held.enter_async_context(self._slots)
                    while 0 < (seconds := await self._take()) <= _SHORT_WAIT and self._monotonic() < deadline:
                        await self.wait(seconds)  # and no other meanwhile
                    most = self._most_in_flight
                if seconds <= 0:
                    try:
                        yield Permit(self._reductions, self._slots.borrowed_tokens, is_alone=most == 1)
                    finally:
                        self._settled += most < math.inf
                    if self._settled and self._slots.borrowed_tokens == 1:
                        await self.refresh()
                    return
            if self._monotonic() + seconds > deadline:
                raise too_many_requests(seconds)
            await self.wait(seconds)

    async def wait(self, seconds: float) -> None:
        """Sleeps. Limits that expire by then are over afterwards, even if the clock disagrees."""
        until = max(self._monotonic(), self._not_before) + seconds
        await self._sleep(seconds)
        self._not_before = max(self._not_before, until)

    async def update_from_response(self, permit: Permit, status: int, headers: Mapping[str, str]) -> float | None:
        """Applies one response's rate limit headers; returns the seconds to wait before a retry, if it says so."""
        at = self._monotonic()
        self._answered_at.append(at)
        stated = parse_limit(status, headers, self._now())
        shows_limit = self._shows_limit(permit)
        if stated.is_refusal:
            self._reduce_concurrency(permit)
        elif status < 300:
            self._accepted_at_once = max(self._accepted_at_once, permit.in_flight)
            self._increase_concurrency()
        if self._allowance.is_changed_by(stated):
            await self._change(lambda allowance: allowance.update(stated, shows_limit=shows_limit))
        elif permit.is_alone and status < 300:
            await self._change(Allowance.accept_alone)
        elif not stated.says_nothing:
            self._unapplied.append((at, stated))
        self._resize()
        return stated.retry_after

    async def _take(self) -> float:
        self._allowance.advance(self._time())
        self._most_in_flight = math.inf
        is_due = self._monotonic() - self._compared_at >= _COMPARE_SECONDS or self._is_close()
        if self._allowance.is_unlimited and not is_due:
            self._uncounted += 1
            return 0.0
        seconds = 0.0

        def take(allowance: Allowance) -> None:
            nonlocal seconds
            self._most_in_flight = allowance.most_in_flight(self._documented)
            seconds = allowance.take(self._most_in_flight)

        await self._change(take)
        return seconds

    async def _change(self, change: Callable[[Allowance], None]) -> None:
        """Changes the shared allowance, after all that was not applied yet."""
        uncounted, self._uncounted = self._uncounted, 0
        settled, self._settled = self._settled, 0
        unapplied, self._unapplied = self._unapplied, []
        allowance, offset = self._allowance, self._clock_offset

        def apply(text: str, now: float) -> str:
            nonlocal allowance
            allowance, ahead = Allowance.parse(text), offset - (now - self._monotonic())
            if not (allowance.awaited and 0 < ahead <= CLOCK_SECONDS):  # else such a wait would be lost each time
                self._clock_offset = offset - ahead
            allowance.advance(self._time(), self._clock_offset - offset)
            allowance.settle(settled)
            allowance.count(uncounted)
            allowance.prove()
            for at, stated in unapplied:
                allowance.update(stated.after(self._monotonic() - at))
            change(allowance)
            return allowance.format()

        await self._apply(apply)
        self._allowance, self._compared_at = allowance, self._monotonic()
        self._resize()

    async def _apply(self, apply: Callable[[str, float], str]) -> None:
        if self._ledger is not None:
            try:
                await self._ledger(apply)
                return
            except StoreError as error:
                _log.debug("requests counted by this server alone: %s", type(error).__name__)
        apply(self._allowance.format(), self._time())

    def _time(self) -> float:
        """The ledger's time, as far as this server knows it by itself."""
        return max(self._monotonic(), self._not_before) + self._clock_offset

    def _is_close(self) -> bool:
        """Whether this minute's requests may exceed a limit soon, and others should know."""
        allowance, documented = self._allowance, self._documented
        if allowance.most_in_flight(documented, self._uncounted) < math.inf:
            return True
        least = allowance.least_in_doubt(documented)
        return allowance.is_in_doubt(documented) and self._uncounted >= least * _SHARED_AT_ONCE

    def _resize(self) -> None:
        self._slots.total_tokens = min(self._concurrency, self._allowance.most_in_flight(self._documented))

    def _shows_limit(self, permit: Permit) -> bool:
        """Whether a refusal means a limit per minute, and not too many requests at once.

        No other was in flight, or far fewer than were accepted before, or this is the first that exceeds the documented
        limit and none was refused before.
        """
        few = max(1, self._accepted_at_once // 2)
        return permit.in_flight <= few or (permit.is_alone and not permit.reductions)

    def _reduce_concurrency(self, permit: Permit) -> None:
        self._successes = 0
        if permit.reductions == self._reductions:  # requests sent together and refused together reduce it once
            self._reductions += 1
            self._concurrency = max(1, self._concurrency // 2)

    def _increase_concurrency(self) -> None:
        self._successes += 1
        if self._successes >= _SUCCESSES_PER_STEP:
            self._successes = 0
            self._concurrency = min(MOST_IN_FLIGHT, self._concurrency + 1)


def too_many_requests(seconds: float | None) -> RateLimitError:
    """The error for an exceeded rate limit, with the seconds to wait if the provider states them."""
    wait = f"in {math.ceil(seconds)} s" if seconds else "in a minute"
    return RateLimitError("Rate limit reached.", f"Retry {wait}.", retry_after_seconds=seconds)
