"""How a list is kept known short of a full pass: by a glance at its ends, or by its newest part."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from formant_mcp.filters import Filters
from formant_mcp.models import Page
from formant_mcp.providers.base import OffsetProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListOrder, ListState
from formant_mcp.sync.by_offset.pages import OrderWatch, Pages, ReadPage
from formant_mcp.sync.list_sync import ListRequest

_SMALL_LIST_PAGES = 10  # so many pages are read whole: that costs little, and every later question less
_PROBES = 4
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class OneList:
    """Brings one list (the whole, or one agent's) up to date for one need."""

    def __init__(
        self, provider: OffsetProvider, store: Store, now: Callable[[], datetime], scope: str, pages: Pages
    ) -> None:
        self._provider = provider
        self._store = store
        self._now = now
        self._scope = scope
        self._pages = pages

    async def look(self) -> bool:
        """For a list known whole: looks for what is new; whether nothing else can be new afterwards.

        What may be gone is noted as such. An unordered list without a total hides what is new: a small one is to be
        read whole, of a large one nothing is claimed until it is.
        """
        known, count = self._store.ledger.scope(self._scope), self._store.read.count_seen(self._scope)
        begun_at = self._now()
        is_ordered = known.list_order in ("newest", "oldest")
        if not is_ordered and known.total is None and count <= _SMALL_LIST_PAGES * self._pages.step:
            return False
        last_known = (count if known.total is None else min(count, known.total - known.excess)) - 1
        front, total, holds = await self._read_ends(known.list_order, last_known)
        expected = self._store.read.count_seen(self._scope) + known.excess
        if not front.page.row_count and not total:
            gone = count  # an empty list
        elif total is not None:
            gone = max(0, expected - total)
        else:
            gone = known.gone if known.gone_at else 0  # only a full pass can tell
        self._store.ledger.update(self._scope, gone=gone, gone_at=known.gone_at if gone else None)
        if not holds or (total is not None and total > expected):
            return False
        if is_ordered or total is not None:
            self._store.ledger.update(self._scope, total=total, checked_at=begun_at)
        return True

    async def _read_ends(self, order: ListOrder | None, last_known: int) -> tuple[ReadPage, int | None, bool]:
        """Reads on from the front, and unless that is where all that is new stands, from the last row known.

        Gives the first page, the total, and whether what is known still stands where it stood, or nearer to the front
        where the total has fallen.
        """
        ends = await self._pages.read([0, last_known] if order != "newest" and last_known > 0 else [0])
        front, total, watch = ends[0], ends[0].page.total, OrderWatch()
        if len(ends) > 1 and not ends[1].known and total and total <= last_known:
            ends[1:] = await self._pages.read([max(1, total - self._pages.step)])
        for read in ends:
            at_back = read.offset > 0
            if at_back and not read.known:
                return front, total, False
            watch = OrderWatch()
            watch.feed(read.page.conversations)
            while read.more and (at_back or read.brings_new()):
                read = (await self._pages.walk([read.next_offset], read))[0]
            total = read.page.total
        if order in ("newest", "oldest") and watch.order not in (None, order):
            self._store.ledger.update(self._scope, list_order="none")
            return front, total, total is not None
        return front, total, not self._pages.has_gap

    async def read_newest(self, need: ListRequest) -> bool:
        """Reads the newest part as far as the need goes; False where the order does not prove what that part is."""
        known, begun_at = self._store.ledger.scope(self._scope), self._now()
        first = (await self._pages.read([0]))[0]
        total = first.page.total
        if total is None or total <= _SMALL_LIST_PAGES * self._pages.step:
            return False
        order = known.list_order or await self._order(first, total)
        self._pages.reuse()
        self._store.ledger.update(self._scope, list_order=order, total=total)
        if order == "none":
            return False
        if not await _NewestPart(self._store, self._pages, self._provider, begun_at, known, need).read(order, first):
            self._store.ledger.update(self._scope, list_order="none", covered_since=None, covered_to=None)
            return False
        return True

    async def _order(self, first: ReadPage, total: int) -> ListOrder:
        """The order that the first page and a few more, up to the last, agree on."""
        stride = self._pages.stride
        last = self._pages.last_offset(total) // stride
        offsets = sorted({last * i // _PROBES * stride for i in range(1, _PROBES + 1)})
        watch = OrderWatch()
        for read in [first, *await self._pages.read(offsets)]:
            watch.feed(read.page.conversations)
        return watch.order or "none"


class _NewestPart:
    """Reads from the newest end until the need is met; where it meets what is known, it goes on behind that."""

    def __init__(
        self,
        store: Store,
        pages: Pages,
        provider: OffsetProvider,
        begun_at: datetime,
        known: ListState,
        need: ListRequest,
    ) -> None:
        self._store = store
        self._pages = pages
        self._provider = provider
        self._known = known
        self._need = need
        self._begun_at = begun_at
        self._watch = OrderWatch()
        self._newest: datetime | None = None
        self._reached: datetime | None = None

    async def read(self, order: ListOrder, first: ReadPage) -> bool:
        """False where the list turns out not to be in that order."""
        total = first.page.total or 0
        reads = [first] if order == "newest" else []
        self._pages.begin_walk(backward=order == "oldest")
        for read in reads:
            self._pages.take(read)
        last: ReadPage | None = None
        place, goes_on = 0, True  # rows from the newest end
        while True:
            self._take(reads)
            if self._watch.order not in (None, "newest"):
                return False
            if self._pages.has_gap:
                return True  # nothing is claimed of what was read
            if reads:
                last = self._end_of_known(reads, order, total) or reads[-1]
                behind = last.end if order == "newest" else total - last.offset
                place, goes_on = behind, behind != place and (order == "oldest" or reads[-1].page.row_count > 0)
            met = self._met()
            if met or place >= total or not goes_on:
                break
            reads = await self._pages.walk(self._offsets(order, last, total, self._width(place)), last)
        self._save(total, is_all=not met and place >= total)
        return True

    def _offsets(self, order: ListOrder, last: ReadPage | None, total: int, width: int) -> list[int]:
        """The next pages, each beginning with the last row of another."""
        step, stride = self._pages.step, self._pages.stride
        if order == "newest":
            first = last.next_offset if last else 0
            return [first, *(at for i in range(1, width) if (at := first + i * stride) + step - stride < total)]
        first = last.offset - stride if last else self._pages.last_offset(total)
        return [max(0, first), *(max(0, at) for i in range(1, width) if (at := first - i * stride) > -stride)]

    def _width(self, place: int) -> int:
        """How many pages to read side by side: no more than the need will take, by the density seen so far."""
        missing = float(self._need.newest - place)
        if self._need.filters.since and self._newest and self._reached and self._newest > self._reached:
            span = (self._newest - self._reached) / timedelta(seconds=1)
            missing = max(missing, place * ((self._reached - self._need.filters.since) / timedelta(seconds=1)) / span)
        return max(1, min(self._provider.concurrency, round(missing / self._pages.step)))

    def _take(self, reads: list[ReadPage]) -> None:
        for read in reads:
            self._watch.feed(read.fresh)
            starts = [row.started_at for row in read.page.conversations if row.started_at]
            if starts:
                self._newest = self._newest or max(starts)
                self._reached = min([*starts, self._reached] if self._reached else starts)

    def _met(self) -> bool:
        need, reached = self._need, self._reached
        if reached is None:
            return False
        # Calls begun at the very moment reached may go on behind it.
        if need.filters.since and reached < need.filters.since:
            return True
        return bool(need.newest) and self._count_from(reached + timedelta(milliseconds=1)) >= need.newest

    def _end_of_known(self, reads: list[ReadPage], order: ListOrder, total: int) -> ReadPage | None:
        """Where the rows read meet the part that was known: the end of that part, as if it had been read now.

        Only if it is as long as it was then: a call may have come, or gone, in the midst of it.
        """
        since, to = self._known.covered_since, self._known.covered_to
        if not since or not to or not self._reached or self._reached < since:
            return None
        starts = [known.started_at for read in reads for known in read.known.values() if known.started_at]
        count = self._count_from(since)
        if not any(since <= start <= to for start in starts) or count + self._known.excess != total:
            return None
        self._reached = since
        oldest = self._store.read.page(Filters(agent_id=self._known.scope, since=since), "oldest", self._pages.step)
        rows = [conversation for _, conversation in oldest]
        offset = total - count
        if order == "newest":
            rows, offset = rows[::-1], count - len(rows)
        return ReadPage(offset, Page(tuple(rows), len(rows), has_more=True, total=total))

    def _count_from(self, since: datetime) -> int:
        return self._store.read.count(Filters(agent_id=self._known.scope, since=since))

    def _save(self, total: int, is_all: bool) -> None:
        reached = self._reached or EVER
        since = EVER if is_all else reached + timedelta(milliseconds=1)
        gone = max(0, self._store.read.count_seen(self._known.scope) - total)
        self._store.ledger.update(
            self._known.scope,
            covered_since=since,
            covered_to=self._newest,
            excess=total - self._count_from(since),
            gone=gone,
            gone_at=self._known.gone_at if gone else None,
            checked_at=self._begun_at,
        )
