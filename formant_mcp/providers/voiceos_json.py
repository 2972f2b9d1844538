"""Parses VoiceOS' JSON into our models.

A field that cannot be read is None; only a response that is not a page or a conversation at all is an error.
`agent_config` (prompt, voices, webhooks: large, and may hold secrets) is not read. Source: VoiceOS' reference, "List
Conversations".
"""

from dataclasses import replace

from pydantic import JsonValue

from formant_mcp.errors import ASK_AGAIN, CHECK_ADDRESS, InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.json_values import (
    Fields,
    Wire,
    as_bool,
    as_contact,
    as_count,
    as_datetime,
    as_direction,
    as_float,
    as_object,
    as_text,
    first_present,
    is_something,
    object_of,
    rows_of,
    seconds_between,
)
from formant_mcp.providers.transcripts import transcript_of

_DETAIL_FIELDS = frozenset({"id", "messages"})
_RUNNING = frozenset({"started", "queued"})
_NORMAL_ENDS = frozenset({"agent_ended", "user_ended"})
_CONTACT_FIELD = {"inbound_phone_call": "from_number", "outbound_phone_call": "to_number"}


def parse_page(wire: JsonValue, index: int) -> CursorPage:
    """The page of that index; its next cursor is the next index. A row without an id is counted as unreadable.

    A null list is empty. If the response does not say whether there is more, the list continues until an empty page.

    Raises:
        InvalidResponseError: there is no list, it is another page, or the response is an error.
    """
    if not isinstance(wire, dict) or (rows := rows_of(wire, "items")) is None:
        raise InvalidResponseError("The response's field 'items' is not a list.", CHECK_ADDRESS)
    if not rows and first_present(wire, "error", "errors"):
        raise InvalidResponseError("The response is an error, although its status says success.", ASK_AGAIN)
    stated = as_count(wire.get("index"))
    if stated is not None and stated != index:
        raise InvalidResponseError(f"The response is page {stated}, not page {index} as requested.", ASK_AGAIN)
    conversations = tuple(
        conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id
    )
    has_more = wire.get("has_more")
    goes_on = bool(rows) if has_more is None else as_bool(has_more)
    page = Page(conversations, len(rows), goes_on, unreadable=len(rows) - len(conversations))
    return CursorPage(page, str(index + 1) if goes_on else "")


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with its messages and results; its id is empty if none was sent.

    Raises:
        InvalidResponseError: there is no conversation.
    """
    body = object_of(wire, _DETAIL_FIELDS)
    if body is None or body.keys().isdisjoint(_DETAIL_FIELDS | {"status"}):
        raise InvalidResponseError("The response is not a conversation.", CHECK_ADDRESS)
    return _conversation(body, has_detail=True)


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, has_detail=wire.get("messages") is not None)


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    fields, kind = Fields(wire), as_text(wire.get("type"))
    status, ended_reason = fields.read("status", as_text), fields.read("failure_reason", as_text, "ended_reason")
    started_at = fields.read("started_at", as_datetime)
    ended_at = fields.read("duration_seconds", as_datetime, "ended_at")
    ended = ended_at is not None if status is None else status.lower() not in _RUNNING
    outcome = _outcome(ended_reason) if ended else None
    duration_seconds = seconds_between(started_at, ended_at) if ended else None
    contact_sent = as_object(wire, "phone_call").get(_CONTACT_FIELD.get(kind or "", ""))
    transcript = transcript_of(wire, "messages", started_at, duration_seconds)
    cost, lost = _cost(wire.get("cost_breakdown"))
    return Conversation(
        conversation_id=as_text(wire.get("id")) or "",
        agent_id=fields.read("agent_id", as_text),
        direction=fields.read("direction", as_direction, "type"),
        contact_number=fields.understood("contact_number", as_contact, contact_sent),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=ended_reason if outcome == "failure" else None,
        failure_reason_known=has_detail or "ended_reason" in wire,
        started_at=started_at,
        ended_at=ended_at if ended else None,
        duration_seconds=duration_seconds,
        results=_results(kind, ended_reason, cost),
        turns=transcript.turns,
        has_detail=has_detail,
        unreadable=replace(transcript.unreadable, results=lost, fields=fields.lost),
    )


def _outcome(ended_reason: str | None) -> Outcome:
    """A call ended by agent or contact ended normally; `unknown`, or an undocumented reason, is a failure."""
    if ended_reason is None:
        return None
    return "success" if ended_reason.lower() in _NORMAL_ENDS else "failure"


def _results(kind: str | None, ended_reason: str | None, cost: Wire) -> Wire | None:
    """The type of the call, how it ended, and its cost."""
    results: Wire = {}
    if kind:
        results["type"] = kind
    if ended_reason:
        results["ended_reason"] = ended_reason
    if cost:
        results["cost"] = cost
    return results or None


def _cost(wire: JsonValue) -> tuple[Wire, int]:
    """The cost of the call in USD, in all (`total`) and per part; and how many of these are not numbers."""
    if not isinstance(wire, dict):
        return {}, int(is_something(wire))
    sent = {name: part.get("cost") if isinstance(part, dict) else part for name, part in wire.items()}
    cost: Wire = {name: figure for name, part in sent.items() if (figure := as_float(part)) is not None}
    return cost, sum(is_something(part) for name, part in sent.items() if name not in cost)
