"""The cursor family's JSON made into our models: ElevenLabs' shape, bare or in an envelope.

A field that cannot be read is not known; only an answer that is no page or no conversation at all is an error. What
configures an agent or calls a tool (headers, bodies, parameters) may hold secrets and is not read.
Source: the `elevenlabs` Python package's response types, and the page "Conversations" that Voiceable publishes.
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.errors import ASK_AGAIN, CHECK_ADDRESS, InvalidResponseError
from formant_mcp.models import Conversation, Outcome, Page
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.http import error_for_status
from formant_mcp.providers.json_values import (
    Fields,
    Wire,
    clean_json,
    contact,
    count,
    direction,
    first,
    flag,
    is_no_object,
    is_something,
    moment,
    object_of,
    part,
    rows_of,
    seconds,
    text,
    unpacked,
)
from formant_mcp.providers.transcripts import transcript_of

_LISTS = ("conversations", "items")  # the name in Voiceable's envelope is not published
_OF_ONE = frozenset({"conversation_id", "transcript", "metadata"})
_RUNNING = frozenset({"initiated", "in-progress", "processing"})
_ANALYSES = (("evaluation", "evaluation_criteria_results"), ("data", "data_collection_results"))
_VALUES = ("value", "result", "outcome", "answer")
# Where a number or another address of the contact is: the `elevenlabs` package's ConversationHistoryMetadata.
_CONTACTS = (("phone_call", "external_number"), ("whatsapp", "whatsapp_user_id"), ("sms", "sms_user_phone_number"))
_OF_METADATA = frozenset({"started_at", "duration_seconds", "contact_number"})
# No document lists the termination reasons. Seen in what people publish of their calls: `end_call tool was called.`,
# `Call ended by remote party`, `The remote party hung up.`, `Client disconnected: 1000` (1001, 1005: RFC 6455, 7.4.1)
# are how a call normally ends, and so is what says that it is normal; `voicemail_detection tool was called.`, `no
# answer - timeout`, `Silence timeout reached`, `Max duration limit reached`, `This request exceeds your quota limit.`,
# `Client disconnected: 1006`, `SIP status 480` are why one came to nothing.
_WHY = re.compile(
    r"error|fail|time[ds]?[ -]?out|voice_?mail|answering machine|no[ _-]?answer|not answer|unanswered|reject|declin"
    r"|busy|quota|credit|limit|exceed|max(?:imum)? (?:duration|inactiv)|silence|inactiv|unreachable|unavailable"
    r"|not available|invalid|missing|refus|denied|unauthori[sz]ed|forbidden|blocked|abort|crash|lost|unable|could not"
    r"|cannot|congest|carrier|network|unexpected|before|never|disconnected\W+(?!100[015]\b)\d{4}\b|\bsip\b.*\b[456]\d\d\b",
    re.IGNORECASE,
)
_USUAL = re.compile(
    r"end_?call|remote party|hung ?up|hang ?up|disconnected(?::? *100[015])?\W*$|transfer|ended|completed|goodbye"
    r"|conversation over|normal",
    re.IGNORECASE,
)
_NORMAL = re.compile(r"\bnormal", re.IGNORECASE)
_NOT_REACHED = frozenset({"voicemail", "busy", "no_answer"})


def parse_page(wire: JsonValue, cursor: str) -> CursorPage:
    """The page at `cursor`, an empty one where its list is null. A row without a conversation_id costs that row alone.

    Raises:
        InvalidResponseError: there is no list, or an error stands beside an empty one.
        FormantError: an error inside an answer that says 200, by its code.
    """
    outer, body = _opened(wire)
    fields = outer | body if isinstance(body, dict) else outer
    if isinstance(fields.get("data"), dict):  # the envelope's, already opened
        fields = {name: value for name, value in fields.items() if name != "data"}
    rows = body if isinstance(body, list) else rows_of(fields, *_LISTS, "data")
    if rows is None:
        raise InvalidResponseError("The answer's field 'conversations' is not a list.", CHECK_ADDRESS)
    if not rows and first(fields, "error", "errors"):
        raise _error_in_success()
    read = tuple(conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id)
    next_cursor, ends_early = _next_cursor(fields, cursor)
    page = Page(read, len(rows), bool(next_cursor), count(fields.get("total")), len(rows) - len(read))
    return CursorPage(page, next_cursor, ends_early)


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with transcript and results; its id is empty where none was sent.

    Raises:
        InvalidResponseError: there is no conversation.
        FormantError: an error inside an answer that says 200, by its code.
    """
    _, opened = _opened(wire)
    body = object_of(opened, _OF_ONE)
    if body is None or body.keys().isdisjoint(_OF_ONE):
        raise InvalidResponseError("The answer is not a conversation.", CHECK_ADDRESS)
    return _conversation(body, has_detail=True)


def _opened(wire: JsonValue) -> tuple[Wire, JsonValue]:
    """The answer's own fields, and what it carries: `data` where it is an envelope, else itself."""
    if not isinstance(wire, dict):
        return {}, wire
    status = wire.get("status")
    code = count(status.get("code") if isinstance(status, dict) else status)
    if code is not None and code >= 400:
        raise error_for_status(code)
    if wire.keys() & {"conversation_id", *_LISTS}:
        return wire, wire
    if wire.get("data") is None and first(wire, "error", "errors"):
        raise _error_in_success()
    return wire, wire.get("data", wire)


def _error_in_success() -> InvalidResponseError:
    return InvalidResponseError("The answer is an error, although its status says success.", ASK_AGAIN)


