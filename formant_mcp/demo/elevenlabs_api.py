"""ElevenLabs' API over the sample calls, below httpx: the list by cursor, one conversation, its audio.

Fields and statuses are those of the `elevenlabs` Python package's response types: a call that never connected, or broke
off, is `failed`, and why stands in its termination reason. What the agent extracted is sent as collected data, under
the same names.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime

import httpx
from pydantic import JsonValue

from formant_mcp.demo.audio import wav_of, wav_size
from formant_mcp.demo.calls import SampleCall

_LIST = "/v1/convai/conversations"
_MAX_PAGE_SIZE = 100
_AGENT_NUMBER = "+14155550100"

Wire = dict[str, JsonValue]


class SampleElevenLabsTransport(httpx.AsyncBaseTransport):
    """Answers for ElevenLabs from `calls`, as of `now()` (aware); any key will do. No network, no waiting.

    Others of the cursor family have the same shape at another `path`, with the key in another header.
    """

    def __init__(
        self,
        calls: Iterable[SampleCall],
        now: Callable[[], datetime],
        *,
        path: str = _LIST,
        key_header: str = "xi-api-key",
    ) -> None:
        self._calls = sorted(calls, key=lambda call: call.started_at, reverse=True)
        self._by_id = {call.conversation_id: call for call in self._calls}
        self._now = now
        self._path = path
        self._key_header = key_header

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One answer to one request."""
        if not request.headers.get(self._key_header, "").strip():
            return _error(401, "invalid_api_key", "Invalid API key")
        path = request.url.path
        if request.method != "GET" or not (path == self._path or path.startswith(f"{self._path}/")):
            return _error(404, "not_found", "Not Found")
        if path == self._path:
            return self._list(request.url.params)
        conversation_id, _, rest = path.removeprefix(f"{self._path}/").partition("/")
        return self._one(conversation_id, rest)

    def _list(self, params: httpx.QueryParams) -> httpx.Response:
        try:
            page_size = int(params.get("page_size", "30"))
            after, before = int(params.get("call_start_after_unix", "0")), params.get("call_start_before_unix")
            until = int(before) if before else None
        except ValueError:
            return _unprocessable("page_size")
        if not 1 <= page_size <= _MAX_PAGE_SIZE:
            return _unprocessable("page_size")
        now = self._now()
        calls = [
            call.as_of(now)
            for call in self._calls
            if call.started_at <= now
            and call.started_at.timestamp() > after
            and (until is None or call.started_at.timestamp() < until)
        ]
        asked = {name: params[name] for name in ("agent_id", "user_id", "call_successful") if name in params}
        calls = [call for call in calls if asked.items() <= _filtered_by(call).items()]
        ids = [call.conversation_id for call in calls]
        cursor = params.get("cursor")
        if cursor and cursor not in ids:
            return _unprocessable("cursor")
        begin = ids.index(cursor) + 1 if cursor else 0
        page = calls[begin : begin + page_size]
        has_more = begin + page_size < len(calls)
        with_summary = params.get("summary_mode") == "include"
        body: Wire = {
            "conversations": [_row(call, with_summary) for call in page],
            "next_cursor": page[-1].conversation_id if has_more else None,
            "has_more": has_more,
        }
        return httpx.Response(200, json=body)

    def _one(self, conversation_id: str, rest: str) -> httpx.Response:
        call, now = self._by_id.get(conversation_id), self._now()
        if call is None or call.started_at > now or rest not in ("", "audio"):
            return _error(404, "conversation_history_not_found", "Conversation not found")
        call = call.as_of(now)
        if not rest:
            return httpx.Response(200, json=_detail(call))
        if call.recording != "ready":
            return _error(404, "audio_not_found", "No audio found for this conversation")
        headers = {"Content-Type": "audio/wav", "Content-Length": str(wav_size(call))}
        return httpx.Response(200, headers=headers, content=_chunks(call))


async def _chunks(call: SampleCall) -> AsyncIterator[bytes]:
    for chunk in wav_of(call):
        yield chunk


def _error(status: int, kind: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"detail": {"status": kind, "message": message}})


def _unprocessable(name: str) -> httpx.Response:
    detail = [{"loc": ["query", name], "msg": "Input should be valid", "type": "value_error"}]
    return httpx.Response(422, json={"detail": detail})


def _filtered_by(call: SampleCall) -> dict[str, str]:
    return {"agent_id": str(call.agent_id), "user_id": _user_id(call), "call_successful": _success(call)}


def _user_id(call: SampleCall) -> str:
    return f"user_{call.contact_number.lstrip('+')}"


def _status(call: SampleCall) -> str:
    if call.status == "in_progress":
        return "in-progress"
    return "done" if call.status in ("completed", "voicemail_left") else "failed"


def _success(call: SampleCall) -> str:
    if call.status == "in_progress":
        return "unknown"
    return "success" if call.status == "completed" else "failure"


def _termination_reason(call: SampleCall) -> str | None:
    return "end_call tool was called." if call.status == "completed" else call.failure_reason


def _summary(call: SampleCall) -> str:
    return f"{call.agent_name}: the two spoke in {len(call.turns)} turns."


def _row(call: SampleCall, with_summary: bool) -> JsonValue:
    return {
        "agent_id": str(call.agent_id),
        "agent_name": call.agent_name,
        "conversation_id": call.conversation_id,
        "start_time_unix_secs": int(call.started_at.timestamp()),
        "call_duration_secs": round(call.duration_seconds or 0),
        "message_count": len(call.turns),
        "status": _status(call),
        "call_successful": _success(call),
        "termination_reason": _termination_reason(call),
        "transcript_summary": _summary(call) if with_summary and call.results is not None else None,
        "direction": "outbound",
    }


def _detail(call: SampleCall) -> JsonValue:
    return {
        "agent_id": str(call.agent_id),
        "agent_name": call.agent_name,
        "conversation_id": call.conversation_id,
        "user_id": _user_id(call),
        "status": _status(call),
        "has_audio": call.recording == "ready",
        "has_user_audio": call.recording == "ready",
        "has_response_audio": call.recording == "ready",
        "has_auxiliary_audio": False,
        "metadata": _metadata(call),
        "analysis": _analysis(call),
        "transcript": [
            {
                "role": "agent" if turn.role == "agent" else "user",
                "message": turn.text,
                "time_in_call_secs": int(turn.seconds),
                "tool_calls": [],
                "tool_results": [],
            }
            for turn in call.turns
        ],
    }


def _metadata(call: SampleCall) -> JsonValue:
    return {
        "start_time_unix_secs": int(call.started_at.timestamp()),
        "call_duration_secs": round(call.duration_seconds or 0),
        "termination_reason": _termination_reason(call),
        "phone_call": {
            "type": "twilio",
            "direction": "outbound",
            "phone_number_id": "phnum_sample",
            "agent_number": _AGENT_NUMBER,
            "external_number": call.contact_number,
            "stream_sid": call.trace_id,
            "call_sid": call.trace_id,
        },
    }


def _analysis(call: SampleCall) -> JsonValue:
    if call.status == "in_progress":
        return None
    collected: Wire = {
        name: {"data_collection_id": name, "value": value, "rationale": ""}
        for name, value in (call.results or {}).items()
    }
    return {
        "call_successful": _success(call),
        "transcript_summary": "" if call.results is None else _summary(call),
        "evaluation_criteria_results": {},
        "data_collection_results": collected,
    }
