"""What the tests add to the providers' APIs (`formant_mcp.demo.apis`): recordings, a rate limit, and scripted faults.

api.add(call(1, started_at))
api.fault("/recording", 2, 503)
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil

from formant_mcp.demo.apis.api import Api, Body
from formant_mcp.demo.apis.api import Order as Order
from tests.calls import Row
from tests.fake_http import LoopbackServer, Reply, Request
from tests.faults import Fault

Match = str | Callable[[Request], bool]


class FakeApi(LoopbackServer, Api):
    """A provider's API, served. A test may change its options, which are attributes, at any time.

    `on_request` runs before each request is answered and may add and remove calls. `recordings`: bytes by id, of the
    type `recording_type`. `clock`: epoch seconds, for the rate limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_request: Callable[[Request], None] | None = None
        self.recordings: dict[str, bytes] = {}
        self.clock: Callable[[], float] = time.time
        self._faults: list[_Scripted] = []
        self._window: _Window | None = None
        self._lock = threading.RLock()  # a test in another thread changes what the server's thread reads

    def recording_of(self, conversation_id: str) -> Body | None:
        return self.recordings.get(conversation_id)

    def hold(self, rows: Sequence[Row]) -> None:
        with self._lock:
            super().hold(rows)

    def add(self, row: Row, detail: Row | None = None, at: int = 0) -> None:
        with self._lock:
            super().add(row, detail, at)

    def remove(self, conversation_id: str) -> None:
        with self._lock:
            super().remove(conversation_id)

    def fault(self, match: Match, times: int, kind: int | Fault) -> None:
        """The next `times` requests that match (part of path and query, or a function) go wrong.

        `kind` is an error status (with the documented body) or one of `tests.faults`.
        """
        with self._lock:
            self._faults.append(_Scripted(match, times, self._failing(kind) if isinstance(kind, int) else kind))

    def rate_limit_headers(self, limit: int, per_seconds: float) -> None:
        """From now on every answer states the rate limit, and requests beyond it get a 429."""
        self._window = _Window(limit, per_seconds)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            if self.on_request:
                self.on_request(request)
            headers, waiting = self._window.count(self.clock()) if self._window else ({}, 0)
            reply = Reply.of(self.refusal(429, "Rate limit exceeded.") if waiting else self.respond(request))
            reply = replace(reply, headers=reply.headers | headers)
            for scripted in self._faults:
                if scripted.times > 0 and scripted.matches(request):
                    scripted.times -= 1
                    return scripted.kind(reply)
            return reply

    def _failing(self, status: int) -> Fault:
        return lambda good: replace(Reply.of(self.refusal(status, "Scripted fault.")), headers=good.headers)


@dataclass
class _Scripted:
    match: Match
    times: int
    kind: Fault

    def matches(self, request: Request) -> bool:
        return self.match in request.target if isinstance(self.match, str) else self.match(request)


@dataclass
class _Window:
    """A fixed window: `limit` requests in each `per_seconds` from the first one on."""

    limit: int
    per_seconds: float
    began: float = float("-inf")
    used: int = 0

    def count(self, now: float) -> tuple[dict[str, str], float]:
        """Counts one request; returns the headers to send and, if it exceeds the limit, the seconds to wait."""
        if now >= self.began + self.per_seconds:
            self.began, self.used = now, 0
        self.used += 1
        end = self.began + self.per_seconds
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": datetime.fromtimestamp(end, UTC).isoformat(),
        }
        if self.used <= self.limit:
            return headers, 0
        return headers | {"Retry-After": str(ceil(end - now))}, end - now
