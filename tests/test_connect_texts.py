"""What `formant-mcp connect` says: the change as it is, and the next step as it can be run."""

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.commands.assistants import ASSISTANTS
from tests.command import Done, run

KEY, NOWHERE = "sk-live-0123456789", "http://127.0.0.1:9"
CURSOR = Path(".cursor") / "mcp.json"
OTHER: JsonValue = {"command": "other", "env": {"TOKEN": "secret-of-another"}}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the folders are those of Linux")


@pytest.fixture(autouse=True)
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")


def connect(home: Path, client: str, *options: str, **variables: str) -> Done:
    given = {"HOME": str(home), "FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": NOWHERE, "CLAUDE_CONFIG_DIR": ""}
    return run(home, "connect", client, *options, **given | variables)


def write(home: Path, text: str) -> Path:
    path = home / CURSOR
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def changes(done: Done) -> dict[str, list[str]]:
    """The lines that are shown as added, removed and unchanged."""
    return {mark: re.findall(rf"^{re.escape(mark)}(.*)$", done.error, re.MULTILINE) for mark in "+- "}


@pytest.mark.parametrize("client", ASSISTANTS)
def test_of_a_new_file_every_line_is_shown_as_added(client: str, tmp_path: Path) -> None:
    lines = changes(connect(tmp_path, client, "--demo", "--yes"))
    assert (lines["-"], lines[" "]) == ([], [])
    shown = json.loads("\n".join(lines["+"]))
    assert list(shown[ASSISTANTS[client].servers]) == ["formant-sample"]


@pytest.mark.parametrize("servers", [{}, {"other": OTHER}, {"other": OTHER, "third": OTHER}])
@pytest.mark.parametrize("options", [[], ["--remove"]])
def test_only_lines_of_the_entry_are_marked_and_others_are_counted(
    servers: dict[str, JsonValue], options: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, json.dumps({"theme": "dark", "mcpServers": servers}))
    if options:
        assert connect(tmp_path, "cursor", "--yes").status == 0
    done = connect(tmp_path, "cursor", *options, "--yes")
    lines = changes(done)
    assert lines[" "] == ["{", '  "mcpServers": {', "  }", "}"]
    assert lines["+" if options else "-"] == []
    assert lines["-" if options else "+"][0] == '    "formant": {'
    said = ["", "\n1 other entry stays as it is.\n", "\n2 other entries stay as they are.\n"][len(servers)]
    assert said in done.error
    assert said or "stay" not in done.error
    assert "secret-of-another" not in done.error
    assert json.loads(path.read_text(encoding="utf-8"))["theme"] == "dark"


def test_a_file_without_servers_shows_no_line_that_it_does_not_have(tmp_path: Path) -> None:
    write(tmp_path, '{"theme": "dark"}')
    lines = changes(connect(tmp_path, "cursor", "--yes"))
    assert (lines["-"], lines[" "], lines["+"][0]) == ([], ["{", "}"], '  "mcpServers": {')


def test_a_setting_that_is_added_is_the_only_line_marked(tmp_path: Path) -> None:
    assert connect(tmp_path, "cursor", "--yes").status == 0
    lines = changes(connect(tmp_path, "cursor", "--yes", FORMANT_REGION="india"))
    assert ([line.strip() for line in lines["+"]], lines["-"]) == (['"FORMANT_REGION": "india",'], [])


