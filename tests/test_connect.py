"""`formant-mcp connect`: it changes its own entry of an assistant's configuration, and nothing else."""

import json
import os
import pty
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from pydantic import JsonValue

from formant_mcp.command_line import parser
from formant_mcp.commands.assistants import ASSISTANTS
from formant_mcp.commands.configuration import changed, write
from tests.command import Done, run, run_in_child
from tests.examples import some
from tests.stdio_process import PROGRAM, environment

KEY = "sk-live-0123456789"
NOWHERE = "http://127.0.0.1:9"  # where the key is not checked: see test_connect_key
FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
}
ODD = [
    '{"mcpServers": {}, "mcpServers": {}}',
    '{"inputs": {}}',
    '{"a": 1e400}',
    '{"a": NaN}',
    "[" * 100_000,
]
OTHER: dict[str, JsonValue] = {"command": "other", "args": ["-x", 1.0], "env": {"TOKEN": "secret-of-another", "ü": "é"}}
each_client = pytest.mark.parametrize("client", ASSISTANTS)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the folders are those of Linux")
Configuration = dict[str, JsonValue]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def connect(home: Path, client: str, *options: str, **variables: str) -> Done:
    return run(home, "connect", client, *options, HOME=str(home), FORMANT_BASE_URL=NOWHERE, **variables)


def read(path: Path) -> Configuration:
    return cast(Configuration, json.loads(path.read_text(encoding="utf-8")))


def servers(home: Path, client: str) -> dict[str, dict[str, JsonValue]]:
    return cast(dict[str, dict[str, JsonValue]], read(home / FILES[client])[ASSISTANTS[client].servers])


def variables_of(home: Path, client: str) -> JsonValue:
    """The variables of the entry, but for those that every test's environment has."""
    given = cast(dict[str, JsonValue], servers(home, client)["formant"]["env"])
    return {name: value for name, value in given.items() if name not in environment(home, FORMANT_BASE_URL=NOWHERE)}


async def tools_of(entry: dict[str, JsonValue], folder: Path) -> list[str]:
    """The tools of the server that an entry starts."""
    variables = cast(dict[str, str], entry.get("env", {}))
    parameters = StdioServerParameters(
        command=str(entry["command"]),
        args=[str(argument) for argument in cast(list[JsonValue], entry["args"])],
        env=environment(folder, **variables),
    )
    async with Client(parameters) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


@each_client
def test_the_entry_is_written_and_everything_else_stays(client: str, home: Path) -> None:
    path, listed = home / FILES[client], ASSISTANTS[client].servers
    path.parent.mkdir(parents=True, exist_ok=True)
    before: Configuration = {"theme": "dark", listed: {"other": OTHER}, "numbers": [1, 1.5, 10**20], "empty": {}}
    path.write_text(json.dumps(before), encoding="utf-8")
    done = connect(home, client, "--yes", FORMANT_API_KEY=KEY, FORMANT_REGION="india")
    assert done.status == 0, done.error
    after = read(path)
    assert servers(home, client)["other"] == OTHER
    assert {**after, listed: before[listed], "inputs": None} == {**before, "inputs": None}
    entry = servers(home, client)["formant"]
    assert (entry["command"], entry["args"]) == (str(PROGRAM), [])
    key = "${input:formant-key}" if client == "vscode" else KEY
    assert variables_of(home, client) == {"FORMANT_API_KEY": key, "FORMANT_REGION": "india"}
    assert path.stat().st_mode & 0o777 == 0o600
    (backup,) = path.parent.glob(f"{path.name}.*.bak")
    assert json.loads(backup.read_text(encoding="utf-8")) == before
    assert not list(path.parent.glob("*.part"))
    for secret in (KEY, "secret-of-another"):
        assert secret not in done.error + done.out


@each_client
def test_what_was_added_can_be_taken_out(client: str, home: Path) -> None:
    path = home / FILES[client]
    for options in (["--yes"], ["--yes", "--demo"]):
        assert connect(home, client, *options, FORMANT_API_KEY=KEY).status == 0
    assert list(servers(home, client)) == ["formant", "formant-sample"]
    assert connect(home, client, "--remove", "--yes").status == 0
    assert list(servers(home, client)) == ["formant-sample"]
    assert not read(path).get("inputs")
    assert connect(home, client, "--remove", "--yes", "--demo").status == 0
    assert servers(home, client) == {}
    assert KEY not in path.read_text(encoding="utf-8")
    again = connect(home, client, "--remove", "--yes")
    assert (again.status, again.error) == (0, f"{path} has no entry formant: there is nothing to remove.\n")


@pytest.mark.parametrize("client", some(ASSISTANTS, 3))
@pytest.mark.anyio
async def test_the_entry_of_the_sample_account_starts(client: str, home: Path) -> None:
    assert connect(home, client, "--yes", "--demo").status == 0
    entry = servers(home, client)["formant-sample"]
    assert "FORMANT_API_KEY" not in cast(Configuration, entry["env"])
    assert "list_conversations" in await tools_of(entry, home)


