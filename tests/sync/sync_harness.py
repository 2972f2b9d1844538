"""A Sync over a fake account, with a clock that tests move, and over loopback or in this process.

async with harness_for(api) as harness:
    list_status = await harness.ask(ListRequest(newest=20))
    assert harness.stored() == harness.listed()
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio.lowlevel
import httpx

from formant_mcp.filters import NEWEST, Filters
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import RECHECK_AFTER, ListRequest, ListStatus
from tests.calls import Row, conversation
from tests.fake_api import FakeApi
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Reply, Request
from tests.faults import Fault

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVERYTHING = ListRequest()
SECONDS = 30.0  # far more than any test takes
ALWAYS = 1_000_000_000
DAY = timedelta(days=1)


@dataclass
class Clock:
    """Starts at noon; each reading takes a millisecond."""

    moment: datetime = NOON

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment

    def advance(self, span: timedelta) -> None:
        self.moment += span


@dataclass
class InProcess(httpx.AsyncBaseTransport):
    """The account without a socket, for thousands of examples; with a `chance`, answers overtake each other."""

    api: FakeApi
    chance: random.Random | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self.chance.randrange(6) if self.chance else 0):
            await anyio.lowlevel.checkpoint()
        asked = Request(request.method, request.url.raw_path.decode(), dict(request.headers))
        self.api.requests.append(asked)
        reply = self.api.answer(asked)
        return httpx.Response(reply.status, content=reply.body, headers=reply.headers)


@dataclass
class Harness:
    """One server's Sync and store. `slept`: the waits between tries, none of which took any time."""

    api: FakeApi
    sync: Sync
    store: Store
    clock: Clock
    slept: list[float] = field(default_factory=list[float])

    async def ask(self, need: ListRequest = EVERYTHING, seconds: float = SECONDS) -> ListStatus:
        """Refreshes that part of the list without an error, and returns its status then."""
        self.clock.advance(RECHECK_AFTER)
        requested_at = self.clock.now()
        assert (await self.sync.refresh_list(need, seconds)).error is None
        return await self.sync.list_status(need, requested_at)

    async def cost(self, need: ListRequest = EVERYTHING) -> tuple[int, ListStatus]:
        """How many requests a question took, and the status then."""
        before = len(self.api.requests)
        list_status = await self.ask(need)
        return len(self.api.requests) - before, list_status

    async def stored(self, filters: Filters | None = None, limit: int = 1_000_000) -> list[str]:
        """The ids in the store, newest first."""
        return [each.conversation_id for _, each in await self.store.read.page(filters or Filters(), NEWEST, limit)]

    def listed(self) -> set[str]:
        """The ids in the account."""
        return {self.api.id_of(row) for row in self.api.conversations}

    async def holds_all(self) -> bool:
        """Whether the store holds exactly what the account does, each once."""
        stored = await self.stored()
        return len(stored) == len(set(stored)) and set(stored) == self.listed()

    async def settled(self) -> None:
        """Waits for the scans that run in the background, if any do."""
        await no_job("scan")

    def list_requests(self) -> list[Request]:
        """The requests for pages of the list."""
        return [request for request in self.api.requests if request.path == "/v1/conversations"]

    def detail_ids(self) -> list[str]:
        """The ids that details were asked for, in order."""
        return [request.path.rpartition("/")[2] for request in self.api.requests if request.path.count("/") == 3]


def running_jobs(name: str) -> int:
    """How many jobs of that name run, of all servers in this process."""
    return sum(task.get_name() == f"job {name}" for task in asyncio.all_tasks())


def count_before_scan(api: FakeApi, *, holds_scan: bool = False) -> list[Request]:
    """The requests from now on that are made while no scan runs in the background, as they come.

    `holds_scan`: the gate is shut when one makes its first request.
    """
    counted: list[Request] = []

    def count(request: Request) -> None:
        if not running_jobs("scan"):
            counted.append(request)
        elif holds_scan:
            api.gate.shut()

    api.on_request = count
    return counted


async def until(is_so: Callable[[], bool]) -> None:
    """Waits until that is so, however busy the machine is."""
    async with asyncio.timeout(SECONDS):
        while not is_so():
            await asyncio.sleep(0.001)


async def no_job(name: str) -> None:
    """Waits until no job of that name runs."""
    await until(lambda: not running_jobs(name))


@asynccontextmanager
async def harness_for(
    api: FakeApi,
    *,
    connect: Callable[..., AnyProvider] = FormantProvider,
    transport: httpx.AsyncBaseTransport | None = None,
    path: Path | str | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Harness]:
    """A server's Sync, in this process unless a transport is given; its store in memory unless there is a path."""
    clock, slept = clock or Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(timedelta(seconds=seconds))
        await anyio.lowlevel.checkpoint()

    source = connect(api.url, "any-key", transport=transport or api.transport(), sleep=sleep, now=clock.now)
    store = await Store.open(path, AccountKey("service", "account"), next_refresh_at)
    sync = Sync(source, store, clock.now)
    try:
        yield Harness(api, sync, store, clock, slept)
    finally:
        await sync.aclose()
        await store.close()


def ended_calls(count: int, first: int = 0, newest_at: datetime = NOON - timedelta(days=2)) -> list[Row]:
    """`count` calls over for long, a minute apart, the newest first."""
    return [conversation(first + n, newest_at - timedelta(minutes=n)) for n in range(count)]


def later_calls(count: int, first: int = 1_000_000) -> list[Row]:
    """`count` calls that began after all of `ended_calls`, the newest first; different `first`, different calls."""
    newest_at = NOON - timedelta(days=1) + timedelta(seconds=first % 10_000)
    return [conversation(first + n, newest_at - timedelta(milliseconds=n)) for n in range(count)]


def add_all(api: FakeFormant, rows: Sequence[Row]) -> None:
    """All of them at once."""
    api.conversations = [*rows, *api.conversations]


def held_as(order: Order, rows: list[Row]) -> list[Row]:
    """The rows, given newest first, in that order."""
    if order == "none":
        rows = rows[:]
        random.Random(len(rows)).shuffle(rows)
    return rows[::-1] if order == "oldest" else rows


def claiming(total: int) -> Fault:
    """A list that says that there are so many calls."""
    return lambda good: replace(good, body=json.dumps(json.loads(good.body) | {"total": total}).encode())


def with_more(good: Reply) -> Reply:
    """A list that says that it goes on."""
    return replace(good, body=json.dumps(json.loads(good.body) | {"has_more": True}).encode())


def without_has_more(good: Reply) -> Reply:
    """A list that does not say whether it goes on."""
    body = json.loads(good.body)
    body.pop("has_more", None)
    return replace(good, body=json.dumps(body).encode())
