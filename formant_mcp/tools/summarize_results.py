"""`summarize_results`: figures over everything that matches, or the profile of it."""

from dataclasses import replace

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.query.arguments import FilterArguments, Texts
from formant_mcp.query.comparison import Comparison, read_comparison
from formant_mcp.query.gather import Call
from formant_mcp.query.profile import profile
from formant_mcp.query.summary import Summary, SummaryQuestion, summarize
from formant_mcp.tools.answers import coverage_answer
from formant_mcp.tools.figures import SummaryAnswer, group_answer, profile_answer
from formant_mcp.tools.figures_text import profile_lines, summary_lines
from formant_mcp.tools.notes import with_notes
from formant_mcp.tools.text import head
from formant_mcp.tools.tool import MAX_CHARACTERS, Reply, Tool


class SummaryArguments(FilterArguments):
    """The filters, and what to reckon over what matches."""

    group_by: Texts = Field(
        [],
        description="Up to three of status, agent_id, failure_reason, contact_number, hour, weekday, day, week, month,"
        " results.<path>; times come in their order, others by size. None: the profile of everything.",
    )
    measures: Texts = Field(
        [], description="duration_seconds, results.<path> of a number: count, sum, mean, quantiles."
    )
    compare_since: str = Field("", description="Compare with the period from here, forms as in since,")
    compare_until: str = Field("", description="to here.")
    compare_previous: bool = Field(False, description="Compare with the equally long time just before since.")
    top: int = Field(20, ge=1, le=100, description="Groups, or values of a field, at most: the largest.")


async def _run(app: App, arguments: SummaryArguments, call: Call) -> Reply:
    filters = arguments.filters(call.asked_at, app.zone)
    comparison = read_comparison(
        filters,
        arguments.compare_since,
        arguments.compare_until,
        previous=arguments.compare_previous,
        now=call.asked_at,
        zone=app.zone,
    )
    if not (arguments.group_by or arguments.measures or comparison):
        return await _profile_reply(app, arguments, call)
    question = SummaryQuestion(
        filters=filters,
        groupings=tuple(arguments.group_by),
        measures=tuple(arguments.measures),
        compared_with=(comparison.since, comparison.until) if comparison else None,
        top=arguments.top,
    )
    summary = await summarize(app.gathering, call, question, app.zone)
    while True:
        reply = _summary_reply(app, summary, comparison)
        if reply.size <= MAX_CHARACTERS or len(summary.groups) < 2:
            return reply
        half = len(summary.groups) // 2
        summary = replace(summary, groups=summary.groups[:half], others=summary.others + len(summary.groups) - half)


def _summary_reply(app: App, summary: Summary, comparison: Comparison | None) -> Reply:
    coverage = with_notes(summary.coverage, summary.existing, comparison.note if comparison else "")
    structure = SummaryAnswer(
        coverage=coverage_answer(coverage, app.zone),
        groups=[group_answer(group) for group in summary.groups],
        overall=group_answer(summary.overall),
        others=summary.others,
    )
    lines = summary_lines(structure, comparison, app.zone)
    return Reply("\n".join([*head(coverage, app.zone), *lines]), structure)


async def _profile_reply(app: App, arguments: SummaryArguments, call: Call) -> Reply:
    top = arguments.top
    found = await profile(app.gathering, call, arguments.filters(call.asked_at, app.zone), top, app.zone)
    left_out = f"{found.fields_left_out} result fields are not shown." if found.fields_left_out else ""
    coverage = with_notes(found.coverage, found.existing, left_out)
    while True:
        structure = profile_answer(found, coverage_answer(coverage, app.zone), app.zone, top)
        reply = Reply("\n".join([*head(coverage, app.zone), *profile_lines(structure, app.new_boundary())]), structure)
        if reply.size <= MAX_CHARACTERS or top == 1:
            return reply
        top //= 2


SUMMARIZE_RESULTS = Tool(
    name="summarize_results",
    title="Summarize results",
    description=(
        "Figures over all calls that match: counts, shares, success rates (successes of all of them, running ones too)"
        " and measures by up to three groupings, for one period or compared with another. Without group_by: the"
        " profile, i.e. agents, statuses, time span and every result field with its values or figures. Begin with it."
    ),
    arguments=SummaryArguments,
    answer=SummaryAnswer,
    run=_run,
)
