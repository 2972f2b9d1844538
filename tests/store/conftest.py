"""Closes the stores that the tests of this folder leave open."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from formant_mcp.store import AccountKey, Store
from formant_mcp.store.writer import Due


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> Generator[list[Store]]:
    """The stores that the test opened, closed at its end."""
    opened: list[Store] = []
    open_store = Store.open

    async def open_and_keep(path: Path | None, account: AccountKey, due: Due, *, takes_over: bool = False) -> Store:
        opened.append(await open_store(path, account, due, takes_over=takes_over))
        return opened[-1]

    monkeypatch.setattr(Store, "open", open_and_keep)
    yield opened

    async def close() -> None:
        for store in opened:
            await store.close()

    asyncio.run(close())
