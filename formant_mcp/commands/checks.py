"""What `formant-mcp doctor` checks of this machine: stores, folders, settings. Nothing is created or changed."""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from formant_mcp.errors import FormantError, StoreError
from formant_mcp.files import disk_errors, refuse_unsafe
from formant_mcp.settings import Settings, store_text, unknown_variables
from formant_mcp.sizes import counted, files_text, size
from formant_mcp.stores import (
    AllStores,
    StoreFacts,
    check_integrity,
    files_of,
    find_stores,
    refusal_of_database,
    shortage,
    title,
)

_CHECK_SECONDS = 10.0  # for the integrity of the store
_LEAST_FREE = 100_000_000  # bytes
_OTHERS_MAY_READ, _OTHERS_MAY_WRITE = stat.S_IRWXG | stat.S_IRWXO, stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Check:
    """One line. `hint`: what to do where it is wrong."""

    name: str
    text: str
    hint: str = ""
    is_right: bool = True


def wrong(name: str, text: str, hint: str) -> Check:
    """The line of what is wrong."""
    return Check(name, text, hint, is_right=False)


def of_settings(names: Iterable[str]) -> Iterator[Check]:
    """Variables that are no settings; values are checked when they are loaded."""
    unknown = list(unknown_variables(names))
    for warning in unknown:
        yield wrong("settings", warning, "Correct or remove it.")
    if not unknown:
        used = sorted(name for name in names if name.upper().startswith("FORMANT_"))
        yield Check("settings", ", ".join(used) or "none is set")


def of_zone(settings: Settings, now: datetime) -> Check:
    """The zone that dates are read and shown in."""
    return Check("zone", f"{settings.timezone}: it is {now.astimezone(settings.zone):%Y-%m-%d %H:%M %z} there")


def of_stores(settings: Settings, key: str) -> Iterator[Check]:
    """The key's store, then the other ones."""
    location = settings.store_location(key)
    try:
        all_stores = find_stores(settings, key)
    except FormantError as error:
        said = (refusal_of_database(location) if isinstance(location, str) else None) or error  # which rights, if any
        yield wrong("store", said.message, said.hint)
        return
    if location is None:
        yield Check("store", "in memory only (FORMANT_STORE): every start loads everything again")
    elif refusal := refusal_of_database(location) if isinstance(location, str) else all_stores.refusal:
        yield wrong("store", refusal.message, refusal.hint)
    elif isinstance(location, Path) and (problem := _unwritable(location.parent)):
        yield wrong("store", problem, "Correct that, or set FORMANT_STORE to another path.")
    elif all_stores.own is None:
        yield _unborn(location, has_key=bool(key) or bool(settings.store))
    else:
        yield from _of_store(all_stores.own, all_stores, settings)
    for store in all_stores.others:
        text = f"{store.name}: {title(store, settings)}, {contents(store)}, {_last_used(store, settings.zone)}"
        yield Check("other store", text)
    if all_stores.damaged:
        text = f"{files_text(all_stores.damaged)} in {all_stores.damaged[0].parent}, kept when a store was corrupt"
        yield Check("damaged", f"{text}; `formant-mcp purge` and `formant-mcp purge --all` delete them")


def of_folder(name: str, folder: Path, variable: str) -> Check:
    """Whether files can be written to a folder, and who else can."""
    other = f"set {variable} to another folder"
    try:
        with disk_errors(f"{folder} cannot be used", other):
            refuse_unsafe(folder, other)
    except StoreError as error:
        return wrong(name, error.message, error.hint)
    if problem := _unwritable(folder):
        return wrong(name, problem, f"Correct that, or {other}.")
    if not folder.exists():
        return Check(name, f"{folder}: will be made when it is first needed, private to you")
    try:
        with disk_errors(f"{folder} cannot be listed", other):
            files = [path for path in folder.iterdir() if path.is_file()]
    except StoreError as error:
        return wrong(name, error.message, error.hint)
    open_ones = [path for path in files if _mode(path) & _OTHERS_MAY_READ]
    text = f"{folder}: writable, {files_text(files)}"
    if open_ones and _mode(folder) & _OTHERS_MAY_READ:
        return wrong(name, f"{text}, {len(open_ones):,} of them readable by others.", f"Run `chmod 700 {folder}`.")
    return Check(name, f"{text}, readable by you alone")


