"""What can answer for conversations: the seam between the rest of the program and one provider's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from formant_mcp.audio import AudioKind
from formant_mcp.filters import OutcomeFilter
from formant_mcp.models import Conversation, Page


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording being received: its bytes, unchanged, in chunks; `size` is how many, where that was said."""

    kind: AudioKind
    chunks: AsyncIterator[bytes]
    size: int | None = None


class Provider(Protocol):
    """One provider's conversations, but for the way its list is paged. Only errors of `formant_mcp.errors` are raised.

    `page_size`: how many rows a full page of the list has; the provider may give fewer. `unsupported_filters`: the filters that it
    has no field for. `detail_only_fields`: the fields that a list row never has but its detail may. `recording_type`: the
    media type that its recordings usually have.
    """

    page_size: int
    recording_type: str
    unsupported_filters: frozenset[str]
    detail_only_fields: frozenset[str]

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
    """A provider whose list can be read from any row on."""

    async def list_page(self, offset: int, agent_id: str = "") -> Page:
        """The page of the list that begins at row `offset`, of one agent where `agent_id` is given."""
        ...


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a provider may narrow its list by itself; an empty one asks nothing.

    What comes may be more than asked for, never less: bounds are widened where the provider's own are not known to be
    inclusive, and what it cannot do is left out. `since` and `until` are instants in UTC, of whatever the provider
    keeps the time of: see `CursorProvider.max_queue_time`.
    """

    agent_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    call_successful: OutcomeFilter = "any"
    user_id: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class CursorPage:
    """One page of a list that goes on from a cursor; `next_cursor` is '' on the last page, and only there.

    `ends_early`: the last page only because the provider announces more and gives no way to it.
    """

    page: Page
    next_cursor: str
    ends_early: bool = False


@runtime_checkable
class CursorProvider(Provider, Protocol):
    """A provider whose pages hang on each other.

    `server_side_filters`: the fields of Narrowing that it can do. `statuses`: those it narrows by, if it does by status;
    `transient_statuses`: those of them that a conversation leaves again. `max_queue_time`: how long before its start a
    conversation may have been created, where the times it narrows by are those; nothing where they are of the start.
    """

    server_side_filters: frozenset[str]
    statuses: frozenset[str]
    transient_statuses: frozenset[str]
    max_queue_time: timedelta

    async def list_from(self, cursor: str, narrowing: Narrowing) -> CursorPage:
        """The page at that cursor, the first for ''.

        Raises:
            InvalidRequestError: the message begins with `cursor`: the provider refuses this one, so start over.
            InvalidResponseError: the answer is no page.
        """
        ...


AnyProvider = OffsetProvider | CursorProvider
