"""Which requests are retried, how long the client waits, and how many run at once."""

import itertools
from collections.abc import Callable

import anyio
import httpx
import pytest

from formant_mcp.errors import ConnectionFailedError, FormantError, RateLimitError, RequestTimeoutError, ServiceError
from formant_mcp.providers.allowance import Allowance
from formant_mcp.providers.http import HttpClient
from formant_mcp.providers.rate_limit import RateLimiter
from tests.providers.scripted import NOON, Clock, answering, client_for, others_have_run

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.Response(429), RateLimitError),
        (httpx.Response(500), ServiceError),
        (httpx.Response(503), ServiceError),
        (httpx.ConnectError("refused"), ConnectionFailedError),
        (httpx.RemoteProtocolError("cut"), ConnectionFailedError),
        (httpx.ReadTimeout("slow"), RequestTimeoutError),
    ],
)
async def test_passing_failures_are_tried_five_times_with_growing_random_waits(
    clock: Clock, failure: httpx.Response | Exception, error: type[FormantError]
):
    client = client_for(clock, answering(*[failure] * 5))

    with pytest.raises(error) as caught:
        await client.get_json("things", "/v1/things")

    assert type(caught.value) is error
    assert len(clock.slept) == 4
    assert all(0 <= slept <= most for slept, most in zip(clock.slept, [1, 2, 4, 8], strict=True))
    assert len(set(clock.slept)) == 4


async def test_a_failure_that_passes_is_not_raised(clock: Clock):
    client = client_for(
        clock, answering(httpx.Response(502), httpx.ConnectTimeout("slow"), httpx.Response(200, json=[1]))
    )

    assert await client.get_json("things", "/v1/things") == [1]
    assert len(clock.slept) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "60"},
        {"Retry-After": "Fri, 20 Nov 2026 12:01:00 GMT"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20T12:01:00Z"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20T17:31:00+05:30"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOON.timestamp() + 60)},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOON.timestamp() + 60:.0f}000"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20T12:00:30Z", "Retry-After": "60"},
        {"X-RateLimit-Reset": "2026-11-20T11:31:00Z", "Date": "Fri, 20 Nov 2026 11:30:00 GMT"},
    ],
)
async def test_a_rate_limit_is_waited_out_for_exactly_the_stated_time(clock: Clock, headers: dict[str, str]):
    client = client_for(clock, answering(httpx.Response(429, headers=headers), httpx.Response(200, json=[1])))

    assert await client.get_json("things", "/v1/things") == [1]
    assert clock.slept == [60]


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "soon"}, {"Retry-After": "-5"}, {"Retry-After": "0"}, {"Retry-After": "nan"}]
)
async def test_an_invalid_retry_after_falls_back_to_the_usual_wait(clock: Clock, headers: dict[str, str]):
    client = client_for(clock, answering(httpx.Response(429, headers=headers)))

    await client.get_json("things", "/v1/things")

    assert 0 < clock.slept[0] <= 1


async def test_a_wait_over_two_minutes_is_raised_at_once(clock: Clock):
    client = client_for(clock, answering(httpx.Response(429, headers={"Retry-After": "121"})))

    with pytest.raises(RateLimitError) as first:
        await client.get_json("things", "/v1/things")
    with pytest.raises(RateLimitError) as second:
        await client.get_json("things", "/v1/things")

    assert clock.slept == []
    assert (first.value.retry_after_seconds, second.value.retry_after_seconds) == (121, 121)
    assert "121 s" in first.value.hint


async def test_all_tries_together_stay_within_two_minutes(clock: Clock):
    refused = httpx.Response(503, headers={"Retry-After": "50"})
    client = client_for(clock, answering(*[refused] * 5))

    with pytest.raises(ServiceError, match="50 s"):
        await client.get_json("things", "/v1/things")

    assert clock.slept == [50, 50]


async def test_requests_wait_until_the_reset_once_nothing_remains(clock: Clock):
    headers = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20T12:00:20Z"}
    client = client_for(clock, answering(httpx.Response(200, json=[1], headers=headers)))

    assert client.rate_limit.requests_per_minute is None
    assert await client.get_json("things", "/v1/things") == [1]
    assert clock.slept == []
    await client.get_json("things", "/v1/things")
    await client.get_json("things", "/v1/things")

    assert clock.slept == [20]
    assert client.rate_limit.requests_per_minute == 50


async def test_without_a_stated_limit_the_rate_is_measured_over_the_last_minute(clock: Clock):
    def handle(_: httpx.Request) -> httpx.Response:
        clock.seconds += 2
        return httpx.Response(200, json={})

    client = client_for(clock, handle)
    for _ in range(9):
        await client.get_json("things", "/v1/things")
    assert client.rate_limit.requests_per_minute is None
    await client.get_json("things", "/v1/things")
    assert client.rate_limit.requests_per_minute == 30

    clock.seconds += 61
    assert client.rate_limit.requests_per_minute is None


