"""What can answer for conversations: the seam between the rest of the program and one provider's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from formant_mcp.filters import OutcomeFilter
from formant_mcp.models import Conversation, Page


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording being received: its bytes, unchanged, in chunks."""

    media_type: str
    chunks: AsyncIterator[bytes]


class ConversationSource(Protocol):
    """One provider's conversations. Every method raises only errors of `formant_mcp.errors`."""

    @property
    def page_size(self) -> int:
        """How many rows a full page of the list has."""
        ...

    @property
    def lacks(self) -> frozenset[str]:
        """The filters that this provider has no field for."""
        ...

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        ...

    @property
    def requests_per_minute(self) -> float | None:
        """The allowance the provider last stated; None where it stated none."""
        ...

    async def list_page(self, offset: int, agent_id: str = "") -> Page:
        """The page of the list that begins at row `offset`, of one agent where `agent_id` is given."""
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


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a provider may narrow its list by itself; an empty one asks nothing.

    What comes may be more than asked for, never less: bounds are widened where the provider's own are not known to be
    inclusive, and what it cannot do is left out. `since` and `until` are instants in UTC.
    """

    agent_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    call_successful: OutcomeFilter = "any"
    user_id: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class CursorPage:
    """One page of a list that goes on from a cursor; `next_cursor` is '' on the last page, and only there."""

    page: Page
    next_cursor: str


class CursorSource(Protocol):
    """A provider's conversations where pages hang on each other: what a ConversationSource is, but for its list."""

    @property
    def page_size(self) -> int:
        """How many rows a full page of the list has; the provider may give fewer."""
        ...

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        ...

    @property
    def requests_per_minute(self) -> float | None:
        """The allowance the provider last stated; None where it stated none."""
        ...

    @property
    def narrows_by(self) -> frozenset[str]:
        """The fields of Narrowing that this provider can do."""
        ...

    async def list_from(self, cursor: str, narrowing: Narrowing) -> CursorPage:
        """The page at that cursor, the first for ''.

        Raises:
            InvalidRequestError: the message begins with `cursor`: the provider refuses this one, so start over.
            InvalidResponseError: the provider gives the same cursor again, or none where the list goes on.
        """
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
