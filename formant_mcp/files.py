"""Files written for the user: whole or not at all, private to their owner, and never over another file.

Where the line is: what we create is private under every umask, and a link in its place is refused. Above it, the path
is the user's own: a home folder may be a link.
"""

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from filecmp import cmp
from io import FileIO
from pathlib import Path

from formant_mcp.errors import StoreError


def make_private(folder: Path, other: str) -> None:
    """Creates a folder, and those missing above it, private to their owner; refuses one where others can replace files.

    `other`: what else helps.

    Raises:
        StoreError: it is refused. OSError: it cannot be created.
    """
    refuse_unsafe(folder, other)
    _make_folders(folder)
    refuse_unsafe(folder, other)  # which another process may have just created


def refuse_unsafe(folder: Path, other: str) -> None:
    """Refuses a folder where others can replace files. Nothing is created or changed; a missing one is safe.

    Refused are a link that this user can have made (in the root folder are the system's, such as /tmp on macOS), a
    folder of another user than root, and one that everybody may write to, unless it is sticky, as /tmp is. Members of a
    folder's group may write to it: somebody chose them.

    Raises:
        StoreError: it is refused. OSError: it cannot be examined.
    """
    if folder.is_symlink() and not _is_of_the_system(folder):
        raise StoreError(
            f"{folder} is a symbolic link, which is not followed.",
            f"Put a folder there, or {other}, such as the one it points to.",
        )
    try:
        status = folder.stat()
    except FileNotFoundError:
        return
    if not is_own(status):
        raise StoreError(
            f"{folder} belongs to another user, who could replace what is in it.",
            f"Make it yours (chown), or {other}, such as a new one below it.",
        )
    if sys.platform != "win32" and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise StoreError(
            f"Everybody may write to {folder}, so anybody could replace what is in it.",
            f"Forbid it (chmod o-w), or {other}, such as a new one below it.",
        )


def is_own(status: os.stat_result) -> bool:
    """Whether it belongs to this user or to root, who may do everything anyway."""
    return sys.platform == "win32" or status.st_uid in (os.geteuid(), 0)


def _is_of_the_system(link: Path) -> bool:
    parent = link.absolute().parent
    return link.lstat().st_uid == 0 and (parent == parent.parent or not os.access(parent, os.W_OK))


def _make_folders(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.is_dir():  # another process has just created it
                raise
        else:
            path.chmod(0o700)  # whatever the umask


def open_temporary(folder: Path) -> tuple[Path, FileIO]:
    """A new file in `folder`, private to its owner, and its absolute path (hidden, unlike every finished one)."""
    _make_folders(folder)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    if sys.platform != "win32":
        os.fchmod(descriptor, 0o600)  # whatever the umask
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


def replace_private(path: Path, text: str) -> None:
    """Replaces a file, or makes it: whole or not at all, and readable by its owner alone."""
    temporary, file = open_temporary(path.parent)
    try:
        with file:
            write(file, text.encode())
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
