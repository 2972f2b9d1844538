"""ElevenLabs' API, and Voiceable's, which has the same shape at another address: pages with cursors."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from formant_mcp.errors import CursorRejectedError, InvalidRequestError, NotFoundError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.elevenlabs_json import parse_detail, parse_page
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.providers.rest import PAGE_SIZE, QueryParams, RestProvider

_WIDER_SECONDS = 1


class ElevenLabsProvider(RestProvider):
    """ElevenLabs as a `CursorProvider`."""

    spec = PROVIDERS["elevenlabs"]
    pagination: Literal["cursor"] = "cursor"
    conversations_path = "/v1/convai/conversations"
    recording_name = "audio"
    parse_conversation = staticmethod(parse_detail)
    key_header: ClassVar[str] = "xi-api-key"

    def headers(self, key: str) -> Mapping[str, str]:
        """How the key is sent."""
        return {self.key_header: key}

    async def list_page(self, cursor: str, filters: Filters = NO_FILTERS) -> CursorPage:
        """The page at that cursor ('' for the first), with the provider's summaries.

        Raises:
            CursorRejectedError: the provider refuses the cursor, so start over.
            InvalidResponseError: the response is not a page.
        """
        params: QueryParams = {"page_size": PAGE_SIZE, "summary_mode": "include", **_query_params(filters)}
        if not cursor:
            return parse_page(await self.list_json(params), "")
        try:
            return parse_page(await self.list_json({**params, "cursor": cursor}), cursor)
        except (InvalidRequestError, NotFoundError):
            raise CursorRejectedError from None


class VoiceableProvider(ElevenLabsProvider):
    """Voiceable as a `CursorProvider`."""

    spec = PROVIDERS["voiceable"]
    conversations_path = "/conversations"
    key_header = "X-API-Key"


def _query_params(filters: Filters) -> QueryParams:
    """The server-side filters; a second wider at both ends, because no document says whether bounds are included."""
    params: QueryParams = {}
    if filters.agent_id:
        params["agent_id"] = filters.agent_id
    if filters.since:
        params["call_start_after_unix"] = max(0, math.floor(filters.since.timestamp()) - _WIDER_SECONDS)
    if filters.until:
        params["call_start_before_unix"] = max(0, math.ceil(filters.until.timestamp()) + _WIDER_SECONDS)
    if filters.call_successful != "any":
        params["call_successful"] = filters.call_successful
    if filters.user_id:
        params["user_id"] = filters.user_id
    return params
