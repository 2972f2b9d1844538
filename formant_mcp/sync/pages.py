"""Pages of one list read side by side, saved as they come, and as good as read one after another.

Offsets shift while calls arrive: with the newest first, every new call moves all others one row on. Read from the front
to the back one after another, that repeats rows but misses none. Side by side, a page may have been read before the
one in front of it, and a row slip through the seam; the totals tell: from page to page they must not fall.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from formant_mcp.models import Conversation, Page
from formant_mcp.source import ConversationSource
from formant_mcp.store import Store
from formant_mcp.store.ledger import ListOrder
from formant_mcp.store.writing import Known


@dataclass(slots=True)
class ReadPage:
    """A page as read and saved: where it began, what it held, what of that was known before."""

    offset: int
    page: Page
    known: dict[str, Known] = field(default_factory=dict[str, Known])

    @property
    def more(self) -> bool:
        """Whether the list goes on behind it."""
        return self.page.more_after(self.offset)

    @property
    def end(self) -> int:
        """The row behind it."""
        return self.offset + self.page.row_count

    def brings_new(self, since: datetime | None = None) -> bool:
        """Whether it held a conversation that was not known, or not seen since then."""
        return any(
            each.conversation_id not in self.known or (since and self.known[each.conversation_id].seen_at < since)
            for each in self.page.conversations
        )


class Pages:
    """Reads one list: the whole where `agent_id` is empty, else that agent's."""

    def __init__(self, source: ConversationSource, store: Store, now: Callable[[], datetime], agent_id: str) -> None:
        self._source = source
        self._store = store
        self._now = now
        self._agent_id = agent_id
        self.step = source.page_size
        self.requests = 0

    async def read(self, offsets: Sequence[int], before: ReadPage | None = None) -> list[ReadPage]:
        """The pages at these offsets, side by side; `before` is the page in front of the first."""
        pages = await together([self._span(offset) for offset in offsets])
        for index, page in enumerate(pages):
            front = pages[index - 1] if index else before
            if front and front.offset < page.offset and falls(front, page):
                page = pages[index] = await self._span(page.offset)
                if falls(front, page):  # rows left the list: some of this page moved into the one in front
                    await self._span(front.offset)
        return pages

    async def _span(self, offset: int) -> ReadPage:
        """One page; where the provider gives fewer rows than a page has, as many as it takes to fill one."""
        read = await self._one(offset)
        while read.more and read.end < offset + self.step:
            have = {each.conversation_id for each in read.page.conversations}
            following = await self._one(read.end)
            read = _joined(read, following)
            if have.issuperset(each.conversation_id for each in following.page.conversations):
                break  # nothing, or the same again: a provider that takes no notice of the offset
        return read

    async def _one(self, offset: int) -> ReadPage:
        page = await self._source.list_page(offset, self._agent_id)
        self.requests += 1
        return ReadPage(offset, page, self._store.write.save(page.conversations, self._now()))


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


def falls(front: ReadPage, page: ReadPage) -> bool:
    """Whether the provider counted fewer conversations on the second than on the first."""
    return (front.page.total or 0) > (page.page.total or 0)


def _joined(front: ReadPage, back: ReadPage) -> ReadPage:
    page = replace(
        back.page,
        conversations=front.page.conversations + back.page.conversations,
        row_count=front.page.row_count + back.page.row_count,
        unreadable=front.page.unreadable + back.page.unreadable,
    )
    return ReadPage(front.offset, page, back.known | front.known)
