"""The server as an assistant sees it: a client in this process, over an account that a test controls.

    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", limit=3)
        error = await assistant.refused("list_conversations", limit=0)

`ask` checks every answer: it validates against the published schema (the client does that), nothing in
it is null, its text and its structure state the same facts, and neither is longer than assistants accept.
"""

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import TextContent
from pydantic import JsonValue

from formant_mcp.app import App, LazyApp, open_app
from formant_mcp.demo.account import open_demo
from formant_mcp.members import Member
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings
from tests.fake_formant import FakeFormant
from tests.faults import Fault
from tests.provider_apis import no_wait
from tests.text_matches_structure import assert_same_facts, compact

NOW = datetime(2026, 11, 21, 5, 12, tzinfo=UTC)
ZONE = "Asia/Kolkata"  # 10:42 there
KEY = "key-nobody-may-see"
BOUNDARY = "7f3a91"
MOST_CHARACTERS = 45_000
MOST_SECONDS = 60.0
ERAS = ("auto", "legacy")  # clients of 2026-07-28, and the handshake of older ones
in_both_eras = pytest.mark.parametrize("mode", ERAS)


@dataclass(frozen=True)
class Answer:
    """A tool's answer, as text and as structure."""

    text: str
    structure: dict[str, JsonValue]

    @property
    def coverage(self) -> dict[str, JsonValue]:
        coverage = self.structure["coverage"]
        assert isinstance(coverage, dict)
        return coverage

    def rows(self, name: str = "conversations") -> list[dict[str, JsonValue]]:
        """The objects of a list."""
        rows = self.structure[name]
        assert isinstance(rows, list)
        return [row for row in rows if isinstance(row, dict)]

    def ids(self) -> list[str]:
        """The conversations' ids."""
        return [str(row["conversation_id"]) for row in self.rows()]

    def sizes(self) -> tuple[int, int]:
        """Characters of the text and of the structure as JSON."""
        return len(self.text), len(compact(self.structure))

    def most_bytes(self) -> int:
        """The larger of text and structure, in bytes: a letter of Devanagari has three."""
        return max(len(part.encode()) for part in (self.text, compact(self.structure)))


@cache
def _settings(**given: str | float) -> Settings:
    """To check settings takes milliseconds, and most tests have the same, but for their folders."""
    return Settings.model_validate(given)


class Assistant:
    """Calls the server's tools, and checks every answer."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: object) -> Answer:
        """An answer that is no error."""
        return await self.ask_with_progress(tool, None, **arguments)

    async def ask_with_progress(self, tool: str, steps: list[float] | None, **arguments: object) -> Answer:
        """The same; appends each progress notification to `steps`."""

        async def note(progress: float, total: float | None, message: str | None) -> None:
            assert steps is not None
            steps.append(progress)

        text, structure, is_error = await self._call(tool, arguments, None if steps is None else note)
        assert not is_error, text
        assert structure is not None
        answer = Answer(text, structure)
        assert max(answer.sizes()) <= MOST_CHARACTERS
        assert_same_facts(answer.text, answer.structure)
        return answer

    async def refused(self, tool: str, **arguments: object) -> str:
        """The text of an answer that is an error."""
        text, structure, is_error = await self._call(tool, arguments, None)
        assert is_error, text
        assert structure is None
        assert "Traceback" not in text
        assert KEY not in text
        return text

    async def not_read(self, uri: str) -> MCPError:
        """The protocol's error for a resource that cannot be read."""
        try:
            read = await self.client.read_resource(uri)
        except MCPError as error:
            return error
        raise AssertionError(f"{uri} was read: {read}")

    async def _call(
        self, tool: str, arguments: dict[str, object], progress: ProgressFnT | None
    ) -> tuple[str, dict[str, JsonValue] | None, bool]:
        with anyio.fail_after(MOST_SECONDS):
            result = await self.client.call_tool(tool, arguments, progress_callback=progress)
        content = result.content
        assert len(content) == 1
        assert isinstance(content[0], TextContent)
        return content[0].text, result.structured_content, bool(result.is_error)


@dataclass
class Account:
    """An account, its API in this process, and the options of server and client.

    `mode` is the client's era, `now` the server's clock, `boundary` what ends quoted words; None: it is random.
    `member`: who asks; None: whoever has the key.
    """

    api: FakeFormant
    mode: str
    folder: Path
    now: datetime = NOW
    boundary: str | None = BOUNDARY
    member: Member | None = None

    def clock(self) -> datetime:
        """The server's clock, which only tests move."""
        return self.now

    def pass_time(self, **parts: float) -> None:
        """Moves the clock."""
        self.now += timedelta(**parts)

    @contextmanager
    def failing(self, fault: Fault) -> Generator[None]:
        """While the block runs, every answer of the API has this fault."""
        is_over = threading.Event()
        self.api.fault(lambda _: not is_over.is_set(), 1_000_000, fault)
        yield
        is_over.set()

    @asynccontextmanager
    async def connect(self, **overrides: str | float) -> AsyncGenerator[Assistant]:
        """A server over the account, and an assistant connected to it; `overrides` are settings."""
        settings = self.settings(overrides)
        async with self._client(settings, self.opening(settings)) as assistant:
            yield assistant

    def opening(self, settings: Settings) -> Callable[[], Awaitable[App]]:
        """Opens the account."""

        async def open_() -> App:
            key, transport = settings.key(), self.api.transport()
            source = FormantProvider(settings.address, key, sleep=no_wait, transport=transport)
            return await self._app(settings, source, key)

        return open_

    def opening_sample(self, settings: Settings) -> Callable[[], Awaitable[App]]:
        """Opens the sample account."""

        async def open_() -> App:
            return await self._app(settings, open_demo(settings.provider, self.clock), "sample")

        return open_

    @asynccontextmanager
    async def connect_to_sample(self, **overrides: str | float) -> AsyncGenerator[Assistant]:
        """The same over the sample account, as `formant-mcp --demo` opens it."""
        settings = self.settings(overrides, is_sample=True)
        async with self._client(settings, self.opening_sample(settings)) as assistant:
            yield assistant

    @asynccontextmanager
    async def connect_to(self, source: AnyProvider, provider: str) -> AsyncGenerator[Assistant]:
        """The same over an account at that provider, with `source` as its client."""
        settings = self.settings({"provider": provider})

        async def open_() -> App:
            return await self._app(settings, source, KEY)

        async with self._client(settings, open_) as assistant:
            yield assistant

    def settings(self, overrides: Mapping[str, str | float], *, is_sample: bool = False) -> Settings:
        """The settings of a server over this account, or over the sample account."""
        usual = {"api_key": KEY, "base_url": "" if is_sample else self.api.url, "store": ":memory:", "timezone": ZONE}
        folders = {f"{name}_dir": self.folder / name for name in ("recordings", "exports")}
        given = {name: value for name, value in folders.items() if name not in overrides}
        return _settings(**{**usual, **overrides}).model_copy(update=given)

    async def _app(self, settings: Settings, source: AnyProvider, key: str) -> App:
        app, member, boundary = await open_app(settings, source, key, self.clock), self.member, self.boundary
        if member:
            app = replace(app, account=app.account.for_member(member), redacts=app.redacts | member.redacts)
        return app if boundary is None else replace(app, new_boundary=lambda: boundary)

    @asynccontextmanager
    async def _client(self, settings: Settings, open_: Callable[[], Awaitable[App]]) -> AsyncGenerator[Assistant]:
        words = PROVIDERS[settings.provider]
        async with Client(build_server(LazyApp(open_), instructions(settings, words), words), mode=self.mode) as client:
            yield Assistant(client)