def _next_cursor(fields: Wire, cursor: str) -> tuple[str, bool]:
    """The cursor of the next page, '' where there is none, and whether the list is announced to go on all the same."""
    sent = fields.get("next_cursor") if "next_cursor" in fields else fields.get("cursor")
    next_cursor = sent if isinstance(sent, str) else text(sent) or ""  # opaque: passed on as it came
    has_more = fields.get("has_more")
    if not (bool(next_cursor) if has_more is None else flag(has_more)):
        return "", False
    goes_on = next_cursor not in ("", cursor)  # the same one again would give the same page for ever
    return next_cursor if goes_on else "", not goes_on


def _row(wire: Wire) -> Conversation:
    return _conversation(
        wire, isinstance(wire.get("transcript"), list) and isinstance(unpacked(wire.get("analysis")), dict)
    )


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    metadata, analysis = part(wire, "metadata"), part(wire, "analysis")
    fields = Fields(wire, metadata, analysis)
    status = fields.understood("status", text, wire.get("status"))
    duration_seconds = fields.read("duration_seconds", seconds, "call_duration_secs")
    ended = duration_seconds is not None if status is None else _plain(status) not in _RUNNING
    started_at = fields.read("started_at", moment, "start_time_unix_secs", "created_at")
    duration_seconds = duration_seconds if ended else duration_seconds or None  # a call that runs is listed with 0
    outcome = _outcome(fields.sent("call_successful"), status) if ended else None
    failed = ended and (outcome == "failure" or _plain(status) == "failed")
    error, ended_reason = _error(first(metadata, "error") or wire.get("error")), text(fields.sent("termination_reason"))
    reason = error or _why(ended_reason, metadata, is_failed=_plain(status) == "failed")
    transcript = transcript_of(wire, "transcript", started_at, duration_seconds)
    client = part(wire, "conversation_initiation_client_data")
    lost_fields = _OF_METADATA if is_no_object(wire, "metadata") else frozenset[str]()
    results, lost = _results(analysis, fields.sent("transcript_summary"), ended_reason)
    return Conversation(
        conversation_id=text(wire.get("conversation_id")) or "",
        agent_id=fields.read("agent_id", text),
        agent_name=text(wire.get("agent_name")),
        contact_number=_contact(fields, metadata),
        direction=_direction(fields, metadata),
        user_id=fields.read("user_id", text) or fields.understood("user_id", text, client.get("user_id")),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=reason if failed or (error and outcome is None and ended) else None,
        # A row has no place for the error that its detail may have.
        failure_reason_known=has_detail or (ended and (not failed or error is not None)),
        started_at=started_at,
        ended_at=_later(started_at, duration_seconds) if ended else None,
        duration_seconds=duration_seconds,
        results=results,
        turns=transcript.turns,
        has_detail=has_detail,
        unreadable=replace(
            transcript.unreadable, results=lost + is_no_object(wire, "analysis"), fields=fields.lost | lost_fields
        ),
    )


def _direction(fields: Fields, metadata: Wire) -> str | None:
    """Beside the row's own fields, or where the number is in a detail."""
    sent = [fields.sent("direction"), *(part(metadata, where).get("direction") for where, _ in _CONTACTS)]
    return fields.understood("direction", direction, next((each for each in sent if each is not None), None))


def _contact(fields: Fields, metadata: Wire) -> str | None:
    found = (fields.understood("contact_number", contact, part(metadata, where).get(name)) for where, name in _CONTACTS)
    return next(filter(None, found), None)


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
    return text(first(wire, "reason", "message")) or (f"error {code}" if code else None)


def _why(ended_reason: str | None, metadata: Wire, *, is_failed: bool) -> str | None:
    """Why a call failed for which no error was recorded; how a call normally ends is no reason.

    Of other words nobody can tell; they are the reason of a call that the provider itself calls failed.
    """
    if (
        ended_reason
        and not _NORMAL.search(ended_reason)
        and (_WHY.search(ended_reason) or (is_failed and not _USUAL.search(ended_reason)))
    ):
        return ended_reason
    called = (text(part(metadata, where).get("call_result")) for where, _ in _CONTACTS)
    return next((result for result in called if result in _NOT_REACHED), None)


def _results(analysis: Wire, summary: JsonValue, ended_reason: str | None) -> tuple[Wire | None, int]:
    """The provider's summary, how the call ended, and by id what was evaluated and collected, with why beside it.

    And how many of these values could not be kept.
    """
    results: Wire = {"summary": said} if (said := text(summary)) else {}
    if ended_reason:
        results["ended_reason"] = ended_reason
    lost = 0
    for ours, theirs in _ANALYSES:
        entries, more = _entries(first(analysis, theirs, f"{theirs}_list"))
        values = {key: first(entry, *_VALUES) if isinstance(entry, dict) else entry for key, entry in entries.items()}
        lost += more + sum(isinstance(each, dict) and each.keys().isdisjoint(_VALUES) for each in entries.values())
        why = {
            key: entry["rationale"]
            for key, entry in entries.items()
            if isinstance(entry, dict) and entry.get("rationale")
        }
        results |= {name: each for name, each in ((ours, values), (f"{ours}_rationale", why)) if each}
    cleaned, more = clean_json(results)
    return cleaned if isinstance(cleaned, dict) and cleaned else None, lost + more


def _entries(wire: JsonValue) -> tuple[Wire, int]:
    """What was evaluated or collected, by its id, and how many entries have none."""
    sent = unpacked(wire)
    if isinstance(sent, list):
        entries: Wire = {
            named: each
            for each in sent
            if isinstance(each, dict)
            and (named := text(first(each, "criteria_id", "data_collection_id", "id", "name")))
        }
        return entries, len(sent) - len(entries)
    return (sent, 0) if isinstance(sent, dict) else ({}, int(is_something(sent)))
