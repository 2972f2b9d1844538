"""A full pass: the whole list read once, so that the store holds exactly what the provider lists.

It is saved page by page and goes on where it was stopped, newest first where the order is known. At its end, what was
seen is counted against the total; where that disagrees, the ends of the list are read again, and then, at most twice,
the whole.
"""

from collections.abc import Callable
from datetime import datetime

from formant_mcp.source import ConversationSource
from formant_mcp.store import Store
from formant_mcp.store.ledger import Scope
from formant_mcp.sync.jobs import Progress
from formant_mcp.sync.pages import OrderWatch, Pages, ReadPage, falls

_PASSES = 3
_REPEATED_PAGES = 3


class FullPass:
    """Reads one list from end to end."""

    def __init__(
        self, source: ConversationSource, store: Store, now: Callable[[], datetime], scope: str, progress: Progress
    ) -> None:
        self._source = source
        self._store = store
        self._now = now
        self._scope = scope
        self._progress = progress
        self._pages = Pages(source, store, now, scope)
        self._fell = False  # rows left the list during the pass: what was seen may be gone, what moved was missed
        self._repeated = 0  # rows in a row that this pass had seen already
        self._repeats_allowed = 0

    async def run(self) -> None:
        """Reads until what was seen agrees with the total, or two passes agree with each other."""
        before: tuple[int, int | None] | None = None
        for last_try in (False,) * (_PASSES - 1) + (True,):
            walked = await self._walk()
            await self._read_ends_again(walked)
            seen = self._store.read.count_seen(self._scope, walked.pass_started_at)
            found = (seen, walked.pass_total)
            settled = (walked.pass_total in (None, seen) and not self._fell) or found == before
            if settled or last_try:
                self._accept(walked, seen, settled)
                return
            before = found
            self._store.ledger.update(self._scope, pass_started_at=None)

    async def _walk(self) -> Scope:
        known, watch, last = await self._begin_or_resume(), OrderWatch(), None
        over = False
        while not over:
            offsets = self._next_offsets(known)
            pages = await self._pages.read(offsets, before=last)
            for read in pages:
                watch.feed(read.page.conversations[:: -1 if known.pass_backward else 1])
            self._count_repeats(known, pages)
            self._fell |= (known.pass_total or 0) > (pages[-1].page.total or 0) or bool(last and falls(last, pages[0]))
            last = pages[-1]
            self._advance(known, pages)
            over = self._is_over(known, pages)
        if watch.order and not known.pass_backward:
            known.list_order = watch.order
        elif watch.order in ("none", "oldest"):
            known.list_order = "none"
        return known

    def _count_repeats(self, known: Scope, pages: list[ReadPage]) -> None:
        """Rows repeat where calls have come in front; more of them, and the list only turns round and round."""
        grown = max(0, (pages[-1].page.total or 0) - (known.pass_total or 0)) if known.pass_total else 0
        self._repeats_allowed = max(self._repeats_allowed, _REPEATED_PAGES * self._pages.step) + grown
        if any(read.brings_new(known.pass_started_at) for read in pages):
            self._repeated = 0
        else:
            self._repeated += sum(read.page.row_count for read in pages)

    async def _begin_or_resume(self) -> Scope:
        known = self._store.ledger.scope(self._scope)
        self._fell, self._repeated, self._repeats_allowed = False, 0, 0
        if known.pass_started_at:
            return known
        known.pass_started_at = self._now()
        known.pass_offset = known.pass_rows = known.pass_unreadable = known.pass_backward = 0
        known.pass_total = None
        if known.list_order == "oldest":
            total = (await self._pages.read([0]))[0].page.total
            if total:
                known.pass_offset, known.pass_backward, known.pass_total = total, 1, total
        return known

    def _next_offsets(self, known: Scope) -> list[int]:
        step, at, width = self._pages.step, known.pass_offset, self._source.concurrency
        if known.pass_backward:
            return [max(0, end - step) for i in range(width) if (end := at - i * step) > 0]
        if known.pass_total is None or known.pass_total <= at:
            return [at]
        return [offset for i in range(width) if (offset := at + i * step) < (known.pass_total or 0)]

    def _advance(self, known: Scope, pages: list[ReadPage]) -> None:
        last = pages[-1]
        known.pass_offset = last.offset if known.pass_backward else last.end
        known.pass_total = last.page.total
        known.pass_rows += sum(read.page.row_count for read in pages)
        known.pass_unreadable += sum(read.page.unreadable for read in pages)
        self._store.ledger.update(
            self._scope,
            total=known.pass_total,
            pass_started_at=known.pass_started_at,
            pass_offset=known.pass_offset,
            pass_backward=known.pass_backward,
            pass_total=known.pass_total,
            pass_rows=known.pass_rows,
            pass_unreadable=known.pass_unreadable,
        )
        left = known.pass_offset if known.pass_backward else max(0, (known.pass_total or 0) - known.pass_offset)
        self._progress.done = self._pages.requests
        self._progress.total = self._pages.requests + -(-left // self._pages.step)

    def _is_over(self, known: Scope, pages: list[ReadPage]) -> bool:
        if known.pass_backward:
            return known.pass_offset == 0
        last = pages[-1]
        # A list that never says it ends: nothing new, and the total (if any) reached.
        beyond = last.page.total is None or last.end >= last.page.total
        return not last.more or (beyond and self._repeated > 0) or self._repeated > self._repeats_allowed

    async def _read_ends_again(self, walked: Scope) -> None:
        """Calls that came during the pass stand at the front or at the back, whichever way the list is ordered."""
        if walked.pass_total is None:
            if walked.pass_rows > self._pages.step:
                await self._follow(walked, 0)
            return
        for at_back in (False, True):
            seen = self._store.read.count_seen(self._scope, walked.pass_started_at)
            if seen < (walked.pass_total or 0):
                await self._follow(walked, max(0, (walked.pass_total or 0) - self._pages.step) if at_back else 0)

    async def _follow(self, walked: Scope, offset: int) -> None:
        more = True
        while more:
            read = (await self._pages.read([offset]))[0]
            self._fell |= (walked.pass_total or 0) > (read.page.total or 0)
            walked.pass_total = read.page.total
            more = read.more and read.brings_new(walked.pass_started_at)
            offset = read.end

    def _accept(self, walked: Scope, seen: int, settled: bool) -> None:
        started_at, total = walked.pass_started_at or self._now(), walked.pass_total
        excess = 0 if total is None else total - seen
        # Rows shown twice or not readable were looked at all the same; what no page showed was not.
        shortfall = max(0, excess - max(0, walked.pass_rows - seen)) if settled else max(1, abs(excess))
        self._store.write.delete_unseen(self._scope, started_at)
        self._store.ledger.update(
            self._scope,
            list_order=walked.list_order,
            total=total,
            excess=excess,
            shortfall=shortfall,
            unreadable=walked.pass_unreadable,
            complete_at=started_at,
            checked_at=self._now(),
            pass_started_at=None,
            covered_since=None,
            covered_to=None,
        )
