"""What the command line refuses and how, its help, and what a shell completes: every example that it names works."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from formant_mcp.cli import main
from formant_mcp.command_line.parser import program
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.arguments import FilterArguments
from formant_mcp.settings import Settings
from tests.command import parsed, run, run_in_child
from tests.examples import some


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
            "unexpected OR. A query is one argument, in quotes, and begins with what is to be found, for example"
            " `formant-mcp search 'refund -fee'`.",
        ),
        ("search lawyer -fee", "unexpected -fee. A query is one argument, in quotes, and begins with what is to be fo"),
        (
            "search -fee",
            "unexpected -fee. A query is one argument, in quotes, and begins with what is to be found, for",
        ),
        ("search lawyer -since 7d", "unknown option -since. Did you mean --since? Options of search are --agent-id,"),
        ("list -since 7d", "unknown option -since. Did you mean --since? Options of list are --agent-id,"),
        ("-demo", "unknown command or option -demo. Did you mean --demo? Commands are tour, list,"),
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


@pytest.mark.usefixtures("demo_is_loaded")
def test_every_suggested_example_is_accepted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    examples: dict[str, list[str]] = {}
    for words in map(shlex.split, suggestions(capsys)):
        parsed(words)
        examples.setdefault(words[-2], words)
    assert {"--since", "--results"} <= examples.keys()
    for words in some(examples.values(), 6):
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


@pytest.mark.usefixtures("demo_is_loaded")
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
    assert "paisa also finds पैसा" in " ".join(done.out.split())


def test_a_filter_that_the_provider_does_not_have_is_an_option_where_it_has_it(tmp_path: Path) -> None:
    assert "--user-id" in run(tmp_path, "list", "--help", FORMANT_PROVIDER="elevenlabs").out
    assert "Default: 20." in " ".join(run(tmp_path, "list", "--help").out.split())


def test_help_fits_80_columns_and_says_where_to_read_on(tmp_path: Path) -> None:
    for name in ("", *program.commands):
        text = run(tmp_path, *name.split(), "--help").out
        assert [line for line in text.splitlines() if len(line) > 80] == []
        assert "Examples:\n" in text
        assert ".github/docs" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_their_words(tmp_path: Path, shell: str) -> None:
    def completed(*typed: str) -> list[str]:
        words = {
            "COMP_WORDS": " ".join(("formant-mcp", *typed)),
            "COMP_CWORD": typed[-1] if shell == "fish" else str(len(typed)),
        }
        out = run(tmp_path, _FORMANT_MCP_COMPLETE=f"{shell}_complete", **words).out
        return [line for line in re.split(r"[,\t\n]", out) if line]

    assert "doctor" in completed("doc")
    assert "list" in completed("li")
    assert "--call-successful" in completed("export", "--call")
    assert "failure" in completed("export", "--call-successful", "fail")
    assert "hour" in completed("summarize", "--group-by", "status,h")
    assert "longest" in completed("list", "--order-by", "lo")
    assert "Monday" in completed("list", "--weekdays", "M")
    source = run_in_child(tmp_path, _FORMANT_MCP_COMPLETE=f"{shell}_source").out
    assert "formant-mcp" in source


@pytest.mark.usefixtures("demo_is_loaded")
def test_every_word_that_is_completed_is_accepted(tmp_path: Path) -> None:
    def completed(command: str, option: str) -> list[str]:
        words = {"COMP_WORDS": f"formant-mcp {command} {option} ", "COMP_CWORD": "3"}
        out = run(tmp_path, _FORMANT_MCP_COMPLETE="bash_complete", **words).out
        return [line.partition(",")[2] for line in out.splitlines()]

    together = {("list", "--weekdays"), ("list", "--fields")}
    for command, option in (*together, ("list", "--order-by"), ("summarize", "--group-by")):
        words = completed(command, option)
        assert words
        for given in [",".join(words)] if (command, option) in together else words:
            done = run(tmp_path, "--demo", command, option, given)
            assert (done.status, done.error) == (0, ""), given
