"""The four providers, each with its API, its client, its builder of calls and its settings.

    async with ELEVENLABS.opened() as opened:
        opened.api.add(ELEVENLABS.call(1, started_at, status="busy"))
        page = await first_page(opened.source)

The same number gives the same call at every provider: the same id, agent, contact, times, words and results, wherever
the provider has fields for them.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import anyio.lowlevel
import httpx
from pydantic import JsonValue

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import AnyProvider, Provider
from formant_mcp.providers.elevenlabs import ElevenLabsProvider, VoiceableProvider
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.rate_limit import Sleep
from formant_mcp.providers.voiceos import VoiceOsProvider
from tests import calls, cursor_calls
from tests.calls import Row
from tests.fake_api import FakeApi
from tests.fake_cursor import FakeElevenLabs, FakeVoiceable
from tests.fake_formant import FakeFormant
from tests.fake_voiceos import FakeVoiceOs

KEY = "key-nobody-may-see"
_MOST_PAGES = 1_000


class Builder(Protocol):
    """List row number `n`; `status` is a word of Formant's, `fields` are the provider's own."""

    def __call__(
        self, n: int, started_at: datetime, agent_id: int | None = 123, status: str = "completed", **fields: JsonValue
    ) -> Row: ...


class Connect(Protocol):
    """The provider's client for an address and a key."""

    def __call__(
        self, base_url: str, key: str, *, sleep: Sleep, transport: httpx.AsyncBaseTransport
    ) -> AnyProvider: ...


@dataclass(frozen=True)
class ProviderFixture:
    """`api` is a class, for `async with provider.api()` and `with provider.api.in_thread()`."""

    name: str
    api: type[FakeApi]
    call: Builder
    connect: Connect

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["Opened"]:
        """The API in this process, and its client, which retries without waiting."""
        api = self.api()
        api.key = KEY
        source = self.connect(api.url, KEY, sleep=no_wait, transport=api.transport())
        try:
            yield Opened(self, api, source)
        finally:
            await source.aclose()

    def environment(self, url: str) -> dict[str, str]:
        """The settings of a server that uses the API at `url`."""
        return {"FORMANT_PROVIDER": self.name, "FORMANT_BASE_URL": url, "FORMANT_API_KEY": KEY}

    def calls(self, count: int, newest: datetime, apart: timedelta = timedelta(minutes=1)) -> list[Row]:
        """Calls number 0 to `count - 1`, the newest first."""
        return [self.call(n, newest - n * apart) for n in range(count)]


@dataclass(frozen=True)
class Opened:
    """A provider's API, which requires `KEY`, and its client."""

    provider: ProviderFixture
    api: FakeApi
    source: AnyProvider


FORMANT = ProviderFixture("formant", FakeFormant, calls.conversation, FormantProvider)
ELEVENLABS = ProviderFixture("elevenlabs", FakeElevenLabs, cursor_calls.elevenlabs_call, ElevenLabsProvider)
VOICEABLE = ProviderFixture("voiceable", FakeVoiceable, cursor_calls.voiceable_call, VoiceableProvider)
VOICEOS = ProviderFixture("voiceos", FakeVoiceOs, cursor_calls.voiceos_call, VoiceOsProvider)
PROVIDERS = (FORMANT, ELEVENLABS, VOICEABLE, VOICEOS)


async def no_wait(_: float) -> None:
    """A sleep that takes no time."""
    await anyio.lowlevel.checkpoint()


async def first_page(source: AnyProvider, agent_id: str = "") -> Page:
    """The first page of the list, of one agent if the provider can filter by agent."""
    if source.pagination == "cursor":
        return (await source.list_page("", Filters(agent_id=agent_id))).page
    return await source.list_page(0, Filters(agent_id=agent_id))


async def all_pages(source: AnyProvider, filters: Filters | None = None) -> list[Page]:
    """Every page; raises AssertionError if the list never ends."""
    pages: list[Page] = []
    cursor, offset = "", 0
    while len(pages) < _MOST_PAGES:
        if source.pagination == "cursor":
            cursor_page = await source.list_page(cursor, filters or Filters())
            page, cursor, goes_on = cursor_page.page, cursor_page.next_cursor, bool(cursor_page.next_cursor)
        else:
            page = await source.list_page(offset)
            goes_on, offset = page.more_after(offset), offset + page.row_count
        pages.append(page)
        if not goes_on:
            return pages
    raise AssertionError("the list never ends")


async def whole_list(source: AnyProvider, filters: Filters | None = None) -> list[Conversation]:
    """Every row, page after page."""
    return [row for page in await all_pages(source, filters) for row in page.conversations]


async def received(source: Provider, conversation_id: str) -> tuple[str, bytes]:
    """A recording's media type and bytes."""
    async with source.open_recording(conversation_id) as recording:
        return recording.kind.media_type, b"".join([chunk async for chunk in recording.chunks])