def contents(store: StoreFacts) -> str:
    """What a store has."""
    if store.problem:
        return f"{store.problem}, {size(store.bytes)}" if store.bytes else store.problem
    loaded = f" ({store.loaded:,} with their words)" if isinstance(store.where, Path) else ""
    parts = [f"{counted(store.conversations, 'conversation')}{loaded}"]
    parts += [counted(store.members, "member's token", "members' tokens")] if store.members else []
    parts += [size(store.bytes)] if store.bytes else []
    return ", ".join(parts)


def _of_store(store: StoreFacts, all_stores: AllStores, settings: Settings) -> Iterator[Check]:
    where, used = store_text(store.where), _last_used(store, settings.zone)
    if all_stores.is_foreign:
        hint = "Give each account a path of its own, or unset FORMANT_STORE."
        yield wrong("store", f"{where} is another account's ({title(store, settings)}).", hint)
    elif store.problem:
        hints = {
            "damaged": "The server renames it at its next start and loads everything again.",
            "written by a newer version of formant-mcp": "Update this program, or set FORMANT_STORE to another path.",
        }
        yield wrong("store", f"{where}: {store.problem}.", hints.get(store.problem, "Check who else uses the file."))
    else:
        older = store.version < store.newest
        version = f"version {store.version}{f', migrated to {store.newest} at the next start' if older else ''}"
        yield Check("store", f"{where}: {contents(store)}, {version}, {used}")
    if isinstance(store.where, Path) and not store.problem:
        yield from _of_file(store.where)
        yield _of_erasing(store, store.where)


def _of_file(path: Path) -> Iterator[Check]:
    """Integrity, privacy and space of a store's file."""
    match check_integrity(path, _CHECK_SECONDS):
        case "":
            yield Check("store's file", "intact")
        case "unfinished":
            yield Check("store's file", f"no damage is seen in the {_CHECK_SECONDS:g} s that it was checked")
        case problem:
            hint = "The server renames a damaged store and loads everything again."
            yield wrong("store's file", f"{problem}.", hint)
    readable = [file for file in files_of(path) if _mode(file) & _OTHERS_MAY_READ]
    if readable:
        text = f"{', '.join(file.name for file in readable)} may be read by others."
        yield wrong("privacy", text, f"Run `chmod 600 {path}*`, or start the server, which does.")
    else:
        yield Check("privacy", "the store is readable by you alone")
    yield _of_disk(path.parent)


def _of_erasing(store: StoreFacts, path: Path) -> Check:
    """What was deleted and can still be read in the file."""
    if not store.has_to_erase:
        return Check("erasing", "nothing that was deleted is left in the store's file")
    lacking = shortage(path) if store.has_to_rewrite else None
    if lacking:
        text = "what was deleted can still be read in the store's file, and there is too little room to rewrite it."
        return wrong("erasing", text, f"Free {size(lacking.needed)} in {lacking.folder}.")
    return Check("erasing", "what was deleted can still be read in the store's file; a server erases it while it runs")


def _of_disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        return wrong("disk", f"{size(free)} free.", "Free some space: a full disk stops loading.")
    return Check("disk", f"{size(free)} free")


def _unborn(location: Path | str, *, has_key: bool) -> Check:
    if isinstance(location, str):
        return Check("store", f"{store_text(location)} answers; nothing of this account is stored yet")
    if not has_key:
        return Check("store", f"{location.parent}: each key has a file of its own; no key is set")
    return Check("store", f"{location}: will be made when the first calls are loaded")


def _unwritable(folder: Path) -> str:
    """Why no file can be made in a folder that may not exist yet; '' if it can."""
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not existing.is_dir():
        return f"{existing} is not a folder."
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written to."


def _last_used(store: StoreFacts, zone: ZoneInfo) -> str:
    moment = store.last_used_at or datetime.fromtimestamp(0, UTC)
    return f"last used {moment.astimezone(zone):%Y-%m-%d %H:%M}" if store.last_used_at else "never used"


def others_may(path: Path) -> str:
    """What others than its owner may do with a file: '' for nothing, `read`, or `written to`, which is worse."""
    mode = _mode(path)
    return "written to" if mode & _OTHERS_MAY_WRITE else "read" if mode & _OTHERS_MAY_READ else ""


def _mode(path: Path) -> int:
    """Permissions; on Windows, where others' are kept elsewhere, 0."""
    return 0 if os.name == "nt" else stat.S_IMODE(path.stat().st_mode)


def without_key(text: str, key: str) -> str:
    """A text that is printed, without the key, wherever it may have come from."""
    return re.sub(re.escape(key), "[key]", text) if key else text
