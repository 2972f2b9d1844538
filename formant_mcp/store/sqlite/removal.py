"""Deletes a store's file, unless another program has it open."""

import sqlite3
from contextlib import closing
from pathlib import Path

from formant_mcp.store.sqlite.failures import DAMAGED_CODES, FAILURES, code_of
from formant_mcp.store.sqlite.file import files_of


def remove_if_free(path: Path) -> bool:
    """Deletes a store's file with those beside it, unless another program has it open: then nothing is changed."""
    if not _is_free(path):
        return False
    for file in files_of(path):
        file.unlink(missing_ok=True)
    return True


def _is_free(path: Path) -> bool:
    """Whether no other program has it open: only then can SQLite leave its mode for several (WAL)."""
    try:
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
            return str(mode) == "delete"
    except FAILURES as error:
        return code_of(error) in {*DAMAGED_CODES, sqlite3.SQLITE_ERROR}  # the latter: an unknown format
