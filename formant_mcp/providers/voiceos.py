"""VoiceOS' API: conversations in pages counted from 1, and recordings at another address."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

from formant_mcp.errors import CursorRejectedError, InvalidRequestError, NotFoundError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.providers.rest import PAGE_SIZE, QueryParams, RestProvider
from formant_mcp.providers.voiceos_json import parse_detail, parse_page

_INDEX = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_WIDER = timedelta(seconds=1)


class VoiceOsProvider(RestProvider):
    """VoiceOS as a `CursorProvider`; a cursor is the index of a page."""

    spec = PROVIDERS["voiceos"]
    pagination: Literal["cursor"] = "cursor"
    conversations_path = "/conversations"
    parse_conversation = staticmethod(parse_detail)

    async def list_page(self, cursor: str, filters: Filters = NO_FILTERS) -> CursorPage:
        """The page of that index ('' for the first).

        Raises:
            CursorRejectedError: it is not an index, or the provider refuses it.
            InvalidResponseError: the response is not the requested page.
        """
        if cursor and not _INDEX.fullmatch(cursor):
            raise CursorRejectedError
        index = int(cursor or 1)
        params: QueryParams = {"limit": PAGE_SIZE, "index": index, **_query_params(filters, self.spec.statuses)}
        try:
            return parse_page(await self.list_json(params), index)
        except (InvalidRequestError, NotFoundError):
            if not cursor:
                raise
            raise CursorRejectedError from None


def _query_params(filters: Filters, statuses: frozenset[str]) -> QueryParams:
    """The server-side filters; a second wider at both ends, because no document says whether bounds are included."""
    params: QueryParams = {}
    if filters.since:
        params["created_after"] = _iso(filters.since, -_WIDER)
    if filters.until:
        params["created_before"] = _iso(filters.until, _WIDER)
    status = filters.status[0].lower() if len(filters.status) == 1 else ""
    if status in statuses:
        params["status"] = status
    elif filters.call_successful != "any":
        params["status"] = "ended"  # what is queued or runs is neither a success nor a failure
    return params


def _iso(moment: datetime, shift: timedelta) -> str:
    with suppress(OverflowError):  # at the ends of the calendar
        moment += shift
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
