"""The one folder that recordings are written to."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from filecmp import cmp
from io import FileIO
from pathlib import Path

from anyio import to_thread

from formant_mcp.audio import KINDS, AudioKind
from formant_mcp.errors import StoreError
from formant_mcp.providers.base import Recording
from formant_mcp.recordings.figures import measure
from formant_mcp.recordings.wav import AudioFigures

_LONGEST_NAME = 80  # leaves room for "-2" and an ending within 100 characters
_HASH_DIGITS = 16
_HASHED_OR_NUMBERED = re.compile(rf"-(?:[0-9a-f]{{{_HASH_DIGITS}}}|[0-9]{{1,9}})$")
# Windows opens a device under these names, whatever follows their first dot ("Naming Files, Paths, and Namespaces").
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class SavedRecording:
    """A recording on disk: its absolute `path`, its size in `bytes`, its `figures` where it could be measured.

    `existed`: the same bytes were already there, and nothing was written.
    """

    path: Path
    kind: AudioKind
    bytes: int
    figures: AudioFigures | None
    existed: bool


class RecordingsFolder:
    """Saves recordings below `folder` and nowhere else. The folder is made, for its owner alone, by the first save."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, conversation_id: str, recording: Recording) -> SavedRecording:
        """Writes the recording's bytes unchanged to a file named after the conversation.

        The file appears whole or not at all, and no file is ever overwritten: the same bytes are kept as they are,
        different ones are saved beside them as `<name>-2`, `<name>-3`, and so on.

        Raises:
            StoreError: the folder cannot be made or written to. What `recording.chunks` raises comes through unchanged.
        """
        folder = self._folder
        name, kind = _confined(conversation_id), recording.kind
        with _disk_errors(folder):
            # Not in a thread: a cancellation must not find a file whose name is not known here yet.
            temporary, file = _open_temporary(folder)
        try:
            async for chunk in recording.chunks:
                with _disk_errors(folder):
                    await to_thread.run_sync(_write, file, chunk)
            with _disk_errors(folder):
                return await to_thread.run_sync(_finish, temporary, file, name, kind)
        finally:
            with suppress(OSError):  # an error on the way here matters more than one in clearing up
                file.close()
                temporary.unlink(missing_ok=True)

    async def saved(self, conversation_ids: Sequence[str]) -> dict[str, tuple[AudioKind, int]]:
        """Kind and size in bytes of those of these conversations whose recording is saved, the last one of each."""
        return await to_thread.run_sync(_saved, self._folder, list(conversation_ids))


def _saved(folder: Path, conversation_ids: list[str]) -> dict[str, tuple[AudioKind, int]]:
    ids = {_confined(each): each for each in conversation_ids}
    found: dict[str, tuple[int, AudioKind, int]] = {}
    with suppress(OSError), os.scandir(folder) as entries:  # no folder yet: nothing saved
        for entry in entries:
            name, ending = os.path.splitext(entry.name)
            conversation_id = ids.get(name) or ids.get(re.sub(r"-\d{1,9}$", "", name))
            if conversation_id and ending in KINDS and entry.is_file(follow_symlinks=False):
                status = entry.stat()
                one = (status.st_mtime_ns, KINDS[ending], status.st_size)
                found[conversation_id] = max(found.get(conversation_id, one), one, key=lambda each: each[0])
    return {each: (kind, size) for each, (_, kind, size) in found.items()}


def _confined(conversation_id: str) -> str:
    """A file name, without ending, for the id: harmless on every file system, and no two ids share one.

    An id of lower-case letters, digits, `.`, `_` and `-` is its own name. One that is not, or that is too long, hidden,
    a device on Windows or ends like our own names do (a hash, a "-2"), gets its hash appended, and so does one with
    capitals: some file systems do not tell them from small letters.
    """
    name = re.sub(r"[^A-Za-z0-9._-]|^\.", "_", conversation_id)
    if _DEVICE.match(name):
        name = f"_{name}"
    name = name[:_LONGEST_NAME] or "_"
    if name == conversation_id == name.lower() and not _HASHED_OR_NUMBERED.search(name):
        return name
    digest = hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{name[: _LONGEST_NAME - _HASH_DIGITS - 1]}-{digest}"


def _open_temporary(folder: Path) -> tuple[Path, FileIO]:
    """A new file in `folder` for its owner alone: its absolute path (a name with a dot first, as no recording has)."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    return Path(name), FileIO(descriptor, "wb")


def _write(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _finish(temporary: Path, file: FileIO, name: str, kind: AudioKind) -> SavedRecording:
    """Gives the written file the first name that is free or already has the same bytes."""
    os.fsync(file.fileno())
    file.close()
    number = 1
    while True:
        path = temporary.with_name(f"{name}{f'-{number}' if number > 1 else ''}{kind.ending}")
        existed = not _take_name(temporary, path)
        if not existed or _same_bytes(temporary, path):
            return SavedRecording(path, kind, path.stat().st_size, measure(path, kind), existed)
        number += 1


def _take_name(temporary: Path, path: Path) -> bool:
    """Makes the file appear as `path`; False where anything, be it a dangling link, has that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # Not every file system has hard links. An empty file takes the name, and the whole one takes its place.
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
    """Whether `path` is a file of the same bytes; a link is not, wherever it leads, nor is anything else."""
    return not path.is_symlink() and cmp(temporary, path, shallow=False)


@contextmanager
def _disk_errors(folder: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                reason, step = "there is no room left on its disk", "Free some room, or set"
            case errno.EACCES | errno.EPERM | errno.EROFS:
                reason, step = "its rights do not allow it", "Change them, or set"
            case errno.ENOTDIR | errno.EEXIST:
                reason, step = "something on that path is a file, not a folder", "Move it away, or set"
            case _:
                reason, step = (error.strerror or "the system gave no reason").lower(), "Mend that, or set"
        raise StoreError(
            f"The recording cannot be saved in {folder}: {reason}.",
            f"{step} FORMANT_RECORDINGS_DIR to another folder and restart the server.",
        ) from error
