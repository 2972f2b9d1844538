"""Formant's API on loopback: its three GET endpoints over calls that a test adds and removes while it runs.

    async with FakeFormant() as api:
        api.add(conversation(1, started_at))
        api.fault("/recording", 2, 503)
        api.fault("offset=100", 1, faults.html_502)

It does what the documents say and, where asked, what they leave open: any order of the list, no total, rows served
twice, short pages. Faults are in `tests.faults`.
"""

import random
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from typing import Literal
from urllib.parse import unquote

from pydantic import JsonValue

from tests.calls import Row, detail
from tests.calls import conversation as conversation
from tests.calls import many as many
from tests.fake_http import LoopbackServer, Reply, Request
from tests.faults import Fault, error, failing, json_reply

Order = Literal["newest", "oldest", "none", "as_held"]
Match = str | Callable[[Request], bool]


class FakeFormant(LoopbackServer):
    """The API. Options are attributes; a test may change them at any time.

    `key`: the bearer key that is asked for, if any. `order`: of the list: by start, a fixed shuffle (`none`), or as
    held. `with_total`: whether the list says it. `repeat_rows`: so many rows come a second time, elsewhere in the
    list; `total_counts_repeats`. `list_carries_detail`: rows have transcript and results. `rows_per_page_cap`: pages
    are this short however many rows were asked for. `on_request` runs before each request is answered and may add
    and remove calls. `recordings`: bytes by id. `clock`: epoch seconds, for the rate limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.key: str | None = None
        self.order: Order = "newest"
        self.with_total = True
        self.repeat_rows = 0
        self.total_counts_repeats = False
        self.list_carries_detail = False
        self.rows_per_page_cap: int | None = None
        self.on_request: Callable[[Request], None] | None = None
        self.recordings: dict[str, bytes] = {}
        self.clock: Callable[[], float] = time.time
        self._calls: Sequence[Row] = []
        self._details: dict[str, Row] = {}
        self._lists: dict[tuple[object, ...], tuple[list[int], int]] = {}
        self._places: dict[str, int] = {}
        self._faults: list[_Scripted] = []
        self._window: _Window | None = None
        self._lock = threading.RLock()  # a test in another thread changes what the server's thread reads

    @property
    def conversations(self) -> Sequence[Row]:
        """The calls held. Change them with `add` and `remove`, or assign other ones."""
        return self._calls

    @conversations.setter
    def conversations(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self._calls = rows
            self._forget()

    def add(self, row: Row, detail: Row | None = None, at: int = 0) -> None:
        """Adds a call: `row` in lists, `detail` alone (default: the row with transcript and results)."""
        with self._lock:
            self._calls = [*self._calls[:at], row, *self._calls[at:]]
            if detail is not None:
                self._details[str(row.get("conversation_id"))] = detail
            self._forget()

    def remove(self, conversation_id: str) -> None:
        """Removes a call.

        Raises:
            KeyError: there is none of that id.
        """
        with self._lock:
            place = self._place_of()[conversation_id]
            self._calls = [*self._calls[:place], *self._calls[place + 1 :]]
            self._details.pop(conversation_id, None)
            self._forget()

    def fault(self, match: Match, times: int, kind: int | Fault) -> None:
        """The next `times` requests that match (part of path and query, or a function) go wrong.

        `kind` is an error status (with the documented body) or one of `tests.faults`.
        """
        with self._lock:
            self._faults.append(_Scripted(match, times, failing(kind) if isinstance(kind, int) else kind))

    def rate_limit_headers(self, limit: int, per_seconds: float) -> None:
        """From now on every answer states the allowance, and what exceeds it gets a 429."""
        self._window = _Window(limit, per_seconds)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            if self.on_request:
                self.on_request(request)
            headers, waiting = self._window.count(self.clock()) if self._window else ({}, 0)
            reply = error(429, "Rate limit exceeded.") if waiting else self._route(request)
            reply = replace(reply, headers=reply.headers | headers)
            for scripted in self._faults:
                if scripted.times > 0 and scripted.matches(request):
                    scripted.times -= 1
                    return scripted.kind(reply)
            return reply

    def _route(self, request: Request) -> Reply:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, "Invalid or missing API key.")
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case _ if request.method != "GET":
                return error(400, "Only GET is served.")
            case ["v1", "conversations"]:
                return self._list(request.query)
            case ["v1", "conversations", conversation_id] if conversation_id in self._place_of():
                return json_reply({"data": self._detail(self._calls[self._place_of()[conversation_id]])})
            case ["v1", "conversations", conversation_id, "recording"] if conversation_id in self.recordings:
                return Reply(body=self.recordings[conversation_id], media_type="audio/wav")
            case _:
                return error(404, "Not found.")

    def _list(self, query: dict[str, str]) -> Reply:
        try:
            limit, offset = int(query.get("limit", "20")), int(query.get("offset", "0"))
            agent_id = int(query["agent_id"]) if "agent_id" in query else None
        except ValueError:
            return error(400, "limit, offset and agent_id are integers.")
        if not 1 <= limit <= 100 or offset < 0:
            return error(400, "limit is 1 to 100, offset not negative.")
        places, total = self._served(agent_id)
        page = [self._calls[place] for place in places[offset : offset + min(limit, self.rows_per_page_cap or limit)]]
        data: JsonValue = [self._detail(row) if self.list_carries_detail else row for row in page]
        body: Row = {"data": data, "has_more": offset + len(page) < len(places)}
        return json_reply(body | {"total": total} if self.with_total else body)

    def _served(self, agent_id: int | None) -> tuple[list[int], int]:
        """The whole list as it is paged through, as places in `conversations`, and its total."""
        options = (agent_id, self.order, self.repeat_rows)
        if options not in self._lists:
            self._lists[options] = self._listed(agent_id)
        places, repeats = self._lists[options]
        return places, len(places) - (0 if self.total_counts_repeats else repeats)

    def _listed(self, agent_id: int | None) -> tuple[list[int], int]:
        wanted = ((place, row) for place, row in enumerate(self._calls) if agent_id in (None, row.get("agent_id")))
        keyed = [(_SORT_KEYS[self.order](row), place) for place, row in wanted]
        if self.order != "as_held":
            keyed.sort()
        places = [place for _, place in keyed]
        chance = random.Random(len(places))
        repeated = chance.sample(places, min(self.repeat_rows, len(places)))
        for place in repeated:
            places.insert(chance.randrange(len(places)), place)
        return places, len(repeated)

    def _detail(self, row: Row) -> Row:
        conversation_id = str(row.get("conversation_id"))
        return self._details[conversation_id] if conversation_id in self._details else detail(row)

    def _place_of(self) -> dict[str, int]:
        if not self._places:
            self._places = {str(row.get("conversation_id")): place for place, row in enumerate(self._calls)}
        return self._places

    def _forget(self) -> None:
        """Drops what was worked out from the calls held before."""
        self._lists.clear()
        self._places = {}


def _started(row: Row) -> float:
    """Epoch milliseconds, from the seconds of the OpenAPI example too; calls without a start come last."""
    value = row.get("start_timestamp")
    if not isinstance(value, int | float):
        return 0
    return value * 1000 if abs(value) < 1e11 else value


_SORT_KEYS: dict[Order, Callable[[Row], float]] = {
    "newest": lambda row: -_started(row),
    "oldest": _started,
    "none": lambda row: zlib.crc32(str(row.get("conversation_id")).encode()),
    "as_held": lambda _: 0,
}


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
