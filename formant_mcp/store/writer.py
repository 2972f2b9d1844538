"""Saves conversations, from list pages and from details. Saves that wait at the same time share a transaction."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.filters import LABELLED
from formant_mcp.models import Conversation, Unreadable
from formant_mcp.store.counts import COUNTED, CountKey, count_key, update_counts
from formant_mcp.store.engine import (
    LEFT_AFTER_SECONDS,
    Connection,
    Database,
    OnDatabase,
    Parameter,
    Value,
    on_writer,
    to_its_end,
)
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.meta import CALLS, note_change
from formant_mcp.store.phrases import Spoken, save_phrases, spoken_in
from formant_mcp.store.purge import begun_with, refuse_if_purged
from formant_mcp.store.result_values import ResultValue, flatten
from formant_mcp.store.rows import WRITTEN, columns, label_rows, merge, moment, whole
from formant_mcp.store.signals import Measure, Measured, save_signals
from formant_mcp.store.transcripts import save_turns, stored_turns
from formant_mcp.store.turn_keys import MAX_TURNS

Due = Callable[[Conversation, datetime], datetime | None]
"""When to read a conversation's detail again, after it was read at that time; None for never."""

_OF_DETAIL = tuple(kind.name for kind in fields(Unreadable) if kind.name != "fields")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_SAVED_AT_ONCE = 400  # conversations in a transaction: longer ones hold up the pages that are fetched next
_TRANSCRIPTS_AT_ONCE = 20  # a database inserts their turns while the next ones are prepared
_DELETED_AT_ONCE = 500  # conversations, whose turns are all in memory
_ADDED = (*WRITTEN, "first_seen_at", "seen_at")
_NO_LABEL = "text = ?" + "".join(
    f" AND NOT EXISTS (SELECT 1 FROM $conversations WHERE $fold({column}) = $fold(text))" for column in sorted(LABELLED)
)  # that no conversation has any more
_NOT_LOADED = {"results": None, "turn_count": None, "detail_at": None, "detail_due_at": 0}
_Loaded = dict[str, Value]


class PreviousRow(NamedTuple):
    """A conversation as stored before a save: when it started, and when the provider last showed it."""

    started_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class _Stored:
    """A stored row before a save: its id, its columns as in WRITTEN, whether it has details, and its results."""

    row_id: int
    previous: PreviousRow
    columns: tuple[Value, ...]
    has_detail: bool
    results: Value


class _Read(NamedTuple):
    """A conversation as read from the provider, and when."""

    conversation: Conversation
    at: datetime

    def seen_at(self, scanned_from: datetime) -> datetime:
        """When it was seen: not before the scan under way that began last, by whichever server's clock."""
        return max(self.at, scanned_from)

    def as_previous(self, scanned_from: datetime) -> PreviousRow:
        """How a later save finds it."""
        return PreviousRow(self.conversation.started_at, self.seen_at(scanned_from))


@dataclass(slots=True)
class _Batch:
    """The calls of `save` that share a transaction, each by conversation id, and the job that saves them.

    `marks`: those that the work began with which saves them.
    """

    calls: list[dict[str, _Read]] = field(default_factory=list[dict[str, _Read]])
    marks: set[str | None] = field(default_factory=set[str | None])
    job: asyncio.Task[list[dict[str, PreviousRow]]] | None = None

    @property
    def is_full(self) -> bool:
        """Whether another transaction saves what else comes."""
        return sum(map(len, self.calls)) >= _SAVED_AT_ONCE


