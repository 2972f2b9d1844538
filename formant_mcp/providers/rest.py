"""What the clients of the providers' REST APIs share: how they are opened, and how one conversation is fetched."""

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol

import anyio
import httpx
from pydantic import JsonValue

from formant_mcp.errors import NotFoundError
from formant_mcp.models import Conversation
from formant_mcp.providers.base import AnyProvider, Recording
from formant_mcp.providers.http import HttpClient, path_segment, utc_now
from formant_mcp.providers.rate_limit import Ledger, Monotonic, Sleep, WallClock
from formant_mcp.providers.recordings import open_recording
from formant_mcp.providers.registry import ProviderSpec
from formant_mcp.providers.responses import check_conversation_id, conversation_not_found

PAGE_SIZE = 100  # the maximum of all of them
QueryParams = dict[str, str | int]


class OpenProvider(Protocol):
    """A client's class."""

    def __call__(
        self,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = anyio.sleep,
        now: WallClock = utc_now,
        monotonic: Monotonic = time.monotonic,
    ) -> AnyProvider: ...


class RestProvider:
    """A provider's API below `conversations_path`: a list, one conversation, its recording.

    `parse_conversation`: parses one conversation's JSON.
    """

    spec: ProviderSpec
    page_size = PAGE_SIZE
    conversations_path: ClassVar[str]
    parse_conversation: "ClassVar[staticmethod[[JsonValue], Conversation]]"
    recording_name: ClassVar[str] = "recording"

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = anyio.sleep,
        now: WallClock = utc_now,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.spec.check_address(base_url)
        self._http = HttpClient(
            base_url,
            self.headers(key),
            documented_per_minute=self.spec.documented_per_minute,
            transport=transport,
            sleep=sleep,
            now=now,
            monotonic=monotonic,
        )

    def headers(self, key: str) -> Mapping[str, str]:
        """How the key is sent."""
        return {"Authorization": f"Bearer {key}"}

    def without_retries(self) -> HttpClient:
        """Lets each request be tried once, from now on; returns the client, which shows what came."""
        self._http.most_tries = 1
        return self._http

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        return self._http.rate_limit.concurrency

    @property
    def requests_per_minute(self) -> float | None:
        """The rate limit the provider last stated, else the recent request rate; None if neither is available."""
        return self._http.rate_limit.requests_per_minute

    def share_rate_limit(self, ledger: Ledger) -> None:
        """Counts requests in that ledger, together with all who use the same key."""
        self._http.rate_limit.share(ledger)

    async def refresh_rate_limit(self) -> None:
        """Learns from the ledger what others have learned of the rate limit."""
        await self._http.rate_limit.refresh()

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation with transcript and results.

        Raises:
            NotFoundError: it does not exist or belongs to another account; no API says which.
            InvalidResponseError: the response is about another conversation.
        """
        try:
            conversation = self.parse_conversation(
                await self._http.get_json("conversation", self._path(conversation_id))
            )
        except NotFoundError:
            raise conversation_not_found(conversation_id) from None
        return check_conversation_id(conversation, conversation_id)

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        """The recording's bytes; see `providers.recordings.open_recording`."""
        return open_recording(self._http, f"{self._path(conversation_id)}/{self.recording_name}", conversation_id)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def list_json(self, params: Mapping[str, str | int]) -> JsonValue:
        """One page of the list, as sent."""
        return await self._http.get_json("list", self.conversations_path, params)

    def _path(self, conversation_id: str) -> str:
        return f"{self.conversations_path}/{path_segment(conversation_id)}"
