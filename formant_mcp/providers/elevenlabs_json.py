"""Parses ElevenLabs' and Voiceable's JSON into our models: one shape, bare or in an envelope.

A field that cannot be read is None; only a response that is not a page or a conversation at all is an error. What
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
    as_bool,
    as_contact,
    as_count,
    as_datetime,
    as_direction,
    as_object,
    as_seconds,
    as_text,
    clean_json,
    first_present,
    is_not_object,
    is_something,
    object_of,
    rows_of,
    unpack,
)
from formant_mcp.providers.transcripts import transcript_of

_LISTS = ("conversations", "items")  # the name in Voiceable's envelope is not published
_DETAIL_FIELDS = frozenset({"conversation_id", "transcript", "metadata"})
_RUNNING = frozenset({"initiated", "in-progress", "processing"})
_ANALYSES = (("evaluation", "evaluation_criteria_results"), ("data", "data_collection_results"))
_VALUES = ("value", "result", "outcome", "answer")
# Where a number or another address of the contact is: the `elevenlabs` package's ConversationHistoryMetadata.
_CONTACTS = (("phone_call", "external_number"), ("whatsapp", "whatsapp_user_id"), ("sms", "sms_user_phone_number"))
_OF_METADATA = frozenset({"started_at", "duration_seconds", "contact_number"})
# No document lists the termination reasons. These are from calls that people published. Normal ends: `end_call tool was
# called.`, `Call ended by remote party`, `The remote party hung up.`, `Client disconnected: 1000` (1001, 1005: RFC
# 6455, 7.4.1), and whatever says "normal". Failures: `voicemail_detection tool was called.`, `no answer - timeout`,
# `Silence timeout reached`, `Max duration limit reached`, `This request exceeds your quota limit.`, `Client
# disconnected: 1006`, `SIP status 480`.
_FAILURE = re.compile(
    r"error|fail|time[ds]?[ -]?out|voice_?mail|answering machine|no[ _-]?answer|not answer|unanswered|reject|declin"
    r"|busy|quota|credit|limit|exceed|max(?:imum)? (?:duration|inactiv)|silence|inactiv|unreachable|unavailable"
    r"|not available|invalid|missing|refus|denied|unauthori[sz]ed|forbidden|blocked|abort|crash|lost|unable|could not"
    r"|cannot|congest|carrier|network|unexpected|before|never|disconnected\W+(?!100[015]\b)\d{4}\b|\bsip\b.*\b[456]\d\d\b",
    re.IGNORECASE,
)
_NORMAL_END = re.compile(
    r"end_?call|remote party|hung ?up|hang ?up|disconnected(?::? *100[015])?\W*$|transfer|ended|completed|goodbye"
    r"|conversation over|normal",
    re.IGNORECASE,
)
_SAYS_NORMAL = re.compile(r"\bnormal", re.IGNORECASE)
_UNANSWERED = frozenset({"voicemail", "busy", "no_answer"})


def parse_page(wire: JsonValue, cursor: str) -> CursorPage:
    """The page at `cursor`; a null list is an empty page. A row without a conversation_id is counted as unreadable.

    Raises:
        InvalidResponseError: there is no list, or an empty list and an error.
        FormantError: an error inside a response with status 200, by its code.
    """
    outer, body = _unwrap(wire)
    fields = outer | body if isinstance(body, dict) else outer
    if isinstance(fields.get("data"), dict):  # the envelope's, already opened
        fields = {name: value for name, value in fields.items() if name != "data"}
    is_bare = isinstance(wire, list)  # the only page, as it names no other; an empty one says too little
    rows = body if isinstance(body, list) else rows_of(fields, *_LISTS, "data")
    if is_bare and (cursor or not wire):
        rows = None
    if rows is None:
        raise InvalidResponseError("The response's field 'conversations' is not a list.", CHECK_ADDRESS)
    if not rows and first_present(fields, "error", "errors"):
        raise _error_in_success()
    conversations = tuple(
        conversation for row in rows if isinstance(row, dict) and (conversation := _row(row)).conversation_id
    )
    next_cursor, ends_early = _next_cursor(fields, cursor)
    total, unreadable = as_count(fields.get("total")), len(rows) - len(conversations)
    return CursorPage(Page(conversations, len(rows), bool(next_cursor), total, unreadable), next_cursor, ends_early)


def parse_detail(wire: JsonValue) -> Conversation:
    """One conversation with transcript and results; its id is empty if none was sent.

    Raises:
        InvalidResponseError: there is no conversation.
        FormantError: an error inside a response with status 200, by its code.
    """
    _, content = _unwrap(wire)
    body = object_of(content, _DETAIL_FIELDS)
    if body is None or body.keys().isdisjoint(_DETAIL_FIELDS):
        raise InvalidResponseError("The response is not a conversation.", CHECK_ADDRESS)
    return _conversation(body, has_detail=True)


def _unwrap(wire: JsonValue) -> tuple[Wire, JsonValue]:
    """The response's own fields, and its content: `data` if it is an envelope, else the response itself."""
    if not isinstance(wire, dict):
        return {}, wire
    status = wire.get("status")
    code = as_count(status.get("code") if isinstance(status, dict) else status)
    if code is not None and code >= 400:
        raise error_for_status(code)
    if wire.keys() & {"conversation_id", *_LISTS}:
        return wire, wire
    if wire.get("data") is None and first_present(wire, "error", "errors"):
        raise _error_in_success()
    return wire, wire.get("data", wire)


