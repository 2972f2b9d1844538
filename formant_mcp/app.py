"""Builds the program's parts, when they are first needed."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.errors import (
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeoutError,
    StoreError,
)
from formant_mcp.exports import ExportsFolder
from formant_mcp.members import Member
from formant_mcp.providers.base import AnyProvider
from formant_mcp.queries.account import Account
from formant_mcp.recordings import RecordingsFolder
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.engine import Owner, another_account
from formant_mcp.store.members import Members
from formant_mcp.store.sqlite.removal import remove_if_free
from formant_mcp.store.store import read_owners
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at

_DELETE_SECONDS = 5.0  # for how long the first question waits until calls that are too old are deleted
_CHECK_SHARE = 0.9  # of a call's time, for checking the owner of a store


def utc_now() -> datetime:
    """The wall clock to the millisecond, the precision of the store, so that both compare."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def new_boundary() -> str:
    """The end mark of callers' words in an answer: random, so that no caller can know it."""
    return secrets.token_hex(3)


class Publish(Protocol):
    """Makes a link to a file; a temporary one is deleted when that has been used or has ended."""

    def __call__(self, path: Path, *, is_temporary: bool = False) -> str: ...


@dataclass(frozen=True, slots=True)
class App:
    """An account, open: its conversations, its members, the folders of recordings and exports, and how times are shown.

    `publish` makes a link to a file, for those who cannot open files of this machine; None: they can. `redacts`: kinds
    of identifiers that are hidden from everybody. `store_file`: the store's; None if it is none. `is_kept`: whether
    the store is still there when this process has ended.
    """

    account: Account
    members: Members
    recordings: RecordingsFolder
    exports: ExportsFolder
    zone: ZoneInfo
    call_seconds: float
    now: Callable[[], datetime]
    new_boundary: Callable[[], str] = new_boundary
    publish: Publish | None = None
    redacts: frozenset[str] = frozenset()
    store_file: Path | None = None
    is_kept: bool = True

    def for_answer(self, member: Member | None = None) -> "App":
        """The app for one answer to a member; None: to whoever has the key.

        Labels of hidden identifiers are those of this answer alone.
        """
        account = self.account.for_member(member)
        kinds = self.redacts | member.redacts if member else self.redacts
        return replace(self, account=account.redacted(Redactor(kinds)) if kinds else account)

    async def aclose(self) -> None:
        """Ends background work and closes the store. A file is removed if nothing came into it: its key was refused."""
        is_unused = False
        with suppress(StoreError, ConfigurationError):
            is_unused = self.store_file is not None and await self.account.is_unused()
        await self.account.aclose()
        if is_unused and self.store_file:
            with suppress(OSError):
                await asyncio.to_thread(remove_if_free, self.store_file)


async def open_app(
    settings: Settings,
    provider: AnyProvider,
    key: str,
    now: Callable[[], datetime] = utc_now,
    *,
    where: Path | str | None = None,
    verified_by: str = "",
) -> App:
    """Opens the account's store, at `where` or as the settings say.

    `verified_by`: a key that the store has already, where this one is new and verified to be of the same account.

    Raises:
        ConfigurationError, StoreError: the store, or the file of phrases, cannot be used.
    """
    account = AccountKey(settings.service(), settings.account(key), verified_by)
    lists = await asyncio.to_thread(PhraseLists.load, settings.phrases_file)
    where = where or settings.store_location(key)
    store = await Store.open(where, account, next_refresh_at, lists)
    store.keep_for(timedelta(days=settings.retention_days) if settings.retention_days else None)
    sync = Sync(provider, store, now)
    recordings = RecordingsFolder(settings.recordings_path())
    await sync.start_retention(_DELETE_SECONDS, recordings.delete)
    sync.start_measuring()
    return App(
        account=Account(sync, store),
        members=store.members,
        recordings=recordings,
        exports=ExportsFolder(settings.exports_path()),
        zone=settings.zone,
        call_seconds=settings.call_seconds,
        now=now,
        redacts=settings.redacts,
        store_file=where if isinstance(where, Path) else None,
        is_kept=where is not None,
    )


