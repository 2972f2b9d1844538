"""A server for tests that can fail in every way: over a real socket, or in process below httpx.

It is independent of any provider: a subclass answers each request with a `Reply`, and this sends it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import anyio.lowlevel
import httpx

from formant_mcp.demo.apis.api import Request as Request
from formant_mcp.demo.apis.api import Response

_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send. `send_only`: so many bytes of the body, then hang up. `hang_up`: before the first byte."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay_seconds: float = 0
    send_only: int | None = None
    hang_up: bool = False

    @classmethod
    def of(cls, response: Response) -> Self:
        """The reply that sends an API's response as it is."""
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body.pieces)
        return cls(response.status, body, response.media_type, response.headers)

    def all_headers(self) -> dict[str, str]:
        """The headers as they are sent."""
        return {"Content-Type": self.media_type, "Content-Length": str(len(self.body))} | self.headers

    def encoded(self) -> bytes:
        """Head and body as they go over the wire."""
        headers = self.all_headers()
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body[: self.send_only]


class Gate:
    """Holds answers while shut. Open at first; usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Future[None] = Future()
        self._opened.set_result(None)

    def shut(self) -> None:
        """Holds all answers from now on, also those in preparation."""
        with self._lock:
            if self._opened.done():
                self._opened = Future()

    def open(self) -> None:
        """Releases the held answers."""
        with self._lock:
            if not self._opened.done():
                self._opened.set_result(None)

    async def passed(self) -> None:
        """Returns once the gate is open."""
        # shield: a client that hangs up must not cancel the future that the others wait on.
        await asyncio.shield(asyncio.wrap_future(self._opened))


class LoopbackServer:
    """Serves `answer`; `gate` holds all answers while shut.

    On 127.0.0.1, on a port that the system chooses, in the running event loop (`async with Server() as api:`) or in a
    thread of its own, for clients that are child processes (`with Server.in_thread() as api:`). Or in process, for
    clients that are given `transport()`.
    """

    def __init__(self) -> None:
        super().__init__()  # the API that this is mixed with
        self.url = self.origin = "http://127.0.0.1"  # in process; gets a port when it is served
        self.gate = Gate()
        self.requests: list[Request] = []
        self._awaited: list[tuple[int, Future[None]]] = []
        self._connections: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server | None = None

    def answer(self, request: Request) -> Reply:
        """The reply to a request; called in the server's loop."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forgets the requests recorded so far."""
        self.requests.clear()

    def received(self, count: int) -> Future[None]:
        """Done once `count` requests are recorded: `.result(seconds)`, or `await asyncio.wrap_future(...)`."""
        future: Future[None] = Future()
        self._awaited.append((count, future))
        self._resolve_awaited()
        return future

    def transport(self) -> httpx.AsyncBaseTransport:
        """Answers requests to this server in process; requests to other hosts go over a socket."""
        return _InProcess(self)

    async def reply_to(self, request: Request) -> Reply:
        """The reply, once it may be sent."""
        self.requests.append(request)
        reply = self.answer(request)
        self._resolve_awaited()
        if reply.delay_seconds:
            await asyncio.sleep(reply.delay_seconds)
        await self.gate.passed()
        return reply

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self.url = self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self.gate.open()  # while there is a loop to resolve the waiting futures

    @classmethod
    @contextmanager
    def in_thread(cls) -> Generator[Self]:
        """Serves from a background thread until the block ends."""
        with _loop_in_thread() as run:
            server = cls()
            run(server.__aenter__())
            try:
                yield server
            finally:
                run(server.__aexit__())

    def _resolve_awaited(self) -> None:
        for count, future in self._awaited:
            if len(self.requests) >= count and not future.done():
                future.set_result(None)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while (request := await read_request(reader)) and await self._send(writer, request):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, as many tests do on purpose, or the server ends
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter, request: Request) -> bool:
        """Answers; True where the connection stays open."""
        reply = await self.reply_to(request)
        if reply.hang_up:
            return False
        writer.write(reply.encoded())
        await writer.drain()
        return reply.send_only is None and request.headers.get("connection", "").lower() != "close"


class _InProcess(httpx.AsyncBaseTransport):
    """A server without a socket: gives or raises what httpx's own transport would for its replies."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._elsewhere: httpx.AsyncHTTPTransport | None = None  # few tests need one, and it reads all certificates

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One answer to one request."""
        if not str(request.url).startswith(f"{self._server.origin}/"):
            self._elsewhere = self._elsewhere or httpx.AsyncHTTPTransport()
            return await self._elsewhere.handle_async_request(request)
        received = Request(request.method, request.url.raw_path.decode(), dict(request.headers))
        with anyio.move_on_after(request.extensions.get("timeout", {}).get("read")):
            reply = await self._server.reply_to(received)
            if reply.hang_up:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            return httpx.Response(reply.status, headers=reply.all_headers(), stream=_Sent(reply))
        raise httpx.ReadTimeout("The read operation timed out")

    async def aclose(self) -> None:
        """Closes connections to other hosts."""
        if self._elsewhere:
            await self._elsewhere.aclose()


class _Sent(httpx.AsyncByteStream):
    """A reply's body in pieces; raises at the end if only a part is sent."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = memoryview(self._reply.body)[: self._reply.send_only]
        for begin in range(0, len(body), _PIECE_BYTES):
            await anyio.lowlevel.checkpoint()
            yield bytes(body[begin : begin + _PIECE_BYTES])
        if self._reply.send_only is not None:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None if it has ended."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return None
    return Request(method, target, headers)


@contextmanager
def _loop_in_thread() -> Generator[Callable[[Coroutine[Any, Any, object]], object]]:
    """An event loop in a thread; gives a function that runs a coroutine there and waits for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-server")
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
