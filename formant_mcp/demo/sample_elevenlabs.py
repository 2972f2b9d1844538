"""The sample calls as ElevenLabs sends them, and as Voiceable does.

Fields and statuses are those of the `elevenlabs` Python package's response types: a call that never connected or was
cut off is `failed`, and the reason is its termination reason. What the agent extracted is sent as collected data, under
the same names. Voiceable documents fewer fields of a row, and the start as text; the rest is in the row's metadata.
"""

from datetime import UTC

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Row
from formant_mcp.demo.apis.elevenlabs import ElevenLabsApi, VoiceableApi
from formant_mcp.demo.calls import SampleCall
from formant_mcp.demo.sample_api import SampleApi

_AGENT_NUMBER = "+14155550100"


class SampleElevenLabs(SampleApi, ElevenLabsApi):
    """ElevenLabs' API over the sample calls."""

    def row_of(self, call: SampleCall) -> Row:
        return _row(call)

    def whole_of(self, call: SampleCall) -> Row:
        return _detail(call)


class SampleVoiceable(SampleApi, VoiceableApi):
    """Voiceable's API over the sample calls."""

    def row_of(self, call: SampleCall) -> Row:
        return _voiceable_row(call)

    def whole_of(self, call: SampleCall) -> Row:
        return _detail(call)


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


def _row(call: SampleCall) -> Row:
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
        "transcript_summary": _summary(call) if call.results is not None else None,
        "direction": "outbound",
    }


def _voiceable_row(call: SampleCall) -> Row:
    row = _row(call)
    metadata: JsonValue = {name: row.pop(name) for name in ("call_duration_secs", "termination_reason", "direction")}
    created_at = call.started_at.astimezone(UTC).replace(microsecond=0).isoformat()
    return {name: value for name, value in row.items() if name not in ("start_time_unix_secs", "message_count")} | {
        "metadata": metadata,
        "created_at": created_at,
    }


def _detail(call: SampleCall) -> Row:
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
    collected: Row = {
        name: {"data_collection_id": name, "value": value, "rationale": ""}
        for name, value in (call.results or {}).items()
    }
    return {
        "call_successful": _success(call),
        "transcript_summary": "" if call.results is None else _summary(call),
        "evaluation_criteria_results": {},
        "data_collection_results": collected,
    }
