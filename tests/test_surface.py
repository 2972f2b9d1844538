"""What assistants see of the server before they ask anything: names, descriptions, schemas, annotations, instructions.

The whole of it is the committed `surface.json`; a change of it is a change of the contract, to be reviewed as one.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp_types import Tool
from pydantic import BaseModel, JsonValue

from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.instructions import instructions
from formant_mcp.server.tools import TOOLS
from tests.server_harness import ERAS, Account, Assistant
from tests.snapshots import assert_same_as_file

pytestmark = pytest.mark.anyio

SURFACE = Path(__file__).parent / "surface.json"
SERVER = "formant"  # as the documented configuration names it
MOST_DESCRIPTION = 2_048  # Claude Code cuts descriptions and instructions there
MOST_INSTRUCTIONS = 2_000
MOST_NAME = 60  # Cursor, for server and tool together
ONLY_WRITER = "save_recording"


@pytest.fixture(params=ERAS)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def plain(entry: BaseModel) -> JsonValue:
    """An entry as it goes over the wire."""
    return ordered(entry.model_dump(mode="json", by_alias=True, exclude_none=True))


def ordered(value: JsonValue, *, is_property_map: bool = False) -> JsonValue:
    """The same in one order, as the eras have their own; properties keep theirs, for it is what assistants see."""
    if isinstance(value, list):
        return [ordered(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = list(value) if is_property_map else sorted(value)
    return {name: ordered(value[name], is_property_map=name == "properties") for name in names}


async def surface(assistant: Assistant) -> dict[str, JsonValue]:
    """Everything that is the same for every account."""
    client = assistant.client
    instructions: list[JsonValue] = [*(client.instructions or "").split("\n")]
    return {
        "instructions": instructions,
        "tools": [plain(each) for each in (await client.list_tools()).tools],
        "resource_templates": [plain(each) for each in (await client.list_resource_templates()).resource_templates],
        "prompts": [plain(each) for each in (await client.list_prompts()).prompts],
    }


def nodes(schema: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every object of a schema, but for maps of properties, whose keys are names."""
    if isinstance(schema, list):
        for each in schema:
            yield from nodes(each)
    if isinstance(schema, dict):
        yield schema
        for key, each in schema.items():
            inner = list(each.values()) if key in ("properties", "$defs") and isinstance(each, dict) else [each]
            for part in inner:
                yield from nodes(part)


@pytest.fixture
async def tools(account: Account) -> list[Tool]:
    """The tools as they are listed."""
    async with account.connect() as assistant:
        return (await assistant.client.list_tools()).tools


async def test_the_surface_is_the_committed_one(account: Account) -> None:
    async with account.connect() as assistant:
        now = await surface(assistant)
    assert_same_as_file(SURFACE, json.dumps(now, ensure_ascii=False, indent=1) + "\n")


async def test_the_account_is_not_asked_for_any_of_it(account: Account) -> None:
    async with account.connect() as assistant:
        await surface(assistant)
    assert account.api.requests == []


async def test_descriptions_and_instructions_are_not_cut(account: Account, tools: list[Tool]) -> None:
    async with account.connect() as assistant:
        assert len(assistant.client.instructions or "") < MOST_INSTRUCTIONS
        prompts = (await assistant.client.list_prompts()).prompts
    for each in (*tools, *prompts):
        assert each.title
        assert each.description
        assert len(each.description) < MOST_DESCRIPTION


async def test_the_instructions_tell_zone_and_time_and_every_tool(account: Account, tools: list[Tool]) -> None:
    async with account.connect(timezone="Europe/Berlin", call_seconds=7.5) as assistant:
        told = assistant.client.instructions or ""
    assert "Europe/Berlin" in told
    assert "within 7.5 s" in told
    assert not [tool.name for tool in tools if tool.name not in told]


async def test_names_fit_where_server_and_tool_are_joined(tools: list[Tool]) -> None:
    assert max(len(f"{SERVER}{tool.name}") for tool in tools) <= MOST_NAME
    assert len({tool.name for tool in tools}) == len(tools)


async def test_arguments_are_closed_concrete_and_explained(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        for node in nodes(tool.input_schema):
            assert not {"anyOf", "oneOf", "allOf", "title"} & set(node), f"{tool.name}: {node}"
            assert node.get("type") != "null"
            assert not isinstance(node.get("type"), list)
        for name, argument in tool.input_schema["properties"].items():
            assert argument.get("description"), f"{tool.name}.{name}"
            assert "default" in argument or name in tool.input_schema["required"]


async def test_answers_have_a_schema_in_which_nothing_is_null(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]["coverage"]
        for node in nodes(tool.output_schema):
            assert "title" not in node
            assert node.get("type") != "null"
            assert node.get("default", 0) is not None


async def test_every_tool_says_what_it_does_to_the_world(tools: list[Tool]) -> None:
    for tool in tools:
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is (tool.name != ONLY_WRITER)
        assert hints.destructive_hint is False
        assert hints.idempotent_hint is True
        assert hints.open_world_hint is not None


async def test_both_eras_are_told_who_serves_them(account: Account) -> None:
    async with account.connect() as assistant:
        client = assistant.client
        assert client.server_info is not None
        assert client.server_info.name == "formant-mcp"
        assert client.protocol_version == {"auto": "2026-07-28"}.get(account.mode, client.protocol_version)
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.logging is None


def test_each_provider_is_described_in_its_own_words_alone() -> None:
    theirs = {
        "formant": {"busy", "no_answer", "promised_amount"},
        "elevenlabs": {"in-progress", "data.intent", "evaluation."},
        "voiceable": {"in-progress", "data.intent", "evaluation."},
        "voiceos": {"started, queued", "cost.total", "ended_reason"},
    }
    for provider, words in PROVIDERS.items():
        tools = [tool.to_mcp(words).model_dump_json() for tool in TOOLS]
        told = "".join([instructions(None, words), *tools])
        others = {word for each in theirs.values() for word in each} - theirs[provider]
        assert not [word for word in others if word in told]
        assert all(word in told for word in theirs[provider])
        assert "{" not in "".join(tool.description for tool in TOOLS)
        assert "Formant" not in told
        assert len(instructions(None, words)) <= MOST_INSTRUCTIONS
