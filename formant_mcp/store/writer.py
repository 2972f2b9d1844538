"""What comes in is saved here: a page of rows or one conversation in one transaction, whole or not at all."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import NamedTuple

from formant_mcp.models import Conversation, Unreadable
from formant_mcp.store.connection import Database, Value
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.result_values import flatten
from formant_mcp.store.rows import KEPT, WRITTEN, columns, moment, whole
from formant_mcp.store.turn_index import DELETE, INSERT, INSERT_WORDS, index_rows, word_rows
from formant_mcp.store.turn_keys import MAX_TURNS, turn_key

Due = Callable[[Conversation, datetime], datetime | None]
"""When to read a conversation's detail anew, given that it was read at that time; None for never."""

_OF_DETAIL = tuple(each.name for each in fields(Unreadable) if each.name != "fields")
# That a running call had no reason says nothing once it is over.
_WAS_KNOWN = (
    "(failure_reason_known AND (ended OR NOT excluded.ended OR excluded.status IS NULL OR failure_reason IS NOT NULL))"
)
_UPSERT = f"""
    INSERT INTO conversations ({", ".join(WRITTEN)}, first_seen_at, seen_at)
    VALUES ({", ".join("?" * (len(WRITTEN) + 2))})
    ON CONFLICT (conversation_id) DO UPDATE SET
        {", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in KEPT if name != "failure_reason")},
        -- A list row may give a reason without having the last word on it.
        failure_reason = CASE WHEN {_WAS_KNOWN} > excluded.failure_reason_known THEN failure_reason
                              WHEN {_WAS_KNOWN} < excluded.failure_reason_known THEN excluded.failure_reason
                              ELSE coalesce(excluded.failure_reason, failure_reason) END,
        contact_reversed = iif(excluded.contact_number IS NULL, contact_reversed, excluded.contact_reversed),
        -- A reading with the same status but less in it (no times) does not undo what an earlier one told.
        outcome = iif(excluded.status IS NULL OR (excluded.outcome IS NULL AND excluded.ended
                      AND excluded.status COLLATE BINARY IS conversations.status), outcome, excluded.outcome),
        ended = iif(excluded.status IS NULL, ended, excluded.ended),
        status = coalesce(excluded.status, status),
        failure_reason_known = max(excluded.failure_reason_known, {_WAS_KNOWN}),
        seen_at = excluded.seen_at
"""


class PreviousRow(NamedTuple):
    """What was known of a conversation before: when it started, when the provider last showed it."""

    started_at: datetime | None
    seen_at: datetime


