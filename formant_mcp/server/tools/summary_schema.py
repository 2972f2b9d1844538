"""The structured answer of summarize_results."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from formant_mcp.analysis.statistics import success_interval
from formant_mcp.models import outside_form
from formant_mcp.queries.profile import FieldProfile, Profile, SignalStats
from formant_mcp.queries.summary import Group, GroupComparison, Statistics
from formant_mcp.server.tools.schemas import CoverageAnswer, Number, local
from formant_mcp.server.tools.text import truncate

_FEW = 5
_VALUE_CHARACTERS = 80

Counted = list[str | int]
"""A value and how many conversations have it."""


class MeasureAnswer(BaseModel):
    """The figures of one measure; `left_out`: values that are not numbers."""

    count: int
    sum: Number
    mean: Number | None = None
    median: Number | None = None
    p90: Number | None = None
    min: Number | None = None
    max: Number | None = None
    left_out: int | None = None


class PeriodAnswer(BaseModel):
    """A group's figures in the other period."""

    count: int
    share: Number | None = None
    success_rate: Number | None = None
    interval: list[Number] | None = None
    measures: dict[str, MeasureAnswer] | None = None


class ChangeAnswer(BaseModel):
    """This period's figures minus the other's."""

    count: int
    share: Number | None = None
    success_rate: Number | None = None


class GroupAnswer(BaseModel):
    """One group: its share of everything matched (of what is loaded, if values are missing) and its success rate.

    There is no change as long as calls that are not loaded could alter it.
    """

    key: dict[str, str]
    agent_name: str | None = None
    count: int
    share: Number | None = None
    share_within_first: Number | None = None
    success_rate: Number | None = None
    interval: list[Number] | None = None
    measures: dict[str, MeasureAnswer] | None = None
    previous: PeriodAnswer | None = None
    change: ChangeAnswer | None = None
    example_conversation_id: str | None = None


class FieldAnswer(BaseModel):
    """One result field: its most frequent values (`others`: how many more there are), or its figures.

    `count`: conversations that have the field; `numbers`: values in the figures, if that count differs.
    """

    path: str
    kind: str
    count: int
    top: list[Counted] | None = None
    others: int | None = None
    numbers: int | None = None
    sum: Number | None = None
    mean: Number | None = None
    median: Number | None = None
    p90: Number | None = None
    min: Number | None = None
    max: Number | None = None
    left_out: int | None = None


class SignalAnswer(BaseModel):
    """One signal: in how many calls it is measured, in how many of them it is above 0, true or said; and figures."""

    name: str
    measured: int
    calls: int | None = None
    mean: Number | None = None
    max: Number | None = None
    top: list[Counted] | None = None


class ProfileAnswer(BaseModel):
    """The agents, statuses, time span, result fields and signals of everything that matches."""

    agents: list[Counted]
    agent_names: dict[str, str] | None = None
    statuses: list[Counted]
    started_from: datetime | None = None
    started_to: datetime | None = None
    results: list[FieldAnswer]
    signals: list[SignalAnswer] | None = None


class SummaryAnswer(BaseModel):
    """Groups, the whole, or the profile."""

    coverage: CoverageAnswer
    groups: list[GroupAnswer] | None = None
    overall: GroupAnswer
    others: int | None = None
    profile: ProfileAnswer | None = None


