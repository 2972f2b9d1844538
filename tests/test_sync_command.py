"""`formant-mcp sync`: everything is downloaded once, however often it is stopped and whatever fails meanwhile."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.app import open_app
from formant_mcp.commands.sync import download
from formant_mcp.errors import ConnectionFailedError
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.settings import Settings
from tests.calls import conversation, conversation_id
from tests.command import Done, run
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.fake_http import Request
from tests.faults import Fault, hang_up, wrong_shape
from tests.provider_apis import no_wait
from tests.server_harness import KEY, NOW
from tests.stdio_process import environment

COUNT = 110  # more than a page of the list has


def variables(api: FakeFormant, folder: Path) -> dict[str, str]:
    return {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(folder / "store.sqlite")}


def sync(api: FakeFormant, folder: Path, *arguments: str) -> Done:
    """Runs the command in this process."""
    return run(folder, "sync", *arguments, **variables(api, folder))


def started(api: FakeFormant, folder: Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Starts it as a child process."""
    return subprocess.Popen(
        [sys.executable, "-m", "formant_mcp", "sync"],
        env=environment(folder, **variables(api, folder)),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def filled(api: FakeFormant) -> FakeFormant:
    api.conversations = [conversation(n, NOW - timedelta(days=40, hours=n)) for n in range(COUNT)]
    return api


def details(api: FakeFormant) -> list[str]:
    return [request.path for request in api.requests if request.path != "/v1/conversations"]


@pytest.fixture
def api() -> Generator[FakeFormant]:
    with FakeFormant.in_thread() as api:
        yield api


class Clock:
    """A sleep that takes no time, and counts its calls."""

    def __init__(self) -> None:
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        assert seconds == 1
        self.slept += 1


async def downloaded(api: FakeFormant, clock: Clock, store: str = ":memory:") -> int:
    """Runs the command in this process, without its waits; returns the exit status."""
    settings = Settings.model_validate({"api_key": KEY, "base_url": api.url, "store": store})
    app = await open_app(settings, FormantProvider(settings.address, KEY, sleep=no_wait), KEY, lambda: NOW)
    try:
        return await download(app, "", clock.sleep)
    finally:
        await app.aclose()


@pytest.mark.anyio
async def test_a_failure_at_the_start_is_raised(api: FakeFormant) -> None:
    filled(api).fault("/v1/conversations", 1_000, hang_up)
    clock = Clock()
    with pytest.raises(ConnectionFailedError):
        await downloaded(api, clock)
    assert clock.slept == 0


@pytest.mark.anyio
async def test_a_later_failure_is_shown_with_the_next_retry_and_waited_for(
    api: FakeFormant, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    filled(api).fault(lambda request: request.path != "/v1/conversations" and clock.slept < 5, 10_000, 503)
    assert await downloaded(api, clock) == 0
    assert clock.slept >= 5
    shown = capsys.readouterr().err
    assert f"transcripts: 0 of {COUNT} calls. The API failed (503). Next retry in 5 s." in shown
    assert f"{COUNT} conversations, {COUNT} of them downloaded." in shown


REASONS: list[tuple[int | Fault, str]] = [
    (404, "not found at the provider"),
    (403, "this API key lacks permission (403)"),
    (422, "the API refused the request (422)"),
    (503, "the API failed (503)"),
    (wrong_shape, "the response's field 'data' is not an object"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "why"), some(REASONS, 2))
async def test_a_call_that_cannot_be_downloaded_is_reported_and_retried_by_the_next_run(
    api: FakeFormant, kind: int | Fault, why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    is_broken = True
    filled(api).fault(lambda request: is_broken and conversation_id(7) in request.path, 1_000, kind)
    assert await downloaded(api, Clock(), str(tmp_path / "store.sqlite")) == 1
    assert capsys.readouterr().err.splitlines()[-3:] == [
        f"{COUNT} conversations, {COUNT - 1} of them downloaded.",
        f"1 could not be downloaded: {why}.",
        "Run again to retry it.",
    ]
    is_broken = False
    assert await downloaded(api, Clock(), str(tmp_path / "store.sqlite")) == 0


@pytest.mark.anyio
async def test_unreadable_rows_transcripts_and_results_are_counted(
    api: FakeFormant, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = conversation(COUNT, NOW - timedelta(days=3), transcript={"heard": "refund"}, results='{"intent": "dispu')
    filled(api).add(lost)
    api.add(conversation(COUNT + 1, NOW - timedelta(days=3), conversation_id=None))
    assert await downloaded(api, Clock()) == 0
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"{COUNT + 1} conversations, {COUNT + 1} of them downloaded.",
        "1 row of the list, 1 transcript and 1 result value could not be understood;"
        " an update of formant-mcp may help.",
    ]


@pytest.mark.anyio
async def test_the_time_left_is_estimated_from_the_rate_limit(
    api: FakeFormant, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(api).rate_limit_headers(1_000, 60)

    def halt(_: Request) -> None:
        if len(details(api)) == 30:  # for longer than it takes until progress is shown
            api.gate.shut()
            threading.Timer(0.6, api.gate.open).start()

    api.on_request = halt
    assert await downloaded(api, Clock()) == 0
    assert "About 1 min left at 1000 requests a minute." in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    import pty
    import termios

    with FakeFormant.in_thread() as api:
        ours, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        with started(filled(api), tmp_path, stderr=terminal) as done:
            os.close(terminal)
            shown = b""
            while chunk := _read(ours):
                shown += chunk
            assert done.wait(60) == 0
        assert f"{COUNT} of {COUNT} calls".encode() in shown
        os.close(ours)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""


def test_everything_is_downloaded_once_with_lines_of_progress(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        done = sync(filled(api), tmp_path)
        assert (done.status, done.out) == (0, "")
        assert f"transcripts: {COUNT} of {COUNT} calls." in done.error
        assert f"{COUNT} conversations, {COUNT} of them downloaded." in done.error
        assert sorted(details(api)) == sorted(set(details(api)))
        before = len(details(api))
        assert sync(api, tmp_path).status == 0
        assert len(details(api)) == before == COUNT


def test_since_downloads_only_calls_from_then_on(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.conversations = [conversation(n, NOW - timedelta(days=n)) for n in range(30)]
        assert sync(api, tmp_path, "--since", (NOW - timedelta(days=9, hours=1)).date().isoformat()).status == 0
        assert 10 <= len(details(api)) <= 11


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_a_run_after_ctrl_c_resumes(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        first = started(filled(api), tmp_path)
        api.received(40).result(30)
        api.gate.shut()  # otherwise it may finish before the signal arrives
        first.send_signal(signal.SIGINT)
        _, on_stderr = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "run again to resume" in on_stderr
        assert "Traceback" not in on_stderr
        api.gate.open()
        assert sync(api, tmp_path).status == 0
        # At most the requests in flight when it was stopped are repeated.
        assert len(details(api)) <= COUNT + 16


def test_a_refused_key_and_an_invalid_date_are_reported_without_a_traceback(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.key = "another"
        refused = run(tmp_path, "sync", **variables(api, tmp_path))
        assert refused.status == 1
        assert "The key was refused." in refused.error
        assert "Traceback" not in refused.error
        assert KEY not in refused.error
        strange = sync(api, tmp_path, "--since", "soon")
        assert strange.status == 2
        assert "is not a valid date" in strange.error
