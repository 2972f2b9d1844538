"""What a question needs is brought here, within the time a call has, and what is still missing is said."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.filters import FIELDS, NO_FILTERS, Condition, DetailRequest, Filters
from formant_mcp.queries.sizes import size_notes
from formant_mcp.store import Store
from formant_mcp.sync import Sync
from formant_mcp.sync.background import Report
from formant_mcp.sync.list_sync import ListRequest, ListStatus

_EVER = datetime.min.replace(tzinfo=UTC)
WORDS, RESULTS, SPEAKERS = frozenset({"transcripts", "turns"}), frozenset({"results"}), frozenset({"speakers"})
"""What a question may look at inside a conversation, as kinds of what may be unreadable there; its own fields, too."""

_KINDS = (
    ("rows", "row of the list", "rows of the list"),
    ("transcripts", "transcript", "transcripts"),
    ("turns", "turn", "turns"),
    ("results", "result value", "result values"),
    ("speakers", "turn's speaker", "turns' speakers"),
    ("started_at", "start time", "start times"),
    ("duration_seconds", "duration", "durations"),
    ("status", "status", "statuses"),
    ("agent_id", "agent id", "agent ids"),
    ("contact_number", "contact number", "contact numbers"),
    ("failure_reason", "failure reason", "failure reasons"),
    ("user_id", "user id", "user ids"),
)
_INSIDE = {  # filters whose values may be in details alone, each with a question that needs all of them
    "failure_reason": Filters(failure_reason="-"),
    "user_id": Filters(user_id="-"),
    "direction": Filters(direction="-"),
    "results": Filters(results=(Condition("-", "exists"),)),
}
_SOME_CALLS = 100
_GO_ON = "Ask again, narrow by since, agent_id or status, or run `formant-mcp sync` once to load everything."
_ANSWER_SECONDS = 1.0  # kept back of a call's time, or a tenth of it, to put the answer together


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer covers.

    `matched` conversations of `known` ones, of `total` that the provider says there are (None: it does not say).
    `complete` only when everything that could match was looked at; else `note` says what is missing and how to go on.
    `details_needed`, `details_read`: for how many the question needed transcript or results, and how many had them.
    `unreadable`: what the provider sent and nobody here could understand, by kind, where the question looks at it.
    `requested_at`: the server's time; `since`, `until`: of the question. `is_whole`: the list that the question uses is
    loaded to its end. `is_counted`: nothing more can match. `knows_list`: every conversation of the account is listed.
    `settled`: the filters whose values are loaded for every conversation of the account.
    """

    matched: int
    known: int
    total: int | None
    complete: bool
    as_of: datetime | None
    details_needed: int = 0
    details_read: int = 0
    note: str = ""
    unreadable: dict[str, int] = field(default_factory=dict[str, int])
    requested_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_whole: bool = True
    is_counted: bool = True
    knows_list: bool = True
    settled: frozenset[str] = frozenset()

    def but_for(self, unreadable: Mapping[str, int]) -> "Coverage":
        """The same for a question that looks at these, too; what is counted already is not counted again."""
        more = {kind: count for kind, count in unreadable.items() if kind not in self.unreadable}
        return replace(
            self,
            complete=self.complete and not more,
            note=" ".join((self.note, *unreadable_notes(more))).strip(),
            unreadable=self.unreadable | more,
        )


