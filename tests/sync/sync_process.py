"""A Sync in a process of its own: `python -m tests.sync.sync_process URL STORE KEY` loads the list and all details.

STORE: a path, or a database's address. KEY: the account's.
"""

import asyncio
import sys
from pathlib import Path

from formant_mcp.app import utc_now
from formant_mcp.filters import DetailRequest, Filters
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import ListRequest


async def main(url: str, where: str, key: str) -> None:
    store_at = where if "://" in where else Path(where)
    store = await Store.open(store_at, AccountKey("service", key), next_refresh_at)
    sync = Sync(FormantProvider(url, "any-key"), store, utc_now)
    try:
        requested_at = utc_now()
        print(
            (await sync.refresh_list(ListRequest(), 60)).error,
            (await sync.list_status(ListRequest(), requested_at)).is_complete,
        )
        print(await sync.fetch_details(await store.read.details_to_fetch(DetailRequest(Filters()), utc_now()), 60))
    finally:
        await sync.aclose()
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
