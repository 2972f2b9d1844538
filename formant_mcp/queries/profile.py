"""The profile of calls: agents, statuses, time span, every result field with its values, and the signals."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from formant_mcp.filters import NONE, Filters
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import RESULTS, SPEAKERS, WORDS, Answer, Coverage
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.measures import Statistics, statistics_of
from formant_mcp.queries.summary import Group, overall_of
from formant_mcp.store import Store
from formant_mcp.store.aggregates import Grouping
from formant_mcp.store.signals import SignalStats
from formant_mcp.sync.list_sync import ListRequest

_MAX_FIELDS = 60
_MAX_VALUES = 200

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """A result field: how many conversations have it, its most common values (of `distinct` ones) or its figures."""

    path: str
    kind: str
    count: int
    top: Counts = ()
    distinct: int = 0
    figures: Statistics | None = None


@dataclass(frozen=True, slots=True)
class Profile(Answer):
    """The profile of all calls that match; `left_out`: how many agents and result fields are not shown.

    `loaded`: how many calls the result fields cover. `agent_names`: by id, of agents that have names.
    """

    overall: Group
    agents: Counts
    statuses: Counts
    started_from: datetime | None
    started_to: datetime | None
    results: tuple[FieldProfile, ...]
    signals: tuple[SignalStats, ...]
    left_out: tuple[int, int]
    existing: dict[str, Existing]
    loaded: int
    agent_names: dict[str, str]
    notes: tuple[str, ...]

    def first(self, count: int) -> "Profile":
        """The profile with its first `count` result fields."""
        agents, fields = self.left_out
        left_out = len(self.results) - min(count, len(self.results))
        return replace(self, results=self.results[:count], left_out=(agents, fields + left_out))


_USES = RESULTS | WORDS | SPEAKERS | {"started_at", "status", "agent_id"}


async def profile(loader: Loader, context: RequestContext, filters: Filters, top: int, zone: ZoneInfo) -> Profile:
    """Loads all calls that match, with results, and computes their profile.

    Raises:
        FormantError: nothing can be answered at all.
    """
    coverage = await loader.ensure_loaded(
        context, DataRequest(filters, ListRequest(filters), with_details=True, uses=_USES, with_signals=True)
    )
    store = loader.store
    # While details are missing, values that may still change are not counted.
    now = None if coverage.is_loaded else context.requested_at
    first, last = await store.aggregates.span(filters)
    agents, statuses = await _agents_and_statuses(store, filters, zone)
    overall = await overall_of(store, filters, zone)
    coverage = coverage.at_least(overall.count)
    kinds = sorted((await store.aggregates.paths(filters, now, overall.count)).items())
    loaded = await store.aggregates.count_loaded(filters, now) if now else overall.count
    fields, signals = await asyncio.gather(  # the costly ones, on two threads
        _fields(store, filters, kinds[:_MAX_FIELDS], top, now, overall.count), store.signals.stats(filters, now)
    )
    return Profile(
        coverage=coverage,
        overall=overall,
        agents=agents[:_MAX_VALUES],
        statuses=statuses,
        started_from=_moment(first),
        started_to=_moment(last),
        results=tuple(fields),
        signals=tuple(signals),
        left_out=(max(0, len(agents) - _MAX_VALUES), max(0, len(kinds) - _MAX_FIELDS)),
        existing=await available_values(store, filters, coverage.matched),
        loaded=loaded,
        agent_names=await store.read.agent_names([agent_id for agent_id, _ in agents[:_MAX_VALUES]]),
        notes=tuple(_notes(coverage, overall.count, loaded)),
    )


def _notes(coverage: Coverage, count: int, loaded: int) -> list[str]:
    """What the figures do not cover yet."""
    notes: list[str] = []
    if not (coverage.is_whole and coverage.is_counted):
        notes.append(f"Figures cover the {count:,} calls found so far.")
    if loaded < count:
        notes.append(f"Result fields cover the calls loaded so far: {loaded:,} of {count:,}.")
    return notes


async def _agents_and_statuses(store: Store, filters: Filters, zone: ZoneInfo) -> tuple[Counts, Counts]:
    """How many calls each agent and each status has, the most frequent first."""
    (groups,) = await store.aggregates.count_by(filters, Grouping(("agent_id", "status"), zone.key))
    agents, statuses = Counter[str](), Counter[str]()
    for (agent, status), group in groups.items():
        agents[str(agent or NONE)] += group.count
        statuses[str(status or NONE)] += group.count
    return _ordered(agents), _ordered(statuses)


def _ordered(counts: Counter[str]) -> Counts:
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


async def _fields(
    store: Store, filters: Filters, kinds: list[tuple[str, str]], top: int, now: datetime | None, matched: int
) -> list[FieldProfile]:
    profiles: list[FieldProfile] = []
    for path, kind in kinds:
        field = await store.aggregates.field(filters, path, kind, top, now, matched)
        figures = field.numbers and statistics_of(field.numbers)
        profiles.append(FieldProfile(path, kind, field.count, field.top, field.distinct, figures))
    return profiles


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
