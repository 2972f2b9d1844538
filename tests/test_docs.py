"""The documents compared with the program: tables, commands, configurations, links."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from pydantic_core import PydanticUndefined

from formant_mcp.analysis.phrase_lists import parse
from formant_mcp.analysis.review import REASONS
from formant_mcp.analysis.signals import SIGNALS
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.arguments import FilterArguments
from formant_mcp.server.limits import Limits
from formant_mcp.server.resources import TEMPLATES
from formant_mcp.server.tools import TOOLS
from formant_mcp.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = "\n".join(
    page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *sorted((ROOT / ".github" / "docs").glob("*.md"))]
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXAMPLE = ROOT / "claude_desktop_config.example.json"
PAGES = sorted(
    path for pattern in ("*.md", ".github/**/*.md") for path in ROOT.glob(pattern) if ".venv" not in path.parts
)
COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/formant-mcp tour",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/python -m pytest",
]

Row = dict[str, str]
WORDS = PROVIDERS["formant"]


def table(heading: str, *columns: str) -> list[Row]:
    """The rows of the table with these columns below that heading, in the README or a page of the documentation."""
    section = DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    _, _, rest = section.partition(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    lines = rest.split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows
    assert {len(row) for row in rows} == {len(columns)}, f"a row of {heading} has too many or too few cells"
    return [dict(zip(columns, row, strict=True)) for row in rows]


def quoted(cell: str) -> str:
    """The text between the first backticks."""
    return cell.split("`")[1]


def text_of(tool: str) -> Any:
    return next(candidate.input_schema(WORDS) for candidate in TOOLS if candidate.name == tool)


def assert_row_matches(row: Row, name: str, schema: dict[str, Any], required: list[str]) -> None:
    """The row has the schema's default, every accepted word and the greatest accepted number."""
    if name in required:
        assert row["default"] == "required"
    else:
        assert json.loads(quoted(row["default"])) == schema["default"]
    for word in schema.get("enum", []):
        assert f"`{word}`" in row["accepts"]
    for bound in ("maximum", "maxItems"):
        if bound in schema:
            assert str(schema[bound]) in re.findall(r"\d+", row["accepts"])


def test_the_readme_has_the_two_commands() -> None:
    assert [command for command in COMMANDS if f"```sh\n{command}\n```" in README] == COMMANDS


def test_the_table_of_signals_has_each_with_its_definition() -> None:
    rows = table("Signals", "signal", "kind", "needs", "definition")
    assert {quoted(row["signal"]): (row["kind"], row["needs"], row["definition"]) for row in rows} == dict(SIGNALS)


def test_the_example_of_a_file_of_phrases_is_accepted() -> None:
    example = DOCS.split("\n## Signals\n")[1].split("```\n")[1]
    assert {phrase.list_name for phrase in parse(example.encode())} == {"asked_for_human", "opt_out", "-opt_out"}


def test_the_settings_table_has_every_variable() -> None:
    rows = table("Settings", "variable", "default", "meaning")
    assert [quoted(row["variable"]) for row in rows] == [f"FORMANT_{name.upper()}" for name in Settings.model_fields]


@pytest.mark.parametrize("row", table("Settings", "variable", "default", "meaning"), ids=lambda row: row["variable"])
def test_a_setting_has_the_default_and_words_in_its_table_row(row: Row) -> None:
    field = Settings.model_fields[quoted(row["variable"]).removeprefix("FORMANT_").lower()]
    assert field.default is not PydanticUndefined
    if field.default in (None, ""):
        assert "`" not in row["default"]  # in words, or none
    else:
        assert row["default"] == f"`{field.default}`"
    for word in get_args(field.annotation):
        assert not isinstance(word, str) or f"`{word}`" in row["meaning"]


def test_the_commands_table_has_every_command() -> None:
    done = subprocess.run([sys.executable, "-m", "formant_mcp", "--help"], capture_output=True, text=True, check=True)
    listed = done.stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^  (\w[\w-]*)  ", listed, re.MULTILINE)
    options = re.findall(r"^  (--[\w-]+)  ", done.stdout, re.MULTILINE)
    documented = [
        quoted(row["command"]).removeprefix("formant-mcp").partition(" [")[0].strip()
        for row in table("Commands", "command", "does")
    ]
    assert sorted(documented) == sorted({"", *commands, *options} - {"--help"})


def test_the_tools_table_has_every_tool() -> None:
    assert [quoted(row["tool"]) for row in table("Tools", "tool", "gives")] == [tool.name for tool in TOOLS]


def test_the_arguments_table_has_every_argument_except_filters() -> None:
    rows = table("Tools", "tool", "argument", "default", "accepts")
    documented = [(quoted(row["tool"]), quoted(row["argument"])) for row in rows]
    arguments = [(tool.name, name) for tool in TOOLS for name in tool.input_schema(WORDS)["properties"]]
    assert documented == [(tool, name) for tool, name in arguments if name not in FilterArguments.model_fields]


