"""Servers that share a key: together they use what the provider allows, and hardly a request is refused."""

import asyncio
import heapq
import itertools
import math
import selectors
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
import httpx
import pytest

from formant_mcp.errors import RetryableError, StoreError
from formant_mcp.providers.allowance import Allowance, parse_limit
from formant_mcp.providers.http import HttpClient
from tests.examples import is_thorough
from tests.providers.scripted import NOON

pytestmark = pytest.mark.anyio

PER_MINUTE = 50
LATENCY = 0.2


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


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def anyio_backend(time: VirtualTime) -> tuple[str, dict[str, Callable[[], asyncio.AbstractEventLoop]]]:
    """An event loop that never waits for a sleeper."""
    return "asyncio", {"loop_factory": lambda: asyncio.SelectorEventLoop(time)}


@dataclass
class Ledger:
    """A text in memory; `is_lost`: as in a store that cannot be used."""

    time: VirtualTime
    text: str = ""
    is_lost: bool = False
    changes: int = 0

    async def __call__(self, change: Callable[[str, float], str]) -> None:
        if self.is_lost:
            raise StoreError("Lost.", "")
        await anyio.lowlevel.checkpoint()
        self.changes += 1
        self.text = change(self.text, self.time.seconds)


@dataclass
class LimitedApi:
    """Allows some requests in each minute of the clock, or in any 60 seconds.

    `headers`: it states "all", or Retry-After where it refuses ("retry"), or nothing.
    """

    time: VirtualTime
    headers: str
    is_sliding: bool = False
    allowed: int = PER_MINUTE
    accepted: int = 0
    refused: int = 0
    accepted_in: Counter[int] = field(default_factory=Counter[int])
    _sent: deque[float] = field(default_factory=deque[float])

    async def handle(self, _: httpx.Request) -> httpx.Response:
        now = self.time.seconds
        began_at = now - 60 if self.is_sliding else now // 60 * 60
        while self._sent and (self._sent[0] < began_at or (self.is_sliding and self._sent[0] == began_at)):
            self._sent.popleft()
        is_accepted = len(self._sent) < self.allowed
        if is_accepted:
            self._sent.append(now)
            self.accepted_in[int(now // 60)] += 1
        resets_in = (self._sent[0] if self.is_sliding else began_at) + 60 - now
        self.accepted, self.refused = self.accepted + is_accepted, self.refused + (not is_accepted)
        headers = dict[str, str]()
        if self.headers == "all":
            headers |= {
                "X-RateLimit-Limit": str(self.allowed),
                "X-RateLimit-Remaining": str(self.allowed - len(self._sent)),
                "X-RateLimit-Reset": (self.time.now() + timedelta(seconds=resets_in)).isoformat(),
            }
        if self.headers and not is_accepted:
            headers["Retry-After"] = str(math.ceil(resets_in))
        await self.time.sleep(LATENCY)
        return httpx.Response(200 if is_accepted else 429, json={}, headers=headers)


def clients(
    api: LimitedApi,
    ledger: Ledger | None,
    count: int,
    handle: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]] | None = None,
) -> list[HttpClient]:
    """So many servers' clients of the API, or of what `handle` answers."""
    made = [
        HttpClient(
            "https://api.example.test",
            {},
            documented_per_minute=PER_MINUTE,
            transport=httpx.MockTransport(handle or api.handle),
            sleep=api.time.sleep,
            now=api.time.now,
            monotonic=api.time.monotonic,
        )
        for _ in range(count)
    ]
    for client in made:
        if ledger is not None:
            client.rate_limit.share(ledger)
    return made


async def read_all(api: LimitedApi, servers: list[HttpClient], requests: int) -> float:
    """Sends so many requests, 16 at once from each server; returns how long it took in virtual seconds."""
    began_at, left = api.time.seconds, requests

    async def work(client: HttpClient) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            while True:
                try:
                    await client.get_json("things", "/v1/things")
                    break
                except RetryableError as error:
                    await api.time.sleep(error.retry_after_seconds or 1)

    async with anyio.create_task_group() as group:
        for client in servers:
            for _ in range(16):
                group.start_soon(work, client)
    return api.time.seconds - began_at


KINDS = {
    "stated": ("all", False),
    "stated, sliding": ("all", True),
    "Retry-After": ("retry", False),
    "Retry-After, sliding": ("retry", True),
    "silent": ("", False),
    "silent, sliding": ("", True),
}


# Of each kind one or two; together they have one server and two, at the start of a minute and within it.
COMBINATIONS = list(itertools.product(KINDS, (1, 2), (0.0, 37.0)))[:: 1 if is_thorough() else 3]


@pytest.mark.parametrize(("kind", "servers", "began_at"), COMBINATIONS)
async def test_servers_use_what_is_allowed_and_are_hardly_refused(
    time: VirtualTime, kind: str, servers: int, began_at: float
) -> None:
    time.seconds = began_at
    api, ledger = LimitedApi(time, *KINDS[kind]), Ledger(time)
    for most_refused in (0.04 if servers == 1 else 0.08, 0.1 if kind == "stated, sliding" else 0.02):  # then restarted
        api.accepted = api.refused = 0
        seconds = await read_all(api, clients(api, ledger, servers), 400)
        assert api.accepted == 400
        assert api.refused <= most_refused * 400
        assert seconds <= 400 / PER_MINUTE * 60 / 0.9 + 1


