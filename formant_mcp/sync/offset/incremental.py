"""What is new in a list that is covered: as a whole, or since a moment."""

from datetime import datetime

from formant_mcp.filters import Filters
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.offset.pages import PROVEN, FetchedPage, OffsetList, OverlappingPages, SortOrderCheck
from formant_mcp.sync.offset.scan import SMALL_LIST_PAGES


class Incremental:
    """Reads the newest end of one list until it meets what is stored, and both ends where the order is unknown.

    What may be gone is noted as such. Where the counts cannot be explained, nothing is covered any more.
    """

    def __init__(self, source: OffsetList) -> None:
        self._list = source

    async def run(self) -> None:
        """Joins what is new to what is stored."""
        state, started_at = await self._list.load(), self._list.now()
        stored = await self._list.count_seen()
        is_ordered = state.list_order in PROVEN
        if not is_ordered and state.total is None and stored <= SMALL_LIST_PAGES * self._list.provider.page_size:
            await self._withdraw(state)  # new calls may be anywhere, and nothing counts them
            return
        last_stored = (stored if state.total is None else state.total) - 1
        if state.is_complete and state.total is not None:
            last_stored = min(stored, state.total - state.expected_excess) - 1
            if state.covered_from:  # before them are calls that are not kept
                last_stored = state.total - 1
        pages = OverlappingPages(self._list, state.total)
        is_empty, is_joined = await self._read_ends(pages, state, last_stored)
        stored, total = await self._list.count_seen(), pages.total
        covered = Filters(agent_id=self._list.name, since=state.covered_from)
        expected = state.expected_excess + (stored if state.is_complete else await self._list.store.read.count(covered))
        if is_empty and not total:
            gone = stored
        elif total is not None:
            gone = max(0, (expected if state.is_complete else stored) - total)
        else:
            gone = state.gone if state.gone_at else 0  # only a full scan can show it
        await self._list.save(gone=gone, gone_at=state.gone_at if gone else None)
        if state.is_complete:
            is_explained = total is None or total <= expected
        else:
            is_explained = total == expected or (not total and gone > 0)
        if not is_joined or not is_explained:
            await self._withdraw(state)
        elif is_ordered or total is not None:
            await self._join(state, total, started_at)

    async def _join(self, state: ListState, total: int | None, checked_at: datetime) -> None:
        """Notes that what is new is stored; a scan continues as far from the newest end as its last row is now."""
        position, scan_total = state.scan_position, state.scan_total
        if not state.is_complete and total is not None and scan_total is not None:
            position, scan_total = position + total - scan_total, total
        await self._list.save(total=total, checked_at=checked_at, scan_position=position, scan_total=scan_total)

    async def _withdraw(self, state: ListState) -> None:
        """Has the list scanned again."""
        if state.is_complete and (await self._list.load()).gone_at:
            return  # a scan has missed many calls, and another must confirm it
        await self._list.end_scan(last_full_scan_at=None, covered_from=None)

    async def _read_ends(self, pages: OverlappingPages, state: ListState, last_stored: int) -> tuple[bool, bool]:
        """Reads on from the front, and from the last row stored unless new calls are in front alone.

        Returns whether the first page was empty, and whether what is stored is still where it was, or nearer to the
        front where the total has fallen.
        """
        starts = {"newest": [0], "oldest": [max(0, last_stored)]}
        ends = await pages.fetch(starts.get(state.list_order or "", [0, last_stored] if last_stored > 0 else [0]))
        is_empty, total, order = not ends[0].page.row_count, ends[0].page.total, SortOrderCheck()
        if ends[-1].offset and not ends[-1].stored_before and total and total <= last_stored:
            ends[-1:] = await pages.fetch([max(1, total - pages.step)])
        for page in ends:
            at_back = page.offset > 0
            if at_back and not page.stored_before:
                return is_empty, False
            order = SortOrderCheck()
            order.observe(page.page.conversations)
            pages.last, pages.seen = page, set(page.ids)
            while page.has_more and (at_back or self._has_unseen(page, state)):
                pages.request([pages.next_position(page)])
                page = (await pages.read_on())[0]
        if state.list_order in PROVEN and order.order not in (None, state.list_order):
            await self._list.save(list_order="none")
            return is_empty, pages.total is not None and state.is_complete
        return is_empty, not pages.has_gap

    def _has_unseen(self, page: FetchedPage, state: ListState) -> bool:
        """Whether more that is new may follow."""
        if state.is_complete or state.covered_from is None:
            return page.has_unseen()
        before = [row.started_at for row in page.stored_before.values() if row.started_at]
        return not any(started_at >= state.covered_from for started_at in before)
