"""A server's Sync in a process of its own: `python -m tests.sync.child URL STORE` brings the list and all details."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from formant_mcp.filters import DetailNeed, Filters
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.freshness import next_reading
from formant_mcp.sync.lists import ListRequest


def utc_now() -> datetime:
    return datetime.now(UTC)


async def main(url: str, path: Path) -> None:
    store = Store(path, AccountKey("service", "account"), next_reading)
    sync = Sync(FormantProvider(url, "any-key"), store, utc_now)
    try:
        asked_at = utc_now()
        print(await sync.bring_list(ListRequest(), 60), sync.knowledge(ListRequest(), asked_at).is_complete)
        print(await sync.bring_details(store.read.detail_due(DetailNeed(Filters()), utc_now()), 60))
    finally:
        await sync.aclose()
        store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
