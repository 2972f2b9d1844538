"""Questions over 200 details against an API that allows 50 requests a minute: answered in parts, and hardly refused."""

import asyncio
import itertools
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from formant_mcp.providers.allowance import Allowance
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.rate_limit import MOST_IN_FLIGHT
from tests.calls import conversation
from tests.examples import is_thorough
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply, Request
from tests.hardening.virtual_loop import VirtualLoop
from tests.providers.limited_api import LATENCY, PER_MINUTE, Headers, Limit, Minute
from tests.providers.scripted import NOON
from tests.server_harness import KEY, Account, Answer, Assistant

pytestmark = [pytest.mark.anyio, pytest.mark.hardening]

ROOT = Path(__file__).parents[2]
DETAILS, LIST_PAGES = 200, 3
CALL_SECONDS = 20
MOST_REFUSED, LEAST_USED = 0.05, 0.9
HEADERS: tuple[Headers, ...] = ("all", "retry", "")
MINUTES: tuple[Minute, ...] = ("fixed", "sliding", "bucket")
each_headers = pytest.mark.parametrize("headers", HEADERS, ids=["all stated", "Retry-After alone", "nothing said"])
each_minute = pytest.mark.parametrize("minute", MINUTES)
each_source = pytest.mark.parametrize("is_documented", [True, False], ids=["documented", "undocumented"])
TIME_LEFT = re.compile(
    r"(\d+) of [\d,]+ matching conversations still to load \(about (\d+) min at (\d+) requests a minute\)"
)
# Two servers and restarts take long to simulate: all of them where there is time, else every second form.
each_form_with_time = pytest.mark.parametrize(
    ("is_documented", "headers", "minute"),
    list(itertools.product((True, False), HEADERS, MINUTES))[:: 1 if is_thorough() else 2],
)
SearchArguments = dict[str, object]
QUESTION: SearchArguments = {"query": "payment", "spelling": "exact"}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], asyncio.AbstractEventLoop]]]:
    """An event loop that never waits."""
    return "asyncio", {"loop_factory": VirtualLoop}


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


class LimitedFormant(FakeFormant):
    """Formant's API with a limit, in the loop's time; `has_date`: its responses say when they were sent."""

    def __init__(self, limit: Limit, *, has_date: bool) -> None:
        super().__init__()
        self.limit, self.has_date = limit, has_date
        self.key = KEY

    def answer(self, request: Request) -> Reply:
        asleep = max(timedelta(), loop().suspended)  # the provider was awake, and its clock is never set back
        seconds = loop().time() + asleep.total_seconds()
        now = NOON + timedelta(seconds=seconds)
        is_accepted, headers = self.limit.count(seconds, now)
        headers |= {"Date": format_datetime(now, usegmt=True)} if self.has_date else {}
        reply = super().answer(request) if is_accepted else Reply.of(self.refusal(429, "Rate limit exceeded."))
        return replace(reply, headers=headers, delay_seconds=LATENCY)


class UndocumentedFormant(FormantProvider):
    """A client of the same API that expects no limit."""

    spec = replace(FormantProvider.spec, documented_per_minute=None)


class LimitedAccount(Account):
    """An account with that API, in the loop's time; `is_documented`: its clients expect the limit."""

    def __init__(self, api: FakeFormant, folder: Path, *, is_documented: bool = True) -> None:
        super().__init__(api, "auto", folder)
        self._client_of = FormantProvider if is_documented else UndocumentedFormant

    def clock(self) -> datetime:
        return loop().now()

    @asynccontextmanager
    async def server(self, store: Path) -> AsyncGenerator[Assistant]:
        """One server on that store, until the block ends."""
        source = self._client_of(
            self.api.url,
            KEY,
            transport=self.api.transport(),
            sleep=asyncio.sleep,
            now=loop().now,
            monotonic=loop().time,
        )
        settings = self.settings({"store": str(store), "call_seconds": CALL_SECONDS})
        async with self._client(settings, lambda: self._app(settings, source, KEY)) as assistant:
            yield assistant


def account_with(
    limit: Limit, folder: Path, count: int = DETAILS, *, is_documented: bool = True, has_date: bool = False
) -> LimitedAccount:
    account = LimitedAccount(LimitedFormant(limit, has_date=has_date), folder, is_documented=is_documented)
    account.api.conversations = [conversation(n, NOON - timedelta(days=2, minutes=n)) for n in range(count)]
    return account


async def until_complete(
    assistant: Assistant, count: int = DETAILS, *, says_time: bool = True, is_shared: bool = False
) -> list[Answer]:
    """The same question again and again; each part in time, growing, and saying how to go on.

    `is_shared`: another server reads too, so that this one may know of no rate in its first answer.
    """
    parts: list[Answer] = []
    while not parts or not parts[-1].coverage["complete"]:
        began_at = loop().time()
        part = await assistant.ask("search_transcripts", **QUESTION)
        assert loop().time() - began_at <= CALL_SECONDS + 0.5
        note, needed = str(part.coverage.get("note", "")), int(str(part.coverage["details_needed"]))
        left = TIME_LEFT.search(note)
        if says_time and needed - read(part) > PER_MINUTE and (left or parts or not is_shared):
            assert left, note
            assert int(left[1]) == needed - read(part)
            assert int(left[2]) == pytest.approx(int(left[1]) / PER_MINUTE, abs=1)
        assert part.coverage["complete"] or note
        if parts:
            assert read(part) >= read(parts[-1])
        parts.append(part)
        assert len(parts) < 60, "never complete"
    assert parts[-1].coverage["details_read"] == count
    return parts


def read(part: Answer) -> int:
    return int(str(part.coverage["details_read"]))


