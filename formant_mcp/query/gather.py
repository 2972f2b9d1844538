"""What a question needs is brought here, within the time a call has, and what is still missing is said."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.filters import FIELDS, Condition, DetailNeed, Filters
from formant_mcp.query.sizes import size_notes
from formant_mcp.store import Store
from formant_mcp.sync import Sync
from formant_mcp.sync.jobs import Report
from formant_mcp.sync.lists import Knowledge, ListRequest

_EVER = datetime.min.replace(tzinfo=UTC)
WORDS, RESULTS, SPEAKERS = frozenset({"transcripts", "turns"}), frozenset({"results"}), frozenset({"speakers"})
"""What a question may look at inside a conversation, as kinds of what may be unreadable there; its own fields, too."""

_NOTHING = frozenset[str]()
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
    `asked_at`: the server's time; `since`, `until`: of the question. `is_whole`: the list that the question looks at is
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
    asked_at: datetime | None = None
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


class Call:
    """One tool call: when it was asked, how long it may still take, whom to tell how far it is."""

    def __init__(self, asked_at: datetime, seconds: float, report: Report | None = None) -> None:
        self.asked_at = asked_at
        self.report = report
        self._ends = asyncio.get_running_loop().time() + seconds - min(_ANSWER_SECONDS, seconds / 10)

    @property
    def seconds_left(self) -> float:
        """Never below zero."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True)
