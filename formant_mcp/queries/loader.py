"""Loads what a query needs within the time of a tool call, and reports what the store then covers of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.filters import FIELDS, NAMED, NO_FILTERS, DetailRequest, Filters, some_filter_on
from formant_mcp.queries.coverage import (
    RESULTS,
    SPEAKERS,
    WORDS,
    Coverage,
    failure_notes,
    filter_notes,
    list_notes,
    missing_list_notes,
    not_measured_notes,
    signal_notes,
    unreadable_notes,
)
from formant_mcp.queries.signals import check_measurable
from formant_mcp.store import Store
from formant_mcp.store.reader import Counts
from formant_mcp.sync import AnySync
from formant_mcp.sync.background import Report
from formant_mcp.sync.list_sync import ListRequest, ListStatus

_BOUNDS = frozenset({"since", "until"})
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_SOME_CALLS = 100
_ANSWER_SECONDS = 1.0  # reserved of a call's time, or a tenth of it, to build the answer

T = TypeVar("T")


class RequestContext:
    """One tool call: when it was requested, how much time it has left, and where it reports progress.

    `loading`: how many seconds of it went into loading.
    """

    def __init__(self, requested_at: datetime, seconds: float, report: Report | None = None) -> None:
        self.requested_at = requested_at
        self.report = report
        self.loading = 0.0
        self._ends = asyncio.get_running_loop().time() + seconds - min(_ANSWER_SECONDS, seconds / 10)

    @property
    def seconds_left(self) -> float:
        """Never below zero."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())

    async def load(self, work: Awaitable[T]) -> T:
        """The result of what loads something, which need not be loaded again."""
        had = self.seconds_left
        try:
            return await work
        finally:
            self.loading += had - self.seconds_left


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What a query needs: the conversations that match `filters`, from the list that `list_request` describes.

    `with_details`: also their transcripts and results. `uses`: which of WORDS, RESULTS, SPEAKERS and FIELDS the answer
    uses of each conversation, in addition to the filters; `signals`: the signals that it names; `with_signals`: it uses
    whatever is measured. `also`: further filters whose details are needed, such as those of another period; `usual`:
    those of the calls that the answer takes what is usual from.
    """

    filters: Filters
    list_request: ListRequest
    with_details: bool = False
    uses: frozenset[str] = frozenset()
    signals: frozenset[str] = frozenset()
    with_signals: bool = False
    also: tuple[Filters, ...] = ()
    usual: Filters | None = None

    @property
    def all_signals(self) -> frozenset[str]:
        """The signals that the answer or a filter names."""
        return self.signals.union(*(filters.signals for filters in (self.filters, *self.also)))

    @property
    def periods(self) -> tuple[Filters, ...]:
        """The filters, those of overlapping periods as one."""
        return _merged(self.needed)

    @property
    def needed(self) -> tuple[Filters, ...]:
        """All filters whose details are needed, those of the answer first."""
        return (self.filters, *self.also, *([self.usual] if self.usual else []))


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads what queries need, and reports their coverage."""

    sync: AnySync
    store: Store

    async def ensure_loaded(self, context: RequestContext, request: DataRequest) -> Coverage:
        """Refreshes the list, then loads the details that are needed, as far as the time allows.

        Raises:
            FormantError: nothing can be answered at all.
        """
        if unsupported := sorted(self.sync.unsupported_filters & request.filters.given().keys()):
            raise InvalidRequestError(f"{unsupported[0]}: this provider's calls have no such field.", "Leave it out.")
        check_measurable(request.all_signals, self.sync.unmeasured)
        if request.with_signals or request.all_signals:
            await context.load(self.sync.measure_stored(context.seconds_left))
        refreshing = self.sync.refresh_list(request.list_request, context.seconds_left, context.report)
        list_status = await context.load(refreshing)
        coverage = await self._load_details(context, request, list_status)
        if list_status.error or coverage.known:
            return coverage
        # Nothing of the account is stored: with some of its calls, the answer can name existing values.
        some_calls = ListRequest(newest=_SOME_CALLS)
        error = (await context.load(self.sync.refresh_list(some_calls, context.seconds_left, context.report))).error
        list_status = await self.sync.list_status(request.list_request, context.requested_at)
        return await self._load_details(context, request, replace(list_status, error=error))

    async def _load_details(self, context: RequestContext, request: DataRequest, list_status: ListStatus) -> Coverage:
        error, counts = list_status.error, await self._count(context, request)
        if counts.due and not error:
            for detail_request in self._detail_requests(request.needed, request.with_details):
                if error:
                    break
                due = await self.store.read.details_to_fetch(detail_request, context.requested_at)
                fetching = self.sync.fetch_details(due, context.seconds_left, context.report)
                error = await context.load(fetching)
            # Meanwhile more of the list may have been stored.
            list_status = await self.sync.list_status(request.list_request, context.requested_at)
            counts = await self._count(context, request)
        return await self.coverage(context, request, list_status, error, counts)

    def needs_details(self, filters: Filters) -> bool:
        """Whether list rows are not enough to decide what matches."""
        return DetailRequest(filters, False, self.sync.detail_only_fields).is_any

    async def signals_of(self, conversation_ids: Sequence[str]) -> dict[str, dict[str, Measured]]:
        """What is measured of these stored conversations, by id."""
        signals = self.store.signals
        measured = await signals.of(conversation_ids)
        missing = [conversation_id for conversation_id in conversation_ids if conversation_id not in measured]
        if missing and await signals.measure(missing):
            measured = await signals.of(conversation_ids)
        return measured

    async def coverage(
        self,
        context: RequestContext,
        request: DataRequest,
        list_status: ListStatus,
        error: FormantError | None,
        counts: Counts | None = None,
    ) -> Coverage:
        """What the store covers of a query now; `error`: why no more could be loaded; `counts`: if they are read.

        Raises:
            FormantError: the error, if nothing is stored at all.
        """
        filters, periods = request.filters, request.periods
        if error and list_status.as_of is None and not list_status.stored:
            raise error
        counts = counts or await self._count(context, request)
        list_status = list_status.with_stored(counts.stored)
        is_whole = list_status.is_complete and not counts.running and not list_status.kept_from
        unreadable = await self._unreadable(periods, request.uses, list_status.unreadable, counts)
        is_clear = not unreadable.keys() & filters.fields  # else more may match
        matched, is_listed = _matched(counts.matched, request, list_status)
        which = self._which(counts.details, request)
        failures = await self._failures(context, request) if counts.due else Counter[str]()
        missing = missing_list_notes(list_status, counts.running, error, self._time_for)
        missing += self._to_load(counts.due - failures.total(), which, error)
        notes = list_notes(list_status, missing, error) + failure_notes(failures, which) + unreadable_notes(unreadable)
        not_measured, of_signals = await self._signal_notes(request)
        of_filters = await filter_notes(self.store, filters, context.requested_at)
        is_settled = is_whole and is_clear and list_status.knows_all
        return Coverage(
            matched=matched,
            known=list_status.stored,
            total=list_status.total,
            complete=is_whole and not counts.due and not unreadable and not not_measured,
            as_of=list_status.as_of,
            details_needed=counts.details,
            details_read=counts.details - counts.due,
            note=" ".join([*notes, *not_measured, *of_signals, *of_filters]),
            unreadable=unreadable,
            requested_at=context.requested_at,
            since=filters.since,
            until=filters.until,
            is_whole=is_whole,
            is_counted=is_listed or (is_whole and is_clear and not await self._undecided(context, request, counts)),
            knows_list=list_status.knows_all,
            settled=await self._settled(context, filters, matched) if is_settled else frozenset(),
            version=counts.version,
        )

    async def _count(self, context: RequestContext, request: DataRequest) -> Counts:
        details = self._detail_requests(request.periods, request.with_details)
        return await self.store.read.counts(request.filters, details, context.requested_at)

    async def _undecided(self, context: RequestContext, request: DataRequest, counts: Counts) -> int:
        """How many calls must be loaded before it is certain whether they match."""
        if not (counts.due and request.with_details):
            return counts.due
        return (await self._count(context, replace(request, with_details=False))).due

    def _which(self, needed: int, request: DataRequest) -> str:
        what = "conversations that may match" if self.needs_details(request.filters) else "matching conversations"
        if len(request.needed) > 1 and request.periods == request.needed[1:]:
            what = "conversations to compare"
        return f"{needed:,} {what}"

    async def _unreadable(
        self, periods: tuple[Filters, ...], uses: frozenset[str], rows: int, stored: Counts
    ) -> dict[str, int]:
        """By kind: for what the answer uses, of calls that match; for what a filter uses, of all calls it checks."""
        counts, read, counted = Counter({"rows": rows}), self.store.read, set[Filters]()
        kinds = uses.union(*(period.fields | _used_by_conditions(period) for period in periods))
        existing = await read.unreadable(NO_FILTERS, kinds) if stored.has_unreadable else {}
        for period in periods if existing else ():
            fields, by_conditions = FIELDS.keys() & (uses | period.fields), _used_by_conditions(period)
            candidates = period.without_fields(existing.keys() & fields)
            counts.update(await read.unreadable(period, uses - fields - by_conditions))
            counts.update(await read.unreadable(replace(period, results=()), by_conditions))
            if candidates not in counted:  # both periods have the same ones, without their bounds
                counts.update(await read.unreadable(candidates, fields))
            counted.add(candidates)
        return {kind: count for kind, count in counts.items() if count}

    async def _failures(self, context: RequestContext, request: DataRequest) -> Counter[str]:
        """Of the details still to load, how many failed, by reason."""
        failures = Counter[str]()
        for detail_request in self._detail_requests(request.periods, request.with_details):
            failures.update(await self.store.read.failures(detail_request, context.requested_at))
        return failures

    async def _settled(self, context: RequestContext, filters: Filters, matched: int) -> frozenset[str]:
        """The filters of `Coverage.settled`; empty as well if every value of the query's filters occurs."""
        may_not_occur = filters.status or any(condition.operator == "!=" for condition in filters.results)
        if matched and not may_not_occur:
            return frozenset()
        examples = {name: self._detail_requests((some_filter_on(name),), False) for name in (*NAMED, "results")}
        requests = [request for requests in examples.values() for request in requests]
        due = await self.store.read.still_due(requests, context.requested_at)
        return frozenset(name for name, requests in examples.items() if due.isdisjoint(requests))

    def _detail_requests(self, periods: tuple[Filters, ...], with_details: bool) -> list[DetailRequest]:
        requests = [DetailRequest(period, with_details, self.sync.detail_only_fields) for period in periods]
        return [request for request in requests if request.is_any]

    async def _signal_notes(self, request: DataRequest) -> tuple[list[str], list[str]]:
        """How many calls are still to be measured, and for how many each signal can be measured."""
        if not (request.with_signals or request.all_signals):
            return [], []
        signals, needed = self.store.signals, list(map(_without_signals, request.periods))
        due = sum([await signals.count_due(period) for period in needed])
        not_measured = not_measured_notes(due, await self._sum(needed)) if due else list[str]()
        measured, periods = Counter[str](), list(map(_without_signals, _merged((request.filters, *request.also))))
        for period in periods if request.all_signals else ():
            measured.update(await signals.count_measured(period, sorted(request.all_signals)))
        return not_measured, signal_notes(measured, await self._sum(periods)) if measured else []

    async def _sum(self, periods: Sequence[Filters]) -> int:
        return sum([await self.store.read.count(period) for period in periods])

    def _to_load(self, left: int, which: str, error: FormantError | None) -> list[str]:
        return [f"{left:,} of {which} still to load{'' if error else self._time_for(left)}."] if left else []

    def _time_for(self, requests: int) -> str:
        rate = self.sync.requests_per_minute
        if not rate or requests <= rate / 2:
            return ""
        minutes = max(1, round(requests / rate))
        time = f"{minutes} min" if minutes < 100 else f"{minutes / 60:.0f} h"
        return f" (about {time} at {rate:g} requests a minute)"


