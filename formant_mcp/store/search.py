"""Full-text search: which turns match a query, in which conversations, best first."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import NamedTuple

from formant_mcp.filters import NONE, Filters, Role, is_whole
from formant_mcp.models import Conversation
from formant_mcp.store.engine import Connection, OnDatabase, on_reader, one_query
from formant_mcp.store.filter_sql import NEWEST_FIRST, SORTED, STARTED, Where, where
from formant_mcp.store.rows import READ, whole, with_results
from formant_mcp.store.search_steps import (
    Step,
    StoreSearch,
    by_distance,
    has_frequent_spelling,
    only_by_spelling,
    with_spellings,
)
from formant_mcp.store.ties import first_rows, ids_of
from formant_mcp.store.turn_keys import row_of, turn_key
from formant_mcp.store.vocabulary import Vocabulary, Wording, any_of, said
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.suggestions import most_similar

_MAX_RANKED = 20_000  # more hits are not ranked: only the newest conversations are returned
_MANY = 5_000  # from this many hits on, an index narrows them before their conversations are read
_PROBED = 300  # how many of the newest conversations are searched first, one by one
_PROBED_AT_ONCE = 30
_OF_A_PREFIX = 5  # times as many hits to find as of a word: an index has more to do before the first
_STEP = 1 << 44  # places of a step; rows are smaller
_ALL = Filters()

_Rank = tuple[tuple[float, float], int]
"""How many alternatives a conversation says, its start as a sort key, and its row; the greatest first."""


class MatchedConversation(NamedTuple):
    """A conversation with hits, its row, and the indexes of the turns, best first.

    `step`: 0 if these match exactly; otherwise they match by another spelling, the nearer the lower the step.
    """

    row: int
    conversation: Conversation
    turns: tuple[int, ...]
    step: int = 0

    @property
    def by_spelling(self) -> bool:
        """Whether these match only by another spelling."""
        return self.step > 0

    @property
    def place(self) -> int:
        """Where the next page starts, if this is the last one of a page."""
        return self.step * _STEP + self.row


class Count(NamedTuple):
    """How many hits in how many conversations."""

    hits: int
    conversations: int


class MatchPage(NamedTuple):
    """How many hits in how many conversations, and a page of these.

    `exact`: how many match as they are written; those come first. `forms`: the word forms that match each term.
    `spellings`: the other spellings that were searched. `alternatives`: those of `a OR b` with hits, as far as the page
    shows and there were not too many hits to rank.
    """

    hits: int
    conversations: int
    page: tuple[MatchedConversation, ...]
    exact: Count
    forms: Mapping[Term, Set[str]]
    spellings: Mapping[Term, Mapping[str, int]]
    alternatives: Set[Term] = frozenset()


class _Hits(NamedTuple):
    """How many hits a conversation has, and its start as a sort key."""

    row: int
    hits: int
    started_at: float


class _Matches(NamedTuple):
    """How many hits a step has at most, and of which conversations, if these were read."""

    hits: int
    conversations: list[_Hits] | None = None


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
        """The first `count` conversations with hits, or the first after the place `after`.

        First those with exact hits; then those with hits that match only by another spelling, the nearest first; each
        distance is a step, in which a conversation may come again. Of each, those that match most alternatives of
        `a OR b` come first, then the newest; with more than 20,000 hits only the newest count. The turns of a
        conversation likewise: most alternatives first, then in order.

        Raises:
            LookupError: the conversation at `after` no longer exists, or no longer has hits.
        """
        wording = self._words(connection).wording(query.expression, any_spelling=query.any_spelling)
        exact = Step(query, wording.forms)
        number, row = divmod(after, _STEP)
        steps = [step for step in (exact, *by_distance(exact, wording)) if step.number >= number]
        if not steps:
            raise LookupError(after)
        counted, conversations = self._count(connection, exact)
        total = self._total(connection, exact, wording, counted) if wording.spellings else counted
        page: tuple[MatchedConversation, ...] = ()
        alternatives = set[Term]()
        for step in steps:
            matches = _Matches(total.hits - counted.hits) if step.number else _Matches(counted.hits, conversations)
            last = row if step.number == number else 0
            if len(page) < count and (matches.hits or last):
                some, occurring = self._page_of(connection, step, matches, count - len(page), last)
                page += some
                alternatives |= occurring
        return MatchPage(*total, page, counted, wording.forms, wording.spellings, alternatives)

    def _page_of(
        self, connection: Connection, step: Step, matches: _Matches, count: int, after: int
    ) -> tuple[tuple[MatchedConversation, ...], Set[Term]]:
        """The first conversations of a step, after that row, and the alternatives that the step has.

        Raises:
            LookupError: see `find`.
        """
        match, filters = step.match(connection), step.search.filters
        if filters == _ALL and matches.hits > min(_PROBED, _MAX_RANKED):
            rows = self._newest(connection, step, matches.hits, count, after)
            if rows is not None:
                return self._page(connection, step, match, rows, _Scores()), set()
        conversations = matches.conversations
        if conversations is None:
            conversations = self._conversations(connection, match, filters)
        scores = _Scores()
        if sum(conversation.hits for conversation in conversations) <= _MAX_RANKED:
            scores = self._scores(connection, step, [conversation.row for conversation in conversations])
        ranks = [((float(scores.of_rows[row]), started_at), row) for row, _, started_at in conversations]
        if after:
            last = float(scores.of_rows[after]), self._place(connection, after)[0]
            if scores.of_rows and not last[0]:
                raise LookupError(after)
            ranks = _after(connection, ranks, last, after)
        least = nlargest(count, (key for key, _ in ranks))[-1:]
        ranks = sorted((rank for rank in ranks if [rank[0]] >= least), reverse=True)
        rows = first_rows(connection, ranks, count)
        return self._page(connection, step, match, rows, scores), scores.alternatives

    def _are_many(self, connection: Connection, step: Step, match: str, most: int) -> bool:
        """Whether there are too many hits to rank; `most`: there are no more."""
        if most <= _MAX_RANKED or not step.number:
            return most > _MAX_RANKED
        sql = "SELECT count(*) FROM (SELECT 1 FROM $hits WHERE $is_hit LIMIT ?) AS found"
        return whole(connection.rows(sql, [match, max(0, _MAX_RANKED + 1)])[0][0]) > _MAX_RANKED

    def _total(self, connection: Connection, exact: Step, wording: Wording, counted: Count) -> Count:
        """How many hits there are, also by other spellings; `counted`: the exact ones."""
        match = exact.match(connection)
        if exact.search.filters == _ALL and not _has_prefix(match):  # a few spelled hits are counted faster than all
            most = max(_PROBED, counted.hits // connection.hits_per_probe)
            sql = "SELECT $hit_row FROM $hits WHERE $is_hit LIMIT ?"
            spelled = only_by_spelling(exact, wording).match(connection)
            are_many = most > _PROBED and has_frequent_spelling(connection, exact, wording, most)
            hits = [] if are_many else [whole(row[0]) for row in connection.rows(sql, [spelled, most + 1])]
            if not are_many and len(hits) <= most:
                is_exact = "SELECT 1 FROM $hits WHERE $hit_in_value AND $says"
                sql = f"SELECT count(*) FROM $each_number WHERE NOT EXISTS ({is_exact})"
                others = connection.rows(sql, [sorted(set(hits)), match])[0][0]
                return Count(counted.hits + len(hits), counted.conversations + whole(others))
        return self._count(connection, with_spellings(exact, wording))[0]

    async def occurs(
        self, term: Term, role: Role = "any", filters: Filters = _ALL, *, any_spelling: bool = False
    ) -> bool:
        """Whether that role says the term in any matching conversation."""
        return await self.has_hits(StoreSearch(Expression(((term,),)), role, filters, any_spelling))

    @on_reader
    def has_hits(self, connection: Connection, query: StoreSearch) -> bool:
        """Whether there is any hit; faster than `find`, as it stops after some."""
        wording = self._words(connection).wording(query.expression, any_spelling=query.any_spelling)
        match = with_spellings(Step(query, wording.forms), wording).match(connection)
        most = connection.hits_to_find * (_OF_A_PREFIX if _has_prefix(match) else 1)
        if query.filters == _ALL:
            return bool(connection.rows(any_of("$hits WHERE $is_hit", most), [match]))
        clause = where(query.filters)
        hits = (
            "(SELECT $hit_row AS hit_row FROM $hits WHERE $is_hit) AS found"
            f" $join $conversations ON row_id = hit_row WHERE {clause.sql}"
        )
        return bool(connection.rows(any_of(hits, most), [match, *clause.values]))

    @on_reader
    def similar(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that are spelled most like the term; some may no longer occur."""
        word = "".join(term.words)
        return most_similar(word, self._words(connection).similar(word))

    @on_reader
    def longer(self, connection: Connection, term: Term) -> list[str]:
        """The words of all conversations that continue a prefix of the term (`prefixes_of`), shortest first."""
        return self._words(connection).longer(term)

    @on_reader
    def nameable(self, connection: Connection, words: Sequence[str]) -> list[str]:
        """Those of these words that an answer may name: deleted calls may have left some."""
        return list(said(connection, words))

    def _words(self, connection: Connection) -> Vocabulary:
        return Vocabulary(connection, is_limited=bool(self.visible_agents))

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

    def _count(self, connection: Connection, step: Step) -> tuple[Count, list[_Hits] | None]:
        """How many hits there are; and of which conversations, where these must be read for that."""
        search, match = step.search, step.match(connection)
        if search.filters != _ALL:
            conversations = self._conversations(connection, match, search.filters)
            return Count(sum(conversation.hits for conversation in conversations), len(conversations)), conversations
        if counted := connection.counted(search.expression, search.role, step.forms.__getitem__):
            return Count(*counted), None
        sql = "SELECT count(*), count(DISTINCT $hit_row) FROM $hits WHERE $is_hit"
        hits, conversations = connection.rows(sql, [match])[0]
        return Count(whole(hits), whole(conversations)), None

    def _conversations(self, connection: Connection, match: str, filters: Filters) -> list[_Hits]:
        # Start from the hits and join conversations, so a rare word is fast under any filter. Many hits are narrowed
        # first, by an index on the period or the agent.
        clause, within = where(filters), _within(filters)
        narrow, values = (
            (f"AND ($if_many {within.sql})", [_MANY, match, _MANY, *within.values]) if within.parts else ("", [])
        )
        rows = connection.rows(
            f"SELECT row_id, hits, {STARTED} FROM (SELECT $hit_row AS hit_row, count(*) AS hits FROM $hits"
            f" WHERE $is_hit {narrow} GROUP BY 1) AS found"
            f" $join $conversations ON row_id = hit_row WHERE {clause.sql}",
            [match, *values, *clause.values],
        )
        return [_Hits(whole(row), whole(hits), float(started_at or 0)) for row, hits, started_at in rows]

    def _scores(self, connection: Connection, step: Step, rows: list[int]) -> _Scores:
        scores = _Scores()
        matches = [step.match(connection, term) for term in step.alternatives]
        for term, keys in zip(step.alternatives, self._keys(connection, matches, rows), strict=True):
            if keys:
                scores.alternatives.add(term)
            scores.of_turns.update(keys)
            scores.of_rows.update({row_of(key) for key in keys})
        return scores

    def _newest(self, connection: Connection, step: Step, most: int, count: int, after: int) -> list[int] | None:
        """For many hits: the newest conversations with hits; None if there are too few. `most`: see `_are_many`."""
        match = step.match(connection)
        if step.alternatives and not self._are_many(connection, step, match, most):
            return None
        clause = Where(["turn_count > 0"])
        if after:
            clause.add(f"({STARTED}, conversation_id) < (?, ?)", *self._place(connection, after))
        with_turns = f"FROM $conversations WHERE {clause.sql}"
        if not _has_prefix(match):
            rows: list[int] = []
            sql = f"SELECT row_id {with_turns} ORDER BY {NEWEST_FIRST} LIMIT ?"
            newest = [whole(row[0]) for row in connection.rows(sql, [*clause.values, _PROBED])]
            for first in range(0, len(newest), _PROBED_AT_ONCE):
                probed = newest[first : first + _PROBED_AT_ONCE]
                with_hits = {row_of(key) for keys in self._keys(connection, [match], probed) for key in keys}
                rows += [row for row in probed if row in with_hits]
                if len(rows) >= count:
                    return rows[:count]
                if most <= _MAX_RANKED and len(rows) * len(newest) < count * (first + len(probed)):
                    return None  # too few among the newest
        if not self._are_many(connection, step, match, most):
            return None
        hits = connection.rows("SELECT DISTINCT $hit_row FROM $hits WHERE $is_hit", [match])
        rows_with_hits = {row[0] for row in hits}
        sql = f"SELECT {STARTED}, row_id {with_turns} ORDER BY started_at {SORTED['DESC']}"
        ordered = connection.rows(sql, clause.values)
        ranks = [(float(start or 0), whole(row)) for start, row in ordered if row in rows_with_hits]
        return first_rows(connection, ranks, count)

    def _place(self, connection: Connection, row: int) -> tuple[float, str]:
        """The start of a conversation as a sort key, and its id."""
        rows = connection.rows(f"SELECT {STARTED}, conversation_id FROM $conversations WHERE row_id = ?", [row])
        if not rows:
            raise LookupError(row)
        return float(rows[0][0] or 0), str(rows[0][1])

    def _page(
        self, connection: Connection, step: Step, match: str, rows: list[int], scores: _Scores
    ) -> tuple[MatchedConversation, ...]:
        # If turns have scores, they are all hits, as every hit matches at least one alternative.
        if not rows:
            return ()
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
                step.number,
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
            source = "selected $join $hits ON $hit_in_value WHERE $says"
        parts = (f"SELECT {number}, $hit_turn FROM {source}" for number in range(len(matches)))
        keys: list[list[int]] = [[] for _ in matches]
        for number, key in connection.rows(
            "WITH selected AS MATERIALIZED (SELECT value FROM $each_number) " + " UNION ALL ".join(parts),
            [rows, *matches],
        ):
            keys[whole(number)].append(whole(key))
        return keys


def _after(connection: Connection, ranks: list[_Rank], last: tuple[float, float], row: int) -> list[_Rank]:
    """Those after the one in that row, which has the key `last`."""
    names = ids_of(connection, [row, *(other for key, other in ranks if key == last)])
    return [rank for rank in ranks if rank[0] < last or (rank[0] == last and names[rank[1]] < names[row])]


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
