"""Files written for the user: whole or not at all, private to their owner, and never over another file."""

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from filecmp import cmp
from io import FileIO
from pathlib import Path

from formant_mcp.errors import StoreError


def open_temporary(folder: Path) -> tuple[Path, FileIO]:
    """A new file in `folder`, private to its owner, and its absolute path (hidden, unlike every finished one)."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    return Path(name), FileIO(descriptor, "wb")


def write(file: FileIO, chunk: bytes) -> None:
    """Writes all of it."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def finish(temporary: Path, file: FileIO, name: str, ending: str) -> tuple[Path, bool]:
    """Renames the written file to the first name that is free or already has the same bytes: `<name>-2` and so on.

    Returns its path, and whether the same file was already there.
    """
    os.fsync(file.fileno())
    file.close()
    number = 1
    while True:
        path = temporary.with_name(f"{name}{f'-{number}' if number > 1 else ''}{ending}")
        existed = not take_name(temporary, path)
        if not existed or _same_bytes(temporary, path):
            return path, existed
        number += 1


def take_name(temporary: Path, path: Path) -> bool:
    """Makes the file appear as `path`; False if anything has that name, even a dangling link."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # Not every file system has hard links. An empty file reserves the name, and the whole one replaces it.
        try:
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        try:
            temporary.replace(path)
        except OSError:
            path.unlink()
            raise
    return True


def _same_bytes(temporary: Path, path: Path) -> bool:
    """Whether `path` is a file with the same bytes; links never count."""
    return not path.is_symlink() and cmp(temporary, path, shallow=False)


@contextmanager
def disk_errors(failed: str, other: str) -> Generator[None, None, None]:
    """Turns errors of the disk into ours, but not that nobody reads the output any more.

    `failed`: what failed, such as "The export cannot be saved"; `other`: what else helps.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                reason, hint = "its disk is full", "Free some space, or"
            case errno.EACCES | errno.EPERM | errno.EROFS:
                reason, hint = "permission denied", "Change its permissions, or"
            case errno.ENOTDIR | errno.EEXIST:
                reason, hint = "something on that path is a file, not a folder", "Move it away, or"
            case _:
                reason, hint = (error.strerror or "the system gave no reason").lower(), "Fix this, or"
        raise StoreError(
            f"{failed}: {reason}.",
            f"{hint} {other}.",
        ) from error
