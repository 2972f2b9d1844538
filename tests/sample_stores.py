"""Stores with the whole sample account, for tests that only read it: loaded once, copied for each test."""

import secrets
import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

from tests.fake_formant import FakeFormant
from tests.server_harness import NOW, Account


class SampleStores:
    """A store for each provider, in `folder`, which processes may share; or in a database, then not copied."""

    def __init__(self, folder: Path, *, in_database: bool = False) -> None:
        self._folder = folder
        self._numbers = count()
        self._in_database = in_database
        self._loaded = set[str]()

    async def copy(self, provider: str, folder: Path, now: datetime = NOW) -> Path:
        """A copy in `folder` of the store of the sample account as that provider sends it at that time."""
        name = f"{provider}-{now:%Y%m%d%H%M%S}"
        loaded = self._folder / f"{name}.sqlite"
        if self._in_database:
            if name not in self._loaded:
                await self._load(provider, loaded, now)
            self._loaded.add(name)
            return loaded
        if not loaded.exists():
            loading = self._folder / f"{provider}-{secrets.token_hex(8)}.sqlite"
            await self._load(provider, loading, now)
            loading.replace(loaded)
        copied = folder / f"{provider}-{next(self._numbers)}.sqlite"
        shutil.copyfile(loaded, copied)
        return copied

    async def _load(self, provider: str, path: Path, now: datetime) -> None:
        account = Account(FakeFormant(), "auto", self._folder, now)
        async with account.connect_to_sample(provider=provider, store=str(path), call_seconds=60) as assistant:
            answer = await assistant.ask("search_transcripts", query="a word that reads every transcript")
        assert answer.coverage["complete"] is True
        assert not path.with_name(f"{path.name}-wal").exists()  # closed, so everything is in the file
