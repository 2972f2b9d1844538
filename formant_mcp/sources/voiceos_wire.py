"""VoiceOS' JSON made into our models.

A field that cannot be read is not known; only an answer that is no page or no conversation at all is an error.
`agent_config` (prompt, voices, webhooks: large, and may hold secrets) is not read. Source: VoiceOS' reference, "List
Conversations".
"""

from pydantic import JsonValue

from formant_mcp.errors import InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page, Turn
from formant_mcp.source import CursorPage
from formant_mcp.sources.wire_values import (
    Wire,
    count,
    flag,
    moment,
    number,
    part,
    role,
    seconds_between,
    text,
)

_OF_ONE = frozenset({"id", "status", "messages"})
_RUNNING = frozenset({"started", "queued"})
_NORMAL_ENDS = frozenset({"agent_ended", "user_ended"})
_CONTACT_FIELD = {"inbound_phone_call": "from_number", "outbound_phone_call": "to_number"}
_CHECK_ADDRESS = "Check FORMANT_BASE_URL: another service may be answering."
_TELL_PROVIDER = "Ask again; if it stays so, tell the provider."


def parse_page(wire: JsonValue, index: int) -> CursorPage:
    """The page of that index, its next cursor being the next index. A row without an id costs that row alone.

    Where the answer does not say whether there is more, the list goes on until a page is empty.

    Raises:
        InvalidResponseError: there is no list, or it is another page.
    """
    rows = wire.get("items") if isinstance(wire, dict) else None
    if not isinstance(wire, dict) or not isinstance(rows, list):
        raise InvalidResponseError("The answer's field 'items' is not a list.", _CHECK_ADDRESS)
    stated = count(wire.get("index"))
    if stated is not None and stated != index:
        raise InvalidResponseError(f"The answer is page {stated} and not page {index}, as asked for.", _TELL_PROVIDER)
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
    if not isinstance(wire, dict) or wire.keys().isdisjoint(_OF_ONE):
        raise InvalidResponseError("The answer is not a conversation.", _CHECK_ADDRESS)
    return _conversation(wire, has_detail=True)


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, has_detail=isinstance(wire.get("messages"), list))


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    status, kind, ended_reason = text(wire.get("status")), text(wire.get("type")), text(wire.get("ended_reason"))
    started_at, ended_at = moment(wire.get("started_at")), moment(wire.get("ended_at"))
    ended = ended_at is not None if status is None else status.lower() not in _RUNNING
    outcome = _outcome(ended_reason) if ended else None
    return Conversation(
        conversation_id=text(wire.get("id")) or "",
        agent_id=text(wire.get("agent_id")),
        contact_number=text(part(wire, "phone_call").get(_CONTACT_FIELD.get(kind or "", ""))),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=ended_reason if outcome == "failure" else None,
        failure_reason_known=has_detail or "ended_reason" in wire,
        started_at=started_at,
        ended_at=ended_at if ended else None,
        duration_seconds=seconds_between(started_at, ended_at) if ended else None,
        results=_results(kind, ended_reason, part(wire, "cost_breakdown")),
        turns=_turns(wire.get("messages")),
        has_detail=has_detail,
    )


def _outcome(ended_reason: str | None) -> Outcome:
    """Ended by one of the two is a normal end; `unknown`, or a reason that is not documented, is a failure."""
    if ended_reason is None:
        return None
    return "success" if ended_reason.lower() in _NORMAL_ENDS else "failure"


def _results(kind: str | None, ended_reason: str | None, costs: Wire) -> Wire | None:
    """What the call was, how it ended, and what it cost in USD: in all (`total`) and for each part."""
    results: Wire = {}
    if kind:
        results["type"] = kind
    if ended_reason:
        results["ended_reason"] = ended_reason
    cost: Wire = {
        name: figure
        for name, sent in costs.items()
        if (figure := number(sent.get("cost") if isinstance(sent, dict) else sent)) is not None
    }
    if cost:
        results["cost"] = cost
    return results or None


def _turns(wire: JsonValue) -> tuple[Turn, ...] | None:
    """The messages in order; their times are not told."""
    if not isinstance(wire, list):
        return None
    messages = [each for each in wire if isinstance(each, dict)]
    return tuple(
        Turn(index, role(each.get("role")), text(each.get("content")) or "") for index, each in enumerate(messages)
    )
