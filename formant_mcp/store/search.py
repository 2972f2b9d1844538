"""Full text search: which turns say what is asked, in which conversations, best first."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import NamedTuple

from formant_mcp.filters import NONE, Filters, Role, is_whole
from formant_mcp.models import Conversation
from formant_mcp.store.connection import Connection
from formant_mcp.store.database import OnDatabase, on_reader
from formant_mcp.store.filter_sql import Where, where
from formant_mcp.store.rows import READ, whole, with_results
from formant_mcp.store.turn_index import KEY_BITS, ROW_OF, has_prefix_term, row_of, to_fts5, turn_key
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.suggestions import candidates_for, most_similar, prefixes_of
from formant_mcp.text_search.tokenizer import divided, stem

_RANKED = 20_000  # so many hits are ranked; of more, the newest tell as much
_MANY = 5_000  # from so many hits on, filters narrow them before their conversations are read
_PROBED = 300  # so many of the newest conversations are searched first, by themselves
_PROBED_AT_ONCE = 30
_ALL = Filters()
_STARTED = "coalesce(started_at, -1e18)"  # a call without a time comes last


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """What is searched for: what was said, by whom, in which conversations."""

    expression: Expression
    role: Role
    filters: Filters


class MatchedConversation(NamedTuple):
    """A conversation with hits, its row, and the turns (their indexes, best first)."""

    row: int
    conversation: Conversation
    turns: tuple[int, ...]


class MatchPage(NamedTuple):
    """How many hits in how many conversations, and some of these in order.

    `forms`: what the terms are found as. `alternatives`: those of `a OR b` that these hits say, as far as that was
    counted.
    """

    hits: int
    conversations: int
    page: tuple[MatchedConversation, ...]
    forms: Mapping[Term, Set[str]]
    alternatives: Set[Term] = frozenset()


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
    """How many alternatives each turn says, by its key, and each conversation, by its row; and which are said."""

    of_turns: Counter[int] = field(default_factory=Counter[int])
    of_rows: Counter[int] = field(default_factory=Counter[int])
    said: set[Term] = field(default_factory=set[Term])


class Search(OnDatabase):
    """Finds turns by what is said in them."""

    @on_reader
    def find(self, connection: Connection, sought: StoreSearch, count: int, after: int = 0) -> MatchPage:
        """The first `count` conversations with hits, or the first after row `after`.

        First come those that say more of the alternatives (`a OR b`), then the newest; among more than 20,000 hits the
        newest alone. Within a conversation likewise: more alternatives, then the order of turns.

        Raises:
            LookupError: row `after` is no longer there, or no longer a hit's.
        """
        forms = self._forms(connection, sought.expression)
        match = to_fts5(sought.expression, sought.role, forms.__getitem__)
        if sought.filters == _ALL:
            hits, conversations = self._count(connection, match)
            if hits > _RANKED:
                rows = self._newest(connection, match, count, after)
                return MatchPage(hits, conversations, self._page(connection, match, rows, _Scores()), forms)
        found = self._conversations(connection, match, sought.filters)
        hits = sum(each.hits for each in found)
        scores = _Scores()
        if hits <= _RANKED:
            scores = self._scores(connection, sought, forms, [each.row for each in found])
        places = (_Place(scores.of_rows[each.row], each.started_at, each.row) for each in found)
        if after:
            last = _Place(scores.of_rows[after], self._started_at(connection, after), after)
            if scores.of_rows and not last.score:
                raise LookupError(after)
            places = (place for place in places if place < last)
        rows = [place.row for place in nlargest(count, places)]
        page = self._page(connection, match, rows, scores)
        return MatchPage(hits, len(found), page, forms, frozenset(scores.said))

    async def is_said(self, term: Term, role: Role = "any", filters: Filters = _ALL) -> bool:
        """Whether it is said by that role in any conversation that matches."""
        return await self.has_hits(StoreSearch(Expression(((term,),)), role, filters))

    @on_reader
    def has_hits(self, connection: Connection, sought: StoreSearch) -> bool:
        """Whether `find` finds anything; quicker, for it stops at the first hit."""
        forms = self._forms(connection, sought.expression)
        match = to_fts5(sought.expression, sought.role, forms.__getitem__)
        if sought.filters == _ALL:
            return bool(connection.rows("SELECT 1 FROM spoken WHERE spoken MATCH ? LIMIT 1", [match]))
        condition = where(sought.filters)
        sql = (
            f"SELECT 1 FROM (SELECT {ROW_OF} AS found FROM spoken WHERE spoken MATCH ?)"
            f" CROSS JOIN conversations ON row_id = found WHERE {condition.sql} LIMIT 1"
        )
        return bool(connection.rows(sql, [match, *condition.values]))

    @on_reader
    def similar(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that are spelled most like it; some may no longer be said."""
        return most_similar("".join(term.words), self._alike(connection, "".join(term.words)))

    @on_reader
    def longer(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that begin like it (`prefixes_of`) and go on, the shortest first."""
        forms = self._forms(connection, Expression(((term,),)))[term]
        begins = prefixes_of("".join(term.words))
        words = {word for begin in begins for word in self._words_from(connection, begin) if word not in forms}
        return sorted(words, key=lambda word: (len(word), word))

    @on_reader
    def count_transcripts(self, connection: Connection, filters: Filters) -> int:
        """How many of the conversations that match have a transcript with turns."""
        asked = where(filters)
        asked.add("turn_count > 0")
        return whole(
            connection.rows(
                f"SELECT count(*) FROM conversations INDEXED BY conversations_spoken WHERE {asked.sql}", asked.values
            )[0][0]
        )

    def _forms(self, connection: Connection, expression: Expression) -> dict[Term, set[str]]:
        """What each term is found as: itself; a `word` also as every word, or joined words, of the same stem."""
        terms = [*(term for terms in expression.all_of for term in terms), *expression.none_of]
        stems = {term: stem("".join(term.words)) for term in terms if term.kind == "word"}
        words: dict[str, set[str]] = defaultdict(set)
        wanted = json.dumps(sorted(set(stems.values())))
        sql = "SELECT stem, word FROM words WHERE stem IN (SELECT value FROM json_each(?))"
        for stem_of, word in connection.rows(sql, [wanted]) if stems else ():
            words[str(stem_of)].add(str(word))
        return {term: {" ".join(term.words)} | (words[stems[term]] if term in stems else set()) for term in terms}

    def _count(self, connection: Connection, match: str) -> tuple[int, int]:
        sql = f"SELECT count(*), count(DISTINCT {ROW_OF}) FROM spoken WHERE spoken MATCH ?"
        hits, conversations = connection.rows(sql, [match])[0]
        return whole(hits), whole(conversations)

    def _conversations(self, connection: Connection, match: str, filters: Filters) -> list[_Hits]:
        # From the hits to their conversations, never the other way: few hits are then quick whatever the filters are.
        # Of many, an index leaves those of a period or of an agent, before the rows are read that decide the rest.
        asked, within = where(filters), _within(filters)
        few = f"(SELECT count(*) < {_MANY} FROM (SELECT 1 FROM spoken WHERE spoken MATCH ? LIMIT {_MANY}))"
        narrow, values = (f"AND ({few} OR {within.sql})", [match, *within.values]) if within.parts else ("", [])
        rows = connection.rows(
            f"SELECT row_id, hits, {_STARTED} FROM (SELECT {ROW_OF} AS found, count(*) AS hits FROM spoken"
            f" WHERE spoken MATCH ? {narrow} GROUP BY 1)"
            f" CROSS JOIN conversations ON row_id = found WHERE {asked.sql}",
            [match, *values, *asked.values],
        )
        return [_Hits(whole(row), whole(hits), float(started_at or 0)) for row, hits, started_at in rows]

    def _scores(
        self, connection: Connection, sought: StoreSearch, forms: Mapping[Term, Set[str]], rows: list[int]
    ) -> _Scores:
        scores = _Scores()
        wanted = sought.expression.all_of
        alternatives = list(dict.fromkeys(term for terms in wanted if len(terms) > 1 for term in terms))
        matches = [
            to_fts5(replace(sought.expression, all_of=(*wanted, (term,))), sought.role, forms.__getitem__)
            for term in alternatives
        ]
        for term, keys in zip(alternatives, self._keys(connection, matches, rows), strict=True):
            if keys:
                scores.said.add(term)
            scores.of_turns.update(keys)
            scores.of_rows.update({row_of(key) for key in keys})
        return scores

    def _newest(self, connection: Connection, match: str, count: int, after: int) -> list[int]:
        """For many hits: newest first, looking whether a conversation is among them."""
        asked = Where(["turn_count > 0"])
        if after:
            asked.add(f"({_STARTED}, row_id) < (?, ?)", self._started_at(connection, after), after)
        sql = f"SELECT row_id FROM conversations WHERE {asked.sql} ORDER BY started_at DESC, row_id DESC LIMIT ?"
        if not has_prefix_term(match):
            some: list[int] = []
            newest = [whole(row[0]) for row in connection.rows(sql, [*asked.values, _PROBED])]
            for first in range(0, len(newest), _PROBED_AT_ONCE):
                probed = newest[first : first + _PROBED_AT_ONCE]
                with_hits = {row_of(key) for keys in self._keys(connection, [match], probed) for key in keys}
                some += [row for row in probed if row in with_hits]
                if len(some) >= count:
                    return some[:count]
        said = connection.rows(f"SELECT DISTINCT {ROW_OF} FROM spoken WHERE spoken MATCH ?", [match])
        members = {row[0] for row in said}
        rows = connection.rows(sql, [*asked.values, -1])
        return [whole(row[0]) for row in rows if row[0] in members][:count]

    def _started_at(self, connection: Connection, row: int) -> float:
        """As it is sorted by."""
        found = connection.rows(f"SELECT {_STARTED} FROM conversations WHERE row_id = ?", [row])
        if not found:
            raise LookupError(row)
        return float(found[0][0] or 0)

    def _page(
        self, connection: Connection, match: str, rows: list[int], scores: _Scores
    ) -> tuple[MatchedConversation, ...]:
        # Where turns have scores these are all hits, for each hit says one of the alternatives or more.
        hits = list(scores.of_turns) or self._keys(connection, [match], rows)[0]
        keys: dict[int, list[int]] = {row: [] for row in rows}
        for key in hits:
            if (row := row_of(key)) in keys:
                keys[row].append(key)
        found = connection.rows(
            f"SELECT row_id, results, {READ} FROM conversations WHERE row_id IN (SELECT value FROM json_each(?))",
            [json.dumps(rows)],
        )
        conversations = {whole(row): with_results(results, columns) for row, results, *columns in found}
        return tuple(
            MatchedConversation(
                row,
                conversations[row],
                tuple(
                    key - turn_key(row, 0) for key in sorted(keys[row], key=lambda key: (-scores.of_turns[key], key))
                ),
            )
            for row in rows
            if row in conversations
        )

    def _keys(self, connection: Connection, matches: Sequence[str], rows: list[int]) -> list[list[int]]:
        """For each of the matches the keys of the turns with hits in these rows, in one statement."""
        if not matches:
            return []
        if any(map(has_prefix_term, matches)) or len(rows) > _PROBED:
            source = f"spoken WHERE spoken MATCH ? AND {ROW_OF} IN (SELECT value FROM wanted)"
        else:  # a range of the index for each row
            source = (
                f"wanted CROSS JOIN spoken ON spoken.rowid >= value << {KEY_BITS}"
                f" AND spoken.rowid < (value + 1) << {KEY_BITS} WHERE spoken MATCH ?"
            )
        parts = (f"SELECT {number}, spoken.rowid FROM {source}" for number in range(len(matches)))
        found: list[list[int]] = [[] for _ in matches]
        for number, key in connection.rows(
            "WITH wanted AS MATERIALIZED (SELECT value FROM json_each(?)) " + " UNION ALL ".join(parts),
            [json.dumps(rows), *matches],
        ):
            found[whole(number)].append(whole(key))
        return found

    def _alike(self, connection: Connection, word: str) -> set[str]:
        near = candidates_for(word)
        rows = connection.rows(
            "SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))", [json.dumps(near.spellings)]
        )
        return {*(str(row[0]) for row in rows), *self._words_from(connection, near.prefix)} - {word}

    def _words_from(self, connection: Connection, beginning: str) -> list[str]:
        """Single words that begin so, 1,000 at most."""
        rows = connection.rows(
            "SELECT word FROM words WHERE word >= ? AND word < ? LIMIT 1000", [beginning, beginning + "\U0010ffff"]
        )
        return [str(row[0]) for row in rows if len(divided(str(row[0]))) == 1]


def _within(filters: Filters) -> Where:
    """The hits of a period or of an agent, as far as one index alone tells; nothing where the filters have neither."""
    found = Where()
    period = Filters(since=filters.since, until=filters.until)
    if filters.agent_id not in ("", NONE) and is_whole(filters.agent_id):
        asked, index = where(replace(period, agent_id=filters.agent_id)), "conversations_agent"
    else:
        asked, index = where(period), "conversations_spoken"
    if asked.parts:
        if index == "conversations_spoken":
            asked.add("turn_count > 0")
        rows = f"SELECT row_id FROM conversations INDEXED BY {index} WHERE {asked.sql}"
        found.add(f"{ROW_OF} IN ({rows})", *asked.values)
    return found
