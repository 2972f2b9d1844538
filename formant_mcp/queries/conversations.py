"""Lists of conversations: which match, in what order, from where on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from formant_mcp.filters import FIELDS, LABELLED, NAMED, Condition, Filters, Order, is_whole
from formant_mcp.models import Conversation
from formant_mcp.queries.agents import existing_agents
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint, stale_cursor_error
from formant_mcp.queries.guesses import nearest
from formant_mcp.queries.loader import Coverage, DataRequest, Loader, RequestContext, failure_notes
from formant_mcp.store import Store
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.values import label

SummaryMode = Literal["exclude", "include"]

_MAX_VALUES = 30
_GUESSED_FROM = 1_000
# Words for how a call turned out, which is more than one status.
_OUTCOMES = {
    **dict.fromkeys(("failure", "failures", "unsuccessful"), "failure"),
    **dict.fromkeys(("success", "successful"), "success"),
}
_SAME_LIST = timedelta(hours=1)  # so long a list is not checked again between two of its pages
_NAME = re.compile(r"[\w.+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of a list, and the cursor of the list after it.

    `gist`: the first and last words of its transcript, where the question wants them and there are any.
    """

    conversation: Conversation
    cursor: str
    gist: str = ""


@dataclass(frozen=True, slots=True)
class Existing:
    """The values that there are of something of which an unknown one was asked for, and how many `more` are not named.

    `meant`: perhaps this one.
    """

    values: list[str]
    meant: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """One page of what matches. `shown`: how many up to here; `existing`: values there are, where nothing matches."""

    coverage: Coverage
    rows: tuple[Row, ...]
    shown: int
    next_cursor: str
    existing: dict[str, Existing]

    def first(self, count: int) -> "ConversationPage":
        """The first `count` rows of this page; the list continues after them."""
        if count >= len(self.rows):
            return self
        rows = self.rows[:count]
        return replace(
            self, rows=rows, shown=self.shown - len(self.rows) + count, next_cursor=rows[-1].cursor if rows else ""
        )


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What to list. `asked`: the filters as they were worded, for the cursor's mark (`7d` moves, its words do not)."""

    filters: Filters
    asked: str
    order: Order = "newest"
    summary_mode: SummaryMode = "exclude"
    limit: int = 20
    cursor: str = ""


async def list_conversations(loader: Loader, context: RequestContext, question: ListQuery) -> ConversationPage:
    """The page of conversations that the question asks for.

    Raises:
        FormantError: an argument is unusable, or nothing can be answered at all.
    """
    filters, store = question.filters, loader.store
    mark = query_fingerprint(question.asked, question.order, await store.identity())
    cursor = parse_cursor(question.cursor, mark)
    need = _need(question, cursor, context.requested_at)
    ordered_by = frozenset({"started_at" if question.order in ("newest", "oldest") else "duration_seconds"})
    coverage = await loader.ensure_loaded(context, DataRequest(filters, need, looks_at=ordered_by))
    try:
        found = await store.read.page(filters, question.order, question.limit + 1, cursor.row)
    except LookupError:
        raise stale_cursor_error() from None
    page = found[: question.limit]
    shown = cursor.shown + len(page)
    more = len(found) > question.limit or (bool(page) and shown < coverage.matched)
    conversations = [conversation for _, conversation in page]
    ids = [each.conversation_id for each in conversations]
    coverage = coverage.but_for(await store.read.unreadable_among(ids, FIELDS.keys()))
    if question.summary_mode == "include":
        coverage = await _bring_shown(loader, context, question, need, coverage, conversations)
    cursors = [format_cursor(Cursor(cursor.shown + n, row), mark) for n, (row, _) in enumerate(page, 1)]
    return ConversationPage(
        coverage=coverage,
        rows=tuple(await _rows(store, conversations, cursors, question.summary_mode)),
        shown=shown,
        next_cursor=cursors[-1] if more else "",
        existing=await available_values(store, filters, coverage.matched),
    )


async def available_values(store: Store, filters: Filters, matched: int) -> dict[str, Existing]:
    """Of what a question asks for and no conversation has, the values that there are; of several statuses, and of what
    is excluded, each counts, all else only where nothing matches."""
    existing: dict[str, Existing] = {}
    for column in NAMED:
        values = filters.named(column)
        if not values or (matched and column != "status"):
            continue
        found = await store.read.distinct(column)
        form = label if column in LABELLED else str
        forms = {form(value) for value in found}
        unknown = [each for each in values if form(each) not in forms and is_whole(each)]
        if unknown:
            is_agent = column == "agent_id"
            shown, meant = await existing_agents(store, unknown[0]) if is_agent else (found, nearest(unknown[0], found))
            if column == "status" and (outcome := _OUTCOMES.get(label(unknown[0]))):
                meant = f"call_successful={outcome}"
            existing[column] = Existing(shown, meant)
    conditions = [condition for condition in filters.results if not matched or condition.operator == "!="]
    return existing | await _existing_results(store, conditions) if conditions else existing