class Gathering:
    """Brings what questions need, and tells their coverage."""

    sync: Sync
    store: Store

    async def bring(
        self,
        call: Call,
        filters: Filters,
        need: ListRequest,
        *,
        with_details: bool = False,
        looks_at: frozenset[str] = _NOTHING,
        also: tuple[Filters, ...] = (),
    ) -> Coverage:
        """Brings the list, then the details where the question looks into them, as far as the time allows.

        `looks_at`: of WORDS, RESULTS, SPEAKERS and FIELDS, those that it looks at in every conversation that matches,
        beside what it filters by. `also`: other filters whose details the question needs as well, such as another
        period's.

        Raises:
            FormantError: nothing can be answered at all.
        """
        if unsupported := sorted(self.sync.unsupported_filters & filters.given().keys()):
            raise InvalidRequestError(f"{unsupported[0]}: this provider's calls have no such field.", "Leave it out.")
        trouble = await self.sync.bring_list(need, call.seconds_left, call.report)
        if not trouble and not self.store.read.count_seen(""):
            # Nothing is known of the account: with some of its calls, the answer can name the values that exist.
            trouble = await self.sync.bring_list(ListRequest(newest=_SOME_CALLS), call.seconds_left, call.report)
        for each in self._detail_needs((filters, *also), with_details):
            if not trouble:
                due = self.store.read.detail_due(each, call.asked_at)
                trouble = await self.sync.bring_details(due, call.seconds_left, call.report)
        return self.coverage(call, filters, need, trouble, with_details=with_details, looks_at=looks_at, also=also)

    def looks_inside(self, filters: Filters) -> bool:
        """Whether it takes more than list rows to tell what matches."""
        return DetailNeed(filters, False, self.sync.detail_only_fields).is_any

    def coverage(
        self,
        call: Call,
        filters: Filters,
        need: ListRequest,
        trouble: FormantError | None,
        *,
        with_details: bool = False,
        looks_at: frozenset[str] = _NOTHING,
        also: tuple[Filters, ...] = (),
    ) -> Coverage:
        """What the store covers of a question now.

        Raises:
            FormantError: the trouble, where nothing is known at all.
        """
        knowledge = self.sync.knowledge(need, call.asked_at)
        if trouble and knowledge.as_of is None and not knowledge.known:
            raise trouble
        periods = _apart((filters, *also))
        needed, due = self._details(call, periods, with_details=with_details)
        undecided = self._details(call, periods, with_details=False)[1] if due and with_details else due
        outdated = len(self.store.read.running(filters.agent_id, call.asked_at))
        is_whole = knowledge.is_complete and not outdated
        unreadable = self._unreadable(periods, looks_at, knowledge.unreadable)
        is_clear = not unreadable.keys() & filters.fields  # else some more may match
        matched, is_listed = self._matched(filters, need, knowledge)
        of = self._of(needed, filters)
        failures = self._failures(call, periods if due else (), with_details=with_details)
        missing = self._missing_list(knowledge, outdated, trouble) + self._to_load(due - failures.total(), of, trouble)
        notes = [*self._notes(knowledge, missing, trouble), *failure_notes(failures, of), *unreadable_notes(unreadable)]
        return Coverage(
            matched=matched,
            known=knowledge.known,
            total=knowledge.total,
            complete=is_whole and not due and not unreadable,
            as_of=knowledge.as_of,
            details_needed=needed,
            details_read=needed - due,
            note=" ".join([*notes, *size_notes(self.store, filters)]),
            unreadable=unreadable,
            asked_at=call.asked_at,
            since=filters.since,
            until=filters.until,
            is_whole=is_whole,
            is_counted=is_listed or (is_whole and not undecided and is_clear),
            knows_list=self.sync.knows_all(),
            settled=self._settled(call, filters, matched) if is_whole and is_clear else frozenset(),
        )

    def _matched(self, filters: Filters, need: ListRequest, knowledge: Knowledge) -> tuple[int, bool]:
        """How many match, and whether the provider itself counts them."""
        matched = self.store.read.count(filters)
        if filters == Filters(agent_id=filters.as_stored().agent_id) and knowledge.list_total is not None:
            return max(matched, knowledge.list_total), True
        return matched, False

    def _of(self, needed: int, filters: Filters) -> str:
        what = "conversations that may match" if self.looks_inside(filters) else "matching conversations"
        return f"{needed:,} {what}"

    def _unreadable(self, periods: tuple[Filters, ...], looks_at: frozenset[str], rows: int) -> dict[str, int]:
        """By kind, of those that match; what a filter looks at of all that it looked through."""
        found, read, seen = Counter({"rows": rows}), self.store.read, set[Filters]()
        for each in periods:
            fields, results = FIELDS.keys() & (looks_at | each.fields), RESULTS & looks_at
            candidates = each.without_fields(read.unreadable(Filters(), fields).keys())
            found.update(read.unreadable(each, looks_at - fields - RESULTS))
            found.update(read.unreadable(replace(each, results=()), RESULTS if each.results else results))
            if candidates not in seen:  # of both periods, where their bounds are what is left out
                found.update(read.unreadable(candidates, fields))
            seen.add(candidates)
        return {kind: count for kind, count in found.items() if count}

    def _details(self, call: Call, periods: tuple[Filters, ...], *, with_details: bool) -> tuple[int, int]:
        """For how many conversations the question needs details, and for how many of them they are still to load."""
        needs = self._detail_needs(periods, with_details)
        read = self.store.read
        return (
            sum(read.count(need.candidates) for need in needs),
            sum(read.count_detail_due(need, call.asked_at) for need in needs),
        )

    def _failures(self, call: Call, periods: tuple[Filters, ...], *, with_details: bool) -> Counter[str]:
        """Of the details still to load, how many could not be, by the reason."""
        found = Counter[str]()
        for need in self._detail_needs(periods, with_details):
            found.update(self.store.read.failures(need, call.asked_at))
        return found

    def _settled(self, call: Call, filters: Filters, matched: int) -> frozenset[str]:
        """Empty also where everything asked for occurs, and nobody needs to know."""
        may_not_occur = filters.status or any(condition.operator == "!=" for condition in filters.results)
        if (matched and not may_not_occur) or not self.sync.knows_all():
            return frozenset()
        inside = {name: self._details(call, (asks,), with_details=False)[1] for name, asks in _INSIDE.items()}
        return frozenset({"status", "agent_id"} | {name for name, due in inside.items() if not due})

    def _detail_needs(self, periods: tuple[Filters, ...], with_details: bool) -> list[DetailNeed]:
        needs = [DetailNeed(each, with_details, self.sync.detail_only_fields) for each in periods]
        return [need for need in needs if need.is_any]

    def _notes(self, knowledge: Knowledge, missing: list[str], trouble: FormantError | None) -> list[str]:
        """Whole sentences: what went wrong, what is missing, how to continue, and what the provider does not report."""
        notes = [f"Answered from stored data: {trouble.message.rstrip('.')}. {trouble.hint}".strip()] if trouble else []
        notes += missing
        if missing and not trouble:
            notes.append(_GO_ON)
        if self.sync.knows_all() and knowledge.is_complete and knowledge.total is None and knowledge.list_total is None:
            notes.append("This provider reports no total; all pages were read.")
        return notes + _list_faults(knowledge)

    def _missing_list(self, knowledge: Knowledge, outdated: int, trouble: FormantError | None) -> list[str]:
        """What of the list is not loaded or not up to date."""
        notes: list[str] = []
        left = 0 if knowledge.is_complete or knowledge.shortfall else knowledge.requests_left
        if knowledge.is_listing:
            notes.append(f"The list is still loading: {knowledge.known:,} conversations so far.")
        if left:
            time = "" if trouble else self._time(left)
            notes.append(f"{left:,} more list {'page' if left == 1 else 'pages'} to load{time}.")
        has_faults = knowledge.unreadable or knowledge.shortfall or knowledge.ends_early or knowledge.gone
        is_explained = knowledge.is_complete or notes or has_faults or trouble
        if not is_explained:
            notes.append("The list could not be refreshed within this call's time limit.")
        if outdated:
            notes.append(f"{outdated:,} running {'call' if outdated == 1 else 'calls'} could not be refreshed.")
        return notes

    def _to_load(self, left: int, of: str, trouble: FormantError | None) -> list[str]:
        return [f"{left:,} of {of} still to load{'' if trouble else self._time(left)}."] if left else []

    def _time(self, requests: int) -> str:
        rate = self.sync.requests_per_minute
        if not rate or requests <= rate / 2:
            return ""
        minutes = max(1, round(requests / rate))
        time = f"{minutes} min" if minutes < 100 else f"{minutes / 60:.0f} h"
        return f" (about {time} at {rate:g} requests a minute)"


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


def _list_faults(knowledge: Knowledge) -> list[str]:
    """What is wrong with the provider's list."""
    notes: list[str] = []
    if knowledge.gone:
        calls, them = ("1 call", "it") if knowledge.gone == 1 else (f"{knowledge.gone:,} calls", "them")
        notes.append(
            f"{calls} may be gone: the provider no longer lists {them}. Nothing is deleted until this is confirmed."
        )
    if knowledge.ends_early:
        notes.append("The provider announces more conversations than its list gives; how many is not known.")
    if knowledge.shortfall:
        notes.append(f"The provider counts {knowledge.shortfall:,} conversations that its list does not show.")
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
