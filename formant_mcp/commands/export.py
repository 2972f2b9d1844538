"""`formant-mcp export`: all calls that match, as a file or to stdout."""

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from formant_mcp.app import App
from formant_mcp.commands.failures import report_failure
from formant_mcp.commands.progress import show_progress
from formant_mcp.commands.shell_words import in_shell
from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.exports import Table, file_exists, save_as
from formant_mcp.files import disk_errors, write
from formant_mcp.queries.arguments import argument_error
from formant_mcp.queries.coverage import Coverage
from formant_mcp.queries.export import ExportedCall
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.tools.export_conversations import ExportArguments
from formant_mcp.server.tools.text import with_notes


def run_export(
    open_app: Callable[[], Awaitable[App]], options: Mapping[str, object], output: str, *, is_demo: bool
) -> int:
    """Writes the calls that match to `output`, or to stdout for '' and '-'; returns the exit status: 0 if it has all.

    `options`: the tool's arguments as typed. What was fetched stays in the store, also if it is stopped.
    """
    try:
        path = Path(output).absolute() if output not in ("", "-") else None
        if path and os.path.lexists(path):
            raise file_exists(path)
        if path and not path.parent.is_dir():
            raise InvalidRequestError(f"There is no folder {path.parent}.", "Create it, or choose another with -o.")
        coverage = asyncio.run(_run(open_app, options, path))
    except FormantError as error:
        return report_failure(error, is_demo=is_demo)
    if coverage.note or not coverage.complete:
        note = in_shell(coverage.note, is_demo=is_demo)
        print(f"{'' if coverage.complete else 'Incomplete: '}{note}", file=sys.stderr)
    return 0 if coverage.complete else 1


async def _run(open_app: Callable[[], Awaitable[App]], options: Mapping[str, object], output: Path | None) -> Coverage:
    try:
        arguments = ExportArguments.model_validate(options)
    except ValidationError as error:
        raise argument_error(error.errors(include_url=False), ExportArguments) from None
    app = await open_app()
    try:
        return await _export(app.for_answer(), arguments, output)
    finally:
        await app.aclose()


async def _export(app: App, arguments: ExportArguments, output: Path | None) -> Coverage:
    now, include = app.now(), frozenset(arguments.include)
    with show_progress("loading", "request") as progress:

        async def report(done: int, total: int) -> None:
            progress.show(done, total, "")

        context = RequestContext(now, math.inf, report)
        export = await app.account.export(context, arguments.filters(now, app.zone), include)
    table = Table(arguments.format, include, export.paths, app.zone)
    with show_progress("writing", "call") as progress:
        matched, written = export.coverage.matched, 0

        async def pages() -> AsyncIterator[list[ExportedCall]]:
            nonlocal written
            async for calls in export.pages:
                yield calls
                written += len(calls)
                progress.show(written, matched, "")

        if output:
            await save_as(output, table, pages())
        else:
            await _print(table, pages())
    export = export.written(written, is_table=arguments.format == "csv")
    return with_notes(export.coverage, export.existing, export.note)


async def _print(table: Table, pages: AsyncIterator[list[ExportedCall]]) -> None:
    problems = partial(disk_errors, "The export cannot be written to stdout", "choose a file with -o")
    with FileIO(sys.stdout.fileno(), "wb", closefd=False) as stdout:
        with problems():
            write(stdout, table.header())
        async for calls in pages:
            with problems():
                write(stdout, table.lines(calls))
