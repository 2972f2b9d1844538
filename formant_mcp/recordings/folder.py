"""The recordings folder: recordings are written nowhere else."""

import hashlib
import os
import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from operator import itemgetter
from pathlib import Path

from anyio import to_thread

from formant_mcp.audio import KINDS, AudioKind
from formant_mcp.files import disk_errors, finish, make_private, open_temporary, write
from formant_mcp.models import outside_form
from formant_mcp.providers.base import Recording
from formant_mcp.recordings.figures import measure
from formant_mcp.recordings.wav import AudioFigures

_OTHER_FOLDER = "set FORMANT_RECORDINGS_DIR to another folder and restart the server"
_LONGEST_NAME = 80  # leaves room for "-2" and an ending within 100 characters
_HASH_DIGITS = 16
_HASHED_OR_NUMBERED = re.compile(rf"-(?:[0-9a-f]{{{_HASH_DIGITS}}}|[0-9]{{1,9}})$")
# Windows opens a device under these names, whatever follows their first dot ("Naming Files, Paths, and Namespaces").
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class SavedRecording:
    """A recording on disk: its absolute `path`, its size in `bytes`, its `figures` if it could be measured.

    `existed`: the same file was already there, and nothing was written.
    """

    path: Path
    kind: AudioKind
    bytes: int
    figures: AudioFigures | None
    existed: bool


class RecordingsFolder:
    """Saves recordings in `folder` and nowhere else. The first save creates it, private to its owner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, conversation_id: str, recording: Recording) -> SavedRecording:
        """Writes the recording's bytes unchanged to a file named after the conversation.

        The file appears whole or not at all, and no file is ever overwritten: the same bytes are kept as they are,
        others are saved as `<name>-2`, `<name>-3`, and so on.

        Raises:
            StoreError: the folder cannot be created or written to, or others can write to it. Errors of
            `recording.chunks` are not translated.
        """
        folder = self._folder
        problems = partial(disk_errors, f"The recording cannot be saved in {folder}", _OTHER_FOLDER)
        name, kind = _file_name(conversation_id), recording.kind
        with problems():
            make_private(folder, _OTHER_FOLDER)
            # Not in a thread: a cancellation would leave a file before its name is returned.
            temporary, file = open_temporary(folder)
        try:
            async for chunk in recording.chunks:
                with problems():
                    await to_thread.run_sync(write, file, chunk)
            with problems():
                return await to_thread.run_sync(_finish, temporary, file, name, kind)
        finally:
            with suppress(OSError):  # an earlier error matters more than one in the clean-up
                file.close()
                temporary.unlink(missing_ok=True)

    def files_of(self, conversation_ids: Sequence[str]) -> list[Path]:
        """The saved recordings of these conversations, all of each."""
        return [Path(entry) for entry, _ in _entries(self._folder, conversation_ids)]

    async def delete(self, conversation_ids: Sequence[str]) -> None:
        """Deletes the saved recordings of these conversations.

        Raises:
            StoreError: one cannot be deleted.
        """
        with disk_errors(f"A recording in {self._folder} cannot be deleted", "delete it yourself"):
            for path in await to_thread.run_sync(self.files_of, list(conversation_ids)):
                path.unlink(missing_ok=True)

    async def saved(self, conversation_ids: Sequence[str]) -> dict[str, tuple[AudioKind, int]]:
        """Kind and size in bytes of the saved recordings of these conversations, the last one of each."""
        return await to_thread.run_sync(_saved, self._folder, list(conversation_ids))


def _entries(folder: Path, conversation_ids: Sequence[str]) -> Generator[tuple[os.DirEntry[str], str]]:
    """The saved recordings of these conversations, each with its conversation."""
    ids = {_file_name(conversation_id): conversation_id for conversation_id in conversation_ids}
    with suppress(OSError), os.scandir(folder) as entries:  # no folder yet: nothing saved
        for entry in entries:
            name, ending = os.path.splitext(entry.name)
            conversation_id = ids.get(name) or ids.get(re.sub(r"-\d{1,9}$", "", name))
            if conversation_id and ending in KINDS and entry.is_file(follow_symlinks=False):
                yield entry, conversation_id


def _saved(folder: Path, conversation_ids: list[str]) -> dict[str, tuple[AudioKind, int]]:
    newest: dict[str, tuple[int, AudioKind, int]] = {}
    with suppress(OSError):  # one may be deleted meanwhile
        for entry, conversation_id in _entries(folder, conversation_ids):
            status = entry.stat()
            file = (status.st_mtime_ns, KINDS[os.path.splitext(entry.name)[1]], status.st_size)
            newest[conversation_id] = max(newest.get(conversation_id, file), file, key=itemgetter(0))
    return {conversation_id: (kind, size) for conversation_id, (_, kind, size) in newest.items()}


def _file_name(conversation_id: str) -> str:
    """A file name without ending for the id, safe on every file system and different for every id.

    An id of lower-case letters, digits, `.`, `_` and `-` is its own name. A hash is appended to any other id: one that
    is too long, hidden, a device on Windows, ends like our own names (a hash, a "-2"), or has capitals, which some file
    systems do not distinguish. Of an id that may be a sentence nothing but the hash is left.
    """
    name = re.sub(r"[^A-Za-z0-9._-]|^\.", "_", conversation_id)
    if name != conversation_id and outside_form(conversation_id) is None:
        name = "call"
    if _DEVICE.match(name):
        name = f"_{name}"
    name = name[:_LONGEST_NAME] or "_"
    if name == conversation_id == name.lower() and not _HASHED_OR_NUMBERED.search(name):
        return name
    digest = hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{name[: _LONGEST_NAME - _HASH_DIGITS - 1]}-{digest}"


def _finish(temporary: Path, file: FileIO, name: str, kind: AudioKind) -> SavedRecording:
    path, existed = finish(temporary, file, name, kind.ending)
    return SavedRecording(path, kind, path.stat().st_size, measure(path, kind), existed)
