"""What the loopback APIs of all providers share: the calls they hold, their key, recordings, allowance and faults.

    api.add(call(1, started_at))
    api.fault("/recording", 2, 503)

A provider's own module says what a request is answered with, and what a refusal looks like there.
"""

import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from typing import Literal

from tests.calls import Row
from tests.fake_http import LoopbackServer, Reply, Request
from tests.faults import Fault

Order = Literal["newest", "oldest", "none", "as_held"]
Match = str | Callable[[Request], bool]


class FakeApi(LoopbackServer):
    """An account's calls behind an API. Options are attributes; a test may change them at any time.

    `key`: the one that is asked for, if any. `order`: of the list: by start, a fixed shuffle (`none`), or as held.
    `list_carries_detail`: rows are whole conversations. `rows_per_page_cap`: pages are this short however many rows
    were asked for. `on_request` runs before each request is answered and may add and remove calls. `recordings`:
    bytes by id, of the type `recording_type`. `clock`: epoch seconds, for the rate limit.
    """

    id_field = "conversation_id"
    recording_type = "audio/wav"

    def __init__(self) -> None:
        super().__init__()
        self.key: str | None = None
        self.order: Order = "newest"
        self.list_carries_detail = False
        self.rows_per_page_cap: int | None = None
        self.on_request: Callable[[Request], None] | None = None
        self.recordings: dict[str, bytes] = {}
        self.clock: Callable[[], float] = time.time
        self._calls: Sequence[Row] = []
        self._details: dict[str, Row] = {}
        self._places: dict[str, int] = {}
        self._faults: list[_Scripted] = []
        self._window: _Window | None = None
        self._lock = threading.RLock()  # a test in another thread changes what the server's thread reads

    def serve(self, request: Request) -> Reply:
        """What is answered to a request with the right key."""
        raise NotImplementedError

    def refusal(self, status: int, message: str) -> Reply:
        """An error in the provider's form."""
        raise NotImplementedError

    def key_of(self, request: Request) -> str | None:
        """The key that a request carries, where the provider looks for it."""
        raise NotImplementedError

    def detail_of(self, row: Row) -> Row:
        """The whole conversation that a row stands for, where the test gave none."""
        raise NotImplementedError

    def started(self, row: Row) -> float:
        """When a row's call started, as a number to sort by; calls without a start are the oldest."""
        raise NotImplementedError

    @property
    def conversations(self) -> Sequence[Row]:
        """The calls held. Change them with `add` and `remove`, or assign other ones."""
        return self._calls

    @conversations.setter
    def conversations(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self._calls = rows
            self.forget()

    def add(self, row: Row, detail: Row | None = None, at: int = 0) -> None:
        """Adds a call: `row` in lists, `detail` alone (default: all that the row stands for)."""
        with self._lock:
            self._calls = [*self._calls[:at], row, *self._calls[at:]]
            if detail is not None:
                self._details[self.id_of(row)] = detail
            self.forget()

    def remove(self, conversation_id: str) -> None:
        """Removes a call.

        Raises:
            KeyError: there is none of that id.
        """
        with self._lock:
            place = self.place_of[conversation_id]
            self._calls = [*self._calls[:place], *self._calls[place + 1 :]]
            self._details.pop(conversation_id, None)
            self.forget()

    def fault(self, match: Match, times: int, kind: int | Fault) -> None:
        """The next `times` requests that match (part of path and query, or a function) go wrong.

        `kind` is an error status (with the documented body) or one of `tests.faults`.
        """
        with self._lock:
            self._faults.append(_Scripted(match, times, self._failing(kind) if isinstance(kind, int) else kind))

    def rate_limit_headers(self, limit: int, per_seconds: float) -> None:
        """From now on every answer states the allowance, and what exceeds it gets a 429."""
        self._window = _Window(limit, per_seconds)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            if self.on_request:
                self.on_request(request)
            headers, waiting = self._window.count(self.clock()) if self._window else ({}, 0)
            reply = self.refusal(429, "Rate limit exceeded.") if waiting else self._admitted(request)
            reply = replace(reply, headers=reply.headers | headers)
            for scripted in self._faults:
                if scripted.times > 0 and scripted.matches(request):
                    scripted.times -= 1
                    return scripted.kind(reply)
            return reply

    def id_of(self, row: Row) -> str:
        """The row's id."""
        return str(row.get(self.id_field))

    def whole(self, row: Row) -> Row:
        """The conversation as it is sent alone."""
        conversation_id = self.id_of(row)
        return self._details[conversation_id] if conversation_id in self._details else self.detail_of(row)

    def sort_key(self, row: Row) -> float:
        """What the list is ordered by, smallest first."""
        match self.order:
            case "newest":
                return -self.started(row)
            case "oldest":
                return self.started(row)
            case "none":
                return zlib.crc32(self.id_of(row).encode())
            case "as_held":
                return 0

    @property
    def place_of(self) -> dict[str, int]:
        """Where in `conversations` each id is."""
        if not self._places:
            self._places = {self.id_of(row): place for place, row in enumerate(self._calls)}
        return self._places

    def forget(self) -> None:
        """Drops what was worked out from the calls held before."""
        self._places = {}

    def _admitted(self, request: Request) -> Reply:
        if self.key is not None and self.key_of(request) != self.key:
            return self.refusal(401, "Invalid or missing API key.")
        return self.serve(request)

    def _failing(self, status: int) -> Fault:
        return lambda good: replace(self.refusal(status, "Scripted fault."), headers=good.headers)


def bearer_of(request: Request) -> str | None:
    """The key of a bearer header (RFC 6750)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" else None


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
        """Counts one request; the headers to send, and the seconds to wait where it is one too many."""
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
