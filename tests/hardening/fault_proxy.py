"""A proxy on loopback between a client and a provider's API, which spoils requests as a plan says.

    async with FaultProxy(api, Faults(seed=7, share=0.3), clock) as proxy:
        source = FormantProvider(proxy.url, KEY, transport=proxy.route(), sleep=clock.sleep, ...)

The same seed spoils the same requests: whether one is hit depends on its address and on how often that was requested.
What happens before a connection exists (a name that does not resolve, a refused connection) happens in `route`, where
the client connects; everything else on the socket.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Self

import anyio.lowlevel
import httpx

from tests.fake_http import LoopbackServer, Reply, read_request

HEADER = "x-fault"
HOST = "api.provider.test"
OUTAGE = "500 for minutes"
_LOST_HOST = "lost.provider.test"
_HANG_SECONDS = 0.01  # how long a client waits for a server that says nothing, which it never will
_PIECES = 5
_DRIP_SECONDS = 30.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: to close is to send RST
_OUTAGE_MINUTES = 4
_WRONG_JSON = (
    *("null", "[]", "[{}]", "{}", '"ok"', "7", "true", '{"ok": true}', '{"message": "Try later."}', '{"data": "?"}'),
    *('{"error": {"type": "internal_error"}}', '{"conversations": {}, "items": 0}'),
)


class Clock:
    """The time of client, server and provider: it advances by sleeping, which takes no time, and by being read.

    `skew`: how far the provider's clock is ahead.
    """

    def __init__(self, start: datetime, skew: timedelta = timedelta()) -> None:
        self.moment, self.start, self.skew = start, start, skew

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)  # two scans never begin at the same time
        return self.moment

    def monotonic(self) -> float:
        return (self.moment - self.start).total_seconds()

    def provider_now(self) -> datetime:
        return self.moment + self.skew

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        until = self.moment + timedelta(seconds=seconds)
        await anyio.lowlevel.checkpoint()
        self.moment = max(self.moment, until)


@dataclass
class Exchange:
    """One request whose reply is being sent."""

    reply: Reply
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    clock: Clock
    chance: random.Random

    async def send(self, reply: Reply) -> bool:
        """Sends it as it is; True: the connection stays open."""
        self.writer.write(reply.encoded())
        await self.writer.drain()
        return True

    async def send_head(self, share: float) -> int:
        """Sends the head and a share of the body; returns how much of the body."""
        cut = int(len(self.reply.body) * share)
        await self.send(replace(self.reply, send_only=cut))
        return cut

    async def hang(self) -> bool:
        """Says nothing until the client gives up."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read(1)
        return False

    def reset(self) -> bool:
        """Ends the connection by RST, and not in order."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client has gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return False


Fault = Callable[[Exchange], Awaitable[bool]]


async def _reset_before_head(exchange: Exchange) -> bool:
    return exchange.reset()


async def _reset_in_body(exchange: Exchange) -> bool:
    await exchange.send_head(exchange.chance.random())
    await asyncio.sleep(0.001)  # else the kernel may drop what was sent
    return exchange.reset()


async def _close_in_body(exchange: Exchange) -> bool:
    await exchange.send_head(exchange.chance.random())
    return False


async def _hang_before_head(exchange: Exchange) -> bool:
    return await exchange.hang()


async def _hang_in_body(exchange: Exchange) -> bool:
    await exchange.send_head(exchange.chance.random())
    return await exchange.hang()


async def _drip(exchange: Exchange) -> bool:
    """The good reply, in pieces."""
    body, sent = exchange.reply.body, await exchange.send_head(0)
    for piece in range(1, _PIECES + 1):
        until = len(body) * piece // _PIECES
        exchange.writer.write(body[sent:until])
        await exchange.writer.drain()
        sent = until
        await asyncio.sleep(0)
    return True


async def _drip_for_minutes(exchange: Exchange) -> bool:
    """So slow that the client's time for a whole request ends first."""
    await exchange.send_head(0)
    for byte in exchange.reply.body[:20]:
        if exchange.reader.at_eof() or exchange.writer.is_closing():
            break
        exchange.clock.advance(_DRIP_SECONDS)
        exchange.writer.write(bytes([byte]))
        with contextlib.suppress(ConnectionError):
            await exchange.writer.drain()
        await asyncio.sleep(0.0005)
    return await exchange.hang()


async def _truncated_json(exchange: Exchange) -> bool:
    body = exchange.reply.body.strip()
    return await exchange.send(replace(exchange.reply, body=body[: exchange.chance.randrange(1, len(body))]))


async def _wrong_json(exchange: Exchange) -> bool:
    return await exchange.send(replace(exchange.reply, body=exchange.chance.choice(_WRONG_JSON).encode()))


async def _no_json(exchange: Exchange) -> bool:
    body = exchange.chance.choice(
        [b"upstream connect error", b"", b"<!doctype html><p>Sign in", b"{'single': 'quotes'}"]
    )
    return await exchange.send(replace(exchange.reply, status=200, body=body))


