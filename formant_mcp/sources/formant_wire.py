"""Formant's JSON made into our models.

Formant's guide and its OpenAPI document disagree about times and transcripts, so every documented form is read. A
field that cannot be read is not known; only an envelope that is wrong is an error.
"""

import re
from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.errors import InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page, Turn, clean
from formant_mcp.sources.wire_values import (
    AGENT_WORDS,
    CONTACT_WORDS,
    Wire,
    clean_json,
    count,
    first,
    flag,
    moment,
    number,
    role,
    seconds,
    seconds_between,
    text,
)

_SPOKEN_LINE = re.compile(rf"\s*({'|'.join(sorted(AGENT_WORDS | CONTACT_WORDS))})\s*:(.*)", re.IGNORECASE | re.DOTALL)
# Formant's guide, "Status values" and, for calls that still run, its pages on placing calls. The set is open.
_RUNNING = frozenset(
    {"initiated", "scheduled", "pending", "queued", "in_progress", "ongoing", "ringing", "started", "processing"}
)
_FAILED = frozenset(
    {"failed", "busy", "no_answer", "socket_failure", "telephony_failed", "unreachable", "canceled", "cancelled"}
)


def parse_page(wire: JsonValue) -> Page:
    """One page of the list. A row without a conversation_id costs that row alone.

    Raises:
        InvalidResponseError: `data` is not a list.
    """
    rows = wire.get("data") if isinstance(wire, dict) else None
    if not isinstance(wire, dict) or not isinstance(rows, list):
        raise _wrong_envelope("a list")
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
    data = wire.get("data") if isinstance(wire, dict) else None
    if data is None and isinstance(wire, dict) and "conversation_id" in wire:
        data = wire
    if not isinstance(data, dict):
        raise _wrong_envelope("an object")
    return _conversation(data, has_detail=True)


def parse_transcript(wire: JsonValue, started_at: datetime | None = None) -> tuple[Turn, ...] | None:
    """The turns of any documented form: objects, lines in a list, or one text of lines such as `BOT: Hello`."""
    items = [wire] if isinstance(wire, str) else wire
    if not isinstance(items, list):
        return None
    spoken: list[tuple[str, str, float | None]] = []
    for item in items:
        if isinstance(item, dict):
            spoken.append(_said(item, started_at))
        elif isinstance(item, str):
            spoken += [(who, words, None) for who, words in _said_in_lines(item)]
    return tuple(Turn(index, who, words, at) for index, (who, words, at) in enumerate(spoken))


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, wire.get("transcript") is not None and wire.get("results") is not None)


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    status = text(wire.get("status"))
    started_at, ended_at = moment(wire.get("start_timestamp")), moment(wire.get("end_timestamp"))
    duration_seconds = seconds(wire.get("duration_seconds"))
    if duration_seconds is None:
        duration_seconds = seconds_between(started_at, ended_at)
    if ended_at is None and duration_seconds is not None and not _is_running(status):
        ended_at = started_at + timedelta(seconds=duration_seconds) if started_at else None
    outcome, ended = _outcome(status, ended_at)
    return Conversation(
        conversation_id=text(wire.get("conversation_id")) or "",
        agent_id=text(wire.get("agent_id")),
        contact_number=text(wire.get("contact_number")),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=text(wire.get("failure_reason")),
        failure_reason_known=has_detail or "failure_reason" in wire,
        started_at=started_at,
        ended_at=ended_at,
        duration_seconds=duration_seconds,
        trace_id=text(wire.get("trace_id")),
        results=_results(wire.get("results")),
        turns=parse_transcript(wire.get("transcript"), started_at),
        has_detail=has_detail,
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


def _results(wire: JsonValue) -> Wire | None:
    if wire is None:
        return None
    cleaned = clean_json(wire)
    return cleaned if isinstance(cleaned, dict) else {"value": cleaned}


def _said(wire: Wire, started_at: datetime | None) -> tuple[str, str, float | None]:
    who = first(wire, "role", "speaker")
    words = first(wire, "message", "text", "content")
    at = first(wire, "start_time", "timestamp")
    return role(who), text(words) or "", _seconds_into_call(at, started_at)


def _said_in_lines(wire: str) -> list[tuple[str, str]]:
    spoken: list[tuple[str, str]] = []
    for line in wire.splitlines():
        if found := _SPOKEN_LINE.fullmatch(line):
            spoken.append((role(found[1]), clean(found[2])))
        elif spoken:
            who, words = spoken[-1]
            spoken[-1] = who, clean(f"{words} {line}")
        elif words := clean(line):
            spoken.append((role(None), words))
    return spoken


def _seconds_into_call(wire: JsonValue, started_at: datetime | None) -> float | None:
    """Seconds from the start, from such seconds or from a time; call and turn times may be rounded differently."""
    if (said_at := moment(wire)) is None:
        return seconds(number(wire))
    if started_at is None:
        return None
    offset = (said_at - started_at).total_seconds()
    return seconds(max(0.0, offset) if offset > -1 else offset)


def _wrong_envelope(expected: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"The answer's field 'data' is not {expected}.", "Check FORMANT_BASE_URL: another service may be answering."
    )
