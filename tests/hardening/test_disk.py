"""A full disk, a store that may only be read, a clock that jumps: an answer from what is there or an error that names
the next step, nothing lost, and an answer again as soon as there is space, a permission or the right time."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import pytest

from formant_mcp.store.sqlite import connection, failures
from formant_mcp.store.sync_state import ListState
from formant_mcp.sync.list_sync import ListSync
from tests.calls import Row, conversation
from tests.fake_formant import FakeFormant
from tests.fake_http import Request
from tests.hardening.crash_stores import problems
from tests.hardening.damage import QUESTIONS, facts
from tests.server_harness import NOW, Account, Assistant
from tests.stdio_process import KEY, PROGRAM, Message, calling, said, started
from tests.sync.sync_harness import ended_calls

pytestmark = [pytest.mark.hardening, pytest.mark.anyio, pytest.mark.file_store]

CALLS, MORE = 40, 400
NEXT_STEPS = (
    "Free some space",
    "Check permissions",
    "set FORMANT_STORE",
    "Set FORMANT_STORE",
    "Retry in a few seconds",
)


def unexplained(texts: Sequence[str]) -> list[str]:
    """The errors without a next step."""
    return [text for text in texts if not any(step in text for step in NEXT_STEPS)]


def an_account(folder: Path, count: int = CALLS) -> Account:
    """An account of a few calls."""
    api = FakeFormant()
    api.conversations = ended_calls(count)
    return Account(api, "auto", folder)


async def said_to(assistant: Assistant, errors: list[str]) -> list[object]:
    """What the questions are answered, without those that end in an error, which is noted."""
    answers = list[object]()
    for tool, arguments in QUESTIONS:
        try:
            answers.append(facts(await assistant.ask(tool, **arguments)))
        except AssertionError as error:
            errors.append(str(error))
    return answers


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[Path]:
    """A disk of that size."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root on Linux alone")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@asynccontextmanager
async def on_small_disk(folder: Path) -> AsyncGenerator[tuple[Account, Assistant, Path]]:
    """A server whose store has all calls of an account, on a small disk that a large file then fills."""
    account = an_account(folder)
    with small_disk(folder, 32) as disk:
        async with account.connect(store=str(disk / "store.sqlite"), call_seconds=60) as assistant:
            yield account, assistant, disk


def fill(disk: Path, left: int) -> Path:
    """Fills a disk but for so many bytes."""
    other, free = disk / "other", shutil.disk_usage(disk).free
    other.write_bytes(bytes(max(0, free - left)))
    return other


@pytest.mark.parametrize("left", [0, 4_096, 16_384, 65_536, 262_144])
async def test_a_full_disk_loses_nothing_and_the_next_question_works_with_space(tmp_path: Path, left: int) -> None:
    errors = list[str]()
    async with on_small_disk(tmp_path) as (account, assistant, disk):
        before = await said_to(assistant, errors)
        assert errors == []
        other = fill(disk, left)
        account.api.conversations = [*new_calls(), *account.api.conversations]
        account.pass_time(hours=1)
        await said_to(assistant, errors)
        assert errors or left
        assert unexplained(errors) == []
        other.unlink()
        account.pass_time(hours=1)
        assert await right_answers(assistant) == await right_answers_of(account)
        assert len(before) == len(QUESTIONS)
    assert problems(disk / "store.sqlite") == []


def new_calls() -> list[Row]:
    return ended_calls(MORE, first=5_000, newest_at=NOW - timedelta(hours=3))


async def right_answers(assistant: Assistant) -> list[object]:
    """What all questions are answered, none of them with an error."""
    errors = list[str]()
    answers = await said_to(assistant, errors)
    assert errors == []
    return answers


async def right_answers_of(account: Account) -> list[object]:
    """What a server answers whose store is in memory."""
    async with account.connect(call_seconds=60) as assistant:
        return await right_answers(assistant)


async def test_the_check_reports_an_error_without_a_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bare(error: Exception, path: Path | None) -> failures.StoreError:
        return failures.StoreError("disk I/O error")

    monkeypatch.setattr(connection, "to_store_error", bare)
    errors = list[str]()
    async with on_small_disk(tmp_path) as (account, assistant, disk):
        await said_to(assistant, errors)
        fill(disk, 0)
        account.api.conversations = [*new_calls(), *account.api.conversations]
        account.pass_time(hours=1)
        await said_to(assistant, errors)
    assert unexplained(errors)


