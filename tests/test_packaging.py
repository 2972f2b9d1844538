"""What is under .github/packaging: accepted by each assistant's own tools, and started as the assistant starts it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp import Client, StdioServerParameters
from pydantic import JsonValue

from formant_mcp import __version__
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.tools import TOOLS
from formant_mcp.settings import Settings
from tests import npm
from tests.examples import some
from tests.server_harness import Account, in_both_eras
from tests.stdio_process import PROGRAM

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / ".github" / "packaging"
PLUGIN = PACKAGING / "claude-code" / "formant"
CLAUDE, MCPB = "@anthropic-ai/claude-code@2.1.197", "@anthropic-ai/mcpb@2.1.2"
LINTER, PIPX = "skillsaw@0.22.0", "pipx==1.18.4"
SECONDS = 240
SKILLS = {"weekly-call-review", "why-calls-fail", "call-quality-review"}


def read(path: Path) -> dict[str, JsonValue]:
    return cast(dict[str, JsonValue], json.loads(path.read_text(encoding="utf-8")))


def run(*command: str | Path, folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """What a command prints; fails with it if the command does."""
    done = subprocess.run(
        [str(part) for part in command],
        env=own_environment(folder) | dict(variables or {}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def own_environment(folder: Path) -> dict[str, str]:
    """An empty home, this program on the path, and what reaches the registries from here."""
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_", "NODE_", "npm_"))
    }
    path = os.pathsep.join([str(PROGRAM.parent), os.environ["PATH"]])
    return kept | {"HOME": str(folder), "PATH": path, "DISABLE_AUTOUPDATER": "1"}


def installed(request: pytest.FixtureRequest, package: str) -> Path:
    """A package of npm, kept in pytest's cache."""
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir(re.sub(r"\W+", "-", package).strip("-"))
    path = folder / "node_modules" / package.rpartition("@")[0]
    if not path.exists():
        npm.install(folder, package)
    return path


@pytest.fixture
def claude(request: pytest.FixtureRequest) -> list[str | Path]:
    """The command of Claude Code, which finds the program for this system beside it."""
    return ["node", installed(request, CLAUDE) / "cli-wrapper.cjs"]


def test_every_package_has_the_version_of_the_program() -> None:
    files = [PACKAGING / "manifest.json", PLUGIN / ".claude-plugin" / "plugin.json", PACKAGING / "server.json"]
    assert {file.name: read(file)["version"] for file in files} == {file.name: __version__ for file in files}


def test_the_bundle_asks_for_settings_that_exist_and_names_every_provider() -> None:
    manifest = read(PACKAGING / "manifest.json")
    server = cast(dict[str, dict[str, dict[str, str]]], manifest["server"])
    known = {f"FORMANT_{name.upper()}" for name in Settings.model_fields}
    assert set(server["mcp_config"]["env"]) <= known
    fields = cast(dict[str, dict[str, JsonValue]], manifest["user_config"])
    assert {f"${{user_config.{name}}}" for name in fields} == set(server["mcp_config"]["env"].values())
    assert (fields["api_key"]["sensitive"], fields["api_key"]["required"]) == (True, True)
    assert str(fields["provider"]["description"]) == f"{', '.join([*PROVIDERS][:-1])} or {[*PROVIDERS][-1]}"
    needs_address = {name for name, spec in PROVIDERS.items() if not spec.addresses}
    assert {name for name in PROVIDERS if name in str(fields["base_url"]["description"])} == needs_address


def test_the_bundle_needs_the_python_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtimes = cast(dict[str, dict[str, str]], read(PACKAGING / "manifest.json")["compatibility"])["runtimes"]
    assert runtimes["python"] == project["requires-python"]


