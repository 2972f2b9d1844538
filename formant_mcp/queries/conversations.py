"""Lists of conversations: a page of those that match, in an order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import JsonValue

from formant_mcp.filters import FIELDS, LABELLED, NAMED, NEWEST, Condition, Filters, Order, is_whole
from formant_mcp.models import Conversation, outside_form
from formant_mcp.queries.agents import existing_agents
from formant_mcp.queries.coverage import Answer, Coverage, failure_notes
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint, stale_cursor_error
from formant_mcp.queries.groupings import check_paths, kinds_used
from formant_mcp.queries.guesses import nearest
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.ordering import (
    check_supported,
    fields_argument,
    is_extracted,
    order_argument,
    paths_of,
    signals_of,
    values_of,
    with_measured,
)
from formant_mcp.queries.signals import as_signal
from formant_mcp.store import Store
from formant_mcp.store.reader import SHOWN_KINDS
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.values import label

SummaryMode = Literal["exclude", "include"]

_MAX_VALUES = 30
_MAX_CANDIDATES = 1_000
# Words for an outcome, which covers several statuses.
_OUTCOMES = {
    **dict.fromkeys(("failure", "failures", "failed", "unsuccessful"), "failure"),
    **dict.fromkeys(("success", "successful"), "success"),
}
_Rows = list[tuple[int, Conversation]]
_SAME_LIST = timedelta(hours=1)  # between two pages the list is not checked again for this long


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of a list, and the cursor that continues after it.

    `gist`: the first and last words of its transcript, if the query includes them and there are any. `values`: of the
    query's result fields and signals, by name.
    """

    conversation: Conversation
    cursor: str
    gist: str = ""
    values: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Existing:
    """The values that exist, for a filter by one that does not; `more`: how many are not named.

    `suggestion`: the most similar one, '' if none is. `instead`: another argument that may be meant. `otherwise`: how
    many calls match without the filter, where its value exists and none of them has it.
    """

    values: list[str]
    suggestion: str = ""
    more: int = 0
    instead: str = ""
    otherwise: int = 0


@dataclass(frozen=True, slots=True)
class ConversationPage(Answer):
    """One page of what matches. `shown`: how many up to and with this page; `existing`: see `available_values`."""

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
    """What to list. `as_sent`: the filters as sent, for the cursor's fingerprint (`7d` moves, its text does not).

    `fields`: which fields, result fields and signals to show; the usual ones if empty.
    """

    filters: Filters
    as_sent: str
    order: Order = NEWEST
    fields: tuple[str, ...] = ()
    summary_mode: SummaryMode = "exclude"
    limit: int = 20
    cursor: str = ""

    @property
    def extracted(self) -> tuple[str, ...]:
        """The result fields and signals that are shown: those of `fields`, or what the list is ordered by."""
        return tuple(filter(is_extracted, self.fields or (self.order.field,)))


async def list_conversations(loader: Loader, context: RequestContext, query: ListQuery) -> ConversationPage:
    """The page of conversations that the query describes.

    Raises:
        FormantError: an argument is invalid, or nothing can be answered at all.
    """
    filters, store, by = query.filters, loader.store, query.order.field
    check_supported(query.fields, loader)
    fingerprint = query_fingerprint(query.as_sent, query.order, await store.identity())
    cursor = parse_cursor(query.cursor, fingerprint)
    list_request = _list_request_for(query, cursor, context.requested_at)
    request = DataRequest(filters, list_request, is_extracted(by), kinds_used((by,)), signals_of((by,)))
    coverage = await loader.ensure_loaded(context, request)
    is_loaded = request.with_details and coverage.is_loaded
    named = order_argument(query.order), fields_argument(query.fields)
    notes = await check_paths(store, coverage, *named, is_loaded=is_loaded)
    reader = _PageReader(loader, context, query, cursor, request)
    coverage, rows = await reader.read(coverage)
    page = rows[: query.limit]
    shown = cursor.shown + len(page)
    has_more = len(rows) > query.limit or (bool(page) and shown < coverage.matched)
    cursors = [format_cursor(Cursor(cursor.shown + count, row), fingerprint) for count, (row, _) in enumerate(page, 1)]
    coverage, shown_rows = await reader.with_details(
        coverage, [Row(call, at) for (_, call), at in zip(page, cursors, strict=True)]
    )
    return ConversationPage(
        coverage=replace(coverage, note=" ".join([coverage.note, *notes]).strip()),
        rows=shown_rows,
        shown=shown,
        next_cursor=cursors[-1] if has_more else "",
        existing=await available_values(store, filters, coverage.matched),
    )


