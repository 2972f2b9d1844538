"""`summarize_results`: figures over everything that matches, or the profile of it."""

from functools import partial

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.filters import Filters
from formant_mcp.queries.arguments import Date, Fields, FilterArguments, Whole, YesNo
from formant_mcp.queries.comparison import Comparison, parse_comparison
from formant_mcp.queries.groupings import read_groupings, read_measures
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.profile import Profile
from formant_mcp.queries.summary import Summary, SummaryQuery
from formant_mcp.server.tools.notes import with_notes
from formant_mcp.server.tools.schemas import coverage_answer
from formant_mcp.server.tools.summary_schema import SummaryAnswer, group_answer, profile_answer
from formant_mcp.server.tools.summary_text import profile_lines, summary_lines
from formant_mcp.server.tools.text import head, stamp
from formant_mcp.server.tools.tool import MAX_CHARACTERS, Reply, Tool, fit

_ID_CHARACTERS = 8


class SummaryArguments(FilterArguments):
    """The filters, and what to compute over what matches."""

    group_by: Fields = Field(
        [],
        description="Up to three of status, agent_id, failure_reason, contact_number, hour, weekday, day, week, month,"
        " results.<path>. Time groups are sorted by time, others by size. Leave empty for a profile of all matching"
        " calls.",
    )
    measures: Fields = Field(
        [], description="duration_seconds, results.<path> of a number: count, sum, mean, quantiles."
    )
    compare_since: Date = Field("", description="Start of the period to compare with (formats as in since).")
    compare_until: Date = Field("", description="End of the period to compare with.")
    compare_previous: YesNo = Field(False, description="Compare with the equally long period just before since.")
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
    question = SummaryQuery(
        filters=filters,
        groupings=read_groupings(arguments.group_by),
        measures=read_measures(arguments.measures),
        compared_with=(comparison.since, comparison.until) if comparison else None,
        top=arguments.top,
    )
    summary = await app.account.summarize(context, question, app.zone)
    return fit(lambda count: _summary_reply(app, summary.first(count), comparison), len(summary.groups))


def _summary_reply(app: App, summary: Summary, comparison: Comparison | None) -> Reply:
    periods = ""
    if comparison:
        periods = f"GroupComparison with {stamp(comparison.since, app.zone)} to {stamp(comparison.until, app.zone)}."
    note = comparison.note if comparison else ""
    coverage = with_notes(summary.coverage, summary.existing, *summary.notes, periods, note)
    structure = SummaryAnswer(
        coverage=coverage_answer(coverage, app.zone),
        groups=[group_answer(group, summary.agent_names) for group in summary.groups],
        overall=group_answer(summary.overall),
        others=summary.others,
    )
    lines = summary_lines(structure, app.new_boundary(), partial(_short_id, app))
    return Reply("\n".join([*head(coverage, app.zone), *lines]), structure)


async def _profile_reply(app: App, arguments: SummaryArguments, filters: Filters, context: RequestContext) -> Reply:
    found = await app.account.profile(context, filters, arguments.top, app.zone)
    # Fewer values of each field first; if that is not enough, fewer fields.
    reply = fit(lambda top: _profile_of(app, found, top), arguments.top)
    if reply.size <= MAX_CHARACTERS:
        return reply
    return fit(lambda count: _profile_of(app, found.first(count), 1), len(found.results))


def _profile_of(app: App, found: Profile, top: int) -> Reply:
    agents, fields = found.left_out
    notes = [f"{agents:,} agents with fewer calls are not shown." if agents else ""]
    notes.append(f"{fields:,} result fields are not shown." if fields else "")
    coverage = with_notes(found.coverage, found.existing, *found.notes, *notes)
    structure = profile_answer(found, coverage_answer(coverage, app.zone), app.zone, top)
    lines = profile_lines(structure, found.loaded, app.new_boundary(), partial(_short_id, app))
    return Reply("\n".join([*head(coverage, app.zone), *lines]), structure)


def _short_id(app: App, conversation_id: str) -> str:
    return app.account.shortest_id(conversation_id, _ID_CHARACTERS)


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