def _error_in_success() -> InvalidResponseError:
    return InvalidResponseError("The response is an error, although its status says success.", ASK_AGAIN)


def _next_cursor(fields: Wire, cursor: str) -> tuple[str, bool]:
    """The cursor of the next page, '' if there is none, and whether more is announced without a usable cursor."""
    sent = fields.get("next_cursor") if "next_cursor" in fields else fields.get("cursor")
    next_cursor = sent if isinstance(sent, str) else as_text(sent) or ""  # opaque: passed on as it came
    has_more = fields.get("has_more")
    if not (bool(next_cursor) if has_more is None else as_bool(has_more)):
        return "", False
    goes_on = next_cursor not in ("", cursor)  # the same cursor again would return the same page forever
    return next_cursor if goes_on else "", not goes_on


def _row(wire: Wire) -> Conversation:
    return _conversation(
        wire, isinstance(wire.get("transcript"), list) and isinstance(unpack(wire.get("analysis")), dict)
    )


def _conversation(wire: Wire, has_detail: bool) -> Conversation:
    metadata, analysis = as_object(wire, "metadata"), as_object(wire, "analysis")
    fields = Fields(wire, metadata, analysis)
    status = fields.understood("status", as_text, wire.get("status"))
    duration_seconds = fields.read("duration_seconds", as_seconds, "call_duration_secs")
    ended = duration_seconds is not None if status is None else _plain(status) not in _RUNNING
    started_at = fields.read("started_at", as_datetime, "start_time_unix_secs", "created_at")
    duration_seconds = duration_seconds if ended else duration_seconds or None  # a call that runs is listed with 0
    outcome = _outcome(fields.sent("call_successful"), status) if ended else None
    failed = ended and (outcome == "failure" or _plain(status) == "failed")
    error = _error(first_present(metadata, "error") or wire.get("error"))
    ended_reason = as_text(fields.sent("termination_reason"))
    reason = error or _failure_reason(ended_reason, metadata, is_failed=_plain(status) == "failed")
    transcript = transcript_of(wire, "transcript", started_at, duration_seconds)
    client = as_object(wire, "conversation_initiation_client_data")
    lost_fields = _OF_METADATA if is_not_object(wire, "metadata") else frozenset[str]()
    results, lost = _results(analysis, fields.sent("transcript_summary"), ended_reason)
    return Conversation(
        conversation_id=as_text(wire.get("conversation_id")) or "",
        agent_id=fields.read("agent_id", as_text),
        agent_name=as_text(wire.get("agent_name")),
        contact_number=_contact(fields, metadata),
        direction=_direction(fields, metadata),
        user_id=fields.read("user_id", as_text) or fields.understood("user_id", as_text, client.get("user_id")),
        status=status,
        outcome=outcome,
        ended=ended,
        failure_reason=reason if failed or (error and outcome is None and ended) else None,
        # A row has no field for the error that its details may have.
        failure_reason_known=has_detail or (ended and (not failed or error is not None)),
        started_at=started_at,
        ended_at=_later(started_at, duration_seconds) if ended else None,
        duration_seconds=duration_seconds,
        results=results,
        turns=transcript.turns,
        tool_errors=_tool_errors(unpack(wire.get("transcript"))),
        has_detail=has_detail,
        unreadable=replace(
            transcript.unreadable, results=lost + is_not_object(wire, "analysis"), fields=fields.lost | lost_fields
        ),
    )


