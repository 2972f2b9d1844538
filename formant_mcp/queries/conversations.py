"""Lists of conversations: a page of those that match, in an order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from formant_mcp.filters import FIELDS, LABELLED, NAMED, Condition, Filters, Order, is_whole
from formant_mcp.models import Conversation
from formant_mcp.queries.agents import existing_agents
from formant_mcp.queries.coverage import Coverage, failure_notes
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint, stale_cursor_error
from formant_mcp.queries.guesses import nearest
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.store import Store
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.values import label

SummaryMode = Literal["exclude", "include"]

_MAX_VALUES = 30
_MAX_CANDIDATES = 1_000
# Words for an outcome, which covers several statuses.
_OUTCOMES = {
    **dict.fromkeys(("failure", "failures", "unsuccessful"), "failure"),
    **dict.fromkeys(("success", "successful"), "success"),
}
_SAME_LIST = timedelta(hours=1)  # between two pages the list is not checked again for this long
_NAME = re.compile(r"[\w.+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of a list, and the cursor that continues after it.

    `gist`: the first and last words of its transcript, if the query includes them and there are any.
    """

    conversation: Conversation
    cursor: str
    gist: str = ""


@dataclass(frozen=True, slots=True)
class Existing:
    """The values that exist, for a filter by one that does not; `more`: how many are not named.

    `suggestion`: the most similar one, '' if none is.
    """

    values: list[str]
    suggestion: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """One page of what matches. `shown`: how many up to and with this page; `existing`: see `available_values`."""

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
    """What to list. `as_sent`: the filters as sent, for the cursor's fingerprint (`7d` moves, its text does not)."""

    filters: Filters
    as_sent: str
    order: Order = "newest"
    summary_mode: SummaryMode = "exclude"
    limit: int = 20
    cursor: str = ""


async def list_conversations(loader: Loader, context: RequestContext, query: ListQuery) -> ConversationPage:
    """The page of conversations that the query describes.

    Raises:
        FormantError: an argument is invalid, or nothing can be answered at all.
    """
    filters, store = query.filters, loader.store
    fingerprint = query_fingerprint(query.as_sent, query.order, await store.identity())
    cursor = parse_cursor(query.cursor, fingerprint)
    request = _list_request_for(query, cursor, context.requested_at)
    ordered_by = frozenset({"started_at" if query.order in ("newest", "oldest") else "duration_seconds"})
    coverage = await loader.ensure_loaded(context, DataRequest(filters, request, uses=ordered_by))
    try:
        rows = []
        if coverage.matched or cursor.row:
            rows = await store.read.page(filters, query.order, query.limit + 1, cursor.row)
    except LookupError:
        raise stale_cursor_error() from None
    page = rows[: query.limit]
    shown = cursor.shown + len(page)
    has_more = len(rows) > query.limit or (bool(page) and shown < coverage.matched)
    conversations = [conversation for _, conversation in page]
    ids = [conversation.conversation_id for conversation in conversations]
    coverage = coverage.with_unreadable(await store.read.unreadable_among(ids, FIELDS.keys()))
    if query.summary_mode == "include":
        coverage = await _fetch_shown(loader, context, query, request, coverage, conversations)
    cursors = [format_cursor(Cursor(cursor.shown + count, row), fingerprint) for count, (row, _) in enumerate(page, 1)]
    return ConversationPage(
        coverage=coverage,
        rows=tuple(await _rows(store, conversations, cursors, query.summary_mode)),
        shown=shown,
        next_cursor=cursors[-1] if has_more else "",
        existing=await available_values(store, filters, coverage.matched),
    )


async def available_values(store: Store, filters: Filters, matched: int) -> dict[str, Existing]:
    """The values that exist, for each filter by one that does not: for statuses and excluded values always, for others
    only if nothing matches."""
    existing: dict[str, Existing] = {}
    for column in NAMED:
        values = filters.named(column)
        if not values or (matched and column != "status"):
            continue
        stored = await store.read.distinct(column)
        form = label if column in LABELLED else str
        forms = {form(value) for value in stored}
        unknown = next((value for value in values if form(value) not in forms and is_whole(value)), None)
        if unknown is None:
            continue
        if column == "agent_id":
            existing[column] = Existing(*await existing_agents(store, unknown))
        elif column == "status" and (outcome := _OUTCOMES.get(label(unknown))):
            existing[column] = Existing(stored, f"call_successful={outcome}")
        else:
            existing[column] = Existing(stored, nearest(unknown, stored))
    conditions = [condition for condition in filters.on_results if not matched or condition.operator == "!="]
    return existing | await _existing_results(store, conditions) if conditions else existing


async def _existing_results(store: Store, conditions: Sequence[Condition]) -> dict[str, Existing]:
    """The values or result fields that exist, for conditions with one that does not."""
    existing: dict[str, Existing] = {}
    paths = sorted(await store.aggregates.paths())
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
    """Only values that are like names: free texts are callers' words, which are shown only inside their boundary."""
    field = await store.aggregates.field(Filters(), condition.path, "text", _MAX_CANDIDATES)
    values = [value for value, _ in field.top]
    suggestion = nearest(condition.value, values)
    named = [value for value in values if _NAME.fullmatch(value)] if field.distinct <= _MAX_VALUES else []
    return Existing(named, suggestion if _NAME.fullmatch(suggestion) else "", field.distinct - len(named))


def _list_request_for(query: ListQuery, cursor: Cursor, requested_at: datetime) -> ListRequest:
    request = ListRequest(query.filters)
    if cursor.row:  # the list was checked for the previous page
        request = replace(request, fresh_since=requested_at - _SAME_LIST)
    # The newest calls are enough if only order and agent decide the page; `until`, for example, skips the newest.
    if query.order == "newest" and query.filters == Filters(agent_id=query.filters.as_stored().agent_id):
        return replace(request, newest=cursor.shown + query.limit)
    return request


async def _fetch_shown(
    loader: Loader,
    context: RequestContext,
    query: ListQuery,
    request: ListRequest,
    coverage: Coverage,
    conversations: list[Conversation],
) -> Coverage:
    """Fetches the details of the rows shown; the coverage then counts these as well."""
    ids = [conversation.conversation_id for conversation in conversations]
    due = await loader.store.read.needing_refresh(ids, context.requested_at)
    error = await loader.sync.fetch_details(due, context.seconds_left, context.report)
    missing = len(await loader.store.read.needing_refresh(due, context.requested_at)) if due else 0
    needed, read = len(ids), len(ids) - missing
    if loader.needs_details(query.filters):
        list_status = await loader.sync.list_status(request, context.requested_at)
        coverage = await loader.coverage(context, DataRequest(query.filters, request), list_status, error)
        needed, read = coverage.details_needed, coverage.details_read
    note = coverage.note
    if missing:
        failures = await loader.store.read.failures_among(due, context.requested_at)
        if left := missing - sum(failures.values()):
            why = error.message if error else "Ask again for them."
            note = f"{note} Results and words of {left:,} of {len(ids):,} calls are not loaded yet. {why}"
        note = " ".join((note, *failure_notes(failures, f"{len(ids):,} calls shown"))).strip()
    return replace(
        coverage,
        details_needed=needed,
        details_read=read,
        complete=coverage.complete and not missing,
        note=note,
    ).with_unreadable(await loader.store.read.unreadable_among(ids))


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
