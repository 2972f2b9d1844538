"""A list read from cursor to cursor, whatever it does short of ending: then the error says what it does instead."""

from collections.abc import AsyncGenerator

from formant_mcp.errors import ASK_AGAIN, CursorRejectedError, InvalidResponseError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import CursorPage, CursorProvider

_MOST_IDLE_PAGES = 100  # so many in a row without anything new, and the list goes round, or nowhere


async def walk(
    provider: CursorProvider, filters: Filters, cursor: str = ""
) -> AsyncGenerator[tuple[str, CursorPage], None]:
    """Page after page from that cursor on, each with the cursor it was read at ('': the list's beginning).

    Where the provider refuses a cursor, the list is begun again, once. Where it gives a cursor again that it gave
    before, that page is the last.

    Raises:
        InvalidResponseError: the list never ends, or the provider refuses its cursors.
    """
    cursors, shown, idle, begun_again = {cursor}, set[str](), 0, False
    while True:
        try:
            page = await provider.list_page(cursor, filters)
        except CursorRejectedError:
            if begun_again:
                raise InvalidResponseError("The provider refuses cursors that it gave.", ASK_AGAIN) from None
            cursor, cursors, shown, idle, begun_again = "", {""}, set[str](), 0, True
            continue
        if page.next_cursor and page.next_cursor in cursors:
            page = CursorPage(page.page, "", ends_early=True)
        yield cursor, page
        if not page.next_cursor:
            return
        ids = {each.conversation_id for each in page.page.conversations}
        idle = 0 if ids - shown else idle + 1
        shown |= ids
        if idle >= _MOST_IDLE_PAGES:
            raise InvalidResponseError(
                f"The provider gave {idle} pages in a row without anything new: its list would never end.",
                ASK_AGAIN,
            )
        cursor = page.next_cursor
        cursors.add(cursor)