@pytest.mark.parametrize(
    "row",
    table("Tools", "tool", "argument", "default", "accepts"),
    ids=lambda row: f"{quoted(row['tool'])}-{quoted(row['argument'])}",
)
def test_an_argument_matches_its_table_row(row: Row) -> None:
    schema = text_of(quoted(row["tool"]))
    name = quoted(row["argument"])
    assert_row_matches(row, name, schema["properties"][name], schema.get("required", []))


def test_the_reasons_table_has_every_reason_with_its_weight_and_definition() -> None:
    rows = table("Reasons to review a call", "reason", "weight", "when")
    assert [(quoted(row["reason"]), int(row["weight"]), row["when"]) for row in rows] == [
        (name, reason.weight, reason.definition) for name, reason in REASONS.items()
    ]


def test_the_filters_table_has_every_filter_of_list_conversations() -> None:
    documented = [quoted(row["filter"]) for row in table("Filters", "filter", "default", "accepts")]
    assert documented == list(FilterArguments.model_fields)
    assert documented == list(text_of("list_conversations")["properties"])[: len(documented)]


@pytest.mark.parametrize("row", table("Filters", "filter", "default", "accepts"), ids=lambda row: quoted(row["filter"]))
def test_a_filter_matches_its_table_row(row: Row) -> None:
    name = quoted(row["filter"])
    assert_row_matches(row, name, text_of("list_conversations")["properties"][name], [])


def test_the_resources_table_has_every_template() -> None:
    rows = table("Resources", "address", "type", "what")
    assert [(quoted(row["address"]), quoted(row["type"])) for row in rows] == [
        (template.uri, template.media_type) for template in TEMPLATES
    ]


def test_the_architecture_page_has_the_layers_that_are_checked() -> None:
    page = (ROOT / ".github" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^    (.+)$", page.split("\n## Layers\n")[1], re.MULTILINE)
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert drawn == next(contract["layers"] for contract in contracts if contract["type"] == "layers")


def test_every_dependency_has_a_reason_in_its_decision() -> None:
    decision = (ROOT / ".github" / "decisions" / "0005-dependencies.md").read_text(encoding="utf-8")
    needed = {re.split(r"[<>=\[;]", requirement)[0] for requirement in PYPROJECT["project"]["dependencies"]}
    assert set(re.findall(r"^\| ([a-z0-9-]+) \| ", decision, re.MULTILINE)) - {"package"} == needed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_or_a_heading_works(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not heading or heading in headings(target), link


def headings(page: Path) -> set[str]:
    """The names by which links lead to a page's headings."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_json_blocks_of_the_readme_are_valid_and_one_is_the_example_file() -> None:
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.+?)```", README, re.DOTALL)]
    assert json.loads(EXAMPLE.read_text(encoding="utf-8")) in blocks


def test_the_example_configuration_starts_the_server_which_reports_the_placeholder_key(tmp_path: Path) -> None:
    entry = json.loads(EXAMPLE.read_text(encoding="utf-8"))["mcpServers"]["formant"]
    folder, script = entry["command"].rsplit("/", 1)
    assert script == "formant-mcp"
    assert "FORMANT_API_KEY" in entry["env"]
    assert folder == "/path/to/formant-mcp/.venv/bin"  # made by the README's first command; in this environment:
    command = str(Path(sys.executable).with_name(script))
    environment = {**entry["env"], "FORMANT_STORE": str(tmp_path / "calls.sqlite")}

    async def ask() -> tuple[list[str], str]:
        server = StdioServerParameters(command=command, args=entry["args"], env=environment, cwd=tmp_path)
        async with Client(server, read_timeout_seconds=30) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("list_conversations", {})
            assert result.is_error
            return tools, "".join(block.text for block in result.content if isinstance(block, TextContent))

    tools, error = anyio.run(ask)
    assert tools == [tool.name for tool in TOOLS]
    assert "FORMANT_API_KEY contains a placeholder" in error


def test_the_documentation_states_the_limits_of_a_member() -> None:
    limits, text = Limits(), " ".join(DOCS.split())
    assert f"{limits.calls_at_once} calls under way and send {limits.requests_per_minute} requests a minute" in text
    assert f"keep {limits.streams_at_once} streams of notifications open" in text
    assert limits.stream_seconds == 60
    assert "each for a minute before it must be opened again" in text
    assert f"at most {limits.body_bytes // 1_048_576} MB" in text
    assert f"a session ends after {limits.session_idle_seconds / 60:g} minutes" in text


def test_the_security_page_names_tests_that_exist() -> None:
    page = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 30
    assert named <= tests