class Writer(OnDatabase):
    """Saves and deletes conversations."""

    def __init__(self, database: Database, due: Due, measure: Measure) -> None:
        super().__init__(database)
        self._due = due
        self._measure = measure
        self.is_expired: Callable[[Conversation, datetime], bool] | None = None
        self._next: _Batch | None = None
        self._saving = asyncio.Lock()

    async def save(self, conversations: Iterable[Conversation], now: datetime) -> dict[str, PreviousRow]:
        """Saves the conversations of a page or a detail; returns those that were stored before, by id.

        What is too old to be kept is left out, and counts as stored before: reading on is no use.
        Calls made while another save runs are saved together: all of them, or none and each raises the error.
        """
        kept = list(conversations)
        if self.is_expired:
            expired = {one.conversation_id: one for one in kept if self.is_expired(one, now)}
            kept = [one for one in kept if one.conversation_id not in expired]
            if expired:
                others = await self.save(kept, now) if kept else {}
                return others | {name: PreviousRow(one.started_at, now) for name, one in expired.items()}
        batch = self._next
        if batch is None or batch.job is None or batch.is_full:
            batch = self._next = _Batch()
            batch.job = asyncio.create_task(self._save_next(batch))
        place = len(batch.calls)
        batch.marks.add(begun_with())
        batch.calls.append({conversation.conversation_id: _Read(conversation, now) for conversation in kept})
        return (await to_its_end(batch.job, LEFT_AFTER_SECONDS))[place]

    @on_writer
    def mark_missing(self, connection: Connection, conversation_id: str, now: datetime) -> None:
        """Saves that the provider answered 'not found' when this conversation was requested."""
        connection.update(
            "conversations", "missing_at = ?", "conversation_id = ?", [(milliseconds(now), conversation_id)]
        )

    @on_writer
    def mark_failed(self, connection: Connection, conversation_id: str, why: str, retry_at: datetime) -> None:
        """Saves why the details could not be read, and when a question may request them again."""
        row = (why, milliseconds(retry_at), conversation_id)
        connection.update("conversations", "failure = ?, retry_at = ?", "conversation_id = ?", [row])

    @on_writer
    def retry_failed(self, connection: Connection) -> None:
        """Lets the next question request every detail that could not be read."""
        connection.update("conversations", "retry_at = NULL", "retry_at IS NOT NULL", [()])

    @on_writer
    def delete(self, connection: Connection, *conversation_ids: str) -> None:
        """Deletes conversations that the provider no longer has."""
        delete_conversations(connection, "conversation_id $in_list", [conversation_ids])

    @on_writer
    def invalidate_details(self, connection: Connection, conversation_ids: Sequence[str]) -> None:
        """Makes the details of these due, final or not: the next question that needs them reads them again."""
        connection.update("conversations", "detail_due_at = 0", "conversation_id $in_list", [(conversation_ids,)])

    @on_writer
    def delete_unseen(self, connection: Connection, agent_id: str, since: datetime) -> None:
        """Deletes what the provider has not shown since then; with an `agent_id`, only that agent's."""
        values = [milliseconds(since), agent_id, agent_id]
        delete_conversations(connection, "seen_at < ? AND (? = '' OR agent_id = ?)", values)

    async def _save_next(self, batch: _Batch) -> list[dict[str, PreviousRow]]:
        async with self._saving:
            if self._next is batch:
                self._next = None  # later calls start another batch, which waits for this one
            return await self._save_all(batch.calls, batch.marks)

    @on_writer
    def _save_all(
        self, connection: Connection, calls: Sequence[dict[str, _Read]], marks: Set[str | None]
    ) -> list[dict[str, PreviousRow]]:
        for mark in marks:
            refuse_if_purged(connection, mark)
        connection.claim()
        scanned_from = _scanned_from(connection)
        previous: list[dict[str, PreviousRow]] = []
        while calls:
            together = _without_contradiction(calls)
            calls = calls[len(together) :]
            reads = {name: read for call in together for name, read in call.items()}
            stored, saved = self._save(connection, reads, scanned_from), dict[str, _Read]()
            for call in together:
                again = {name: saved[name].as_previous(scanned_from) for name in saved.keys() & call.keys()}
                previous.append({name: stored[name].previous for name in stored.keys() & call.keys()} | again)
                saved |= call
        return previous

    def _save(self, connection: Connection, reads: dict[str, _Read], scanned_from: datetime) -> dict[str, _Stored]:
        """Saves conversations; returns the rows of those that were stored before, as they were.

        Where the clocks of several servers differ, what one sees must not be older than the scan that another began,
        nor become older than it was: a scan deletes what it has not seen.
        """
        stored = _stored(connection, reads)
        added = list[tuple[tuple[Value, ...], _Loaded]]()
        changes = dict[tuple[str, ...], list[tuple[Value, ...]]]()
        counted, uncounted = list[CountKey](), list[CountKey]()
        one_of_each = {read.at: read for read in reads.values()}
        seen_at = {at: milliseconds(read.seen_at(scanned_from)) for at, read in one_of_each.items()}
        for name, read in reads.items():
            row, at, before, loaded = columns(read.conversation), seen_at[read.at], stored.get(name), self._loaded(read)
            if before is None:
                added.append(((*row, at, at), loaded))
                counted.append(count_key(row))
                continue
            names, values = ("seen_at",), (max(at, milliseconds(before.previous.seen_at)),)
            if (merged := merge(row, before.columns)) != before.columns:
                names, values = (*WRITTEN, *names), (*merged, *values)
                counted.append(count_key(merged))
                uncounted.append(count_key(before.columns))
            if read.conversation.has_detail or not before.has_detail:
                names, values = (*names, *loaded), (*values, *loaded.values())
            changes.setdefault(names, []).append((*values, before.row_id))
        _insert(connection, added)
        if added or changes.keys() - {("seen_at",)}:
            note_change(connection, CALLS)
        for names, rows in changes.items():  # one change of a row: each has its costs in PostgreSQL
            connection.update_rows("conversations", names, "row_id", rows)
        update_counts(connection, counted, uncounted)
        saved = [read.conversation for read in reads.values()]
        labels = label_rows(chain.from_iterable(set(map(attrgetter(*LABELLED), saved))))
        connection.insert("labels", ("text", "label"), labels, key=("text",))
        details = [read for read in reads.values() if read.conversation.has_detail]
        if details:
            self._save_details(connection, details, stored)
        self._save_unreadable_fields(connection, [row for row in saved if row.unreadable.fields])
        return stored

    def _save_unreadable_fields(self, connection: Connection, conversations: list[Conversation]) -> None:
        """They count until the field has been read: see `Reader.unreadable`."""
        if conversations:
            row_ids = _row_ids(connection, [conversation.conversation_id for conversation in conversations])
            rows = [
                (row_ids[conversation.conversation_id], name, 1)
                for conversation in conversations
                for name in sorted(conversation.unreadable.fields)
            ]
            connection.insert("unreadable", ("row_id", "kind", "count"), rows, key=("row_id", "kind"))

    def _save_details(self, connection: Connection, details: list[_Read], stored: dict[str, _Stored]) -> None:
        row_ids = {name: row.row_id for name, row in stored.items()}
        names = [detail.conversation.conversation_id for detail in details]
        if added := [name for name in names if name not in row_ids]:
            row_ids |= _row_ids(connection, added)
        by_row = {row_ids[detail.conversation.conversation_id]: detail for detail in details}
        had_details = {row.row_id for row in stored.values() if row.has_detail}
        before = stored_turns(connection, [row_id for row_id in by_row if row_id in had_details])
        measured, spoken = dict[int, Mapping[str, Measured]](), dict[int, Spoken]()
        left = iter(by_row.items())
        while some := dict(islice(left, _TRANSCRIPTS_AT_ONCE)):
            transcripts = {row_id: read.conversation.turns for row_id, read in some.items()}
            indexed = save_turns(connection, transcripts, before)
            measured |= {row_id: self._measure(read.conversation) for row_id, read in some.items()}
            spoken |= {row_id: spoken_in(read.conversation, indexed.get(row_id)) for row_id, read in some.items()}
        save_phrases(connection, spoken, had_details)
        has_same = {row.row_id for row in stored.values() if row.has_detail and _is_same(row, by_row)}
        changed = {row_id: read.conversation.results for row_id, read in by_row.items() if row_id not in has_same}
        if replaced := had_details & changed.keys():
            connection.delete("result_values", "row_id $in_list", [(list(replaced),)])
        connection.insert(
            "result_values",
            ("row_id", *ResultValue._fields),
            [(row_id, *value) for row_id, results in changed.items() for value in flatten(results or {})],
        )
        save_signals(connection, measured, had_details)
        if had_details:
            connection.delete("unreadable", "row_id $in_list AND kind $in_list", [(list(had_details), _OF_DETAIL)])
        connection.insert(
            "unreadable",
            ("row_id", "kind", "count"),
            [
                (row_id, kind, count)
                for row_id, read in by_row.items()
                for kind in _OF_DETAIL
                if (count := getattr(read.conversation.unreadable, kind))
            ],
        )

    def _loaded(self, read: _Read) -> "_Loaded":
        """The columns that details have. A list row may have part of the results, such as a summary, which is kept
        until the details have all of them."""
        results = read.conversation.results
        if not read.conversation.has_detail:
            return {"results": _json(results)} if results else {}
        turns, due = read.conversation.turns, self._due(read.conversation, read.at)
        return {
            "results": _json(results),
            "turn_count": None if turns is None else min(len(turns), MAX_TURNS),
            "detail_at": milliseconds(read.at),
            "detail_due_at": due and milliseconds(due),
            "missing_at": None,
            "failure": None,
            "retry_at": None,
        }


