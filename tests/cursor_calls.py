"""The calls of `tests.calls` as the other providers send them: the same number gives the same call, with the same id.

Words, results and durations are the same wherever a provider has a field for them. What a provider sends of an agent's
configuration has texts that begin with SECRET, so that tests can check that they are not kept.
"""

from datetime import UTC, datetime

from pydantic import JsonValue

from tests import calls
from tests.calls import Row

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_RUNNING = {"in_progress": "in-progress", "initiated": "initiated", "scheduled": "initiated", "queued": "initiated"}
_SECONDS_PER_TURN = 4
_RATIONALE = "The caller said so."
_ROLES = {"agent": "agent", "human": "user"}


def elevenlabs_call(
    n: int, started_at: datetime, agent_id: int | str | None = 123, status: str = "completed", **fields: JsonValue
) -> Row:
    """List row number `n` in ElevenLabs' form. `status` is a word of Formant's; `fields` override or add.

    A call that did not connect is `failed`, with its status as termination reason and a duration of zero.
    """
    completed, running = status == "completed", status in _RUNNING
    lasted = calls.conversation(n, started_at, status=status)["duration_seconds"]
    row: Row = {
        "agent_id": None if agent_id is None else str(agent_id),
        "agent_name": f"Agent {agent_id}",
        "conversation_id": calls.conversation_id(n),
        "start_time_unix_secs": int(started_at.timestamp()),
        "call_duration_secs": lasted or 0,
        "message_count": len(_turns(calls.conversation_id(n))) if completed else 0,
        "status": "done" if completed else _RUNNING.get(status, "failed"),
        "termination_reason": "end_call tool was called." if completed else None if running else status,
        "call_successful": "success" if completed else "unknown" if running else "failure",
        "transcript_summary": "They spoke about a payment." if completed else None,
        "direction": "outbound",
    }
    return row | fields


def elevenlabs_detail(row: Row) -> Row:
    """What GET one conversation sends for such a row: the contact, the transcript and the results."""
    conversation_id, completed = str(row.get("conversation_id")), row.get("status") == "done"
    number = contact_number(conversation_id)
    metadata: Row = {
        "start_time_unix_secs": row.get("start_time_unix_secs"),
        "call_duration_secs": row.get("call_duration_secs"),
        "phone_call": {"direction": "outbound", "agent_number": "+14155550100", "external_number": number},
        "termination_reason": row.get("termination_reason"),
    }
    analysis: Row = {
        "evaluation_criteria_results": {},
        "data_collection_results": _collected(conversation_id) if completed else {},
        "call_successful": row.get("call_successful"),
        "transcript_summary": row.get("transcript_summary"),
    }
    return {
        "agent_id": row.get("agent_id"),
        "agent_name": row.get("agent_name"),
        "conversation_id": row.get("conversation_id"),
        "status": row.get("status"),
        "user_id": user_id(number),
        "metadata": metadata,
        "analysis": analysis,
        "transcript": [dict(turn) for turn in _turns(conversation_id)] if completed else [],
        "conversation_initiation_client_data": {
            "conversation_config_override": {"agent": {"prompt": {"prompt": "SECRET-PROMPT"}}},
            "dynamic_variables": {"secret__token": "SECRET-VARIABLE"},
        },
    }


def tool_turn() -> Row:
    """An entry of a transcript in which the agent called a webhook that failed."""
    of_tool: Row = {"type": "webhook", "request_id": "r1", "tool_name": "get_order"}
    details: Row = {
        "method": "POST",
        "url": "https://shop.example.com/orders?token=SECRET-QUERY",
        "headers": {"Authorization": "Bearer SECRET-HEADER"},
        "body": '{"password": "SECRET-BODY"}',
    }
    made = of_tool | {"params_as_json": '{"pin": "SECRET-PARAMETER"}'}
    made["tool_details"] = details
    answered: Row = of_tool | {"result_value": "The shop did not answer", "is_error": True}
    return {
        "role": "agent",
        "message": None,
        "time_in_call_secs": 9,
        "tool_calls": [made],
        "tool_results": [answered],
    }


