"""What assistants see of the server before their first call: names, descriptions, schemas, annotations, instructions.

All of it is committed as `surface.json`; a change of it is a change of the contract, to be reviewed as one.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp_types import Tool
from pydantic import BaseModel, JsonValue

from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.arguments import FilterArguments
from formant_mcp.server.instructions import instructions
from formant_mcp.server.tools import TOOLS
from tests.server_harness import ERAS, Account, Assistant
from tests.snapshots import assert_same_as_file

pytestmark = pytest.mark.anyio

SURFACE = Path(__file__).parent / "surface.json"
MOST_INSTRUCTIONS = 2_000
MOST_CHARACTERS = 14_050  # of all tools together: 3,400 tokens, as bench_sizes counts them
EXPLAINS = "list_conversations"
WRITERS = ("save_recording", "export_conversations")


@pytest.fixture(params=ERAS)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def plain(entry: BaseModel) -> JsonValue:
    """An entry as it is sent."""
    return ordered(entry.model_dump(mode="json", by_alias=True, exclude_none=True))


def ordered(value: JsonValue, *, is_property_map: bool = False) -> JsonValue:
    """The value with sorted names, as the eras differ in order; properties keep theirs, which assistants see."""
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = list(value) if is_property_map else sorted(value)
    return {name: ordered(value[name], is_property_map=name == "properties") for name in names}


async def surface(assistant: Assistant) -> dict[str, JsonValue]:
    """Everything that assistants see of the server."""
    client = assistant.client
    instructions: list[JsonValue] = [*(client.instructions or "").split("\n")]
    return {
        "instructions": instructions,
        "tools": [plain(tool) for tool in (await client.list_tools()).tools],
        "resource_templates": [
            plain(template) for template in (await client.list_resource_templates()).resource_templates
        ],
        "prompts": [plain(prompt) for prompt in (await client.list_prompts()).prompts],
    }


def nodes(schema: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every object of a schema except maps of properties, whose keys are names."""
    if isinstance(schema, list):
        for item in schema:
            yield from nodes(item)
    if isinstance(schema, dict):
        yield schema
        for key, part in schema.items():
            inner = list(part.values()) if key in ("properties", "$defs") and isinstance(part, dict) else [part]
            for node in inner:
                yield from nodes(node)


@pytest.fixture
async def tools(account: Account) -> list[Tool]:
    """The tools as they are listed."""
    async with account.connect() as assistant:
        return (await assistant.client.list_tools()).tools


async def test_the_surface_equals_the_committed_snapshot(account: Account) -> None:
    async with account.connect() as assistant:
        now = await surface(assistant)
    assert_same_as_file(SURFACE, json.dumps(now, ensure_ascii=False, indent=1) + "\n")


async def test_the_surface_needs_no_request_to_the_provider(account: Account) -> None:
    async with account.connect() as assistant:
        await surface(assistant)
    assert account.api.requests == []


async def test_every_tool_and_prompt_has_a_title_and_a_description(account: Account, tools: list[Tool]) -> None:
    async with account.connect() as assistant:
        prompts = (await assistant.client.list_prompts()).prompts
    for entry in (*tools, *prompts):
        assert entry.title
        assert entry.description


async def test_the_instructions_name_zone_call_time_and_every_tool(account: Account, tools: list[Tool]) -> None:
    async with account.connect(timezone="Europe/Berlin", call_seconds=7.5) as assistant:
        text = assistant.client.instructions or ""
    assert "Europe/Berlin" in text
    assert "within 7.5 s" in text
    assert not [tool.name for tool in tools if tool.name not in text]


async def test_argument_schemas_are_closed_and_described(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        assert [node for node in nodes(tool.input_schema) if "title" in node] == []
        refers = tool.description is not None and tool.description.endswith(f" Filters as in {EXPLAINS}.")
        for name, argument in tool.input_schema["properties"].items():
            if refers and name in FilterArguments.model_fields:  # said once, for all tools
                assert argument.keys() <= {"type", "items", "enum"}
                continue
            assert argument.get("description"), f"{tool.name}.{name}"
            assert "default" in argument or name in tool.input_schema["required"]


def test_the_tools_cost_a_model_little_to_read() -> None:
    """Names, descriptions and arguments, which most assistants put before every question."""
    entries = [tool.to_mcp(PROVIDERS["formant"]) for tool in TOOLS]
    shown = [json.dumps([e.name, e.description, e.input_schema], separators=(",", ":")) for e in entries]
    assert sum(map(len, shown)) <= MOST_CHARACTERS


async def test_answer_schemas_have_coverage_and_nothing_nullable(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]["coverage"]
        for node in nodes(tool.output_schema):
            assert "title" not in node
            assert node.get("type") != "null"
            assert node.get("default", 0) is not None


async def test_every_tool_has_its_annotations(tools: list[Tool]) -> None:
    for tool in tools:
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is (tool.name not in WRITERS)
        assert hints.destructive_hint is False
        assert hints.idempotent_hint is (tool.name != "export_conversations")
        assert hints.open_world_hint is not None


async def test_server_info_and_capabilities_in_both_eras(account: Account) -> None:
    async with account.connect() as assistant:
        client = assistant.client
        assert client.server_info is not None
        assert client.server_info.name == "formant-mcp"
        assert client.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[account.mode]
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.logging is None


def test_each_provider_is_described_only_in_its_own_words() -> None:
    theirs = {
        "formant": {"busy", "no_answer", "promised_amount"},
        "elevenlabs": {"in-progress", "data.intent", "evaluation."},
        "voiceable": {"in-progress", "data.intent", "evaluation."},
        "voiceos": {"started, queued", "cost.total", "ended_reason"},
    }
    for provider, words in PROVIDERS.items():
        tools = [tool.to_mcp(words).model_dump_json() for tool in TOOLS]
        text = "".join([instructions(None, words), *tools])
        others = {word for own_words in theirs.values() for word in own_words} - theirs[provider]
        assert not [word for word in others if word in text]
        assert all(word in text for word in theirs[provider])
        assert "{" not in "".join(tool.description for tool in TOOLS)
        assert "Formant" not in text
        assert len(instructions(None, words)) <= MOST_INSTRUCTIONS
