"""How a list is kept known: by a glance at its ends, by its newest part, or by a full pass."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from formant_mcp.filters import Filters
from formant_mcp.source import ConversationSource
from formant_mcp.store import Store
from formant_mcp.store.ledger import ListOrder, Scope
from formant_mcp.sync.jobs import Progress
from formant_mcp.sync.pages import OrderWatch, Pages, ReadPage
from formant_mcp.sync.passes import FullPass

_SMALL_LIST_PAGES = 10  # so many pages are read whole: that costs little, and every later question less
_PROBES = 4
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ListNeed:
    """Which part of the list a question looks at: one agent's, all since then, or the `newest` so many; 0: all."""

    agent_id: str = ""
    since: datetime | None = None
    newest: int = 0

    @property
    def is_narrow(self) -> bool:
        """Whether the newest part of the list may be enough."""
        return self.since is not None or self.newest > 0


class Lists:
    """Brings one list (the whole, or one agent's) up to date for one need."""

    def __init__(
        self, source: ConversationSource, store: Store, now: Callable[[], datetime], scope: str, progress: Progress
    ) -> None:
        self._source = source
        self._store = store
        self._now = now
        self._scope = scope
        self._progress = progress
        self._pages = Pages(source, store, now, scope)

    async def look(self) -> bool:
        """For a list known whole: looks for what is new; whether the counts agree afterwards."""
        known = self._store.ledger.scope(self._scope)
        step, total = self._pages.step, known.total
        ends = [0]
        if known.list_order != "newest":
            back = self._store.read.count_seen(self._scope) if total is None else max(0, (total - 1) // step * step)
            ends = [0, back] if back else [0]
        for read in await self._pages.read(ends):
            total = read.page.total
            while read.more and read.brings_new():
                read = (await self._pages.read([read.end]))[0]
                total = read.page.total
        if total is not None and total - self._store.read.count_seen(self._scope) != known.excess:
            return False
        self._store.ledger.update(self._scope, total=total, checked_at=self._now())
        return True

    async def read_all(self) -> None:
        """A full pass."""
        await FullPass(self._source, self._store, self._now, self._scope, self._progress).run()

    async def read_newest(self, need: ListNeed) -> bool:
        """Reads the newest part as far as the need goes; False where the order does not prove what that part is."""
        known = self._store.ledger.scope(self._scope)
        first = (await self._pages.read([0]))[0]
        total = first.page.total
        if total is None or total <= _SMALL_LIST_PAGES * self._pages.step:
            return False
        order = known.list_order or await self._order(first, total)
        self._store.ledger.update(self._scope, list_order=order, total=total)
        if order == "none":
            return False
        if not await _NewestPart(self._store, self._pages, self._source, self._now, known, need).read(order, first):
            self._store.ledger.update(self._scope, list_order="none", covered_since=None, covered_to=None)
            return False
        return True

    async def _order(self, first: ReadPage, total: int) -> ListOrder:
        """The order that the first page and a few more, up to the last, agree on."""
        last = (total - 1) // self._pages.step * self._pages.step
        offsets = sorted({last * i // _PROBES for i in range(1, _PROBES + 1)})
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
        source: ConversationSource,
        now: Callable[[], datetime],
        known: Scope,
        need: ListNeed,
    ) -> None:
        self._store = store
        self._pages = pages
        self._source = source
        self._known = known
        self._need = need
        self._begun_at = now()
        self._watch = OrderWatch()
        self._newest: datetime | None = None
        self._reached: datetime | None = None

    async def read(self, order: ListOrder, first: ReadPage) -> bool:
        """False where the list turns out not to be in that order."""
        total = first.page.total or 0
        reads = [first] if order == "newest" else []
        place = 0  # rows from the newest end
        while True:
            for read in reads:
                self._take(read, order)
            if self._watch.order not in (None, "newest"):
                return False
            if reads:
                place = self._joined(reads) or (reads[-1].end if order == "newest" else total - reads[-1].offset)
            over = self._met()
            if over or place >= total:
                break
            reads = await self._pages.read(self._offsets(order, place, total), before=reads[-1] if reads else None)
        self._save(is_all=not over)
        return True

    def _offsets(self, order: ListOrder, place: int, total: int) -> list[int]:
        step = self._pages.step
        ends = [place + i * step for i in range(self._width(place)) if place + i * step < total]
        return ends if order == "newest" else [max(0, total - end - step) for end in ends]

    def _width(self, place: int) -> int:
        """How many pages to read side by side: no more than the need will take, by the density seen so far."""
        missing = float(self._need.newest - place)
        if self._need.since and self._newest and self._reached and self._newest > self._reached:
            span = (self._newest - self._reached) / timedelta(seconds=1)
            missing = max(missing, place * ((self._reached - self._need.since) / timedelta(seconds=1)) / span)
        return max(1, min(self._source.concurrency, round(missing / self._pages.step)))

    def _take(self, read: ReadPage, order: ListOrder) -> None:
        rows = read.page.conversations if order == "newest" else read.page.conversations[::-1]
        self._watch.feed(rows)
        starts = [row.started_at for row in rows if row.started_at]
        if starts:
            self._newest = self._newest or max(starts)
            self._reached = min([*starts, self._reached] if self._reached else starts)

    def _met(self) -> bool:
        need, reached = self._need, self._reached
        if reached is None:
            return False
        # Calls begun at the very moment reached may go on behind it.
        if need.since and reached < need.since:
            return True
        return bool(need.newest) and self._count_from(reached + timedelta(milliseconds=1)) >= need.newest

    def _joined(self, reads: list[ReadPage]) -> int | None:
        """Where the rows read meet the part that was known, the place behind that part."""
        since, to = self._known.covered_since, self._known.covered_to
        if not since or not to or not self._reached or self._reached < since:
            return None
        starts = [known.started_at for read in reads for known in read.known.values() if known.started_at]
        if not any(since <= start <= to for start in starts):
            return None
        self._reached = since
        # One row on this side of the seam is read again, so that none is skipped.
        return max(1, self._count_from(since)) - 1

    def _count_from(self, since: datetime) -> int:
        return self._store.read.count(Filters(agent_id=self._known.scope, since=since))

    def _save(self, is_all: bool) -> None:
        reached = self._reached or _EVER
        self._store.ledger.update(
            self._known.scope,
            covered_since=_EVER if is_all else reached + timedelta(milliseconds=1),
            covered_to=self._newest,
            checked_at=self._begun_at,
        )
