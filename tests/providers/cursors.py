"""Helpers for tests of providers whose lists are paged by cursor."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.providers.base import CursorProvider
from tests.calls import conversation_id
from tests.fake_cursor import FakeCursorFamily
from tests.fake_voiceos import FakeVoiceOs
from tests.provider_apis import ProviderFixture
from tests.providers.scripted import NOON

FIXTURES = Path(__file__).parents[1] / "fixtures"
EVERYTHING = Filters()
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class OpenedByCursor:
    """A provider whose list is paged by cursor: its API and its client."""

    provider: ProviderFixture
    api: FakeCursorFamily | FakeVoiceOs
    source: CursorProvider

    @property
    def family(self) -> FakeCursorFamily:
        """The API, which must be one of the cursor family."""
        assert isinstance(self.api, FakeCursorFamily)
        return self.api

    def hold(self, count: int) -> list[str]:
        """Gives the account so many calls, a minute apart, the newest at noon; returns their ids."""
        self.api.conversations = self.provider.calls(count, NOON)
        return [conversation_id(n) for n in range(count)]


@asynccontextmanager
async def opened_by(provider: ProviderFixture) -> AsyncGenerator[OpenedByCursor]:
    """An empty account of that provider."""
    async with provider.opened() as opened:
        assert isinstance(opened.api, FakeCursorFamily | FakeVoiceOs)
        assert opened.source.pagination == "cursor"
        yield OpenedByCursor(provider, opened.api, opened.source)


def sent(name: str) -> bytes:
    """The bytes of a fixture."""
    return (FIXTURES / f"{name}.json").read_bytes()


def ids(rows: Iterable[Conversation]) -> list[str]:
    """The rows' ids."""
    return [row.conversation_id for row in rows]
