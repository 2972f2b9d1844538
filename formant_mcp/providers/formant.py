"""Formant's API: the three read-only endpoints of its guide's page "Conversations"."""

import re
from contextlib import AbstractAsyncContextManager

import anyio
import httpx

from formant_mcp.errors import InvalidRequestError, NotFoundError
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import Recording
from formant_mcp.providers.formant_json import parse_detail, parse_page
from formant_mcp.providers.http import HttpClient, path_segment, utc_now
from formant_mcp.providers.rate_limit import Sleep, WallClock
from formant_mcp.providers.recordings import open_recording
from formant_mcp.providers.responses import as_asked, no_conversation

PAGE_SIZE = 100  # the guide: "Default 20, maximum 100"
_CONVERSATIONS = "/v1/conversations"
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


class FormantProvider:
    """Formant as a `formant_mcp.providers.base.OffsetProvider`."""

    page_size = PAGE_SIZE
    recording_type = "audio/wav"
    unsupported_filters = frozenset({"user_id"})
    detail_only_fields = frozenset[str]()

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = anyio.sleep,
        now: WallClock = utc_now,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = HttpClient(base_url, headers, transport=transport, sleep=sleep, now=now)

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        return self._http.pace.concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The allowance the provider last stated (documented as 50); None where it stated none."""
        return self._http.pace.requests_per_minute

    async def list_page(self, offset: int, agent_id: str = "") -> Page:
        """The page of the list that begins at row `offset`, of one agent where `agent_id` is given.

        Raises:
            InvalidRequestError: `agent_id` is not a whole number.
        """
        params: dict[str, str | int] = {"limit": PAGE_SIZE, "offset": offset}
        if agent_id:
            if not _INTEGER.fullmatch(agent_id):
                raise InvalidRequestError(
                    "agent_id must be a whole number: Formant's agents have no other ids.",
                    "summarize_results without group_by names the agents there are.",
                )
            params["agent_id"] = agent_id
        return parse_page(await self._http.get_json("list", _CONVERSATIONS, params))

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with transcript and results.

        Raises:
            NotFoundError: it does not exist or belongs to another account; the API does not say which.
            InvalidResponseError: the answer is about another conversation.
        """
        path = f"{_CONVERSATIONS}/{path_segment(conversation_id)}"
        try:
            conversation = parse_detail(await self._http.get_json("conversation", path))
        except NotFoundError:
            raise no_conversation(conversation_id) from None
        return as_asked(conversation, conversation_id)

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        """The recording's bytes; see `sources.recordings.open_recording`."""
        path = f"{_CONVERSATIONS}/{path_segment(conversation_id)}/recording"
        return open_recording(self._http, path, conversation_id)

    async def aclose(self) -> None:
        """Gives back connections."""
        await self._http.aclose()
