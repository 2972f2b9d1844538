"""The parts put together: what every tool works with, opened when first needed."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from formant_mcp.query.gather import Gathering
from formant_mcp.recordings import RecordingsFolder
from formant_mcp.settings import Settings
from formant_mcp.source import AnySource
from formant_mcp.store import Store
from formant_mcp.sync import Sync
from formant_mcp.sync.freshness import next_reading


def utc_now() -> datetime:
    """The wall clock, to the millisecond: as finely as the store keeps it, so that both compare."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def new_boundary() -> str:
    """What ends a stretch of strangers' words: new for every answer, so that none of them can know it."""
    return secrets.token_hex(3)


@dataclass(frozen=True, slots=True)
class App:
    """An account, open: its conversations, its recordings folder, and how times are shown."""

    gathering: Gathering
    recordings: RecordingsFolder
    zone: ZoneInfo
    call_seconds: float
    now: Callable[[], datetime]
    new_boundary: Callable[[], str] = new_boundary

    async def aclose(self) -> None:
        """Ends background work and gives the store back."""
        await self.gathering.sync.aclose()
        self.gathering.store.close()


def open_app(settings: Settings, source: AnySource, key: str, now: Callable[[], datetime] = utc_now) -> App:
    """Opens the account's store.

    Raises:
        ConfigurationError, StoreError: the store cannot be used.
    """
    store = Store(settings.store_path(key), settings.account(key), next_reading)
    return App(
        gathering=Gathering(Sync(source, store, now), store),
        recordings=RecordingsFolder(settings.recordings_path()),
        zone=settings.zone,
        call_seconds=settings.call_seconds,
        now=now,
    )


class Opener:
    """Opens the account at the first question, so that the server is there at once, and without a key too."""

    def __init__(self, open_: Callable[[], App]) -> None:
        self._open = open_
        self._app: App | None = None

    def app(self) -> App:
        """The open account.

        Raises:
            ConfigurationError, StoreError: what to set or mend; asked again, it is tried again.
        """
        if self._app is None:
            self._app = self._open()
        return self._app

    async def aclose(self) -> None:
        """Closes what was opened."""
        if self._app:
            await self._app.aclose()
