"""What the rest of the program needs of a provider: the seam between it and one provider's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from formant_mcp.audio import AudioKind
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.registry import ProviderSpec


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording being received: its bytes, unchanged, in chunks; `size` is how many, where that was said."""

    kind: AudioKind
    chunks: AsyncIterator[bytes]
    size: int | None = None


class Provider(Protocol):
    """One provider's conversations, but for how its list is paged. Raises only errors of `formant_mcp.errors`."""

    spec: ProviderSpec

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        ...

    @property
    def requests_per_minute(self) -> float | None:
        """The allowance the provider last stated, else the pace of late; None where there is neither."""
        ...

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with transcript and results."""
        ...

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        """The recording's bytes; NotFoundError where there is none, or none yet."""
        ...

    async def aclose(self) -> None:
        """Gives back connections."""
        ...


class OffsetProvider(Provider, Protocol):
    """A provider whose list can be read from any row on; `page_size`: rows of a full page, though it may give fewer."""

    pagination: Literal["offset"]
    page_size: int

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        """The page of the list that begins at row `offset`, of what its server-side filters leave."""
        ...


@dataclass(frozen=True, slots=True)
class CursorPage:
    """One page of a list that goes on from a cursor; `next_cursor` is '' on the last page, and only there.

    `ends_early`: the last page only because the provider announces more and gives no way to it.
    """

    page: Page
    next_cursor: str
    ends_early: bool = False


class CursorProvider(Provider, Protocol):
    """A provider whose pages each name the next.

    What comes may be more than the filters ask for, never less: a bound of time that may not be inclusive is widened.
    """

    pagination: Literal["cursor"]

    async def list_page(self, cursor: str, filters: Filters = NO_FILTERS) -> CursorPage:
        """The page at that cursor, the first for '', of what its server-side filters leave.

        Raises:
            CursorRejectedError: start over. InvalidResponseError: the answer is no page.
        """
        ...


AnyProvider = OffsetProvider | CursorProvider
