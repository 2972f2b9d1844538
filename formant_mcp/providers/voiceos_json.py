"""VoiceOS' JSON made into our models.

A field that cannot be read is not known; only an answer that is no page or no conversation at all is an error.
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
    contact,
    count,
    direction,
    first,
    flag,
    is_something,
    moment,
    number,
    object_of,
    part,
    rows_of,
    seconds_between,
    text,
)
from formant_mcp.providers.transcripts import transcript_of

_OF_ONE = frozenset({"id", "messages"})
_RUNNING = frozenset({"started", "queued"})
_NORMAL_ENDS = frozenset({"agent_ended", "user_ended"})
_CONTACT_FIELD = {"inbound_phone_call": "from_number", "outbound_phone_call": "to_number"}


def parse_page(wire: JsonValue, index: int) -> CursorPage:
    """The page of that index, its next cursor being the next index. A row without an id costs that row alone.

    A list that is null is empty. Where the answer does not say whether there is more, it goes on to an empty page.

    Raises:
        InvalidResponseError: there is no list, it is another page, or the answer is an error.
    """
    if not isinstance(wire, dict) or (rows := rows_of(wire, "items")) is None:
        raise InvalidResponseError("The answer's field 'items' is not a list.", CHECK_ADDRESS)
    if not rows and first(wire, "error", "errors"):
        raise InvalidResponseError("The answer is an error, although its status says success.", ASK_AGAIN)
    stated = count(wire.get("index"))
    if stated is not None and stated != index:
        raise InvalidResponseError(f"The answer is page {stated} and not page {index}, as asked for.", ASK_AGAIN)
    read = tuple(conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id)
    has_more = wire.get("has_more")
    goes_on = bool(rows) if has_more is None else flag(has_more)
    return CursorPage(
        Page(read, len(rows), goes_on, unreadable=len(rows) - len(read)), str(index + 1) if goes_on else ""
    )


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with its messages and results; its id is empty where none was sent.

    Raises:
        InvalidResponseError: there is no conversation.
    """
    body = object_of(wire, _OF_ONE)
    if body is None or body.keys().isdisjoint(_OF_ONE | {"status"}):
        raise InvalidResponseError("The answer is not a conversation.", CHECK_ADDRESS)
    return _conversation(body, has_detail=True)


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, has_detail=wire.get("messages") is not None)


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    fields, kind = Fields(wire), text(wire.get("type"))
    status, ended_reason = fields.read("status", text), fields.read("failure_reason", text, "ended_reason")
    started_at = fields.read("started_at", moment)
    ended_at = fields.read("duration_seconds", moment, "ended_at")
    ended = ended_at is not None if status is None else status.lower() not in _RUNNING
    outcome = _outcome(ended_reason) if ended else None
    duration_seconds = seconds_between(started_at, ended_at) if ended else None
    contact_sent = part(wire, "phone_call").get(_CONTACT_FIELD.get(kind or "", ""))
    transcript = transcript_of(wire, "messages", started_at, duration_seconds)
    cost, lost = _cost(wire.get("cost_breakdown"))
    return Conversation(
        conversation_id=text(wire.get("id")) or "",
        agent_id=fields.read("agent_id", text),
        direction=fields.read("direction", direction, "type"),
        contact_number=fields.understood("contact_number", contact, contact_sent),
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
    """Ended by one of the two is a normal end; `unknown`, or a reason that is not documented, is a failure."""
    if ended_reason is None:
        return None
    return "success" if ended_reason.lower() in _NORMAL_ENDS else "failure"


def _results(kind: str | None, ended_reason: str | None, cost: Wire) -> Wire | None:
    """What the call was, how it ended, and what it cost."""
    results: Wire = {}
    if kind:
        results["type"] = kind
    if ended_reason:
        results["ended_reason"] = ended_reason
    if cost:
        results["cost"] = cost
    return results or None


def _cost(wire: JsonValue) -> tuple[Wire, int]:
    """What the call cost in USD, in all (`total`) and for each part; how many of these are no figure."""
    if not isinstance(wire, dict):
        return {}, int(is_something(wire))
    sent = {name: each.get("cost") if isinstance(each, dict) else each for name, each in wire.items()}
    cost: Wire = {name: figure for name, each in sent.items() if (figure := number(each)) is not None}
    return cost, sum(is_something(each) for name, each in sent.items() if name not in cost)
