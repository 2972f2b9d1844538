"""Serving on stdin and stdout: a line is a message, and every request gets an answer.

The SDK's own transport drops lines that it cannot read, so that their senders wait for ever; it writes messages of any
size; and it ends with questions unanswered. So this one reads and writes the lines itself. Daemon threads do it: a
thread that waits for a client cannot be interrupted, and nobody has to wait for it at the end.
"""

import asyncio
import json
import math
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
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from mcp_types.jsonrpc import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from pydantic import JsonValue

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from formant_mcp.app import Opener

# The TypeScript SDK, and so most assistants, ends the connection at 10 MiB, counted with the piece it reads last.
MOST_BYTES = 9_961_472
_TOO_LARGE = (
    "The answer is larger than the 9.5 MiB that a message may have. Save a recording as a file with save_recording; "
    "read a long transcript in parts with get_transcripts (from_turn, max_turns)."
)
_UNWRITABLE = (
    "The answer could not be written as JSON. Ask for something else, and report this as a fault of formant-mcp."
)
_MOST_ID = 1_000  # characters; an id is sent back as it came
_MOST_DIGITS = 1_000  # Python reads longer integers slowly, or not at all
_STEP_SECONDS = 0.01
_MARGIN_SECONDS = 5.0  # beyond what a call may take: for the imports of the first call, and for writing
_LAST_SECONDS = 0.2  # for what is said at the end, where a client still reads
_FORCE_SECONDS = 0.4
_CHUNK = 65_536
_LINE_END = re.compile(rb"[\r\n]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def serve(server: "Server[Opener]", call_seconds: float) -> None:
    """Serves until the input ends, a signal comes or nobody can read the output any more.

    After the end of the input, requests under way still get their answers; a call takes `call_seconds` at most.
    """
    asyncio.run(_serve(server, call_seconds))


async def _serve(server: "Server[Opener]", call_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    scope = anyio.CancelScope()

    def stop() -> None:
        scope.cancel()
        # Neither a client that does not read nor work that cannot be cancelled must keep us.
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
    """The client's end of stdout. What anything else prints from now on goes to stderr, not between the messages."""
    os.open(os.devnull, os.O_WRONLY)  # becomes stderr where the host closed that, else the client's end would
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


class _Pipe:
    """Both streams of the SDK's server, over two file descriptors, and how many requests have no answer yet."""

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
        """Waits a moment until everything is written."""
        until = self._loop.time() + _LAST_SECONDS
        while self._written < self._put and self._loop.time() < until:
            await asyncio.sleep(_STEP_SECONDS)

    # What the SDK reads from.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        while (line := await self._read.get()) is not None:
            try:
                message = _message(line)
            except _Malformed as error:
                self._write(error.answer())
                continue
            if isinstance(message, JSONRPCRequest):
                self._unanswered += 1
                return SessionMessage(message, ServerMessageMetadata(on_request_unanswered=self._cancelled))
            if message is not None:
                return SessionMessage(message)
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
        """Sends a message, or an error where it cannot be sent; never waits for the client."""
        self._write(_line(item.message))
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._unanswered -= 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        return None

    async def aclose(self) -> None:
        """Nothing: the descriptors are the process's own, and threads may still wait on them."""

    async def _cancelled(self) -> None:
        self._unanswered -= 1

    async def _answer_the_rest(self) -> None:
        """Waits while a request has no answer or an answer is not written, as long as something comes of it."""
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
    """What comes in, by line. No JSON text of one line holds a line feed or a carriage return: either ends one."""
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


class _Malformed(Exception):
    """A line that is no message, and how JSON-RPC answers it: with the request's id where that can be read."""

    def __init__(self, code: int, message: str, request_id: JsonValue = None) -> None:
        super().__init__(message)
        self._answer: JsonValue = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}

    def answer(self) -> bytes:
        """The line to send back."""
        return _encoded(self._answer)


def _message(line: bytes) -> JSONRPCRequest | JSONRPCNotification | None:
    """The message of a line; None where there is nothing to do: a blank line, or a response, as nothing was requested.

    Raises:
        _Malformed: it is neither.
    """
    text = line.decode(errors="replace").strip("\ufeff").strip()
    if not text:
        return None
    content = _parsed(text)
    if isinstance(content, list):
        raise _Malformed(INVALID_REQUEST, "Batches are not supported: send each message on a line of its own.")
    if not isinstance(content, dict):
        raise _Malformed(INVALID_REQUEST, "A message is a JSON object.")
    if "method" not in content and ("result" in content or "error" in content):
        return None
    return _request_or_notification(content)


def _request_or_notification(content: dict[str, JsonValue]) -> JSONRPCRequest | JSONRPCNotification | None:
    request_id, params, method = _id(content.get("id")), content.get("params"), content.get("method")
    if content.get("jsonrpc") != "2.0":
        raise _Malformed(INVALID_REQUEST, 'jsonrpc: write "2.0".', request_id)
    if not isinstance(method, str):
        raise _Malformed(INVALID_REQUEST, "method: write its name, as text.", request_id)
    if "id" in content and (request_id is None or isinstance(request_id, float)):
        raise _Malformed(INVALID_REQUEST, f"id: write an integer or at most {_MOST_ID:,} characters.", request_id)
    if isinstance(params, list):  # JSON-RPC has them, MCP does not
        if request_id is None:
            return None
        raise _Malformed(INVALID_PARAMS, "params: write an object, names with values.", request_id)
    if params is not None and not isinstance(params, dict):
        raise _Malformed(INVALID_REQUEST, "params: write an object, names with values.", request_id)
    if request_id is None or isinstance(request_id, float):
        return JSONRPCNotification(jsonrpc="2.0", method=method, params=params)
    return JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=params)


def _id(value: JsonValue) -> int | float | str | None:
    """An id that can be sent back, an integer as one (2.0 is 2); None where it cannot."""
    if isinstance(value, str):
        return value if len(value) <= _MOST_ID else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parsed(text: str) -> JsonValue:
    """The JSON value. Half of a character of two halves, as where a text was cut, becomes the replacement character."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_integer)
        if _SURROGATE_ESCAPE.search(text):
            value = json.loads(_LONE_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except ValueError:
        raise _Malformed(
            PARSE_ERROR, "The line is not one JSON text. Send each message on a line of its own."
        ) from None
    except RecursionError:
        raise _Malformed(PARSE_ERROR, "The JSON text is nested too deeply.") from None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _line(message: JSONRPCMessage) -> bytes:
    """The line of a message; an error instead of a response that cannot be sent, nothing instead of a notification."""
    code, problem = INTERNAL_ERROR, _TOO_LARGE
    try:
        line = _encoded(message.model_dump(by_alias=True, exclude_unset=True))
        if len(line) <= MOST_BYTES:
            return line
    except (ValueError, RecursionError):
        problem = _UNWRITABLE
    if isinstance(message, JSONRPCError):  # its data repeat what the client sent
        code, problem = message.error.code, message.error.message[:_MOST_ID]
    if isinstance(message, JSONRPCResponse | JSONRPCError):
        return _Malformed(code, problem, message.id).answer()
    return b""


def _encoded(content: JsonValue) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"
