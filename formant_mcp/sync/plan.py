"""What is read next of a list, decided from facts alone, before anything is read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.details import DAY, HOUR, MINUTE

CONFIRM_AFTER = MINUTE
"""How much later a second full scan confirms that many calls are gone."""
_SHORT_LIST_PAGES = 30  # once the newest part of such a list is stored, the rest is read in the background

Step = Literal["incremental", "scan", "backfill", "done"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the next step depends on.

    `before`: the state when the question came; `is_covered`: whether the store covers the request; `may_be_gone`:
    whether stored calls may be gone; `pages`: of a list whose rest may be read in the background, 0 of others.
    `waits_daily`: whether a question waits for the daily full scan.
    """

    state: ListState
    before: ListState
    is_covered: bool
    may_be_gone: bool
    pages: int
    checked_since: datetime
    now: datetime
    waits_daily: bool = True

    @property
    def is_enough(self) -> bool:
        """Whether the scan has gone as far as the request needs."""
        state, before = self.state, self.before
        if self.waits_daily and is_day_old(before, self.now):
            return state.last_full_scan_at not in (None, before.last_full_scan_at)
        if not state.is_complete and state.gone and state.total:
            return False  # only the end of the scan can show which are gone
        return self.is_covered


def plan(facts: Facts, done: set[Step]) -> Step:
    """The next step: what is new, then as far back as the request needs, then the rest in the background."""
    state, now = facts.state, facts.now
    has_covered = state.is_complete or state.covered_from is not None
    if has_covered and not state.was_checked(facts.checked_since) and "incremental" not in done:
        return "incremental"
    if not facts.is_enough and "scan" not in done:
        is_waiting = state.gone_at is not None and not may_scan_for_gone(state, now)
        return "done" if is_waiting else "scan"
    if not state.is_complete:
        needs_rest = has_covered and 0 < facts.pages <= _SHORT_LIST_PAGES
    elif state.gone_at or not is_day_old(state, now):
        needs_rest = (facts.may_be_gone or state.ends_early) and may_scan_for_gone(state, now)
    else:
        needs_rest = True
    return "backfill" if needs_rest and "backfill" not in done else "done"


def is_day_old(state: ListState, now: datetime) -> bool:
    """Whether the last full scan of the list is so old that it is to be scanned again."""
    return state.last_full_scan_at is not None and now - state.last_full_scan_at >= DAY


def may_scan_for_gone(state: ListState, now: datetime) -> bool:
    """Whether a full scan may begin because calls may be gone: hourly, and once more where one has missed many."""
    if state.gone_at:
        return now - state.gone_at >= CONFIRM_AFTER
    return state.rescan_at is None or now - state.rescan_at >= HOUR
