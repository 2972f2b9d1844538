"""A source in this process that lists given conversations, for laws over many drawn accounts."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from formant_mcp.errors import NotFoundError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import Recording
from formant_mcp.providers.rate_limit import Ledger
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.loader import Loader
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from tests.store.oracle import NOW


class StaticProvider:
    """A source that lists just these conversations, with their details."""

    spec = replace(PROVIDERS["formant"], unsupported_filters=frozenset[str]())
    pagination: Literal["offset"] = "offset"
    page_size = 100
    concurrency = 4
    requests_per_minute: float | None = None

    def __init__(self, calls: list[Conversation]) -> None:
        self._calls = [call._replace(has_detail=True, failure_reason_known=True) for call in calls]

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        listed = [call for call in self._calls if filters.agent_id in ("", call.agent_id)]
        page = listed[offset : offset + self.page_size]
        return Page(tuple(page), len(page), has_more=offset + len(page) < len(listed), total=len(listed))

    def share_rate_limit(self, ledger: Ledger) -> None:
        """No requests are sent."""

    async def refresh_rate_limit(self) -> None:
        """No requests are sent."""

    async def get_conversation(self, conversation_id: str) -> Conversation:
        for call in self._calls:
            if call.conversation_id == conversation_id:
                return call
        raise NotFoundError("There is none.")

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        raise NotFoundError("There is none.")

    async def aclose(self) -> None:
        return None


def ticking(start: datetime = NOW + timedelta(days=60)):
    moments = [start]

    def now() -> datetime:
        moments[0] += timedelta(milliseconds=1)
        return moments[0]

    return now


async def loader_of(calls: list[Conversation]) -> Loader:
    store = await Store.open(None, AccountKey("service", "test"), lambda conversation, read_at: None)
    return Loader(Sync(StaticProvider(calls), store, ticking()), store)
