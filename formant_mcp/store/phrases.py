"""What each turn says, as the key of its form: written with the turns, counted at a question.

A row has the keys of one conversation, so that it is written in one piece and any selection of conversations is counted
by reading its rows. A million keys are counted in less time than an index by key would take to keep up.
"""

import struct
from array import array
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress, islice
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.analysis.phrase_counts import FormCounts, count_exactly, first_with
from formant_mcp.analysis.phrases import (
    NO_NAMES,
    FormCount,
    Names,
    Phrase,
    distinctive,
    group,
    names_of,
    phrase_key,
    ranked,
)
from formant_mcp.filters import Filters, Role
from formant_mcp.models import Conversation
from formant_mcp.store.engine import Connection, Database, OnDatabase, on_reader
from formant_mcp.store.filter_sql import SORTED, STARTED, where
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.store.meta import SAID, note_change, read_text
from formant_mcp.store.rows import whole
from formant_mcp.store.ties import first_rows, ids_of
from formant_mcp.store.turn_keys import KEY_BITS, MAX_TURNS, turn_key
from formant_mcp.text_search.tokenizer import indexable

MOST_SHOWN = 100
"""How many phrases a question may want."""
MOST_COUNTED = 200_000
"""Conversations of each side of a comparison that a question counts: they take seconds, and some 100 MB."""
GROUPED = 10_000
"""Forms: the commonest so many are joined where they are nearly equal."""

_NAME_FIELDS = tuple(
    f"{owner}name"
    for owner in ("", "full_", "first_", "last_", "contact_", "customer_", "caller_", "client_", "user_", "patient_")
)  # results that are the contact's name
_MARKS = {"agent": "a", "contact": "c", "tool": "-", "system": "-"}  # of roles; any other is that of an unknown speaker
_UNKNOWN, _SILENT = "o", "-"
_SAID_BY: dict[Role, str] = {"agent": "a", "contact": "c", "any": "aco"}
_COLUMNS = ("roles", "keys", "row_id")
_READ_AT_ONCE = 2_000  # rows, or turns, of a statement
_REMEMBERED = 16  # answers


class Spoken(NamedTuple):
    """A transcript to save: the role and the indexed text of each turn, and the names of its contact."""

    turns: Sequence[tuple[str, str]]
    names: Names = NO_NAMES


class FoundPhrase(NamedTuple):
    """A phrase with one of its turns: the text, the conversation and the index.

    `turns` and `conversations`: how many say it; `elsewhere`: how many conversations of the other side do.
    """

    text: str
    turns: int
    conversations: int
    elsewhere: int
    conversation_id: str
    turn: int


class FoundPhrases(NamedTuple):
    """The first phrases of an answer, and what they were counted in.

    `spoken`, `spoken_elsewhere`: in how many conversations that role says anything; `turns`: how many turns that are.
    `forms`: how many different ones these have; `grouped`: how many of them were joined where nearly equal.
    `not_counted`: how many transcripts are too many to count.
    """

    phrases: tuple[FoundPhrase, ...]
    spoken: int
    spoken_elsewhere: int
    turns: int
    forms: int
    grouped: int
    not_counted: int


@dataclass(frozen=True, slots=True)
class PhraseQuestion:
    """Whose phrases are counted, in which conversations; and in which others, if they are compared.

    `is_distinctive`: the phrases said more here than there, the most distinctive first; else the most frequent first.
    `most`: how many conversations of each side are counted, the newest.
    """

    filters: Filters
    role: Role
    elsewhere: Filters | None = None
    is_distinctive: bool = False
    most: int = MOST_COUNTED


class Answers:
    """The last answers, by the question, its conversations and the state of the store: counting takes seconds."""

    def __init__(self) -> None:
        self._answers = OrderedDict[bytes, FoundPhrases]()

    def get(self, key: bytes) -> FoundPhrases | None:
        """The answer with this key."""
        answer = self._answers.pop(key, None)  # other threads may add and drop answers meanwhile
        if answer is not None:
            self._answers[key] = answer
        return answer

    def add(self, key: bytes, answer: FoundPhrases) -> None:
        """Keeps an answer, and drops the one that was not used for longest."""
        self._answers[key] = answer
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Call:
    """A conversation with the keys of one role's turns; `roles`: the marks of all its turns."""

    row: int
    roles: str
    keys: "array[int]"


