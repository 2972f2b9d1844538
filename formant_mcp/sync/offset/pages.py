"""Pages of one list, fetched side by side, saved as they come, and as good as read one after another.

Offsets shift while calls arrive and leave, and a row can slip through between two pages. So pages overlap: one that
shows a row of the page before continues from there, whatever moved in between, because a list keeps the order of its
rows. Where two pages do not overlap, the list is read again from further back until they do.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store.sync_state import ListOrder
from formant_mcp.store.writer import PreviousRow
from formant_mcp.sync.background import cancel_all, run_all
from formant_mcp.sync.list_sync import StoredList

PROVEN = ("newest", "oldest")
"""The orders in which the newest calls are at one end."""
_STEPS_BACK = 4
_MAX_READ_AGAIN = 8  # and a quarter of all requests: pages that never overlap are of a list without an order


@dataclass(slots=True)
class FetchedPage:
    """A page as fetched and saved: where it began, and which of its conversations were stored before.

    `expired`: those of them that are not kept. `new_rows`: those by which it continues a scan, in the scan's order.
    """

    offset: int
    page: Page
    stored_before: dict[str, PreviousRow]
    expired: frozenset[str] = frozenset()
    new_rows: list[Conversation] = field(default_factory=list[Conversation])

    @property
    def end(self) -> int:
        """The offset after its last row."""
        return self.offset + self.page.row_count

    @property
    def is_at_end(self) -> bool:
        """Whether it has the last rows of the list, as far as the total says."""
        return self.page.row_count > 0 and self.end >= (self.page.total or 0)

    @property
    def has_more(self) -> bool:
        """Whether the list continues after it."""
        return self.page.more_after(self.offset)

    @property
    def ids(self) -> list[str]:
        """Its conversations, in the order of the list."""
        return [conversation.conversation_id for conversation in self.page.conversations]

    @property
    def next_offset(self) -> int:
        """Where the next page begins: at the last row of this one, but after it where it has no other."""
        return self.end - (1 if self.page.row_count > 1 else 0)

    def has_unseen(self, since: datetime | None = None) -> bool:
        """Whether it held a conversation that was not stored, or not seen since then."""
        return any(
            (row := self.stored_before.get(conversation_id)) is None or (since and row.seen_at < since)
            for conversation_id in self.ids
        )

    def overlaps(self, before: "FetchedPage") -> bool:
        """Whether no row can have slipped through between that page and this one."""
        if not before.page.row_count:
            return not self.page.row_count or self.offset < before.offset
        if not self.page.row_count:
            # Past the end, unless rows have left the list.
            return before.end <= self.offset and (before.page.total is not None or not before.has_more)
        if not set(self.ids).isdisjoint(before.ids):
            return True
        front, back = (before, self) if before.offset < self.offset else (self, before)
        if back.offset != front.end and not front.page.unreadable and not back.page.unreadable:
            return False
        # No row that could be on both: it has to be enough that the total did not fall.
        return front.page.total is not None and front.page.total <= (back.page.total or 0)


@dataclass(frozen=True, slots=True)
class OffsetList(StoredList):
    """A list of a provider with offset pagination: the whole where `name` is empty, else that agent's."""

    provider: OffsetProvider

    async def fetch(self, offset: int) -> FetchedPage:
        """The page that starts at that row, saved."""
        page = await self.provider.list_page(offset, Filters(agent_id=self.name))
        at, is_expired = self.now(), self.store.retention.is_expired
        expired = frozenset(row.conversation_id for row in page.conversations if is_expired(row, at))
        return FetchedPage(offset, page, await self.store.write.save(page.conversations, at), expired)

    async def count_seen(self, since: datetime | None = None) -> int:
        """How many of its rows are stored, or were seen since then."""
        return await self.store.read.count_seen(self.name, since)


