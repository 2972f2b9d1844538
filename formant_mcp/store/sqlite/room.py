"""How much room it takes to rewrite a store's file (VACUUM), and where."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_IN_ITS_FOLDER = 2  # times the file's size: the file and its journal
_IN_TEMPORARY_FOLDER = 1  # a copy


class Shortage(NamedTuple):
    """Where there is too little room, and how many bytes must be free there."""

    folder: Path
    needed: int


def shortage(path: Path) -> Shortage | None:
    """Where there is too little room to rewrite the file; None if there is enough.

    Raises:
        OSError: it cannot be found out.
    """
    size, temporary = path.stat().st_size, temporary_folder()
    parts = [(path.parent, _IN_ITS_FOLDER * size), (temporary, _IN_TEMPORARY_FOLDER * size)]
    for folder, _ in parts:
        needed = sum(part for other, part in parts if other.stat().st_dev == folder.stat().st_dev)
        if shutil.disk_usage(folder).free < needed:
            return Shortage(folder, needed)
    return None


def temporary_folder() -> Path:
    """Where SQLite writes temporary files (sqlite.org/tempfiles.html)."""
    if sys.platform == "win32":
        return Path(tempfile.gettempdir())
    named = [os.environ.get("SQLITE_TMPDIR", ""), os.environ.get("TMPDIR", "")]
    folders = [Path(name) for name in (*named, "/var/tmp", "/usr/tmp", "/tmp") if name]  # noqa: S108
    return next((one for one in folders if one.is_dir() and os.access(one, os.W_OK | os.X_OK)), Path())