async def test_servers_that_do_not_share_are_refused_often(time: VirtualTime) -> None:
    api = LimitedApi(time, "retry")
    await read_all(api, [*clients(api, Ledger(time), 1), *clients(api, Ledger(time), 1)], 400)
    assert api.refused > 0.08 * 400


async def test_a_server_without_its_ledger_counts_alone(time: VirtualTime) -> None:
    api = LimitedApi(time, "all")
    seconds = await read_all(api, clients(api, Ledger(time, is_lost=True), 1), 120)
    assert (api.accepted, api.refused) == (120, 0)
    assert seconds < 122


async def test_an_api_without_a_limit_is_not_slowed_and_the_ledger_hardly_used(time: VirtualTime) -> None:
    api, ledger = LimitedApi(time, "", allowed=10_000), Ledger(time)
    seconds = await read_all(api, clients(api, ledger, 1), 1_600)
    assert api.refused == 0
    assert seconds <= 1_600 / 16 * LATENCY + LATENCY  # while the first beyond the documented limit is answered
    assert ledger.changes <= 50


async def test_requests_are_sent_alone_once_and_not_in_every_minute_or_after_every_start(time: VirtualTime) -> None:
    api, ledger = LimitedApi(time, "", allowed=10_000), Ledger(time)
    servers = clients(api, ledger, 1)
    await read_all(api, servers, 1_600)
    for later in (servers, clients(api, ledger, 1)):
        time.seconds += 61
        ledger.changes = 0
        assert await read_all(api, later, 160) == pytest.approx(160 / 16 * LATENCY)
        assert ledger.changes <= 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_limit_that_is_new_is_learned_although_more_was_accepted_before(time: VirtualTime, kind: str) -> None:
    headers, is_sliding = KINDS[kind]
    api, ledger = LimitedApi(time, "", is_sliding, allowed=10_000), Ledger(time)
    servers = clients(api, ledger, 1)
    await read_all(api, servers, 400)
    time.seconds += 61
    api.headers, api.allowed = headers, PER_MINUTE
    for most_refused in (40, 20):
        api.refused = 0
        assert await read_all(api, servers, 400) <= 400 / PER_MINUTE * 60 / 0.9 + 1
        assert api.refused <= most_refused
    time.seconds = time.seconds // 60 * 60 + 86_460 + 60  # when what was learned is forgotten
    api.refused = 0
    await read_all(api, clients(api, ledger, 1), 60)
    assert api.refused <= 2


async def test_a_minute_across_two_windows_does_not_show_that_there_is_no_limit(time: VirtualTime) -> None:
    time.seconds = 55.0
    api, ledger = LimitedApi(time, ""), Ledger(time)
    await read_all(api, clients(api, ledger, 1), 50)
    time.seconds = 60.0
    servers = clients(api, ledger, 1)
    for count in (40, 10):  # a hundred in ten seconds, and none refused
        await read_all(api, servers, count)
        time.seconds += 2
    assert (api.accepted, api.refused) == (100, 0)
    time.seconds = 180.0
    api.refused = 0
    await read_all(api, clients(api, ledger, 1), 60)
    assert api.refused <= 2


async def test_a_limit_that_was_raised_is_used_within_an_hour(time: VirtualTime) -> None:
    api, ledger = LimitedApi(time, "retry"), Ledger(time)
    servers = clients(api, ledger, 1)
    await read_all(api, servers, 100)
    api.allowed = 100
    await read_all(api, servers, 4_000)
    seconds = await read_all(api, servers, 200)
    assert seconds <= 150


async def test_too_many_requests_at_once_teach_no_limit_per_minute(time: VirtualTime) -> None:
    in_flight = 0

    async def handle(_: httpx.Request) -> httpx.Response:
        nonlocal in_flight
        in_flight += 1
        is_accepted = in_flight <= 5
        await time.sleep(LATENCY)
        in_flight -= 1
        return httpx.Response(200 if is_accepted else 429, json={})

    api = LimitedApi(time, "")
    (client,) = clients(api, Ledger(time), 1, handle)
    seconds = await read_all(api, [client], 400)
    assert seconds < 60
    assert client.rate_limit.concurrency >= 4


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"sent": 3}', '{"later": 1}'])
def test_a_text_of_another_version_is_an_allowance_without_limits(text: str) -> None:
    allowance = Allowance.parse(text)
    allowance.advance(1.0)
    assert allowance.is_unlimited
    assert allowance.take() <= 0


def test_after_the_clock_was_set_back_nothing_waits_for_the_old_time() -> None:
    allowance = Allowance()
    allowance.advance(1_000_000.0)
    allowance.update(parse_limit(429, {"retry-after": "600"}, NOON))
    assert allowance.take() == 600
    allowance = Allowance.parse(allowance.format())
    allowance.advance(900_000.0)
    assert allowance.take() <= 0


def test_what_was_learned_long_ago_is_forgotten() -> None:
    allowance = Allowance()
    allowance.advance(1_000.0)
    allowance.update(parse_limit(200, {"x-ratelimit-limit": "50"}, NOON))
    allowance.advance(2_000.0)
    assert allowance.per_minute == 50
    allowance.advance(1_000.0 + 86_401)
    assert allowance.is_unlimited


async def test_requests_in_flight_do_not_exceed_the_stated_limit(time: VirtualTime) -> None:
    api = LimitedApi(time, "all", allowed=6)
    (client,) = clients(api, None, 1)
    await read_all(api, [client], 18)
    assert api.accepted_in == {0: 6, 1: 6, 2: 6}
    assert api.refused == 10  # the first sixteen, sent before anything was stated
