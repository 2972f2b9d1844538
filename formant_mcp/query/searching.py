"""Searching: which turns say what is asked, each with the words marked and the turns around it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.query.cursors import Cursor, lost_cursor, question_mark, read_cursor, write_cursor
from formant_mcp.query.expressions import read_expression
from formant_mcp.query.gather import Call, Coverage, Gathering
from formant_mcp.query.listing import existing_values, need_of
from formant_mcp.query.marks import Mark, Needle, marks
from formant_mcp.store import Store
from formant_mcp.store.matching import Expression, Role, Term
from formant_mcp.store.search import FoundConversation, Sought
from formant_mcp.store.turns import MAX_TURNS

PER_CONVERSATION = 3
"""Hits shown of one conversation."""

_NAMED = 5  # words that nobody says, for which others are looked for


@dataclass(frozen=True, slots=True)
class SearchQuestion:
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
    marks: tuple[Mark, ...]
    before: tuple[Turn, ...]
    after: tuple[Turn, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Searched:
    """One page of hits, of so many in so many conversations. `shown`: how many up to here.

    `existing`: values there are, where no conversation matches. `advice`: what was looked at and what else to write,
    where nothing was found.
    """

    coverage: Coverage
    hits: tuple[Hit, ...]
    hits_total: int
    conversations_total: int
    shown: int
    next_cursor: str
    existing: dict[str, list[str]]
    advice: str


async def search_transcripts(gathering: Gathering, call: Call, question: SearchQuestion) -> Searched:
    """The page of hits that the question asks for.

    Conversations come best first (those that say more of the alternatives of `a OR b`), then newest first.

    Raises:
        FormantError: an argument is unusable, or nothing can be answered at all.
    """
    filters, store = question.filters, gathering.store
    expression = read_expression(question.query)
    mark = question_mark("search", question.asked, question.query, question.role, store.identity)
    cursor = read_cursor(question.cursor, mark)
    coverage = await gathering.bring(call, filters, need_of(filters), with_details=True)
    try:
        # One conversation more than can be shown tells whether there is a next page.
        found = store.search.find(Sought(expression, question.role, filters), question.limit + 1, cursor.row)
    except LookupError:
        raise lost_cursor() from None
    page = _fitting(found.page, question.limit)
    hits = tuple(_hits(store, expression, question, page))
    shown = cursor.shown + len(hits)
    return Searched(
        coverage=coverage,
        hits=hits,
        hits_total=found.hits,
        conversations_total=found.conversations,
        shown=shown,
        next_cursor=write_cursor(Cursor(shown, page[-1].row), mark) if len(page) < len(found.page) else "",
        existing=existing_values(store, filters, coverage.matched),
        advice=_advice(store, question, coverage, expression) if coverage.matched and not found.hits else "",
    )


def _fitting(found: tuple[FoundConversation, ...], limit: int) -> list[FoundConversation]:
    """As many conversations as the limit has room for, so that the next page can begin behind a whole one."""
    page: list[FoundConversation] = []
    for each in found:
        limit -= min(len(each.turns), PER_CONVERSATION)
        if page and limit < 0:
            break
        page.append(each)
    return page


def _hits(
    store: Store, expression: Expression, question: SearchQuestion, page: list[FoundConversation]
) -> Iterator[Hit]:
    known = store.read.get([each.conversation_id for each in page])
    needles = [_needle(store, term) for terms in expression.all_of for term in terms]
    for each in page:
        best = sorted(each.turns[: min(PER_CONVERSATION, question.limit)])
        around = {turn.index: turn for turn in _around(store, each.conversation_id, best, question.context_turns)}
        turns = [around.pop(index) for index in best]
        for turn, following in zip(turns, [*best[1:], MAX_TURNS], strict=True):
            # What lies behind the next hit stands there.
            near = range(turn.index - question.context_turns, min(following, turn.index + question.context_turns + 1))
            neighbours = [around.pop(index) for index in near if index in around]
            yield Hit(
                conversation=known[each.conversation_id],
                turn=turn,
                marks=marks(turn.text, needles),
                before=tuple(other for other in neighbours if other.index < turn.index),
                after=tuple(other for other in neighbours if other.index > turn.index),
                more=len(each.turns) - len(best) if turn is turns[-1] else 0,
            )


def _around(store: Store, conversation_id: str, indexes: list[int], context_turns: int) -> Iterator[Turn]:
    for index in indexes:
        first = max(0, index - context_turns)
        yield from store.read.turns(conversation_id, first, index + context_turns + 1 - first)


def _needle(store: Store, term: Term) -> Needle:
    return Needle(term.words, store.search.forms(term), term.kind == "beginning")


def _advice(store: Store, question: SearchQuestion, coverage: Coverage, expression: Expression) -> str:
    """For a search that found nothing: what it looked at, and what else could be asked."""
    transcripts = store.search.count_transcripts(question.filters)
    looked = f"No turn says that; looked at {transcripts:,} transcripts of {coverage.matched:,} matching conversations."
    unsaid = [term for term in _single_words(expression) if not store.search.is_said(term)]
    if not unsaid:
        return f"{looked} Each word is said somewhere: try fewer words, a OR b instead of a b, or fewer filters."
    named = (_nearest(store, term.words[0]) for term in unsaid[:_NAMED])
    return " ".join([looked, *named])


def _single_words(expression: Expression) -> list[Term]:
    """Every word of what is wanted by itself."""
    words: dict[Term, None] = {}
    for term in (term for terms in expression.all_of for term in terms):
        words |= {Term((word,), "phrase"): None for word in term.words[:-1]}
        words[replace(term, words=term.words[-1:])] = None
    return list(words)


def _nearest(store: Store, word: str) -> str:
    near = store.search.nearest(word)
    told = f"the nearest words that callers or agents say: {', '.join(near)}" if near else "nor any word like it"
    return f'Nobody says "{word[:40]}"; {told}.'
