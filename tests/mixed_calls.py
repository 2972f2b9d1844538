"""An account of mixed calls as any provider sends it, and the expected conversation of each, without our parsers."""

from datetime import datetime, timedelta

from pydantic import JsonValue

from formant_mcp.models import Conversation
from tests import calls, cursor_calls
from tests.calls import Row
from tests.provider_apis import ELEVENLABS, VOICEOS, ProviderFixture
from tests.sync.sync_harness import NOON

COUNT = 150
RUNNING = {0: "in_progress", 1: "queued", 2: "in_progress", 4: "queued", 9: "in_progress"}
LATE = 6  # one call of so many waited for hours before it started, where the provider sends its creation


def started(n: int) -> datetime:
    """Five weeks back, one call about every six hours, one in seven on a whole second."""
    return NOON - timedelta(minutes=5 + n * 347, milliseconds=250 if n % 7 else 0)


def word(n: int) -> str:
    """How a call ended, in Formant's words."""
    return RUNNING.get(n, calls.STATUSES[n * 5 % len(calls.STATUSES)])


def row_of(provider: ProviderFixture, n: int) -> Row:
    return provider.call(n, started(n), agent_id=100 + n // 2 % 3, status=word(n))


def truth(provider: ProviderFixture, n: int) -> Conversation:
    """The expected conversation, from the values that the call was built from."""
    row, status, at = row_of(provider, n), word(n), started(n)
    completed, ended = status == "completed", n not in RUNNING
    number = calls.conversation(n, at)["contact_number"]
    lasted = calls.conversation(n, at, status=status)["duration_seconds"]
    is_voiceos = provider is VOICEOS
    at = at.replace(microsecond=0) if provider is ELEVENLABS else at
    return Conversation(
        conversation_id=calls.conversation_id(n),
        agent_id=str(row["agent_id"]),
        contact_number=str(number),
        user_id=None if is_voiceos else cursor_calls.user_id(number),
        status=str(row["status"]),
        outcome=("success" if completed else "failure") if ended else None,
        ended=ended,
        failure_reason=None if completed or not ended else "unknown" if is_voiceos else status,
        started_at=None if is_voiceos and status == "queued" else at,
        duration_seconds=(lasted if isinstance(lasted, int) else 0) if ended else None,
        results=ended_results(row) if is_voiceos else collected(n) if completed else None,
        has_detail=True,
    )


def ended_results(row: Row) -> dict[str, JsonValue]:
    results: dict[str, JsonValue] = {"type": row["type"]}
    if row["ended_reason"]:
        results |= {"ended_reason": row["ended_reason"], "cost": {"voice": 0.02, "total": 0.05}}
    return results


def collected(n: int) -> dict[str, JsonValue]:
    return {
        "data": calls.detail(calls.conversation(n, started(n)))["results"],
        "summary": "They spoke about a payment.",
    }
