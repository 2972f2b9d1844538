"""What is read next of a list: decided from the facts alone, before anything is read."""

from dataclasses import replace
from datetime import timedelta

import pytest

from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.plan import Facts, Step, plan
from tests.sync.sync_harness import DAY, NOON

MINUTE = timedelta(minutes=1)
EARLIER = NOON - MINUTE
UNREAD = ListState("")
COVERED = ListState("", total=5_000, covered_from=NOON - DAY, checked_at=NOON)
COMPLETE = ListState("", total=5_000, last_full_scan_at=NOON - MINUTE, checked_at=NOON)
DAY_OLD = replace(COMPLETE, last_full_scan_at=NOON - DAY)
OUTDATED = {"checked_at": NOON - DAY}


def facts(
    state: ListState,
    before: ListState | None = None,
    *,
    is_covered: bool = False,
    may_be_gone: bool = False,
    pages: int = 50,
) -> Facts:
    return Facts(
        state,
        before or state,
        is_covered=is_covered,
        may_be_gone=may_be_gone,
        pages=pages,
        checked_since=EARLIER,
        now=NOON,
    )


@pytest.mark.parametrize(
    ("given", "done", "step"),
    [
        pytest.param(facts(UNREAD), "", "scan", id="nothing stored"),
        pytest.param(facts(replace(COVERED, **OUTDATED)), "", "incremental", id="newest part, outdated"),
        pytest.param(facts(replace(COVERED, **OUTDATED)), "incremental", "scan", id="newest part, not enough"),
        pytest.param(facts(COVERED), "", "scan", id="newest part, wider question"),
        pytest.param(facts(COVERED, is_covered=True), "", "done", id="newest part, enough"),
        pytest.param(facts(COVERED, is_covered=True, pages=30), "", "backfill", id="newest part of a short list"),
        pytest.param(facts(COVERED, is_covered=True, pages=30), "backfill", "done", id="backfill once"),
        pytest.param(facts(replace(COVERED, gone=1), is_covered=True), "", "scan", id="newest part, some gone"),
        pytest.param(facts(COMPLETE, is_covered=True), "", "done", id="complete"),
        pytest.param(facts(replace(COMPLETE, **OUTDATED), is_covered=True), "", "incremental", id="complete, outdated"),
        pytest.param(facts(DAY_OLD, is_covered=True), "", "scan", id="complete a day ago"),
        pytest.param(facts(COMPLETE, DAY_OLD, is_covered=True), "scan", "done", id="scanned again after a day"),
        pytest.param(facts(COMPLETE, is_covered=True, may_be_gone=True), "", "backfill", id="complete, some gone"),
        pytest.param(
            facts(replace(COMPLETE, rescan_at=NOON - 59 * MINUTE), is_covered=True, may_be_gone=True),
            "",
            "done",
            id="complete, some gone, scanned within the hour",
        ),
        pytest.param(facts(replace(UNREAD, gone=9, gone_at=NOON)), "", "done", id="many gone, just now"),
        pytest.param(facts(replace(UNREAD, gone=9, gone_at=NOON - MINUTE)), "", "scan", id="many gone a minute ago"),
        pytest.param(facts(UNREAD), "scan", "done", id="never a second scan for one question"),
    ],
)
def test_the_next_step_follows_from_the_facts(given: Facts, done: Step, step: Step):
    assert plan(given, {done} if done else set()) == step
