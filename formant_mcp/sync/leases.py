"""Several servers on one store share the work: what one is bringing, the others wait for."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from formant_mcp.store.sync_state import SyncState

_SPAN = timedelta(seconds=5)  # how long after a server's sudden end its work is free again
_BEAT_SECONDS = 1.5
_LOOK_EVERY_SECONDS = 0.2


class Leases:
    """The leases this server holds; kept alive while it lives, gone shortly after it dies."""

    def __init__(self, ledger: SyncState, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now
        self._owner = secrets.token_hex(8)
        self._held: set[str] = set()
        self._beat: asyncio.Task[None] | None = None

    def take(self, name: str) -> bool:
        """Takes a lease unless somebody, this server included, holds it."""
        if name in self._held or not self._ledger.lease([name], self._owner, self._now(), _SPAN):
            return False
        self._held.add(name)
        if self._beat is None or self._beat.done():
            self._beat = asyncio.create_task(self._keep())
        return True

    def drop(self, name: str) -> None:
        """Gives a lease back."""
        self._held.discard(name)
        self._ledger.release([name], self._owner)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[None]:
        """Holds a lease, waiting for it as long as somebody else does."""
        while not self.take(name):
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        try:
            yield
        finally:
            self.drop(name)

    async def aclose(self) -> None:
        """Gives all back."""
        if self._beat:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        for name in list(self._held):
            self.drop(name)

    async def _keep(self) -> None:
        while self._held:
            await asyncio.sleep(_BEAT_SECONDS)
            self._ledger.lease(list(self._held), self._owner, self._now(), _SPAN)