@pytest.mark.parametrize("kilobytes", [100, 400, 800, 1_600])
def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path, kilobytes: int) -> None:
    if sys.platform == "win32":
        pytest.skip("no such limits there")
    limited = ("bash", "-c", f"trap '' XFSZ; ulimit -f {kilobytes}; exec {PROGRAM}")
    with FakeFormant.in_thread() as api:
        api.key, api.conversations = KEY, ended_calls(MORE)
        own = {
            "FORMANT_API_KEY": KEY,
            "FORMANT_BASE_URL": api.url,
            "FORMANT_STORE": str(tmp_path / "store.sqlite"),
        }
        with started(tmp_path, program=limited, seconds=60, **own) as server:
            server.shake_hands()
            server.send(question(2))
            text = said(server.receive())
            assert f"{MORE} conversations" in text or unexplained([text]) == []
        text = asked_once(tmp_path, own)
        assert "complete as of" in text.partition("\n")[0]
        assert f"{MORE}" in text
    assert problems(tmp_path / "store.sqlite") == []


def settings_of(api: FakeFormant, path: Path) -> dict[str, str]:
    """A server's environment with that API and store."""
    return {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(path)}


def question(number: int) -> Message:
    return calling(number, "summarize_results", group_by=["status"])


def asked_once(folder: Path, own: dict[str, str]) -> str:
    """The answer of a server without limits."""
    with started(folder, seconds=60, **own) as server:
        server.shake_hands()
        server.send(question(2))
        return said(server.receive())


@pytest.mark.parametrize("kind", ["mount", "folder"])
def test_a_store_that_may_only_be_read_is_named_and_works_again(tmp_path: Path, kind: str) -> None:
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("needs root on Linux")
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    with FakeFormant.in_thread() as api:
        api.key, api.conversations = KEY, ended_calls(CALLS)
        own = {
            "FORMANT_API_KEY": KEY,
            "FORMANT_BASE_URL": api.url,
            "FORMANT_STORE": str(folder / "store.sqlite"),
        }
        right = asked_once(tmp_path, own)
        with ExitStack() as reading, ExitStack() as running:
            program = reading.enter_context(only_read(folder, kind))
            server = running.enter_context(started(tmp_path, program=program, seconds=60, **own))
            server.shake_hands()
            server.send(question(2))
            text = said(server.receive())
            print(kind, text.partition("\n")[0])
            assert unexplained([text]) == []
            reading.close()
            server.send(question(3))
            assert said(server.receive()).partition("\n")[2] == right.partition("\n")[2]
    assert problems(folder / "store.sqlite") == []
    assert list(folder.glob("*.damaged-*")) == []


@contextmanager
def only_read(folder: Path, kind: str) -> Generator[tuple[str, ...]]:
    """The program, which may only read what is in a folder."""
    if kind == "mount":
        if subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True).returncode:
            pytest.skip("cannot mount")
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        try:
            yield (str(PROGRAM),)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    for file in folder.iterdir():
        file.chmod(0o400)
    folder.chmod(0o500)
    yield ("setpriv", "--bounding-set=-all", "--inh-caps=-all", str(PROGRAM))  # root without its powers
    folder.chmod(0o700)
    for file in folder.iterdir():
        file.chmod(0o600)


async def wrong_figures(folder: Path) -> list[str]:
    """What a server answers wrong whose clock jumps by an hour between questions, and with each request."""
    account, wrong = an_account(folder, 1_200), list[str]()
    jumps = cycle([timedelta(hours=1), timedelta(hours=-1)])

    def jump(_: Request) -> None:
        account.now += next(jumps)

    async with account.connect(store=str(folder / "store.sqlite"), call_seconds=60) as assistant:
        for number in range(12):
            account.now += timedelta(hours=(1, -1)[number % 2])
            account.api.on_request = jump if number % 4 < 2 else None
            account.api.add(conversation(9_000 + number, NOW - timedelta(minutes=90 - number)))
            coverage = (await assistant.ask("summarize_results", group_by=["status"])).coverage
            if coverage["matched"] != 1_201 + number and coverage["complete"]:
                wrong.append(f"{number}: {coverage}")
        account.api.on_request = None
        account.pass_time(hours=2)
        if await right_answers(assistant) != await right_answers_of(account):
            wrong.append("the last answers")
    return wrong


async def test_a_clock_that_jumps_between_questions_and_within_a_scan_gives_no_wrong_figure(tmp_path: Path) -> None:
    assert await wrong_figures(tmp_path) == []


async def test_the_check_reports_figures_of_a_time_that_is_still_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_is(_: ListSync, state: ListState) -> ListState:
        return state

    monkeypatch.setattr(ListSync, "_until_now", as_it_is)
    assert await wrong_figures(tmp_path)
