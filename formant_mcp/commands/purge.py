"""`formant-mcp purge`: deletes what is stored, after it has said what that is."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from formant_mcp.commands.checks import contents
from formant_mcp.commands.consent import consent
from formant_mcp.commands.failures import report_failure
from formant_mcp.errors import ConfigurationError, FormantError, InvalidRequestError
from formant_mcp.settings import Settings, store_text
from formant_mcp.sizes import counted, files_text
from formant_mcp.stores import AllStores, StoreFacts, find_stores, purge, recordings_of, refuse_foreign, title

_NO_KEY_HINT = (
    "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) as for the server, or name a store with --store;"
    " `formant-mcp doctor` lists them."
)


@dataclass(frozen=True, slots=True)
class PurgeOptions:
    """The command line as typed."""

    all: bool = False
    store: str | None = None
    yes: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A store to delete, with the files that go with it."""

    store: StoreFacts
    damaged: Sequence[Path]
    recordings: Sequence[Path]


def run_purge(options: PurgeOptions) -> int:
    """Asks, then deletes; returns the exit status: 1 if something is left, 2 if nobody could answer, or if
    there is no such store."""
    try:
        settings = Settings.load()
        parts, damaged = _chosen(settings, options)
        _print(settings, parts, damaged, options)
        if not parts and not damaged:
            return 0
        if status := consent("Delete all of this?", "deleted", is_given=options.yes):
            return status
        for part in parts:
            asyncio.run(purge(part.store, part.damaged, part.recordings))
        asyncio.run(purge(None, damaged, []))
    except FormantError as error:
        return report_failure(error)
    print("Deleted.", file=sys.stderr)
    return 0


def purge_demo() -> int:
    """The sample account: nothing is deleted."""
    print("The sample account is kept in memory only, so nothing of it is stored.", file=sys.stderr)
    return 0


def _chosen(settings: Settings, options: PurgeOptions) -> tuple[list[_Part], Sequence[Path]]:
    """The stores to delete, and damaged files that belong to none of them.

    Raises:
        FormantError: there is no such store, or no key that says which one is meant.
    """
    if options.all and options.store is not None:
        raise InvalidRequestError("--all and --store name different stores.", "Use only one of them.")
    if not options.all and options.store is None:
        all_stores = find_stores(settings, settings.key(_NO_KEY_HINT))
        refuse_foreign(all_stores)
        return _parts(settings, all_stores, [all_stores.own] if all_stores.own else []), []
    all_stores = find_stores(settings, _key_if_any(settings))
    if options.store is not None:
        every = [*([all_stores.own] if all_stores.own else []), *all_stores.others]
        named = [store for store in every if options.store in (store.name, Path(store.name).stem)]
        if not named:
            names = ", ".join(store.name for store in every) or "none"
            raise InvalidRequestError(f"There is no store of that name. Stores: {names}.")
        return _parts(settings, all_stores, named), []
    files = [store for store in all_stores.others if isinstance(store.where, Path)]
    of_stores = {path for store in [*files, all_stores.own] for path in all_stores.damaged_of(store)}
    return _parts(settings, all_stores, files), [path for path in all_stores.damaged if path not in of_stores]


def _key_if_any(settings: Settings) -> str:
    try:
        return settings.key()
    except ConfigurationError:
        return ""


def _parts(settings: Settings, all_stores: AllStores, stores: Sequence[StoreFacts]) -> list[_Part]:
    return [_Part(store, all_stores.damaged_of(store), recordings_of(store, settings)) for store in stores]


def _print(settings: Settings, parts: Sequence[_Part], damaged: Sequence[Path], options: PurgeOptions) -> None:
    """Says what will be deleted, and what stays."""
    if not parts and not damaged:
        print("There is no other store." if options.all else "Nothing is stored for this key.", file=sys.stderr)
    for part in parts:
        store = part.store
        print(f"{title(store, settings)}: {store_text(store.where)}", file=sys.stderr)
        print(f"  {contents(store)}", file=sys.stderr)
        if part.damaged:
            print(f"  damaged copies of it: {files_text(part.damaged)}", file=sys.stderr)
        print(f"  recordings of its calls: {files_text(part.recordings)}", file=sys.stderr)
    if damaged:
        print(f"Damaged stores: {files_text(damaged)}", file=sys.stderr)
    folder = settings.exports_path()
    exports = [path for path in folder.glob("*") if path.is_file() and path.suffix in (".csv", ".jsonl")]
    kept = f"{counted(len(exports), 'export')} in {folder}, files that somebody wanted; " if exports else ""
    print(f"Not deleted: {kept}what the provider has.", file=sys.stderr)