def test_the_command_line_takes_every_assistant_that_can_be_set_up() -> None:
    assert set(parser.ASSISTANTS) == set(ASSISTANTS)


@each_client
def test_a_second_time_changes_nothing(client: str, home: Path) -> None:
    first = connect(home, client, "--yes", FORMANT_API_KEY=KEY)
    text = (home / FILES[client]).read_text(encoding="utf-8")
    second = connect(home, client, "--yes", FORMANT_API_KEY=KEY)
    assert (first.status, second.status) == (0, 0)
    assert "already has this entry" in second.error
    assert (home / FILES[client]).read_text(encoding="utf-8") == text


def test_another_key_is_a_change_though_it_is_not_shown(home: Path) -> None:
    assert connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY).status == 0
    done = connect(home, "cursor", "--yes", FORMANT_API_KEY="sk-another")
    assert "Only values change that are not shown here, such as a key." in done.error
    assert variables_of(home, "cursor") == {"FORMANT_API_KEY": "sk-another"}


@pytest.mark.parametrize("client", some(ASSISTANTS, 3))
def test_without_a_terminal_and_yes_nothing_is_written(client: str, home: Path) -> None:
    done = run_in_child(home, "connect", client, HOME=str(home), FORMANT_API_KEY=KEY, FORMANT_BASE_URL=NOWHERE)
    assert done.status == 2
    assert "Add --yes" in done.error
    assert not (home / FILES[client]).exists()


@pytest.mark.parametrize(
    "text", ['{"mcpServers": {}, // a comment\n}', "[1]", '{"mcpServers": []}', '{"mcpServers"', "\xff\xfe", *ODD]
)
def test_a_file_of_another_form_is_not_touched(text: str, home: Path) -> None:
    path = home / FILES["cursor"]
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    done = connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY)
    assert done.status == 1
    assert "not touched" in done.error or "cannot be read" in done.error
    assert path.read_bytes() == text.encode("latin-1")


def test_a_linked_file_stays_a_link(home: Path) -> None:
    kept = home / "dotfiles.json"
    kept.write_text("{}", encoding="utf-8")
    path = home / FILES["cursor"]
    path.parent.mkdir()
    path.symlink_to(kept)
    assert connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY).status == 0
    assert path.is_symlink()
    assert "formant" in kept.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "No API key is set. Set FORMANT_API_KEY, or add --demo"),
        ({"FORMANT_API_KEY": "${KEY}"}, "contains a placeholder"),
        ({"FORMANT_API_KEY": KEY, "FORMANT_PROVIDER": "nobody"}, "FORMANT_PROVIDER"),
    ],
)
def test_settings_that_would_not_work_are_not_written(variables: dict[str, str], said: str, home: Path) -> None:
    done = run(home, "connect", "cursor", "--yes", HOME=str(home), **variables)
    assert done.status == 1
    assert said in done.error
    assert not (home / FILES["cursor"]).exists()


def test_a_key_file_is_named_instead_of_the_key(home: Path) -> None:
    (home / "key").write_text(KEY, encoding="utf-8")
    assert connect(home, "vscode", "--yes", FORMANT_API_KEY_FILE=str(home / "key")).status == 0
    assert variables_of(home, "vscode") == {"FORMANT_API_KEY_FILE": str(home / "key")}


def test_the_password_of_a_database_is_not_shown(home: Path) -> None:
    store = "postgresql://calls:hunter2@db.example.com/calls"
    done = connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY, FORMANT_STORE=store)
    assert "calls@db.example.com" in done.error
    assert "hunter2" not in done.error
    assert cast(dict[str, JsonValue], servers(home, "cursor")["formant"]["env"])["FORMANT_STORE"] == store


@each_client
def test_what_is_printed_has_no_key_and_changes_nothing(client: str, home: Path) -> None:
    done = connect(home, client, "--print", FORMANT_API_KEY=KEY)
    assert done.status == 0
    assert KEY not in done.out
    assert FILES[client] in done.out
    assert not (home / FILES[client]).exists()
    text = done.out[done.out.index("{") :]
    printed, _ = cast(tuple[Configuration, int], json.JSONDecoder().raw_decode(text))
    entry = cast(dict[str, dict[str, JsonValue]], printed[ASSISTANTS[client].servers])["formant"]
    assert entry["command"] == str(PROGRAM)


@pytest.mark.anyio
@pytest.mark.parametrize("client", some(["cursor", "vscode"], 2))
async def test_the_printed_link_starts_the_server(client: str, home: Path) -> None:
    printed = connect(home, client, "--print", "--demo").out
    address = urlsplit(printed.split("Or open: ")[1].strip())
    if client == "cursor":
        query = parse_qs(address.query)
        assert (address.scheme, query["name"]) == ("cursor", ["formant-sample"])
        entry = json.loads(b64decode(query["config"][0]))
    else:
        entry = json.loads(unquote(address.query))
        assert (address.scheme, entry["name"]) == ("vscode", "formant-sample")
    assert "list_conversations" in await tools_of(entry, home)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(others=st.dictionaries(st.text(), _json, max_size=4), entries=st.dictionaries(st.text(), _json, max_size=4))
