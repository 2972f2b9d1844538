"""`summarize_results`: figures over all matching calls, or their profile."""

from typing import Annotated

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.filters import GROUPINGS, Filters
from formant_mcp.queries.arguments import Date, Fields, FilterArguments, Takes, Whole, YesNo
from formant_mcp.queries.dates import Comparison, parse_comparison
from formant_mcp.queries.groupings import SUCCESS_RATE, parse_groupings, parse_measures
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.profile import Profile
from formant_mcp.queries.summary import Summary, SummaryQuery
from formant_mcp.queries.time_buckets import TIMES
from formant_mcp.server.tools.schemas import coverage_answer
from formant_mcp.server.tools.summary_schema import SummaryAnswer, group_answer, profile_answer
from formant_mcp.server.tools.summary_text import left_out_line, profile_lines, summary_lines
from formant_mcp.server.tools.text import coverage_lines, format_time, with_notes
from formant_mcp.server.tools.tool import MAX_CHARACTERS, Reply, Tool, fit

_ID_CHARACTERS = 8

Measures = Annotated[Fields, Takes("a list of measures", "duration_seconds, signals.agent_repeats")]


class SummaryArguments(FilterArguments):
    """The filters, and what to compute over what matches."""

    group_by: Fields = Field(
        [],
        description=f"Up to three of {', '.join((*GROUPINGS, *TIMES))},"
        " results.<path>, signals.<name>. Time groups are sorted by time, others by size. Leave empty for a profile of"
        " all matching calls.",
    )
    measures: Measures = Field(
        [],
        description="duration_seconds, results.<path> or signals.<name> of a number: count, sum, mean, quantiles;"
        " success_rate: its 95% interval.",
    )
    compare_since: Date = Field("", description="Start of the period to compare with (formats as in since).")
    compare_until: Date = Field("", description="End of the period to compare with.")
    compare_previous: YesNo = Field(False, description="Compare with the equally long period just before since.")
    min_count: Whole = Field(1, ge=1, le=1_000_000, description="Smallest group to show, in calls.")
    top: Whole = Field(20, ge=1, le=100, description="Maximum number of groups, or of values per field; largest first.")


async def _run(app: App, arguments: SummaryArguments, context: RequestContext) -> Reply:
    filters = arguments.filters(context.requested_at, app.zone)
    comparison = parse_comparison(
        filters,
        arguments.compare_since,
        arguments.compare_until,
        previous=arguments.compare_previous,
        now=context.requested_at,
        zone=app.zone,
    )
    if not (arguments.group_by or arguments.measures or comparison):
        return await _profile_reply(app, arguments, filters, context)
    measures = parse_measures(arguments.measures)
    question = SummaryQuery(
        filters=filters,
        groupings=parse_groupings(arguments.group_by),
        measures=tuple(measure for measure in measures if measure != SUCCESS_RATE),
        compared_with=(comparison.since, comparison.until) if comparison else None,
        top=arguments.top,
        min_count=arguments.min_count,
        with_interval=SUCCESS_RATE in measures,
    )
    summary = await app.account.summarize(context, question, app.zone)
    groups = [summary.overall, *summary.groups]
    short_ids = await app.account.shortest_ids([group.now.example for group in groups], _ID_CHARACTERS)
    return fit(
        lambda count: _summary_reply(app, summary.first(count), question, comparison, short_ids),
        len(summary.groups),
    )


def _summary_reply(
    app: App, summary: Summary, query: SummaryQuery, comparison: Comparison | None, short_ids: dict[str, str]
) -> Reply:
    periods = ""
    if comparison:
        periods = (
            f"Comparison with {format_time(comparison.since, app.zone)} to {format_time(comparison.until, app.zone)}."
        )
    note = comparison.note if comparison else ""
    coverage = with_notes(summary.coverage, summary.existing, *summary.notes, periods, note)
    structured = SummaryAnswer(
        coverage=coverage_answer(coverage, app.zone),
        groups=[group_answer(group, summary.agent_names, query.with_interval) for group in summary.groups],
        overall=group_answer(summary.overall, {}, query.with_interval),
        others=summary.others,
    )
    lines = summary_lines(structured, app.new_boundary(), short_ids) + left_out_line(summary, query)
    return Reply("\n".join([*coverage_lines(coverage, app.zone), *lines]), structured)


async def _profile_reply(app: App, arguments: SummaryArguments, filters: Filters, context: RequestContext) -> Reply:
    profile = await app.account.profile(context, filters, arguments.top, app.zone)
    # Fewer values of each field first; if that is not enough, fewer fields.
    short_ids = await app.account.shortest_ids([profile.overall.example], _ID_CHARACTERS)
    reply = fit(lambda top: _profile_of(app, profile, top, short_ids), arguments.top)
    if reply.size <= MAX_CHARACTERS:
        return reply
    return fit(lambda count: _profile_of(app, profile.first(count), 1, short_ids), len(profile.results))


def _profile_of(app: App, profile: Profile, top: int, short_ids: dict[str, str]) -> Reply:
    agents, fields = profile.left_out
    notes = [f"{agents:,} agents with fewer calls are not shown." if agents else ""]
    notes.append(f"{fields:,} result fields are not shown." if fields else "")
    coverage = with_notes(profile.coverage, profile.existing, *profile.notes, *notes)
    structured = profile_answer(profile, coverage_answer(coverage, app.zone), app.zone, top)
    lines = profile_lines(structured, profile.loaded, app.new_boundary(), short_ids)
    return Reply("\n".join([*coverage_lines(coverage, app.zone), *lines]), structured)


SUMMARIZE_RESULTS = Tool(
    name="summarize_results",
    title="Summarize results",
    description=(
        "Figures over all calls that match: counts, shares, success rates (successes of all of them, running ones too)"
        " and measures by up to three groupings, for one period or compared with another. Without group_by: the"
        " profile, i.e. agents, statuses, time span and every result field with its values or figures. Start here."
    ),
    arguments=SummaryArguments,
    answer=SummaryAnswer,
    run=_run,
)