def group_answer(
    group: GroupComparison, agent_names: dict[str, str] | None = None, with_interval: bool = False
) -> GroupAnswer:
    """A group as an answer has it. `with_interval`: with the 95 % intervals of its success rates."""
    now, before = group.now, group.previous
    return GroupAnswer(
        key={name: truncate(value, _VALUE_CHARACTERS) for name, value in group.key.items()},
        agent_name=(agent_names or {}).get(group.key.get("agent_id", "")),
        count=now.count,
        share=_exact_or_none(now.share),
        share_within_first=_exact_or_none(now.share_within_first),
        success_rate=_exact_or_none(now.success_rate),
        interval=_interval(now) if with_interval else None,
        measures=_measures(now),
        previous=before
        and PeriodAnswer(
            count=before.count,
            share=_exact_or_none(before.share),
            success_rate=_exact_or_none(before.success_rate),
            interval=_interval(before) if with_interval else None,
            measures=_measures(before),
        ),
        change=ChangeAnswer(
            count=now.count - before.count,
            share=_difference(now.share, before.share) if group.key else None,
            success_rate=_difference(now.success_rate, before.success_rate),
        )
        if before and group.is_settled
        else None,
        example_conversation_id=now.example or None,
    )


def profile_answer(profile: Profile, coverage: CoverageAnswer, zone: ZoneInfo, top: int) -> SummaryAnswer:
    """The profile as an answer has it, each field with at most `top` values."""
    return SummaryAnswer(
        coverage=coverage,
        overall=group_answer(GroupComparison({}, profile.overall)),
        profile=ProfileAnswer(
            agents=[[name, count] for name, count in profile.agents],
            agent_names={agent_id: name for agent_id, name in profile.agent_names.items() if outside_form(agent_id)}
            or None,
            statuses=[[name, count] for name, count in profile.statuses],
            started_from=local(profile.started_from, zone),
            started_to=local(profile.started_to, zone),
            results=[_field(field, top) for field in profile.results],
            signals=[_signal(signal) for signal in profile.signals] or None,
        ),
    )


def exact(value: float) -> float:
    """Ten significant digits: enough to compute with, without the noise of binary fractions."""
    return float(f"{value:.10g}")


def _exact_or_none(value: float | None) -> float | None:
    return None if value is None else exact(value)


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else exact(now - before)


def _interval(group: Group) -> list[float] | None:
    """The lowest and highest rate of success that its calls are compatible with (Wilson, 95 %)."""
    interval = success_interval(round((group.success_rate or 0) * group.count), group.count)
    return interval and [exact(bound) for bound in interval]


def _field(field: FieldProfile, top: int) -> FieldAnswer:
    answer = FieldAnswer(path=field.path, kind=field.kind, count=field.count)
    if field.figures:
        for name, value in _measure(field.figures).model_dump(exclude={"count"}).items():
            setattr(answer, name, value)
        answer.numbers = field.figures.count if field.figures.count != field.count else None
    else:
        # If nearly every call has a value of its own (dates, free text), a few of them are enough.
        shown = min(top, _FEW) if field.distinct > max(_FEW, field.count // 2) else top
        answer.top = [[truncate(value, _VALUE_CHARACTERS), count] for value, count in field.top[:shown]]
        answer.others = max(0, field.distinct - len(answer.top)) or None
    return answer


def _signal(signal: SignalStats) -> SignalAnswer:
    has_figures = signal.calls != 0  # else they are all 0
    return SignalAnswer(
        name=signal.name,
        measured=signal.measured,
        calls=signal.calls,
        mean=_rounded(signal.mean) if has_figures else None,
        max=_exact(signal.max) if has_figures else None,
        top=[[party, count] for party, count in signal.parties] or None,
    )


def _rounded(value: float | None) -> float | None:
    """Four significant digits: sums of an engine's own order differ after many more."""
    return None if value is None else float(f"{value:.4g}")


def _measures(group: Group) -> dict[str, MeasureAnswer] | None:
    return {name: _measure(measure) for name, measure in group.measures.items()} or None


def _measure(measure: Statistics) -> MeasureAnswer:
    return MeasureAnswer(
        count=measure.count,
        sum=exact(measure.sum),
        mean=_exact(measure.mean),
        median=_exact(measure.median),
        p90=_exact(measure.p90),
        min=_exact(measure.min),
        max=_exact(measure.max),
        left_out=measure.left_out or None,
    )


def _exact(value: float | None) -> float | None:
    return None if value is None else exact(value)
