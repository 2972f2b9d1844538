"""The profile: what there is at all. Agents, statuses, the time span, and every result field with what it holds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from formant_mcp.filters import Filters
from formant_mcp.query.gather import Call, Coverage, Gathering
from formant_mcp.query.listing import existing_values, need_of
from formant_mcp.query.periods import NONE
from formant_mcp.query.summary import Group, Measure, SummaryQuestion, measured, overall_of
from formant_mcp.store import Store

_MAX_FIELDS = 60
_MAX_VALUES = 200

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """A result field: how many conversations have it, its commonest values (of `distinct` ones) or its figures."""

    path: str
    kind: str
    count: int
    top: Counts = ()
    distinct: int = 0
    figures: Measure | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What there is in everything that matches; `left_out`: how many agents and result fields are not shown."""

    coverage: Coverage
    overall: Group
    agents: Counts
    statuses: Counts
    started_from: datetime | None
    started_to: datetime | None
    results: tuple[FieldProfile, ...]
    left_out: tuple[int, int]
    existing: dict[str, list[str]]


async def profile(gathering: Gathering, call: Call, filters: Filters, top: int, zone: ZoneInfo) -> Profile:
    """Brings everything that matches, results included, and says what it is.

    Raises:
        FormantError: nothing can be answered at all.
    """
    coverage = await gathering.bring(call, filters, need_of(filters), with_details=True)
    figures = gathering.store.figures
    kinds = sorted(figures.paths(filters).items())
    first, last = figures.span(filters)
    agents = _counts(gathering.store, filters, "agent_id", zone)
    return Profile(
        coverage=coverage,
        overall=overall_of(gathering.store, SummaryQuestion(filters, ()), zone),
        agents=agents[:_MAX_VALUES],
        statuses=_counts(gathering.store, filters, "status", zone),
        started_from=_moment(first),
        started_to=_moment(last),
        results=tuple(_field(gathering.store, filters, path, kind, top) for path, kind in kinds[:_MAX_FIELDS]),
        left_out=(max(0, len(agents) - _MAX_VALUES), max(0, len(kinds) - _MAX_FIELDS)),
        existing=existing_values(gathering.store, filters, coverage.matched),
    )


def _counts(store: Store, filters: Filters, grouping: str, zone: ZoneInfo) -> Counts:
    found = store.figures.tallies(filters, [grouping], zone.key).items()
    counts = [(str(key[0] or NONE), tally.count) for key, tally in found]
    return tuple(sorted(counts, key=lambda pair: (-pair[1], pair[0])))


def _field(store: Store, filters: Filters, path: str, kind: str, top: int) -> FieldProfile:
    found = store.figures.field(filters, path, kind, top)
    figures = found.numbers and measured(found.numbers)
    return FieldProfile(path, kind, found.count, found.top, found.distinct, figures)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
