"""Converts what a store of an older version has, where SQL alone cannot: the other half of `schema`."""

import json
import sqlite3

from formant_mcp.filters import LABELLED
from formant_mcp.store.engine import TO_ERASE, TO_VACUUM
from formant_mcp.store.result_values import described, reversed_contact
from formant_mcp.store.rows import label_rows
from formant_mcp.store.sqlite.full_text import forget_words, index_all, index_joined_words
from formant_mcp.text_search.spelling import phonetic_key

_WITH_INDEX, _WITH_JOINED_WORDS, _WITH_VALUE_KINDS, _WITH_LABELS, _WITH_SPELLINGS = 2, 4, 4, 9, 11
_WITH_ERASING = 16


def convert(database: sqlite3.Connection, version: int) -> None:
    """Converts a store that was of this version before its migrations."""
    if version < _WITH_INDEX:
        index_all(database)
    elif version < _WITH_JOINED_WORDS:
        index_joined_words(database)
    if version < _WITH_VALUE_KINDS:
        _parse_again(database)
    if version < _WITH_LABELS:
        for column in LABELLED:
            values = database.execute(f"SELECT DISTINCT {column} COLLATE BINARY FROM conversations").fetchall()
            database.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?)", label_rows(value for (value,) in values))
    if version < _WITH_SPELLINGS:
        words = database.execute("SELECT word FROM words WHERE spelling IS NULL").fetchall()
        keys = ((phonetic_key(word), word) for (word,) in words)
        database.executemany("UPDATE words SET spelling = ? WHERE word = ?", keys)
    if 0 < version < _WITH_ERASING:
        forget_words(database, [word for (word,) in database.execute("SELECT word FROM words")])
        database.executemany("INSERT INTO meta VALUES (?, '')", [[TO_ERASE], [TO_VACUUM]])


def _parse_again(database: sqlite3.Connection) -> None:
    """Parses stored values and contacts again, in a store of a version that parsed them differently."""
    rows = database.execute("SELECT row_id, path, position, kind, text, folded, number FROM result_values").fetchall()
    database.executemany(
        "UPDATE result_values SET kind = ?, folded = ?, number = ? WHERE row_id = ? AND path = ? AND position = ?",
        (
            (now[0], *now[2:], row_id, path, position)
            for row_id, path, position, kind, text, folded, number in rows
            if (now := described(text if kind == "text" else json.loads(text))) != (kind, text, folded, number)
        ),
    )
    contacts = database.execute("SELECT contact_number, contact_reversed, row_id FROM conversations").fetchall()
    database.executemany(
        "UPDATE conversations SET contact_reversed = ? WHERE row_id = ?",
        ((now, row_id) for number, before, row_id in contacts if (now := reversed_contact(number)) != before),
    )
