"""The interface between the rest of the program and a provider's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from formant_mcp.audio import AudioKind
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.rate_limit import Ledger
from formant_mcp.providers.registry import ProviderSpec


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording being received: its bytes, unchanged, in chunks; `size` in bytes, if announced."""

    kind: AudioKind
    chunks: AsyncIterator[bytes]
    size: int | None = None


class Provider(Protocol):
    """One provider's conversations, except for how its list is paged. Raises only errors of `formant_mcp.errors`."""

    spec: ProviderSpec

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        ...

    @property
    def requests_per_minute(self) -> float | None:
        """The rate limit the provider last stated, else the recent request rate; None if neither is available."""
        ...

    def share_rate_limit(self, ledger: Ledger) -> None:
        """Counts requests in that ledger, together with all who use the same key."""
        ...

    async def refresh_rate_limit(self) -> None:
        """Learns from the ledger what others have learned of the rate limit."""
        ...

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with transcript and results."""
        ...

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        """The recording's bytes; NotFoundError if there is none, or none yet."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...


class OffsetProvider(Provider, Protocol):
    """A provider with offset pagination; `page_size`: rows of a full page, though a page may have fewer."""

    pagination: Literal["offset"]
    page_size: int

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        """The page that starts at row `offset`, after the server-side filters."""
        ...


@dataclass(frozen=True, slots=True)
class CursorPage:
    """One page of a list with cursors; `next_cursor` is '' on the last page, and only there.

    `ends_early`: the provider announces more pages but gives no cursor for them.
    """

    page: Page
    next_cursor: str
    ends_early: bool = False


class CursorProvider(Provider, Protocol):
    """A provider with cursor pagination.

    A page may hold more than the filters match, never less: a time bound that may be exclusive is widened.
    """

    pagination: Literal["cursor"]

    async def list_page(self, cursor: str, filters: Filters = NO_FILTERS) -> CursorPage:
        """The page at that cursor ('' for the first), after the server-side filters.

        Raises:
            CursorRejectedError: start over. InvalidResponseError: the response is not a page.
        """
        ...


AnyProvider = OffsetProvider | CursorProvider
