"""When a transcript is read anew, and when missing calls are believed to be gone."""

from datetime import timedelta

import pytest

from formant_mcp.models import Conversation
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import unconfirmed_loss
from tests.sync.sync_harness import NOON

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RESULTS = {"intent": "dispute"}


def ended(ago: timedelta, *, with_results: bool) -> Conversation:
    return Conversation("c", ended_at=NOON - ago, results=dict(RESULTS) if with_results else None)


@pytest.mark.parametrize(
    ("conversation", "after"),
    [
        (ended(HOUR, with_results=True), None),
        (ended(HOUR - MINUTE, with_results=True), MINUTE),
        (ended(HOUR - MINUTE, with_results=False), MINUTE),
        (ended(HOUR, with_results=False), HOUR / 4),
        (ended(20 * HOUR, with_results=False), 5 * HOUR),
        (ended(DAY, with_results=False), None),
        (ended(-HOUR, with_results=True), MINUTE),  # a provider's clock ahead of ours
        (Conversation("c", ended=False, started_at=NOON - 3 * HOUR, results=dict(RESULTS)), MINUTE),
        (Conversation("c", ended=False, started_at=NOON - DAY), None),
        (Conversation("c", started_at=NOON - 2 * HOUR, results=dict(RESULTS)), None),
        (Conversation("c", results=dict(RESULTS)), None),
        (Conversation("c"), MINUTE),
        (Conversation("c", ended=False, results=dict(RESULTS)), MINUTE),
    ],
)
def test_a_call_is_refreshed_until_it_is_final(conversation: Conversation, after: timedelta | None):
    assert next_refresh_at(conversation, NOON) == (after and NOON + after)


@pytest.mark.parametrize(
    ("missing", "missed_before", "believed"),
    [(20, None, True), (21, None, False), (100, None, False), (100, 59, False), (100, 60, True)],
)
def test_many_missing_calls_are_confirmed_by_a_scan_a_minute_later(
    missing: int, missed_before: int | None, believed: bool
):
    began_at = NOON
    gone_at = None if missed_before is None else began_at - timedelta(seconds=missed_before)
    noted = unconfirmed_loss(ListState("", gone_at=gone_at), 100, missing, began_at, NOON + timedelta(seconds=5))
    assert noted == ({} if believed else {"gone": missing, "gone_at": gone_at or NOON + timedelta(seconds=5)})
