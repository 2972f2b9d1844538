"""What the tests of cursor sources share."""

from collections.abc import Callable
from pathlib import Path

import httpx

from formant_mcp.models import Conversation
from formant_mcp.source import CursorSource, Narrowing

FIXTURES = Path(__file__).parents[1] / "fixtures"
KEY = "key-nobody-may-see"
EVERYTHING = Narrowing()
Handler = Callable[[httpx.Request], httpx.Response]


async def no_sleep(seconds: float) -> None:
    """Time passes at once."""


def sent(name: str) -> bytes:
    """The bytes of a fixture."""
    return (FIXTURES / f"{name}.json").read_bytes()


async def received(source: CursorSource, conversation_id: str) -> tuple[str, bytes]:
    """A recording's media type and bytes."""
    async with source.open_recording(conversation_id) as recording:
        return recording.media_type, b"".join([chunk async for chunk in recording.chunks])


async def whole_list(source: CursorSource, narrowing: Narrowing = EVERYTHING) -> list[Conversation]:
    """Every row, page after page."""
    page = await source.list_from("", narrowing)
    rows = [*page.page.conversations]
    while page.next_cursor:
        page = await source.list_from(page.next_cursor, narrowing)
        rows += page.page.conversations
    return rows