class OverlappingPages:
    """Fetches pages of one list for a scan.

    A position counts rows from the front of the list; with `from_end`, from its last row, which takes a total.
    `requested`: the pages that are being fetched, by position, in the order of the scan. `step`: rows of a full page.
    `total`: that of the page fetched last; `totals`: of all pages. `requested_at`: when the last request began. `seen`:
    the rows read on so far; `expired`: those of all fetched that are not kept; `has_gap`: two pages did not overlap, so
    that a row may have been missed.
    """

    def __init__(self, source: OffsetList, total: int | None, step: int = 0, *, from_end: bool = False) -> None:
        self._list = source
        self._read_again = 0
        self._unused: dict[int, FetchedPage] = {}
        self.requested = dict[int, asyncio.Task[FetchedPage]]()
        self.from_end = from_end
        self.total = total
        self.totals: set[int | None] = set()
        self.step = step or source.provider.page_size
        self.requests = 0
        self.requested_at: datetime | None = None
        self.last: FetchedPage | None = None
        self.seen: set[str] = set()
        self.expired: set[str] = set()
        self.has_gap = False

    @property
    def stride(self) -> int:
        """From the begin of one page to that of the next: pages overlap by a row, unless they have no other."""
        return max(1, self.step - 1)

    def position_after(self, page: FetchedPage) -> int:
        """How many rows a scan has read with that page."""
        return max(0, (page.page.total or 0) - page.offset) if self.from_end else page.end

    def next_position(self, page: FetchedPage) -> int:
        """Where a scan continues after that page."""
        return self.position_after(page) - (page.end - page.next_offset)

    def last_offset(self, total: int) -> int:
        """The offset of the last page, if the first one begins at 0."""
        return max(0, -(-(total - self.step) // self.stride)) * self.stride

    async def fetch(self, positions: Sequence[int]) -> list[FetchedPage]:
        """The pages at these positions, side by side; a page kept by `keep` needs no request."""
        return await run_all(self._fetch(self._offset_of(position)) for position in positions)

    def keep(self, pages: Sequence[FetchedPage]) -> None:
        """Lets these be used once more without a request: to begin with, or as long as the total is what it was."""
        self._unused |= {page.offset: page for page in pages}

    def request(self, positions: Iterable[int]) -> None:
        """Begins to fetch the pages at these positions, side by side; `read_on` returns them in this order."""
        for position in positions:
            self.requested[position] = asyncio.create_task(self._fetch(self._offset_of(position)))

    async def read_on(self) -> list[FetchedPage]:
        """The next page of the scan, and those requested after it that have come too; each must overlap the one before.

        One that does not is read again, maybe from further back: the scan continues after the last page returned. What
        fails is raised before any page is returned, so that none is lost.
        """
        pages: list[FetchedPage] = []
        for position, task in list(self.requested.items()):
            if pages and not _has_come(task):
                break
            page = await task
            is_next = self.last is None or self._continues(page, self.last)
            if pages and not is_next:
                break
            del self.requested[position]
            if self.last and not is_next:
                again = await self._from_further_back(self.last, page)
                self.has_gap |= again is None
                page = again or page
            self._accept(page)
            pages.append(page)
        return pages

    async def cancel(self) -> None:
        """Leaves no page that was requested under way."""
        await cancel_all(self.requested.values())
        self.requested.clear()

    def _accept(self, page: FetchedPage) -> None:
        """Rows in front of those seen before have only just come in: the scan does not continue by them."""
        rows = page.page.conversations[:: -1 if self.from_end else 1]
        seen = [index for index, row in enumerate(rows) if row.conversation_id in self.seen]
        page.new_rows = [row for row in rows[seen[0] if seen else 0 :] if row.conversation_id not in self.seen]
        self.seen |= set(page.ids)
        self.last = page

    def _continues(self, page: FetchedPage, last: FetchedPage) -> bool:
        return page.overlaps(last) or not self.seen.isdisjoint(page.ids)

    async def _from_further_back(self, last: FetchedPage, page: FetchedPage) -> FetchedPage | None:
        if page.page.row_count and last.end <= page.offset:
            self._learn_step(last)
        if self.step == 1 and page.page.total is None:
            return None  # no page could show that it continues the one before
        for steps in range(_STEPS_BACK):
            if self._read_again > _MAX_READ_AGAIN + self.requests // 4:
                return None
            self._read_again += 1
            back = (steps + 1) * self.stride // 2
            position = self.next_position(last) - back
            again = await self._fetch(self._offset_of(position))
            if self._continues(again, last) or position <= 0:
                return again
        return None

    def _offset_of(self, position: int) -> int:
        if not self.from_end:
            return max(0, position)
        total = self.total or 0
        return max(0, total - position - self.step) if position > 0 else self.last_offset(total)

    async def _fetch(self, offset: int) -> FetchedPage:
        """The page that begins there, maybe one that is kept."""
        unused = self._unused.pop(offset, None)
        if unused and (self.last is None or unused.page.total == self.total):
            self.totals.add(unused.page.total)
            self.expired |= unused.expired
            return unused
        return await self.fetch_at(offset)

    async def fetch_at(self, offset: int) -> FetchedPage:
        """The page that begins at that row of the list, as it is now."""
        self.requested_at = self._list.now()
        page = await self._list.fetch(offset)
        self.requests += 1
        self.expired |= page.expired
        self.total = page.page.total
        self.totals.add(self.total)
        if offset == 0 and page.has_more:
            self._learn_step(page)
        return page

    def _learn_step(self, page: FetchedPage) -> None:
        """A page with another after it has all the rows that the provider returns at once."""
        if 0 < page.page.row_count < self.step:
            self.step = page.page.row_count


def _has_come(task: asyncio.Task[FetchedPage]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


@dataclass(slots=True)
class SortOrderCheck:
    """In which order of time the rows of a list are, observed in the order of the list."""

    seen: set[ListOrder] = field(default_factory=set[ListOrder])
    last: datetime | None = None

    def observe(self, conversations: Sequence[Conversation]) -> None:
        """Takes in the next rows."""
        for started_at in (conversation.started_at for conversation in conversations if conversation.started_at):
            if self.last and started_at != self.last:
                self.seen.add("oldest" if started_at > self.last else "newest")
            self.last = started_at

    @property
    def order(self) -> ListOrder | None:
        """The order seen; None where there is too little to see one."""
        return "none" if len(self.seen) > 1 else next(iter(self.seen), None)
