"""Pages of one list read side by side, saved as they come, and as good as read one after another.

Offsets shift while calls come and go, and a row can slip through between one page and the next. So pages overlap: one
that shows a row of the page before it goes on from there, whatever moved in between, for a list keeps the order of its
rows. Where two pages do not join, the list is read again from further back until it does.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListOrder
from formant_mcp.store.writer import PreviousRow

SHORT_LIST_PAGES = 30  # read to its end in the background, at once, when its newest part is there
_STEPS_BACK = 4
_MOST_KEPT = 50  # pages
_MOST_READ_AGAIN = 8  # and a quarter of all requests: what never joins is a list without an order of its own


@dataclass(slots=True)
class ReadPage:
    """A page as read and saved: where it began, what it held, what of that was known before.

    `fresh`: the rows by which it takes a walk on, in the walk's direction.
    """

    offset: int
    page: Page
    known: dict[str, PreviousRow] = field(default_factory=dict[str, PreviousRow])
    fresh: list[Conversation] = field(default_factory=list[Conversation])

    @property
    def more(self) -> bool:
        """Whether the list goes on behind it."""
        return self.page.more_after(self.offset)

    @property
    def end(self) -> int:
        """The row behind it."""
        return self.offset + self.page.row_count

    @property
    def next_offset(self) -> int:
        """Where the page behind it begins: at its last row, but behind that where it has no other."""
        return self.end - 1 if self.page.row_count > 1 else self.end

    @property
    def ids(self) -> set[str]:
        """Its conversations' ids."""
        return {each.conversation_id for each in self.page.conversations}

    def repeats(self, before: "ReadPage") -> bool:
        """Whether it held the same rows in the same order."""
        return [each.conversation_id for each in self.page.conversations] == [
            each.conversation_id for each in before.page.conversations
        ]

    def brings_new(self, since: datetime | None = None) -> bool:
        """Whether it held a conversation that was not known, or not seen since then."""
        return any(
            each.conversation_id not in self.known or (since and self.known[each.conversation_id].seen_at < since)
            for each in self.page.conversations
        )

    def joins(self, before: "ReadPage") -> bool:
        """Whether no row can have slipped through between that page and this one, in front of it or behind it."""
        if not before.page.row_count:
            return not self.page.row_count or self.offset < before.offset
        if not self.page.row_count:
            # Behind the end, unless rows have left the list.
            return before.end <= self.offset and (before.page.total is not None or not before.more)
        if not self.ids.isdisjoint(before.ids):
            return True
        front, back = (before, self) if before.offset < self.offset else (self, before)
        if back.offset != front.end and not front.page.unreadable and not back.page.unreadable:
            return False
        # No row that could be on both: that the total did not fall has to do.
        return front.page.total is not None and front.page.total <= (back.page.total or 0)