def _without_signals(filters: Filters) -> Filters:
    """The filters without conditions on signals, which may still have to be measured."""
    return replace(filters, results=filters.on_results)


def _used_by_conditions(filters: Filters) -> frozenset[str]:
    """What the conditions of `results` use of each call that they check."""
    return (RESULTS if filters.on_results else frozenset[str]()) | (
        WORDS | SPEAKERS if filters.signals else frozenset[str]()
    )


def _matched(matched: int, request: DataRequest, list_status: ListStatus) -> tuple[int, bool]:
    """How many match, and whether the provider itself counts them."""
    filters, listed = request.filters, request.list_request.filters
    is_list = filters == Filters(agent_id=filters.as_stored().agent_id) and filters.agent_id == listed.agent_id
    if is_list and list_status.list_total is not None:
        # That of all agents is as of when calls were counted.
        total = list_status.list_total if listed.agent_id else list_status.total
        return max(matched, total or 0), True
    return matched, False


def _has_all_of(filters: Filters, others: Filters) -> bool:
    """Whether all that match the others match these filters too."""
    names = filters.given().keys() - _BOUNDS
    starts_first = filters.since is None or (others.since is not None and filters.since <= others.since)
    ends_last = filters.until is None or (others.until is not None and filters.until >= others.until)
    return starts_first and ends_last and filters.only(frozenset(names)) == others.only(frozenset(names))


def _merged(periods: tuple[Filters, ...]) -> tuple[Filters, ...]:
    """Two periods that overlap as one, so that a call in both counts once; filters and all around them likewise."""
    if len(periods) < 2:
        return periods
    if _has_all_of(periods[1], periods[0]):
        return periods[1:]
    first, second = sorted(periods, key=lambda period: period.since or _ALWAYS)
    if first.until and second.since and first.until < second.since:
        return periods
    until = None if first.until is None or second.until is None else max(first.until, second.until)
    return (replace(first, until=until),)
