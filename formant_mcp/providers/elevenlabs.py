"""The cursor family: APIs with ElevenLabs' shape, whose pages hang on each other by a cursor.

Voiceable publishes the shape without an address; ElevenLabs with one. What differs is a description, not code.
"""

import math
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import anyio
import httpx

from formant_mcp.errors import ConfigurationError, InvalidRequestError, NotFoundError
from formant_mcp.models import Conversation
from formant_mcp.providers.base import CursorPage, Narrowing, Recording
from formant_mcp.providers.elevenlabs_json import parse_detail, parse_page
from formant_mcp.providers.http import HttpClient, path_segment, utc_now
from formant_mcp.providers.rate_limit import Sleep, WallClock
from formant_mcp.providers.recordings import open_recording
from formant_mcp.providers.responses import as_asked, cursor_refused, no_conversation

PAGE_SIZE = 100  # both documents: "1-100, default: 30"
_WIDER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class CursorFamily:
    """How one member of the family is reached."""

    name: str
    conversations: str
    key_header: str


VOICEABLE = CursorFamily("Voiceable", "/conversations", "X-API-Key")
ELEVENLABS = CursorFamily("ElevenLabs", "/v1/convai/conversations", "xi-api-key")


class CursorFamilySource:
    """A member of the family as a `formant_mcp.providers.base.CursorProvider`."""

    page_size = PAGE_SIZE
    recording_type = "audio/mpeg"
    unsupported_filters = frozenset[str]()
    detail_only_fields = frozenset({"contact_number", "user_id"})
    statuses = transient_statuses = frozenset[str]()
    max_queue_time = timedelta()
    server_side_filters = frozenset({"agent_id", "since", "until", "call_successful", "user_id"})

    def __init__(
        self,
        family: CursorFamily,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = anyio.sleep,
        now: WallClock = utc_now,
    ) -> None:
        if not base_url:
            raise ConfigurationError(
                f"{family.name} has no address of its own.", "Set FORMANT_BASE_URL to the one your account was given."
            )
        self._conversations = family.conversations
        self._http = HttpClient(base_url, {family.key_header: key}, transport=transport, sleep=sleep, now=now)

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        return self._http.pace.concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The allowance the provider last stated, else the pace of late; None where there is neither."""
        return self._http.pace.requests_per_minute

    async def list_from(self, cursor: str, narrowing: Narrowing) -> CursorPage:
        """The page at that cursor, the first for ''; with the provider's summaries.

        Raises:
            InvalidRequestError: the message begins with `cursor`: the provider refuses this one, so start over.
            InvalidResponseError: the answer is no page.
        """
        params: dict[str, str | int] = {"page_size": PAGE_SIZE, "summary_mode": "include", **_narrowed(narrowing)}
        if not cursor:
            return parse_page(await self._http.get_json("list", self._conversations, params), "")
        try:
            return parse_page(
                await self._http.get_json("list", self._conversations, {**params, "cursor": cursor}), cursor
            )
        except (InvalidRequestError, NotFoundError):
            raise cursor_refused() from None

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with transcript and results.

        Raises:
            NotFoundError: it does not exist or belongs to another account.
            InvalidResponseError: the answer is about another conversation.
        """
        path = f"{self._conversations}/{path_segment(conversation_id)}"
        try:
            conversation = parse_detail(await self._http.get_json("conversation", path))
        except NotFoundError:
            raise no_conversation(conversation_id) from None
        return as_asked(conversation, conversation_id)

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        """The recording's bytes; see `sources.recordings.open_recording`."""
        path = f"{self._conversations}/{path_segment(conversation_id)}/audio"
        return open_recording(self._http, path, conversation_id)

    async def aclose(self) -> None:
        """Gives back connections."""
        await self._http.aclose()


def _narrowed(narrowing: Narrowing) -> dict[str, str | int]:
    """The parameters for it; a second wider at both ends, for no document says whether bounds are included."""
    params: dict[str, str | int] = {}
    if narrowing.agent_id:
        params["agent_id"] = narrowing.agent_id
    if narrowing.since:
        params["call_start_after_unix"] = max(0, math.floor(narrowing.since.timestamp()) - _WIDER_SECONDS)
    if narrowing.until:
        params["call_start_before_unix"] = max(0, math.ceil(narrowing.until.timestamp()) + _WIDER_SECONDS)
    if narrowing.call_successful != "any":
        params["call_successful"] = narrowing.call_successful
    if narrowing.user_id:
        params["user_id"] = narrowing.user_id
    return params
