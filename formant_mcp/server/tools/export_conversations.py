"""`export_conversations`: writes all matching calls to a file."""

import asyncio
import secrets
from typing import Annotated

from pydantic import BeforeValidator, Field

from formant_mcp.app import App
from formant_mcp.errors import RequestTimeoutError
from formant_mcp.exports import ExportFormat, Include, Table
from formant_mcp.models import clean
from formant_mcp.queries.arguments import FilterArguments, Takes
from formant_mcp.queries.forms import as_choice, as_list, as_name
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.tools.schemas import ExportAnswer, coverage_answer
from formant_mcp.server.tools.text import LINK_NOTE, coverage_lines, fenced, outside_forms, with_notes
from formant_mcp.server.tools.tool import Reply, Tool

Includes = Annotated[
    list[Include],
    BeforeValidator(as_list(as_name)),
    Takes("a list of results, signals, transcript", "results, transcript"),
]


class ExportArguments(FilterArguments):
    """The filters, and what to write of what matches."""

    format: Annotated[ExportFormat, BeforeValidator(as_choice({"json": "jsonl", "excel": "csv"}))] = Field(
        "csv", description="csv for spreadsheets, or jsonl."
    )
    include: Includes = Field([], description="results, signals: a column each; transcript.")


async def _run(app: App, arguments: ExportArguments, context: RequestContext) -> Reply:
    filters, include = arguments.filters(context.requested_at, app.zone), frozenset(arguments.include)
    export = await app.account.export(context, filters, include)
    table = Table(arguments.format, include, export.paths, app.zone)
    name = f"conversations-{context.requested_at.astimezone(app.zone):%Y-%m-%d-%H%M%S}"
    if app.publish:  # no other export has its name and so its file, which is deleted with the link
        name += f"-link-{secrets.token_hex(8)}"
    try:
        async with asyncio.timeout(context.seconds_left):
            saved = await app.exports.save(table, export.pages, name)
    except TimeoutError:
        raise RequestTimeoutError(
            f"{export.coverage.matched:,} calls could not be written within this call's time.",
            "Export them in parts, by since, until or agent_id, or run `formant-mcp export`.",
        ) from None
    path = app.publish(saved.path, is_temporary=True) if app.publish else str(saved.path)
    export = export.written(saved.rows, is_table=arguments.format == "csv")
    coverage = with_notes(export.coverage, export.existing, export.note, LINK_NOTE if app.publish else "")
    structured = ExportAnswer(
        coverage=coverage_answer(coverage, app.zone),
        path=path,
        rows=saved.rows,
        bytes=saved.bytes,
        columns=table.columns,
    )
    names = list(map(clean, table.columns))
    outside = outside_forms(names)
    columns = [f"columns: {', '.join(outside or names)}"]
    lines = [f"saved: {path} ({saved.rows:,} rows, {saved.bytes:,} bytes)"]
    lines += fenced("Names of result fields,", columns, app.new_boundary()) if outside is None else columns
    return Reply("\n".join([*coverage_lines(coverage, app.zone), *lines]), structured)


EXPORT_CONVERSATIONS = Tool(
    name="export_conversations",
    title="Export conversations",
    description="Writes all matching calls to a file in the exports folder, for a spreadsheet or a program.",
    arguments=ExportArguments,
    answer=ExportAnswer,
    run=_run,
    is_read_only=False,
    is_idempotent=False,
)
