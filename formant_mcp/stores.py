"""The stores that there are: listed, described and deleted. The provider is not needed, nor that it accepts the key."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from formant_mcp.errors import StoreError
from formant_mcp.files import disk_errors
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.recordings import RecordingsFolder
from formant_mcp.settings import Settings, data_folder, service_name
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.engine import another_account
from formant_mcp.store.facts import StoreFacts
from formant_mcp.store.sqlite.file import damaged_in, files_of, refuse_unusable
from formant_mcp.store.sqlite.inspection import check_integrity, inspect_file, stores_in
from formant_mcp.store.sqlite.removal import remove_if_free
from formant_mcp.store.sqlite.room import shortage
from formant_mcp.store.store import ids_in, inspect_database, refusal_of_database
from formant_mcp.sync.details import next_refresh_at

__all__ = ["AllStores", "StoreFacts", "check_integrity", "files_of", "refusal_of_database", "shortage"]


@dataclass(frozen=True, slots=True)
class AllStores:
    """The stores of this machine, and the accounts of the database that the settings name.

    `own`: the key's store; of a file that the settings name, whoever's it is; None: there is none yet. `is_foreign`: it
    is another account's. `refusal`: why the server would not open a store there, though it may have been one.
    `damaged`: files of stores that were corrupt, which were kept when a new one was created.
    """

    own: StoreFacts | None
    refusal: StoreError | None
    is_foreign: bool
    others: tuple[StoreFacts, ...]
    damaged: tuple[Path, ...]

    def damaged_of(self, store: StoreFacts | None) -> tuple[Path, ...]:
        """Those of the damaged files that were this store."""
        beginning = f"{store.name}.damaged-" if store else "/"
        return tuple(path for path in self.damaged if path.name.startswith(beginning))


def find_stores(settings: Settings, key: str) -> AllStores:
    """All stores there are; `key`: '' where there is none.

    Raises:
        StoreError, ConfigurationError: the database cannot be read.
    """
    location, account = settings.store_location(key), settings.account(key)
    data = data_folder()
    folders = [location.parent, data] if isinstance(location, Path) and location.parent != data else [data]
    damaged = [path for folder in folders for path in damaged_in(folder)]
    facts = stores_in(folders)
    if isinstance(location, str):
        facts = [*inspect_database(location), *facts]
    if isinstance(location, Path) and all(store.where != location for store in facts):
        facts += [store for store in [inspect_file(location)] if store]
    own = _own(facts, location, account, is_named=bool(settings.store))
    is_foreign = own is not None and bool(key) and bool(own.keys) and account not in own.keys
    refusal = _refusal(location, account) if isinstance(location, Path) else None
    return AllStores(own, refusal, is_foreign, tuple(store for store in facts if store is not own), tuple(damaged))


def _refusal(path: Path, account: str) -> StoreError | None:
    try:
        refuse_unusable(path, account)
    except StoreError as error:
        return error
    return None


def _own(
    facts: Sequence[StoreFacts], location: Path | str | None, account: str, *, is_named: bool
) -> StoreFacts | None:
    """The key's store: the one that names the key, else the one where a new store would be."""
    here = [store for store in facts if store.where == location]
    of_key = [store for store in (here if is_named else facts) if account in store.keys]
    return next(iter([*of_key, *(here if isinstance(location, Path) else [])]), None)


def title(store: StoreFacts, settings: Settings) -> str:
    """Whose calls a store has, as far as can be said without their key."""
    services = {service_name(settings.provider, settings.address): (settings.provider, settings.address)}
    for provider, spec in PROVIDERS.items():
        services |= {service_name(provider, address): (provider, address) for address in spec.addresses.values()}
    if not store.service:
        return "no account yet"
    provider, address = services.get(store.service, ("", ""))
    return f"{provider} at {address}" if provider else "a provider at an address that is not set here"


def recordings_of(store: StoreFacts, settings: Settings) -> list[Path]:
    """The saved recordings of a store's calls.

    Raises:
        StoreError: the database does not answer.
    """
    return RecordingsFolder(settings.recordings_path()).files_of(ids_in(store))


async def purge(store: StoreFacts | None, damaged: Sequence[Path], recordings: Sequence[Path]) -> None:
    """Deletes a store, if one is given, and these files. Where a server has the store open, its file stays, empty.

    Raises:
        StoreError: the store cannot be used, or a file not deleted. ConfigurationError: it is another account's.
    """
    if store and not store.is_ours:
        raise StoreError(f"{store.name} {store.problem}, so it was left as it is.", "Delete it yourself.")
    delete_files(recordings)  # first: only the store says whose they are
    if store:
        await _delete(store)
    delete_files(damaged)


async def _delete(store: StoreFacts) -> None:
    if isinstance(store.where, Path):
        with disk_errors(f"{store.name} cannot be deleted", "delete it yourself"):
            if await asyncio.to_thread(remove_if_free, store.where):
                return
    opened = await Store.open(store.where, AccountKey(store.service, next(iter(store.keys), "")), next_refresh_at)
    try:
        await opened.purge.everything()
    finally:
        await opened.close()


def delete_files(paths: Sequence[Path]) -> None:
    """Deletes files that this program wrote.

    Raises:
        StoreError: one cannot be deleted.
    """
    for path in paths:
        with disk_errors(f"{path} cannot be deleted", "delete it yourself"):
            path.unlink(missing_ok=True)


def refuse_foreign(all_stores: AllStores) -> None:
    """Refuses to touch the store of another account.

    Raises:
        ConfigurationError: the own store is one.
    """
    if all_stores.is_foreign:
        raise another_account()