async def open_account(
    settings: Settings, provider: AnyProvider, key: str, now: Callable[[], datetime] = utc_now
) -> App:
    """Opens the key's store, or another key's store if the provider shows that both belong to one account.

    Raises:
        ConfigurationError, StoreError: the store cannot be used. FormantError: its owner cannot be checked now.
    """
    try:
        async with asyncio.timeout(settings.call_seconds * _CHECK_SHARE):
            where, verified_by = await _find_store(settings, provider, key)
    except TimeoutError:
        raise RequestTimeoutError("Checking the new key took too long.", "Retry in a moment.") from None
    return await open_app(settings, provider, key, now, where=where, verified_by=verified_by)


async def find_members(settings: Settings) -> tuple[Path | str, bool]:
    """Where the members of the key's account are, found without the provider; and whether the store has its data, so
    that the provider has accepted the key.

    Raises:
        ConfigurationError, StoreError: the store cannot be used, or only the provider can say which one is the key's.
    """
    key = settings.key()
    own = settings.store_location(key)
    if own is None:
        raise ConfigurationError("FORMANT_STORE is :memory:, which keeps no tokens.", "Set it to a path, or unset it.")
    where, others = await _find_store_of(settings, key, own)
    if where is None and others:
        raise ConfigurationError(
            "This key is new, so the store that it belongs to is not certain.",
            "Check the key. Run `formant-mcp sync` once if it is the right one, then retry.",
        )
    return where or own, where is not None


@asynccontextmanager
async def open_members(settings: Settings) -> AsyncGenerator[Members]:
    """The members of the key's account.

    Raises:
        ConfigurationError, StoreError: as find_members.
    """
    where, _ = await find_members(settings)
    account = AccountKey(settings.service(), settings.account(settings.key()))
    store = await Store.open(where, account, next_refresh_at)
    try:
        yield store.members
    finally:
        await store.close()


async def _find_store(settings: Settings, provider: AnyProvider, key: str) -> tuple[Path | str | None, str]:
    """Where the key's store is, and if the key is new to it, one that the store has already."""
    own = settings.store_location(key)
    if own is None:
        return None, ""
    where, others = await _find_store_of(settings, key, own)
    if where:
        return where, ""
    for other, owner in others:
        if await _has_any(provider, owner.sample):
            return other, next(iter(owner.keys))
        if settings.store and isinstance(other, Path):
            raise another_account()
    return own, ""


async def _find_store_of(
    settings: Settings, key: str, own: Path | str
) -> tuple[Path | str | None, list[tuple[Path | str, Owner]]]:
    """Where a store names this key, if one does, and all accounts of the same service."""
    owners = await asyncio.to_thread(read_owners, own, with_others=not settings.store)
    others = [(where, owner) for where, owner in owners if owner.service == settings.service()]
    account = settings.account(key)
    return next((where for where, owner in others if account in owner.keys), None), others


async def _has_any(provider: AnyProvider, conversation_ids: Sequence[str]) -> bool:
    """Whether the provider has one of these conversations; any may be deleted there, or have no details."""
    for conversation_id in conversation_ids:
        with suppress(NotFoundError, InvalidRequestError, InvalidResponseError, PermissionDeniedError):
            await provider.get_conversation(conversation_id)
            return True
    return False


class LazyApp:
    """Opens the account at the first question, so that the server starts fast, and even without a key."""

    def __init__(self, open_: Callable[[], Awaitable[App]]) -> None:
        self._open = open_
        self._app: App | None = None
        self._opening: asyncio.Task[App] | None = None

    async def app(self) -> App:
        """The open account. All who wait for it get the same answer at once, however long it takes to fail.

        Raises:
            FormantError: the account cannot be opened; the next question tries again.
        """
        if self._app:
            return self._app
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_and_keep())
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may wait for it
        return await asyncio.shield(self._opening)

    async def aclose(self) -> None:
        """Closes what was opened."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._app:
            await self._app.aclose()

    async def _open_and_keep(self) -> App:
        try:
            self._app = await self._open()
            return self._app
        finally:
            self._opening = None
