"""The command: its warnings, its files, how it ends, and that every command that it names exists."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import formant_mcp
from formant_mcp.command_line.parser import program
from tests.command import parsed, run, run_in_child
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.stdio_process import (
    INITIALIZE,
    INITIALIZED,
    MOST_SECONDS,
    PROGRAM,
    calling,
    environment,
    piped,
    request,
    said,
    started,
)

PACKAGE = Path(formant_mcp.__file__).parent
_NAMED = re.compile(r"formant-mcp(?: --demo)? ([a-z]+)")
_FOLLOWED_BY_PROSE = {"and", "is", "may", "needs", "on", "or"}


def texts(source: str) -> Iterator[str]:
    """Every string of a module that is not a docstring, parts of f-strings included."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def subcommands() -> set[str]:
    return set(program.commands)


def test_every_command_named_in_a_string_exists() -> None:
    named = {
        (str(path.relative_to(PACKAGE)), word)
        for path in PACKAGE.rglob("*.py")
        if "formant-mcp" in (source := path.read_text(encoding="utf-8"))
        for text in texts(source)
        for word in _NAMED.findall(text)
        if word not in _FOLLOWED_BY_PROSE
    }
    assert {command for command in named if command[1] not in subcommands()} == set()


def test_every_command_named_in_the_readme_exists() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    named = {word for code in re.findall(r"`(formant-mcp [^`]+)`", readme) for word in _NAMED.findall(code)}
    assert {"sync", "tour"} <= named <= subcommands()


def test_unknown_variables_are_warned_of_with_the_nearest_setting_but_no_missing_key_in_the_demo(
    tmp_path: Path,
) -> None:
    variables = {"FORMANT_API_KEYS": "sk-secret-value", "FORMANT_STORE": ":memory:", "FORMANT_ZZZ": "1"}
    _, on_stderr = piped(tmp_path, [INITIALIZE, INITIALIZED], "--demo", **variables)
    assert on_stderr.splitlines() == [
        "FORMANT_API_KEYS is not a setting of formant-mcp and is ignored. Did you mean FORMANT_API_KEY?",
        "FORMANT_ZZZ is not a setting of formant-mcp and is ignored.",
    ]


@pytest.mark.parametrize(("arguments", "status"), [(["tour"], 1), (["--demo", "sync"], 0)])
def test_other_commands_warn_of_unknown_variables_and_use_the_log_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")  # without a server the tour ends at once
    done = run(tmp_path, *arguments, FORMANT_STOER="1", FORMANT_LOG_LEVEL="DEBUG")
    warning = "FORMANT_STOER is not a setting of formant-mcp and is ignored. Did you mean FORMANT_STORE?"
    assert done.error.splitlines().count(warning) == 1
    assert "formant-mcp DEBUG" in done.error
    assert done.status == status


