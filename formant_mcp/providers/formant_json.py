"""Parses Formant's JSON into our models.

Formant's guide and its OpenAPI document disagree about times and transcripts, so every documented form is accepted. A
field that cannot be read is None; only a wrong envelope is an error.
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from pydantic import JsonValue

from formant_mcp.errors import ASK_AGAIN, CHECK_ADDRESS, InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page
from formant_mcp.providers.json_values import (
    Fields,
    Wire,
    as_bool,
    as_contact,
    as_count,
    as_datetime,
    as_seconds,
    as_text,
    first_present,
    object_of,
    rows_of,
    seconds_between,
)
from formant_mcp.providers.results import read_results
from formant_mcp.providers.transcripts import transcript_of

_DETAIL_FIELDS = frozenset({"conversation_id", "transcript", "results"})
# Formant's guide, "Status values" and, for running calls, its pages on placing calls. The set is open.
_RUNNING = frozenset(
    {"initiated", "scheduled", "pending", "queued", "in_progress", "ongoing", "ringing", "started", "processing"}
)
_FAILED = frozenset(
    {"failed", "busy", "no_answer", "socket_failure", "telephony_failed", "unreachable", "canceled", "cancelled"}
)


def parse_page(wire: JsonValue) -> Page:
    """One page of the list; null is an empty page. A row without a conversation_id is counted as unreadable.

    Raises:
        InvalidResponseError: `data` is not a list, or the response is an error.
    """
    if not isinstance(wire, dict) or (rows := rows_of(wire, "data")) is None:
        raise _wrong_envelope("a list")
    if not rows and first_present(wire, "error", "errors"):
        raise InvalidResponseError("The response is an error, although its status says success.", ASK_AGAIN)
    conversations = tuple(
        conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id
    )
    return Page(
        conversations=conversations,
        row_count=len(rows),
        has_more=as_bool(wire.get("has_more")),
        total=as_count(wire.get("total")),
        unreadable=len(rows) - len(conversations),
    )


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with transcript and results; its id is empty if none was sent.

    Raises:
        InvalidResponseError: `data` is not an object.
    """
    data = object_of(wire, _DETAIL_FIELDS)
    is_enveloped = isinstance(wire, dict) and data is not wire
    if data is None or (not is_enveloped and data.keys().isdisjoint(_DETAIL_FIELDS)):
        raise _wrong_envelope("an object")
    return _conversation(data, has_detail=True)


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, wire.get("transcript") is not None and wire.get("results") is not None)


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    fields = Fields(wire)
    status = fields.read("status", as_text)
    started_at = fields.read("started_at", as_datetime, "start_timestamp")
    ended_at = fields.read("duration_seconds", as_datetime, "end_timestamp")
    duration_seconds = fields.read("duration_seconds", as_seconds)
    if duration_seconds is None:
        duration_seconds = seconds_between(started_at, ended_at)
    if ended_at is None and duration_seconds is not None and not _is_running(status):
        ended_at = started_at + timedelta(seconds=duration_seconds) if started_at else None
    outcome, ended = _outcome(status, ended_at)
    transcript = transcript_of(wire, "transcript", started_at, duration_seconds)
    results, lost = read_results(wire.get("results"))
    return Conversation(
        conversation_id=as_text(wire.get("conversation_id")) or "",
        agent_id=fields.read("agent_id", as_text),
        contact_number=fields.read("contact_number", as_contact),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=fields.read("failure_reason", as_text),
        failure_reason_known=has_detail or "failure_reason" in wire,
        started_at=started_at,
        ended_at=ended_at,
        duration_seconds=duration_seconds,
        trace_id=as_text(wire.get("trace_id")),
        results=results,
        turns=transcript.turns,
        has_detail=has_detail,
        unreadable=replace(transcript.unreadable, results=lost, fields=fields.lost)
        if lost or fields.lost
        else transcript.unreadable,
    )


@lru_cache(4096)
def _plain(status: str | None) -> str:
    return re.sub(r"[-\s]+", "_", status or "").lower()


def _is_running(status: str | None) -> bool:
    return _plain(status) in _RUNNING


def _outcome(status: str | None, ended_at: datetime | None) -> tuple[Outcome, bool]:
    """How the call ended, as far as the status says, and whether it ended."""
    if status is None:
        return None, ended_at is not None
    if _is_running(status):
        return None, False
    if _plain(status) == "completed":
        return "success", True
    return ("failure" if _plain(status) in _FAILED or ended_at else None), True


def _wrong_envelope(expected: str) -> InvalidResponseError:
    return InvalidResponseError(f"The response's field 'data' is not {expected}.", CHECK_ADDRESS)
