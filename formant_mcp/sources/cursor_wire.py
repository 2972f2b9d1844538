"""The cursor family's JSON made into our models: ElevenLabs' shape, bare or in an envelope.

A field that cannot be read is not known; only an answer that is no page or no conversation at all is an error. What
configures an agent or calls a tool (headers, bodies, parameters) may hold secrets and is not read.
Source: the `elevenlabs` Python package's response types, and the page "Conversations" that Voiceable publishes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.errors import InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page, Turn
from formant_mcp.source import CursorPage
from formant_mcp.sources.http import refusal
from formant_mcp.sources.wire_values import Wire, clean_json, count, first, flag, moment, part, role, seconds, text

_LISTS = ("conversations", "items")  # the name in Voiceable's envelope is not published
_OF_ONE = frozenset({"conversation_id", "transcript", "metadata"})
_RUNNING = frozenset({"initiated", "in-progress", "processing"})
_ANALYSES = (("evaluation", "evaluation_criteria_results", "result"), ("data", "data_collection_results", "value"))
_LONGEST_ERROR = 300
_TELL_PROVIDER = "Ask again; if it stays so, tell the provider."
_CHECK_ADDRESS = "Check FORMANT_BASE_URL: another service may be answering."


def parse_page(wire: JsonValue, cursor: str) -> CursorPage:
    """The page at `cursor`. A row without a conversation_id costs that row alone.

    Raises:
        InvalidResponseError: there is no list, or no way on although the list goes on.
        FormantError: an error inside an answer that says 200, by its code.
    """
    outer, body = _opened(wire)
    fields = outer | body if isinstance(body, dict) else outer
    rows = body if isinstance(body, list) else first(fields, *_LISTS)
    if not isinstance(rows, list):
        raise InvalidResponseError("The answer's field 'conversations' is not a list.", _CHECK_ADDRESS)
    read = tuple(conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id)
    next_cursor = _next_cursor(fields, cursor)
    page = Page(read, len(rows), bool(next_cursor), count(fields.get("total")), len(rows) - len(read))
    return CursorPage(page, next_cursor)


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with transcript and results; its id is empty where none was sent.

    Raises:
        InvalidResponseError: there is no conversation.
        FormantError: an error inside an answer that says 200, by its code.
    """
    _, body = _opened(wire)
    if not isinstance(body, dict) or body.keys().isdisjoint(_OF_ONE):
        raise InvalidResponseError("The answer is not a conversation.", _CHECK_ADDRESS)
    return _conversation(body, has_detail=True)


def parse_transcript(wire: JsonValue) -> tuple[Turn, ...] | None:
    """The turns: what was said, and each tool's call and result as a turn of the role `tool`."""
    if not isinstance(wire, list):
        return None
    said = [each for entry in wire if isinstance(entry, dict) for each in _said(entry)]
    return tuple(Turn(index, *each) for index, each in enumerate(said))


def _opened(wire: JsonValue) -> tuple[Wire, JsonValue]:
    """The answer's own fields, and what it carries: `data` where it is an envelope, else itself."""
    if not isinstance(wire, dict):
        return {}, wire
    status = wire.get("status")
    code = count(status.get("code") if isinstance(status, dict) else status)
    if code is not None and code >= 400:
        raise refusal(code)
    if wire.keys() & {"conversation_id", *_LISTS}:
        return wire, wire
    if wire.get("data") is None and first(wire, "error", "errors"):
        raise InvalidResponseError("The answer is an error, although its status says success.", _TELL_PROVIDER)
    return wire, wire.get("data", wire)


def _next_cursor(fields: Wire, cursor: str) -> str:
    sent = fields.get("next_cursor") if "next_cursor" in fields else fields.get("cursor")
    next_cursor = sent if isinstance(sent, str) else text(sent) or ""  # opaque: passed on as it came
    has_more = fields.get("has_more")
    if not (bool(next_cursor) if has_more is None else flag(has_more)):
        return ""
    if not next_cursor:
        raise InvalidResponseError(
            "The answer says that the list goes on ('has_more') but gives no cursor.", _TELL_PROVIDER
        )
    if next_cursor == cursor:
        raise InvalidResponseError("The provider gave the same cursor again: its list would never end.", _TELL_PROVIDER)
    return next_cursor


