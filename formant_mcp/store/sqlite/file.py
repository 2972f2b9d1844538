"""The store's file on disk: what may be opened as one. What is not ours is never touched, nor made private.

A file is checked before SQLite opens it, so that no journal appears beside another program's database. A link in its
place, or in a journal's, is refused; links above are the user's own (formant_mcp.files).
"""

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from formant_mcp.errors import StoreError
from formant_mcp.files import disk_errors, is_own, make_private, refuse_unsafe
from formant_mcp.store.sqlite.failures import FAILURES

APPLICATION_ID = 0x466D6370
"""In the header of every store, by which it is recognized (sqlite.org/pragma.html#pragma_application_id)."""
JOURNALS = ("-journal", "-wal", "-shm")
OUR_TABLES = {"meta", "conversations", "turns"}
"""Those that every version has."""
_DAMAGED_AT = "%Y%m%dT%H%M%S%f"  # when it was renamed
_DAMAGED = re.compile(rf".+\.damaged-\d{{8}}T\d{{12}}(?:{'|'.join(JOURNALS)})?")
MAGIC = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html#the_database_header
_HEADER_BYTES = 100
_APPLICATION_ID_AT = slice(68, 72)
# Of our schema, for a store of an older version that is damaged.
_OURS = (b"contact_reversed TEXT", b"ON conversations (contact_reversed)", b'TABLE "turns_fts"', b"daily_counts")
_LONGEST_OF_OURS = max(map(len, _OURS))
_FORMAT_VERSIONS_AT = slice(18, 20)
_READ_AT_ONCE = 1 << 20
_ELSEWHERE = "set FORMANT_STORE to another path"


def prepare(path: Path, name: str) -> os.stat_result:
    """The private file at `path`, created if there is none, in a private folder.

    `name`: that of a file which can only be ours, however damaged.

    Raises:
        StoreError: it is not ours, or unsafe, and was left as it is; or it cannot be opened.
    """
    refuse_unusable(path, name)
    with _opening():
        make_private(path.parent, _ELSEWHERE)
        for journal in _with_journals(path)[1:]:
            with suppress(FileNotFoundError):
                _make_own(journal, os.O_RDWR)
        return _make_own(path, os.O_RDWR | os.O_CREAT)


def refuse_unusable(path: Path, name: str) -> None:
    """Refuses what is not ours or unsafe, as `prepare` does. Nothing is created or changed; a missing file is fine.

    Raises:
        StoreError: it is refused, or cannot be examined.
    """
    with _opening():
        refuse_unsafe(path.parent, _ELSEWHERE)
        are_files = [_is_file(file) for file in _with_journals(path)]
        if are_files[0] and path.stem != name and not is_ours(path):
            raise StoreError(
                f"{path.name} is not a store of formant-mcp, or damaged beyond recognition, so it was left as it is.",
                "Set FORMANT_STORE to another path, or move that file away.",
            )


def _opening() -> AbstractContextManager[None]:
    return disk_errors("The local store cannot be opened", f"{_ELSEWHERE}, or to :memory:")


def is_ours(path: Path) -> bool:
    """Whether the file is a store, whole or damaged, or has nothing in it; found without changing anything.

    Raises:
        OSError: it cannot be read.
    """
    with _opened(path) as file:
        header = file.read(_HEADER_BYTES)
        if int.from_bytes(header[_APPLICATION_ID_AT]) == APPLICATION_ID or _has_nothing(header, file):
            return True
        tables = _tables(path) if header.startswith(MAGIC) else None
        journals = _with_journals(path)[1:]  # which may have what a database without tables lacks
        if tables is None:
            return _has_our_schema(file)
        return tables >= OUR_TABLES or not (tables or any(map(Path.exists, journals)))


def has_damaged_version(path: Path) -> bool:
    """Whether the header names a version of the file format that there is not: SQLite would only read it, for ever."""
    with _opened(path) as file:
        return bool(set(file.read(_HEADER_BYTES)[_FORMAT_VERSIONS_AT]) - {1, 2})


def rename_damaged(path: Path, damaged: os.stat_result) -> None:
    """Renames a corrupt store and its journals, so that nothing is deleted, unless another process already did.

    Raises:
        StoreError: it cannot be renamed.
    """
    stamp = datetime.now(UTC).strftime(_DAMAGED_AT)
    try:
        if not os.path.samestat(path.stat(), damaged):
            return
        for suffix in (*JOURNALS, ""):
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"The local store is corrupt and cannot be renamed ({error.strerror}).",
            "Close other programs using it and retry, or set FORMANT_STORE to another path.",
        ) from None


def damaged_in(folder: Path) -> list[Path]:
    """The corrupt stores in a folder, as they were renamed, with their journals."""
    paths = sorted(folder.glob("*.damaged-*"))
    return [path for path in paths if _DAMAGED.fullmatch(path.name) and path.is_file() and not path.is_symlink()]


def files_of(path: Path) -> list[Path]:
    """A store's file and its journals, as far as there are any."""
    return [file for file in _with_journals(path) if file.exists()]


def _with_journals(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in JOURNALS)]


def _is_file(path: Path) -> bool:
    """Whether there is one.

    Raises:
        StoreError: something else is there, or another user's file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    hint = f"Move it away, or {_ELSEWHERE}."
    if stat.S_ISLNK(status.st_mode):
        hint = "Set FORMANT_STORE to the path it points to, or move it away."
        raise StoreError(f"{path} is a symbolic link, which is not followed.", hint)
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"The local store cannot be opened: {path} is not a file.", hint)
    if not is_own(status):
        raise StoreError(f"{path} belongs to another user, who could read what is stored.", hint)
    return True


def _make_own(path: Path, flags: int) -> os.stat_result:
    """Makes the file private; creates it if the flags say so, before SQLite creates it with default permissions."""
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> BufferedReader:
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NOFOLLOW", 0)))


def _has_nothing(header: bytes, file: BufferedReader) -> bool:
    """Whether a file is empty, a header cut short, or all zeros, as a new store may be after a loss of power."""
    if len(header) < _HEADER_BYTES:
        return not header.strip(b"\0") or MAGIC.startswith(header[: len(MAGIC)])
    return not header.strip(b"\0") and not any(chunk.strip(b"\0") for chunk in _chunks(file))


def _tables(path: Path) -> set[str] | None:
    """The tables of a database, read without its journals and without locks; None if that fails."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            return {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except FAILURES:
        return None


def _has_our_schema(file: BufferedReader) -> bool:
    """Whether a file that is not text has a piece of our schema somewhere."""
    file.seek(0)
    is_text, before = True, b""
    for chunk in _chunks(file):
        is_text = is_text and b"\0" not in chunk
        if not is_text and any(piece in before + chunk for piece in _OURS):
            return True
        before = chunk[-_LONGEST_OF_OURS:]
    return False


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    while chunk := file.read(_READ_AT_ONCE):
        yield chunk
