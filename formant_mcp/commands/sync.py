"""`formant-mcp sync`: downloads every conversation, so that later questions are answered from the store."""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable

from formant_mcp.app import App
from formant_mcp.commands.failures import report_failure
from formant_mcp.commands.progress import show_progress
from formant_mcp.errors import FormantError, RateLimitError
from formant_mcp.queries.account import Account, Downloaded, Report
from formant_mcp.queries.coverage import counted_kinds
from formant_mcp.queries.dates import parse_since

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5, 60
_FASTEST = 6_000  # requests a minute; a faster provider is local, and done before an estimate makes sense

Step = Callable[[Report], Awaitable[FormantError | None]]
Sleep = Callable[[float], Awaitable[None]]


def run_sync(open_app: Callable[[], Awaitable[App]], since: str) -> int:
    """Fully updates the store; returns the exit status. Can be stopped at any time, and resumed."""
    try:
        return asyncio.run(_run(open_app, since))
    except KeyboardInterrupt:
        print("Stopped. Progress is saved; run again to resume.", file=sys.stderr)
        return 130
    except FormantError as error:
        return report_failure(error)


async def _run(open_app: Callable[[], Awaitable[App]], since: str) -> int:
    app = await open_app()
    try:
        return await download(app, since)
    finally:
        await app.aclose()


async def download(app: App, since: str, sleep: Sleep = asyncio.sleep) -> int:
    """Downloads the list, then every transcript; returns the exit status.

    Raises:
        FormantError: the very first request failed, or a later error is not temporary.
    """
    begin = parse_since(since, app.now(), app.zone)
    account = app.account
    await account.retry_failed()  # the user wants everything now
    steps = _Steps(account, sleep)
    await steps.run("list", "page", lambda report: account.download_list(begin, math.inf, report))
    requested_at = app.now()
    await steps.run(
        "transcripts",
        "call",
        lambda report: account.download_details(begin, requested_at, math.inf, report),
        lambda: account.count_left(begin, requested_at),
    )
    return _report(await account.downloaded(begin, requested_at))


class _Steps:
    """Runs steps until each is done, however often the provider fails in between; stops if nothing works at all."""

    def __init__(self, account: Account, sleep: Sleep) -> None:
        self._account = account
        self._sleep = sleep
        self._has_worked = False

    async def run(
        self, name: str, unit: str, step: Step, count_left: Callable[[], Awaitable[int]] | None = None
    ) -> None:
        """Runs one step and shows its progress; `count_left` counts what is left to do, if the store can count it.

        Raises:
            FormantError: the very first request failed, or the error is not temporary.
        """
        to_do = await count_left() if count_left else 0
        before, done, total = 0, 0, 0

        with show_progress(name, unit) as display:

            async def report(now_done: int, now_total: int) -> None:
                nonlocal done, total
                done, total = (before + now_done, to_do) if to_do else (now_done, now_total)
                display.show(done, total, self._time_left(total - done))

            failures = 0
            while error := await step(report):
                if count_left:
                    done = to_do - await count_left()  # what failed was reported as done too
                has_advanced, before = done > before, done
                self._has_worked |= has_advanced
                if not self._has_worked and not isinstance(error, RateLimitError):
                    raise error
                failures = 1 if has_advanced else failures + 1
                pause = _pause_seconds(error, failures)
                for seconds in range(pause, 0, -1):
                    note = f"{error.message} Next retry in {seconds} s."
                    display.show(done, total, note, at_once=seconds == pause)
                    await self._sleep(1)
        self._has_worked = True

    def _time_left(self, requests: int) -> str:
        rate = self._account.requests_per_minute
        if not rate or rate > _FASTEST or requests <= 0:
            return ""
        return f"About {max(1, math.ceil(requests / rate))} min left at {rate:g} requests a minute."


def _pause_seconds(error: FormantError, failures: int) -> int:
    retry_after_seconds = error.retry_after_seconds if isinstance(error, RateLimitError) else None
    return math.ceil(retry_after_seconds or min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (failures - 1)))


def _report(downloaded: Downloaded) -> int:
    count, left = downloaded.conversations, downloaded.left
    lines = [f"{count:,} conversations, {count - left:,} of them downloaded."]
    if lost := counted_kinds(downloaded.unreadable):
        lines.append(f"{lost} could not be understood; an update of formant-mcp may help.")
    if left:
        lines += [f"{failed:,} could not be downloaded: {reason}." for reason, failed in downloaded.failures.items()]
        lines.append(f"Run again to retry {'it' if left == 1 else 'them'}.")
    print("\n".join(lines), file=sys.stderr)
    return 1 if left else 0
