"""What a question needs of the provider's list, how far that is known, and who keeps it known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.freshness import CONFIRM_AFTER, HOUR, are_many


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which part of the list a question needs: what the filters may match, or the `newest` so many of it; 0: all.

    `fresh_since`: a list that was checked since then is new enough, as for a page that follows another; None: it is
    checked now.
    """

    filters: Filters = NO_FILTERS
    newest: int = 0
    fresh_since: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether the newest part of the list may be enough."""
        return self.filters.since is not None or self.newest > 0


@dataclass(frozen=True, slots=True)
class ListStatus:
    """How far the store can answer a question about the list now.

    `total`: how many conversations the provider says the account has, None where it does not say; `list_total`
    likewise for the list asked for. `requests_left`: pages still to be read where `is_complete` is False; `is_listing`:
    there are some, but nobody can tell how many. `gone`: how many of the calls known the provider no longer counts or
    lists; they are kept until a full pass over its list has settled it. `ends_early`: the provider announces more of
    the list than it gives a way to.
    """

    as_of: datetime | None
    is_complete: bool
    known: int
    total: int | None
    list_total: int | None = None
    requests_left: int = 0
    is_listing: bool = False
    unreadable: int = 0
    shortfall: int = 0
    ends_early: bool = False
    gone: int = 0


def may_scan_for_gone(known: ListState, now: datetime) -> bool:
    """Whether a full pass may begin because calls may be gone: hourly, and once more where one has missed many."""
    if known.gone_at:
        return now - known.gone_at >= CONFIRM_AFTER
    return known.rescan_at is None or now - known.rescan_at >= HOUR


def doubts(known: ListState, count: int, missing: int, began_at: datetime, now: datetime) -> dict[str, int | datetime]:
    """What to note of a list whose full pass misses so many of the `count` calls known that one alone is not believed;
    nothing where it is believed."""
    is_confirmed = known.gone_at is not None and began_at - known.gone_at >= CONFIRM_AFTER
    if is_confirmed or not are_many(missing, count):
        return {}
    return {"gone": missing, "gone_at": known.gone_at or now}


class Lists(Protocol):
    """Keeps the lists of one account known, in the way that its provider's paging allows."""

    def supported(self, need: ListRequest) -> ListRequest:
        """The request without the filters that do not narrow this provider's list."""
        ...

    async def bring(self, need: ListRequest, progress: Progress) -> None:
        """Brings that part of the list up to date.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        ...

    def list_status(self, need: ListRequest, requested_at: datetime) -> ListStatus:
        """How far the store answers that need, as things stand now, for a question asked at that time."""
        ...
