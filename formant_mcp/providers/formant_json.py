"""Formant's JSON made into our models.

Formant's guide and its OpenAPI document disagree about times and transcripts, so every documented form is read. A
field that cannot be read is not known; only an envelope that is wrong is an error.
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.errors import ASK_AGAIN, CHECK_ADDRESS, InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page
from formant_mcp.providers.json_values import (
    Fields,
    Wire,
    contact,
    count,
    first,
    flag,
    moment,
    object_of,
    rows_of,
    seconds,
    seconds_between,
    text,
)
from formant_mcp.providers.results import read_results
from formant_mcp.providers.transcripts import transcript_of

_OF_ONE = frozenset({"conversation_id", "transcript", "results"})
# Formant's guide, "Status values" and, for calls that still run, its pages on placing calls. The set is open.
_RUNNING = frozenset(
    {"initiated", "scheduled", "pending", "queued", "in_progress", "ongoing", "ringing", "started", "processing"}
)
_FAILED = frozenset(
    {"failed", "busy", "no_answer", "socket_failure", "telephony_failed", "unreachable", "canceled", "cancelled"}
)


def parse_page(wire: JsonValue) -> Page:
    """One page of the list, an empty one where it is null. A row without a conversation_id costs that row alone.

    Raises:
        InvalidResponseError: `data` is not a list, or the answer is an error.
    """
    if not isinstance(wire, dict) or (rows := rows_of(wire, "data")) is None:
        raise _wrong_envelope("a list")
    if not rows and first(wire, "error", "errors"):
        raise InvalidResponseError("The answer is an error, although its status says success.", ASK_AGAIN)
    conversations = tuple(
        conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id
    )
    return Page(
        conversations=conversations,
        row_count=len(rows),
        has_more=flag(wire.get("has_more")),
        total=count(wire.get("total")),
        unreadable=len(rows) - len(conversations),
    )


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with transcript and results; its id is empty where none was sent.

    Raises:
        InvalidResponseError: `data` is not an object.
    """
    data = object_of(wire, _OF_ONE)
    if data is None or (data is wire and data.keys().isdisjoint(_OF_ONE)):
        raise _wrong_envelope("an object")
    return _conversation(data, has_detail=True)


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, wire.get("transcript") is not None and wire.get("results") is not None)


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    fields = Fields(wire)
    status = fields.read("status", text)
    started_at = fields.read("started_at", moment, "start_timestamp")
    ended_at = fields.read("duration_seconds", moment, "end_timestamp")
    duration_seconds = fields.read("duration_seconds", seconds)
    if duration_seconds is None:
        duration_seconds = seconds_between(started_at, ended_at)
    if ended_at is None and duration_seconds is not None and not _is_running(status):
        ended_at = started_at + timedelta(seconds=duration_seconds) if started_at else None
    outcome, ended = _outcome(status, ended_at)
    transcript = transcript_of(wire, "transcript", started_at, duration_seconds)
    results, lost = read_results(wire.get("results"))
    return Conversation(
        conversation_id=text(wire.get("conversation_id")) or "",
        agent_id=fields.read("agent_id", text),
        contact_number=fields.read("contact_number", contact),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=fields.read("failure_reason", text),
        failure_reason_known=has_detail or "failure_reason" in wire,
        started_at=started_at,
        ended_at=ended_at,
        duration_seconds=duration_seconds,
        trace_id=text(wire.get("trace_id")),
        results=results,
        turns=transcript.turns,
        has_detail=has_detail,
        unreadable=replace(transcript.unreadable, results=lost, fields=fields.lost),
    )


def _plain(status: str | None) -> str:
    return re.sub(r"[-\s]+", "_", status or "").lower()


def _is_running(status: str | None) -> bool:
    return _plain(status) in _RUNNING


def _outcome(status: str | None, ended_at: datetime | None) -> tuple[Outcome, bool]:
    """How the call ended as far as the status tells, and whether it ended."""
    if status is None:
        return None, ended_at is not None
    if _is_running(status):
        return None, False
    if _plain(status) == "completed":
        return "success", True
    return ("failure" if _plain(status) in _FAILED or ended_at else None), True


def _wrong_envelope(expected: str) -> InvalidResponseError:
    return InvalidResponseError(f"The answer's field 'data' is not {expected}.", CHECK_ADDRESS)