class Writer:
    """Saves and forgets conversations."""

    def __init__(self, database: Database, due: Due) -> None:
        self._database = database
        self._due = due

    def save(self, conversations: Iterable[Conversation], now: datetime) -> dict[str, PreviousRow]:
        """Saves what a page or a detail brought; gives those that were known before, by id."""
        latest = {each.conversation_id: each for each in conversations}
        at = milliseconds(now)
        with self._database.transaction():
            self._database.claim()
            known = self._known(list(latest), now)
            self._database.run_many(_UPSERT, ((*columns(each), at, at) for each in latest.values()))
            for each in latest.values():
                if each.has_detail:
                    self._save_detail(each, now)
                elif each.results:
                    self._save_listed_results(each)
                if each.unreadable.fields:
                    self._save_unread_fields(each)
        return known

    def mark_missing(self, conversation_id: str, now: datetime) -> None:
        """Notes that the provider, asked for this one alone, does not have it."""
        self._database.run(
            "UPDATE conversations SET missing_at = ? WHERE conversation_id = ?", [milliseconds(now), conversation_id]
        )

    def mark_failed(self, conversation_id: str, why: str, retry_at: datetime) -> None:
        """Notes why the details of this one could not be read, and when a question may ask for them again."""
        self._database.run(
            "UPDATE conversations SET failure = ?, retry_at = ? WHERE conversation_id = ?",
            [why, milliseconds(retry_at), conversation_id],
        )

    def retry_failed(self) -> None:
        """Lets the next question ask for every detail that could not be read."""
        self._database.run("UPDATE conversations SET retry_at = NULL WHERE retry_at IS NOT NULL")

    def delete(self, *conversation_ids: str) -> None:
        """Deletes conversations that the provider no longer has."""
        with self._database.transaction():
            self._delete("conversation_id IN (SELECT value FROM json_each(?))", [json.dumps(conversation_ids)])

    def invalidate_details(self, conversation_ids: Sequence[str]) -> None:
        """Lets the details of these be read anew when they are next asked for, final or not."""
        self._database.run(
            "UPDATE conversations SET detail_due_at = 0 WHERE conversation_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(conversation_ids))],
        )

    def delete_unseen(self, agent_id: str, since: datetime) -> None:
        """Forgets what the provider has not shown since then, of one agent where `agent_id` is given."""
        with self._database.transaction():
            self._delete("seen_at < ? AND (? = '' OR agent_id = ?)", [milliseconds(since), agent_id, agent_id])

    def _known(self, conversation_ids: list[str], now: datetime) -> dict[str, PreviousRow]:
        rows = self._database.rows(
            "SELECT conversation_id, started_at, seen_at FROM conversations"
            " WHERE conversation_id IN (SELECT value FROM json_each(?))",
            [json.dumps(conversation_ids)],
        )
        return {str(row[0]): PreviousRow(moment(row[1]), moment(row[2]) or now) for row in rows}

    def _save_listed_results(self, conversation: Conversation) -> None:
        """What a list row told of the results, such as the provider's summary, until the detail tells them all."""
        self._database.run(
            "UPDATE conversations SET results = ? WHERE conversation_id = ? AND detail_at IS NULL",
            [json.dumps(conversation.results, ensure_ascii=False), conversation.conversation_id],
        )

    def _save_unread_fields(self, conversation: Conversation) -> None:
        """They count until a later reading has the field: see `Reader.unreadable`."""
        self._database.run(
            "INSERT OR IGNORE INTO unreadable SELECT row_id, value, 1 FROM conversations, json_each(?)"
            " WHERE conversation_id = ?",
            [json.dumps(sorted(conversation.unreadable.fields)), conversation.conversation_id],
        )

    def _save_detail(self, conversation: Conversation, now: datetime) -> None:
        rows = self._database.rows(
            "SELECT row_id FROM conversations WHERE conversation_id = ?", [conversation.conversation_id]
        )
        row_id, results = whole(rows[0][0]), conversation.results
        turns = None if conversation.turns is None else conversation.turns[:MAX_TURNS]
        self._drop_detail(row_id)
        keyed = [(turn_key(row_id, turn.index), turn.role, turn.text, turn.seconds) for turn in turns or ()]
        self._database.run_many("INSERT INTO turns VALUES (?, ?, ?, ?)", keyed)
        indexed = index_rows([row[:3] for row in keyed])
        self._database.run_many(INSERT, indexed)
        self._database.run_many(INSERT_WORDS, word_rows(indexed))
        self._database.run_many(
            "INSERT INTO result_values VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((row_id, *value) for value in flatten(results or {})),
        )
        self._database.run_many(
            "INSERT INTO unreadable VALUES (?, ?, ?)",
            ((row_id, kind, count) for kind in _OF_DETAIL if (count := getattr(conversation.unreadable, kind))),
        )
        due = self._due(conversation, now)
        self._database.run(
            "UPDATE conversations SET results = ?, turn_count = ?, detail_at = ?, detail_due_at = ?, missing_at = NULL,"
            " failure = NULL, retry_at = NULL WHERE row_id = ?",
            [
                None if results is None else json.dumps(results, ensure_ascii=False),
                None if turns is None else len(turns),
                milliseconds(now),
                due and milliseconds(due),
                row_id,
            ],
        )

    def _drop_detail(self, row_id: int) -> None:
        turns = [turn_key(row_id, 0), turn_key(row_id, MAX_TURNS)]
        spoken = self._database.rows("SELECT turn_id, role, text FROM turns WHERE turn_id >= ? AND turn_id < ?", turns)
        self._database.run_many(DELETE, index_rows([(whole(key), str(role), str(text)) for key, role, text in spoken]))
        self._database.run("DELETE FROM turns WHERE turn_id >= ? AND turn_id < ?", turns)
        self._database.run("DELETE FROM result_values WHERE row_id = ?", [row_id])
        self._database.run(
            "DELETE FROM unreadable WHERE row_id = ? AND kind IN (SELECT value FROM json_each(?))",
            [row_id, json.dumps(_OF_DETAIL)],
        )

    def _delete(self, condition: str, values: Sequence[Value]) -> None:
        for row in self._database.rows(f"SELECT row_id FROM conversations WHERE {condition}", values):
            self._drop_detail(whole(row[0]))
            self._database.run("DELETE FROM unreadable WHERE row_id = ?", [row[0]])
        self._database.run(f"DELETE FROM conversations WHERE {condition}", values)
