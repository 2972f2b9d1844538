"""The server over HTTP: in a thread of this process, over an account that a test controls, or as a child process.

with in_thread(account) as server:
    async with server.connect("auto") as assistant:
        answer = await assistant.ask("list_conversations", limit=3)
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
from httpx2 import AsyncClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.lowlevel import Server
from pydantic import JsonValue

from formant_mcp.app import App, LazyApp
from formant_mcp.members import Member
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.access import Access, Verifier
from formant_mcp.server.http import DrainingServer, http_server, listen
from formant_mcp.server.instructions import instructions
from formant_mcp.server.issuer import Issuer
from formant_mcp.server.limits import Limits
from formant_mcp.server.mcp_server import build_server
from formant_mcp.server.members import MemberToken
from formant_mcp.server.metrics import Metrics
from tests.fake_issuer import AUDIENCE, FakeIssuer
from tests.server_harness import Account, Assistant
from tests.stdio_process import INITIALIZE, MOST_SECONDS, Process, running

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
PING: dict[str, JsonValue] = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
NEWEST = "2026-07-28"


class Tokens:
    """A verifier with one token for each of its `members`: `<name>-token`."""

    def __init__(self, *names: str) -> None:
        self.members = {f"{name}-token": Member(name) for name in names}

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token with its member; None if nobody has it."""
        member = self.members.get(token)
        return member and MemberToken(token=token, client_id=member.name, scopes=[], member=member)


class Logins(Tokens):
    """A verifier of the tokens of members, and of logins at an issuer."""

    def __init__(self, issuer: FakeIssuer, *names: str) -> None:
        super().__init__(*names)
        self._issuer = Verifier(self._no_account, Issuer(issuer.url, AUDIENCE))

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token with its member, or the login."""
        return await super().verify_token(token) or await self._issuer.verify_token(token)

    async def _no_account(self) -> App:
        raise NotImplementedError  # the tokens are not in a store


def bearing(name: str) -> dict[str, str]:
    """The header with a member's token."""
    return {"Authorization": f"Bearer {name}-token"}


def with_login(issuer: FakeIssuer, name: str, **claims: str | None) -> dict[str, str]:
    """The header of a login with that name."""
    return {"Authorization": f"Bearer {issuer.token(preferred_username=name, **claims)}"}


@dataclass(frozen=True)
class HttpServer:
    """A server that runs in a thread."""

    url: str
    server: Server[LazyApp]
    http: DrainingServer
    thread: Thread

    @asynccontextmanager
    async def connect(self, mode: str, **headers: str) -> AsyncGenerator[Assistant]:
        """An assistant of that era, with these headers."""
        async with (
            AsyncClient(headers=headers, timeout=MOST_SECONDS) as connection,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=connection), mode=mode) as client,
        ):
            yield Assistant(client)

    def sessions(self) -> int:
        """How many sessions are open."""
        return self.http.config.app.state.manager.session_count()  # pyright: ignore


@contextmanager
def in_thread(
    account: Account,
    *,
    verifier: TokenVerifier | None = None,
    limits: Limits | None = None,
    hosts: Sequence[str] = (),
    metrics: Metrics | None = None,
    is_sample: bool = False,
    **overrides: str | float,
) -> Generator[HttpServer]:
    """The server over an account, or over the sample account; with a verifier, access control."""
    settings = account.settings(overrides, is_sample=is_sample)
    lazy_app = LazyApp(account.opening_sample(settings) if is_sample else account.opening(settings))
    words = PROVIDERS[settings.provider]
    server = build_server(lazy_app, instructions(settings, words), words)
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        access = Access(verifier, f"{url}/mcp") if verifier else None
        http = http_server(
            server,
            lazy_app,
            listener,
            settings.call_seconds,
            access=access,
            hosts=hosts,
            limits=limits,
            metrics=metrics,
        )
        thread = Thread(target=lambda: asyncio.run(http.serve([listener])))
        thread.start()
        try:
            yield HttpServer(url, server, http, thread)
        finally:
            http.should_exit = True
            thread.join(MOST_SECONDS)
            assert not thread.is_alive()


@contextmanager
def in_child(folder: Path, *arguments: str, **variables: str) -> Generator[tuple[Process, str]]:
    """`formant-mcp serve` on any free port, and its address; killed if a test leaves it running."""
    with running(folder, Path.cwd(), "serve", "--port", "0", *arguments, **variables) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.close()
        line = process.stdout.readline().decode()
        address = re.search(r"MCP at (http://\S+?)/mcp\b", line)
        assert address, process.stderr.read()
        yield process, address[1]


def initialize(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Opens a session, as clients of older eras do."""
    return httpx.post(f"{url}/mcp", json=INITIALIZE, headers=ACCEPT | (headers or {}), timeout=MOST_SECONDS)


def session_of(opened: httpx.Response) -> dict[str, str]:
    """The headers of a session's further requests."""
    return ACCEPT | {"Mcp-Session-Id": opened.headers["mcp-session-id"]}


def posted(method: str, **params: JsonValue) -> dict[str, JsonValue]:
    """The JSON of a request of the newest era, which needs no session."""
    meta: JsonValue = {
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "a-client", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def headers_of(method: str, name: str = "") -> dict[str, str]:
    """The headers of such a request."""
    names = {"Mcp-Name": name} if name else {}
    return {**ACCEPT, "MCP-Protocol-Version": NEWEST, "Mcp-Method": method, **names}


def post(
    url: str, method: str, headers: dict[str, str] | None = None, seconds: float = MOST_SECONDS, **params: JsonValue
) -> httpx.Response:
    """Sends a request of the newest era."""
    sent = {**headers_of(method, str(params.get("name", ""))), **(headers or {})}
    return httpx.post(f"{url}/mcp", json=posted(method, **params), headers=sent, timeout=seconds)
