"""The words of the transcripts, kept with them: what full text search looks in."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from formant_mcp.text_search.tokenizer import forms_in, indexable, indexed_until_version_3

COLUMNS = ("agent", "contact", "other")

Rows = Sequence[tuple[int, str, str]]
"""Turns as key, role and text."""


def index_rows(turns: Rows, cut: Callable[[str], str] = indexable) -> list[tuple[int, str, str, str]]:
    """What to insert into `spoken` for these turns, or to delete from it."""
    indexed: list[tuple[int, str, str, str]] = []
    for key, role, text in turns:
        words = cut(text)
        columns = {"agent": (words, "", ""), "contact": ("", words, "")}
        indexed.append((key, *columns.get(role, ("", "", words))))
    return indexed


def word_rows(indexed: Iterable[tuple[int, str, str, str]]) -> list[tuple[str, str]]:
    """Their distinct words, and those that are joined, each with its stem."""
    words = {word for _, *columns in indexed for text in columns for word in text.split()}
    return sorted(forms_in(" ".join(words)).items())


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


def index_joined_words(database: sqlite3.Connection) -> None:
    """Indexes the turns of a store up to version 3 anew in which words are divided or folded otherwise since."""
    turns = database.execute("SELECT turn_id, role, text FROM turns WHERE text GLOB '*[''’‐‑ıłŁøØđĐ-]*'")
    while some := turns.fetchmany(10_000):
        before, indexed = index_rows(some, indexed_until_version_3), index_rows(some)
        database.executemany(DELETE, before)
        database.executemany(INSERT, indexed)
        database.executemany(INSERT_WORDS, word_rows(indexed))
