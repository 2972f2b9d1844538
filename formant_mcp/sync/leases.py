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

    def __init__(self, sync_state: SyncState, now: Callable[[], datetime]) -> None:
        self._sync_state = sync_state
        self._now = now
        self._owner = secrets.token_hex(8)
        self._held: set[str] = set()
        self._wanted: set[str] = set()
        self._beat: asyncio.Task[None] | None = None

    async def take(self, *names: str) -> list[str]:
        """Takes those of the leases that nobody, this server included, holds; returns the ones it took."""
        free = [name for name in names if name not in self._held and name not in self._wanted]
        if not free:
            return []
        self._wanted.update(free)
        try:
            taken = await self._sync_state.lease(free, self._owner, self._now(), _SPAN)
        except BaseException:  # what is taken although the caller is cancelled is given back
            await self._sync_state.release(free, self._owner)
            raise
        finally:
            self._wanted.difference_update(free)
        self._held.update(taken)
        if taken and (self._beat is None or self._beat.done()):
            self._beat = asyncio.create_task(self._keep())
        return taken

    async def drop(self, *names: str) -> None:
        """Gives leases back."""
        self._held.difference_update(names)
        await self._sync_state.release(names, self._owner)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[None]:
        """Holds a lease, waiting for it as long as somebody else does."""
        while not await self.take(name):
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        try:
            yield
        finally:
            await self.drop(name)

    async def aclose(self) -> None:
        """Gives all back."""
        if self._beat:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        if self._held:
            await self.drop(*self._held)

    async def _keep(self) -> None:
        while self._held:
            await asyncio.sleep(_BEAT_SECONDS)
            await self._sync_state.lease(list(self._held), self._owner, self._now(), _SPAN)