async def test_no_more_requests_than_remain_are_sent_before_the_reset(clock: Clock):
    sent_at: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent_at.append(clock.seconds)
        headers = {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2026-11-20T12:00:20Z"}
        return httpx.Response(200, json={}, headers=headers if len(sent_at) == 1 else {})

    client = client_for(clock, handle)
    await client.get_json("things", "/v1/things")
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(client.get_json, "things", "/v1/things")

    assert sent_at[:4] == [0, 0, 0, 0]
    assert len(sent_at) == 7
    assert all(at >= 20 for at in sent_at[4:])


async def test_an_answer_that_was_overtaken_does_not_raise_the_remaining_count(clock: Clock):
    second_is_answered = anyio.Event()
    remaining = iter(["1", "0"])

    async def handle(request: httpx.Request) -> httpx.Response:
        headers = {"X-RateLimit-Remaining": next(remaining, "9"), "X-RateLimit-Reset": "2026-11-20T12:00:20Z"}
        if headers["X-RateLimit-Remaining"] == "1":
            await second_is_answered.wait()
        second_is_answered.set()
        return httpx.Response(200, json={}, headers=headers)

    client = client_for(clock, handle)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(client.get_json, "things", "/v1/things")
    await client.get_json("things", "/v1/things")

    assert clock.slept == [20]


async def test_the_remaining_count_of_an_earlier_window_is_ignored(clock: Clock):
    present = {"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "2026-11-20T12:01:20Z"}
    earlier = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20T12:00:20Z"}
    client = client_for(
        clock, answering(*[httpx.Response(200, json={}, headers=headers) for headers in (present, earlier)])
    )
    for _ in range(3):
        await client.get_json("things", "/v1/things")

    assert clock.slept == []


async def test_a_wait_ends_after_its_sleep_even_if_the_clock_does_not_advance(clock: Clock):
    async def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        assert len(clock.slept) < 5

    refused = httpx.Response(429, headers={"Retry-After": "30"})
    transport = httpx.MockTransport(answering(refused, httpx.Response(200, json=[1])))
    client = HttpClient("https://api.example.test", {}, transport=transport, sleep=sleep, monotonic=lambda: 0.0)

    assert await client.get_json("things", "/v1/things") == [1]
    assert clock.slept == [30]


async def test_a_rate_limit_delays_every_other_request(clock: Clock):
    sent_at: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent_at.append(clock.seconds)
        return httpx.Response(429, headers={"Retry-After": "30"}) if len(sent_at) == 1 else httpx.Response(200, json={})

    client = client_for(clock, handle)
    clock.dawn = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(client.get_json, "things", "/v1/things")
            await others_have_run()
        assert sent_at == [0]
        clock.dawn.set()

    assert len(sent_at) == 3
    assert all(at >= 30 for at in sent_at[1:])


async def test_sixteen_requests_run_at_once_and_half_as_many_after_a_rate_limit():
    in_flight = most = 0
    statuses = iter([200] * 20 + [429])

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await others_have_run()
        in_flight -= 1
        return httpx.Response(next(statuses, 200), json={})

    client = client_for(Clock(), handle)

    async def ask_for(count: int) -> int:
        nonlocal most
        most = 0
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(client.get_json, "things", "/v1/things")
        return most

    assert await ask_for(20) == 16
    await ask_for(1)
    assert client.rate_limit.concurrency == 8
    assert await ask_for(14) == 8
    assert client.rate_limit.concurrency == 8
    await ask_for(1)
    assert client.rate_limit.concurrency == 9


@pytest.mark.parametrize("step", [0.0001, 0.003, 0.1])
async def test_waiting_ends_although_the_ledger_has_a_clock_that_stopped(step: float):
    at, now, waits = itertools.count(0.0, step), 1_000_000_000, list[float]()
    waited_for = Allowance(sent=[(now, 50)], awaited=[now + 0.3], as_of=now).format()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert len(waits) < 10

    async def ledger(change: Callable[[str, float], str]) -> None:
        change(waited_for, now)

    limiter = RateLimiter(sleep=sleep, now=lambda: NOON, monotonic=lambda: next(at), documented_per_minute=50)
    limiter.share(ledger)
    async with limiter.permit(deadline=60.0):
        assert 0 < sum(waits) < 1


@pytest.mark.parametrize("back", [0.0, 0.9, 4.5, 30.0])
async def test_a_clock_that_is_set_back_ends_no_minute_of_another_server_early(back: float):
    seconds, clock, text = 0.0, 1_000_000_000.0, Allowance(per_minute=50, is_stated=True, limited_at=1e9).format()

    async def sleep(wait: float) -> None:
        nonlocal seconds
        seconds += wait

    async def ledger(change: Callable[[str, float], str]) -> None:
        nonlocal text
        text = change(text, clock + seconds)

    def limiter() -> RateLimiter:
        limiter = RateLimiter(sleep=sleep, now=lambda: NOON, monotonic=lambda: seconds, documented_per_minute=50)
        limiter.share(ledger)
        return limiter

    first = limiter()
    await first.refresh()
    clock, seconds = clock - back, 120.0
    second = limiter()
    for _ in range(50):
        async with second.permit(deadline=600.0):
            pass
    seconds += 55.5
    async with first.permit(deadline=600.0):
        assert 180 <= seconds < 182


async def test_requests_refused_together_halve_concurrency_once_and_it_stays_at_least_one():
    async def refuse(request: httpx.Request) -> httpx.Response:
        await others_have_run()
        return httpx.Response(429, headers={"Retry-After": "300"})

    client = client_for(Clock(), refuse)

    async def ask() -> None:
        with pytest.raises(RateLimitError):
            await client.get_json("things", "/v1/things")

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(ask)
    assert client.rate_limit.concurrency == 8

    stubborn = client_for(Clock(), answering(*[httpx.Response(429)] * 10))
    for _ in range(2):
        with pytest.raises(RateLimitError):
            await stubborn.get_json("things", "/v1/things")
    assert stubborn.rate_limit.concurrency == 1


async def test_a_cancelled_request_frees_its_slot():
    answer = anyio.Event()

    async def handle(request: httpx.Request) -> httpx.Response:
        await answer.wait()
        return httpx.Response(200, json={})

    client = client_for(Clock(), handle)
    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(client.get_json, "things", "/v1/things")
        await others_have_run()
        group.cancel_scope.cancel()
    answer.set()

    assert await client.get_json("things", "/v1/things") == {}
