"""What a question needs of the provider's list, how far that is known, and who keeps it known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from formant_mcp.filters import OutcomeFilter
from formant_mcp.sync.jobs import Progress


@dataclass(frozen=True, slots=True)
class ListNeed:
    """Which part of the list a question looks at: all since then, or the `newest` so many; 0: all.

    The other fields are filters that a provider may narrow its list by; what comes may be more.
    """

    agent_id: str = ""
    since: datetime | None = None
    newest: int = 0
    until: datetime | None = None
    call_successful: OutcomeFilter = "any"
    user_id: str = ""
    status: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether the newest part of the list may be enough."""
        return self.since is not None or self.newest > 0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How far the store can answer a question about the list now.

    `total`: how many conversations the provider says the account has, None where it does not say; `list_total`
    likewise for the list asked for. `requests_left`: pages still to be read where `is_complete` is False; `is_listing`:
    there are some, but nobody can tell how many. `ends_early`: the provider announces more of the list than it gives a
    way to.
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


class Lists(Protocol):
    """Keeps the lists of one account known, in the way that its provider's paging allows.

    `narrows_by`: the fields of a need that the provider narrows its list by.
    """

    narrows_by: frozenset[str]

    def usable(self, need: ListNeed) -> ListNeed:
        """The need without what this provider cannot narrow its list by."""
        ...

    async def bring(self, need: ListNeed, progress: Progress) -> None:
        """Brings that part of the list up to date.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
        """
        ...

    def knowledge(self, need: ListNeed, asked_at: datetime) -> Knowledge:
        """How far the store answers that need, as things stand now, for a question asked at that time."""
        ...
