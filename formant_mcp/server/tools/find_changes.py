"""`find_changes`: what changed between two periods, over every field, beyond chance."""

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.queries.arguments import Date, FilterArguments, Whole, YesNo
from formant_mcp.queries.changes import ChangeReport, ChangesQuery
from formant_mcp.queries.dates import parse_two_periods
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.tools.changes_schema import ChangesAnswer, changes_answer
from formant_mcp.server.tools.changes_text import change_lines
from formant_mcp.server.tools.schemas import coverage_answer
from formant_mcp.server.tools.text import coverage_lines, with_notes
from formant_mcp.server.tools.tool import Reply, Tool, fit

_ID_CHARACTERS = 8


class ChangesArguments(FilterArguments):
    """The filters, and the period to compare theirs with."""

    compare_since: Date = Field("", description="Start of the other period.")
    compare_until: Date = Field("", description="End of the other period; empty: just before since.")
    compare_previous: YesNo = Field(True, description="Without compare_since: the equally long time just before.")
    limit: Whole = Field(10, ge=1, le=100, description="Maximum number of changes, least likely by chance first.")


async def _run(app: App, arguments: ChangesArguments, context: RequestContext) -> Reply:
    filters, other = parse_two_periods(
        arguments.filters(context.requested_at, app.zone),
        arguments.compare_since,
        arguments.compare_until,
        previous=arguments.compare_previous,
        now=context.requested_at,
        zone=app.zone,
    )
    query = ChangesQuery(filters, (other.since, other.until), arguments.limit)
    result = await app.account.find_changes(context, query, app.zone)
    short_ids = await app.account.shortest_ids([dated.example for dated in result.changes], _ID_CHARACTERS)
    return fit(lambda count: _reply(app, result.first(count), short_ids), len(result.changes))


def _reply(app: App, result: ChangeReport, short_ids: dict[str, str]) -> Reply:
    coverage = with_notes(result.coverage, result.existing, *result.notes)
    structured = changes_answer(result, coverage_answer(coverage, app.zone), app.zone)
    lines = change_lines(structured, app.new_boundary(), short_ids)
    return Reply("\n".join([*coverage_lines(coverage, app.zone), *lines]), structured)


FIND_CHANGES = Tool(
    name="find_changes",
    title="Find changes",
    description=(
        "What changed between two periods, over all fields, result values and signals: count and share before and"
        " after, difference with 95 % interval, first day, an example. Only what chance does not explain. Without"
        " periods: the last 7 days against the 7 before."
    ),
    arguments=ChangesArguments,
    answer=ChangesAnswer,
    run=_run,
)
