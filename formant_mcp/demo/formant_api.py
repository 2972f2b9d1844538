"""Formant's API over the sample calls, below httpx: the three documented endpoints in every documented form.

The documents contradict each other, so one call is answered in one form and the next in another: milliseconds or
seconds, four kinds of transcript, whole list rows or short ones, absent fields null or left out. Which, depends on the
call's id alone. Sources: Formant's guide "Conversations" (`_GUIDE_ROW`, `_GUIDE_DETAIL`) and its OpenAPI examples.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from pydantic import JsonValue

from formant_mcp.demo.audio import wav_of, wav_size
from formant_mcp.demo.calls import SampleCall
from formant_mcp.demo.script import SampleTurn

_LIST = "/v1/conversations"
_MAX_LIMIT = 100

_GUIDE_ROW = {
    "agent_id", "contact_number", "conversation_id", "duration_seconds", "end_timestamp", "start_timestamp", "status",
}  # fmt: skip
_GUIDE_DETAIL = {
    "agent_id", "contact_number", "conversation_id", "duration_seconds", "failure_reason", "results", "status",
    "trace_id", "transcript",
}  # fmt: skip


class SampleFormantTransport(httpx.AsyncBaseTransport):
    """Answers for Formant from `calls`, as of `now()` (aware); any bearer key will do. No network, no waiting."""

    def __init__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> None:
        self._calls = sorted(calls, key=lambda call: call.started_at, reverse=True)
        self._by_id = {call.conversation_id: call for call in self._calls}
        self._now = now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One answer to one request."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return _error(401, "authentication_error", "Invalid or missing API key")
        path = request.url.path
        if request.method != "GET" or not (path == _LIST or path.startswith(f"{_LIST}/")):
            return _error(404, "not_found", "No such endpoint")
        if path == _LIST:
            return self._list(request.url.params)
        conversation_id, _, rest = path.removeprefix(f"{_LIST}/").partition("/")
        return self._one(conversation_id, rest)

    def _list(self, params: httpx.QueryParams) -> httpx.Response:
        try:
            agent_id = int(params["agent_id"]) if "agent_id" in params else None
            limit, offset = int(params.get("limit", "20")), int(params.get("offset", "0"))
        except ValueError:
            return _error(400, "invalid_request", "agent_id, limit and offset are integers")
        if not 1 <= limit <= _MAX_LIMIT or offset < 0:
            return _error(400, "invalid_request", f"limit is 1 to {_MAX_LIMIT}, offset 0 or more")
        now = self._now()
        calls = [
            call for call in self._calls if call.started_at <= now and (agent_id is None or call.agent_id == agent_id)
        ]
        rows: list[JsonValue] = [_row(call.as_of(now)) for call in calls[offset : offset + limit]]
        body = {"data": rows, "has_more": offset + limit < len(calls), "total": len(calls)}
        return httpx.Response(200, json=body)

    def _one(self, conversation_id: str, rest: str) -> httpx.Response:
        call, now = self._by_id.get(conversation_id), self._now()
        if call is None or call.started_at > now or rest not in ("", "recording"):
            return _error(404, "not_found", "Conversation not found")
        call = call.as_of(now)
        if not rest:
            return httpx.Response(200, json={"data": _detail(call)})
        if call.recording != "ready":
            return _error(404, "not_found", "Recording not found")
        headers = {"Content-Type": "audio/wav", "Content-Length": str(wav_size(call))}
        return httpx.Response(200, headers=headers, content=_chunks(call))


async def _chunks(call: SampleCall) -> AsyncIterator[bytes]:
    for chunk in wav_of(call):
        yield chunk


def _error(status: int, kind: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "type": kind}})


@dataclass(frozen=True, slots=True)
class _Form:
    """The form in which one call is answered."""

    seconds: bool
    transcript: Callable[[SampleCall], JsonValue]
    whole_row: bool
    whole_detail: bool
    whole_numbers: bool
    leaves_out_nulls: bool

    @classmethod
    def of(cls, call: SampleCall) -> "_Form":
        number = zlib.crc32(call.conversation_id.encode())
        return cls(
            seconds=number % 5 == 0,
            transcript=(_messages, _clocked, _spanned, _flat)[number // 5 % 4],
            whole_row=number // 20 % 3 == 0,
            whole_detail=number // 60 % 4 != 0,
            whole_numbers=number // 240 % 2 == 0,
            leaves_out_nulls=number // 480 % 2 == 0,
        )

    def timestamp(self, moment: datetime | None) -> int | None:
        """Epoch milliseconds or seconds."""
        if moment is None:
            return None
        return int(moment.timestamp()) if self.seconds else round(moment.timestamp() * 1000)


def _row(call: SampleCall) -> JsonValue:
    form = _Form.of(call)
    fields = _fields(call, form)
    return fields if form.whole_row else {name: value for name, value in fields.items() if name in _GUIDE_ROW}


def _detail(call: SampleCall) -> JsonValue:
    form = _Form.of(call)
    fields = _fields(call, form)
    return fields if form.whole_detail else {name: value for name, value in fields.items() if name in _GUIDE_DETAIL}


def _fields(call: SampleCall, form: _Form) -> dict[str, JsonValue]:
    duration = call.duration_seconds
    fields: dict[str, JsonValue] = {
        "agent_id": call.agent_id,
        "contact_number": call.contact_number,
        "conversation_id": call.conversation_id,
        "duration_seconds": round(duration) if form.whole_numbers and duration is not None else duration,
        "end_timestamp": form.timestamp(call.ended_at),
        "failure_reason": call.failure_reason,
        "results": call.results,
        "start_timestamp": form.timestamp(call.started_at),
        "status": call.status,
        "trace_id": call.trace_id,
        "transcript": form.transcript(call) if call.turns else None,
    }
    if form.leaves_out_nulls:
        return {name: value for name, value in fields.items() if value is not None}
    return fields


def _messages(call: SampleCall) -> JsonValue:
    return [{"role": _named(turn, "human"), "message": turn.text} for turn in call.turns]


def _clocked(call: SampleCall) -> JsonValue:
    return [
        {
            "speaker": _named(turn, "customer"),
            "text": turn.text,
            "timestamp": int((call.started_at + timedelta(seconds=turn.seconds)).timestamp()),
        }
        for turn in call.turns
    ]


def _spanned(call: SampleCall) -> JsonValue:
    return [
        {
            "speaker": _named(turn, "customer"),
            "start_time": turn.seconds,
            "end_time": turn.end_seconds,
            "text": turn.text,
        }
        for turn in call.turns
    ]


def _flat(call: SampleCall) -> JsonValue:
    return "\n".join(f"{'BOT' if turn.role == 'agent' else 'HUMAN'}: {turn.text}" for turn in call.turns)


def _named(turn: SampleTurn, contact: str) -> str:
    return "agent" if turn.role == "agent" else contact
