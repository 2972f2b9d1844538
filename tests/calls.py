"""Conversations as Formant's API sends them, built from a number: the same number gives the same call.

The form is the guide's (one list row of nine fields, milliseconds); tests override what they need otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import overload

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Row as Row

STATUSES = ("completed", "no_answer", "completed", "busy", "completed", "failed", "completed", "unreachable")
INTENTS = ("payment_confirmed", "dispute", "callback", "payment_confirmed")
_LINES: tuple[Row, ...] = (
    {"role": "agent", "message": "Hello, I am calling about your payment that was due on Monday."},
    {"role": "human", "message": "Haan ji, boliye."},
    {"role": "agent", "message": "Would you like to pay today?"},
    {"role": "human", "message": "मैं कल भुगतान करूँगा, आज नहीं।"},
    {"role": "agent", "message": "Thank you, I have noted it for tomorrow."},
)


def conversation_id(n: int) -> str:
    """The id of call number `n`, in the form of the guide."""
    return f"e36853de-9cbb-441e-ad75-{n:012x}_1"


def conversation(
    n: int, started_at: datetime, agent_id: int | None = 123, status: str | None = "completed", **fields: JsonValue
) -> Row:
    """List row number `n`. `fields` override or add; only completed calls have a duration."""
    started_ms = round(started_at.timestamp() * 1000)
    seconds = 20 + n * 37 % 400 if status == "completed" else None
    row: Row = {
        "agent_id": agent_id,
        "contact_number": f"+1415555{100 + n % 100:04d}",
        "conversation_id": conversation_id(n),
        "duration_seconds": seconds,
        "end_timestamp": started_ms + seconds * 1000 if seconds else None,
        "start_timestamp": started_ms,
        "status": status,
    }
    return row | fields


def detail(row: Row) -> Row:
    """What GET one conversation adds to its row: transcript and results of a completed call, nulls for others."""
    completed = row.get("status") == "completed"
    n = sum(str(row.get("conversation_id")).encode())  # some number that is constant for the call
    results: JsonValue = {
        "intent": INTENTS[n % len(INTENTS)],
        "csat": 1 + n % 5,
        "language": {"primary": "hi" if n % 2 else "en"},
    }
    turns: JsonValue = [dict(line) for line in islice(cycle(_LINES), 2 + n % 6)]
    added: Row = {
        "failure_reason": None if completed else row.get("status"),
        "results": results if completed else None,
        "trace_id": f"trace-{row.get('conversation_id')}",
        "transcript": turns if completed else None,
    }
    return added | row


@dataclass(frozen=True)
class LazyRows(Sequence[Row]):
    """`size` rows, the newest at `now`, spread evenly over `span`; each is built on access."""

    size: int
    now: datetime
    span: timedelta

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        n = range(self.size)[index]
        return conversation(n, self.started_at(n), agent_id=100 + n % 3, status=STATUSES[n % len(STATUSES)])

    def __iter__(self) -> Iterator[Row]:
        return (self[n] for n in range(self.size))

    def started_at(self, n: int) -> datetime:
        """When call number `n` began."""
        return self.now - self.span * n / self.size


def many(count: int, now: datetime, span: timedelta) -> LazyRows:
    """`count` calls of three agents and several statuses, newest first; cheap even for 200,000."""
    return LazyRows(count, now, span)
