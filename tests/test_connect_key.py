"""`formant-mcp connect` checks the key with the provider before it writes it."""

import os
import pty
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import monotonic

import pytest

from formant_mcp.commands import connect
from tests.command import Done, run
from tests.fake_formant import FakeFormant
from tests.stdio_process import MOST_SECONDS, PROGRAM, environment

KEY, WRONG = "sk-live-0123456789", "sk-mistyped"
UNCHECKED = "The key was not checked: with FORMANT_API_KEY set, `formant-mcp doctor` checks it later."
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="it needs a terminal of Unix")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def account() -> Generator[FakeFormant]:
    """An API that accepts one key."""
    with FakeFormant.in_thread() as api:
        api.key = KEY
        yield api


def connect_cursor(home: Path, *options: str, **variables: str) -> Done:
    done = run(home, "connect", "cursor", *options, HOME=str(home), **variables)
    assert KEY not in done.out + done.error
    assert WRONG not in done.out + done.error
    return done


def written(home: Path) -> str:
    """The configuration; '' if there is none."""
    path = home / ".cursor" / "mcp.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def in_terminal(home: Path, *answers: tuple[str, str], **variables: str) -> tuple[int, str]:
    """The exit status and what is shown; each answer is typed once its prompt is there."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "connect", "cursor"],
        env=environment(home, HOME=str(home), **variables),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,  # else the key would be read from the terminal that the tests run in
    )
    os.close(terminal)
    watchdog = Timer(MOST_SECONDS, process.kill)  # a prompt that does not come would be waited for without end
    watchdog.start()
    shown = ""
    for prompt, answer in answers:
        start = len(shown)
        while prompt not in shown[start:] and (chunk := read_chunk(ours)):
            shown += chunk
        assert prompt in shown[start:], shown
        os.write(ours, f"{answer}\n".encode())
    while chunk := read_chunk(ours):
        shown += chunk
    os.close(ours)
    watchdog.cancel()
    return process.wait(MOST_SECONDS), shown


def read_chunk(terminal: int) -> str:
    """Some of what is shown; '' once the program has ended."""
    try:
        return os.read(terminal, 65_536).decode(errors="replace")  # a character may come in two parts
    except OSError:
        return ""


def test_an_accepted_key_is_written_after_one_request(tmp_path: Path) -> None:
    with account() as api:
        done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url)
        assert len(api.requests) == 1
    assert done.status == 0
    assert done.error.startswith("Checking the key with Formant …\nFormant accepts it.\n")
    assert KEY in written(tmp_path)


@pytest.mark.parametrize("kind", [401, 403])
def test_a_refused_key_is_not_written_where_nobody_can_confirm(kind: int, tmp_path: Path) -> None:
    with account() as api:
        api.fault("", 1, kind)
        done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY=WRONG, FORMANT_BASE_URL=api.url)
    assert done.status == 1
    assert ("The key was refused." if kind == 401 else "This API key lacks permission") in done.error
    assert "Nothing was written. To write it anyway, run this in a terminal, without --yes." in done.error
    assert not written(tmp_path)


def test_a_key_that_is_refused_by_now_is_an_error_though_it_is_written_already(tmp_path: Path) -> None:
    with account() as api:
        given = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url}
        assert connect_cursor(tmp_path, "--yes", **given).status == 0
        api.key = "another"
        done = connect_cursor(tmp_path, "--yes", **given)
    assert done.status == 1
    assert "The key was refused." in done.error
    assert "already has this entry." in done.error


def test_a_refused_key_in_a_file_is_not_written_either(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(WRONG, encoding="utf-8")
    with account() as api:
        done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY_FILE="key", FORMANT_BASE_URL=api.url)
    assert done.status == 1
    assert not written(tmp_path)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_refused_key_that_was_typed_is_written_only_if_that_is_confirmed(answer: str, tmp_path: Path) -> None:
    with account() as api:
        typed = [("API key", WRONG), ("Write it anyway? [y/N]", answer)]
        status, shown = in_terminal(tmp_path, *typed, FORMANT_BASE_URL=api.url)
    assert "The key was refused. Check" in shown
    assert WRONG not in shown
    assert (status == 0, WRONG in written(tmp_path)) == (answer == "y", answer == "y")


def test_a_typed_key_that_is_accepted_needs_one_answer(tmp_path: Path) -> None:
    with account() as api:
        status, shown = in_terminal(tmp_path, ("API key", KEY), ("Write it? [y/N]", "y"), FORMANT_BASE_URL=api.url)
    assert status == 0, shown
    assert KEY in written(tmp_path)


def test_without_a_network_the_key_is_written_and_how_to_check_it_is_said(tmp_path: Path) -> None:
    done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY=KEY, FORMANT_BASE_URL="http://127.0.0.1:9")
    assert done.status == 0
    assert "Nothing answers at http://127.0.0.1:9. Check FORMANT_BASE_URL" in done.error
    assert UNCHECKED in done.error
    assert KEY in written(tmp_path)


def test_an_api_that_fails_does_not_keep_the_key_from_being_written(tmp_path: Path) -> None:
    with account() as api:
        api.fault("", 9, 503)
        done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url)
        assert len(api.requests) == 1
    assert done.status == 0
    assert UNCHECKED in done.error
    assert KEY in written(tmp_path)


def test_an_address_that_hangs_is_waited_for_a_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect._CHECK_SECONDS <= 5  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(connect, "_CHECK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        began = monotonic()
        done = connect_cursor(tmp_path, "--yes", FORMANT_API_KEY=KEY, FORMANT_BASE_URL=address)
        assert monotonic() - began < 20
    assert "127.0.0.1 does not answer within 0.3 s." in done.error
    assert done.status == 0


@pytest.mark.parametrize("arguments", [["cursor", "--yes"], ["vscode", "--yes"], ["cursor", "--print"]])
def test_a_provider_without_an_address_is_neither_written_nor_printed(arguments: list[str], tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "FORMANT_API_KEY": KEY, "FORMANT_PROVIDER": "voiceable"}
    done = run(tmp_path, "connect", *arguments, **variables)
    assert (done.status, done.out) == (1, "")
    assert "Voiceable has no address of its own. Set FORMANT_BASE_URL" in done.error
    assert not list(tmp_path.rglob("mcp.json"))
    demo = run(tmp_path, "--demo", "connect", *arguments, **variables)
    assert demo.status == 0


@pytest.mark.parametrize("options", [["cursor", "--demo"], ["cursor", "--print"], ["cursor", "--remove"], ["vscode"]])
def test_where_no_key_is_written_none_is_checked(options: list[str], tmp_path: Path) -> None:
    with account() as api:
        variables = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url}
        done = run(tmp_path, "connect", *options, "--yes", HOME=str(tmp_path), **variables)
        assert api.requests == []
    assert done.status == 0, done.error
    assert "Checking" not in done.error