@pytest.mark.anyio
@pytest.mark.parametrize("host", some(["cursor.com", "vscode.dev"], 2))
async def test_the_links_of_the_readme_start_the_installed_program(host: str, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    query = parse_qs(urlsplit(readme.split(f"](https://{host}/")[1].split(")")[0]).query)
    config = query["config"][0] if host == "vscode.dev" else b64decode(query["config"][0])
    entry = cast(dict[str, JsonValue], json.loads(config))
    assert query["name"] == ["formant"]
    variables = cast(dict[str, str], entry["env"])
    assert variables["FORMANT_API_KEY"] in ("${input:formant-key}", "paste your API key here")
    assert (host == "vscode.dev") == ("formant-key" in query.get("inputs", [""])[0])
    command = shutil.which(str(entry["command"]), path=own_environment(tmp_path)["PATH"])
    assert command
    parameters = StdioServerParameters(command=command, env=own_environment(tmp_path) | variables, cwd=tmp_path)
    async with Client(parameters) as client:
        assert "list_conversations" in {tool.name for tool in (await client.list_tools()).tools}


def test_each_skill_has_its_name_a_description_and_only_tools_that_exist() -> None:
    known = {tool.name for tool in TOOLS}
    files = sorted(PLUGIN.glob("skills/*/SKILL.md"))
    assert {file.parent.name for file in files} == SKILLS
    for file in files:
        _, front, text = file.read_text(encoding="utf-8").split("---\n", 2)
        fields = dict(line.split(": ", 1) for line in front.strip().splitlines())
        assert fields["name"] == file.parent.name
        assert len(fields["description"]) < 1_024
        used = set(re.findall(r"`((?:list|search|get|summarize|find|save|export)_\w+)`", text))
        assert used
        assert used <= known
        assert "## Never conclude" in text
        assert "## Citing" in text


def test_the_entry_of_the_registry_has_the_name_that_is_in_the_readme() -> None:
    entry = read(PACKAGING / "server.json")
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text(encoding="utf-8")
    (package,) = cast(list[dict[str, JsonValue]], entry["packages"])
    variables = cast(list[dict[str, JsonValue]], package["environmentVariables"])
    known = {f"FORMANT_{name.upper()}" for name in Settings.model_fields}
    assert {str(variable["name"]) for variable in variables} <= known
    assert [variable["name"] for variable in variables if variable.get("isSecret")] == ["FORMANT_API_KEY"]


def test_a_test_without_node_is_skipped_but_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable, outcome in (("", pytest.skip.Exception), ("true", RuntimeError)):
        monkeypatch.setenv("CI", variable)
        with pytest.raises(outcome, match="install Node 22"):
            npm.install(tmp_path, MCPB)


@pytest.mark.node
def test_a_linter_of_skills_plugins_and_registries_finds_nothing(tmp_path: Path) -> None:
    """It has the schemas of the registry's entries and knows what Claude Code reads of a plugin."""
    said = run(PROGRAM.with_name("uv"), "tool", "run", LINTER, "lint", PACKAGING, folder=tmp_path)
    assert re.search(r"Skills: +3\b", said)
    assert "mcp-registry" in said
    assert re.search(r"Errors: +0\n +Warnings: +0\n", said)


@pytest.mark.anyio
@pytest.mark.node
async def test_the_bundle_is_accepted_packed_and_starts(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    packer = installed(request, MCPB).parents[1] / ".bin" / "mcpb"
    bundle = tmp_path / "formant.mcpb"
    run(PACKAGING / "build-bundle", bundle, folder=tmp_path, variables={"MCPB": str(packer)})
    assert bundle.stat().st_size < 1_000_000
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(bundle).extractall(unpacked)
    assert not list(unpacked.rglob("*.pyc"))
    config = cast(
        dict[str, JsonValue], cast(dict[str, JsonValue], read(unpacked / "manifest.json")["server"])["mcp_config"]
    )
    fields = cast(dict[str, dict[str, str]], read(unpacked / "manifest.json")["user_config"])
    values = {f"${{user_config.{name}}}": field.get("default", "a-key") for name, field in fields.items()}
    uv = Path(sys.executable).parent / str(config["command"])
    arguments = [str(argument).replace("${__dirname}", str(unpacked)) for argument in cast(list[str], config["args"])]
    variables = {name: values[text] for name, text in cast(dict[str, str], config["env"]).items()}
    parameters = StdioServerParameters(
        command=str(uv), args=arguments, env=own_environment(tmp_path) | variables, cwd=tmp_path
    )
    async with Client(parameters, read_timeout_seconds=SECONDS) as client:
        assert "list_conversations" in {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.node
def test_claude_code_accepts_installs_and_connects_to_the_plugin(claude: list[str | Path], tmp_path: Path) -> None:
    for folder in (PLUGIN.parent, PLUGIN):
        assert "Validation passed" in run(*claude, "plugin", "validate", folder, folder=tmp_path)
    run(*claude, "plugin", "marketplace", "add", PLUGIN.parent, folder=tmp_path)
    run(*claude, "plugin", "install", "formant@formant-mcp", folder=tmp_path)
    assert "✔ Connected" in run(*claude, "mcp", "list", folder=tmp_path, variables={"FORMANT_API_KEY": "a-key"})
    run(*claude, "plugin", "uninstall", "formant@formant-mcp", folder=tmp_path)
    assert "Connected" not in run(*claude, "mcp", "list", folder=tmp_path)


@pytest.mark.node
def test_claude_code_connects_to_what_connect_has_written(claude: list[str | Path], tmp_path: Path) -> None:
    variables = {"FORMANT_API_KEY": "a-key", "FORMANT_BASE_URL": "http://127.0.0.1:9"}
    run(PROGRAM, "connect", "claude-code", "--yes", folder=tmp_path, variables=variables)
    assert "formant" in run(*claude, "mcp", "list", folder=tmp_path)
    assert "✔ Connected" in run(*claude, "mcp", "get", "formant", folder=tmp_path)
    assert "a-key" not in run(PROGRAM, "connect", "claude-code", "--remove", "--yes", folder=tmp_path)


@pytest.mark.node
def test_uv_runs_the_program_without_an_install(tmp_path: Path) -> None:
    source = f"git+file://{ROOT}" if (ROOT / ".git").exists() else str(ROOT)
    uvx = [str(PROGRAM.with_name("uv")), "tool", "run", "--from", source, "formant-mcp"]
    assert __version__ in run(*uvx, "--version", folder=tmp_path)
    refused = subprocess.run(
        [*uvx, "connect", "cursor", "--demo", "--yes"],
        env=own_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert refused.returncode == 1
    assert "uv tool install" in refused.stderr


def lines_of_readme(program: str) -> list[str]:
    """README's commands, in blocks and in sentences, that install, add or remove something with this program."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"^```sh\n(.+?)^```|`([^`\n]+)`", readme, re.DOTALL | re.MULTILINE)
    lines = [line for block, inline in code for line in (block or inline).splitlines()]
    return [line for line in lines if re.match(rf"{program} .*\b(install|uninstall|add) (?!.*pytest)", line)]


def follow(line: str, tmp_path: Path) -> None:
    """Runs a line as a user types it: in a copy of this repository, with a home of its own and a key."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__"))
    run("sh", "-c", line, folder=copy, variables=variables_of(home))


def variables_of(home: Path) -> dict[str, str]:
    """A user's environment: programs installed for this user alone are on the path."""
    path = os.pathsep.join([str(home / ".local" / "bin"), own_environment(home)["PATH"]])
    return {"HOME": str(home), "PATH": path, "SHELL": "/bin/sh", "FORMANT_API_KEY": "a-key"}


@pytest.mark.node
@pytest.mark.parametrize(
    ("program", "folder"), [("python3", "copy/.venv/bin"), ("uv", "home/.local/bin"), ("pipx", "home/.local/bin")]
)
def test_the_lines_of_the_readme_install_and_remove_the_program(program: str, folder: str, tmp_path: Path) -> None:
    if program == "pipx":
        follow(f"uv tool install {PIPX}", tmp_path)
    lines = lines_of_readme(program)
    assert lines
    for line in lines:
        follow(line, tmp_path)
        installed_program = tmp_path / folder / PROGRAM.name
        if "uninstall" in line:
            assert not installed_program.exists()
        else:
            assert __version__ in run(installed_program, "--version", folder=tmp_path)


@pytest.mark.node
def test_claude_code_connects_to_what_the_lines_of_the_readme_have_added(
    claude: list[str | Path], tmp_path: Path
) -> None:
    program = tmp_path / "home" / ".local" / "bin" / "claude"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, claude))} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    lines = lines_of_readme("claude")
    assert {line.split()[1] for line in lines} == {"plugin", "mcp"}
    for line in lines:
        follow(line, tmp_path)
    listed = run(program, "mcp", "list", folder=tmp_path, variables=variables_of(tmp_path / "home"))
    assert re.search(r"^formant: formant-mcp +- ✔ Connected$", listed, re.MULTILINE)


@pytest.mark.anyio
@in_both_eras
async def test_the_server_shows_a_small_icon(account: Account) -> None:
    async with account.connect() as assistant:
        shown = assistant.client.server_info
    assert shown
    (icon,) = shown.icons or []
    assert icon.src.startswith("data:image/png;base64,iVBORw0KGgo")
    assert len(icon.src) < 500
