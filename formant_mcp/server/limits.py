"""What one member, one request and one session may use of a server that many share."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.transport_security import RequestBodyLimitMiddleware
from pydantic import JsonValue
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from formant_mcp.server.members import sender_of

_MANY_SENDERS = 1_000
_MINUTE = 60.0
_BUSY_SECONDS = 1.0  # until one of a member's running calls may have ended
_RESTART_SECONDS = 5.0
_CHECKS = frozenset({"tools/list"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits: far above what assistants need, far below what harms the others.

    Each connection takes a file, of which many systems allow a process 1,024. In the time that a session may be idle
    one member cannot open all `sessions`, because each takes a request. A stream of notifications ends after
    `stream_seconds`: whoever opens another must still be a member.
    """

    connections: int = 900
    body_bytes: int = 1_048_576
    body_seconds: float = 20.0
    header_seconds: float = 10.0
    calls_at_once: int = 8
    streams_at_once: int = 40
    stream_seconds: float = 60.0
    requests_per_minute: int = 300
    sessions: int = 5_000
    session_idle_seconds: float = 900.0


@dataclass(slots=True)
class _Usage:
    """A sender's use: how many requests may come now, and which calls are under way, each with how often it is held."""

    requests_left: float
    updated_at: float
    running: Counter[int] = field(default_factory=Counter[int])
    streams: int = 0


class Quotas:
    """Counts every sender's requests and calls. Requests of a minute may come at once, then as fast as time passes."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._usage: dict[str, _Usage] = {}

    def take_request(self, sender: str) -> float:
        """Counts a request; if it must not come yet, returns after how many seconds it may, else 0."""
        usage = self._updated(sender)
        if usage.requests_left < 1:
            return (1 - usage.requests_left) * _MINUTE / self._limits.requests_per_minute
        usage.requests_left -= 1
        return 0.0

    def start_call(self, sender: str, call: int) -> bool:
        """Counts a call that starts; False if too many of the sender's are under way."""
        usage = self._updated(sender)
        if len(usage.running) >= self._limits.calls_at_once:
            return False
        usage.running[call] += 1
        return True

    def hold_call(self, sender: str, call: int) -> None:
        """Keeps a call under way until it has ended once more: `end_call` is needed once for each hold."""
        self._updated(sender).running[call] += 1

    def end_call(self, sender: str, call: int) -> None:
        """Counts a call that has ended, or one of its holds."""
        self._usage[sender].running -= Counter([call])

    def start_stream(self, sender: str) -> bool:
        """Counts a stream that starts; False if the sender has too many."""
        usage = self._updated(sender)
        may_start = usage.streams < self._limits.streams_at_once
        usage.streams += may_start
        return may_start

    def end_stream(self, sender: str) -> None:
        """Counts a stream that has ended."""
        self._usage[sender].streams -= 1

    def _updated(self, sender: str) -> _Usage:
        now, most = self._clock(), self._limits.requests_per_minute
        if len(self._usage) >= _MANY_SENDERS:
            self._forget_idle(now)
        usage = self._usage.setdefault(sender, _Usage(most, now))
        usage.requests_left = min(most, usage.requests_left + (now - usage.updated_at) * most / _MINUTE)
        usage.updated_at = now
        return usage

    def _forget_idle(self, now: float) -> None:
        """Forgets those whose requests of a minute are all there again."""
        self._usage = {
            sender: usage
            for sender, usage in self._usage.items()
            if usage.running or usage.streams or now - usage.updated_at < _MINUTE
        }


