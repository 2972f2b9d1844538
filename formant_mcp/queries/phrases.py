"""What is said most, or said more in some conversations than in others."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NO_FILTERS, Filters, Role
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import SPEAKERS, WORDS, Answer, Coverage
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.summary import spanning
from formant_mcp.store.phrases import GROUPED, MOST_SHOWN, FoundPhrase, FoundPhrases, PhraseQuestion
from formant_mcp.sync.list_sync import ListRequest

MOST = MOST_SHOWN
"""How many phrases a question may want."""

Compared = Literal["nothing", "rest", "period"]


@dataclass(frozen=True, slots=True)
class PhrasesQuery:
    """Whose phrases in which conversations, and how many.

    `compared_with`: another period. `is_distinctive`: those said more here than there; without another period, than in
    the rest.
    """

    filters: Filters
    role: Role = "contact"
    compared_with: tuple[datetime, datetime] | None = None
    is_distinctive: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True)
class PhrasesResult(Answer):
    """The phrases, and what they were counted in (`counts`). `compared`: with what."""

    phrases: tuple[FoundPhrase, ...]
    counts: FoundPhrases
    compared: Compared
    existing: dict[str, Existing]

    @property
    def has_rarer_forms(self) -> bool:
        """Whether forms were left out though several conversations have them."""
        return self.counts.forms > self.counts.grouped == GROUPED

    def first(self, count: int) -> "PhrasesResult":
        """The result with its first `count` phrases."""
        return replace(self, phrases=self.phrases[:count])


async def find_phrases(loader: Loader, context: RequestContext, query: PhrasesQuery) -> PhrasesResult:
    """Loads the transcripts that are needed and counts what is said in them.

    Raises:
        InvalidRequestError: there is nothing to compare with.
    """
    filters, store = query.filters, loader.store
    elsewhere, compared = _elsewhere(query)
    sides = [filters, elsewhere] if elsewhere else [filters]
    uses = WORDS if query.role == "any" else WORDS | SPEAKERS
    needed = filters if elsewhere is None else elsewhere if compared == "rest" else spanning(sides)
    coverage = await loader.ensure_loaded(
        context,
        DataRequest(filters, ListRequest(needed), True, uses, with_signals=True, also=tuple(sides[1:])),
    )
    counts = await store.phrases.find(PhraseQuestion(filters, query.role, elsewhere, query.is_distinctive))
    coverage = coverage.at_least(counts.spoken)
    return PhrasesResult(
        coverage=_without_uncounted(coverage, counts.not_counted),
        phrases=counts.phrases[: query.limit],
        counts=counts,
        compared=compared,
        existing=await available_values(store, filters, coverage.matched),
    )


def _elsewhere(query: PhrasesQuery) -> tuple[Filters | None, Compared]:
    """The other side of the comparison; the rest is of the same period, if the filters have more than a period."""
    filters = query.filters
    if query.compared_with:
        since, until = query.compared_with
        return replace(filters, since=since, until=until), "period"
    if not query.is_distinctive:
        return None, "nothing"
    period = filters.only(frozenset({"since", "until"}))
    rest = NO_FILTERS if filters.given() == period.given() else period
    if filters.given() == rest.given():
        raise InvalidRequestError(
            "distinctive compares the calls that match with the rest, and there is no rest without a filter.",
            "Add one, e.g. status, since or results; or compare_previous=true.",
        )
    return rest, "rest"


def _without_uncounted(coverage: Coverage, not_counted: int) -> Coverage:
    """The coverage, if not everything that is stored was counted."""
    if not not_counted:
        return coverage
    note = f"{not_counted:,} older transcripts are too many to count at once: narrow by since, agent_id or status."
    return coverage.incomplete(note)
