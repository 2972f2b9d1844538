"""How many requests a provider allows: what its responses state, and what all who use one key have sent. No I/O."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import accumulate
from typing import Self

from pydantic import BaseModel, ValidationError

_WINDOW_SECONDS = 60.0
_SAME_WINDOW_SECONDS = 1.0  # resets are stated in whole seconds
CLOCK_SECONDS = 5.0  # a clock that goes back further was set
_FEWEST_PER_MINUTE = 20  # a refusal after fewer has another reason than a rate limit
_LEARN_SECONDS = 10.0  # refusals so close together have one reason
_SILENT_SECONDS = 5.0  # nothing is sent after a refusal that teaches the limit and not when it is over
_RAISE_SECONDS = 300.0
_PROBE_SECONDS = 1.0
_DOUBT_SECONDS = 5.0  # for so long the answer to a request that may exceed a limit is waited for
_DOUBT_POLL_SECONDS = 0.2
_LEAST_IN_DOUBT = 4  # requests in flight where the next may exceed a limit that nobody has stated
_SHARE_IN_DOUBT = 16  # or one in so many of the minute's requests: no more are refused at once
_BEYOND_DOUBT = 256  # requests a minute: a share of as many as may be in flight
_LEAST_OF_A_MINUTE = 45.0
_VALID_SECONDS = 86_400.0
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StatedLimit:
    """What one response states.

    `per_minute`, `remaining` and `resets_in` (seconds): X-RateLimit-Limit, -Remaining and -Reset. `retry_after`: the
    seconds that a refused request (429) must wait, if it says so. `age`: how many seconds ago it came.
    """

    is_refusal: bool
    per_minute: float | None
    remaining: int | None
    resets_in: float | None
    retry_after: float | None
    age: float = 0.0

    @property
    def says_nothing(self) -> bool:
        """Whether there is neither a refusal nor a limit in it."""
        return not self.is_refusal and self.per_minute is None and self.remaining is None

    def after(self, seconds: float) -> "StatedLimit":
        """The same, read that much later."""
        return replace(self, resets_in=max(0.0, self.resets_in - seconds) if self.resets_in else None, age=seconds)


def parse_limit(status: int, headers: Mapping[str, str], now: datetime) -> StatedLimit:
    """Parses a response's headers; `now`: the machine's clock, used where the response has no Date.

    The headers are those of Formant's rate limits: `X-RateLimit-Limit` (documented as 50 a minute), `-Remaining`,
    `-Reset` (an ISO 8601 date-time; epoch numbers are read too) and `Retry-After` (RFC 9110, 10.2.3).
    """
    reset_at, retry_after = headers.get("x-ratelimit-reset"), headers.get("retry-after")
    if reset_at or retry_after:
        now = _parse_date(headers.get("date", "")) or now  # the provider's clock if sent: ours may be wrong
    remaining = _parse_number(headers.get("x-ratelimit-remaining"))
    reset = _seconds_until(reset_at, now)
    waits = [_seconds_until(retry_after, now)]
    if status == 429 and not remaining:
        waits.append(reset)
    return StatedLimit(
        is_refusal=status == 429,
        per_minute=_parse_number(headers.get("x-ratelimit-limit")) or None,
        remaining=None if remaining is None else int(remaining),
        resets_in=reset,
        retry_after=max((wait for wait in waits if wait), default=None),
    )


class Allowance(BaseModel):
    """What may still be sent, as of `as_of`; all times are seconds of one clock.

    `per_minute`: the limit, stated by the provider or else learned from a refusal, and `limited_at`: since when.
    `remaining` requests are left until `resets_at`, where the provider states both. `wait_until`: nobody may send
    before. `sent`: the requests of the last minute, as pairs of a second and how many. `since_reset`: how many since
    the last stated reset, at `reset_at`, until the next is stated. `learned_at`: when a refusal last taught the limit.
    `raises`: how often it was raised since. `proven`: so many a minute are accepted, and none was refused since.
    `awaited`: until when the answers are waited for to requests that may exceed a limit. `proven_until`: until when the
    answer to one sent alone counts. `is_unclear`: the last refusal may have meant too many requests at once.
    `longest_reset`: the most seconds that were ever stated until a reset. `is_sliding`: what is stated is not a window
    after which all may be sent again, but how soon some may.
    """

    per_minute: float | None = None
    is_stated: bool = False
    limited_at: float = 0.0
    learned_at: float = -math.inf
    raises: int = 0
    remaining: int | None = None
    resets_at: float | None = None
    wait_until: float | None = None
    sent: list[tuple[int, int]] = []
    since_reset: int | None = None
    reset_at: float = -math.inf
    proven: int = 0
    awaited: list[float] = []
    proven_until: float = -math.inf
    is_unclear: bool = False
    longest_reset: float = 0.0
    is_sliding: bool = False
    as_of: float = -math.inf

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text that `format` returns; a new one from anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return cls()

    def format(self) -> str:
        """As text, for others who use the same key."""
        return self.model_dump_json(exclude_defaults=True)

    @property
    def is_unlimited(self) -> bool:
        """Whether no limit applies, as far as anybody has been refused or informed."""
        return self.per_minute is None and self.remaining is None and self.wait_until is None

    @property
    def sent_count(self) -> int:
        """How many requests were sent in the last minute."""
        return sum(count for _, count in self.sent)

    def advance(self, now: float, set_by: float = 0.0) -> None:
        """Forgets what is over at that time. `set_by`: by how many seconds the clock was set meanwhile, if known."""
        if now < self.as_of - CLOCK_SECONDS:
            self._shift(set_by if self.as_of + set_by <= now else now - self.as_of)
        self.as_of = max(self.as_of, now)
        if self.wait_until is not None and self.wait_until <= self.as_of:
            self.wait_until = None
        self.awaited = [until for until in self.awaited if until > self.as_of]
        if self.resets_at is not None and self.resets_at <= self.as_of:
            self.since_reset, self.reset_at = None if self.is_sliding else 0, self.resets_at
            self.remaining = self.resets_at = None
        if self.per_minute and self.as_of - self.limited_at > _VALID_SECONDS:
            self.per_minute, self.is_stated, self.is_sliding, self.longest_reset = None, False, False, 0.0
        self.sent = [(second, count) for second, count in self.sent if second + _WINDOW_SECONDS > self.as_of]

    def take(self, most_in_flight: float = math.inf) -> float:
        """Counts one request, if it may be sent now; else returns how many seconds it must wait.

        `most_in_flight`: if not infinite, it may be sent while fewer are awaited, and is then awaited itself.
        """
        seconds = self._seconds_to_wait()
        if seconds <= 0 and most_in_flight < math.inf:
            if len(self.awaited) >= most_in_flight:
                return min(_DOUBT_POLL_SECONDS, self.awaited[0] - self.as_of)
            self.awaited.append(self.as_of + _DOUBT_SECONDS)
        if seconds <= 0:
            self.count(1)
        return seconds

    def is_in_doubt(self, documented_per_minute: float | None) -> bool:
        """Whether a limit may apply that nobody has stated or met: the documented one, else any."""
        least_safe = _BEYOND_DOUBT if documented_per_minute is None else documented_per_minute + 1
        return self.is_unlimited and self.proven < least_safe and self.proven_until <= self.as_of

    def most_in_flight(self, documented_per_minute: float | None, uncounted: int = 0) -> float:
        """How many may be in flight in all, if the next one may exceed a limit: all of these would be refused."""
        sent = self.sent_count + uncounted
        if self.is_unclear and not self.is_stated:
            return 1
        if self.per_minute and not self.is_stated and sent >= self.per_minute / 2:
            return max(_LEAST_IN_DOUBT, sent // _SHARE_IN_DOUBT) // 2
        if not self.is_in_doubt(documented_per_minute) or sent < self.least_in_doubt(documented_per_minute):
            return math.inf
        if documented_per_minute is not None:
            return 1
        return math.inf if sent >= _BEYOND_DOUBT else max(_LEAST_IN_DOUBT, sent // _SHARE_IN_DOUBT)

    def least_in_doubt(self, documented_per_minute: float | None) -> float:
        """How many a minute are accepted for all that is known."""
        return max(self.proven, _FEWEST_PER_MINUTE if documented_per_minute is None else documented_per_minute)

    def accept_alone(self) -> None:
        """Notes that a request that was sent alone was accepted."""
        self.is_unclear, self.proven_until = False, self.as_of + _WINDOW_SECONDS

    def settle(self, requests: int) -> None:
        """Notes that so many requests are no longer awaited."""
        del self.awaited[:requests]

    def count(self, requests: int) -> None:
        """Counts requests as sent now."""
        if requests and self.remaining is not None:
            self.remaining = max(0, self.remaining - requests)
        if self.since_reset is not None:
            self.since_reset += requests
        second = math.floor(self.as_of) + 1  # a request is counted for a little longer than a minute
        if requests and self.sent and self.sent[-1][0] == second:
            requests += self.sent.pop()[1]
        if requests:
            self.sent.append((second, requests))

    def prove(self) -> None:
        """Notes how many were accepted: of two minutes that the last 60 seconds may be in, one had half of them."""
        if self.is_unlimited:
            self.proven = max(self.proven, (self.sent_count + 1) // 2)

    def update(self, stated: StatedLimit, *, shows_limit: bool = False) -> None:
        """Applies what a response states. `shows_limit`: a refusal has no other reason than a limit per minute."""
        if stated.per_minute:
            self.per_minute, self.is_stated, self.limited_at = stated.per_minute, True, self.as_of
        if stated.remaining is not None and stated.resets_in and self.as_of - stated.age >= self.reset_at:
            self._update_window(stated.remaining, self.as_of + stated.resets_in)
        if stated.is_refusal and stated.retry_after:
            self.wait_until = max(self.wait_until or 0.0, self.as_of + stated.retry_after)
        if stated.is_refusal:
            self.proven, self.proven_until, self.raises = 0, -math.inf, 0
            self._give_back()
            is_learning = self.as_of - self.learned_at < _LEARN_SECONDS
            self.is_unclear = not (stated.retry_after or shows_limit or is_learning)
            if not self.is_stated and not self.is_unclear:
                self._learn(stated.retry_after or _SILENT_SECONDS)

    def is_changed_by(self, stated: StatedLimit) -> bool:
        """Whether others should be informed at once: of a refusal, another limit or another window."""
        is_other_window = stated.remaining is not None and bool(stated.resets_in) and self.resets_at is None
        return stated.is_refusal or is_other_window or (stated.per_minute or self.per_minute) != self.per_minute

    def _update_window(self, remaining: int, resets_at: float) -> None:
        if self.remaining is None or self.resets_at is None:
            # In a minute that is fixed, the next reset is a whole one after the last.
            is_soon = resets_at - self.reset_at < self.longest_reset / 2
            self.is_sliding |= is_soon and _LEAST_OF_A_MINUTE <= self.longest_reset <= _WINDOW_SECONDS + 1
            self.longest_reset = max(self.longest_reset, resets_at - self.as_of)
            # Requests in flight are not in the provider's count yet.
            sent = self.sent_count if self.since_reset is None else self.since_reset
            unsent = max(0.0, self.per_minute - sent) if self.per_minute else math.inf
            self.remaining, self.resets_at, self.since_reset = int(min(remaining, unsent)), resets_at, None
        elif resets_at >= self.resets_at - _SAME_WINDOW_SECONDS:  # responses may overtake each other: the lowest counts
            self.remaining, self.resets_at = min(self.remaining, remaining), max(self.resets_at, resets_at)

    def _seconds_to_wait(self) -> float:
        until = self.wait_until or 0.0
        if self.remaining is not None and self.resets_at is not None:
            until = max(until, self.resets_at if self.remaining <= 0 else 0.0)
            if not self.is_sliding:
                return until - self.as_of
        if not self.per_minute or self.sent_count < self.per_minute or self._may_try():
            return until - self.as_of
        excess = self.sent_count - self.per_minute
        sums = accumulate(count for _, count in self.sent)
        free_at = next(second for (second, _), sent in zip(self.sent, sums, strict=True) if sent > excess)
        if self.since_reset:  # the response to the first request will say how many may be sent now
            free_at = min(free_at, self.as_of + _PROBE_SECONDS - _WINDOW_SECONDS)
        return max(until, free_at + _WINDOW_SECONDS) - self.as_of

    def _shift(self, seconds: float) -> None:
        """Moves all times as the clock was: nobody waits longer, or shorter, because it was set."""
        self.as_of += seconds
        self.limited_at += seconds
        self.learned_at += seconds
        self.reset_at += seconds
        self.proven_until += seconds
        self.wait_until = None if self.wait_until is None else self.wait_until + seconds
        self.resets_at = None if self.resets_at is None else self.resets_at + seconds
        self.sent = [(math.ceil(second + seconds), count) for second, count in self.sent]
        self.awaited = [until + seconds for until in self.awaited]

    def _give_back(self) -> None:
        """A refused request does not count."""
        if self.sent:
            second, count = self.sent.pop()
            if count > 1:
                self.sent.append((second, count - 1))

    def _learn(self, retry_after: float) -> None:
        if self.per_minute is None and self.sent_count < _FEWEST_PER_MINUTE:
            return
        is_first = self.per_minute is None or self.as_of - self.learned_at < _LEARN_SECONDS
        most = math.inf if is_first or self.per_minute is None else self.per_minute
        self.per_minute, self.limited_at = max(_FEWEST_PER_MINUTE, min(most, self.sent_count)), self.as_of
        self.learned_at = self.as_of
        self.wait_until = max(self.wait_until or 0.0, self.as_of + retry_after)

    def _may_try(self) -> bool:
        """Whether one request may be sent beyond what was sent in the last minute.

        After a stated reset, to learn what remains. And a while after the limit was learned: it may be higher by now.
        """
        if self.since_reset == 0:
            return True
        if self.is_stated or not self.per_minute or self.as_of - self.limited_at < _RAISE_SECONDS:
            return False
        # Each time by more, so that one refusal for another reason does not slow a day.
        self.per_minute += max(1, int(self.per_minute / 20 * 1.5**self.raises))
        self.limited_at, self.raises = self.as_of, self.raises + 1
        return True


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
    moment = _parse_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _parse_date(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