class Gate:
    """Admits requests: within their sender's quotas, with a body that arrives in time.

    Once `is_draining` it only admits the list of tools, by which clients check the answers that they still get.
    `running` counts the requests under way, except for streams on which sessions wait for notifications; `ended_at` is
    when the last call ended, in monotonic time.
    """

    def __init__(self, limits: Limits) -> None:
        self.is_draining = False
        self.running = 0
        self.ended_at = -math.inf
        self._limits = limits
        self._quotas = Quotas(limits)

    def guard(self, app: ASGIApp, *, has_streams: bool = False) -> ASGIApp:
        """The same app for admitted requests alone. `has_streams`: a GET opens a stream of notifications."""
        any_call, checks = (
            RequestBodyLimitMiddleware(partial(self._call, app, methods), self._limits.body_bytes)
            for methods in (None, _CHECKS)
        )

        async def admit(scope: Scope, receive: Receive, send: Send) -> None:
            is_draining = self.is_draining
            if is_draining and not (has_streams and scope["method"] == "POST"):
                await _stopping()(scope, receive, send)
            elif wait_seconds := self._quotas.take_request(sender_of(scope)):
                await _too_many(wait_seconds)(scope, receive, send)
            elif has_streams and scope["method"] == "GET":
                await self._stream(app, scope, receive, send)
            else:
                await self._run(checks if is_draining else any_call, scope, receive, send)

        return admit

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = _TimedBody(receive, self._limits.body_seconds)
        self.running += 1
        try:
            await app(scope, body.receive, send)
        except TimeoutError:
            if body.has_arrived:
                raise
            late = PlainTextResponse("The body took too long.", HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"})
            await late(scope, receive, send)
        finally:
            self.running -= 1

    async def count_to_its_end(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware of the SDK's server: a session's call counts while it runs, even if its client has hung up."""
        if ctx.request is None or ctx.request_id is None:
            return await call_next(ctx)
        sender, call = sender_of(ctx.request.scope), id(ctx.request.scope)
        self._quotas.hold_call(sender, call)
        try:
            return await call_next(ctx)
        finally:
            self._quotas.end_call(sender, call)

    async def _stream(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        sender = sender_of(scope)
        if not self._quotas.start_stream(sender):
            await _too_many(_BUSY_SECONDS)(scope, receive, send)
            return
        try:
            await self._open_stream(app, scope, receive, send)
        finally:
            self._quotas.end_stream(sender)

    async def _open_stream(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = False

        async def watched_send(message: Message) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stream_seconds):
                await app(scope, receive, watched_send)
        if is_open:
            # The SDK's stream ends without a last message, also when the server stops; uvicorn would log an error.
            await send({"type": "http.response.body", "body": b""})

    async def _call(
        self, app: ASGIApp, methods: frozenset[str] | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answers one message; with `methods`, only a request of one of these."""
        sender, first = sender_of(scope), await receive()  # with the whole body: RequestBodyLimitMiddleware has read it
        messages = [first]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        message = _message_in(first.get("body", b""))
        if methods is not None and str(message.get("method")) not in methods:
            await _stopping()(scope, replay, send)
        elif message and "id" not in message:  # such as one that cancels a call: no matter how many are running
            await app(scope, replay, send)
        elif self._quotas.start_call(sender, id(scope)):
            try:
                await app(scope, replay, send)
            finally:
                self._quotas.end_call(sender, id(scope))
                if methods is None:
                    self.ended_at = time.monotonic()
        else:
            await _too_many(_BUSY_SECONDS)(scope, receive, send)


def _message_in(body: bytes) -> Mapping[str, JsonValue]:
    """The message of a body; an empty one where it has none, or several."""
    try:
        message: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


class _TimedBody:
    """A request's messages; reading them raises TimeoutError if the whole body does not arrive within `seconds`."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self.has_arrived = False
        self._receive = receive
        self._until = asyncio.get_running_loop().time() + seconds

    async def receive(self) -> Message:
        """The next message."""
        async with asyncio.timeout_at(None if self.has_arrived else self._until):
            message = await self._receive()
        self.has_arrived = not message.get("more_body", False)
        return message


def _stopping() -> PlainTextResponse:
    return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.", _RESTART_SECONDS)


def _too_many(wait_seconds: float) -> PlainTextResponse:
    return _refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many calls; retry later.", wait_seconds)


def _refusal(status: HTTPStatus, text: str, wait_seconds: float) -> PlainTextResponse:
    return PlainTextResponse(text, status, {"Retry-After": str(math.ceil(wait_seconds))})


def timed_protocol(seconds: float) -> type[H11Protocol]:
    """uvicorn's HTTP, which closes a connection when a request's headers take longer than that to arrive.

    So does the rest of a body that was answered early, as without a token: uvicorn would read it for ever.
    """

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Starts to wait for the first request."""
            super().connection_made(transport)
            self._set_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            """Ends waiting."""
            self._stop_timer()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            """Waits for headers, or the rest of a body, except while a request is under way."""
            super().handle_events()
            if self.conn.their_state is h11.IDLE or (self.cycle and self.cycle.response_complete):
                self._set_timer()
            else:
                self._stop_timer()

        def _set_timer(self) -> None:
            self._timer = self._timer or self.loop.call_later(seconds, self.transport.close)

        def _stop_timer(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

    return TimedProtocol