def delete_conversations(connection: Connection, condition: str, values: Sequence[Parameter]) -> None:
    """Deletes the conversations that meet a condition, with all that is stored of them."""
    rows = connection.rows(f"SELECT row_id FROM $conversations WHERE {condition}", values)
    row_ids = [whole(row[0]) for row in rows]
    for first in range(0, len(row_ids), _DELETED_AT_ONCE):
        some = row_ids[first : first + _DELETED_AT_ONCE]
        note_change(connection, CALLS)
        save_turns(connection, dict.fromkeys(some), stored_turns(connection, some))
        counted = f"SELECT {', '.join(COUNTED)} FROM $conversations WHERE row_id $in_list"
        update_counts(connection, [], connection.rows(counted, [some]))
        labelled = f"SELECT {', '.join(LABELLED)} FROM $conversations WHERE row_id $in_list"
        labels = {text for row in connection.rows(labelled, [some]) for text in row if text}
        for table in ("result_values", "unreadable", "signals", "phrases", "conversations"):
            connection.delete(table, "row_id $in_list", [(some,)])
        connection.delete("labels", _NO_LABEL, [(text,) for text in labels])


def _without_contradiction(calls: Sequence[dict[str, _Read]]) -> list[dict[str, _Read]]:
    """The first calls up to one that has a conversation otherwise: that one is saved after them, on top."""
    first: list[dict[str, _Read]] = []
    reads = dict[str, _Read]()
    for call in calls:
        if any(reads[name].conversation != call[name].conversation for name in reads.keys() & call.keys()):
            break
        reads |= call
        first.append(call)
    return first


