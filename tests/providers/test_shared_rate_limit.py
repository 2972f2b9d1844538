"""Servers that share a key: together they use what the provider allows, and hardly a request is refused."""

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Coroutine

import anyio
import httpx
import pytest

from formant_mcp.errors import RetryableError, StoreError
from formant_mcp.providers.allowance import Allowance, StatedLimit, parse_limit
from formant_mcp.providers.http import HttpClient
from tests.examples import each_once, is_thorough, some
from tests.providers.limited_api import LATENCY, PER_MINUTE, Headers, Ledger, LimitedApi, Minute, VirtualTime
from tests.providers.scripted import NOON

pytestmark = pytest.mark.anyio


@pytest.fixture
def time() -> VirtualTime:
    random.seed(0)  # the waits before retries
    return VirtualTime()


@pytest.fixture
def anyio_backend(time: VirtualTime) -> tuple[str, dict[str, Callable[[], asyncio.AbstractEventLoop]]]:
    """An event loop that never waits for a sleeper."""
    return "asyncio", {"loop_factory": lambda: asyncio.SelectorEventLoop(time)}


def clients(
    api: LimitedApi,
    ledger: Ledger | None,
    count: int,
    handle: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]] | None = None,
    documented: int | None = PER_MINUTE,
) -> list[HttpClient]:
    """So many servers' clients of the API, or of what `handle` answers, which expect the documented limit."""
    made = [
        HttpClient(
            "https://api.example.test",
            {},
            documented_per_minute=documented,
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


HEADERS: tuple[Headers, ...] = ("all", "retry", "")
MINUTES: tuple[Minute, ...] = ("fixed", "sliding", "bucket")
KINDS = list(itertools.product(HEADERS, MINUTES))

BEGINNINGS = list(itertools.product((1, 2), (0.0, 37.0)))
# Of the headers and of the minutes each one; together they have one server and two, at the start of a minute and in it.
A_FEW = [(kind, *beginning) for kind, beginning in zip(KINDS[::4], BEGINNINGS[1:], strict=True)]
ALL = [(kind, *beginning) for kind in KINDS for beginning in BEGINNINGS]


@pytest.mark.parametrize(("kind", "servers", "began_at"), ALL if is_thorough() else A_FEW)
async def test_servers_use_what_is_allowed_and_are_hardly_refused(
    time: VirtualTime, kind: tuple[Headers, Minute], servers: int, began_at: float
) -> None:
    time.seconds = began_at
    api, ledger = LimitedApi(time, *kind), Ledger(time)
    for _ in range(2):  # while they learn it, and when all have started again
        api.accepted = api.refused = 0
        seconds = await read_all(api, clients(api, ledger, servers), 400)
        assert api.accepted == 400
        assert api.refused <= 0.03 * 400
        assert seconds <= 400 / PER_MINUTE * 60 / 0.9 + 1


# The last of them in the second in which the provider's minute ends.
UNDOCUMENTED = [
    (kind, servers, allowed, began_at)
    for kind in KINDS
    for servers, began_at in ((1, 0.0), (2, 37.0), (2, 59.25))
    for allowed in ((30, 50, 80, 120) if began_at < 59 else (PER_MINUTE,))
]


async def refused_share(
    time: VirtualTime, kind: tuple[Headers, Minute], servers: int, allowed: int, began_at: float
) -> float:
    """Of the first 200 requests or of those of two minutes, where no limit is documented."""
    time.seconds = began_at
    api = LimitedApi(time, *kind, allowed)
    await read_all(api, clients(api, Ledger(time), servers, documented=None), max(200, 2 * allowed))
    return api.refused / (api.accepted + api.refused)


@pytest.mark.parametrize(("kind", "servers", "allowed", "began_at"), some(UNDOCUMENTED, 13))
async def test_an_undocumented_limit_is_learned_from_few_refusals(
    time: VirtualTime, kind: tuple[Headers, Minute], servers: int, allowed: int, began_at: float
) -> None:
    assert await refused_share(time, kind, servers, allowed, began_at) < 0.05


async def test_servers_that_keep_sixteen_in_flight_are_refused_often(
    time: VirtualTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_bound(*_: object) -> float:
        return math.inf

    monkeypatch.setattr(Allowance, "most_in_flight", without_bound)
    assert await refused_share(time, ("retry", "fixed"), 2, PER_MINUTE, 0.0) > 0.1


@pytest.mark.parametrize("servers", some([2, 1], 2))
async def test_an_api_without_any_limit_is_slowed_once(time: VirtualTime, servers: int) -> None:
    api, ledger = LimitedApi(time, "", allowed=10_000), Ledger(time)
    for slowed in (20 * LATENCY, 0.0):
        seconds = await read_all(api, clients(api, ledger, servers, documented=None), 800)
        assert seconds <= 800 / 16 * LATENCY + slowed + 0.01
        time.seconds += 61


async def test_requests_that_fail_are_no_longer_awaited(time: VirtualTime) -> None:
    fails = itertools.cycle([True, False, False])

    async def handle(_: httpx.Request) -> httpx.Response:
        await time.sleep(LATENCY)
        if next(fails):
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})

    api = LimitedApi(time, "")
    assert await read_all(api, clients(api, Ledger(time), 1, handle, documented=None), 100) < 40


async def test_servers_that_do_not_share_are_refused_often(time: VirtualTime) -> None:
    api = LimitedApi(time, "retry")
    await read_all(api, [*clients(api, Ledger(time), 1), *clients(api, Ledger(time), 1)], 400)
    assert api.refused > 0.08 * 400


async def test_a_server_without_its_ledger_counts_alone(time: VirtualTime) -> None:
    api = LimitedApi(time, "all")
    seconds = await read_all(api, clients(api, Ledger(time, refusal=StoreError("Lost.", "")), 1), 120)
    assert (api.accepted, api.refused) == (120, 0)
    assert seconds < 122


async def test_an_api_without_a_limit_is_not_slowed_and_the_ledger_hardly_used(time: VirtualTime) -> None:
    api, ledger = LimitedApi(time, "", allowed=10_000), Ledger(time)
    seconds = await read_all(api, clients(api, ledger, 1), 800)
    assert api.refused == 0
    assert seconds <= 800 / 16 * LATENCY + LATENCY  # while the first beyond the documented limit is answered
    assert ledger.changes <= 40


async def test_requests_are_sent_alone_once_and_not_in_every_minute_or_after_every_start(time: VirtualTime) -> None:
    api, ledger = LimitedApi(time, "", allowed=10_000), Ledger(time)
    servers = clients(api, ledger, 1)
    await read_all(api, servers, 800)
    for later in (servers, clients(api, ledger, 1)):
        time.seconds += 61
        ledger.changes = 0
        assert await read_all(api, later, 160) == pytest.approx(160 / 16 * LATENCY)
        assert ledger.changes <= 3


@pytest.mark.parametrize(("headers", "minute"), some(KINDS, 4))  # each of both
async def test_a_limit_that_is_new_is_learned_although_more_was_accepted_before(
    time: VirtualTime, headers: Headers, minute: Minute
) -> None:
    api, ledger = LimitedApi(time, "", minute, allowed=10_000), Ledger(time)
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


@pytest.mark.parametrize("allowed", some([20, PER_MINUTE], 2))
async def test_a_limit_that_was_raised_is_used_within_an_hour(time: VirtualTime, allowed: int) -> None:
    api, ledger = LimitedApi(time, "retry", allowed=allowed), Ledger(time)
    servers = clients(api, ledger, 1, documented=allowed)
    await read_all(api, servers, 2 * allowed)
    api.allowed = 2 * allowed
    await read_all(api, servers, 80 * allowed)
    seconds = await read_all(api, servers, 2 * api.allowed)
    assert seconds <= 150


@pytest.mark.parametrize("documented", [PER_MINUTE, None])
async def test_too_many_requests_at_once_teach_no_limit_per_minute(time: VirtualTime, documented: int | None) -> None:
    in_flight = 0

    async def handle(_: httpx.Request) -> httpx.Response:
        nonlocal in_flight
        in_flight += 1
        is_accepted = in_flight <= 5
        await time.sleep(LATENCY)
        in_flight -= 1
        return httpx.Response(200 if is_accepted else 429, json={})

    api = LimitedApi(time, "")
    (client,) = clients(api, Ledger(time), 1, handle, documented)
    seconds = await read_all(api, [client], 400)
    assert seconds < 60
    assert client.rate_limit.concurrency >= 4


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"sent": 3}', '{"later": 1}'])
def test_a_text_of_another_version_is_an_allowance_without_limits(text: str) -> None:
    allowance = Allowance.parse(text)
    allowance.advance(1.0)
    assert allowance.is_unlimited
    assert allowance.take() <= 0


