"""How many turns and conversations say a word, counted when they are saved: nothing counts a common word fast enough.

Words are counted by their stem, as they are searched. Each save adds one row with its changes, not one for each word:
an object in JSON with a text of six numbers for each stem. Sixteen rows of a level become one of the next level, so
there are never many to add up.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Protocol

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms, Parameter, StoredTurn, Value
from formant_mcp.store.rows import whole
from formant_mcp.store.turn_keys import row_of
from formant_mcp.text_search.query import Expression
from formant_mcp.text_search.tokenizer import divided, stem

TABLE = "word_counts"
MERGED = 16
"""Rows of a level that become one of the next."""
_ANALYZED_FROM = 2  # level: a row of it has the changes of 256 saves
_LONGEST_WORD = 64  # characters; longer ones are not counted
_COUNTED_AT_ONCE = 20_000  # turns, whose words are in memory
_NOTHING = "0 0 0 0 0 0"
_TYPES = {"level": "smallint", "number": "bigint", "counts": "jsonb"}

Counts = dict[str, str]
"""Six numbers of each stem: turns where the agent says it, the contact, anybody else; conversations where the agent
says it, the contact, anybody."""
Said = tuple[int, str, Iterable[str]]
"""A conversation's row, who spoke, and the words of a turn."""


class Table(Protocol):
    """What counting needs of a connection in a transaction that writes."""

    def rows(self, template: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        ...

    def delete(self, table: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Deletes what meets the condition, once for each row of parameters."""
        ...

    def insert_columns(self, table: str, types: Mapping[str, str], *columns: Sequence[Value]) -> None:
        """Inserts the rows of these columns."""
        ...


class Uncounted:
    """The turns that a transaction has saved and deleted. They are counted at its end, while the database works."""

    def __init__(self) -> None:
        self._saved, self._deleted = list[list[Said]](), list[list[Said]]()
        self._turns = 0

    @property
    def are_many(self) -> bool:
        """Whether they should be counted before the transaction ends."""
        return self._turns > _COUNTED_AT_ONCE

    def add(self, turns: Sequence[StoredTurn], words: Sequence[Sequence[str]], *, are_deleted: bool = False) -> None:
        """Adds whole transcripts, and the words of each turn."""
        said: list[Said] = [(row_of(turn[0]), turn[1], spoken) for turn, spoken in zip(turns, words, strict=True)]
        (self._deleted if are_deleted else self._saved).append(said)
        self._turns += len(said)

    def take(self) -> Counts:
        """How they change the counts; then there are none left."""
        counts = [count(said, sign) for said, sign in ((self._saved, 1), (self._deleted, -1)) if said]
        self._saved, self._deleted, self._turns = [], [], 0
        return counts[0] if len(counts) == 1 else merged(counts)


class _Stems(dict[str, str]):
    """The stems of words, each computed once."""

    def __missing__(self, word: str) -> str:
        self[word] = result = stem(word) if len(word) <= _LONGEST_WORD else ""
        return result


def count(transcripts: Iterable[Iterable[Said]], sign: int = 1) -> Counts:
    """The numbers of these turns, each time all that a conversation has; `sign`: -1 if they are deleted."""
    stem_of, places = _Stems(), {"agent": 0, "contact": 1}
    in_turns, in_conversations = ([list[str]() for _ in range(3)] for _ in range(2))
    for turns in transcripts:
        rows = defaultdict[int, tuple[set[str], ...]](lambda: (set(), set(), set()))
        for row, role, words in turns:
            place, stems = places.get(role, 2), set(map(stem_of.__getitem__, words))
            in_turns[place].extend(stems)
            rows[row][place].update(stems)
        for agent, contact, other in rows.values():
            for place, stems in enumerate((agent, contact, agent | contact | other)):
                in_conversations[place].extend(stems)
    counters = [Counter(stems) for stems in (*in_turns, *in_conversations)]
    said = [text for text in counters[-1] if text]
    columns = (map(counter.get, said, repeat(0)) for counter in counters)
    return dict(zip(said, map(_to_text, zip(*columns, strict=True), repeat(sign)), strict=True))


@lru_cache(4096)  # many words are said once
def _to_text(numbers: tuple[int, ...], sign: int) -> str:
    return " ".join([str(sign * number) for number in numbers])


def merged(rows: Iterable[Counts]) -> Counts:
    """The sums of rows, without stems that nobody says any more."""
    sums = defaultdict[str, list[str]](list)
    for row in rows:
        for said, numbers in row.items():
            sums[said].append(numbers)
    added = {said: " ".join(map(str, _sum(numbers))) for said, numbers in sums.items()}
    return {said: numbers for said, numbers in added.items() if numbers != _NOTHING}


def _sum(texts: Iterable[str]) -> list[int]:
    return [sum(map(int, column)) for column in zip(*(text.split() for text in texts), strict=True)]


def save(table: Table, counts: Counts) -> bool:
    """Adds a row, and merges levels that are full; returns whether that shows that the account has doubled."""
    rows = table.rows("SELECT level, count(*), max(number) FROM $word_counts GROUP BY 1") if counts else []
    levels = {whole(level): (whole(size), whole(last)) for level, size, last in rows}
    level = 0
    while counts:
        size, last = levels.get(level, (0, 0))
        if size < MERGED:
            insert(table, level, last + 1, counts)
            return level >= max([_ANALYZED_FROM, *levels]) and (last + 1).bit_count() == 1
        full = table.rows("SELECT counts::text FROM $word_counts WHERE level = ?", [level])
        table.delete(TABLE, "level = ?", [(level,)])
        counts = merged([counts, *(json.loads(str(row[0])) for row in full)])
        level += 1
    return False


def drop_unsaid(table: Table) -> None:
    """Merges all rows into one, without words that nobody says any more."""
    rows = table.rows("SELECT level, counts::text FROM $word_counts")
    counts = merged(json.loads(str(row[1])) for row in rows)
    table.delete(TABLE, "true", [()])
    if counts:
        insert(table, max(whole(row[0]) for row in rows), 1, counts)


def insert(table: Table, level: int, number: int, counts: Counts) -> None:
    """Adds a row to a level."""
    table.insert_columns(TABLE, _TYPES, [level], [number], [json.dumps(counts, ensure_ascii=False)])


def common_stem(expression: Expression, forms: Forms) -> tuple[str, set[str]]:
    """The stem of all words that match an expression, and these words; '' if it has no such stem, or more than words.

    Its numbers are those of the expression if the account has no other words of that stem.
    """
    if len(expression.all_of) != 1 or expression.none_of:
        return "", set()
    words = {form for term in expression.all_of[0] for form in forms(term)}
    is_counted = all(
        len(divided(word)) == 1 and len(word) <= _LONGEST_WORD and not word.endswith("*") for word in words
    )
    stems = set(map(stem, words)) if is_counted else set[str]()
    return (stems.pop(), words) if len(stems) == 1 else ("", set())


def hits(texts: Iterable[str], role: Role) -> tuple[int, int]:
    """How many turns of that role say a stem, in how many conversations; `texts`: its numbers in each row."""
    agent, contact, other, by_agent, by_contact, by_anybody = _sum([_NOTHING, *texts])
    match role:
        case "agent":
            return agent, by_agent
        case "contact":
            return contact, by_contact
        case "any":
            return agent + contact + other, by_anybody
