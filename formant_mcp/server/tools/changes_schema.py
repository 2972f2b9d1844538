"""The structured answer of find_changes."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from formant_mcp.analysis.changes import Figure
from formant_mcp.queries.changes import ChangeReport, DatedChange, Period
from formant_mcp.server.tools.schemas import CoverageAnswer, Number, local
from formant_mcp.server.tools.summary_schema import exact
from formant_mcp.server.tools.text import truncate

_VALUE_CHARACTERS = 80


class FigureAnswer(BaseModel):
    """How many calls of a period have the value, and their share of those that have the field, or the median."""

    count: int
    share: Number | None = None
    median: Number | None = None


class SameAnswer(BaseModel):
    """Another value that as many calls have, in both periods."""

    field: str
    value: str


class DatedChangeAnswer(BaseModel):
    """A value whose share changed or, without a value, a field whose numbers did.

    `chance_higher`: how likely a number after is higher than one before. `same`: values with the same counts.
    """

    field: str
    value: str | None = None
    agent_name: str | None = None
    before: FigureAnswer
    after: FigureAnswer
    difference: Number
    interval: list[Number]
    chance_higher: Number | None = None
    since_day: date | None = None
    example_conversation_id: str | None = None
    same: list[SameAnswer] | None = None


class ComparedPeriod(BaseModel):
    """A period, and how many calls of it have ended."""

    since: datetime
    until: datetime
    calls: int


class ChangesAnswer(BaseModel):
    """What changed between two periods; `compared`: how many values and medians were compared, of how many fields."""

    coverage: CoverageAnswer
    before: ComparedPeriod
    after: ComparedPeriod
    changes: list[DatedChangeAnswer]
    others: int | None = None
    compared: int
    fields: int


def changes_answer(result: ChangeReport, coverage: CoverageAnswer, zone: ZoneInfo) -> ChangesAnswer:
    """The changes as an answer has them."""
    return ChangesAnswer(
        coverage=coverage,
        before=_period(result.before, zone),
        after=_period(result.after, zone),
        changes=[_change(dated, result.agent_names) for dated in result.changes],
        others=result.others or None,
        compared=result.compared,
        fields=result.fields,
    )


def _change(dated: DatedChange, agent_names: dict[str, str]) -> DatedChangeAnswer:
    change = dated.change
    return DatedChangeAnswer(
        field=truncate(change.field, _VALUE_CHARACTERS),
        value=change.value and truncate(change.value, _VALUE_CHARACTERS),
        agent_name=agent_names.get(change.value or "") if change.field == "agent_id" else None,
        before=_figure(change.before),
        after=_figure(change.after),
        difference=exact(change.difference),
        interval=[exact(end) for end in change.interval],
        chance_higher=None if change.chance_higher is None else exact(change.chance_higher),
        since_day=dated.since_day,
        example_conversation_id=dated.example or None,
        same=[
            SameAnswer(field=truncate(name, _VALUE_CHARACTERS), value=truncate(value, _VALUE_CHARACTERS))
            for name, value in change.same
        ]
        or None,
    )


def _figure(figure: Figure) -> FigureAnswer:
    return FigureAnswer(
        count=figure.count,
        share=None if figure.share is None else exact(figure.share),
        median=None if figure.median is None else exact(figure.median),
    )


def _period(period: Period, zone: ZoneInfo) -> ComparedPeriod:
    since, until = local(period.since, zone), local(period.until, zone)
    return ComparedPeriod(since=since or period.since, until=until or period.until, calls=period.calls)