async def available_values(store: Store, filters: Filters, matched: int) -> dict[str, Existing]:
    """The values that exist, for each filter by one that does not: for statuses and excluded values always, for others
    only if nothing matches. Then also whether calls match but for the status."""
    existing: dict[str, Existing] = {}
    by_column = {column: filters.named(column) for column in NAMED if not matched or column == "status"}
    columns = [column for column, values in by_column.items() if values]
    for column, stored in (await store.read.distinct(*columns) if columns else {}).items():
        form = label if column in LABELLED else str
        forms = {form(value) for value in stored}
        unknown = next((value for value in by_column[column] if form(value) not in forms and is_whole(value)), None)
        if unknown is None:
            continue
        if column == "agent_id":
            existing[column] = Existing(*await existing_agents(store, unknown))
        elif column == "status" and (outcome := _OUTCOMES.get(label(unknown))):
            existing[column] = Existing(stored, instead=f"call_successful={outcome}")
        else:
            existing[column] = Existing(stored, nearest(unknown, stored))
    conditions = [condition for condition in filters.on_results if not matched or condition.operator == "!="]
    if conditions:
        existing |= await _existing_results(store, conditions)
    if filters.status and not matched and not existing:
        otherwise = await store.read.count(filters.without(frozenset({"status"})))
        outcome = next((_OUTCOMES[value] for value in map(label, filters.status) if value in _OUTCOMES), "")
        if otherwise:
            instead = f"call_successful={outcome}" if outcome else ""
            existing["status"] = Existing([], instead=instead, otherwise=otherwise)
    return existing


async def _existing_results(store: Store, conditions: Sequence[Condition]) -> dict[str, Existing]:
    """The values or result fields that exist, for conditions with one that does not."""
    existing: dict[str, Existing] = {}
    paths = sorted(await store.aggregates.paths())
    for condition in conditions:
        if not any(path == condition.path or path.startswith(f"{condition.path}.") for path in paths):
            below = next((path for path in paths if path.endswith(f".{condition.path}")), "")
            below = below or as_signal(condition.path)
            existing["result field"] = Existing(paths, below or nearest(condition.path, paths))
        elif condition.operator in ("=", "!=") and is_whole(condition.value) and not await _occurs(store, condition):
            existing[f"results.{condition.path}"] = await _existing_values(store, condition)
    return existing


async def _occurs(store: Store, condition: Condition) -> bool:
    return await store.read.count(Filters(results=(replace(condition, operator="="),))) > 0


async def _existing_values(store: Store, condition: Condition) -> Existing:
    """Only values that are like names: free texts are callers' words, which are shown only inside their boundary."""
    values_there = await store.aggregates.field(Filters(), condition.path, "text", _MAX_CANDIDATES)
    values = [value for value, _ in values_there.top]
    suggestion = nearest(condition.value, values)
    named = [value for value in values if _is_name(value)] if values_there.distinct <= _MAX_VALUES else []
    return Existing(named, suggestion if _is_name(suggestion) else "", values_there.distinct - len(named))


def _is_name(value: str) -> bool:
    return outside_form(value) == value


def _list_request_for(query: ListQuery, cursor: Cursor, requested_at: datetime) -> ListRequest:
    request = ListRequest(query.filters)
    if cursor.row:  # the list was checked for the previous page
        request = replace(request, fresh_since=requested_at - _SAME_LIST)
    # The newest calls are enough if only order and agent decide the page; `until`, for example, skips the newest.
    if query.order == NEWEST and query.filters == Filters(agent_id=query.filters.as_stored().agent_id):
        return replace(request, newest=cursor.shown + query.limit)
    return request


