"""What an answer covers, and the notes that say what is missing, why, and how to continue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from formant_mcp.errors import FormantError
from formant_mcp.filters import FIELDS, SIGNALS, Filters
from formant_mcp.models import named
from formant_mcp.queries.signals import needs_of
from formant_mcp.store import Store
from formant_mcp.sync.list_sync import ListStatus
from formant_mcp.values import plain_number, read_value

WORDS, RESULTS, SPEAKERS = frozenset({"transcripts", "turns"}), frozenset({"results"}), frozenset({"speakers"})
"""What an answer may use of a conversation besides its own fields, as kinds of what may be unreadable there."""

_UNREADABLE = {
    "rows": ("row of the list", "rows of the list"),
    "transcripts": ("transcript", "transcripts"),
    "turns": ("turn", "turns"),
    "results": ("result value", "result values"),
    "speakers": ("turn's speaker", "turns' speakers"),
    **{name: (field.singular, field.plural) for name, field in FIELDS.items()},
}
_CONTINUE = "Ask again, narrow by since, agent_id or status, or run `formant-mcp sync` once to load everything."
_COMPARABLE = {"number": "a number", "date": "an ISO date", "text": "a word"}
_SIZES = ("<", "<=", ">", ">=")
_MAX_NAMED = 10  # signals; the notes on more would be long


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer covers.

    `matched`: how many conversations match; `known`: how many of the account are stored; `total`: how many the provider
    reports (None: it reports no total).
    `complete` only if everything that could match was checked; else `note` says what is missing and how to continue.
    `details_needed`, `details_read`: for how many the query needed transcript or results, and how many had them.
    `unreadable`: what the provider sent and the query uses but could not be parsed, by kind.
    `requested_at`: the server's time; `since`, `until`: those of the query. `is_whole`: the list that the query uses is
    loaded to its end. `is_counted`: nothing more can match. `knows_list`: every conversation of the account is listed.
    `settled`: the filters whose values are loaded for every conversation of the account. `version`: that of the stored
    calls when this was counted, see `Reader.version`. Two are equal that differ in this, `as_of`, `known` or `total`.
    """

    matched: int
    known: int = field(compare=False)
    total: int | None = field(compare=False)
    complete: bool
    as_of: datetime | None = field(compare=False)
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
    version: str = field(default="", compare=False)

    @property
    def is_loaded(self) -> bool:
        """Whether all that can match is listed, with all details that the query needed."""
        return self.is_whole and self.details_read == self.details_needed

    def at_least(self, matched: int) -> "Coverage":
        """The coverage of an answer that has so many calls: some may have been saved after it was counted."""
        return replace(self, matched=max(self.matched, matched), known=max(self.known, matched))

    def incomplete(self, why: str) -> "Coverage":
        """The coverage of an answer that lacks something, with a sentence that says what."""
        return replace(self, complete=False, note=f"{self.note} {why}".strip())

    def with_unreadable(self, unreadable: Mapping[str, int]) -> "Coverage":
        """The coverage of a query that uses these, too; kinds that are counted already are not counted again."""
        more = {kind: count for kind, count in unreadable.items() if kind not in self.unreadable}
        return replace(
            self,
            complete=self.complete and not more,
            note=" ".join((self.note, *unreadable_notes(more))).strip(),
            unreadable=self.unreadable | more,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query is answered with, of all calls that match, and what it covers."""

    coverage: Coverage


def list_notes(list_status: ListStatus, missing: list[str], error: FormantError | None) -> list[str]:
    """Whole sentences: what went wrong, what is missing, how to continue, and what the provider does not report."""
    notes = [f"Answered from stored data: {error.message.rstrip('.')}. {error.hint}".strip()] if error else []
    notes += missing
    if list_status.kept_from:
        kept_from = list_status.kept_from
        notes.append(
            f"Calls that started before {kept_from:%Y-%m-%d %H:%M} UTC are not kept here (FORMANT_RETENTION_DAYS):"
            f" narrow by since={kept_from:%Y-%m-%dT%H:%MZ} to leave them out."
        )
    if missing and not error:
        notes.append(_CONTINUE)
    has_total = list_status.total is not None or list_status.list_total is not None
    if list_status.knows_all and list_status.is_complete and not has_total:
        notes.append("This provider reports no total; all pages were read.")
    return notes + _list_faults(list_status)


def missing_list_notes(
    list_status: ListStatus, outdated: int, error: FormantError | None, time_for: Callable[[int], str]
) -> list[str]:
    """What of the list is not loaded or not up to date; `time_for`: how long so many requests take."""
    notes: list[str] = []
    left = 0 if list_status.is_complete or list_status.unlisted else list_status.requests_left
    if list_status.is_listing:
        notes.append(f"The list is still loading: {list_status.stored:,} conversations so far.")
    if left:
        time = "" if error else time_for(left)
        notes.append(f"{left:,} more list {'page' if left == 1 else 'pages'} to load{time}.")
    is_explained = list_status.is_complete or notes or list_status.has_faults or error
    if not is_explained:
        notes.append("The list could not be refreshed within this call's time limit.")
    if outdated:
        notes.append(f"{outdated:,} running {'call' if outdated == 1 else 'calls'} could not be refreshed.")
    return notes


def failure_notes(failures: Mapping[str, int], which: str) -> list[str]:
    """Why details could not be loaded, a sentence for each reason; `which`: of which calls."""
    notes = [f"{count:,} of {which} could not be loaded: {why}." for why, count in failures.items()]
    return [*notes, "A later question retries them."] if notes else []


def unreadable_notes(unreadable: Mapping[str, int]) -> list[str]:
    """What could not be understood, as a sentence; none if everything was."""
    what = counted_kinds(unreadable)
    why = "could not be understood, so this answer may lack something; an update of formant-mcp may help."
    return [f"{what} {why}"] if what else []


def counted_kinds(unreadable: Mapping[str, int]) -> str:
    """How much of each kind could not be understood; '' if everything was."""
    counted = [
        f"{count:,} {singular if count == 1 else plural}"
        for kind, (singular, plural) in _UNREADABLE.items()
        if (count := unreadable.get(kind))
    ]
    return " and ".join([", ".join(counted[:-1]), counted[-1]] if counted[1:] else counted)


def not_measured_notes(due: int, count: int) -> list[str]:
    """How many of these calls an earlier version stored and this one has still to measure."""
    return [f"{due:,} of {count:,} stored calls are still to be measured; ask again."] if due else []


def signal_notes(measured: Mapping[str, int], count: int) -> list[str]:
    """For how many of the calls each signal could be measured, where not for all, and what it needs."""
    names: dict[tuple[int, str], list[str]] = {}
    for name, number in measured.items():
        if number < count:
            names.setdefault((number, needs_of(name)), []).append(f"{SIGNALS}{name}")
    if sum(map(len, names.values())) > _MAX_NAMED:
        fewest, most = min(measured.values()), max(measured.values())
        numbers = f"{fewest:,} to {most:,}" if fewest < most else f"{most:,}"
        return [f"Signals are measured for {numbers} of {count:,} calls, each where it can be."]
    return [
        f"Measured for {number:,} of {count:,} calls, those with {needed}: {', '.join(some)}."
        for (number, needed), some in names.items()
    ]


async def filter_notes(store: Store, filters: Filters, now: datetime) -> list[str]:
    """Sentences for a period that is to come, and for fields with values that a condition by size cannot compare."""
    is_future = filters.since is not None and filters.since > now
    notes = [f"The period begins in the future: it is {now:%Y-%m-%d %H:%M} UTC now."] if is_future else []
    compared = {condition.path: condition.value for condition in filters.on_results if condition.operator in _SIZES}
    for path, value in compared.items():
        kind, name = read_value(plain_number(value)).kind, named(path)
        count = await store.read.count_not_compared(filters, path, kind)
        if count:
            calls = "1 call has" if count == 1 else f"{count:,} calls have"
            notes.append(f"{calls} a value of {name} that is not {_COMPARABLE[kind]}, and so was not compared.")
        if count and kind == "text":
            notes.append(f"For numbers and dates write one to compare with, e.g. {name}>=3 or {name}>=2026-11-20.")
        largest = await store.read.largest(path) if "%" in value else None
        if largest is not None and largest <= 1:
            notes.append(f"{name} is at most {largest:g}: for 90% write 0.9.")
    return notes


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
    if list_status.may_lack_some:
        notes.append("The provider's list has faults, so conversations may be missing.")
    return notes