def _contact_names(results: Mapping[str, JsonValue] | None) -> Names:
    """The names of the contact, as far as a conversation's results have them."""
    names = [value for name in _NAME_FIELDS if isinstance(value := (results or {}).get(name), str)]
    return names_of(names) if names else NO_NAMES


def spoken_in(conversation: Conversation, indexed: Sequence[str] | None = None) -> Spoken:
    """What is said in a conversation; `indexed`: the texts of its turns as indexed, if they are at hand."""
    turns = (conversation.turns or ())[:MAX_TURNS]
    texts = [indexable(turn.text) for turn in turns] if indexed is None else indexed
    roles = (turn.role for turn in turns)
    return Spoken(list(zip(roles, texts, strict=True)), _contact_names(conversation.results))


def save_phrases(connection: Connection, spoken: Mapping[int, Spoken], had_details: Set[int]) -> None:
    """Saves the keys of transcripts, by row; `had_details`: those that may have some. Equal ones are not written
    again."""
    rows = {row_id: (*packed(call), row_id) for row_id, call in spoken.items()}
    stored = dict[int, tuple[object, ...]]()
    if had_details:
        sql = f"SELECT {', '.join(_COLUMNS)} FROM $phrases WHERE row_id $in_list"
        stored = {whole(row[-1]): row for row in connection.rows(sql, [list(had_details)])}
    added = [row for row_id, row in rows.items() if row_id not in stored and row[0]]
    changed = [row for row_id, row in rows.items() if stored.get(row_id, row) != row]
    connection.insert("phrases", _COLUMNS, added)
    connection.update_rows("phrases", _COLUMNS[:-1], "row_id", changed)
    if added or changed:
        note_change(connection, SAID)


class Phrases(OnDatabase):
    """Counts what is said."""

    def __init__(self, database: Database, answers: Answers, agents: frozenset[str] = ALL_AGENTS) -> None:
        super().__init__(database, agents)
        self.answers = answers

    def limited_to(self, agents: frozenset[str]) -> "Phrases":
        """The same for a reader for whom only these agents' conversations exist."""
        return Phrases(self.database, self.answers, agents)

    @on_reader
    def find(self, connection: Connection, question: PhraseQuestion) -> FoundPhrases:
        """The first MOST_SHOWN phrases, from all conversations of one moment."""
        rows = _rows(connection, question.filters)
        others = list[int]()
        if question.elsewhere is not None:
            selected = set(rows)
            others = [row for row in _rows(connection, question.elsewhere) if row not in selected]
        key = _fingerprint(connection, question, rows, others)
        answer = self.answers.get(key)
        if answer is None:
            answer = _find(connection, question, rows[: question.most], others[: question.most])
            left_out = max(0, len(rows) - question.most) + max(0, len(others) - question.most)
            answer = answer._replace(not_counted=left_out)
            self.answers.add(key, answer)
        return answer


def _find(connection: Connection, question: PhraseQuestion, rows: list[int], others: list[int]) -> FoundPhrases:
    calls = _calls(connection, rows, question.role)
    counts = FormCounts.of(call.keys for call in calls)
    keys = counts.commonest(GROUPED)
    turns = _first_turns(calls, keys, question.role)
    texts = _texts(connection, list(turns.values()))
    names = _names(connection, {turn >> KEY_BITS for turn in turns.values()})
    forms = [FormCount(key, counts.turns_of(key), counts.conversations[key], texts[turns[key]]) for key in keys]
    phrases = group(forms, names)
    elsewhere = _calls(connection, others, question.role)
    count_exactly(phrases, (call.keys for call in calls), (call.keys for call in elsewhere))
    phrases.sort(key=lambda phrase: (-phrase.conversations, -phrase.turns))
    spoken_elsewhere = sum(bool(call.keys) for call in elsewhere)
    if question.is_distinctive:
        phrases = distinctive(phrases, counts.spoken, spoken_elsewhere)
    shown = phrases[:MOST_SHOWN] if question.is_distinctive else ranked(phrases, MOST_SHOWN)
    ids = ids_of(connection, [turns[phrase.keys[0]] >> KEY_BITS for phrase in shown])
    return FoundPhrases(
        tuple(_found(phrase, turns[phrase.keys[0]], ids) for phrase in shown),
        spoken=counts.spoken,
        spoken_elsewhere=spoken_elsewhere,
        turns=counts.turns,
        forms=len(counts.conversations),
        grouped=len(forms),
        not_counted=0,
    )


