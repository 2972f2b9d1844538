"""A list whose pages each name the next, its pages saved as they come; a list without an end is an error."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast
from urllib.parse import urlencode

from formant_mcp.errors import ASK_AGAIN, CursorRejectedError, InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Conversation, Page
from formant_mcp.providers.base import CursorPage, CursorProvider
from formant_mcp.store.writer import PreviousRow
from formant_mcp.sync.background import Progress
from formant_mcp.sync.details import Details
from formant_mcp.sync.list_sync import StoredList

_MAX_IDLE_PAGES = 100  # after so many in a row without anything new, the list is taken for a loop
_NOBODY = "formant-mcp-nobody"  # an id that no user and no agent has


@dataclass(frozen=True, slots=True)
class CursorList(StoredList):
    """What a provider with cursor pagination lists for some filters: the whole, one agent's calls, one user's, ...

    `honoured`: which fields the provider was seen to narrow by, shared by all lists.
    """

    filters: Filters
    provider: CursorProvider
    details: Details
    honoured: dict[str, bool]

    async def save_page(self, page: Page, progress: Progress) -> tuple[dict[str, PreviousRow], int]:
        """Returns what was stored before, and how many rows could not be read as far as the question needs them."""
        rows, user_id = list(page.conversations), self.filters.user_id
        for name in ("user_id", "agent_id"):
            rows = await self._with_filter_value(rows, name)
        stored_before = await self.store.write.save(rows, self.now())
        progress.done += 1
        if not user_id or all(row.user_id is not None for row in rows):
            return stored_before, page.unreadable
        ids = [row.conversation_id for row in rows]
        await self.details.read(await self._without_detail(ids), progress, holds_list=True)
        return stored_before, page.unreadable + len(await self._without_detail(ids))

    async def _with_filter_value(self, rows: list[Conversation], name: str) -> list[Conversation]:
        """Rows that do not show the field that the list is filtered by have that value if the filter is honoured.

        Where it is not, the provider also lists calls of a user, or an agent, that does not exist.
        """
        value: str = getattr(self.filters, name)
        if not value or all(getattr(row, name) is not None for row in rows):
            return rows
        if name not in self.honoured:
            try:
                page = await self.provider.list_page("", replace(NO_FILTERS, **{name: _NOBODY}))
                self.honoured[name] = not page.page.row_count
            except (InvalidRequestError, NotFoundError):
                self.honoured[name] = True
        if not self.honoured[name]:
            return rows
        return [row if getattr(row, name) else row._replace(**{name: value}) for row in rows]

    async def _without_detail(self, conversation_ids: list[str]) -> list[str]:
        stored = await self.store.read.get(conversation_ids)
        return [conversation_id for conversation_id, row in stored.items() if not row.has_detail]


class CursorPages:
    """The pages of one list from a cursor on. `cursor`: where the next page is; None after the last one.

    A list whose cursor the provider rejects is begun again, once. A page whose next cursor was returned before is the
    last.
    """

    def __init__(self, provider: CursorProvider, filters: Filters, cursor: str = "") -> None:
        self._provider = provider
        self._filters = filters
        self._is_begun_again = False
        self._begin(cursor)

    async def fetch_next(self) -> tuple[str, CursorPage]:
        """The next page and the cursor it was fetched at; '': it is the first of the list.

        Raises:
            InvalidResponseError: the list never ends, or the provider rejects its cursors.
        """
        try:
            page = await self._provider.list_page(self.cursor or "", self._filters)
        except CursorRejectedError:
            if self._is_begun_again:
                raise InvalidResponseError("The provider rejects its own cursors.", ASK_AGAIN) from None
            self._is_begun_again = True
            self._begin("")
            return await self.fetch_next()
        cursor, self.cursor = self.cursor or "", page.next_cursor or None
        if self.cursor in self._cursors:
            page, self.cursor = CursorPage(page.page, "", ends_early=True), None
        self._count_idle(page)
        self._cursors.add(page.next_cursor)
        return cursor, page

    def _begin(self, cursor: str) -> None:
        self.cursor: str | None = cursor
        self._cursors = {cursor}
        self._seen = set[str]()
        self._idle_pages = 0

    def _count_idle(self, page: CursorPage) -> None:
        if self._idle_pages >= _MAX_IDLE_PAGES:
            raise InvalidResponseError(
                f"Pagination loop: {self._idle_pages} pages in a row without anything new.", ASK_AGAIN
            )
        ids = {conversation.conversation_id for conversation in page.page.conversations}
        self._idle_pages = 0 if ids - self._seen else self._idle_pages + 1
        self._seen |= ids


def list_name(filters: Filters) -> str:
    """The name of that list in the store."""
    return urlencode({name: _text(value) for name, value in filters.given().items()})


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, cast(tuple[object, ...], value)))
    return value.isoformat() if isinstance(value, datetime) else str(value)
