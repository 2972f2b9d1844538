"""Serves a team over HTTP: MCP at `/mcp`, files at `/files`, and addresses that say how the server is."""

import asyncio
import errno
import ipaddress
import json
import os
import re
import socket
import time
from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from formant_mcp.app import LazyApp
from formant_mcp.errors import ConfigurationError, FormantError, InvalidRequestError
from formant_mcp.server.access import Access
from formant_mcp.server.audit import RefusalsLog, audit
from formant_mcp.server.downloads import FILES_PATH, Downloads
from formant_mcp.server.jsonrpc import Malformed, message_of
from formant_mcp.server.limits import Gate, Limits, timed_protocol

if TYPE_CHECKING:
    from formant_mcp.server.metrics import Metrics

MCP_PATH = "/mcp"
MCP_PATHS = (MCP_PATH, f"{MCP_PATH}/")
"""Where MCP is served: people write its address in both ways."""
METRICS_PATH = "/metrics"
_MARGIN_SECONDS = 5.0  # in addition to a call's time: for the imports of the first call, and for writing
_CHECK_SECONDS = 1.0  # after the last call, for clients that list the tools to check its answer
_LAST_SECONDS = 2  # for streams that no call is answered on, after the last call was
_READY_SECONDS = 10.0  # to open the account
_SIGNALLED = 128  # added to a signal's number: the exit status of a program that it ended
_NOT_ITS_NAME = "The server does not answer for this Host, or Origin. Where it runs, FORMANT_HTTP_HOSTS has its names."
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):[0-9]{1,5}")


