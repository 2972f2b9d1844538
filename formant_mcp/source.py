"""What can answer for conversations: the seam between the rest of the program and one provider's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

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
