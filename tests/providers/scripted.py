"""A clock that never waits, and a client over scripted answers."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import httpx

from formant_mcp.providers.http import HttpClient

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KEY = "key-nobody-may-see"
Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class Clock:
    """Begins at noon and advances only by sleeping. `slept` lists the sleeps; none ends before `dawn`, if set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self.dawn: anyio.Event | None = None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.seconds + seconds
        await (self.dawn.wait() if self.dawn else anyio.lowlevel.checkpoint())
        self.seconds = max(self.seconds, until)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


def client_for(clock: Clock, handler: Handler) -> HttpClient:
    """A client whose requests `handler` answers."""
    return HttpClient(
        "https://api.example.test/base",
        {"Authorization": f"Bearer {KEY}"},
        transport=httpx.MockTransport(handler),
        sleep=clock.sleep,
        now=clock.now,
        monotonic=clock.monotonic,
    )


def answering(*responses: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Answers with the responses in turn, then always with an empty object."""
    script = iter(responses)

    def handle(request: httpx.Request) -> httpx.Response:
        match next(script, None):
            case None:
                return httpx.Response(200, json={})
            case Exception() as error:
                raise error
            case response:
                return response

    return handle


async def others_have_run() -> None:
    """Lets every other task run until it waits for something."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