def check_access(host: str, hosts: Sequence[str] = (), *, has_members: bool) -> None:
    """Refuses to serve other machines without access control: directly, or by a proxy that answers for `hosts`.

    Raises:
        ConfigurationError: anybody who can connect there could read every call.
    """
    if has_members:
        return
    hint = "Give each member a token by `formant-mcp token add NAME`, or set FORMANT_HTTP_ISSUER."
    if not is_loopback(host):
        raise ConfigurationError(
            f"Without access control the server listens only on this machine, not on {host}.", hint
        )
    for name in hosts:
        if not is_loopback(_without_port(name)):
            raise ConfigurationError(
                f"Without access control the server answers only this machine, not for {name} (FORMANT_HTTP_HOSTS).",
                hint,
            )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; on any free port for 0.

    Raises:
        InvalidRequestError: the host is not of this machine. ConfigurationError: another reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host.encode("idna")  # create_server leaves a socket open where the name cannot be one
        listener = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        code = (error.errno if isinstance(error, OSError) else None) or -1  # negative: no address of it is known
        if code < 0 or code == errno.EADDRNOTAVAIL:
            raise InvalidRequestError(
                f"--host: {host} is not an address of this machine.",
                "Use one that it has, for example 127.0.0.1, or 0.0.0.0 for all of them.",
            ) from None
        reason = os.strerror(code).lower()
        raise ConfigurationError(
            f"The server cannot listen on {host}, port {port}: {reason}.", "Choose others with --host and --port."
        ) from None
    # Connections inherit it. Without it, an answer's body waits until the client has acknowledged the headers: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def http_server(
    server: Server[LazyApp],
    lazy_app: LazyApp,
    listener: socket.socket,
    call_seconds: float,
    *,
    access: Access | None = None,
    hosts: Sequence[str] = (),
    limits: Limits | None = None,
    metrics: "Metrics | None" = None,
) -> "DrainingServer":
    """The HTTP server; its `serve([listener])` serves until a signal arrives.

    `access` lets members alone in; `hosts` are further names that clients may use; `metrics` are served, if any.
    """
    limits = limits or Limits()
    gate = Gate(limits)
    host, port = listener.getsockname()[:2]
    names = frozenset({*_LOOPBACK, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", *hosts})
    config = uvicorn.Config(
        _build_app(server, lazy_app, gate, limits, names, access, metrics),
        http=timed_protocol(limits.header_seconds),
        limit_concurrency=limits.connections,
        ws="none",
        log_config=None,
        access_log=False,  # addresses of files are secrets
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    return DrainingServer(config, gate, call_seconds + _MARGIN_SECONDS)


class DrainingServer(uvicorn.Server):
    """Ends in two steps: from the first signal on no new call is admitted, and after the last answer it exits."""

    def __init__(self, config: uvicorn.Config, gate: Gate, patience: float) -> None:
        super().__init__(config)
        self.gate = gate
        self.patience = patience
        self._until = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts to drain; the second time ends the process."""
        if self.gate.is_draining:
            os._exit(_SIGNALLED + sig)
        self.drain()

    def drain(self) -> None:
        """Admits no more calls, and exits when those under way are answered."""
        self.gate.is_draining = True
        self._until = time.monotonic() + self.patience

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to exit."""
        if self.gate.is_draining and (self._is_done() or time.monotonic() > self._until):
            self.should_exit = True
        return await super().on_tick(counter)

    def _is_done(self) -> bool:
        """Whether all are answered, and clients have had the time to check the last answer by the list of tools."""
        return not self.gate.running and time.monotonic() > self.gate.ended_at + _CHECK_SECONDS


def _build_app(
    server: Server[LazyApp],
    lazy_app: LazyApp,
    gate: Gate,
    limits: Limits,
    names: Set[str],
    access: Access | None,
    metrics: "Metrics | None",
) -> Starlette:
    """The addresses, each with what is checked there."""
    server.middleware[:0] = [gate.count_to_its_end, partial(audit, metrics.count_call if metrics else None)]
    manager = _Manager(
        server,
        session_idle_timeout=limits.session_idle_seconds,
        max_request_body_size=limits.body_bytes,
        max_sessions=limits.sessions,
    )
    downloads = Downloads()

    async def mcp(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["publish"] = partial(downloads.publish, Request(scope))
        await _with_messages_alone(manager.handle_request, scope, receive, send)

    guards = _Guards(gate, names, access, metrics)
    at_mcp = guards.with_limits(mcp, "request", has_streams=True)
    at_files = guards.with_limits(request_response(downloads.download), "download")
    routes = [
        Route("/healthz", _healthz),
        Route("/readyz", partial(_readyz, lazy_app, gate)),
        *(Route(path, at_mcp) for path in MCP_PATHS),
        Route(f"{FILES_PATH}/{{secret}}", at_files, methods=["GET"]),
        *(access.routes() if access else ()),
    ]
    if metrics:
        metrics.watch(lambda: gate.running, manager.session_count)
        at_metrics = guards.for_members(request_response(metrics.respond), "metrics")
        routes.append(Route(METRICS_PATH, at_metrics, methods=["GET"]))
    app = Starlette(routes=routes, middleware=[Middleware(_OneLength)], lifespan=partial(_running, manager, downloads))
    app.router.redirect_slashes = False  # the address in a redirect would be whatever name the request gives
    app.state.manager = manager  # for tests
    return app


@asynccontextmanager
async def _running(manager: StreamableHTTPSessionManager, downloads: Downloads, _: Starlette) -> AsyncGenerator[None]:
    with closing(downloads):  # last: until then a call may publish a file
        async with manager.run():
            yield


@dataclass(frozen=True, slots=True)
class _Guards:
    """What is checked before an app gets a request: host, token and limits, in this order. Refusals are noted.

    `names`: those that the server answers for. `call`: what the log names a refused request.
    """

    gate: Gate
    names: Set[str]
    access: Access | None
    metrics: "Metrics | None"

    def with_limits(self, app: ASGIApp, call: str, *, has_streams: bool = False) -> ASGIApp:
        """The same app for members, within their limits. `has_streams`: as in `Gate.guard`."""
        return self.for_members(self.gate.guard(app, has_streams=has_streams), call)

    def for_members(self, app: ASGIApp, call: str) -> ASGIApp:
        """The same app for members, without limits."""
        checked = _HostCheck(self.names, self.access.guard(app) if self.access else app)
        logged = RefusalsLog(checked, call)
        return self.metrics.counting_refusals(logged) if self.metrics else logged


async def _with_messages_alone(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a body that is not a message as stdio answers such a line: the SDK's errors lack the id, and quote it."""
    if scope["method"] != "POST":
        await app(scope, receive, send)
        return
    try:
        body = await Request(scope, receive).body()
        message = message_of(body, "in a request of its own")
    except ClientDisconnect:
        return
    except Malformed as error:
        await Response(error.answer(), HTTPStatus.BAD_REQUEST, media_type="application/json")(scope, receive, send)
        return
    if message is None:  # nothing, or a response, though the server sends no requests
        await Response(status_code=HTTPStatus.ACCEPTED)(scope, receive, send)
        return
    as_understood = json.dumps(message.model_dump(by_alias=True, exclude_unset=True)).encode()
    messages: list[Message] = [{"type": "http.request", "body": as_understood}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    await app(scope, replay, send)


class _Manager(StreamableHTTPSessionManager):
    """The SDK's, which also says how many sessions are open."""

    def session_count(self) -> int:
        """How many sessions are open."""
        return len(self._server_instances)


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("alive")


async def _readyz(lazy_app: LazyApp, gate: Gate, _: Request) -> Response:
    if gate.is_draining:
        return PlainTextResponse("stopping", 503)
    try:
        async with asyncio.timeout(_READY_SECONDS):
            app = await lazy_app.app()
            await app.account.duration_seconds("any id: the store must answer, whatever it is")
    except (FormantError, TimeoutError):
        return PlainTextResponse("the account cannot be opened", 503)
    return PlainTextResponse("ready")


class _OneLength:
    """Refuses a body with two lengths, and closes its connection (RFC 9112, 6.1): a proxy may take the other one, and
    for a request of its own what is the body here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and {"content-length", "transfer-encoding"} <= {*Headers(scope=scope)}:
            refusal = PlainTextResponse(
                "Send Content-Length or Transfer-Encoding, not both.", HTTPStatus.BAD_REQUEST, {"Connection": "close"}
            )
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _HostCheck:
    """Refuses requests that a web page sent from a browser, even if its name resolves to this server.

    Not the SDK's: that is particular about the case of names, but takes anything after their colon for a port.
    """

    def __init__(self, names: Set[str], app: ASGIApp) -> None:
        self._names = names
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not self._has(headers.get("host", "")):
            await PlainTextResponse(_NOT_ITS_NAME, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, send)
        elif not all(map(self._is_own, filter(None, headers.getlist("origin")))):
            await PlainTextResponse(_NOT_ITS_NAME, HTTPStatus.FORBIDDEN)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return scheme.lower() in ("http", "https") and self._has(host)

    def _has(self, host: str) -> bool:
        """Whether it is one of the names; at any port, if the name has none."""
        host = host.lower()
        with_port = _WITH_PORT.fullmatch(host)
        return host in self._names or bool(with_port and with_port[1] in self._names)


def _without_port(name: str) -> str:
    with suppress(ValueError):
        return urlsplit(f"//{name}").hostname or ""
    return name


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