async def _html_502(exchange: Exchange) -> bool:
    return await exchange.send(Reply(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"))


def _refusal(headers: Callable[[datetime], dict[str, str]]) -> Fault:
    """A 429; its headers are those at the provider's time."""

    async def refuse(exchange: Exchange) -> bool:
        sent = headers(exchange.clock.provider_now().replace(microsecond=0))
        date = {name: value for name, value in exchange.reply.headers.items() if name == "Date"}
        return await exchange.send(Reply(429, b'{"error": {"type": "rate_limit_exceeded"}}', headers=sent | date))

    return refuse


async def _error_500(exchange: Exchange) -> bool:
    return await exchange.send(Reply(500, b'{"error": {"type": "internal_error"}}'))


def _soon(now: datetime) -> datetime:
    return (now + timedelta(seconds=20)).astimezone(UTC)


ON_THE_SOCKET: dict[str, Fault] = {
    "reset before the header": _reset_before_head,
    "reset in the body": _reset_in_body,
    "closed in the body": _close_in_body,
    "hang before the header": _hang_before_head,
    "hang in the body": _hang_in_body,
    "slow drip": _drip,
    "drip for minutes": _drip_for_minutes,
    "truncated JSON": _truncated_json,
    "wrong JSON": _wrong_json,
    "no JSON": _no_json,
    "HTML 502": _html_502,
    "429": _refusal(lambda _: {}),
    "429, seconds": _refusal(lambda _: {"Retry-After": "20"}),
    "429, HTTP date": _refusal(lambda now: {"Retry-After": format_datetime(_soon(now), usegmt=True)}),
    "429, ISO reset": _refusal(lambda now: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": _soon(now).isoformat()}),
    "500": _error_500,
    OUTAGE: _error_500,
}
BEFORE_IT = ("connection refused", "name not resolved")
KINDS = (*BEFORE_IT, *(kind for kind in ON_THE_SOCKET if kind != OUTAGE))
HARMLESS = frozenset({"slow drip"})
"""The good reply comes all the same."""
NOT_RETRIED = frozenset({"wrong JSON", "no JSON"})
"""They end what was being read; the next question begins again at its checkpoint."""


@dataclass
class Faults:
    """Which requests are spoilt, and how.

    `share`: of all requests; 0 from `stop` on. `outage_at`: the request that begins some minutes of 500 for all.
    `applied`: how often each kind was.
    """

    seed: int
    share: float
    outage_at: int = 0
    kinds: Sequence[str] = KINDS
    sent: int = 0
    applied: Counter[str] = field(default_factory=Counter[str])
    _times: Counter[str] = field(default_factory=Counter[str])
    _outage_ends: datetime | None = None

    def stop(self) -> None:
        """From now on everything is as it should be."""
        self.share, self.outage_at, self._outage_ends = 0.0, 0, None

    @property
    def hits(self) -> int:
        """How many requests had no good reply."""
        return self.applied.total() - sum(self.applied[kind] for kind in HARMLESS)

    @property
    def allowed_again(self) -> int:
        """How many requests the policy may send in addition: each that was hit once more, and after an answer that is
        not retried the page at the checkpoint as well."""
        return self.hits + sum(self.applied[kind] for kind in NOT_RETRIED)

    def next(self, target: str, now: datetime) -> tuple[str, random.Random]:
        """What happens to this request; '': nothing."""
        self.sent += 1
        self._times[target] += 1
        chance = random.Random(f"{self.seed} {target} {self._times[target]}")
        kind = chance.choice(self.kinds) if chance.random() < self.share else ""
        if self.sent == self.outage_at:
            self._outage_ends = now + timedelta(minutes=_OUTAGE_MINUTES)
        if self._outage_ends and now < self._outage_ends:
            kind = OUTAGE
        if kind:
            self.applied[kind] += 1
        return kind, chance


class FaultProxy:
    """Serves an API of this process on a socket, with faults."""

    def __init__(self, api: LoopbackServer, faults: Faults, clock: Clock) -> None:
        self.faults = faults
        self._api, self._clock = api, clock
        self._chances: dict[str, random.Random] = {}
        self._connections: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server | None = None
        self._dead_port = self._port = 0
        self._dead: socket.socket | None = None

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://{HOST}:{self._port}"

    def route(self) -> httpx.AsyncBaseTransport:
        """The client's way to the proxy."""
        return _Route(self)

    def redirect(self, request: httpx.Request) -> None:
        """Sends a request to where its fault happens."""
        target = request.url.raw_path.decode()
        kind, chance = self.faults.next(target, self._clock.now())
        if kind == "name not resolved":
            request.url = request.url.copy_with(host=_LOST_HOST)
        elif kind == "connection refused":
            request.url = request.url.copy_with(port=self._dead_port)
        elif kind:
            mark = str(self.faults.sent)
            self._chances[mark] = chance
            request.headers[HEADER] = f"{mark} {kind}"
        if kind.startswith("hang"):
            request.extensions["timeout"]["read"] = _HANG_SECONDS

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        self._dead = socket.socket()  # bound and not listening: whoever connects is refused
        self._dead.bind(("127.0.0.1", 0))
        self._dead_port = self._dead.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._resolve = loop.getaddrinfo
        vars(loop)["getaddrinfo"] = self._getaddrinfo
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        assert self._dead
        del vars(asyncio.get_running_loop())["getaddrinfo"]
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._dead.close()

    async def _getaddrinfo(self, host: bytes | str | None, port: bytes | str | int | None, **how: int) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name == _LOST_HOST:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await self._resolve("127.0.0.1" if name == HOST else host, port, **how)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while (request := await read_request(reader)) is not None:
                mark, _, kind = request.headers.get(HEADER, "").partition(" ")
                reply = await self._api.reply_to(request)
                if self._clock.skew:
                    date = format_datetime(self._clock.provider_now().astimezone(UTC), usegmt=True)
                    reply = replace(reply, headers=reply.headers | {"Date": date})
                exchange = Exchange(reply, reader, writer, self._clock, self._chances.get(mark, random.Random(0)))
                if not await (ON_THE_SOCKET[kind](exchange) if kind else exchange.send(reply)):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the proxy ends
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


class _Route(httpx.AsyncBaseTransport):
    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._proxy.redirect(request)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()