def _found(phrase: Phrase, turn: int, ids: Mapping[int, str]) -> FoundPhrase:
    row = turn >> KEY_BITS
    return FoundPhrase(
        phrase.text, phrase.turns, phrase.conversations, phrase.elsewhere, ids[row], turn - turn_key(row, 0)
    )


def _rows(connection: Connection, filters: Filters) -> list[int]:
    """The rows of matching conversations that have turns, the newest first."""
    clause = where(filters)
    clause.add("turn_count > 0")
    rows = connection.rows(
        f"SELECT {STARTED}, row_id FROM $conversations $by_transcript WHERE {clause.sql}"
        f" ORDER BY started_at {SORTED['DESC']}",
        clause.values,
    )
    return first_rows(connection, [(float(started_at or 0), whole(row)) for started_at, row in rows])


def _fingerprint(connection: Connection, question: PhraseQuestion, rows: list[int], others: list[int]) -> bytes:
    """Equal for questions with equal answers."""
    whose = (
        question.role,
        question.is_distinctive,
        question.most,
        question.elsewhere is None,
        read_text(connection, SAID),
        len(rows),
    )
    hashed = blake2b(repr(whose).encode())
    hashed.update(array("q", rows))
    hashed.update(array("q", others))
    return hashed.digest()


def _calls(connection: Connection, rows: list[int], role: Role) -> list[_Call]:
    """The conversations in these rows, in this order, as far as they have keys."""
    is_said = bytes(chr(mark) in _SAID_BY[role] for mark in range(256))
    calls, roles_seen = list[_Call](), dict[str, tuple[str, bytes]]()
    for first in range(0, len(rows), _READ_AT_ONCE):
        some = rows[first : first + _READ_AT_ONCE]
        packed = {
            whole(row_id): (str(roles), str(keys))
            for row_id, roles, keys in connection.rows(
                "SELECT row_id, roles, keys FROM $phrases WHERE row_id $in_list", [some]
            )
        }
        for row_id in some:
            if row_id in packed:
                roles, keys = packed[row_id]
                if roles not in roles_seen:  # few conversations have an order of speakers of their own
                    roles_seen[roles] = roles, roles.encode().translate(is_said)
                roles, mask = roles_seen[roles]
                unpacked = struct.unpack(f"<{len(roles)}q", b64decode(keys))
                calls.append(_Call(row_id, roles, array("q", compress(unpacked, mask))))
    return calls


def packed(spoken: Spoken) -> tuple[str, str]:
    """The role of each turn as a letter, and the keys."""
    marks, keys = list[str](), list[int]()
    for role, indexed in spoken.turns:
        mark = _MARKS.get(role, _UNKNOWN)
        key = None if mark == _SILENT else phrase_key(indexed, spoken.names)
        marks.append(_SILENT if key is None else mark)
        keys.append(key or 0)
    return "".join(marks), b64encode(struct.pack(f"<{len(keys)}q", *keys)).decode()


def _first_turns(calls: Sequence[_Call], keys: Sequence[int], role: Role) -> dict[int, int]:
    """For each of the keys, the first turn in the first conversation that has it."""
    turns = dict[int, int]()
    for key, place in first_with((call.keys for call in calls), keys).items():
        call = calls[place]
        said = (index for index, mark in enumerate(call.roles) if mark in _SAID_BY[role])
        turns[key] = turn_key(call.row, next(islice(said, call.keys.index(key), None)))
    return turns


def _texts(connection: Connection, turns: Sequence[int]) -> dict[int, str]:
    """The texts of these turns."""
    texts = dict[int, str]()
    for first in range(0, len(turns), _READ_AT_ONCE):
        rows = connection.rows(
            "SELECT turn_id, text FROM $each_number $join $turns"
            f" ON turn_id = value AND $turn_row = value >> {KEY_BITS}",
            [turns[first : first + _READ_AT_ONCE]],
        )
        texts.update((whole(turn), str(text)) for turn, text in rows)
    return texts


def _names(connection: Connection, rows: Iterable[int]) -> Names:
    """The names of the contacts of these conversations."""
    sql = "SELECT DISTINCT text FROM $result_values WHERE path $in_list AND kind = 'text' AND row_id $in_list"
    return names_of(str(row[0]) for row in connection.rows(sql, [_NAME_FIELDS, sorted(rows)]))