async def _existing_results(store: Store, conditions: Sequence[Condition]) -> dict[str, Existing]:
    """The same for conditions on results."""
    existing: dict[str, Existing] = {}
    paths = sorted(await store.figures.paths())
    for condition in conditions:
        if not any(path == condition.path or path.startswith(f"{condition.path}.") for path in paths):
            below = next((path for path in paths if path.endswith(f".{condition.path}")), "")
            existing["result field"] = Existing(paths, below or nearest(condition.path, paths))
        elif condition.operator in ("=", "!=") and is_whole(condition.value) and not await _occurs(store, condition):
            existing[f"results.{condition.path}"] = await _existing_values(store, condition)
    return existing


async def _occurs(store: Store, condition: Condition) -> bool:
    return await store.read.count(Filters(results=(replace(condition, operator="="),))) > 0


async def _existing_values(store: Store, condition: Condition) -> Existing:
    """Only what looks like a name is named: free texts are callers' words, and have no place outside their boundary."""
    field = await store.figures.field(Filters(), condition.path, "text", _GUESSED_FROM)
    values = [value for value, _ in field.top]
    meant = nearest(condition.value, values)
    named = [value for value in values if _NAME.fullmatch(value)] if field.distinct <= _MAX_VALUES else []
    return Existing(named, meant if _NAME.fullmatch(meant) else "", field.distinct - len(named))


def _need(question: ListQuery, cursor: Cursor, requested_at: datetime) -> ListRequest:
    need = ListRequest(question.filters)
    if cursor.row:  # the page continues a list that was checked for the page before it
        need = replace(need, fresh_since=requested_at - _SAME_LIST)
    # Order and agent alone decide what comes first; `until` skips newer ones first, so it needs more than the newest.
    if question.order == "newest" and question.filters == Filters(agent_id=need.filters.as_stored().agent_id):
        return replace(need, newest=cursor.shown + question.limit)
    return need


async def _bring_shown(
    loader: Loader,
    context: RequestContext,
    question: ListQuery,
    need: ListRequest,
    coverage: Coverage,
    conversations: list[Conversation],
) -> Coverage:
    """Reads the details of the rows shown; the coverage then counts these as well."""
    ids = [each.conversation_id for each in conversations]
    due = await loader.store.read.needing_refresh(ids, context.requested_at)
    trouble = await loader.sync.fetch_details(due, context.seconds_left, context.report)
    missing = len(await loader.store.read.needing_refresh(due, context.requested_at)) if due else 0
    needed, read = len(ids), len(ids) - missing
    if loader.needs_details(question.filters):
        coverage = await loader.coverage(context, DataRequest(question.filters, need), trouble)
        needed, read = coverage.details_needed, coverage.details_read
    note = coverage.note
    if missing:
        failures = await loader.store.read.failures_among(due, context.requested_at)
        if left := missing - sum(failures.values()):
            why = trouble.message if trouble else "Ask again for them."
            note = f"{note} Results and words of {left:,} of {len(ids):,} calls are not loaded yet. {why}"
        note = " ".join((note, *failure_notes(failures, f"{len(ids):,} calls shown"))).strip()
    return replace(
        coverage,
        details_needed=needed,
        details_read=read,
        complete=coverage.complete and not missing,
        note=note,
    ).but_for(await loader.store.read.unreadable_among(ids))


async def _rows(store: Store, conversations: list[Conversation], cursors: list[str], mode: SummaryMode) -> list[Row]:
    pairs = list(zip(conversations, cursors, strict=True))
    if mode == "exclude":
        return [Row(conversation, cursor) for conversation, cursor in pairs]
    stored = await store.read.get([conversation.conversation_id for conversation in conversations])
    return [
        Row(stored.get(conversation_id, conversation), cursor, await _gist(store, conversation_id))
        for conversation, cursor in pairs
        for conversation_id in [conversation.conversation_id]
    ]


async def _gist(store: Store, conversation_id: str) -> str:
    count = await store.read.turn_count(conversation_id) or 0
    ends = await store.read.turns(conversation_id, 0, 2)
    if count > 2:
        ends += await store.read.turns(conversation_id, max(2, count - 2), 2)
    words = [f"{turn.role}: {_short(turn.text)}" for turn in ends if turn.text]
    return " … ".join([" / ".join(words[:2]), " / ".join(words[2:])]) if len(words) > 2 else " / ".join(words)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
