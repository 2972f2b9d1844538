"""Full text search: which turns say what is asked, in which conversations, best first."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import NamedTuple

from formant_mcp.filters import Filters, Role
from formant_mcp.store.connection import Database
from formant_mcp.store.filter_sql import Where, where
from formant_mcp.store.rows import whole
from formant_mcp.store.turn_keys import MAX_TURNS, ROW_OF, row_of, turn_key
from formant_mcp.text_search.query import Expression, Term, has_prefix_term, to_fts5
from formant_mcp.text_search.suggestions import candidates_for, most_similar, prefixes_of
from formant_mcp.text_search.tokenizer import divided, stem

_RANKED = 20_000  # so many hits are ranked; of more, the newest tell as much
_PROBED = 300  # so many of the newest conversations are looked into one by one first
_ALL = Filters()
_STARTED = "coalesce(started_at, -1e18)"  # a call without a time comes last


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """What is searched for: what was said, by whom, in which conversations."""

    expression: Expression
    role: Role
    filters: Filters


class MatchedConversation(NamedTuple):
    """A conversation with hits: its row, its id, and the turns (their indexes, best first)."""

    row: int
    conversation_id: str
    turns: tuple[int, ...]


class MatchPage(NamedTuple):
    """How many hits in how many conversations, and some of these in order."""

    hits: int
    conversations: int
    page: tuple[MatchedConversation, ...]


class _Hits(NamedTuple):
    """How many hits a conversation has, and when it started, as it is sorted by."""

    row: int
    hits: int
    started_at: float


class _Place(NamedTuple):
    """Where a conversation stands: the greater, the further in front."""

    score: int
    started_at: float
    row: int


@dataclass(frozen=True, slots=True)
class _Scores:
    """How many of the alternatives are said: in each turn, by its key, and in each conversation, by its row."""

    of_turns: Counter[int] = field(default_factory=Counter[int])
    of_rows: Counter[int] = field(default_factory=Counter[int])


class Search:
    """Finds turns by what is said in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, sought: StoreSearch, count: int, after: int = 0) -> MatchPage:
        """The first `count` conversations with hits, or the first after row `after`.

        First come those that say more of the alternatives (`a OR b`), then the newest; among more than 20,000 hits the
        newest alone. Within a conversation likewise: more alternatives, then the order of turns.

        Raises:
            LookupError: row `after` is no longer there, or no longer a hit's.
        """
        match = self._match(sought)
        if sought.filters == _ALL:
            hits, conversations = self._count(match)
            if hits > _RANKED:
                return MatchPage(hits, conversations, self._page(match, self._newest(match, count, after), _Scores()))
        found = self._conversations(match, sought.filters)
        hits = sum(each.hits for each in found)
        scores = self._scores(sought, [each.row for each in found]) if hits <= _RANKED else _Scores()
        places = (_Place(scores.of_rows[each.row], each.started_at, each.row) for each in found)
        if after:
            last = _Place(scores.of_rows[after], self._started_at(after), after)
            if scores.of_rows and not last.score:
                raise LookupError(after)
            places = (place for place in places if place < last)
        rows = [place.row for place in nlargest(count, places)]
        return MatchPage(hits, len(found), self._page(match, rows, scores))

    def forms(self, term: Term) -> set[str]:
        """What a term is found as: itself; a `word` also as every word, or words that are joined, of the same stem."""
        as_it_is = " ".join(term.words)
        if term.kind != "word":
            return {as_it_is}
        rows = self._database.rows("SELECT word FROM words WHERE stem = ?", [stem("".join(term.words))])
        return {as_it_is, *(str(row[0]) for row in rows)}

    def is_said(self, term: Term, role: Role = "any", filters: Filters = _ALL) -> bool:
        """Whether it is said by that role in any conversation that matches."""
        return self.has_hits(StoreSearch(Expression(((term,),)), role, filters))

    def has_hits(self, sought: StoreSearch) -> bool:
        """Whether `find` finds anything; quicker, for it stops at the first hit."""
        match = self._match(sought)
        if sought.filters == _ALL:
            return bool(self._database.rows("SELECT 1 FROM spoken WHERE spoken MATCH ? LIMIT 1", [match]))
        condition = where(sought.filters)
        sql = (
            f"SELECT 1 FROM (SELECT {ROW_OF} AS found FROM spoken WHERE spoken MATCH ?)"
            f" CROSS JOIN conversations ON row_id = found WHERE {condition.sql} LIMIT 1"
        )
        return bool(self._database.rows(sql, [match, *condition.values]))

    def similar(self, term: Term) -> Iterator[str]:
        """The words of all conversations that are spelled most like it; some may no longer be said."""
        return iter(most_similar("".join(term.words), self._alike("".join(term.words))))

    def longer(self, term: Term) -> Iterator[str]:
        """The words of all conversations that begin like it (`prefixes_of`) and go on, the shortest first."""
        forms = self.forms(term)
        begins = prefixes_of("".join(term.words))
        words = {word for begin in begins for word in self._words_from(begin) if word not in forms}
        return iter(sorted(words, key=lambda word: (len(word), word)))

    def count_transcripts(self, filters: Filters) -> int:
        """How many of the conversations that match have a transcript with turns."""
        asked = where(filters)
        asked.add("turn_count > 0")
        return whole(
            self._database.rows(
                f"SELECT count(*) FROM conversations INDEXED BY conversations_spoken WHERE {asked.sql}", asked.values
            )[0][0]
        )

    def _match(self, sought: StoreSearch) -> str:
        return to_fts5(sought.expression, sought.role, self.forms)

    def _count(self, match: str) -> tuple[int, int]:
        sql = f"SELECT count(*), count(DISTINCT {ROW_OF}) FROM spoken WHERE spoken MATCH ?"
        hits, conversations = self._database.rows(sql, [match])[0]
        return whole(hits), whole(conversations)

    def _conversations(self, match: str, filters: Filters) -> list[_Hits]:
        # From the hits to their conversations, never the other way: few hits are then quick whatever the filters are.
        # A period alone goes first, for an index has what was said in it.
        asked = where(filters)
        period = where(Filters(since=filters.since, until=filters.until))
        within = (
            f"AND {ROW_OF} IN (SELECT row_id FROM conversations INDEXED BY conversations_spoken"
            f" WHERE turn_count > 0 AND {period.sql})"
        )
        rows = self._database.rows(
            f"SELECT row_id, hits, {_STARTED} FROM (SELECT {ROW_OF} AS found, count(*) AS hits FROM spoken"
            f" WHERE spoken MATCH ? {within if period.parts else ''} GROUP BY 1)"
            f" CROSS JOIN conversations ON row_id = found WHERE {asked.sql}",
            [match, *period.values, *asked.values],
        )
        return [_Hits(whole(row), whole(hits), float(started_at or 0)) for row, hits, started_at in rows]

    def _scores(self, sought: StoreSearch, rows: list[int]) -> _Scores:
        scores = _Scores()
        wanted = sought.expression.all_of
        for term in {term for terms in wanted if len(terms) > 1 for term in terms}:
            narrowed = replace(sought.expression, all_of=(*wanted, (term,)))
            keys = self._keys(self._match(replace(sought, expression=narrowed)), rows)
            scores.of_turns.update(keys)
            scores.of_rows.update({row_of(key) for key in keys})
        return scores

    def _newest(self, match: str, count: int, after: int) -> list[int]:
        """For many hits: newest first, looking whether a conversation is among them."""
        asked = Where(["turn_count > 0"])
        if after:
            asked.add(f"({_STARTED}, row_id) < (?, ?)", self._started_at(after), after)
        sql = f"SELECT row_id FROM conversations WHERE {asked.sql} ORDER BY started_at DESC, row_id DESC LIMIT ?"
        if not has_prefix_term(match):
            some: list[int] = []
            for row in self._database.rows(sql, [*asked.values, _PROBED]):
                some += {row_of(key) for key in self._keys(match, [whole(row[0])])}
                if len(some) == count:
                    return some
        said = self._database.rows(f"SELECT DISTINCT {ROW_OF} FROM spoken WHERE spoken MATCH ?", [match])
        members = {row[0] for row in said}
        rows = self._database.rows(sql, [*asked.values, -1])
        return [whole(row[0]) for row in rows if row[0] in members][:count]

    def _started_at(self, row: int) -> float:
        """As it is sorted by."""
        found = self._database.rows(f"SELECT {_STARTED} FROM conversations WHERE row_id = ?", [row])
        if not found:
            raise LookupError(row)
        return float(found[0][0] or 0)

    def _page(self, match: str, rows: list[int], scores: _Scores) -> tuple[MatchedConversation, ...]:
        keys: dict[int, list[int]] = defaultdict(list)
        for key in self._keys(match, rows):
            keys[row_of(key)].append(key)
        found = self._database.rows(
            "SELECT row_id, conversation_id FROM conversations WHERE row_id IN (SELECT value FROM json_each(?))",
            [json.dumps(rows)],
        )
        names = {whole(row): str(name) for row, name in found}
        return tuple(
            MatchedConversation(
                row,
                names[row],
                tuple(
                    key - turn_key(row, 0) for key in sorted(keys[row], key=lambda key: (-scores.of_turns[key], key))
                ),
            )
            for row in rows
            if row in names
        )

    def _keys(self, match: str, rows: list[int]) -> list[int]:
        """The keys of the turns with hits in these rows."""
        sql = "SELECT rowid FROM spoken WHERE spoken MATCH ?"
        if has_prefix_term(match) or len(rows) > _PROBED:
            found = self._database.rows(
                f"{sql} AND {ROW_OF} IN (SELECT value FROM json_each(?))", [match, json.dumps(rows)]
            )
        else:
            found = [
                key
                for row in rows
                for key in self._database.rows(
                    f"{sql} AND rowid >= ? AND rowid < ?", [match, turn_key(row, 0), turn_key(row, MAX_TURNS)]
                )
            ]
        return [whole(key[0]) for key in found]

    def _alike(self, word: str) -> set[str]:
        near = candidates_for(word)
        rows = self._database.rows(
            "SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))", [json.dumps(near.spellings)]
        )
        return {*(str(row[0]) for row in rows), *self._words_from(near.prefix)} - {word}

    def _words_from(self, beginning: str) -> list[str]:
        """Single words that begin so, 1,000 at most."""
        rows = self._database.rows(
            "SELECT word FROM words WHERE word >= ? AND word < ? LIMIT 1000", [beginning, beginning + "\U0010ffff"]
        )
        return [str(row[0]) for row in rows if len(divided(str(row[0]))) == 1]