def test_after_the_clock_was_set_back_all_wait_as_long_as_before() -> None:
    allowance = Allowance()
    allowance.advance(1_000_000.0)
    allowance.update(parse_limit(429, {"retry-after": "600"}, NOON))
    assert allowance.take() == 600
    allowance = Allowance.parse(allowance.format())
    allowance.advance(900_000.0)
    assert allowance.take() == 600
    allowance.advance(900_600.0)
    assert allowance.take() <= 0


@pytest.mark.parametrize("headers", ["retry", ""])
@pytest.mark.parametrize(("servers", "documented"), each_once([1, 2], [PER_MINUTE, None]))
async def test_a_clock_that_is_set_back_in_a_wait_costs_nothing(
    time: VirtualTime, headers: Headers, servers: int, documented: int | None
) -> None:
    time.seconds = 6_000.0
    api, ledger = LimitedApi(time, headers), Ledger(time, set_back_at=6_020.0)
    assert await read_all(api, clients(api, ledger, servers, documented=documented), 200) <= 195
    assert api.refused < 0.05 * 200


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


def test_a_refusal_that_never_comes_again_limits_for_less_than_an_hour() -> None:
    """As of a gateway: the provider has no limit."""
    refusal = StatedLimit(is_refusal=True, per_minute=None, remaining=None, resets_in=None, retry_after=1.0)
    allowance, now = Allowance(), 0.0
    allowance.advance(now)
    allowance.count(30)
    allowance.update(refusal)
    assert allowance.per_minute == 29
    while allowance.per_minute and allowance.per_minute < 1_000:
        now += 1
        allowance.advance(now)
        while allowance.take() <= 0:
            pass
    assert now < 3_600


def test_a_limit_that_is_right_is_exceeded_by_few_requests_each_time() -> None:
    refusal = StatedLimit(is_refusal=True, per_minute=None, remaining=None, resets_in=None, retry_after=30.0)
    allowance, refused = Allowance(), 0
    sent: list[int] = []
    for now in range(4 * 3_600):
        allowance.advance(now)
        while allowance.take() <= 0:
            sent = [at for at in sent if at > now - 60]
            if len(sent) < 50:
                sent.append(now)
            else:
                refused += 1
                allowance.update(refusal)
    assert refused < 0.02 * 4 * 60 * 50