class RequestContext:
    """One tool call: when it was asked, how long it may still take, whom to tell how far it is."""

    def __init__(self, requested_at: datetime, seconds: float, report: Report | None = None) -> None:
        self.requested_at = requested_at
        self.report = report
        self._ends = asyncio.get_running_loop().time() + seconds - min(_ANSWER_SECONDS, seconds / 10)

    @property
    def seconds_left(self) -> float:
        """Never below zero."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What a question needs: the conversations that match `filters`, out of the list that `list_request` asks for.

    `with_details`: their transcripts and results too. `looks_at`: which of WORDS, RESULTS, SPEAKERS and FIELDS the
    answer uses of each conversation, besides the filters. `also`: further filters whose details are needed, such as
    those of another period.
    """

    filters: Filters
    list_request: ListRequest
    with_details: bool = False
    looks_at: frozenset[str] = frozenset()
    also: tuple[Filters, ...] = ()

    @property
    def periods(self) -> tuple[Filters, ...]:
        """The filters, those of overlapping periods as one."""
        return _apart((self.filters, *self.also))


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads what questions need, and reports their coverage."""

    sync: Sync
    store: Store

    async def ensure_loaded(self, context: RequestContext, request: DataRequest) -> Coverage:
        """Refreshes the list, then loads the details that are needed, as far as the time allows.

        Raises:
            FormantError: nothing can be answered at all.
        """
        if unsupported := sorted(self.sync.unsupported_filters & request.filters.given().keys()):
            raise InvalidRequestError(f"{unsupported[0]}: this provider's calls have no such field.", "Leave it out.")
        trouble = await self.sync.refresh_list(request.list_request, context.seconds_left, context.report)
        coverage = await self._load_details(context, request, trouble)
        if trouble or coverage.known:
            return coverage
        # Nothing is known of the account: with some of its calls, the answer can name the values that exist.
        some = ListRequest(newest=_SOME_CALLS)
        trouble = await self.sync.refresh_list(some, context.seconds_left, context.report)
        return await self._load_details(context, request, trouble)

    async def _load_details(
        self, context: RequestContext, request: DataRequest, trouble: FormantError | None
    ) -> Coverage:
        for detail_request in self._detail_requests((request.filters, *request.also), request.with_details):
            if not trouble:
                due = await self.store.read.details_to_fetch(detail_request, context.requested_at)
                trouble = await self.sync.fetch_details(due, context.seconds_left, context.report)
        return await self.coverage(context, request, trouble)

    def needs_details(self, filters: Filters) -> bool:
        """Whether it takes more than list rows to tell what matches."""
        return DetailRequest(filters, False, self.sync.detail_only_fields).is_any

    async def coverage(self, context: RequestContext, request: DataRequest, trouble: FormantError | None) -> Coverage:
        """What the store covers of a question now; `trouble`: why no more could be loaded.

        Raises:
            FormantError: the trouble, where nothing is known at all.
        """
        filters, periods = request.filters, request.periods
        list_status = await self.sync.list_status(request.list_request, context.requested_at)
        if trouble and list_status.as_of is None and not list_status.stored:
            raise trouble
        details = self._detail_requests(periods, request.with_details)
        counts = await self.store.read.counts(filters, details, context.requested_at)
        undecided = counts.due
        if counts.due and request.with_details:
            decisive = self._detail_requests(periods, with_details=False)
            undecided = (await self.store.read.counts(filters, decisive, context.requested_at)).due
        is_whole = list_status.is_complete and not counts.running
        unreadable = await self._unreadable(periods, request.looks_at, list_status.unreadable)
        is_clear = not unreadable.keys() & filters.fields  # else some more may match
        matched, is_listed = _matched(counts.matched, filters, list_status)
        of = self._of(counts.details, filters)
        failures = await self._failures(context, details if counts.due else [])
        missing = _missing_list(list_status, counts.running, trouble, self._time)
        missing += self._to_load(counts.due - failures.total(), of, trouble)
        notes = _notes(list_status, missing, trouble) + failure_notes(failures, of) + unreadable_notes(unreadable)
        is_settled = is_whole and is_clear and list_status.knows_all
        return Coverage(
            matched=matched,
            known=list_status.stored,
            total=list_status.total,
            complete=is_whole and not counts.due and not unreadable,
            as_of=list_status.as_of,
            details_needed=counts.details,
            details_read=counts.details - counts.due,
            note=" ".join([*notes, *await size_notes(self.store, filters)]),
            unreadable=unreadable,
            requested_at=context.requested_at,
            since=filters.since,
            until=filters.until,
            is_whole=is_whole,
            is_counted=is_listed or (is_whole and not undecided and is_clear),
            knows_list=list_status.knows_all,
            settled=await self._settled(context, filters, matched) if is_settled else frozenset(),
        )

    def _of(self, needed: int, filters: Filters) -> str:
        what = "conversations that may match" if self.needs_details(filters) else "matching conversations"
        return f"{needed:,} {what}"

    async def _unreadable(self, periods: tuple[Filters, ...], looks_at: frozenset[str], rows: int) -> dict[str, int]:
        """By kind, of those that match; what a filter looks at of all that it looked through."""
        found, read, seen = Counter({"rows": rows}), self.store.read, set[Filters]()
        any_results = RESULTS if any(each.results for each in periods) else frozenset[str]()
        some = await read.unreadable(NO_FILTERS, looks_at.union(any_results, *(each.fields for each in periods)))
        for each in periods if some else ():
            fields, results = FIELDS.keys() & (looks_at | each.fields), RESULTS & looks_at
            candidates = each.without_fields(some.keys() & fields)
            found.update(await read.unreadable(each, looks_at - fields - RESULTS))
            found.update(await read.unreadable(replace(each, results=()), RESULTS if each.results else results))
            if candidates not in seen:  # of both periods, where their bounds are what is left out
                found.update(await read.unreadable(candidates, fields))
            seen.add(candidates)
        return {kind: count for kind, count in found.items() if count}

    async def _failures(self, context: RequestContext, details: list[DetailRequest]) -> Counter[str]:
        """Of the details still to load, how many could not be, by the reason."""
        found = Counter[str]()
        for need in details:
            found.update(await self.store.read.failures(need, context.requested_at))
        return found

    async def _settled(self, context: RequestContext, filters: Filters, matched: int) -> frozenset[str]:
        """Empty also where everything asked for occurs, and nobody needs to know."""
        may_not_occur = filters.status or any(condition.operator == "!=" for condition in filters.results)
        if matched and not may_not_occur:
            return frozenset()
        inside: set[str] = set()
        for name, asks in _INSIDE.items():
            requests = self._detail_requests((asks,), with_details=False)
            if not (await self.store.read.counts(asks, requests, context.requested_at)).due:
                inside.add(name)
        return frozenset({"status", "agent_id"} | inside)

    def _detail_requests(self, periods: tuple[Filters, ...], with_details: bool) -> list[DetailRequest]:
        requests = [DetailRequest(each, with_details, self.sync.detail_only_fields) for each in periods]
        return [request for request in requests if request.is_any]

    def _to_load(self, left: int, of: str, trouble: FormantError | None) -> list[str]:
        return [f"{left:,} of {of} still to load{'' if trouble else self._time(left)}."] if left else []

    def _time(self, requests: int) -> str:
        rate = self.sync.requests_per_minute
        if not rate or requests <= rate / 2:
            return ""
        minutes = max(1, round(requests / rate))
        time = f"{minutes} min" if minutes < 100 else f"{minutes / 60:.0f} h"
        return f" (about {time} at {rate:g} requests a minute)"


def _matched(matched: int, filters: Filters, list_status: ListStatus) -> tuple[int, bool]:
    """How many match, and whether the provider itself counts them."""
    if filters == Filters(agent_id=filters.as_stored().agent_id) and list_status.list_total is not None:
        return max(matched, list_status.list_total), True
    return matched, False


def _notes(list_status: ListStatus, missing: list[str], trouble: FormantError | None) -> list[str]:
    """Whole sentences: what went wrong, what is missing, how to continue, and what the provider does not report."""
    notes = [f"Answered from stored data: {trouble.message.rstrip('.')}. {trouble.hint}".strip()] if trouble else []
    notes += missing
    if missing and not trouble:
        notes.append(_GO_ON)
    has_total = list_status.total is not None or list_status.list_total is not None
    if list_status.knows_all and list_status.is_complete and not has_total:
        notes.append("This provider reports no total; all pages were read.")
    return notes + _list_faults(list_status)


def _missing_list(
    list_status: ListStatus, outdated: int, trouble: FormantError | None, time_of: Callable[[int], str]
) -> list[str]:
    """What of the list is not loaded or not up to date."""
    notes: list[str] = []
    left = 0 if list_status.is_complete or list_status.unlisted else list_status.requests_left
    if list_status.is_listing:
        notes.append(f"The list is still loading: {list_status.stored:,} conversations so far.")
    if left:
        time = "" if trouble else time_of(left)
        notes.append(f"{left:,} more list {'page' if left == 1 else 'pages'} to load{time}.")
    has_faults = list_status.unreadable or list_status.unlisted or list_status.ends_early or list_status.gone
    is_explained = list_status.is_complete or notes or has_faults or trouble
    if not is_explained:
        notes.append("The list could not be refreshed within this call's time limit.")
    if outdated:
        notes.append(f"{outdated:,} running {'call' if outdated == 1 else 'calls'} could not be refreshed.")
    return notes


def failure_notes(failures: Mapping[str, int], of: str) -> list[str]:
    """Why details could not be loaded, a sentence a reason; `of` which calls."""
    notes = [f"{count:,} of {of} could not be loaded: {why}." for why, count in failures.items()]
    return [*notes, "A later question tries them again."] if notes else []


def unreadable_notes(unreadable: Mapping[str, int]) -> list[str]:
    """What could not be understood, as a sentence; none where there is nothing."""
    what = counted_kinds(unreadable)
    why = "could not be understood, so this answer may lack something; an update of formant-mcp may help."
    return [f"{what} {why}"] if what else []


def counted_kinds(unreadable: Mapping[str, int]) -> str:
    """How much of each kind could not be understood; '' where there is nothing."""
    counted = [
        f"{count:,} {one if count == 1 else many}" for kind, one, many in _KINDS if (count := unreadable.get(kind))
    ]
    return " and ".join([", ".join(counted[:-1]), counted[-1]] if counted[1:] else counted)


def _list_faults(list_status: ListStatus) -> list[str]:
    """What is wrong with the provider's list."""
    notes: list[str] = []
    if list_status.gone:
        calls, them = ("1 call", "it") if list_status.gone == 1 else (f"{list_status.gone:,} calls", "them")
        notes.append(
            f"{calls} may be gone: the provider no longer lists {them}. Nothing is deleted until this is confirmed."
        )
    if list_status.ends_early:
        notes.append("The provider announces more conversations than its list gives; how many is not known.")
    if list_status.unlisted:
        notes.append(f"The provider counts {list_status.unlisted:,} conversations that its list does not show.")
    return notes


def _apart(periods: tuple[Filters, ...]) -> tuple[Filters, ...]:
    """Two periods that overlap as one, so that a call in both counts once."""
    if len(periods) < 2:
        return periods
    first, second = sorted(periods, key=lambda each: each.since or _EVER)
    if first.until and second.since and first.until < second.since:
        return periods
    until = None if first.until is None or second.until is None else max(first.until, second.until)
    return (replace(first, until=until),)
