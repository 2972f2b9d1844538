"""Full-text search: which turns match a query, in which conversations, best first."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from formant_mcp.filters import NONE, Filters, Role, is_whole
from formant_mcp.models import Conversation
from formant_mcp.store.engine import Connection, OnDatabase, Value, on_reader, one_query
from formant_mcp.store.filter_sql import Where, where
from formant_mcp.store.rows import READ, whole, with_results
from formant_mcp.store.turn_keys import row_of, turn_key
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.suggestions import candidates_for, most_similar, prefixes_of
from formant_mcp.text_search.tokenizer import divided, stem

_MAX_RANKED = 20_000  # more hits are not ranked: only the newest conversations are returned
_MANY = 5_000  # from this many hits on, an index narrows them before their conversations are read
_PROBED = 300  # how many of the newest conversations are searched first, one by one
_PROBED_AT_ONCE = 30
_NO_LIMIT = 1 << 62
_ALL = Filters()
_ANY_HIT = "SELECT 1 FROM $hits WHERE $is_hit LIMIT 1"
_STARTED = "coalesce(started_at, -1000000000000000000)"  # a call without a time comes last


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """What to search: which words, said by whom, in which conversations."""

    expression: Expression
    role: Role
    filters: Filters


class MatchedConversation(NamedTuple):
    """A conversation with hits, its row, and the indexes of the turns, best first."""

    row: int
    conversation: Conversation
    turns: tuple[int, ...]


class MatchPage(NamedTuple):
    """How many hits in how many conversations, and a page of these.

    `forms`: the word forms that match each term. `alternatives`: those of `a OR b` with hits, unless there were too
    many hits to rank.
    """

    hits: int
    conversations: int
    page: tuple[MatchedConversation, ...]
    forms: Mapping[Term, Set[str]]
    alternatives: Set[Term] = frozenset()


class _Hits(NamedTuple):
    """How many hits a conversation has, and its start as a sort key."""

    row: int
    hits: int
    started_at: float


class _Rank(NamedTuple):
    """The sort key of a conversation, the greatest first."""

    score: int
    started_at: float
    row: int


@dataclass(frozen=True, slots=True)
class _Scores:
    """How many alternatives match in each turn, by its key, and in each conversation, by its row; and which ones."""

    of_turns: Counter[int] = field(default_factory=Counter[int])
    of_rows: Counter[int] = field(default_factory=Counter[int])
    alternatives: set[Term] = field(default_factory=set[Term])


class Search(OnDatabase):
    """Searches the words of turns."""

    @on_reader
    def find(self, connection: Connection, query: StoreSearch, count: int, after: int = 0) -> MatchPage:
        """The first `count` conversations with hits, or the first after row `after`.

        Those that match most alternatives of `a OR b` come first, then the newest; with more than 20,000 hits only the
        newest count. The turns of a conversation likewise: most alternatives first, then in order.

        Raises:
            LookupError: row `after` no longer exists, or no longer has hits.
        """
        forms = self._forms(connection, query.expression)
        match = connection.match(query.expression, query.role, forms.__getitem__)
        if query.filters == _ALL:
            hits, conversation_count = connection.counted(
                query.expression, query.role, forms.__getitem__
            ) or self._count(connection, match)
            if hits > _MAX_RANKED:
                rows = self._newest(connection, match, count, after)
                return MatchPage(hits, conversation_count, self._page(connection, match, rows, _Scores()), forms)
        conversations = self._conversations(connection, match, query.filters)
        hits = sum(conversation.hits for conversation in conversations)
        scores = _Scores()
        if hits <= _MAX_RANKED:
            scores = self._scores(connection, query, forms, [conversation.row for conversation in conversations])
        ranks = (_Rank(scores.of_rows[row], started_at, row) for row, _, started_at in conversations)
        if after:
            last = _Rank(scores.of_rows[after], self._started_at(connection, after), after)
            if scores.of_rows and not last.score:
                raise LookupError(after)
            ranks = (rank for rank in ranks if rank < last)
        rows = [rank.row for rank in nlargest(count, ranks)]
        page = self._page(connection, match, rows, scores)
        return MatchPage(hits, len(conversations), page, forms, frozenset(scores.alternatives))

    async def occurs(self, term: Term, role: Role = "any", filters: Filters = _ALL) -> bool:
        """Whether that role says the term in any matching conversation."""
        return await self.has_hits(StoreSearch(Expression(((term,),)), role, filters))

    @on_reader
    def has_hits(self, connection: Connection, query: StoreSearch) -> bool:
        """Whether there is any hit; faster than `find`, as it stops at the first."""
        forms = self._forms(connection, query.expression)
        match = connection.match(query.expression, query.role, forms.__getitem__)
        if query.filters == _ALL:
            return bool(connection.rows(_ANY_HIT, [match]))
        clause = where(query.filters)
        sql = (
            f"SELECT 1 FROM (SELECT $hit_row AS hit_row FROM $hits WHERE $is_hit) AS found"
            f" $join $conversations ON row_id = hit_row WHERE {clause.sql} LIMIT 1"
        )
        return bool(connection.rows(sql, [match, *clause.values]))

    @on_reader
    def similar(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that are spelled most like the term; some may no longer occur."""
        word = "".join(term.words)
        return most_similar(word, self._similar_words(connection, word))

    @on_reader
    def longer(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that continue a prefix of the term (`prefixes_of`), shortest first."""
        forms = self._forms(connection, Expression(((term,),)))[term]
        prefixes = prefixes_of("".join(term.words))
        words = {word for prefix in prefixes for word in self._words_with_prefix(connection, prefix)} - forms
        return sorted(words, key=lambda word: (len(word), word))

    @one_query
    def count_transcripts(self, connection: Connection, filters: Filters) -> int:
        """How many matching conversations have a transcript with turns."""
        clause = where(filters)
        clause.add("turn_count > 0")
        return whole(
            connection.rows(
                f"SELECT count(*) FROM $conversations $by_transcript WHERE {clause.sql}",
                clause.values,
            )[0][0]
        )

    def _forms(self, connection: Connection, expression: Expression) -> dict[Term, set[str]]:
        """The forms that match each term: itself; for a `word` also all words, or joined words, with the same stem."""
        terms = [*(term for terms in expression.all_of for term in terms), *expression.none_of]
        stems = {term: stem("".join(term.words)) for term in terms if term.kind == "word"}
        words: dict[str, set[str]] = defaultdict(set)
        distinct_stems = sorted(set(stems.values()))
        sql = "SELECT stem, word FROM $words WHERE stem $in_list"
        for stem_of, word in connection.rows(sql, [distinct_stems]) if stems else ():
            words[str(stem_of)].add(str(word))
        return {term: {" ".join(term.words)} | (words[stems[term]] if term in stems else set()) for term in terms}

    def _count(self, connection: Connection, match: str) -> tuple[int, int]:
        sql = "SELECT count(*), count(DISTINCT $hit_row) FROM $hits WHERE $is_hit"
        hits, conversations = connection.rows(sql, [match])[0]
        return whole(hits), whole(conversations)

    def _conversations(self, connection: Connection, match: str, filters: Filters) -> list[_Hits]:
        # Start from the hits and join conversations, so a rare word is fast under any filter. Many hits are narrowed
        # first, by an index on the period or the agent.
        clause, within = where(filters), _within(filters)
        narrow, values = (
            (f"AND ($if_many {within.sql})", [_MANY, match, _MANY, *within.values]) if within.parts else ("", [])
        )
        rows = connection.rows(
            f"SELECT row_id, hits, {_STARTED} FROM (SELECT $hit_row AS hit_row, count(*) AS hits FROM $hits"
            f" WHERE $is_hit {narrow} GROUP BY 1) AS found"
            f" $join $conversations ON row_id = hit_row WHERE {clause.sql}",
            [match, *values, *clause.values],
        )
        return [_Hits(whole(row), whole(hits), float(started_at or 0)) for row, hits, started_at in rows]

    def _scores(
        self, connection: Connection, query: StoreSearch, forms: Mapping[Term, Set[str]], rows: list[int]
    ) -> _Scores:
        scores = _Scores()
        all_of = query.expression.all_of
        alternatives = list(dict.fromkeys(term for terms in all_of if len(terms) > 1 for term in terms))
        matches = [
            connection.match(replace(query.expression, all_of=(*all_of, (term,))), query.role, forms.__getitem__)
            for term in alternatives
        ]
        for term, keys in zip(alternatives, self._keys(connection, matches, rows), strict=True):
            if keys:
                scores.alternatives.add(term)
            scores.of_turns.update(keys)
            scores.of_rows.update({row_of(key) for key in keys})
        return scores

    def _newest(self, connection: Connection, match: str, count: int, after: int) -> list[int]:
        """For many hits: the newest conversations, those with hits among them."""
        clause = Where(["turn_count > 0"])
        if after:
            clause.add(f"({_STARTED}, row_id) < (?, ?)", self._started_at(connection, after), after)
        newest_first = "ORDER BY started_at DESC NULLS LAST, row_id DESC LIMIT ?"
        sql = f"SELECT row_id FROM $conversations WHERE {clause.sql} {newest_first}"
        if not _has_prefix(match):
            rows: list[int] = []
            newest = [whole(row[0]) for row in connection.rows(sql, [*clause.values, _PROBED])]
            for first in range(0, len(newest), _PROBED_AT_ONCE):
                probed = newest[first : first + _PROBED_AT_ONCE]
                with_hits = {row_of(key) for keys in self._keys(connection, [match], probed) for key in keys}
                rows += [row for row in probed if row in with_hits]
                if len(rows) >= count:
                    return rows[:count]
        hits = connection.rows("SELECT DISTINCT $hit_row FROM $hits WHERE $is_hit", [match])
        rows_with_hits = {row[0] for row in hits}
        ordered = connection.rows(sql, [*clause.values, _NO_LIMIT])
        return [whole(row[0]) for row in ordered if row[0] in rows_with_hits][:count]

    def _started_at(self, connection: Connection, row: int) -> float:
        """The start of a conversation as a sort key."""
        rows = connection.rows(f"SELECT {_STARTED} FROM $conversations WHERE row_id = ?", [row])
        if not rows:
            raise LookupError(row)
        return float(rows[0][0] or 0)

    def _page(
        self, connection: Connection, match: str, rows: list[int], scores: _Scores
    ) -> tuple[MatchedConversation, ...]:
        # If turns have scores, they are all hits, as every hit matches at least one alternative.
        hits = list(scores.of_turns) or self._keys(connection, [match], rows)[0]
        keys: dict[int, list[int]] = {row: [] for row in rows}
        for key in hits:
            if (row := row_of(key)) in keys:
                keys[row].append(key)
        selected = connection.rows(
            f"SELECT row_id, results, {READ} FROM $conversations WHERE row_id $in_list",
            [rows],
        )
        conversations = {whole(row): with_results(results, columns) for row, results, *columns in selected}
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
        """For each of the matches, the keys of the turns with hits in these rows; in one statement."""
        if not matches:
            return []
        if any(map(_has_prefix, matches)) or len(rows) > _PROBED:
            source = "$hits WHERE $is_hit AND $hit_row IN (SELECT value FROM selected)"
        else:  # a range of the index for each row
            source = "selected $join $hits ON $hit_in_value WHERE $is_hit"
        parts = (f"SELECT {number}, $hit_turn FROM {source}" for number in range(len(matches)))
        keys: list[list[int]] = [[] for _ in matches]
        for number, key in connection.rows(
            "WITH selected AS MATERIALIZED (SELECT value FROM $each_number) " + " UNION ALL ".join(parts),
            [rows, *matches],
        ):
            keys[whole(number)].append(whole(key))
        return keys

    def _similar_words(self, connection: Connection, word: str) -> set[str]:
        candidates = candidates_for(word)
        rows = connection.rows("SELECT word FROM $words WHERE word $in_list", [list(candidates.spellings)])
        spelled = self._existing(connection, rows)
        return {*spelled, *self._words_with_prefix(connection, candidates.prefix)} - {word}

    def _words_with_prefix(self, connection: Connection, prefix: str) -> list[str]:
        """Single words with that prefix, at most 1,000."""
        rows = connection.rows(
            f"SELECT word FROM $words WHERE word >= ? AND word < ?{'' if self.visible_agents else ' LIMIT 1000'}",
            [prefix, prefix + "\U0010ffff"],
        )
        return [word for word in islice(self._existing(connection, rows), 1000) if len(divided(word)) == 1]

    def _existing(self, connection: Connection, rows: Iterable[Sequence[Value]]) -> Iterator[str]:
        """Those of the account's words that exist for this reader: all, or those that occur where they may see them."""
        for word in (str(row[0]) for row in rows):
            said = Expression(((Term((word,), "phrase"),),))
            match = connection.match(said, "any", lambda term: term.words) if self.visible_agents else ""
            if not self.visible_agents or connection.rows(_ANY_HIT, [match]):
                yield word


def _within(filters: Filters) -> Where:
    """The hits of an agent or a period, as far as one index has them; nothing if the filters have neither."""
    narrowed = Where()
    period = Filters(since=filters.since, until=filters.until)
    if filters.agent_id not in ("", NONE) and is_whole(filters.agent_id):
        clause, index = where(replace(period, agent_id=filters.agent_id)), "$by_agent"
    else:
        clause, index = where(period), "$by_transcript"
    if clause.parts:
        if index == "$by_transcript":
            clause.add("turn_count > 0")
        rows = f"SELECT row_id FROM $conversations {index} WHERE {clause.sql}"
        narrowed.add(f"$hit_row IN ({rows})", *clause.values)
    return narrowed


def _has_prefix(match: str) -> bool:
    """Whether a query has a prefix term, which an index expands each time."""
    return "*" in match
