"""`formant-mcp list|search|summarize|show`: the tools' answers for people and for scripts."""

import json
import re
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from rich.cells import cell_len

from formant_mcp.command_line.parser import parse
from formant_mcp.command_line.syntax import Call
from formant_mcp.server.tools import TOOLS
from tests.calls import conversation, conversation_id
from tests.command import Done, parsed, run, run_in_child
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.terminal import ESCAPE, shown_by_child, shown_in_terminal

COMMANDS = {
    "list": "list_conversations",
    "search": "search_transcripts",
    "summarize": "summarize_results",
    "show": "get_transcripts",
}
ESCAPES = "\x1b[31mred \x1b]0;title\x07 \x9b31m [bold]not bold[/bold] :smile: \u202eback"
FIELDS = "status,failure_reason,results.tags,results.sentiment_analysis.overall_sentiment"
WHOLE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_\d")  # in the sample account
pytestmark = pytest.mark.usefixtures("demo_is_loaded")
in_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def asked(folder: Path, *arguments: str, **variables: str) -> Done:
    return run(folder, "--demo", *arguments, **variables)


def answered(folder: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    done = asked(folder, *arguments, "--json", **variables)
    assert done.error == ""
    return json.loads(done.out)


def account_at(api: FakeFormant, folder: Path) -> dict[str, str]:
    """The variables of an account with a store of its own."""
    return {"FORMANT_API_KEY": "k", "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(folder / "store.sqlite")}


@pytest.mark.parametrize(("command", "tool"), COMMANDS.items())
def test_every_argument_of_the_tool_is_an_option_or_an_argument(command: str, tool: str) -> None:
    call = parse([command, *(["x"] if command in ("search", "show") else [])])
    assert isinstance(call, Call)
    arguments = next(candidate.arguments for candidate in TOOLS if candidate.name == tool).model_fields
    assert call.options.keys() == {*arguments, "as_json"}


def test_a_list_has_coverage_first_then_a_row_for_each_call_with_its_whole_id(tmp_path: Path) -> None:
    filters = ("--since", "30d", "--status", "busy,no_answer", "--limit", "3")
    done, answer = asked(tmp_path, "list", *filters), answered(tmp_path, "list", *filters)
    lines = done.out.splitlines()
    assert re.match(rf"{answer['coverage']['matched']} of \d+ conversations match; complete as of", lines[0])
    header, *rows = lines[2:6]
    assert header.split()[0] == "conversation_id"
    calls = answer["conversations"]
    assert [row.split()[0] for row in rows] == [call["conversation_id"] for call in calls]
    assert all(call["contact_number"] in row and call["status"] in row for row, call in zip(rows, calls, strict=True))
    assert (done.status, done.error) == (0, "")
    assert "\x1b" not in done.out


@pytest.mark.parametrize("question", [("list",), ("search", "hello")])
def test_a_printed_cursor_continues_in_the_next_command(tmp_path: Path, question: tuple[str, ...]) -> None:
    with FakeFormant.in_thread() as api:
        for number in range(3):
            api.add(conversation(number, datetime.now(UTC) - timedelta(hours=number + 2)))
        variables = account_at(api, tmp_path)
        first = run(tmp_path, *question, "--limit", "1", **variables)
        more = re.search(r"^1 of \d shown; for more: (--cursor c:1:\S+)$", first.out, re.MULTILINE)
        assert more, first
        next_ = run(tmp_path, *question, "--limit", "1", *more[1].split(), **variables)
    assert (next_.status, next_.error) == (0, "")
    assert conversation_id(0) in first.out
    assert conversation_id(1) in next_.out


@pytest.mark.parametrize("question", [("list",), ("search", "lawyer")])
def test_a_store_in_memory_prints_no_cursor_because_none_would_be_accepted(
    tmp_path: Path, question: tuple[str, ...]
) -> None:
    done, answer = asked(tmp_path, *question, "--limit", "1"), answered(tmp_path, *question, "--limit", "1")
    assert "cursor c:" not in done.out
    assert "More match than are shown." in done.out
    assert "next_cursor" not in answer
    assert "More match than are shown." in answer["coverage"]["note"]
    assert "More match" not in asked(tmp_path, *question, "--limit", "100", "--since", "1h").out


def test_a_list_has_the_fields_that_are_named_in_that_order_and_a_dash_where_there_is_none(tmp_path: Path) -> None:
    def table(*arguments: str) -> list[list[str]]:
        lines = asked(tmp_path, "list", "--agent-id", "456", "--limit", "8", *arguments).out.splitlines()
        return [line.split() for line in lines[2:11]]

    header, *rows = table("--fields", "results.csat")
    assert header == ["conversation_id", "results.csat"]
    assert [row[1:] for row in rows] == [["-"]] * 8
    header, *rows = table("--fields", "status,results.intent,contact,duration_seconds")
    assert header == ["conversation_id", "status", "results.intent", "contact", "seconds"]
    assert all(len(row) == 5 for row in rows)
    assert rows[0][1:3] == ["in_progress", "-"]


def test_lists_may_be_given_with_commas_or_by_repeating_the_option(tmp_path: Path) -> None:
    commas = answered(tmp_path, "list", "--status", "busy,no_answer")
    repeated = answered(tmp_path, "list", "--status", "busy", "--status", "no_answer")
    assert commas["conversations"] == repeated["conversations"] != []
    conditions = answered(tmp_path, "list", "--results", "intent=dispute", "--results", "escalate=true")
    assert (
        0
        < conditions["coverage"]["matched"]
        < answered(tmp_path, "list", "--results", "intent=dispute")["coverage"]["matched"]
    )


def test_a_search_marks_its_hits_and_show_has_the_turns(tmp_path: Path) -> None:
    found = answered(tmp_path, "search", "lawyer", "--spelling", "exact", "--limit", "1")
    hit = found["hits"][0]
    assert "**lawyer**" in asked(tmp_path, "search", "lawyer", "--spelling", "exact", "--limit", "1").out
    done = asked(tmp_path, "show", hit["conversation_id"])
    assert hit["conversation_id"] in done.out
    said = hit["text"].replace("**", "")
    assert re.search(rf"^ *{hit['turn']}  contact .*{re.escape(said)}$", done.out, re.MULTILINE)
    assert done.status == 0


@contextmanager
def hindi_account(folder: Path) -> Generator[dict[str, str]]:
    """The variables of an account in one of whose calls a lawyer is threatened with in Hindi."""
    with FakeFormant.in_thread() as api:
        turns: JsonValue = [{"role": "human", "message": "मैं अपने वकील से बात करूँगा।"}]
        api.add(conversation(1, datetime.now(UTC) - timedelta(hours=2), transcript=turns))
        yield account_at(api, folder)


@pytest.mark.parametrize("form", some([(), ("--json",)], 2))
def test_answers_are_utf_8_whatever_the_encoding_of_the_pipe_is(tmp_path: Path, form: tuple[str, ...]) -> None:
    variables = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}  # as on Windows
    with hindi_account(tmp_path) as account:
        done = run_in_child(tmp_path, "search", "वकील", "--limit", "1", *form, **variables, **account)
    assert (done.status, done.error) == (0, "")
    said = json.loads(done.out)["hits"][0]["text"] if form else done.out
    assert "वकील" in said
    assert "??" not in said


@in_a_terminal
def test_a_terminal_without_hindi_shows_an_answer_in_its_own_encoding(tmp_path: Path) -> None:
    question = ("search", "वकील", "--limit", "1")
    with hindi_account(tmp_path) as account:
        status, shown = shown_by_child(
            tmp_path, *question, columns=120, PYTHONUTF8="0", PYTHONIOENCODING="ascii", **account
        )
    assert status == 0
    assert "????" in shown
    assert shown.isascii()


def test_bars_are_scaled_to_the_largest_group(tmp_path: Path) -> None:
    answer = answered(tmp_path, "summarize", "--group-by", "agent_id")
    lines = asked(tmp_path, "summarize", "--group-by", "agent_id").out.splitlines()
    most = answer["groups"][0]["count"]
    for group in answer["groups"]:
        line = next(line for line in lines if line.startswith(f"{group['key']['agent_id']} "))
        assert abs(line.count("█") - 20 * group["count"] / most) <= 1
        assert f"{group['share'] * 100:.1f} %" in line
    assert max(line.count("█") for line in lines) == 20


def test_a_profile_and_a_comparison_have_their_figures(tmp_path: Path) -> None:
    days_and_agents = [(1, 123), (2, 123), (3, 456), (8, 123), (9, 456)]
    with FakeFormant.in_thread() as api:
        now = datetime.now(UTC)
        for number, (days, agent_id) in enumerate(days_and_agents):
            status = "busy" if days == 2 else "completed"
            results: JsonValue = {"csat": number} if status == "completed" else None
            api.add(conversation(number, now - timedelta(days=days), agent_id, status, results=results))
        account = account_at(api, tmp_path)
        profile = run(tmp_path, "summarize", **account)
        comparison = run(
            tmp_path, "summarize", "--since", "7d", "--compare-previous", "--group-by", "agent_id", **account
        )
    assert (profile.status, profile.error, comparison.status, comparison.error) == (0, "", 0, "")
    rows = [re.sub("[█▉▊▋▌▍▎▏]+", "", line).split() for line in (profile.out + comparison.out).splitlines()]
    assert {
        "All: 5 calls, 80.0 % successful.",
        "123 3 60.0 %",
        "456 2 40.0 %",
        "completed 4 80.0 %",
        "busy 1 20.0 %",
        "csat number 4 mean 2.25, median 2.5, p90 3.7, min 0, max 4",
        "All: 3 calls, 66.7 % successful, before 2.",
        "agent_id calls share success calls before share before change points",
        "123 2 66.7 % 50.0 % 1 50.0 % +1 +16.7",
        "456 1 33.3 % 100.0 % 1 50.0 % +0 -16.7",
    } <= {" ".join(row) for row in rows}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("list", "--since", "soon"), 2, "--since is not a valid date. Give an ISO date"),
        (("list", "--limit", "1000"), 2, "--limit must be a whole number from 1 to 100"),
        (("list", "--call-successful", "fail"), 2, "Did you mean failure?"),
        (
            ("search", "fee", "--role", "agnt"),
            2,
            "--role must be any, agent or contact, e.g. contact. Did you mean ag",
        ),
        (("list", "--results", "intent"), 2, "--results has "),
        (("list", "--user-id", "7"), 2, "--user-id: this provider's calls have no such field."),
        (("summarize", "--compare-previous"), 2, "--compare-previous requires --since. Add it, e.g. --since 7d."),
        (("list", "--limt", "1"), 2, "unknown option --limt. Did you mean --limit?"),
        (("search",), 2, "search needs a query, for example `formant-mcp --demo search"),
        (("show", "5d0c41e2a97b"), 1, "`formant-mcp --demo list` gives the ids."),
        (("show",), 2, "show needs an id, for example `formant-mcp --demo show"),
    ],
)
def test_what_cannot_be_answered_is_an_error_with_its_own_status(
    tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = asked(tmp_path, *arguments)
    assert (done.status, done.out == "") == (status, status == 2)
    assert said in done.out + done.error


def test_an_id_that_fails_is_an_error_beside_the_others(tmp_path: Path) -> None:
    first = answered(tmp_path, "list", "--limit", "1", "--call-successful", "success")["conversations"][0]
    done = asked(tmp_path, "show", first["conversation_id"], "nothing-here")
    assert done.status == 1
    assert first["conversation_id"] in done.out
    assert "nothing-here: No conversation" in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "5d0c41e2a97b"),
        ("list", "--status", "busy", "--min-duration-seconds", "1"),
        ("export", "--status", "busy", "--min-duration-seconds", "1"),
        ("search", "loan", "--status", "busy", "--min-duration-seconds", "1"),
        ("list", "--since"),
        ("sync", "--sinec", "7d"),
        ("summarize", "--top"),
        ("serve", "--since", "7d"),
        ("nothing",),
    ],
)
def test_the_commands_in_hints_on_the_sample_account_run_on_it_too(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for typed in (("--demo", *arguments), (*arguments[:1], "--demo", *arguments[1:])):
        done = run(tmp_path, *typed)
        commands = re.findall(r"`formant-mcp ([^`]+)`", done.out + done.error)
        assert commands, done
        for command in commands:
            words = shlex.split(command)
            assert parsed([*words, "x"] if words[-1] in ("show", "search") else words).is_demo, command


def test_a_missing_key_is_answered_for_a_shell(tmp_path: Path) -> None:
    for command in (["list"], ["sync"], ["export"]):
        done = run(tmp_path, *command)
        assert (done.status, done.out) == (1, "")
        assert done.error.startswith("No API key is set. Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) in this shell;")


def test_an_incomplete_answer_says_so_and_has_a_status_of_its_own(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        now = datetime.now(UTC)
        for number in range(3):
            api.add(conversation(number, now - timedelta(hours=number + 2)))
        api.fault(conversation_id(1), 99, 500)
        account = account_at(api, tmp_path) | {"FORMANT_CALL_SECONDS": "3"}
        done = run(tmp_path, "search", "hello", **account)
    assert done.status == 3
    assert "; incomplete" in done.out.splitlines()[0]
    assert "Incomplete: " in done.out


def test_identifiers_are_hidden_as_for_an_assistant(tmp_path: Path) -> None:
    out = asked(tmp_path, "list", "--limit", "3", FORMANT_REDACT="numbers").out
    assert "<number 1>" in out
    assert "+91" not in out


def said_in_a_call(api: FakeFormant, folder: Path) -> dict[str, str]:
    turns: JsonValue = [{"role": "human", "message": f"refund {ESCAPES}"}]
    started_at = datetime.now(UTC) - timedelta(hours=2)
    api.add(conversation(1, started_at, transcript=turns, results={"note": ESCAPES}, failure_reason=ESCAPES))
    return account_at(api, folder)


@in_a_terminal
@pytest.mark.parametrize(
    "arguments",
    [("list", "--summary-mode", "include"), ("search", "refund"), ("show", conversation_id(1)), ("summarize",)],
)
@pytest.mark.parametrize("columns", [50, 200])
def test_escape_sequences_and_markup_of_callers_have_no_effect(
    tmp_path: Path, arguments: tuple[str, ...], columns: int
) -> None:
    with FakeFormant.in_thread() as api:
        _, shown = shown_in_terminal(tmp_path, *arguments, columns=columns, **said_in_a_call(api, tmp_path))
    if (arguments[0], columns) != ("list", 200):  # there words are wrapped beside other cells
        assert "[bold]notbold[/bold]:smile:" in "".join(ESCAPE.sub("", shown).split())
    assert not {"\x1b]", "\x07", "\x9b", "\u202e"} & {shown[n : n + size] for n in range(len(shown)) for size in (1, 2)}
    assert set(ESCAPE.findall(shown)) <= {f"\x1b[{code}m" for code in ("0", "1", "2", "32", "33", "35", "36", "1;33")}
    assert "\x1b" not in ESCAPE.sub("", shown)


@in_a_terminal
@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_table_fits_the_terminal_and_every_id_is_whole(tmp_path: Path, columns: int) -> None:
    status, shown = shown_in_terminal(tmp_path, "--demo", "list", "--limit", "5", "--status", "busy", columns=columns)
    lines = [ESCAPE.sub("", line) for line in shown.splitlines()]
    assert status == 0
    assert max(map(cell_len, lines)) <= columns
    ids = [word for line in lines for word in line.split() if WHOLE_ID.fullmatch(word)]
    assert len(set(ids)) == len(ids) == 5


@in_a_terminal
@pytest.mark.parametrize("columns", some([30, 40, 50, 80], 3))
def test_every_field_of_a_call_is_whole_in_a_terminal(tmp_path: Path, columns: int) -> None:
    call = answered(tmp_path, "list", "--results", "sentiment_analysis exists", "--limit", "1")["conversations"][0]
    for question in (("show", call["conversation_id"]), ("list", "--fields", FIELDS, "--limit", "30")):
        status, shown = shown_in_terminal(tmp_path, "--demo", *question, columns=columns)
        assert status == 0
        assert "…" not in shown
    _, shown = shown_in_terminal(tmp_path, "--demo", "list", "--status", "failed,telephony_failed", columns=columns)
    assert {"608", "503"} <= set(re.findall(r"\d+", shown))


@in_a_terminal
@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_comparison_has_both_shares_and_their_difference_in_a_terminal(tmp_path: Path, columns: int) -> None:
    question = ("summarize", "--since", "7d", "--agent-id", "456", "--group-by", "results.intent", "--compare-previous")
    groups = answered(tmp_path, *question)["groups"]
    _, shown = shown_in_terminal(tmp_path, "--demo", *question, columns=columns)
    lines = [ESCAPE.sub("", line) for line in shown.splitlines()]
    place = next(place for place, line in enumerate(lines) if re.match(r"(results.intent: )?dispute\b", line))
    row = " ".join(lines[place : place + (8 if columns == 40 else 1)])
    dispute = next(group for group in groups if group["key"] == {"results.intent": "dispute"})
    for share in (dispute["share"], dispute["previous"]["share"]):
        assert f" {share * 100:.1f} %" in row
    assert f" {dispute['change']['share'] * 100:+.1f}" in row
    assert ("█" in row) == (columns > 40)


@in_a_terminal
def test_colours_are_used_in_a_terminal_unless_no_color_is_set(tmp_path: Path) -> None:
    colour = re.compile(r"\x1b\[(?:\d;)?3\dm")
    arguments = ("--demo", "search", "lawyer", "--limit", "1")
    assert colour.search(shown_in_terminal(tmp_path, *arguments)[1])
    assert not colour.search(shown_in_terminal(tmp_path, *arguments, NO_COLOR="1")[1])
