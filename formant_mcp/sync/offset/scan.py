"""A scan of one list, so that the store holds exactly what the provider lists.

It starts at the newest end where the order of the list is proven and its total is known, else at the front. Each batch
of pages is saved with a checkpoint, from which a later scan continues. At the end, what was seen is counted against
the total; where that disagrees, both ends of the list are read again, and then, at most twice, the whole. What was not
seen is deleted, but where that is much only once a second scan, some time later, does not see it either, and never
where the list ends although the provider announces more of it.
"""

import math
import time
from dataclasses import replace
from datetime import datetime, timedelta

from formant_mcp.filters import Filters
from formant_mcp.store.sync_state import ListState, changes
from formant_mcp.sync.list_sync import ListRequest, begun, shows_any_seen
from formant_mcp.sync.offset.pages import PROVEN, FetchedPage, OffsetList, OverlappingPages, SortOrderCheck

_TRIES = 3
_REPEATED_PAGES = 3  # after so many rows in a row that it has read before, a scan ends
SMALL_LIST_PAGES = 10  # read whole: that costs little, and every later question less
_LONG_LIST_PAGES = 60
_PROBES = 4
_FAST_PER_MINUTE = 120  # requests; a provider that answers or allows fewer leaves enough time to save
_BATCH_SECONDS = 1.0  # for so long a scan of everything requests pages before it lets others read the list


