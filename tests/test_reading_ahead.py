"""`formant-mcp sync` as a child process: everything read ahead, once, however often it is stopped."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.calls import conversation
from tests.fake_formant import FakeFormant
from tests.serving import KEY, NOW

COUNT = 150


def command(api: FakeFormant, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORMANT_")}
    environment |= {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(folder / "store.sqlite")}
    return subprocess.Popen(
        [sys.executable, "-m", "formant_mcp", "sync", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def filled(api: FakeFormant) -> FakeFormant:
    api.conversations = [conversation(n, NOW - timedelta(days=40, hours=n)) for n in range(COUNT)]
    return api


def details(api: FakeFormant) -> list[str]:
    return [request.path for request in api.requests if request.path != "/v1/conversations"]


def test_everything_is_read_and_the_bar_tells_how_far_it_is(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        done = command(filled(api), tmp_path)
        out, told = done.communicate(timeout=60)
        assert (done.returncode, out) == (0, "")
        assert f"{COUNT}/{COUNT}" in told
        assert "call/s" in told
        assert f"{COUNT} conversations, {COUNT} of them with transcript and results read." in told
        assert sorted(details(api)) == sorted(set(details(api)))
        before = len(details(api))
        again = command(api, tmp_path)
        again.communicate(timeout=60)
        assert again.returncode == 0
        assert len(details(api)) == before == COUNT


def test_since_reads_only_those_from_then_on(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.conversations = [conversation(n, NOW - timedelta(days=n)) for n in range(30)]
        done = command(api, tmp_path, "--since", (NOW - timedelta(days=9, hours=1)).date().isoformat())
        done.communicate(timeout=60)
        assert done.returncode == 0
        assert 10 <= len(details(api)) <= 11


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_stopped_with_ctrl_c_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        first = command(filled(api), tmp_path)
        api.received(40).result(30)
        api.gate.shut()  # else it may be ready before the signal reaches it
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "run it again to go on" in told
        assert "Traceback" not in told
        api.gate.open()
        second = command(api, tmp_path)
        second.communicate(timeout=60)
        assert second.returncode == 0
        # At most what was in flight when it was stopped is asked for twice.
        assert len(details(api)) <= COUNT + 16


def test_a_refused_key_and_a_strange_date_are_said_without_a_traceback(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.key = "another"
        refused = command(api, tmp_path)
        _, told = refused.communicate(timeout=60)
        assert refused.returncode == 1
        assert "The key was refused." in told
        assert "Traceback" not in told
        assert KEY not in told
        strange = command(api, tmp_path, "--since", "soon")
        _, told = strange.communicate(timeout=60)
        assert strange.returncode == 1
        assert "not a date" in told
