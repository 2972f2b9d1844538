"""An API that serves the sample calls as of now, and the httpx transport that answers in this process."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime

import httpx

from formant_mcp.demo.apis.api import Api, Body, Chunks, Request, Response, Row
from formant_mcp.demo.audio import wav_of, wav_size
from formant_mcp.demo.calls import SampleCall


class SampleApi(Api):
    """Serves sample calls as of `now()` (aware, never going back); any key is accepted.

    A subclass for each provider adds how a call is written there.
    """

    recording_type = "audio/wav"

    def __init__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        moment = now()
        ordered = sorted(calls, key=lambda call: call.started_at, reverse=True)
        final = [call for call in ordered if (call.ended_at or call.started_at) <= moment]
        self._changing = [call for call in ordered if (call.ended_at or call.started_at) > moment]
        self._final_rows = [self.row_of(call) for call in final]
        self._current: tuple[SampleCall, ...] = ()
        self._by_id = {call.conversation_id: call for call in final}
        self.hold(self._final_rows)

    def row_of(self, call: SampleCall) -> Row:
        """The call as a list row."""
        raise NotImplementedError

    def whole_of(self, call: SampleCall) -> Row:
        """The call as a detail: the same, unless the provider sends more there."""
        return self.row_of(call)

    def admits(self, request: Request) -> bool:
        return bool((self.key_of(request) or "").strip())

    def respond(self, request: Request) -> Response:
        self._update()
        return super().respond(request)

    def detail_of(self, row: Row) -> Row:
        return self.whole_of(self._by_id[self.id_of(row)])

    def recording_of(self, conversation_id: str) -> Body | None:
        call = self._by_id.get(conversation_id)
        return Chunks(wav_size(call), wav_of(call)) if call and call.recording == "ready" else None

    def _update(self) -> None:
        """Refreshes the calls that were still running."""
        moment = self._now()
        current = tuple(call.as_of(moment) for call in self._changing if call.started_at <= moment)
        if current != self._current:
            self._current = current
            self._by_id |= {call.conversation_id: call for call in current}
            self.hold([*map(self.row_of, current), *self._final_rows])


class InProcess(httpx.AsyncBaseTransport):
    """Answers requests in this process, without a network."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond = respond

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response to a request."""
        response = self._respond(Request(request.method, request.url.raw_path.decode(), dict(request.headers)))
        headers = {"Content-Type": response.media_type, **response.headers}
        if isinstance(response.body, bytes):
            return httpx.Response(response.status, headers=headers, content=response.body)
        headers["Content-Length"] = str(response.body.size)
        return httpx.Response(response.status, headers=headers, content=_streamed(response.body.pieces))


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
