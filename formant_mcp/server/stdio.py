"""Serves on stdin and stdout: each line is a message, and every request gets an answer.

The SDK's own transport drops lines that it cannot parse, so that their senders wait forever; it writes messages of any
size; and it ends while requests are unanswered. So this one reads and writes the lines itself, in daemon threads: a
thread that waits for a client cannot be interrupted, and a daemon thread need not be joined at the end.
"""

import asyncio
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types.jsonrpc import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from formant_mcp.server.jsonrpc import Malformed, line_of, message_of

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from formant_mcp.app import LazyApp

_STEP_SECONDS = 0.01
_MARGIN_SECONDS = 5.0  # in addition to a call's time: for the imports of the first call, and for writing
_LAST_SECONDS = 0.5  # for the last messages, if a client still reads
_FORCE_SECONDS = 1.5  # clients wait 2 s before they kill
_CHUNK = 65_536
_LINE_END = re.compile(rb"[\r\n]")


def serve(server: "Server[LazyApp]", call_seconds: float) -> None:
    """Serves until the input ends, a signal arrives or the output is closed.

    After the end of the input, requests in progress still get their answers; a call takes `call_seconds` at most.
    """
    if sys.stdin and sys.stdout:  # None if the host closed it: there is no client
        asyncio.run(_serve(server, call_seconds))


async def _serve(server: "Server[LazyApp]", call_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    scope = anyio.CancelScope()

    def stop() -> None:
        scope.cancel()
        # Exit even if a client does not read or work cannot be cancelled.
        loop.call_later(_FORCE_SECONDS, os._exit, 0)

    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, stop)
    pipe = _Pipe(loop, stop, call_seconds + _MARGIN_SECONDS)
    pipe.start(0, _take_stdout())
    with scope:
        await server.run(pipe, pipe, server.create_initialization_options())
    await pipe.flush()


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: Callable[[], None]) -> None:
    if sys.platform == "win32":
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        loop.add_signal_handler(number, stop)


def _take_stdout() -> int:
    """A descriptor of stdout for messages. All other output goes to stderr from now on, not between the messages."""
    os.open(os.devnull, os.O_WRONLY)  # becomes stderr if the host closed that, else the message descriptor would
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


class _Pipe:
    """Both streams of the SDK's server over two file descriptors; counts the unanswered requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None], patience: float) -> None:
        self._loop = loop
        self._stop = stop
        self._patience = patience
        self._read: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._to_write: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._unanswered = 0
        self._put = 0
        self._written = 0

    def start(self, stdin: int, stdout: int) -> None:
        """Starts to read and write."""
        for work, descriptor in ((self._read_lines, stdin), (self._write_lines, stdout)):
            if sys.platform != "win32":
                os.set_blocking(descriptor, True)  # some hosts hand over pipes that do not block
            threading.Thread(target=work, args=(descriptor,), daemon=True).start()

    async def flush(self) -> None:
        """Waits briefly until everything is written."""
        until = self._loop.time() + _LAST_SECONDS
        while self._written < self._put and self._loop.time() < until:
            await asyncio.sleep(_STEP_SECONDS)

    # What the SDK reads from.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        while (line := await self._read.get()) is not None:
            try:
                message = message_of(line)
            except Malformed as error:
                self._write(error.answer())
                continue
            if isinstance(message, JSONRPCRequest):
                self._unanswered += 1
                return SessionMessage(message, ServerMessageMetadata(on_request_unanswered=self._cancelled))
            if message is not None:
                return SessionMessage(message)
        self._read.put_nowait(None)  # for the next read: the SDK reads again if nothing was requested
        await self._answer_the_rest()
        raise StopAsyncIteration

    async def receive(self) -> SessionMessage:
        """The next message."""
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    # What the SDK writes to.

    async def send(self, item: SessionMessage, /) -> None:
        """Sends a message, or an error if it cannot be sent; never waits for the client."""
        self._write(line_of(item.message))
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._unanswered -= 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        return None

    async def aclose(self) -> None:
        """Does nothing: the descriptors belong to the process, and threads may still wait on them."""

    async def _cancelled(self) -> None:
        self._unanswered -= 1

    async def _answer_the_rest(self) -> None:
        """Waits until every request is answered and every answer written, as long as there is progress."""
        written, until = -1, 0.0
        while self._unanswered or self._written < self._put:
            if self._written > written:
                written, until = self._written, self._loop.time() + self._patience
            elif self._loop.time() > until:
                self._stop()
            await asyncio.sleep(_STEP_SECONDS)

    def _write(self, line: bytes) -> None:
        self._put += 1
        self._to_write.put(line)

    # What the threads do.

    def _read_lines(self, descriptor: int) -> None:
        for line in _lines(descriptor):
            self._call(self._read.put_nowait, line)
        self._call(self._read.put_nowait, None)

    def _write_lines(self, descriptor: int) -> None:
        while True:
            rest = memoryview(self._to_write.get())
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:  # the client closed its end
                self._call(self._stop)
            self._written += 1

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


def _lines(descriptor: int) -> Iterator[bytes]:
    """The input by lines. JSON text on one line has no line feed or carriage return, so either ends a line."""
    rest = bytearray()
    while chunk := _chunk(descriptor):
        first, *others = _LINE_END.split(chunk)
        rest += first
        for other in others:
            yield bytes(rest)
            rest = bytearray(other)
    yield bytes(rest)


def _chunk(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""
