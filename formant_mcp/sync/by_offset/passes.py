"""A full pass: the whole list read once, so that the store holds exactly what the provider lists.

It is saved page by page and goes on where it was stopped. At its end, what was seen is counted against the total; where
that disagrees, the ends of the list are read again, and then, at most twice, the whole. What it did not see is deleted,
but where that is much only once a second pass, some time later, does not see it either, and never where the list ends
although the provider announces more of it.
"""

from collections.abc import Callable
from datetime import datetime

from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.background import Progress
from formant_mcp.sync.by_offset.pages import SHORT_LIST_PAGES, OrderWatch, Pages, ReadPage
from formant_mcp.sync.details import Details
from formant_mcp.sync.list_sync import doubts

_PASSES = 3
_REPEATED_PAGES = 3  # that many in a row, and the list only turns round and round


class FullPass:
    """Reads one list from end to end."""

    def __init__(
        self,
        provider: OffsetProvider,
        store: Store,
        details: Details,
        now: Callable[[], datetime],
        scope: str,
        progress: Progress,
        pages: Pages,
    ) -> None:
        self._provider = provider
        self._store = store
        self._details = details
        self._now = now
        self._scope = scope
        self._progress = progress
        self._pages = pages
        self._totals: set[int | None] = set()  # every total that this pass was told
        self._watch = OrderWatch()
        self._repeated = 0  # rows in a row that this pass had walked already
        self._is_stuck = False
        self._says_more = False  # some page said that the list goes on: then it also says where it ends

    async def run(self) -> None:
        """Reads until what was seen agrees with the total, or two passes agree with each other."""
        before: tuple[int, int | None] | None = None
        begins_at = self._pages.began_at
        for last_try in (False,) * (_PASSES - 1) + (True,):
            walked = await self._walk(begins_at)
            await self._read_ends_again(walked)
            seen, total = self._seen(walked), walked.pass_total
            agrees = total in (seen, seen + walked.pass_unreadable) or (total is None and not self._pages.has_gap)
            # The total has fallen: what left the list may have been seen before.
            steady = total is None or total == max(each or 0 for each in self._totals)
            settled = (agrees and (steady or last_try)) or (total is not None and (seen, total) == before)
            if settled or last_try:
                self._accept(walked, seen, settled)
                return
            before, begins_at = (seen, total), self._now()
            self._store.ledger.update(self._scope, pass_started_at=None)

    async def _walk(self, begins_at: datetime) -> ListState:
        known = self._store.ledger.scope(self._scope)
        self._totals, self._watch, self._repeated = set(), OrderWatch(), 0
        resumes_at = known.pass_started_at
        last: ReadPage | None = None
        if resumes_at:
            self._resume(known)
        else:
            known.pass_started_at, known.pass_total = begins_at, None
            known.pass_offset = known.pass_rows = known.pass_unreadable = 0
        self._pages.begin_walk()
        while last is None or not self._is_over(known, last):
            if (known.pass_total or 0) > SHORT_LIST_PAGES * self._provider.page_size:
                await self._details.turn(self._progress)
            offsets = self._next_offsets(known, last)
            pages = await self._pages.walk(offsets, last)
            if last is None and resumes_at and not _shows_any_seen(pages[0], resumes_at):
                self._store.ledger.update(self._scope, pass_started_at=None)  # the list has moved on meanwhile
                return await self._walk(self._now())
            before, last, at = last, pages[-1], known.pass_offset
            self._take(known, pages)
            self._advance(known, pages, before)
            self._is_stuck = self._repeated > 0 and last.end <= at and last.offset == offsets[-1]
        known.list_order = self._watch.order or known.list_order
        known.ends_early = last.page.has_more and not last.page.total
        return known

    def _resume(self, known: ListState) -> None:
        """The last page is read again, to see whether the list still goes on from there."""
        self._totals.add(known.pass_total)
        known.pass_offset = max(0, known.pass_offset - self._pages.step)

    def _next_offsets(self, known: ListState, last: ReadPage | None) -> list[int]:
        step, stride, width = self._pages.step, self._pages.stride, self._provider.concurrency
        first, total = last.next_offset if last else known.pass_offset, known.pass_total or 0
        return [first, *(at for i in range(1, width) if (at := first + i * stride) + step - stride < total)]

    def _take(self, known: ListState, pages: list[ReadPage]) -> None:
        """Rows repeat where calls have come in front; where there is nothing else, the list goes round and round."""
        self._totals.update(read.page.total for read in pages)
        fresh = [row for read in pages for row in read.fresh]
        self._watch.feed(fresh)
        self._says_more |= any(read.page.has_more for read in pages)
        self._repeated = 0 if fresh else self._repeated + sum(read.page.row_count for read in pages)

    def _advance(self, known: ListState, pages: list[ReadPage], before: ReadPage | None) -> None:
        last = pages[-1]
        for front, read in zip([before, *pages], pages, strict=False):
            # The same rows once more are no other part of the list: such a provider takes no notice of the offset.
            if read.page.row_count and not (front and read.repeats(front)):
                known.pass_rows = max(known.pass_rows, read.end)
        known.pass_offset = last.end
        known.pass_total = last.page.total
        known.pass_unreadable += sum(read.page.unreadable for read in pages)
        self._store.ledger.update(
            self._scope,
            total=known.pass_total,
            pass_started_at=known.pass_started_at,
            pass_offset=known.pass_offset,
            pass_total=known.pass_total,
            pass_rows=known.pass_rows,
            pass_unreadable=known.pass_unreadable,
        )
        left = max(0, (known.pass_total or 0) - known.pass_offset)
        self._progress.done = self._pages.requests
        self._progress.total = self._pages.requests + -(-left // self._pages.stride)

    def _is_over(self, known: ListState, last: ReadPage) -> bool:
        total = last.page.total
        if not last.page.row_count or self._is_stuck or self._repeated > _REPEATED_PAGES * self._provider.page_size:
            return True
        if total is None and self._says_more and not last.page.has_more and last.page.row_count < self._pages.step:
            return True
        # The total may be too low or missing, and so may has_more: unless all is seen, it ends where no more comes.
        may_end = total is not None and last.end >= total and not last.more
        return may_end and self._seen(known) + known.pass_unreadable >= (total or 0)

    def _seen(self, known: ListState) -> int:
        return self._store.read.count_seen(self._scope, known.pass_started_at)

    async def _read_ends_again(self, walked: ListState) -> None:
        """Calls that came during the pass stand at the front or at the back, whichever way the list is ordered."""
        if walked.pass_rows <= self._pages.step and len(self._totals) == 1:
            return  # one page shows the list as it is
        if walked.pass_total is None or len(self._totals) > 1 or self._seen(walked) != walked.pass_total:
            await self._read_on(walked, 0)
        if self._seen(walked) < (walked.pass_total or 0):
            await self._read_on(walked, max(0, walked.pass_rows - 1))

    async def _read_on(self, walked: ListState, offset: int) -> None:
        """Reads from there as long as that brings something new."""
        brings_new = True
        while brings_new:
            read = (await self._pages.read([offset]))[0]
            walked.pass_total = read.page.total
            self._totals.add(read.page.total)
            brings_new = read.brings_new(walked.pass_started_at)
            offset = read.next_offset

    def _accept(self, walked: ListState, seen: int, settled: bool) -> None:
        started_at, total = walked.pass_started_at or self._now(), walked.pass_total
        count = self._store.read.count_seen(self._scope)
        known = self._store.ledger.scope(self._scope)
        doubted = doubts(known, count, count - seen, started_at, self._now())
        if doubted and not self._pages.has_gap:
            self._store.ledger.update(self._scope, pass_started_at=None, checked_at=self._now(), **doubted)
            return
        excess = 0 if total is None else total - seen
        # Rows shown twice or not readable were looked at all the same; what no page showed was not.
        shortfall = max(0, excess - max(0, walked.pass_rows - seen)) if settled else max(1, abs(excess))
        if not self._pages.has_gap and not walked.ends_early:
            self._store.write.delete_unseen(self._scope, started_at)
        self._store.ledger.update(
            self._scope,
            list_order=walked.list_order,
            total=total,
            excess=excess,
            shortfall=shortfall,
            unreadable=walked.pass_unreadable,
            ends_early=walked.ends_early,
            complete_at=started_at if settled else None,
            checked_at=self._now(),
            pass_started_at=None,
            covered_since=None,
            covered_to=None,
            gone=0,
            gone_at=None,
        )


def _shows_any_seen(read: ReadPage, since: datetime) -> bool:
    return read.offset == 0 or any(each.seen_at >= since for each in read.known.values())