@pytest.mark.parametrize("arguments", [(), ("--demo",)])
def test_the_server_imports_the_sample_account_only_for_the_demo_and_never_what_draws_tables(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with FakeFormant.in_thread() as api:
        account = {"FORMANT_API_KEY": "k", "FORMANT_BASE_URL": api.url, "PYTHONPROFILEIMPORTTIME": "1"}
        listed = calling(2, "list_conversations", limit=1)
        messages = [INITIALIZE, INITIALIZED, request(3, "tools/list"), listed]
        answers, on_stderr = piped(tmp_path, messages, *arguments, **account)
    assert "complete as of" in said(next(answer for answer in answers if answer["id"] == 2))
    modules = modules_in(on_stderr)
    assert modules >= {"formant_mcp.server.stdio", "formant_mcp.providers.formant"}
    assert ("formant_mcp.demo" in modules) == bool(arguments)
    unwanted = {"rich", "pygments", "psycopg", "formant_mcp.command_line", "formant_mcp.commands"}
    assert modules & unwanted == set()


@pytest.mark.parametrize("command", some([("list", "--limit", "1"), ("search", "--help"), ("token", "--help")], 2))
def test_a_command_imports_nothing_of_the_protocol(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run_in_child(tmp_path, "--demo", *command, PYTHONPROFILEIMPORTTIME="1")
    assert done.status == 0
    modules = modules_in(done.error)
    assert "formant_mcp.command_line" in modules
    assert modules & {"mcp", "mcp_types"} == set()


def modules_in(times: str) -> set[str]:
    """The modules that a process says it has imported, by PYTHONPROFILEIMPORTTIME."""
    return {line.rpartition("|")[2].strip() for line in times.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("has_folder", some([False, True], 2))
def test_the_demo_writes_only_to_its_own_recordings_folder(tmp_path: Path, has_folder: bool) -> None:
    real = tmp_path / "real"
    real.mkdir()
    recordings = {"FORMANT_RECORDINGS_DIR": str(real / "recordings") if has_folder else ""}
    variables = {"FORMANT_API_KEY": "k", "FORMANT_STORE": str(real / "store.sqlite"), **recordings}
    variables |= {"XDG_DATA_HOME": str(tmp_path / "data")}
    listed = calling(2, "list_conversations", order_by="shortest", call_successful="success", limit=1)
    with started(tmp_path, "--demo", seconds=MOST_SECONDS, **variables) as server:
        server.shake_hands()
        server.send(listed)
        conversation_id = said(server.receive()).splitlines()[-1].split("\t")[0]
        server.send(calling(3, "save_recording", conversation_id=conversation_id))
        saved = said(server.receive())
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0] in saved
    assert files[0].startswith("real/recordings/demo/" if has_folder else "data/formant-mcp-demo/recordings/")


def tour(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "formant_mcp", "tour"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("sync --demo", "sync"),
        ("serve --demo", "serve"),
        ("tour --demo", "tour"),
        ("token --demo list", "token"),
        ("token list --demo", "token"),
        ("token add anna --demo", "token"),
        ("token revoke --demo anna", "token"),
    ],
)
def test_demo_may_follow_the_command(typed: str, command: str) -> None:
    call = parsed(typed.split())
    assert (call.command.split()[0], call.is_demo) == (command, True)
    assert not parsed(typed.replace("--demo", "").split()).is_demo


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("is_terminal", some([True, False], 2))
def test_the_server_says_that_it_waits_only_in_a_terminal_and_ctrl_c_ends_it(tmp_path: Path, is_terminal: bool) -> None:
    import pty

    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "--demo"],
        env=environment(tmp_path),
        stdin=terminal if is_terminal else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    shown = ""
    if is_terminal:
        shown = process.stderr.readline()
        assert shown.startswith("This waits for an assistant")
        assert "Ctrl-C. `formant-mcp --demo connect` adds it" in shown
        os.write(ours, json.dumps(INITIALIZE).encode() + b"\n")
        assert process.stdout
        assert '"id":1' in process.stdout.readline()  # it serves
        process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert (out, rest, process.returncode) == ("", "", 0)
    os.close(ours)
    os.close(terminal)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_ctrl_c_ends_the_tour_without_a_traceback(tmp_path: Path) -> None:
    process = tour(tmp_path)
    assert process.stdout
    assert "A tour of formant-mcp" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, on_stderr = process.communicate(timeout=60)
    assert (process.returncode, on_stderr) == (130, "Stopped.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_ctrl_c_while_the_command_line_is_parsed_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(PROGRAM), "--demo", "list"],
        env=environment(tmp_path, PYTHONPROFILEIMPORTTIME="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    while not process.stderr.readline().endswith(" formant_mcp.providers.registry\n"):  # next, the tools' options
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, on_stderr = process.communicate(timeout=60)
    rest = [line for line in on_stderr.splitlines() if line and not line.startswith("import time:")]
    assert (process.returncode, rest) == (130, ["Stopped."])


def test_ctrl_c_while_the_event_loop_is_made_ends_the_command_without_a_word_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(socket, "socketpair", interrupted)  # with which a loop wakes itself
    done = run(tmp_path, "--demo", "list")
    assert (done.status, done.error) == (130, "Stopped.\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no broken pipes of this kind")
def test_a_closed_pipe_ends_the_tour_without_a_traceback(tmp_path: Path) -> None:
    process = tour(tmp_path)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
    process.stderr.close()


# What writes to stdout in its own way, with each reason.
UNWRITABLE = [
    (arguments, *reason)
    for arguments in (
        *("--demo list", "--demo list --json", "--demo doctor", "tour"),
        *("--help", "connect cursor --demo --print"),
    )
    for reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"))
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it needs a device that is always full")
@pytest.mark.parametrize(("arguments", "redirection", "reason"), some(UNWRITABLE, 5))
def test_output_that_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, arguments: str, redirection: str, reason: str
) -> None:
    status, error = in_shell(tmp_path, f'exec "$@" {redirection}', *arguments.split())
    assert (status, error) == (1, f"The output cannot be written: {reason}.\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of a file's size")
def test_output_of_which_a_part_is_written_fails_as_well(tmp_path: Path) -> None:
    limited = f'ulimit -f 1; exec "$@" >{tmp_path / "out"}'
    status, error = in_shell(tmp_path, limited, "--demo", "list", "--limit", "100", "--json")
    assert (status, error) == (1, "The output cannot be written: File too large.\n")


def in_shell(folder: Path, line: str, *arguments: str) -> tuple[int, str]:
    """The exit status of a line of a shell, in which `$@` is the command, and what it writes to stderr."""
    done = subprocess.run(
        ["sh", "-c", line, "sh", str(PROGRAM), *arguments],
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr
