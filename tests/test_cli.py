"""The command line: its warnings, its files, how it ends, and that every command it names exists."""

import ast
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
import pytest

import formant_mcp
from formant_mcp.cli import main
from formant_mcp.command_line.parser import parse, program
from formant_mcp.command_line.syntax import Call
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.arguments import FilterArguments
from formant_mcp.settings import Settings
from tests.command import run, run_in_child
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


def texts(path: Path) -> Iterator[str]:
    """Every string of a module that is not a docstring, parts of f-strings included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
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


def parsed(arguments: list[str]) -> Call:
    call = parse(arguments)
    assert isinstance(call, Call)
    return call


def subcommands() -> set[str]:
    return set(program.commands)


def test_every_command_named_in_a_string_exists() -> None:
    named = {
        (str(path.relative_to(PACKAGE)), word)
        for path in PACKAGE.rglob("*.py")
        for text in texts(path)
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
def test_the_sample_account_is_imported_only_for_the_demo(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with FakeFormant.in_thread() as api:
        account = {"FORMANT_API_KEY": "k", "FORMANT_BASE_URL": api.url, "PYTHONPROFILEIMPORTTIME": "1"}
        listed = calling(2, "list_conversations", limit=1)
        answers, on_stderr = piped(tmp_path, [INITIALIZE, INITIALIZED, listed], *arguments, **account)
    assert "complete as of" in said(next(answer for answer in answers if answer["id"] == 2))
    assert "formant_mcp.providers.formant" in on_stderr
    assert ("formant_mcp.demo" in on_stderr) == bool(arguments)


@pytest.mark.parametrize("arguments", [(), ("--demo",)])
def test_the_server_imports_neither_the_command_line_nor_what_draws_tables(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    listed = calling(2, "list_conversations", limit=1)
    messages = [INITIALIZE, INITIALIZED, request(3, "tools/list"), listed]
    _, on_stderr = piped(tmp_path, messages, *arguments, PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in on_stderr.splitlines() if line.startswith("import time:")}
    assert "formant_mcp.server.stdio" in imported
    unwanted = {"rich", "pygments", "formant_mcp.command_line", "formant_mcp.commands"}
    assert imported & unwanted == set()


@pytest.mark.parametrize("has_folder", [True, False])
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
@pytest.mark.parametrize("is_terminal", [True, False])
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
        assert "Ctrl-C" in shown
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


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            "heal",
            "unknown command or option heal. Commands are tour, list, search, summarize, show, sync, export,"
            " serve, token, doctor, purge and connect",
        ),
        ("tuor", "unknown command or option tuor. Did you mean tour? Commands are tour,"),
        (
            "--colour=5",
            "unknown command or option --colour. Commands are tour, list, search, summarize, show,",
        ),
        ("sync --sinec 3d", "unknown option --sinec. Did you mean --since? Options of sync are --since, --demo and"),
        (
            "sync extra",
            "unexpected extra. Options of sync are --since, --demo and --help; for example `formant-mcp sync",
        ),
        (
            "tour --port 1",
            "--port is an option of serve, for example `formant-mcp serve --port 8765`, not of",
        ),
        (
            "tour --foo",
            "unknown option --foo. Options of tour are --all, --demo and --help; for example `formant-mcp tour`.",
        ),
        (
            "export --colour=5",
            "unknown option --colour. Options of export are --agent-id, --status, --call-successful, --since,",
        ),
        ("export --formt x", "unknown option --formt. Did you mean --format? Options of export are --agent-id,"),
        ("export --m 1", "unknown option --m. Options of export are --agent-id,"),
        ("sync --since", "--since needs a value, for example `formant-mcp sync --since 30d`."),
        ("export --since", "--since needs a value, for example `formant-mcp export --since 2026-11-20`."),
        ("export --until", "--until needs a value, for example `formant-mcp export --until 2026-11-20`."),
        ("export -o", "--output needs a value, for example `formant-mcp export --output calls.csv`."),
        ("serve --host", "--host needs a value, for example `formant-mcp serve --host 127.0.0.1`."),
        ("serve --port", "--port needs a number from 0 to 65535, for example `formant-mcp serve --port 8765`."),
        ("serve --port 65536", "--port needs a number from 0 to 65535, for example `formant-mcp serve --port 8765`."),
        ("serve --port any", "--port needs a number from 0 to 65535, for example `formant-mcp serve --port 8765`."),
        ("sync --port 1", "--port is an option of serve, for example `formant-mcp serve --port 8765`, not of sync."),
        (
            "token list --agents 1",
            "--agents is an option of token add, for example `formant-mcp token add anna --agents",
        ),
        (
            "sync --status=x",
            "--status is an option of list, for example `formant-mcp list --status",
        ),
        ("sync --demo=1", "--demo takes no value."),
        ("summarize --compare-previous true", "--compare-previous takes no value: leave true out."),
        ("summarize --compare-previous true --top 3", "--compare-previous takes no value: leave true out."),
        (
            "list --compare-previous",
            "--compare-previous is an option of summarize, for example `formant-mcp summarize --compare-previous",
        ),
        (
            "search lawyer OR legal",
            "unexpected OR. A query of several words is one argument, in quotes, for example `formant-mcp search"
            " 'refund OR fee'`.",
        ),
        ("search lawyer -fee", "unexpected -f. A query of several words is one argument, in quotes, for example `form"),
        ("token sync", "unknown action sync. Actions of token are add, list and revoke, options --demo and --help;"),
        (
            "connect curser",
            "unknown assistant curser. Did you mean cursor? connect needs an assistant (claude-desktop,",
        ),
        ("connect", "connect needs an assistant (claude-desktop, claude-code, cursor or vscode), for example `formant"),
        ("token", "token needs an action, for example `formant-mcp token add anna`."),
        ("token ad anna", "unknown action ad. Did you mean add? Actions of token are"),
        ("token add anna bela", "unexpected bela. Options of token add are --agents, --expires, --redact, --demo and"),
        ("token revoke", "token revoke needs a name, for example `formant-mcp token revoke anna`."),
        (
            "token add anna --expires",
            "--expires needs a value, for example `formant-mcp token add anna --expires 90d`.",
        ),
    ],
)
def test_a_mistyped_command_line_is_refused_with_what_is_accepted(
    typed: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed.split()) == 2
    assert capsys.readouterr().err.startswith(f"formant-mcp: {words}")


def test_every_option_of_a_command_is_named_where_one_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    unsupported = PROVIDERS["formant"].unsupported_filters
    filters = [f"--{name.replace('_', '-')}" for name in FilterArguments.model_fields if name not in unsupported]
    assert main(["export", "--colour", "5"]) == 2
    said = capsys.readouterr().err
    missing = [option for option in (*filters, "--format", "--include", "--output", "--demo") if option not in said]
    assert missing == []
    assert "--user-id" not in said
    assert "for example `formant-mcp export --" in said


@pytest.mark.parametrize("command", ["sync", "export", "serve", "token add anna"])
def test_an_option_without_its_value_is_answered_with_an_example_that_is_accepted(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--nothing"]) == 2
    listed = re.findall(r"(--[a-z-]+)[, ]", capsys.readouterr().err.partition("are ")[2].partition(";")[0])
    options = [option for option in listed if option not in ("--demo", "--help")]
    assert options
    for option in options:
        assert main([*command.split(), option]) == 2
        shown = re.findall(r"`formant-mcp ([^`]+)`", capsys.readouterr().err)
        assert [example.startswith(f"{command} {option} ") for example in shown] == [True]
        parsed(shlex.split(shown[0]))


def suggestions(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The example of each option of each command, from what is said where it has no value or is not of the command."""
    for name, command in program.commands.items():
        for option in command.get_params(click.Context(command)):
            if not isinstance(option, click.Option) or option.hidden:
                continue
            if not {"--demo", "--help"} & {*option.opts}:
                assert main(["doctor" if option.is_flag else name, option.opts[-1]]) == 2
                (example,) = re.findall(r"`formant-mcp ([^`]+)`", capsys.readouterr().err)
                yield example


def test_every_suggested_example_is_accepted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    examples: dict[str, list[str]] = {}
    for words in map(shlex.split, suggestions(capsys)):
        parsed(words)
        examples.setdefault(words[-2], words)
    assert {"--since", "--results"} <= examples.keys()
    for words in examples.values():
        if words[0] in ("list", "search", "summarize") and "--cursor" not in words:  # no cursor is good for ever
            done = run(tmp_path, "--demo", *words)
            assert (done.status, done.error) == (0, ""), words


def test_help_names_variables_examples_that_are_accepted_and_where_to_read_on() -> None:
    done = run_in_child(Path(), "--help")
    assert done.status == 0
    assert set(re.findall(r"FORMANT_\w+", done.out)) <= {f"FORMANT_{name.upper()}" for name in Settings.model_fields}
    assert "FORMANT_API_KEY" in done.out
    examples = re.findall(r"^    formant-mcp (.+)$", done.out, re.MULTILINE)
    assert len(examples) >= 3
    assert [parsed(shlex.split(example)).command for example in examples]
    assert "README" in done.out


@pytest.mark.parametrize("command", ["list", "search", "summarize", "show", "export"])
def test_help_of_a_question_has_examples_that_run_settings_statuses_and_defaults(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "-h")
    assert (done, done.status) == (run(tmp_path, command, "--help"), 0)
    assert len(done.out.splitlines()) < 100
    named = {"FORMANT_API_KEY", "FORMANT_PROVIDER", "FORMANT_TIMEZONE", "Exit status: 0", "README.md", "Default: "}
    assert {word for word in named if word not in done.out} == set()
    assert not {"--user-id", "--direction", "leave empty"} & {*done.out.split()}
    examples = re.findall(r"^    formant-mcp (.+)$", done.out, re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        ended = run(tmp_path, *shlex.split(example))
        assert ended.status == 0, example


def test_help_is_printed_to_a_pipe_whose_encoding_lacks_hindi(tmp_path: Path) -> None:
    done = run_in_child(tmp_path, "search", "--help", PYTHONUTF8="0", PYTHONIOENCODING="cp1252")
    assert (done.status, done.error) == (0, "")
    assert "paisa" in done.out


def test_a_filter_that_the_provider_does_not_have_is_an_option_where_it_has_it(tmp_path: Path) -> None:
    assert "--user-id" in run(tmp_path, "list", "--help", FORMANT_PROVIDER="elevenlabs").out
    assert "Default: 20." in " ".join(run(tmp_path, "list", "--help").out.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_their_words(tmp_path: Path, shell: str) -> None:
    def completed(*typed: str) -> list[str]:
        words = {
            "COMP_WORDS": " ".join(("formant-mcp", *typed)),
            "COMP_CWORD": typed[-1] if shell == "fish" else str(len(typed)),
        }
        out = run_in_child(tmp_path, _FORMANT_MCP_COMPLETE=f"{shell}_complete", **words).out
        return [line for line in re.split(r"[,\t\n]", out) if line]

    assert "doctor" in completed("doc")
    assert "list" in completed("li")
    assert "--call-successful" in completed("export", "--call")
    assert "failure" in completed("export", "--call-successful", "fail")
    source = run_in_child(tmp_path, _FORMANT_MCP_COMPLETE=f"{shell}_source").out
    assert "formant-mcp" in source