@dataclass(frozen=True, slots=True)
class _PageReader:
    """Reads one page of a list, with the details of the calls that it shows."""

    loader: Loader
    context: RequestContext
    query: ListQuery
    cursor: Cursor
    request: DataRequest

    async def read(self, coverage: Coverage) -> tuple[Coverage, _Rows]:
        """The rows of the page and one more, if there is one; and the coverage with the details fetched for them."""
        rows = await self._matching(coverage)
        if self._shows_details:
            coverage, rows = await self._fetch_shown(coverage, rows)
        before = 0 if coverage.is_counted else self.cursor.shown  # of those, some may no longer match
        return coverage.at_least(before + len(rows)), rows

    async def _matching(self, coverage: Coverage) -> _Rows:
        """Read after the coverage: where that is complete, they are all that match."""
        query, after = self.query, self.cursor.row
        if not coverage.matched and not after:
            return []
        try:
            return await self.loader.store.read.page(query.filters, query.order, query.limit + 1, after)
        except LookupError:
            raise stale_cursor_error() from None

    @property
    def _shows_details(self) -> bool:
        query = self.query
        in_detail = {"failure_reason", *self.loader.sync.detail_only_fields, *query.extracted}
        return query.summary_mode == "include" or not in_detail.isdisjoint((*query.fields, *query.extracted))

    async def _fetch_shown(self, coverage: Coverage, rows: _Rows) -> tuple[Coverage, _Rows]:
        """Fetches the details of the rows shown; where details decide what matches, that is counted and read again."""
        loader, request, requested_at = self.loader, self.request, self.context.requested_at
        due = await loader.store.read.needing_refresh(self._shown_ids(rows), requested_at)
        fetching = loader.sync.fetch_details(due, self.context.seconds_left, self.context.report)
        error = await self.context.load(fetching)
        decide = request.with_details or loader.needs_details(request.filters)
        if due and decide:
            list_status = await loader.sync.list_status(request.list_request, requested_at)
            coverage = await loader.coverage(self.context, request, list_status, error)
            rows = await self._matching(coverage)
        ids = self._shown_ids(rows)
        missing = await loader.store.read.needing_refresh(ids, requested_at) if due else []
        if not decide:
            coverage = replace(coverage, details_needed=len(ids), details_read=len(ids) - len(missing))
        if not missing:
            return coverage, rows
        failures, note = await loader.store.read.failures_among(missing, requested_at), ""
        if left := len(missing) - sum(failures.values()):
            why = error.message if error else "Ask again for them."
            note = f"Results and words of {left:,} of {len(ids):,} calls are not loaded yet. {why}"
        note = " ".join((note, *failure_notes(failures, f"{len(ids):,} calls shown"))).strip()
        return coverage.incomplete(note), rows

    def _shown_ids(self, rows: _Rows) -> list[str]:
        return [call.conversation_id for _, call in rows[: self.query.limit]]

    async def with_details(self, coverage: Coverage, rows: list[Row]) -> tuple[Coverage, tuple[Row, ...]]:
        """The rows with all that the query shows of them, and the coverage with what is unreadable there."""
        if not rows:
            return coverage, ()
        loader, query, ids = self.loader, self.query, [row.conversation.conversation_id for row in rows]
        coverage = coverage.with_unreadable(await loader.store.read.unreadable_among(ids, FIELDS.keys()))
        if not self._shows_details:
            return coverage, tuple(rows)
        is_included, signals = query.summary_mode == "include", signals_of(query.extracted)
        stored, paths = await loader.store.read.get(ids), paths_of(query.extracted)
        extracted = await loader.store.read.values(ids, paths) if paths else {}
        measured = await loader.signals_of(ids) if signals else {}
        kinds = SHOWN_KINDS if is_included else FIELDS.keys() | kinds_used(query.extracted)
        coverage = coverage.with_unreadable(await loader.store.read.unreadable_among(ids, kinds))
        if not_requested := signals - self.request.all_signals:
            calls = [measured.get(conversation_id, {}) for conversation_id in ids]
            coverage = await with_measured(coverage, loader.store, query.filters, not_requested, calls)
        shown: list[Row] = []
        for row, conversation_id in zip(rows, ids, strict=True):
            call = stored.get(conversation_id, row.conversation)
            facts = extracted.get(conversation_id, {}), measured.get(conversation_id, {})
            shown.append(
                replace(
                    row,
                    conversation=call if is_included else call._replace(results=None),
                    gist=await _gist(loader.store, conversation_id) if is_included else "",
                    values=values_of(*facts, query.extracted),
                )
            )
        return coverage, tuple(shown)


async def _gist(store: Store, conversation_id: str) -> str:
    count = await store.read.turn_count(conversation_id) or 0
    ends = await store.read.turns(conversation_id, 0, 2)
    if count > 2:
        ends += await store.read.turns(conversation_id, max(2, count - 2), 2)
    words = [f"{turn.role}: {_short(_without_marks(turn.text))}" for turn in ends if turn.text]
    return " … ".join([" / ".join(words[:2]), " / ".join(words[2:])]) if len(words) > 2 else " / ".join(words)


def _without_marks(text: str) -> str:
    """A turn without what separates turns, so that none can be read as two."""
    return text.replace(" / ", "/").replace(" … ", "… ")


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
