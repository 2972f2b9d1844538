"""The sample calls as Formant sends them, in every documented form.

The documents contradict each other, so one call is sent in one form and the next in another: milliseconds or seconds,
four kinds of transcript, whole list rows or short ones, absent fields null or left out. The call's id alone decides
which. Sources: Formant's guide "Conversations" (`_GUIDE_ROW`, `_GUIDE_DETAIL`) and its OpenAPI examples.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Row
from formant_mcp.demo.apis.formant import FormantApi
from formant_mcp.demo.calls import SampleCall
from formant_mcp.demo.sample_api import SampleApi
from formant_mcp.demo.script import SampleTurn

_GUIDE_ROW = {
    "agent_id", "contact_number", "conversation_id", "duration_seconds", "end_timestamp", "start_timestamp", "status",
}  # fmt: skip
_GUIDE_DETAIL = {
    "agent_id", "contact_number", "conversation_id", "duration_seconds", "failure_reason", "results", "status",
    "trace_id", "transcript",
}  # fmt: skip


class SampleFormant(SampleApi, FormantApi):
    """Formant's API over the sample calls."""

    def row_of(self, call: SampleCall) -> Row:
        return _row(call)

    def whole_of(self, call: SampleCall) -> Row:
        return _detail(call)


@dataclass(frozen=True, slots=True)
class _Form:
    """The form in which one call is sent."""

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


def _row(call: SampleCall) -> Row:
    form = _Form.of(call)
    fields = _fields(call, form)
    return fields if form.whole_row else {name: value for name, value in fields.items() if name in _GUIDE_ROW}


def _detail(call: SampleCall) -> Row:
    form = _Form.of(call)
    fields = _fields(call, form)
    return fields if form.whole_detail else {name: value for name, value in fields.items() if name in _GUIDE_DETAIL}


def _fields(call: SampleCall, form: _Form) -> Row:
    duration = call.duration_seconds
    fields: Row = {
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
