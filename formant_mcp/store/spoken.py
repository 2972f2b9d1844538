"""The words of the transcripts, kept with them: what full text search looks in."""

import sqlite3
from collections.abc import Iterable, Sequence

from formant_mcp.store.words import indexable, stem

COLUMNS = ("agent", "contact", "other")

Rows = Sequence[tuple[int, str, str]]
"""Turns as key, role and text."""


def index_rows(turns: Rows) -> list[tuple[int, str, str, str]]:
    """What to insert into `spoken` for these turns, or to delete from it."""
    indexed: list[tuple[int, str, str, str]] = []
    for key, role, text in turns:
        words = indexable(text)
        columns = {"agent": (words, "", ""), "contact": ("", words, "")}
        indexed.append((key, *columns.get(role, ("", "", words))))
    return indexed


def word_rows(indexed: Iterable[tuple[int, str, str, str]]) -> list[tuple[str, str]]:
    """Their distinct words, each with its stem."""
    words = {word for _, *columns in indexed for text in columns for word in text.split(" ") if word}
    return [(word, stem(word)) for word in sorted(words)]


INSERT = "INSERT INTO spoken (rowid, agent, contact, other) VALUES (?, ?, ?, ?)"
DELETE = "INSERT INTO spoken (spoken, rowid, agent, contact, other) VALUES ('delete', ?, ?, ?, ?)"
INSERT_WORDS = "INSERT INTO words VALUES (?, ?) ON CONFLICT DO NOTHING"


def index_all(database: sqlite3.Connection) -> None:
    """Indexes the turns of a store that was written before there was an index."""
    turns = database.execute("SELECT turn_id, role, text FROM turns")
    while some := turns.fetchmany(10_000):
        indexed = index_rows(some)
        database.executemany(INSERT, indexed)
        database.executemany(INSERT_WORDS, word_rows(indexed))