class Pages:
    """Reads one list: the whole where `agent_id` is empty, else that agent's.

    `began_at`: before the first page was read. `step`: rows of a full page. A walk reads from one end on: `walked` are
    the rows it has behind it, `has_gap` says that two of its pages did not join, so that a row may have been missed.
    """

    def __init__(self, provider: OffsetProvider, store: Store, now: Callable[[], datetime], agent_id: str) -> None:
        self._provider = provider
        self._store = store
        self._now = now
        self._agent_id = agent_id
        self._read_again = 0
        self._backward = False
        self._pages: dict[int, ReadPage] = {}
        self._reusable: dict[int, ReadPage] = {}
        self._total: int | None = None
        self.began_at = now()
        self.step = provider.page_size
        self.requests = 0
        self.walked: set[str] = set()
        self.has_gap = False

    @property
    def stride(self) -> int:
        """How far each page begins behind the one in front of it."""
        return max(1, self.step - 1)

    def last_offset(self, total: int) -> int:
        """Where the last page of a list of so many rows begins, when each page begins with the last row of another."""
        return max(0, -(-(total - self.step) // self.stride)) * self.stride

    def reuse(self) -> None:
        """Lets every page read so far be taken once more without a request, while the total stays what it was."""
        self._reusable |= self._pages

    async def read(self, offsets: Sequence[int]) -> list[ReadPage]:
        """The pages at these offsets, side by side."""
        return await together([self._one(offset) for offset in offsets])

    def begin_walk(self, *, backward: bool = False) -> None:
        """Forgets the walk before; towards the front of the list where `backward`."""
        self._backward, self.walked, self.has_gap = backward, set(), False

    async def walk(self, offsets: Sequence[int], last: ReadPage | None) -> list[ReadPage]:
        """The next pages of a walk, side by side; each is to join `last`, the page of the walk before it.

        Those that do not are read again, maybe from further back: the walk goes on behind the last one given.
        """
        pages: list[ReadPage] = []
        for page in await self.read(offsets):
            if last and not page.joins(last) and self.walked.isdisjoint(page.ids):
                again = await self._from_further_back(last, page)
                self.has_gap |= again is None
                page = again or page
            self.take(page)
            pages.append(page)
            last = page
        return pages

    def take(self, page: ReadPage) -> None:
        """Counts a page to the walk. What stands before the rows walked came only now, and leads nowhere."""
        rows = page.page.conversations[:: -1 if self._backward else 1]
        places = [place for place, row in enumerate(rows) if row.conversation_id in self.walked]
        page.fresh = [row for row in rows[places[0] if places else 0 :] if row.conversation_id not in self.walked]
        self.walked |= page.ids

    async def _from_further_back(self, last: ReadPage, page: ReadPage) -> ReadPage | None:
        if page.page.row_count and last.end <= page.offset:
            self._learn_step(last)
        if self.step == 1 and page.page.total is None:
            return None  # no page could show that it joins
        for steps in range(_STEPS_BACK):
            if self._read_again > _MOST_READ_AGAIN + self.requests // 4:
                return None
            self._read_again += 1
            back = (steps + 1) * self.stride // 2
            offset = last.offset - self.stride + back if self._backward else last.next_offset - back
            again = await self._one(max(0, offset))
            if again.joins(last) or not self.walked.isdisjoint(again.ids) or (offset <= 0 and not self._backward):
                return again
        return None

    async def _one(self, offset: int) -> ReadPage:
        reusable = self._reusable.pop(offset, None)
        if reusable and reusable.page.total == self._total:
            return reusable
        page = await self._provider.list_page(offset, Filters(agent_id=self._agent_id))
        self.requests += 1
        self._total = page.total
        read = ReadPage(offset, page, self._store.write.save(page.conversations, self._now()))
        if offset == 0 and read.more:
            self._learn_step(read)
        if len(self._pages) < _MOST_KEPT:
            self._pages[offset] = read
        return read

    def _learn_step(self, read: ReadPage) -> None:
        """A page that goes on has all the rows that the provider gives at once, however many were asked for."""
        if 0 < read.page.row_count < self.step:
            self.step = read.page.row_count


@dataclass(slots=True)
class OrderWatch:
    """Whether what was read, in the order of the list, keeps to one order of time."""

    rises: bool = False
    falls: bool = False
    last: datetime | None = None

    def feed(self, conversations: Sequence[Conversation]) -> None:
        """Takes in the next rows."""
        for started_at in (each.started_at for each in conversations if each.started_at):
            if self.last:
                self.rises |= started_at > self.last
                self.falls |= started_at < self.last
            self.last = started_at

    @property
    def order(self) -> ListOrder | None:
        """The order seen; None where nothing tells."""
        if self.rises and self.falls:
            return "none"
        return "newest" if self.falls else "oldest" if self.rises else None


async def together(calls: Sequence[Coroutine[None, None, ReadPage]]) -> list[ReadPage]:
    """All of them at once; when one fails, the others are not left running."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
