"""VoiceOS' API over the sample calls, below httpx: the list by page, one conversation, the address of its recording.

VoiceOS has no place for what an agent extracts, nor for why a call failed: such a call ended for an `unknown` reason.
Every sample call is an outbound one. Costs follow from how long a call took. Source: VoiceOS' reference.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from urllib.parse import quote

import httpx
from pydantic import JsonValue

from formant_mcp.demo.audio import wav_of, wav_size
from formant_mcp.demo.calls import SampleCall

_LIST = "/conversations"
_MAX_LIMIT = 100
_STATUSES = ("started", "ended", "queued")
_RECORDINGS = "recordings.example.com"  # elsewhere, as signed addresses are; no request leaves this process
_AGENT_NUMBER = "+14155550100"
_USD_PER_SECOND = {
    "agent": 0.0008,
    "language_model": 0.0003,
    "transcriber": 0.0001,
    "voice": 0.0006,
    "telephony": 0.0002,
}
_PROVIDERS = {
    "agent": "voiceos", "language_model": "openai", "transcriber": "deepgram", "voice": "playht", "telephony": "twilio",
}  # fmt: skip

Wire = dict[str, JsonValue]


class SampleVoiceOsTransport(httpx.AsyncBaseTransport):
    """Answers for VoiceOS from `calls`, as of `now()` (aware); any bearer key will do. No network, no waiting."""

    def __init__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> None:
        self._calls = sorted(calls, key=lambda call: call.started_at, reverse=True)
        self._by_id = {call.conversation_id: call for call in self._calls}
        self._now = now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One answer to one request."""
        path, authorization = request.url.path, request.headers.get("Authorization", "")
        if request.url.host == _RECORDINGS:
            return self._audio(path.removeprefix("/"), authorization)
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return _error(401, "Invalid authentication credentials")
        if request.method != "GET" or not (path == _LIST or path.startswith(f"{_LIST}/")):
            return _error(404, "Not Found")
        if path == _LIST:
            return self._list(request.url.params)
        conversation_id, _, rest = path.removeprefix(f"{_LIST}/").partition("/")
        return self._one(conversation_id, rest)

    def _list(self, params: httpx.QueryParams) -> httpx.Response:
        try:
            index, limit = int(params.get("index", "1")), int(params.get("limit", "100"))
            after, before = (
                datetime.fromisoformat(params[name]) if name in params else None
                for name in ("created_after", "created_before")
            )
        except ValueError:
            return _unprocessable("index")
        status = params.get("status")
        if index < 1 or not 1 <= limit <= _MAX_LIMIT or status not in (None, *_STATUSES):
            return _unprocessable("index")
        now = self._now()
        calls = [
            call.as_of(now)
            for call in self._calls
            if call.started_at <= now
            and (after is None or call.started_at > after)
            and (before is None or call.started_at < before)
        ]
        items = [_item(call) for call in calls if status is None or _status(call) == status]
        begin = (index - 1) * limit
        body: Wire = {
            "items": [*items[begin : begin + limit]],
            "index": index,
            "has_more": begin + limit < len(items),
        }
        return httpx.Response(200, json=body)

    def _one(self, conversation_id: str, rest: str) -> httpx.Response:
        call, now = self._by_id.get(conversation_id), self._now()
        if call is None or call.started_at > now or rest not in ("", "recording"):
            return _error(404, "Conversation not found")
        call = call.as_of(now)
        if not rest:
            return httpx.Response(200, json=_item(call))
        if call.recording != "ready":
            return _error(404, "Recording not found")
        address = f"https://{_RECORDINGS}/{quote(call.conversation_id)}?signature=sample"
        return httpx.Response(200, json={"recording_url": address})

    def _audio(self, conversation_id: str, authorization: str) -> httpx.Response:
        call = self._by_id.get(conversation_id)
        if call is None or call.as_of(self._now()).recording != "ready":
            return httpx.Response(403, headers={"Content-Type": "application/xml"}, content=b"<Error/>")
        if authorization:  # a signed address takes no other authorization
            return httpx.Response(400, headers={"Content-Type": "application/xml"}, content=b"<Error/>")
        headers = {"Content-Type": "audio/wav", "Content-Length": str(wav_size(call))}
        return httpx.Response(200, headers=headers, content=_chunks(call))


async def _chunks(call: SampleCall) -> AsyncIterator[bytes]:
    for chunk in wav_of(call):
        yield chunk


def _error(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"detail": message})


def _unprocessable(name: str) -> httpx.Response:
    detail = [{"loc": ["query", name], "msg": "Input should be valid", "type": "value_error"}]
    return httpx.Response(422, json={"detail": detail})


def _status(call: SampleCall) -> str:
    return "started" if call.status == "in_progress" else "ended"


def _ended_reason(call: SampleCall) -> str | None:
    if call.status == "in_progress":
        return None
    if call.status != "completed":
        return "unknown"
    return "agent_ended" if call.turns and call.turns[-1].role == "agent" else "user_ended"


def _item(call: SampleCall) -> JsonValue:
    is_running = call.status == "in_progress"
    return {
        "id": call.conversation_id,
        "uri": f"{_LIST}/{call.conversation_id}",
        "type": "outbound_phone_call",
        "account_id": "sample",
        "status": _status(call),
        "started_at": call.started_at.isoformat(),
        "ended_at": None if is_running else (call.ended_at or call.started_at).isoformat(),
        "agent_id": str(call.agent_id),
        "agent_config": {"prompt": call.agent_name, "webhooks": []},
        "messages": [
            {"role": "agent" if turn.role == "agent" else "user", "content": turn.text} for turn in call.turns
        ],
        "phone_call": {"provider": "twilio", "to_number": call.contact_number, "from_number": _AGENT_NUMBER},
        "ended_reason": _ended_reason(call),
        "cost_breakdown": None if is_running else _costs(call),
    }


def _costs(call: SampleCall) -> JsonValue:
    took = call.duration_seconds or 0
    costs = {name: round(took * rate, 6) for name, rate in _USD_PER_SECOND.items()}
    parts: Wire = {name: {"cost": cost, "provider": _PROVIDERS[name]} for name, cost in costs.items()}
    return parts | {"total": round(sum(costs.values()), 6)}
