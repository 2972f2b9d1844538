"""What a question needs is brought here, within the time a call has, and what is still missing is said."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.filters import DetailNeed, Filters
from formant_mcp.store import Store
from formant_mcp.sync import Sync
from formant_mcp.sync.jobs import Report
from formant_mcp.sync.lists import Knowledge, ListNeed

_EVER = datetime.min.replace(tzinfo=UTC)
_ANSWER_SECONDS = 1.0  # kept back of a call's time, or a tenth of it, to put the answer together


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer covers.

    `matched` conversations of `known` ones, of `total` that the provider says there are (None: it does not say).
    `complete` only when everything that could match was looked at; else `note` says what is missing and how to go on.
    `details_needed`, `details_read`: for how many the question needed transcript or results, and how many had them.
    """

    matched: int
    known: int
    total: int | None
    complete: bool
    as_of: datetime | None
    details_needed: int = 0
    details_read: int = 0
    note: str = ""


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
        need: ListNeed,
        *,
        with_details: bool = False,
        also: tuple[Filters, ...] = (),
    ) -> Coverage:
        """Brings the list, then the details where the question looks into them, as far as the time allows.

        `also`: other filters whose details the question needs as well, such as another period's.

        Raises:
            FormantError: nothing can be answered at all.
        """
        if filters.user_id and "user_id" in self.sync.lacks:
            raise InvalidRequestError("user_id: this provider's calls have no user ids.", "Leave it out.")
        trouble = await self.sync.bring_list(need, call.seconds_left, call.report)
        for each in self._detail_needs((filters, *also), with_details):
            if not trouble:
                due = self.store.read.detail_due(each, call.asked_at)
                trouble = await self.sync.bring_details(due, call.seconds_left, call.report)
        return self.coverage(call, filters, need, trouble, with_details=with_details, also=also)

    def looks_inside(self, filters: Filters) -> bool:
        """Whether it takes more than list rows to tell what matches."""
        return DetailNeed(filters, False, self.sync.only_in_detail).is_any

    def coverage(
        self,
        call: Call,
        filters: Filters,
        need: ListNeed,
        trouble: FormantError | None,
        *,
        with_details: bool = False,
        also: tuple[Filters, ...] = (),
    ) -> Coverage:
        """What the store covers of a question now.

        Raises:
            FormantError: the trouble, where nothing is known at all.
        """
        knowledge = self.sync.knowledge(need, call.asked_at)
        if trouble and knowledge.as_of is None and not knowledge.known:
            raise trouble
        looked_into = self._detail_needs(_apart((filters, *also)), with_details)
        needed = sum(self.store.read.count(each.candidates) for each in looked_into)
        due = sum(self.store.read.count_detail_due(each, call.asked_at) for each in looked_into)
        matched = self.store.read.count(filters)
        if filters == Filters(agent_id=filters.agent_id) and knowledge.list_total is not None:
            matched = max(matched, knowledge.list_total)
        return Coverage(
            matched=matched,
            known=knowledge.known,
            total=knowledge.total,
            complete=knowledge.is_complete and not due,
            as_of=knowledge.as_of,
            details_needed=needed,
            details_read=needed - due,
            note=" ".join(self._notes(knowledge, needed, due, trouble)),
        )

    def _detail_needs(self, periods: tuple[Filters, ...], with_details: bool) -> list[DetailNeed]:
        needs = [DetailNeed(each, with_details, self.sync.only_in_detail) for each in periods]
        return [need for need in needs if need.is_any]

    def _notes(self, knowledge: Knowledge, needed: int, due: int, trouble: FormantError | None) -> list[str]:
        notes: list[str] = []
        if trouble:
            notes.append(f"Answered from what was stored before: {trouble.message.rstrip('.')}. {trouble.hint}".strip())
        left = 0 if knowledge.is_complete or knowledge.shortfall else knowledge.requests_left
        if knowledge.is_listing and not trouble:
            notes.append(f"The list is still being read, {knowledge.known:,} conversations so far;")
        if left and not trouble:
            of = f" of {knowledge.list_total:,}" if knowledge.list_total else ""
            notes.append(
                f"{left:,} pages of the list{of and of + ' conversations'} still to be read{self._time(left)};"
            )
        is_listing = knowledge.is_listing or bool(left)
        is_behind = not (knowledge.is_complete or is_listing or knowledge.unreadable or knowledge.shortfall)
        if is_behind and not trouble:
            notes.append("The list could not be looked at in this call's time;")
        if due and not trouble:
            notes.append(f"{due:,} of {needed:,} matching conversations still to be read{self._time(due)};")
        if (is_listing or is_behind or due) and not trouble:
            notes.append("ask again, or narrow by since, agent_id or status.")
        if knowledge.is_complete and knowledge.total is None and knowledge.list_total is None:
            notes.append("The provider tells no total; its last page was reached.")
        if knowledge.unreadable:
            notes.append(f"{knowledge.unreadable:,} rows of the list could not be read and are not counted.")
        if knowledge.shortfall:
            notes.append(f"The provider counts {knowledge.shortfall:,} conversations that its list does not show.")
        return notes

    def _time(self, requests: int) -> str:
        rate = self.sync.requests_per_minute
        if not rate or requests <= rate / 2:
            return ""
        return f" (about {max(1, round(requests / rate))} min at {rate:g} requests a minute)"


def _apart(periods: tuple[Filters, ...]) -> tuple[Filters, ...]:
    """Two periods that overlap as one, so that a call in both counts once."""
    if len(periods) < 2:
        return periods
    first, second = sorted(periods, key=lambda each: each.since or _EVER)
    if first.until and second.since and first.until < second.since:
        return periods
    until = None if first.until is None or second.until is None else max(first.until, second.until)
    return (replace(first, until=until),)