def voiceable_call(
    n: int, started_at: datetime, agent_id: int | str | None = 123, status: str = "completed", **fields: JsonValue
) -> Row:
    """List row number `n` with Voiceable's documented properties; the rest is in `metadata`, as with ElevenLabs."""
    same = elevenlabs_call(n, started_at, agent_id, status)
    row: Row = {name: same[name] for name in ("conversation_id", "agent_id", "agent_name", "status", "call_successful")}
    row["metadata"] = {name: same[name] for name in ("call_duration_secs", "termination_reason")}
    row["transcript_summary"] = same["transcript_summary"]
    row["created_at"] = iso(started_at)
    return row | fields


def voiceable_detail(row: Row) -> Row:
    """What GET one conversation sends for such a row."""
    metadata = row.get("metadata")
    same = elevenlabs_detail(row | (metadata if isinstance(metadata, dict) else {}))
    sent_metadata = same["metadata"]
    assert isinstance(sent_metadata, dict)
    return (
        same
        | row
        | {"metadata": {name: value for name, value in sent_metadata.items() if name != "start_time_unix_secs"}}
    )


def voiceos_call(
    n: int, started_at: datetime, agent_id: int | str | None = 123, status: str = "completed", **fields: JsonValue
) -> Row:
    """Call number `n` in VoiceOS' form, with details in lists too. A failed call ended for the reason `unknown`."""
    same = calls.conversation(n, started_at, status=status)
    seconds = same["duration_seconds"]
    lasted = seconds if isinstance(seconds, int) else 0
    running = {"in_progress": "started"}.get(status, "queued") if status in _RUNNING else None
    conversation_id = calls.conversation_id(n)
    row: Row = {
        "id": conversation_id,
        "uri": f"/conversations/{conversation_id}",
        "type": "outbound_phone_call",
        "account_id": "acc_1",
        "status": running or "ended",
        "started_at": None if running == "queued" else iso(started_at),
        "ended_at": None if running else iso(datetime.fromtimestamp(started_at.timestamp() + lasted, UTC)),
        "agent_id": None if agent_id is None else str(agent_id),
        "agent_config": _agent_config(),
        "messages": _messages(conversation_id) if status == "completed" else [],
        "phone_call": {"provider": "twilio", "to_number": same["contact_number"], "from_number": "+14155550100"},
        "ended_reason": None if running else "user_ended" if status == "completed" else "unknown",
        "cost_breakdown": None if running else {"voice": {"cost": 0.02, "provider": "playht"}, "total": 0.05},
    }
    return row | fields


def contact_number(conversation_id: str) -> JsonValue:
    """The number that the call of that id went to; for ids of another form, always the same."""
    digits = conversation_id.rpartition("-")[2].partition("_")[0]
    try:
        n = int(digits, 16)
    except ValueError:
        n = 0
    return calls.conversation(n, _ANY_TIME)["contact_number"]


def user_id(number: JsonValue) -> str:
    """The id of the user with that number."""
    return f"user_{str(number).lstrip('+')}"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as these APIs write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _formant_detail(conversation_id: str) -> Row:
    return calls.detail({"conversation_id": conversation_id, "status": "completed"})


def _turns(conversation_id: str) -> list[Row]:
    said = _formant_detail(conversation_id)["transcript"]
    assert isinstance(said, list)
    return [
        {
            "role": _ROLES[str(turn["role"])],
            "message": turn["message"],
            "time_in_call_secs": place * _SECONDS_PER_TURN,
            "tool_calls": [],
            "tool_results": [],
        }
        for place, turn in enumerate(said)
        if isinstance(turn, dict)
    ]


def _messages(conversation_id: str) -> JsonValue:
    return [{"role": turn["role"], "content": turn["message"]} for turn in _turns(conversation_id)]


def _collected(conversation_id: str) -> Row:
    results = _formant_detail(conversation_id)["results"]
    assert isinstance(results, dict)
    return {
        name: {"data_collection_id": name, "value": value, "rationale": _RATIONALE} for name, value in results.items()
    }


def _agent_config() -> JsonValue:
    return {
        "prompt": "SECRET-PROMPT",
        "language_model": {"provider": "openai", "credential_id": "SECRET-CREDENTIAL"},
        "hooks": [{"event": "message:sent", "token": "SECRET-TOKEN"}],
        "webhooks": [
            {
                "method": "POST",
                "url": "https://hooks.example.com/?token=SECRET-HOOK",
                "headers": {"Authorization": "Bearer SECRET-HEADER"},
            }
        ],
    }
