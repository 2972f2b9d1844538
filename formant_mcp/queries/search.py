"""Search: the turns that match a query, each with the spans of its matches and its neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from formant_mcp.filters import Filters, Role, Spelling
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import SPEAKERS, WORDS, Answer, Coverage
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint, stale_cursor_error
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.search_advice import Advice
from formant_mcp.redaction.redacted_text import RedactedText
from formant_mcp.store import Store
from formant_mcp.store.search import MatchedConversation, MatchPage, StoreSearch
from formant_mcp.store.turn_keys import MAX_TURNS
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.text_search.highlight import Pattern, Span, find_spans, patterns_of
from formant_mcp.text_search.query import Expression, parse_query

PER_CONVERSATION = 3
"""Hits shown per conversation."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for. `as_sent`: the filters as sent, for the cursor's fingerprint."""

    filters: Filters
    query: str
    as_sent: str
    role: Role = "any"
    spelling: Spelling = "any"
    context_turns: int = 1
    limit: int = 20
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that matches, with the spans of its matches, and the turns around it that are not shown at another hit.

    `step`: see `MatchedConversation`. `more`: at a conversation's last hit of a step, how many further hits it has in
    that step.
    """

    conversation: Conversation
    turn: Turn
    spans: tuple[Span, ...]
    before: tuple[Turn, ...]
    after: tuple[Turn, ...]
    step: int = 0
    more: int = 0

    @property
    def by_spelling(self) -> bool:
        """Whether it matches only by another spelling."""
        return self.step > 0


@dataclass(frozen=True, slots=True)
class SearchResult(Answer):
    """One page of hits; `shown_before`: how many are on the previous pages.

    `spelling_hits`, `spelling_conversations`: how many of them match only by another spelling. `places`: those of the
    page's conversations, in order; `more_follow`: whether there is another page. `existing`: see `available_values`.
    `advice`: about the words of the query.
    """

    hits: tuple[Hit, ...]
    hits_total: int
    conversations_total: int
    spelling_hits: int
    spelling_conversations: int
    shown_before: int
    places: tuple[int, ...]
    more_follow: bool
    fingerprint: str
    existing: dict[str, Existing]
    advice: str

    @property
    def shown(self) -> int:
        """How many hits up to and with this page."""
        return self.shown_before + len(self.hits)

    @property
    def next_cursor(self) -> str:
        """The cursor of the next page; '' if there is none."""
        return format_cursor(Cursor(self.shown, self.places[-1]), self.fingerprint) if self.more_follow else ""

    def first(self, count: int) -> "SearchResult":
        """The page with its first `count` conversations, at least one."""
        count = max(1, count)
        if count >= len(self.places):
            return self
        blocks = [list(hits) for _, hits in groupby(self.hits, key=_block)]
        hits = tuple(hit for block in blocks[:count] for hit in block)
        return replace(self, hits=hits, places=self.places[:count], more_follow=True)


async def search_transcripts(loader: Loader, context: RequestContext, query: SearchQuery) -> SearchResult:
    """The page of hits for the query.

    Conversations are sorted by how many alternatives of `a OR b` they say, then newest first. After those with exact
    hits come those with hits that match only by another spelling, the nearest spellings first.

    Raises:
        FormantError: an argument is invalid, or nothing can be answered at all.
    """
    filters, store = query.filters, loader.store
    expression = parse_query(query.query)
    fingerprint = query_fingerprint(
        "search", query.as_sent, query.query, query.role, query.spelling, await store.identity()
    )
    cursor = parse_cursor(query.cursor, fingerprint)
    uses = WORDS if query.role == "any" else WORDS | SPEAKERS
    coverage = await loader.ensure_loaded(
        context, DataRequest(filters, ListRequest(filters), with_details=True, uses=uses)
    )
    search = StoreSearch(expression, query.role, filters, any_spelling=query.spelling == "any")
    try:
        # One conversation more than can be shown, to know whether there is a next page.
        matches = await store.search.find(search, query.limit + 1, cursor.row)
    except LookupError:
        raise stale_cursor_error() from None
    coverage = coverage.at_least(matches.conversations)
    page = _cut_page(matches.page, query.limit)
    advice = Advice(store, query.query, search, matches.alternatives, matches.spellings)
    return SearchResult(
        coverage=coverage,
        hits=tuple(await _hits(store, query, _patterns(expression, matches), page)),
        hits_total=matches.hits,
        conversations_total=matches.conversations,
        spelling_hits=matches.hits - matches.exact.hits,
        spelling_conversations=matches.conversations - matches.exact.conversations,
        shown_before=cursor.shown,
        places=tuple(match.place for match in page),
        more_follow=len(page) < len(matches.page),
        fingerprint=fingerprint,
        existing=await available_values(store, filters, coverage.matched),
        advice=await _advice(advice, matches, coverage),
    )


def _block(hit: Hit) -> tuple[str, int]:
    """What hits that are shown together have in common."""
    return hit.conversation.conversation_id, hit.step


def _cut_page(matches: tuple[MatchedConversation, ...], limit: int) -> list[MatchedConversation]:
    """As many whole conversations as fit into the limit of hits, at least one."""
    page: list[MatchedConversation] = []
    for match in matches:
        limit -= min(len(match.turns), PER_CONVERSATION)
        if page and limit < 0:
            break
        page.append(match)
    return page


async def _advice(advice: Advice, matches: MatchPage, coverage: Coverage) -> str:
    if matches.hits:
        return await advice.for_hits(by_spelling=matches.hits > matches.exact.hits)
    return await advice.for_none(coverage) if coverage.matched else ""


def _patterns(expression: Expression, matches: MatchPage) -> dict[bool, list[Pattern]]:
    """What to highlight in exact hits (False), and in hits by another spelling (True)."""
    terms = dict.fromkeys(term for terms in expression.all_of for term in terms)
    exact = [pattern for term in terms for pattern in patterns_of(term, matches.forms[term])]
    others = [pattern for term, words in matches.spellings.items() for pattern in patterns_of(term, words)]
    return {False: exact, True: exact + others}


async def _hits(
    store: Store, query: SearchQuery, patterns: dict[bool, list[Pattern]], page: list[MatchedConversation]
) -> list[Hit]:
    hits: list[Hit] = []
    for step, matches in groupby(page, key=lambda match: match.step):
        hits += await _hits_of_step(store, query, patterns[step > 0], list(matches))
    return hits


async def _hits_of_step(
    store: Store, query: SearchQuery, patterns: list[Pattern], page: list[MatchedConversation]
) -> list[Hit]:
    best = {match.row: sorted(match.turns[: min(PER_CONVERSATION, query.limit)]) for match in page}
    context = query.context_turns
    around = await store.read.windows(
        [(row, max(0, index - context), index + context) for row, indexes in best.items() for index in indexes]
    )
    return [
        hit for match in page for hit in _hits_of(match, best[match.row], around.get(match.row, {}), patterns, context)
    ]


def _spans(text: str, patterns: list[Pattern]) -> tuple[Span, ...]:
    """Where the patterns match; a match in what is hidden is its label."""
    if isinstance(text, RedactedText):
        return text.shown(find_spans(text.original, patterns))
    return find_spans(text, patterns)


def _hits_of(
    match: MatchedConversation, best: list[int], around: dict[int, Turn], patterns: list[Pattern], context: int
) -> Iterator[Hit]:
    """The best hits of a conversation, without those deleted since the search."""
    turns = [around.pop(index) for index in best if index in around]
    for turn, following in zip(turns, [*(turn.index for turn in turns[1:]), MAX_TURNS], strict=False):
        # Turns after the next hit are shown there.
        near = range(turn.index - context, min(following, turn.index + context + 1))
        neighbours = [around.pop(index) for index in near if index in around]
        yield Hit(
            conversation=match.conversation,
            turn=turn,
            spans=_spans(turn.text, patterns),
            before=tuple(other for other in neighbours if other.index < turn.index),
            after=tuple(other for other in neighbours if other.index > turn.index),
            step=match.step,
            more=len(match.turns) - len(best) if turn is turns[-1] else 0,
        )
