"""The index of the transcripts' words in SQLite (FTS5): its rows, and queries for MATCH."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms
from formant_mcp.store.turn_keys import WORD_COLUMNS, word_rows
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.tokenizer import indexable, indexed_until_version_3

FTS_COLUMNS = ("rowid", "agent", "contact", "other")
INSERT = f"INSERT INTO turns_fts ({', '.join(FTS_COLUMNS)}) VALUES (?, ?, ?, ?)"
DELETE = "INSERT INTO turns_fts (turns_fts, rowid, agent, contact, other) VALUES ('delete', ?, ?, ?, ?)"
MERGE = "INSERT INTO turns_fts (turns_fts, rank) VALUES ('merge', ?)"
_INSERT_WORDS = f"INSERT INTO words ({', '.join(WORD_COLUMNS)}) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

Rows = Sequence[tuple[int, str, str]]
"""Turns as key, role and text."""


def index_rows(turns: Rows, cut: Callable[[str], str] = indexable) -> list[tuple[int, str, str, str]]:
    """The rows of `turns_fts` for these turns, to insert or to delete."""
    indexed: list[tuple[int, str, str, str]] = []
    for key, role, text in turns:
        words = cut(text)
        columns = {"agent": (words, "", ""), "contact": ("", words, "")}
        indexed.append((key, *columns.get(role, ("", "", words))))
    return indexed


def words_of(indexed: Iterable[tuple[int, str, str, str]]) -> Iterable[str]:
    """The indexed texts of these rows."""
    return (text for _, *columns in indexed for text in columns if text)


def index_all(database: sqlite3.Connection) -> None:
    """Indexes the turns of a store that was written before there was an index."""
    turns = database.execute("SELECT turn_id, role, text FROM turns")
    while batch := turns.fetchmany(10_000):
        indexed = index_rows(batch)
        database.executemany(INSERT, indexed)
        database.executemany(_INSERT_WORDS, word_rows(words_of(indexed)))


def index_joined_words(database: sqlite3.Connection) -> None:
    """Indexes again those turns of a store up to version 3 whose words are now divided or folded differently."""
    turns = database.execute("SELECT turn_id, role, text FROM turns WHERE text GLOB '*[''’‐‑ıłŁøØđĐ-]*'")
    while batch := turns.fetchmany(10_000):
        before, indexed = index_rows(batch, indexed_until_version_3), index_rows(batch)
        database.executemany(DELETE, before)
        database.executemany(INSERT, indexed)
        database.executemany(_INSERT_WORDS, word_rows(words_of(indexed)))


def forget_words(database: sqlite3.Connection, pieces: Iterable[str]) -> None:
    """Deletes those of the words of these pieces that are in no turn any more."""
    said = "SELECT 1 FROM turns_fts WHERE turns_fts MATCH ? LIMIT 1"
    words = (word for word, *_ in word_rows(pieces))
    unsaid = [[word] for word in words if not database.execute(said, [_quoted(word)]).fetchone()]
    database.executemany("DELETE FROM words WHERE word = ?", unsaid)


def to_fts5(expression: Expression, role: Role, forms: Forms) -> str:
    """The expression for MATCH (https://sqlite.org/fts5.html, 3): quoted words, which hold no quote, and operators."""
    wanted = " AND ".join(_any_of(terms, forms) for terms in expression.all_of)
    if expression.none_of:
        wanted = f"({wanted}) NOT {_any_of(expression.none_of, forms)}"
    return f"({wanted})" if role == "any" else f"{role} : ({wanted})"


def _any_of(terms: Iterable[Term], forms: Forms) -> str:
    return f"({' OR '.join(_quoted(form) for term in terms for form in sorted(forms(term)))})"


def _quoted(form: str) -> str:
    return f'"{form[:-1]}" *' if form.endswith("*") else f'"{form}"'
