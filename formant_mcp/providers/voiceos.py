"""VoiceOS' API: conversations in pages counted from 1, and recordings that lie at another address."""

import re
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta

import anyio
import httpx

from formant_mcp.errors import InvalidRequestError, NotFoundError
from formant_mcp.models import Conversation
from formant_mcp.providers.base import CursorPage, Narrowing, Recording
from formant_mcp.providers.http import HttpClient, path_segment, utc_now
from formant_mcp.providers.rate_limit import Sleep, WallClock
from formant_mcp.providers.recordings import open_recording
from formant_mcp.providers.responses import as_asked, cursor_refused, no_conversation
from formant_mcp.providers.voiceos_json import parse_detail, parse_page

PAGE_SIZE = 100  # the reference: "limit", 100 by default
_CONVERSATIONS = "/conversations"
_STATUSES = frozenset({"started", "ended", "queued"})
_INDEX = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_WIDER = timedelta(seconds=1)


class VoiceOsProvider:
    """VoiceOS as a `formant_mcp.providers.base.CursorProvider`; a cursor is the index of a page."""

    page_size = PAGE_SIZE
    recording_type = "audio/mpeg"
    unsupported_filters = frozenset({"user_id"})
    detail_only_fields = frozenset[str]()
    statuses = _STATUSES
    transient_statuses = frozenset({"started", "queued"})
    max_queue_time = timedelta(days=1)  # our guess: a call is created when it is queued, and may start much later
    server_side_filters = frozenset({"since", "until", "call_successful", "status"})

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
        """The allowance the provider last stated, else the pace of late; None where there is neither."""
        return self._http.pace.requests_per_minute

    async def list_from(self, cursor: str, narrowing: Narrowing) -> CursorPage:
        """The page of that index, the first for ''.

        Raises:
            InvalidRequestError: the message begins with `cursor`: it is no index, or the provider refuses it.
            InvalidResponseError: another page came than was asked for.
        """
        if cursor and not _INDEX.fullmatch(cursor):
            raise cursor_refused()
        index = int(cursor or 1)
        params: dict[str, str | int] = {"limit": PAGE_SIZE, "index": index, **_narrowed(narrowing)}
        try:
            return parse_page(await self._http.get_json("list", _CONVERSATIONS, params), index)
        except (InvalidRequestError, NotFoundError):
            if not cursor:
                raise
            raise cursor_refused() from None

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with its messages and results.

        Raises:
            NotFoundError: it does not exist or belongs to another account.
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


def _narrowed(narrowing: Narrowing) -> dict[str, str | int]:
    """The parameters for it; a second wider at both ends, for nothing says whether bounds are included."""
    params: dict[str, str | int] = {}
    if narrowing.since:
        params["created_after"] = _iso(narrowing.since, -_WIDER)
    if narrowing.until:
        params["created_before"] = _iso(narrowing.until, _WIDER)
    if narrowing.status.lower() in _STATUSES:
        params["status"] = narrowing.status.lower()
    elif narrowing.call_successful != "any":
        params["status"] = "ended"  # what is queued or runs is neither a success nor a failure
    return params


def _iso(moment: datetime, shift: timedelta) -> str:
    with suppress(OverflowError):  # at the ends of the calendar
        moment += shift
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