def _row(wire: Wire) -> Conversation:
    return _conversation(wire, isinstance(wire.get("transcript"), list) and isinstance(wire.get("analysis"), dict))


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    metadata, analysis = part(wire, "metadata"), part(wire, "analysis")

    def sent(*names: str) -> JsonValue:
        return next(
            (value for where in (wire, metadata, analysis) if (value := first(where, *names)) is not None), None
        )

    status, duration_seconds = text(wire.get("status")), seconds(sent("call_duration_secs"))
    ended = duration_seconds is not None if status is None else _plain(status) not in _RUNNING
    started_at = moment(sent("start_time_unix_secs", "created_at"))
    if not ended:
        duration_seconds = duration_seconds or None  # a call that runs is listed with 0
    outcome = _outcome(sent("call_successful"), status) if ended else None
    failed = ended and (outcome == "failure" or _plain(status) == "failed")
    reason = text(sent("termination_reason")) or _error(metadata.get("error"))
    return Conversation(
        conversation_id=text(wire.get("conversation_id")) or "",
        agent_id=text(wire.get("agent_id")),
        agent_name=text(wire.get("agent_name")),
        contact_number=text(part(metadata, "phone_call").get("external_number")),
        user_id=text(wire.get("user_id")) or text(part(wire, "conversation_initiation_client_data").get("user_id")),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=reason if failed else None,
        failure_reason_known=has_detail or (ended and (not failed or reason is not None)),
        started_at=started_at,
        ended_at=_later(started_at, duration_seconds) if ended else None,
        duration_seconds=duration_seconds,
        results=_results(analysis, sent("transcript_summary")),
        turns=parse_transcript(wire.get("transcript")),
        has_detail=has_detail,
    )


def _later(started_at: datetime | None, duration_seconds: float | None) -> datetime | None:
    return None if started_at is None or duration_seconds is None else started_at + timedelta(seconds=duration_seconds)


def _plain(status: str | None) -> str:
    return (status or "").lower().replace("_", "-").replace(" ", "-")


def _outcome(said: JsonValue, status: str | None) -> Outcome:
    """The provider's own word, `unknown` being neither; where it says nothing, a call that failed is a failure."""
    if said is None:
        return "failure" if _plain(status) == "failed" else None
    word = said.lower() if isinstance(said, str) else said
    if word in ("success", True):
        return "success"
    return "failure" if word in ("failure", False) else None


def _error(wire: JsonValue) -> str | None:
    if not isinstance(wire, dict):
        return text(wire)
    code = text(wire.get("code"))
    return text(wire.get("reason")) or (f"error {code}" if code else None)


def _results(analysis: Wire, summary: JsonValue) -> Wire | None:
    """The provider's summary, and by id what was evaluated and collected, with why beside it."""
    results: Wire = {"summary": said} if (said := text(summary)) else {}
    for ours, theirs, value in _ANALYSES:
        entries = part(analysis, theirs)
        values = {key: entry.get(value) if isinstance(entry, dict) else entry for key, entry in entries.items()}
        why = {
            key: entry["rationale"]
            for key, entry in entries.items()
            if isinstance(entry, dict) and entry.get("rationale")
        }
        results |= {name: each for name, each in ((ours, values), (f"{ours}_rationale", why)) if each}
    cleaned = clean_json(results)
    return cleaned if isinstance(cleaned, dict) and cleaned else None


def _said(wire: Wire) -> Iterator[tuple[str, str, float | None]]:
    at = seconds(wire.get("time_in_call_secs"))
    tools = [*map(_tool_call, _objects(wire.get("tool_calls"))), *map(_tool_result, _objects(wire.get("tool_results")))]
    words = text(first(wire, "message", "text", "content")) or _voices(part(wire, "multivoice_message"))
    if words or not tools:
        yield role(wire.get("role")), words, at
    for line in tools:
        yield "tool", line, at


def _voices(wire: Wire) -> str:
    """What an agent with several voices said, one part after the other."""
    return " ".join(said for each in _objects(wire.get("parts")) if (said := text(each.get("text"))))


def _tool_call(wire: Wire) -> str:
    was_made = wire.get("tool_has_been_called") is not False
    return f"tool call {_tool_name(wire)}{'' if was_made else ': not made'}"


def _tool_result(wire: Wire) -> str:
    if not flag(wire.get("is_error")):
        return f"tool result {_tool_name(wire)}"
    # What the agent was told: the raw message of a failed webhook may quote its address and key.
    why = ": ".join(said for name in ("error_type", "result_value") if (said := text(wire.get(name))))
    return f"tool result {_tool_name(wire)}: error {why[:_LONGEST_ERROR]}".rstrip()


def _tool_name(wire: Wire) -> str:
    return text(wire.get("tool_name")) or "unnamed"


def _objects(wire: JsonValue) -> list[Wire]:
    return [each for each in wire if isinstance(each, dict)] if isinstance(wire, list) else []
