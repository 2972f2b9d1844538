"""Searching: which turns say what is searched for, each with the words marked and the turns around it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from formant_mcp.filters import Filters, Role
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint, stale_cursor_error
from formant_mcp.queries.loader import SPEAKERS, WORDS, Coverage, DataRequest, Loader, RequestContext
from formant_mcp.queries.search_advice import Advice
from formant_mcp.store import Store
from formant_mcp.store.search import MatchedConversation, StoreSearch
from formant_mcp.store.turn_index import MAX_TURNS
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.text_search.highlight import Pattern, Span, find_spans, patterns_of
from formant_mcp.text_search.query import parse_query

PER_CONVERSATION = 3
"""Hits shown of one conversation."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for. `asked`: the filters as they were worded, for the cursor's mark."""

    filters: Filters
    query: str
    asked: str
    role: Role = "any"
    context_turns: int = 1
    limit: int = 20
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that says it: where in its text, and the turns around it that stand at no other hit.

    `more`: at a conversation's last hit, how many hits it has that are not shown.
    """

    conversation: Conversation
    turn: Turn
    marks: tuple[Span, ...]
    before: tuple[Turn, ...]
    after: tuple[Turn, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of hits, of so many in so many conversations, after `shown_before` on the pages before it.

    `rows`: of the conversations of this page, in order; `more_follow`: whether there is another page. `existing`:
    values that exist, where no conversation matches. `advice`: what else to search for.
    """

    coverage: Coverage
    hits: tuple[Hit, ...]
    hits_total: int
    conversations_total: int
    shown_before: int
    rows: tuple[int, ...]
    more_follow: bool
    mark: str
    existing: dict[str, Existing]
    advice: str

    @property
    def shown(self) -> int:
        """How many hits up to here."""
        return self.shown_before + len(self.hits)

    @property
    def next_cursor(self) -> str:
        """Where the next page starts; empty if there is none."""
        return format_cursor(Cursor(self.shown, self.rows[-1]), self.mark) if self.more_follow else ""

    def first(self, count: int) -> "SearchResult":
        """The same page with its first conversations only, at least one."""
        count = max(1, count)
        if count >= len(self.rows):
            return self
        kept = {each.conversation.conversation_id: None for each in self.hits}
        ids = set(list(kept)[:count])
        hits = tuple(hit for hit in self.hits if hit.conversation.conversation_id in ids)
        return replace(self, hits=hits, rows=self.rows[:count], more_follow=True)


async def search_transcripts(loader: Loader, context: RequestContext, question: SearchQuery) -> SearchResult:
    """The page of hits that the question asks for.

    Conversations come best first (those that say more of the alternatives of `a OR b`), then newest first.

    Raises:
        FormantError: an argument is unusable, or nothing can be answered at all.
    """
    filters, store = question.filters, loader.store
    expression = parse_query(question.query)
    mark = query_fingerprint("search", question.asked, question.query, question.role, await store.identity())
    cursor = parse_cursor(question.cursor, mark)
    looks_at = WORDS if question.role == "any" else WORDS | SPEAKERS
    coverage = await loader.ensure_loaded(
        context, DataRequest(filters, ListRequest(filters), with_details=True, looks_at=looks_at)
    )
    try:
        # One conversation more than can be shown tells whether there is a next page.
        found = await store.search.find(StoreSearch(expression, question.role, filters), question.limit + 1, cursor.row)
    except LookupError:
        raise stale_cursor_error() from None
    page = _fitting(found.page, question.limit)
    terms = dict.fromkeys(term for terms in expression.all_of for term in terms)
    patterns = [pattern for term in terms for pattern in patterns_of(term, found.forms[term])]
    advice = Advice(store, question.query, expression, question.role, filters, found.alternatives)
    return SearchResult(
        coverage=coverage,
        hits=tuple(await _hits(store, patterns, question, page)),
        hits_total=found.hits,
        conversations_total=found.conversations,
        shown_before=cursor.shown,
        rows=tuple(each.row for each in page),
        more_follow=len(page) < len(found.page),
        mark=mark,
        existing=await available_values(store, filters, coverage.matched),
        advice=await _advice(advice, found.hits, coverage),
    )


def _fitting(found: tuple[MatchedConversation, ...], limit: int) -> list[MatchedConversation]:
    """As many conversations as the limit has room for, so that the next page can start after a whole one."""
    page: list[MatchedConversation] = []
    for each in found:
        limit -= min(len(each.turns), PER_CONVERSATION)
        if page and limit < 0:
            break
        page.append(each)
    return page


async def _advice(advice: Advice, hits: int, coverage: Coverage) -> str:
    if hits:
        return await advice.for_hits()
    return await advice.for_none(coverage) if coverage.matched else ""


async def _hits(
    store: Store, patterns: list[Pattern], question: SearchQuery, page: list[MatchedConversation]
) -> list[Hit]:
    best = {each.row: sorted(each.turns[: min(PER_CONVERSATION, question.limit)]) for each in page}
    context = question.context_turns
    around = await store.read.windows(
        [(row, max(0, index - context), index + context) for row, indexes in best.items() for index in indexes]
    )
    return [hit for each in page for hit in _hits_of(each, best[each.row], around.get(each.row, {}), patterns, context)]


def _hits_of(
    found: MatchedConversation, best: list[int], around: dict[int, Turn], patterns: list[Pattern], context: int
) -> Iterator[Hit]:
    """The best hits of a conversation; those that were deleted since they were found are left out."""
    turns = [around.pop(index) for index in best if index in around]
    for turn, following in zip(turns, [*(turn.index for turn in turns[1:]), MAX_TURNS], strict=False):
        # What comes after the next hit is shown there.
        near = range(turn.index - context, min(following, turn.index + context + 1))
        neighbours = [around.pop(index) for index in near if index in around]
        yield Hit(
            conversation=found.conversation,
            turn=turn,
            marks=find_spans(turn.text, patterns),
            before=tuple(other for other in neighbours if other.index < turn.index),
            after=tuple(other for other in neighbours if other.index > turn.index),
            more=len(found.turns) - len(best) if turn is turns[-1] else 0,
        )