def _direction(fields: Fields, metadata: Wire) -> str | None:
    """From the row's own fields, or from where details have the number."""
    sent = [fields.sent("direction"), *(as_object(metadata, where).get("direction") for where, _ in _CONTACTS)]
    return fields.understood(
        "direction", as_direction, next((direction for direction in sent if direction is not None), None)
    )


def _contact(fields: Fields, metadata: Wire) -> str | None:
    contacts = (
        fields.understood("contact_number", as_contact, as_object(metadata, where).get(name))
        for where, name in _CONTACTS
    )
    return next(filter(None, contacts), None)


def _later(started_at: datetime | None, duration_seconds: float | None) -> datetime | None:
    return None if started_at is None or duration_seconds is None else started_at + timedelta(seconds=duration_seconds)


def _plain(status: str | None) -> str:
    return (status or "").lower().replace("_", "-").replace(" ", "-")


def _outcome(verdict: JsonValue, status: str | None) -> Outcome:
    """The provider's verdict (`unknown` is neither); without one, a call with status failed is a failure."""
    if verdict is None:
        return "failure" if _plain(status) == "failed" else None
    verdict = verdict.lower() if isinstance(verdict, str) else verdict
    if verdict in ("success", True):
        return "success"
    return "failure" if verdict in ("failure", False) else None


def _tool_errors(transcript: JsonValue) -> int | None:
    """How many tool calls failed; None if no turn has a list of results, or if a result leaves it open."""
    turns = [turn for turn in transcript if isinstance(turn, dict)] if isinstance(transcript, list) else []
    lists = [results for turn in turns if isinstance(results := turn.get("tool_results"), list)]
    are_errors = [result.get("is_error") for results in lists for result in results if isinstance(result, dict)]
    return sum(map(as_bool, are_errors)) if lists and None not in are_errors else None


def _error(wire: JsonValue) -> str | None:
    if not isinstance(wire, dict):
        return as_text(wire)
    code = as_text(wire.get("code"))
    return as_text(first_present(wire, "reason", "message")) or (f"error {code}" if code else None)


def _failure_reason(ended_reason: str | None, metadata: Wire, *, is_failed: bool) -> str | None:
    """Why a call failed, if no error was recorded. A normal end is not a reason.

    An unclear termination reason counts only if the provider itself calls the call failed.
    """
    if (
        ended_reason
        and not _SAYS_NORMAL.search(ended_reason)
        and (_FAILURE.search(ended_reason) or (is_failed and not _NORMAL_END.search(ended_reason)))
    ):
        return ended_reason
    call_results = (as_text(as_object(metadata, where).get("call_result")) for where, _ in _CONTACTS)
    return next((result for result in call_results if result in _UNANSWERED), None)


def _results(analysis: Wire, summary: JsonValue, ended_reason: str | None) -> tuple[Wire | None, int]:
    """The provider's summary, the termination reason, and evaluated and collected values by id, with rationales.

    And how many of these values were lost.
    """
    summary_text = as_text(summary)
    results: Wire = {"summary": summary_text} if summary_text else {}
    if ended_reason:
        results["ended_reason"] = ended_reason
    lost = 0
    for ours, theirs in _ANALYSES:
        entries, more = _entries(first_present(analysis, theirs, f"{theirs}_list"))
        values = {
            key: first_present(entry, *_VALUES) if isinstance(entry, dict) else entry for key, entry in entries.items()
        }
        without_value = (isinstance(entry, dict) and entry.keys().isdisjoint(_VALUES) for entry in entries.values())
        lost += more + sum(without_value)
        rationales = {
            key: entry["rationale"]
            for key, entry in entries.items()
            if isinstance(entry, dict) and entry.get("rationale")
        }
        results |= {name: group for name, group in ((ours, values), (f"{ours}_rationale", rationales)) if group}
    cleaned, more = clean_json(results)
    return cleaned if isinstance(cleaned, dict) and cleaned else None, lost + more


def _entries(wire: JsonValue) -> tuple[Wire, int]:
    """The evaluated or collected entries by id, and how many have no id."""
    sent = unpack(wire)
    if isinstance(sent, list):
        entries: Wire = {
            entry_id: entry
            for entry in sent
            if isinstance(entry, dict)
            and (entry_id := as_text(first_present(entry, "criteria_id", "data_collection_id", "id", "name")))
        }
        return entries, len(sent) - len(entries)
    return (sent, 0) if isinstance(sent, dict) else ({}, int(is_something(sent)))
