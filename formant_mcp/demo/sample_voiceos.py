"""The sample calls as VoiceOS sends them.

VoiceOS has no fields for results or failure reasons: a failed call has the reason `unknown`. Every sample call is
outbound. Costs follow from the duration.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Request, Response, Row
from formant_mcp.demo.apis.voiceos import VoiceOsApi, VoiceOsFiles
from formant_mcp.demo.calls import SampleCall
from formant_mcp.demo.sample_api import SampleApi

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


class SampleVoiceOs(SampleApi, VoiceOsApi):
    """VoiceOS' API over the sample calls, and the host of their recordings."""

    def __init__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> None:
        super().__init__(calls, now)
        self.audio_url = f"https://{_RECORDINGS}"
        self._files = VoiceOsFiles(self.recording_of, self.recording_type)

    def respond(self, request: Request) -> Response:
        return self._files.respond(request) if request.headers.get("host") == _RECORDINGS else super().respond(request)

    def row_of(self, call: SampleCall) -> Row:
        return _item(call)


def _status(call: SampleCall) -> str:
    return "started" if call.status == "in_progress" else "ended"


def _ended_reason(call: SampleCall) -> str | None:
    if call.status == "in_progress":
        return None
    if call.status != "completed":
        return "unknown"
    return "agent_ended" if call.turns and call.turns[-1].role == "agent" else "user_ended"


def _item(call: SampleCall) -> Row:
    is_running = call.status == "in_progress"
    return {
        "id": call.conversation_id,
        "uri": f"/conversations/{call.conversation_id}",
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
    parts: Row = {name: {"cost": cost, "provider": _PROVIDERS[name]} for name, cost in costs.items()}
    return parts | {"total": round(sum(costs.values()), 6)}
