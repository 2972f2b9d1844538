"""`formant-mcp sync`: everything read ahead, so that every later question finds it there."""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime

from tqdm import tqdm

from formant_mcp.app import App
from formant_mcp.errors import FormantError, RateLimitError
from formant_mcp.filters import DetailNeed, Filters
from formant_mcp.query.dates import read_since
from formant_mcp.sync.jobs import Report
from formant_mcp.sync.lists import ListNeed

_PAUSE_SECONDS = 60.0
_PAUSES = 10  # so many passing troubles in a row without anything read, and it is given up

Step = Callable[[Report], Awaitable[FormantError | None]]


def run_sync(open_app: Callable[[], App], since: str) -> int:
    """Brings the store fully up to date; gives the exit status. Stopped at any time, it goes on when run again."""
    try:
        return asyncio.run(_run(open_app, since))
    except KeyboardInterrupt:
        print("Stopped. What was read is stored; run it again to go on.", file=sys.stderr)
        return 130
    except FormantError as error:
        print(error, file=sys.stderr)
        return 1


async def _run(open_app: Callable[[], App], since: str) -> int:
    app = open_app()
    try:
        begin = read_since(since, app.now(), app.zone)
        sync, read = app.gathering.sync, app.gathering.store.read
        need, filters = ListNeed(since=begin), Filters(since=begin)
        await _step("list", "page", lambda report: sync.bring_list(need, math.inf, report))
        asked_at = app.now()
        await _step(
            "transcripts",
            "call",
            lambda report: sync.bring_details(read.detail_due(DetailNeed(filters), asked_at), math.inf, report),
        )
        return _report(app, filters, asked_at)
    finally:
        await app.aclose()


async def _step(name: str, unit: str, step: Step) -> None:
    """One stretch of reading with its bar; what passes by itself is waited for.

    Raises:
        FormantError: it does not pass.
    """
    with tqdm(desc=name, unit=unit, file=sys.stderr, dynamic_ncols=True) as bar:

        async def report(done: int, total: int) -> None:
            bar.total = total or None  # a list without a total
            bar.update(done - bar.n)

        pauses, before = 0, -1
        while trouble := await step(report):
            pauses, before = (0, bar.n) if bar.n > before else (pauses + 1, before)
            if pauses > _PAUSES:
                raise trouble
            seconds = trouble.retry_after_seconds if isinstance(trouble, RateLimitError) else None
            bar.set_postfix_str(trouble.message)
            await asyncio.sleep(seconds or _PAUSE_SECONDS)
            bar.set_postfix_str("")
            bar.reset()


def _report(app: App, filters: Filters, asked_at: datetime) -> int:
    read = app.gathering.store.read
    known, left = read.count(filters), read.count_detail_due(DetailNeed(filters), asked_at)
    print(f"{known:,} conversations, {known - left:,} of them with transcript and results read.", file=sys.stderr)
    if left:
        print(f"{left:,} could not be read; run it again to try them anew.", file=sys.stderr)
    return 1 if left else 0