def _insert(connection: Connection, added: Sequence[tuple[tuple[Value, ...], _Loaded]]) -> None:
    """Inserts conversations, each with what is loaded of it."""
    more = _NOT_LOADED if any(loaded for _, loaded in added) else {}
    rows = [(*row, *map(loaded.get, more, more.values())) for row, loaded in added]
    connection.insert("conversations", (*_ADDED, *more), rows)


def _stored(connection: Connection, reads: dict[str, _Read]) -> dict[str, _Stored]:
    rows = connection.rows(
        f"SELECT row_id, detail_at, results, started_at, seen_at, {', '.join(WRITTEN)} FROM $conversations"
        " WHERE conversation_id $in_list",
        [list(reads)],
    )
    stored: dict[str, _Stored] = {}
    for row_id, detail_at, results, started_at, seen_at, *written in rows:
        name = str(written[0])
        previous = PreviousRow(moment(started_at), moment(seen_at) or reads[name].at)
        stored[name] = _Stored(whole(row_id), previous, tuple(written), detail_at is not None, results)
    return stored


def _scanned_from(connection: Connection) -> datetime:
    """When the latest of the scans under way began, by the clock of the server that began it; long ago without one."""
    return moment(connection.rows("SELECT max(scan_started_at) FROM $list_states")[0][0]) or _LONG_AGO


def _row_ids(connection: Connection, conversation_ids: list[str]) -> dict[str, int]:
    rows = connection.rows(
        "SELECT conversation_id, row_id FROM $conversations WHERE conversation_id $in_list", [conversation_ids]
    )
    return {str(conversation_id): whole(row_id) for conversation_id, row_id in rows}


def _is_same(row: _Stored, reads: dict[int, _Read]) -> bool:
    """Whether the results just read equal the stored ones."""
    return row.row_id in reads and row.results == _json(reads[row.row_id].conversation.results)


def _json(results: dict[str, JsonValue] | None) -> str | None:
    return None if results is None else json.dumps(results, ensure_ascii=False)
