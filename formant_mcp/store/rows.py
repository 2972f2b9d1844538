"""A conversation as a row, and a row as a conversation."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from formant_mcp.models import Conversation, Outcome
from formant_mcp.store.criteria import milliseconds
from formant_mcp.store.database import Value
from formant_mcp.store.values import reversed_contact

# What a later reading without the value does not empty.
KEPT = (
    "agent_id", "agent_name", "contact_number", "user_id", "failure_reason", "started_at", "ended_at",
    "duration_seconds", "trace_id",
)  # fmt: skip
WRITTEN = ("conversation_id", *KEPT, "contact_reversed", "status", "outcome", "ended", "failure_reason_known")
READ = (
    "conversation_id, agent_id, agent_name, contact_number, user_id, status, outcome, ended, failure_reason,"
    " failure_reason_known, started_at, ended_at, duration_seconds, trace_id, detail_at"
)


def columns(conversation: Conversation) -> tuple[Value, ...]:
    """The values of WRITTEN."""
    c = conversation
    return (
        c.conversation_id, c.agent_id, c.agent_name, c.contact_number, c.user_id, c.failure_reason,
        c.started_at and milliseconds(c.started_at), c.ended_at and milliseconds(c.ended_at), c.duration_seconds,
        c.trace_id, reversed_contact(c.contact_number), c.status, c.outcome, c.ended,
        c.failure_reason_known,
    )  # fmt: skip


def conversation(row: Sequence[Value]) -> Conversation:
    """The conversation of a row of READ; results and turns are asked for separately."""
    return Conversation(
        conversation_id=str(row[0]),
        agent_id=text(row[1]),
        agent_name=text(row[2]),
        contact_number=text(row[3]),
        user_id=text(row[4]),
        status=text(row[5]),
        outcome=cast(Outcome, row[6]),
        ended=bool(row[7]),
        failure_reason=text(row[8]),
        failure_reason_known=bool(row[9]),
        started_at=moment(row[10]),
        ended_at=moment(row[11]),
        duration_seconds=number(row[12]),
        trace_id=text(row[13]),
        has_detail=row[14] is not None,
    )


def moment(value: Value) -> datetime | None:
    """A stored time."""
    return None if value is None else datetime.fromtimestamp(int(value) / 1000, UTC)


def text(value: Value) -> str | None:
    """A stored text."""
    return None if value is None else str(value)


def number(value: Value) -> float | None:
    """A stored number."""
    return None if value is None else float(value)


def whole(value: Value) -> int:
    """A stored whole number, 0 where there is none."""
    return int(value or 0)
