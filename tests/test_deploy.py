"""The files in .github/deploy: valid, safe by default, and in agreement with the program that they start."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from starlette.requests import Request

from formant_mcp.command_line.parser import parse
from formant_mcp.command_line.syntax import Call
from formant_mcp.server.downloads import FILES_PATH
from formant_mcp.server.http import MCP_PATHS
from formant_mcp.server.metrics import Metrics
from formant_mcp.settings import Settings
from formant_mcp.store.postgres.schema import MIGRATIONS
from tests.http_process import in_child

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / ".github" / "deploy"
CONTAINERFILE, COMPOSE, CADDYFILE, README = (
    (DEPLOY / name).read_text(encoding="utf-8") for name in ("Containerfile", "compose.yaml", "Caddyfile", "README.md")
)
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(COMPOSE)["services"]  # pyright: ignore[reportUnknownMemberType]
OTHERS_VARIABLES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PGPASSWORD", "FORWARDED_ALLOW_IPS"}
SECRETS = ("FORMANT_API_KEY", "POSTGRES_PASSWORD")
SET_HERE = {"FORMANT_STORE", "FORMANT_LOG_FORMAT", "FORMANT_LOG_LEVEL"}
LEFT_OUT = {
    "FORMANT_API_KEY_FILE": "the key is in .env",
    "FORMANT_RECORDINGS_DIR": "the image has it, on its volume",
    "FORMANT_EXPORTS_DIR": "the image has it, on its volume",
}


def instruction(name: str) -> str:
    """The last instruction of that name, in one line."""
    return re.findall(rf"^{name} (.+)$", CONTAINERFILE.replace("\\\n", ""), re.MULTILINE)[-1]


def primary_keys() -> dict[str, set[str]]:
    """The columns of each table's primary key."""
    keys: dict[str, set[str]] = {"version": set()}
    for name, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\);", "".join(MIGRATIONS), re.DOTALL):
        several, one = re.search(r"PRIMARY KEY \((.+?)\)", columns), re.search(r"(\w+) .*PRIMARY KEY", columns)
        assert several or one
        keys[name] = set(several[1].split(", ")) if several else {one[1]} if one else set()
    return keys


def test_the_compose_file_meets_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", [CONTAINERFILE, COMPOSE, CADDYFILE, README])
def test_every_variable_is_a_setting(text: str) -> None:
    settings = {f"FORMANT_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bFORMANT_[A-Z_]+", text)) <= settings


def test_a_container_gets_settings_and_variables_of_programs_that_are_in_it() -> None:
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert {name for name in given if not name.startswith("FORMANT_")} == OTHERS_VARIABLES


def test_the_server_gets_every_setting_of_the_shell_but_those_that_are_decided_here() -> None:
    settings = {f"FORMANT_{name.upper()}" for name in Settings.model_fields}
    given: dict[str, str] = SERVICES["formant-mcp"]["environment"]
    passed_on = {name for name, value in given.items() if value.startswith(f"${{{name}:")}
    assert settings - LEFT_OUT.keys() - SET_HERE == passed_on & settings
    assert given.keys() >= SET_HERE
    of_image = {name for name, reason in LEFT_OUT.items() if "image" in reason}
    assert set(re.findall(r"\bFORMANT_[A-Z_]+", instruction("ENV"))) == of_image


def test_secrets_have_no_default() -> None:
    for secret in SECRETS:
        uses = re.findall(rf"\$\{{{secret}(.*?)\}}", COMPOSE)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_images_have_versions() -> None:
    images = re.findall(r"^(?:FROM| *image:) (\S+)", CONTAINERFILE + COMPOSE, re.MULTILINE)
    assert len(images) == 4
    assert [image for image in images if not re.fullmatch(r"docker\.io/library/[a-z]+:\d+[\w.-]*", image)] == []
    python = re.findall(r"python:(\d\.\d+)", CONTAINERFILE)
    assert len(set(python)) == 1
    assert f"Programming Language :: Python :: {python[0]}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_only_the_proxy_is_published_and_the_database_is_in_a_network_of_its_own() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["caddy"]
    assert not set(SERVICES["caddy"]["networks"]) & set(SERVICES["postgres"]["networks"])


def test_the_proxy_passes_on_what_members_use_to_the_port_of_the_server() -> None:
    paths = re.findall(r"@members path (.+)", CADDYFILE)[0].split()
    assert paths == [*MCP_PATHS, f"{FILES_PATH}/*", "/.well-known/oauth-protected-resource*"]
    assert f"dynamic a formant-mcp {instruction('EXPOSE')} " in CADDYFILE


def test_the_image_starts_a_command_that_exists_as_an_ordinary_user() -> None:
    entry, command = json.loads(instruction("ENTRYPOINT")), json.loads(instruction("CMD"))
    assert entry == ["formant-mcp"]
    call = parse(command)
    assert isinstance(call, Call)
    assert (call.command, call.options["port"]) == ("serve", int(instruction("EXPOSE")))
    assert int(instruction("USER")) > 0


def test_the_health_check_succeeds_while_the_server_is_ready_and_fails_when_it_has_ended(tmp_path: Path) -> None:
    program, option, code = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert (program, option) == ("python", "-c")
    with in_child(tmp_path, "--demo") as (_, url):
        checked = [sys.executable, "-c", code.replace(f"http://127.0.0.1:{instruction('EXPOSE')}", url)]
        assert subprocess.run(checked, capture_output=True).returncode == 0
    assert subprocess.run(checked, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    "block", [block for block in re.findall(r"```sql\n(.+?)```", README, re.DOTALL) if "create_" in block]
)
def test_every_table_is_distributed_by_a_column_of_its_key_or_lies_on_each_node(block: str) -> None:
    keys = primary_keys()
    distributed = dict(re.findall(r"create_distributed_table\('(\w+)', '(\w+)'", block))
    everywhere = re.findall(r"create_reference_table\('(\w+)'\)", block)
    assert sorted([*distributed, *everywhere]) == sorted(keys)
    assert {table for table, column in distributed.items() if column not in keys[table]} == set()


def test_the_metrics_table_has_every_figure_of_ours() -> None:
    metrics = Metrics()
    metrics.watch(lambda: 0, lambda: 0)
    figures = asyncio.run(metrics.respond(Request({"type": "http"}))).body
    served = set(re.findall(r"^# TYPE (formant_mcp_\w+)", bytes(figures).decode(), re.MULTILINE))
    served -= {name for name in served if name.endswith("_created")}
    assert set(re.findall(r"^\| `(formant_mcp_\w+)`", README, re.MULTILINE)) == served


def test_its_json_is_valid_and_the_unit_starts_a_command_that_exists() -> None:
    assert [json.loads(block) for block in re.findall(r"```json\n(.+?)```", README, re.DOTALL)]
    program, *arguments = re.findall(r"^ExecStart=(.+)$", README, re.MULTILINE)[0].split()
    assert program == "/opt/formant-mcp/bin/formant-mcp"
    call = parse(arguments)
    assert isinstance(call, Call)
    assert call.command == "serve"


@pytest.mark.parametrize("message", re.findall(r'"(The database .+?)"', README))
def test_the_messages_it_quotes_exist(message: str) -> None:
    folder = ROOT / "formant_mcp" / "store" / "postgres"
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert [sentence for sentence in re.findall(r"\w[^.]+\.", message) if sentence not in sources] == []