def test_no_other_value_is_ever_changed(others: Configuration, entries: Configuration) -> None:
    for assistant in ASSISTANTS.values():
        own = {"mcpServers", "servers", "inputs"}
        before: Configuration = {key: value for key, value in others.items() if key not in own}
        before[assistant.servers] = entries
        entries.pop("formant", None)
        after = changed(before, assistant, "formant", {"command": "x"}, [])
        assert changed(after, assistant, "formant", None, []) == before


def test_nothing_of_an_entry_that_somebody_else_made_is_shown(home: Path) -> None:
    """As `claude mcp add --transport http formant … --header` makes it."""
    path = home / FILES["cursor"]
    path.parent.mkdir()
    mine: JsonValue = {
        "url": "https://me:secret-1@example.com/mcp",
        "headers": {"Authorization": "Bearer secret-2"},
        "args": ["--key", "secret-3"],
        "env": {"TOKEN": "secret-4"},
    }
    path.write_text(json.dumps({"mcpServers": {"formant": mine}}), encoding="utf-8")
    for options in (["--yes"], ["--yes", "--remove"]):
        path.write_text(json.dumps({"mcpServers": {"formant": mine}}), encoding="utf-8")
        done = connect(home, "cursor", *options, FORMANT_API_KEY=KEY)
        assert done.status == 0
        assert "secret" not in done.error + done.out


def test_what_the_assistant_writes_meanwhile_stays(home: Path) -> None:
    path = home / FILES["claude-code"]
    path.write_text("{}", encoding="utf-8")
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "connect", "claude-code"],
        env=environment(home, HOME=str(home), FORMANT_API_KEY=KEY, FORMANT_BASE_URL=NOWHERE),
        stdin=terminal,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = ""
    while "[y/N]" not in said:
        said += process.stderr.read(1)
    path.write_text('{"numStartups": 7}', encoding="utf-8")
    os.write(controller, b"y\n")
    assert process.wait(30) == 0
    process.stderr.close()
    os.close(controller)
    os.close(terminal)
    assert read(path)["numStartups"] == 7
    assert "formant" in servers(home, "claude-code")


def test_paths_work_from_any_folder(home: Path) -> None:
    (home / "key.txt").write_text(KEY, encoding="utf-8")
    done = connect(home, "cursor", "--yes", FORMANT_API_KEY_FILE="key.txt", FORMANT_STORE="calls.sqlite")
    assert done.status == 0
    given = cast(dict[str, str], servers(home, "cursor")["formant"]["env"])
    assert (given["FORMANT_API_KEY_FILE"], given["FORMANT_STORE"]) == (
        str(home / "key.txt"),
        str(home / "calls.sqlite"),
    )


def test_what_is_kept_of_a_file_is_private_and_named_when_the_server_is_taken_out(home: Path) -> None:
    path = home / FILES["cursor"]
    path.parent.mkdir()
    path.write_text("{}", encoding="utf-8")
    path.chmod(0o644)
    assert connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY).status == 0
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    done = connect(home, "cursor", "--remove", "--yes", FORMANT_REGION="nowhere")
    assert done.status == 0
    assert "1 backup that has a key in it is beside it: mcp.json." in done.error


def test_every_state_before_a_change_is_kept_however_fast_they_follow(home: Path) -> None:
    path = home / "mcp.json"
    for text in ("", '{"by": "hand"}', "{}", '{"by": "hand"}', "", '{"by": "somebody"}'):
        path.write_text(text, encoding="utf-8")
        backup = write(path, {"number": len(text)})
        assert backup
        assert backup.read_text(encoding="utf-8") == text
        assert backup.stat().st_mode & 0o777 == 0o600
    kept = {file.read_text(encoding="utf-8") for file in home.glob("mcp.json.*.bak")}
    assert kept == {"", '{"by": "hand"}', "{}", '{"by": "somebody"}'}
    assert not list(home.glob(".*.part"))


def test_half_a_character_is_written_as_it_was(home: Path) -> None:
    path = home / FILES["cursor"]
    path.parent.mkdir()
    path.write_text('{"other": "\\ud83d"}', encoding="utf-8")
    assert connect(home, "cursor", "--yes", FORMANT_API_KEY=KEY).status == 0
    assert read(path)["other"] == "\ud83d"


def test_the_password_of_a_database_is_not_printed(home: Path) -> None:
    done = connect(home, "vscode", "--print", FORMANT_STORE="postgresql://calls:hunter2@db.example.com/calls")
    assert "calls@db.example.com" in done.out
    assert "hunter2" not in done.out
