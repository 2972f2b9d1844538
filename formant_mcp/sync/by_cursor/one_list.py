"""How one list is kept known whose pages hang on each other: by what is new, by windows back in time, or whole.

A list is what the provider gives for one filters: the whole account's, one agent's, one user's, ... Its order is of
no account: a window is asked for by its times and read to its end.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast
from urllib.parse import urlencode

from formant_mcp.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.filters import Filters
from formant_mcp.models import Page
from formant_mcp.providers.base import CursorProvider
from formant_mcp.store import Store
from formant_mcp.store.sync_state import ListState
from formant_mcp.store.writer import PreviousRow
from formant_mcp.sync.background import Progress
from formant_mcp.sync.by_cursor.walk import walk
from formant_mcp.sync.details import Details
from formant_mcp.sync.freshness import DAY, HOUR
from formant_mcp.sync.list_sync import ListRequest, doubts

_WIDER_EACH_TIME = 4
_WINDOWS = 5  # for the newest calls: together almost a year; what is older is read with all the rest
_LOOKED_UP_AT_ONCE = 100
_NOBODY = "formant-mcp-nobody"  # an id that no user and no agent has
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)


class OneList:
    """Brings one list up to date; `scope` is its name in the ledger, '' for the whole.

    `honoured`: what was found out of the fields that the provider narrows by, shared by all lists.
    """

    def __init__(
        self,
        provider: CursorProvider,
        store: Store,
        details: Details,
        now: Callable[[], datetime],
        filters: Filters,
        progress: Progress,
        honoured: dict[str, bool],
    ) -> None:
        self._provider = provider
        self._store = store
        self._details = details
        self._now = now
        self._filters = filters
        self._progress = progress
        self._honoured = honoured
        self.scope = scope_of(filters)

    async def look(self) -> None:
        """Reads what came since the list was last read.

        Further back by an hour, for a call may be listed only when it is over; by a day where what the list is
        narrowed by may change while a call runs.
        """
        known, begun_at = self._store.ledger.scope(self.scope), self._now()
        changes = replace(self._filters, agent_id="") != Filters()
        # The earlier of both: this machine's clock may have been put right since.
        since = min(known.covered_to or begun_at, begun_at) - (DAY if changes else HOUR)
        unreadable, ends_early = await self._read(replace(self._filters, since=since))
        known = self._store.ledger.scope(self.scope)  # another look may have ended meanwhile
        self._store.ledger.update(
            self.scope,
            covered_to=max(begun_at, known.covered_to or begun_at),
            checked_at=max(begun_at, known.checked_at or begun_at),
            unreadable=max(unreadable, known.unreadable),
            ends_early=known.ends_early or ends_early,
        )

    async def reach(self, need: ListRequest) -> bool:
        """Reads back in time, window by window, as far as the need goes; False where it takes the whole list."""
        known, begun_at = self._store.ledger.scope(self.scope), self._now()
        is_recent = known.covered_at is not None and begun_at - known.covered_at < DAY
        edge = known.covered_since if is_recent and not has_holes(known) else None
        if edge:
            await self.look()
        span = 7 * DAY if need.filters.since else DAY
        windows = 0
        while edge is None or not self._meets(need, edge):
            if need.newest and windows == _WINDOWS:
                return False
            since = earlier(edge or begun_at, span)
            since = max(need.filters.since, since) if need.filters.since else since
            if not await self._read_window(since, edge, begun_at):
                break
            edge, span, windows = since, span * _WIDER_EACH_TIME, windows + 1
        return True

    async def read_all(self) -> None:
        """A full pass; it goes on where one was broken off.

        Raises:
            FormantError: it breaks off; what was read is kept.
        """
        known = self._store.ledger.scope(self.scope)
        cursor = (known.pass_cursor or "") if known.pass_started_at else ""
        while not await self._pass(known, cursor):
            cursor = ""
        started_at = known.pass_started_at or self._now()
        since = self._filters.since and self._filters.since + self._provider.spec.max_queue_time
        is_settled = known.ends_early or await self._settle(replace(self._filters, since=since), started_at)
        if not is_settled:
            self._store.ledger.update(self.scope, checked_at=self._now(), pass_started_at=None, pass_cursor=None)
            return
        looked_at = self._store.ledger.scope(self.scope).covered_to  # a question may have looked further meanwhile
        seen_to = max(started_at, looked_at) if looked_at else started_at
        self._store.ledger.update(
            self.scope,
            total=known.pass_total,
            shortfall=max(0, (known.pass_total or 0) - known.pass_rows),
            unreadable=known.pass_unreadable,
            ends_early=known.ends_early,
            complete_at=None if known.ends_early else started_at,
            checked_at=seen_to,
            covered_to=seen_to,
            covered_since=None,
            pass_started_at=None,
            pass_cursor=None,
        )

    async def _pass(self, known: ListState, cursor: str) -> bool:
        """False where the list does not go on from there as it did, so that it is to be begun again."""
        resumed_at = cursor
        try:
            async with aclosing(walk(self._provider, self._filters, cursor)) as pages:
                async for at, listed in pages:
                    if not at:
                        known.pass_started_at, known.pass_total = self._now(), None
                        known.pass_rows = known.pass_unreadable = 0
                    before, unreadable = await self._save(listed.page)
                    if at and at == resumed_at and not _shows_any_seen(before, known.pass_started_at):
                        return False
                    resumed_at, known.ends_early = "", listed.ends_early
                    self._note(known, at, listed.page, unreadable)
                    await self._details.turn(self._progress)
        except InvalidResponseError:
            self._store.ledger.update(self.scope, pass_started_at=None)  # going on there would only end there again
            raise
        return True

    def _note(self, known: ListState, at: str, page: Page, unreadable: int) -> None:
        """The pass goes on with the page last read, to see whether the list still does."""
        self._store.ledger.update(
            self.scope,
            pass_started_at=known.pass_started_at,
            pass_cursor=at,
            pass_rows=known.pass_rows,
            pass_unreadable=known.pass_unreadable,
            pass_total=known.pass_total,
        )
        known.pass_rows += page.row_count
        known.pass_unreadable += unreadable
        if page.total is not None:
            known.pass_total = min(page.total, known.pass_total or page.total)

    def _meets(self, need: ListRequest, edge: datetime) -> bool:
        if need.filters.since:
            return edge <= need.filters.since
        return self._store.read.count(replace(self._filters, since=edge)) >= need.newest

    async def _read_window(self, since: datetime, until: datetime | None, begun_at: datetime) -> bool:
        """False where it misses so many of the calls known that it is not believed yet."""
        window = replace(self._filters, since=earlier(since, self._provider.spec.max_queue_time), until=until)
        read_at = self._now()
        unreadable, ends_early = await self._read(window)
        if not ends_early and not await self._settle(replace(window, since=since), read_at):
            return False
        known = self._store.ledger.scope(self.scope)
        if until is None:
            known.unreadable, known.ends_early = 0, False
            self._store.ledger.update(self.scope, covered_to=begun_at, covered_at=begun_at, checked_at=begun_at)
        self._store.ledger.update(
            self.scope,
            covered_since=since,
            unreadable=known.unreadable + unreadable,
            ends_early=known.ends_early or ends_early,
        )
        return True

    async def _read(self, filters: Filters) -> tuple[int, bool]:
        """Reads such a list to its end; gives how many rows could not be read, and whether it ended early."""
        unreadable, ends_early = 0, False
        async with aclosing(walk(self._provider, filters)) as pages:
            async for at, listed in pages:
                _, more = await self._save(listed.page)
                unreadable, ends_early = more + (unreadable if at else 0), listed.ends_early
        return unreadable, ends_early

    async def _save(self, page: Page) -> tuple[dict[str, PreviousRow], int]:
        """Gives what was known before, and how many rows could not be read so far as the question needs them."""
        user_id, agent_id = self._filters.user_id, self._filters.agent_id
        rows = page.conversations
        if user_id and await self._is_true_of("user_id", {row.user_id for row in rows}):
            rows = [replace(row, user_id=row.user_id or user_id) for row in rows]
        if agent_id and await self._is_true_of("agent_id", {row.agent_id for row in rows}):
            rows = [replace(row, agent_id=row.agent_id or agent_id) for row in rows]
        before = self._store.write.save(rows, self._now())
        self._progress.done += 1
        if not user_id or None not in {row.user_id for row in rows}:
            return before, page.unreadable
        ids = [row.conversation_id for row in rows]
        await self._details.read(self._without_detail(ids), self._progress)
        return before, page.unreadable + len(self._without_detail(ids))

    async def _is_true_of(self, name: Literal["agent_id", "user_id"], shown: set[str | None]) -> bool:
        """Whether what the list is narrowed by is true of rows that do not show that field themselves.

        A provider that takes no notice of it would say the same of all calls: it also has some for a user, or an
        agent, that does not exist.
        """
        if None not in shown:
            return False
        if name not in self._honoured:
            filters = Filters(user_id=_NOBODY) if name == "user_id" else Filters(agent_id=_NOBODY)
            try:
                self._honoured[name] = not (await self._provider.list_page("", filters)).page.row_count
            except (InvalidRequestError, NotFoundError):
                self._honoured[name] = True
            self._progress.done += 1
        return self._honoured[name]

    def _without_detail(self, conversation_ids: list[str]) -> list[str]:
        return [each for each, row in self._store.read.get(conversation_ids).items() if not row.has_detail]

    async def _settle(self, filters: Filters, begun_at: datetime) -> bool:
        """Calls that should have been shown and were not are asked for by themselves: changed, passed over, or gone.

        Pages counted from the front pass over a row where another has gone meanwhile. Where so many are gone, and none
        of those asked for was still there, the others are taken for gone as well. False where many are missing for the
        first time: nothing is asked for and nothing deleted until they are missing again some time later.
        """
        if not (filters.status or filters.call_successful != "any"):  # a call may change these, and leave the list
            known, missing = self._store.ledger.scope(self.scope), self._store.read.unseen(filters, begun_at, -1)
            count = self._store.read.count(filters)
            if doubted := doubts(known, count, len(missing), begun_at, self._now()):
                self._store.ledger.update(self.scope, **doubted)
                return False
        while hidden := self._store.read.unseen(filters, begun_at, _LOOKED_UP_AT_ONCE):
            self._store.write.invalidate_details(hidden)
            await self._details.read(hidden, self._progress)
            gone = self._store.read.missing_among(hidden, begun_at)
            self._store.write.delete(*gone)
            if len(gone) == len(hidden) and filters == Filters():
                self._store.write.delete_unseen("", begun_at)
            if not set(hidden) - set(self._store.read.unseen(filters, begun_at, _LOOKED_UP_AT_ONCE)):
                break  # they cannot be asked for now: what was known of them stays
        self._store.ledger.update(self.scope, gone=0, gone_at=None)
        return True


def earlier(moment: datetime, span: timedelta) -> datetime:
    """That long before, or the calendar's beginning."""
    return moment - span if moment - _FIRST_MOMENT > span else _FIRST_MOMENT


def scope_of(filters: Filters) -> str:
    """The name of that list in the ledger."""
    return urlencode({name: _scope_value(value) for name, value in filters.given().items()})


def _scope_value(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, cast(tuple[object, ...], value)))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def has_holes(known: ListState) -> bool:
    """Whether the list ended early, or details are missing that say which calls of a user's list are theirs.

    It is read again then.
    """
    return known.ends_early or ("user_id=" in known.scope and known.unreadable > 0)


def _shows_any_seen(before: dict[str, PreviousRow], since: datetime | None) -> bool:
    return not before or any(since and each.seen_at >= since for each in before.values())