@pytest.mark.parametrize(
    ("options", "variables", "is_said"),
    [([], {}, True), (["--demo"], {}, False), ([], {"FORMANT_API_KEY_FILE": "key"}, False)],
)
def test_vs_code_is_said_to_ask_for_the_key_only_where_it_does(
    options: list[str], variables: dict[str, str], is_said: bool, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    done = connect(tmp_path, "vscode", *options, "--yes", **variables)
    assert ("VS Code then asks for the key." in done.error) == is_said
    assert ("formant-key" in (tmp_path / ".config/Code/User/mcp.json").read_text(encoding="utf-8")) == is_said


@pytest.mark.parametrize(("present", "missing"), [("--demo", ""), ("", "--demo")])
def test_removing_what_is_not_there_names_the_command_that_removes_what_is(
    present: str, missing: str, tmp_path: Path
) -> None:
    assert connect(tmp_path, "cursor", *present.split(), "--yes").status == 0
    before = (tmp_path / CURSOR).read_text(encoding="utf-8")
    done = connect(tmp_path, "cursor", *missing.split(), "--remove", "--yes")
    assert done.status == 0
    assert (tmp_path / CURSOR).read_text(encoding="utf-8") == before
    command = done.error.split("`formant-mcp connect ")[1].split("`")[0].split()
    assert connect(tmp_path, *command, "--yes").status == 0
    assert json.loads((tmp_path / CURSOR).read_text(encoding="utf-8")) == {"mcpServers": {}}


def test_print_and_remove_are_refused_together(tmp_path: Path) -> None:
    done = connect(tmp_path, "cursor", "--print", "--remove")
    assert (done.status, done.out) == (2, "")
    assert done.error == "--print prints what to add, so it cannot be used with --remove. Use only one of them.\n"


@pytest.mark.parametrize("options", [[], ["--demo"]])
def test_the_command_that_prints_what_to_add_by_hand_can_be_run(options: list[str], tmp_path: Path) -> None:
    write(tmp_path, "{} // mine")
    done = connect(tmp_path, "cursor", *options, "--yes")
    assert done.status == 1
    command = done.error.split("`formant-mcp connect ")[1].split("`")[0].split()
    assert json.dumps("formant-sample" if options else "formant") in connect(tmp_path, *command).out
    assert "Remove the entry formant by hand." in connect(tmp_path, "cursor", "--remove", "--yes").error


@pytest.mark.parametrize("option", ["--print", "--yes"])
def test_the_sample_keeps_the_settings_that_it_uses_and_no_others(option: str, tmp_path: Path) -> None:
    used = {"FORMANT_PROVIDER": "elevenlabs", "FORMANT_REDACT": "numbers", "FORMANT_TIMEZONE": "Europe/Berlin"}
    unused = {"FORMANT_API_KEY_FILE": "key", "FORMANT_REGION": "india", "FORMANT_STORE": "calls.sqlite"}
    done = connect(tmp_path, "cursor", "--demo", option, **used, **unused)
    text = done.out if option == "--print" else (tmp_path / CURSOR).read_text(encoding="utf-8")
    entry, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    variables = entry["mcpServers"]["formant-sample"]["env"]
    assert {name: variables[name] for name in used} == used
    assert variables.keys() & {*unused, "FORMANT_API_KEY", "FORMANT_BASE_URL"} == set()


def test_a_printed_entry_with_a_key_file_has_no_place_for_a_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    printed = connect(tmp_path, "cursor", "--print", FORMANT_API_KEY="", FORMANT_API_KEY_FILE="key").out
    assert str(tmp_path / "key") in printed
    assert '"FORMANT_API_KEY"' not in printed


def test_a_store_in_memory_is_shown_as_it_is_written(tmp_path: Path) -> None:
    shown = changes(connect(tmp_path, "cursor", "--yes", FORMANT_STORE=":memory:"))["+"]
    assert '"FORMANT_STORE": ":memory:"' in "".join(shown)
    assert '"FORMANT_STORE": ":memory:"' in (tmp_path / CURSOR).read_text(encoding="utf-8")


def test_one_backup_is_named(tmp_path: Path) -> None:
    assert connect(tmp_path, "cursor", "--yes").status == 0
    done = connect(tmp_path, "cursor", "--remove", "--yes")
    (backup,) = (tmp_path / CURSOR).parent.glob("*.bak")
    assert f"Written. Backup: {backup}\n" in done.error
    assert f"1 backup that has a key in it is beside it: {backup.name}." in done.error


@pytest.mark.parametrize(
    ("client", "options", "restart"),
    [
        ("claude-desktop", ["--demo"], "Quit Claude Desktop and open it again."),
        ("vscode", [], "If the server still runs in VS Code, run the command Developer: Reload Window there."),
    ],
)
def test_a_removal_says_how_it_takes_effect_and_names_no_backup_without_a_key(
    client: str, options: list[str], restart: str, tmp_path: Path
) -> None:
    for change in ([], ["--remove"], [], ["--remove"]):
        done = connect(tmp_path, client, *options, *change, "--yes")
        assert done.status == 0
    assert list(tmp_path.rglob("*.bak"))
    assert done.error.splitlines()[-1] == restart


def test_a_backup_that_has_a_key_is_named_whoever_wrote_it(tmp_path: Path) -> None:
    write(tmp_path, '{"mcpServers":{"by-hand":{"env":{"FORMANT_API_KEY" :"sk-of-somebody"}}}}')
    assert connect(tmp_path, "cursor", "--demo", "--yes").status == 0
    done = connect(tmp_path, "cursor", "--demo", "--remove", "--yes")
    assert "2 backups that have a key in them are beside it: mcp.json." in done.error


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="it needs a folder in which nobody can make one")
def test_a_file_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = connect(tmp_path, "cursor", "--demo", "--yes", HOME="/proc/nope")
    assert (done.status, done.error.splitlines()[-1]) == (
        1,
        "/proc/nope/.cursor/mcp.json cannot be written: No such file or directory."
        " Add by hand what `formant-mcp connect cursor --demo --print` prints.",
    )
