"""The pages of a list whose pages each name the next, read to its end; a list without an end is an error."""

from formant_mcp.errors import ASK_AGAIN, CursorRejectedError, InvalidResponseError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import CursorPage, CursorProvider

_MAX_IDLE_PAGES = 100  # after so many in a row without anything new, the list is taken for a loop


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