class Scan:
    """One list's scan; the checkpoint is in the store, what only checks it is here."""

    def __init__(self, source: OffsetList) -> None:
        self._list = source
        self._tries = 1
        self._result_before: tuple[int, int | None] | None = None
        self._says_more = False  # some page said that the list goes on: then it also says where it ends
        self._is_probed = False
        self.pages = OverlappingPages(source, None)
        self._forget(ListState(source.name, scan_position=-1))

    async def read_batch(self, request: ListRequest) -> bool:
        """Reads the next pages and saves the checkpoint; True once the list has been read and the outcome is saved."""
        state = await self._list.load()
        if self._checkpoint != (state.scan_started_at, state.scan_position):
            self._forget(state)  # another server, or an incremental, has moved it
        is_resumed = self.pages.last is None and state.scan_started_at is not None
        if state.scan_started_at is None:
            state = await self._begin(state, self._list.now())
        if request.is_narrow and state.list_order is None and not self._is_probed:
            state = await self._prove_order(state)
        total = self.pages.total
        ends_at = time.monotonic() + _BATCH_SECONDS
        self.pages.request(self._next_positions(state, request))
        try:
            while self.pages.requested:
                previous = self.pages.last
                pages = await self.pages.read_on()
                if self._is_misplaced(pages[0], state, total, is_resumed=is_resumed):
                    return await self._restart()
                is_resumed = False
                state = await self._advance(state, previous, pages)
                if self.pages.from_end and state.list_order == "none":
                    return await self._restart()
                if not self.pages.requested and await self._is_over(state, pages[-1]):
                    return await self._finish(state)
                if not request.is_narrow and time.monotonic() < ends_at:
                    self.pages.request(self._next_positions(state, request))
            return False
        finally:
            await self.pages.cancel()

    def _is_misplaced(self, page: FetchedPage, state: ListState, total: int | None, *, is_resumed: bool) -> bool:
        """Whether a page shows that the scan is not where it was taken to be, as the list has changed meanwhile.

        `total`: the one by which the end of the list was computed.
        """
        if is_resumed:
            return page.offset > 0 and not shows_any_seen(page.stored_before, state.scan_started_at)
        if not self.pages.from_end or state.scan_position or page.is_at_end:
            return False
        self.pages.has_gap |= page.page.row_count > 0
        return page.page.total != total

    def _forget(self, state: ListState) -> None:
        """Continues at the checkpoint, whatever was read before."""
        # A list that was complete is scanned from the front: there, new calls at the end are met on the way.
        from_end = state.list_order == "oldest" and state.total is not None and not state.is_complete
        self.pages = OverlappingPages(self._list, state.total, self.pages.step, from_end=from_end)
        self._order = SortOrderCheck()
        self._repeated = 0  # rows in a row that this scan had read already
        self._is_stuck = False
        self._newest: datetime | None = None
        self._expired_rows = 0  # of those read on
        self._checkpoint: tuple[datetime | None, int] = (state.scan_started_at, state.scan_position)

    async def _begin(self, state: ListState, started_at: datetime) -> ListState:
        started = begun(state, started_at)
        await self._save(state, started)
        self._forget(started)
        return started

    async def _restart(self) -> bool:
        """Lets the next batch begin the scan again."""
        await self._list.end_scan(covered_from=None, total=self.pages.total)
        return False

    async def _prove_order(self, state: ListState) -> ListState:
        """Reads a few pages up to the last, to see whether they agree on one order; a small list is read whole."""
        self._is_probed = True
        first = (await self.pages.fetch([0]))[0]
        total, probes = first.page.total, [first]
        if total is not None and total > SMALL_LIST_PAGES * self.pages.step:
            last = self.pages.last_offset(total) // self.pages.stride
            offsets = sorted({last * n // _PROBES * self.pages.stride for n in range(1, _PROBES + 1)})
            probes += await self.pages.fetch(offsets)
            order = SortOrderCheck()
            for page in probes:
                order.observe(page.page.conversations)
            state = replace(state, list_order=order.order or "none", total=total)
            await self._list.save(list_order=state.list_order, total=total)
            if state.list_order == "oldest":  # from the end on; the probes count as seen by this scan
                state = await self._begin(state, state.scan_started_at or self._list.now())
        self.pages.keep(probes)
        return state

    def _next_positions(self, state: ListState, request: ListRequest) -> list[int]:
        """The pages to request next. The first is fetched alone: it shows the total and how many rows a page has.

        Of a long list that is read whole, more are under way than can be in flight, so that none waits for a save.
        """
        pages, provider, total = self.pages, self._list.provider, state.scan_total or 0
        if pages.last is None:
            return [max(0, state.scan_position - pages.step)]
        is_fast = (provider.requests_per_minute or math.inf) > _FAST_PER_MINUTE
        is_long = total > _LONG_LIST_PAGES * pages.step  # a sudden end costs little of it
        width = provider.concurrency * (2 if is_long and is_fast and not request.is_narrow else 1)
        if request.is_narrow and state.list_order in PROVEN:
            width = min(width, self._pages_needed(state, request))
        first = max(pages.requested) + pages.stride if pages.requested else pages.next_position(pages.last)
        positions = [first + n * pages.stride for n in range(width - len(pages.requested))]
        likely = [position for position in positions if position + pages.step - pages.stride < total]
        # Where none is under way, the next page shows whether the list goes on, whatever the total says.
        return likely if likely or pages.requested else [first]

    def _pages_needed(self, state: ListState, request: ListRequest) -> int:
        """An estimate by the calls per time read so far, so that no more is read than the request needs."""
        rows, since, covered = float(request.newest - state.scan_position), request.filters.since, state.covered_from
        newest = self._newest or state.scan_started_at
        if since and covered and newest and newest > covered:
            rows = max(rows, state.scan_position * ((covered - since) / (newest - covered)))
        return max(1, round(rows / self.pages.stride))

    async def _advance(self, state: ListState, previous: FetchedPage | None, pages: list[FetchedPage]) -> ListState:
        new_rows = [row for page in pages for row in page.new_rows]
        self._order.observe(new_rows)
        self._says_more |= any(page.page.has_more for page in pages)
        # Rows repeat where calls have come in front; where there is nothing else, the list goes round and round.
        self._repeated = 0 if new_rows else self._repeated + sum(page.page.row_count for page in pages)
        rows, position = state.scan_rows, state.scan_position
        self._expired_rows += sum(row.conversation_id in page.expired for page in pages for row in page.new_rows)
        for before, page in zip([previous, *pages], pages, strict=False):
            # The same rows once more are no other part of the list: such a provider ignores the offset.
            if page.page.row_count and (before is None or page.ids != before.ids):
                rows = max(rows, self.pages.position_after(page))
        last = pages[-1]
        self._is_stuck = self._repeated > 0 and self.pages.position_after(last) <= position
        advanced = replace(
            state,
            total=last.page.total,
            scan_position=self.pages.position_after(last),
            scan_total=last.page.total,
            scan_rows=rows,
            scan_unreadable=state.scan_unreadable + sum(page.page.unreadable for page in pages),
        )
        is_broken = self._order.order not in (None, "newest" if self.pages.from_end else state.list_order)
        if state.list_order in PROVEN and is_broken:
            advanced = replace(advanced, list_order="none", covered_from=None)
        elif state.list_order in PROVEN and not state.is_complete and not self.pages.has_gap:
            advanced = self._cover(advanced, pages)
        await self._save(state, advanced)
        if advanced.covered_from and advanced.covered_from != state.covered_from:
            await self._delete_unlisted(advanced, state.covered_from)
        return advanced

    async def _delete_unlisted(self, state: ListState, covered_before: datetime | None) -> None:
        """Deletes the calls of the part just covered that no page showed, unless they are many or may be unreadable."""
        if state.scan_unreadable:
            return
        until = covered_before and covered_before - timedelta(milliseconds=1)
        span = Filters(agent_id=self._list.name, since=state.covered_from, until=until)
        store, started_at = self._list.store, state.scan_started_at or self._list.now()
        unlisted = await store.read.not_seen_since(span, started_at)
        if unlisted and not await self._list.misses_many(await store.read.count(span), len(unlisted), started_at):
            await store.write.delete(*unlisted)

    def _cover(self, state: ListState, pages: list[FetchedPage]) -> ListState:
        """Everything that started since then has been read; `expected_excess`: what the total counts beyond it."""
        starts = [row.started_at for page in pages for row in page.new_rows if row.started_at]
        if not starts or (state.list_order == "oldest" and not self.pages.from_end):
            return state
        self._newest = self._newest or max(starts)
        # Calls that started at the very moment read last may be continued on the next page.
        oldest, kept_from = min(starts), self._list.kept_from
        covered_from, left_out = oldest + timedelta(milliseconds=1), starts.count(oldest)
        if kept_from and covered_from < kept_from:
            covered_from, left_out = kept_from, self._expired_rows
        rows = state.scan_position - state.scan_unreadable - left_out
        return replace(
            state,
            covered_from=covered_from,
            expected_excess=(state.scan_total or 0) - rows,
            checked_at=state.checked_at if state.covered_from else state.scan_started_at,
        )

    async def _save(self, before: ListState, state: ListState) -> None:
        """Saves what changed; an incremental may have changed the rest meanwhile."""
        self._checkpoint = (state.scan_started_at, state.scan_position)
        await self._list.save(**changes(before, state))

    async def _is_over(self, state: ListState, last: FetchedPage) -> bool:
        total = last.page.total
        if not last.page.row_count or self._is_stuck:
            return True
        if self._repeated > _REPEATED_PAGES * self._list.provider.page_size:
            return True
        is_short = last.page.row_count < self.pages.step
        if total is None and self._says_more and not last.page.has_more and is_short:
            return True
        # The total may be too low or missing, and so may has_more: unless all is seen, it ends where no more comes.
        has_more = last.has_more if not self.pages.from_end else last.offset > 0
        may_end = total is not None and state.scan_position >= total and not has_more
        return may_end and await self._count_seen(state) + state.scan_unreadable >= (total or 0)

    async def _count_seen(self, state: ListState) -> int:
        """How many conversations the scan has seen, with those that are not kept."""
        return await self._list.count_seen(state.scan_started_at) + len(self.pages.expired)

    async def _finish(self, state: ListState) -> bool:
        """Settles what the list holds, or has it read again: False."""
        last, checked_at = self.pages.last, self.pages.requested_at  # what came later may be on no page
        ends_early = last is not None and last.page.has_more and not last.page.total
        state, seen = await self._read_ends_again(replace(state, ends_early=ends_early))
        total = state.scan_total
        agrees = total in (seen, seen + state.scan_unreadable) or (total is None and not self.pages.has_gap)
        # Where the total has fallen, what left the list may have been seen before.
        is_steady = total is None or total == max(each_total or 0 for each_total in self.pages.totals)
        is_last_try = self._tries == _TRIES
        # A quiet list that ends a page or more before its total would only do so again.
        is_cut_short = len(self.pages.totals) == 1 and (total or 0) - seen > self.pages.step
        settled = (agrees and (is_steady or is_last_try)) or is_cut_short
        settled |= total is not None and (seen, total) == self._result_before
        if settled or is_last_try:
            await self._accept(replace(state, checked_at=checked_at), seen, settled)
            return True
        self._tries, self._result_before = self._tries + 1, (seen, total)
        return await self._restart()

    async def _read_ends_again(self, state: ListState) -> tuple[ListState, int]:
        """Calls that came during the scan are at the front or at the back, whichever way the list is ordered.

        Returns how many conversations the scan has seen then.
        """
        seen = await self._count_seen(state)
        if state.scan_rows <= self.pages.step and len(self.pages.totals) == 1:
            return state, seen  # one page shows the list as it is
        if len(self.pages.totals) > 1 or seen != state.scan_total:
            seen = await self._read_from(0, state)
        if seen < (self.pages.total or 0):
            back = seen if self.pages.from_end else state.scan_rows
            seen = await self._read_from(max(0, back - 1), state)
        return replace(state, scan_total=self.pages.total), seen

    async def _read_from(self, offset: int, state: ListState) -> int:
        """Reads from there as long as that shows something new; returns how many the scan has seen then."""
        page = await self.pages.fetch_at(offset)
        while page.has_unseen(state.scan_started_at):
            page = await self.pages.fetch_at(page.next_offset)
        return await self._count_seen(state)

    async def _accept(self, state: ListState, seen: int, settled: bool) -> None:
        started_at, total = state.scan_started_at or self._list.now(), state.scan_total
        stored, expired = await self._list.count_seen(), len(self.pages.expired)
        if not self.pages.has_gap and await self._list.misses_many(stored, stored - (seen - expired), started_at):
            await self._list.end_scan(checked_at=state.checked_at)
            return
        excess = 0 if total is None else total - seen
        # Rows shown twice or not readable were read all the same; what no page showed was not.
        unlisted = max(0, excess - max(0, state.scan_rows - seen)) if settled else max(1, abs(excess))
        if not self.pages.has_gap and not state.ends_early:
            await self._list.store.write.delete_unseen(self._list.name, started_at)
        order = self._order.order and ("oldest" if self.pages.from_end else self._order.order)
        await self._list.end_scan(
            list_order=order or state.list_order,
            total=total,
            expected_excess=0 if total is None else excess + expired,
            unlisted=unlisted,
            unreadable=state.scan_unreadable,
            ends_early=state.ends_early,
            last_full_scan_at=started_at if settled else None,
            checked_at=state.checked_at,
            covered_from=self._list.kept_from,
            gone=0,
            gone_at=None,
            rescan_at=self._list.now() if state.ends_early else state.rescan_at,
        )