@each_source
@each_headers
@each_minute
async def test_a_question_over_200_details_is_answered_in_parts(
    is_documented: bool, headers: Headers, minute: Minute, tmp_path: Path
) -> None:
    limit = Limit(headers, minute)
    account = account_with(limit, tmp_path, is_documented=is_documented)
    async with account.server(tmp_path / "store") as assistant:
        parts = await until_complete(assistant)
        seconds = loop().time()
    assert limit.accepted <= DETAILS + LIST_PAGES + len(parts)  # nothing is read twice
    check(limit, seconds, f"{len(parts)} parts")


def check(limit: Limit, seconds: float, what: str, most_refused: float = MOST_REFUSED) -> None:
    """Few requests were refused, and most of what is allowed was used."""
    share = limit.refused / (limit.refused + limit.accepted)
    used = limit.accepted / (limit.allowed * seconds / 60)
    print(f"{what}, {seconds:.0f} s, {limit.refused} of {limit.accepted} refused ({share:.1%}), {used:.0%} used")
    assert share < most_refused
    assert used >= LEAST_USED


@each_form_with_time
async def test_what_was_learned_is_kept_between_starts(
    is_documented: bool, headers: Headers, minute: Minute, tmp_path: Path
) -> None:
    limit = Limit(headers, minute)
    account = account_with(limit, tmp_path, count=60, is_documented=is_documented)
    async with account.server(tmp_path / "store") as assistant:
        await until_complete(assistant, 60)
    for more in range(60, 300):
        account.api.add(conversation(more, NOON - timedelta(days=3, minutes=more)))
    await asyncio.sleep(61)
    limit.accepted, limit.refused, began_at = 0, 0, loop().time()
    async with account.server(tmp_path / "store") as assistant:
        parts = await until_complete(assistant, 300)
    check(limit, loop().time() - began_at, f"{len(parts)} parts", most_refused=0.02)


async def ask_two_servers(limit: Limit, folder: Path, *, is_documented: bool = True, says_time: bool = True) -> None:
    """Two servers on one store, whose assistants ask the same at once."""
    account = account_with(limit, folder, is_documented=is_documented)
    async with AsyncExitStack() as servers:
        assistants = [await servers.enter_async_context(account.server(folder / "store")) for _ in range(2)]
        both = await asyncio.gather(*(until_complete(each, says_time=says_time, is_shared=True) for each in assistants))
    paths = [request.path for request in account.api.requests if request.path.count("/") > 2]
    # Each once, whichever server read it; a busy machine may keep one waiting for the other's lock for too long.
    assert len(paths) - limit.refused <= 1.01 * DETAILS
    check(limit, loop().time(), f"{[len(parts) for parts in both]} parts")


@each_form_with_time
async def test_two_servers_on_one_store_share_the_allowance(
    is_documented: bool, headers: Headers, minute: Minute, tmp_path: Path
) -> None:
    await ask_two_servers(Limit(headers, minute), tmp_path, is_documented=is_documented)


async def test_servers_that_count_nothing_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_at_once(*_: float) -> float:
        return 0.0

    monkeypatch.setattr(Allowance, "take", take_at_once)
    with pytest.raises(AssertionError, match=r"0\.\d+ < 0\.05"):
        await ask_two_servers(Limit("retry"), tmp_path, says_time=False)


@each_headers
@pytest.mark.parametrize("hours", [1, -1], ids=["suspended for an hour", "clock set back"])
async def test_a_clock_that_jumps_in_a_wait_in_a_scan_or_in_a_lease_costs_nothing(
    hours: int, headers: Headers, tmp_path: Path
) -> None:
    limit = Limit(headers)
    account = account_with(limit, tmp_path, count=120, has_date=True)

    def jump(_: Request) -> None:
        """During the scan, among the details, and while nothing may be sent."""
        if len(account.api.requests) in (2, 30):
            loop().suspended += timedelta(hours=hours)

    account.api.on_request = jump
    loop().call_later(35, lambda: setattr(loop(), "suspended", loop().suspended + timedelta(hours=hours)))
    async with AsyncExitStack() as servers:
        assistants = [await servers.enter_async_context(account.server(tmp_path / "store")) for _ in range(2)]
        both = await asyncio.gather(*(until_complete(each, 120, says_time=False) for each in assistants))
    # Not an hour: some 3 minutes, and more where the machine is busy, as the loop's time goes on while SQLite works.
    assert loop().time() <= 10 * 60
    assert limit.refused <= 2 * MOST_IN_FLIGHT  # those of one moment, of both servers
    assert all(parts[-1].structure["hits_total"] == both[0][-1].structure["hits_total"] for parts in both)
    assert [parts[-1].coverage["known"] for parts in both] == [120, 120]
    assert limit.accepted <= 1.5 * (120 + LIST_PAGES + len(both[0]))
    print(f"{[len(parts) for parts in both]} parts, {loop().time():.0f} s, {limit.refused} of {limit.accepted} refused")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_two_processes_on_one_store_share_the_allowance(anyio_backend: str, tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.conversations = [conversation(n, datetime.now(UTC) - timedelta(days=2, minutes=n)) for n in range(120)]
        api.rate_limit_headers(25, 1.0)
        command = [sys.executable, "-m", "tests.sync.sync_process", api.url, str(tmp_path / "store"), "account"]
        both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=60)[0] for process in both] == ["None True\nNone\n"] * 2
        paths = [request.path for request in api.requests]
    details = [path for path in paths if path != "/v1/conversations"]
    assert len(set(details)) == 120
    print(f"{len(paths)} requests, {len(details) - 120} refused")
    assert len(details) - 120 < MOST_REFUSED * len(paths)
