"""Sizes and shapes that assistants' clients accept; each test names the client that needs it."""

import json
import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from mcp_types import Prompt, TextContent, Tool
from pydantic import JsonValue

from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.instructions import instructions
from formant_mcp.server.prompts import PROMPTS
from formant_mcp.server.tools import TOOLS
from tests.audio import wav
from tests.calls import conversation_id, many
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Answer, Assistant
from tests.test_surface import nodes
from tests.text_matches_structure import compact

pytestmark = pytest.mark.anyio

SERVER = "formant"  # as the documented configuration names it
NAMES = [tool.name for tool in TOOLS]
CALL = "CALL"  # stands for the id of a call that connected
DEFAULT: dict[str, dict[str, JsonValue]] = {
    "search_transcripts": {"query": "payment"},
    "get_transcripts": {"conversation_ids": [CALL]},
    "save_recording": {"conversation_id": CALL},
}
LARGEST: dict[str, dict[str, JsonValue]] = {
    "list_conversations": {"limit": 100, "summary_mode": "include"},
    "search_transcripts": {"query": "payment OR pay OR kal", "limit": 100, "context_turns": 5},
    "get_transcripts": {"max_turns": 2_000},
    "summarize_results": {
        "since": "4w",
        "compare_previous": True,
        "group_by": ["contact_number", "day", "agent_id"],
        "measures": ["duration_seconds", "signals.turn_count", "success_rate"],
        "top": 100,
    },
    "find_calls_to_review": {"limit": 50, "random_share": 0.5},
    "find_changes": {"since": "4w", "limit": 100},
    "find_phrases": {"role": "any", "since": "4w", "compare_previous": True, "limit": 100},
    "save_recording": {"conversation_id": CALL},
    "export_conversations": {"include": ["results", "signals", "transcript"]},
}


def tools_of_all_providers() -> list[Tool]:
    return [tool.to_mcp(provider) for tool in TOOLS for provider in PROVIDERS.values()]


@pytest.fixture
async def sample(account: Account, sample_stores: SampleStores, tmp_path: Path) -> AsyncGenerator[Assistant]:
    """Over the sample account."""
    store = await sample_stores.copy("formant", tmp_path)
    async with account.connect_to_sample(store=str(store)) as assistant:
        yield assistant


@pytest.fixture
async def large(account: Account) -> AsyncGenerator[Assistant]:
    """Over 300 calls in two months, more than any page has."""
    account.api.conversations = many(300, NOW - timedelta(hours=2), timedelta(days=60))
    account.api.recordings = dict.fromkeys(map(conversation_id, range(300)), wav((9000, 1)))
    async with account.connect(call_seconds=60) as assistant:
        yield assistant


async def connected_calls(assistant: Assistant, *, order_by: str, limit: int) -> list[str]:
    listed = await assistant.ask("list_conversations", status=["completed"], order_by=order_by, limit=limit)
    return listed.ids()


async def default_answers(assistant: Assistant) -> dict[str, Answer]:
    """Each tool's answer to a call with nothing but what it requires, and to a search in Hindi."""
    (call,) = await connected_calls(assistant, order_by="newest", limit=1)
    given = json.loads(json.dumps(DEFAULT).replace(CALL, call))
    answers = {name: await assistant.ask(name, **given.get(name, {})) for name in NAMES}
    return answers | {"search_transcripts in Hindi": await assistant.ask("search_transcripts", query="रुपये")}


async def largest_answers(assistant: Assistant) -> dict[str, Answer]:
    """Each tool's answer with the largest page that it has."""
    calls = await connected_calls(assistant, order_by="longest", limit=20)
    given = json.loads(json.dumps(LARGEST).replace(CALL, calls[0]))
    given["get_transcripts"]["conversation_ids"] = calls
    return {name: await assistant.ask(name, **given[name]) for name in NAMES}


async def test_default_answers_are_below_what_copilot_cli_cuts(sample: Assistant, large: Assistant) -> None:
    """It drops the middle of a result of more than 10 KB. (A call of hundreds of turns is longer, if it is read.)"""
    for assistant in (sample, large):
        sizes = {name: answer.most_bytes() for name, answer in (await default_answers(assistant)).items()}
        assert {name: size for name, size in sizes.items() if size >= 10_000} == {}


async def test_the_largest_answers_are_below_what_claude_code_writes_to_a_file(
    sample: Assistant, large: Assistant
) -> None:
    """That is 50,000 characters. Claude Desktop refuses 1 MB. Copilot CLI keeps only both ends: counts come first."""
    for assistant in (sample, large):
        answers = await largest_answers(assistant)
        assert {name: answer.sizes() for name, answer in answers.items() if max(answer.sizes()) > 45_000} == {}
        assert max(max(answer.sizes()) for answer in answers.values()) > 30_000
        assert max(len((answer.text + compact(answer.structure)).encode()) for answer in answers.values()) < 500_000
        for answer in answers.values():
            assert re.search(r"(\bmatch|conversations? \().*; (in)?complete", answer.text.split("\n")[0])
            assert next(iter(answer.structure)) == "coverage"
        cut = {name: answer for name, answer in answers.items() if "next_cursor" in answer.structure}
        assert {"list_conversations", "search_transcripts"} <= cut.keys()
        for answer in cut.values():
            assert answer.text.index("cursor=") < 2_000
            assert compact(answer.structure).index('"next_cursor"') < 2_000


async def test_answers_are_text_for_claude_desktop_and_structure_for_claude_code(sample: Assistant) -> None:
    """Claude Desktop drops audio, links and structure; Claude Code shows only the structure. `ask` compares the two."""
    (call,) = await connected_calls(sample, order_by="newest", limit=1)
    given = json.loads(json.dumps(DEFAULT).replace(CALL, call))
    for name in NAMES:
        result = await sample.client.call_tool(name, given.get(name, {}))
        assert [type(block) for block in result.content] == [TextContent]
        assert result.structured_content
        await sample.ask(name, **given.get(name, {}))


async def test_errors_are_below_what_claude_code_cuts(sample: Assistant) -> None:
    """It cuts them at about 11,000 characters."""
    long, many_texts = "x" * 9_000, [f"no-such-value-{n}" for n in range(400)]
    unknown = {f"no_such_argument_{n}_{long[:100]}": n for n in range(300)}
    for tool in (await sample.client.list_tools()).tools:
        needed = DEFAULT.get(tool.name, {})
        assert len(await sample.refused(tool.name, **needed, **unknown)) < 11_000
        for argument in tool.input_schema["properties"]:
            for wrong in (long, many_texts):
                result = await sample.client.call_tool(tool.name, {**needed, argument: wrong})
                (block,) = result.content
                assert isinstance(block, TextContent)
                assert len(block.text) < 11_000
    answer = await sample.ask("get_transcripts", conversation_ids=[f"{n}{long[:400]}" for n in range(10, 30)])
    assert max(answer.sizes()) < 11_000


def test_descriptions_and_instructions_are_below_what_claude_code_cuts() -> None:
    """It cuts each at 2,048 characters."""
    entries: list[Tool | Prompt] = [*tools_of_all_providers(), *(prompt.to_mcp() for prompt in PROMPTS)]
    assert max(len(entry.description or "") for entry in entries) < 2_048
    assert max(len(instructions(None, provider)) for provider in PROVIDERS.values()) < 2_048


def test_joined_names_of_server_and_tool_fit_cursor() -> None:
    """It leaves out tools whose names have more than 60 characters together with the server's."""
    assert max(len(f"{SERVER}{name}") for name in NAMES) <= 60
    assert len(set(NAMES)) == len(NAMES)


def test_arguments_have_one_type_each_as_cursor_needs() -> None:
    """It refuses values for an argument that may also be null (cursor/cursor#3778)."""
    for tool in tools_of_all_providers():
        for node in nodes(tool.input_schema):
            assert not {"anyOf", "oneOf", "allOf"} & set(node), f"{tool.name}: {node}"
            assert node.get("type") != "null"
            assert not isinstance(node.get("type"), list)


async def test_lists_as_json_text_and_ids_as_numbers_are_accepted_as_claude_sends_them(account: Account) -> None:
    """In Claude Code and Claude Desktop, and with other models; more forms are in `test_arguments_as_sent`."""
    account.api.conversations = many(45, NOW - timedelta(hours=2), timedelta(days=10))
    calls = [conversation_id(0), conversation_id(2)]
    questions: list[tuple[str, dict[str, JsonValue], dict[str, JsonValue]]] = [
        ("list_conversations", {"agent_id": 101}, {"agent_id": "101"}),
        ("list_conversations", {"contact_number": 14155550110}, {"contact_number": "14155550110"}),
        ("list_conversations", {"status": '["busy", "failed"]'}, {"status": ["busy", "failed"]}),
        ("summarize_results", {"group_by": '["status"]', "agent_id": 101}, {"group_by": ["status"], "agent_id": "101"}),
        ("get_transcripts", {"conversation_ids": json.dumps(calls)}, {"conversation_ids": [*calls]}),
    ]
    async with account.connect() as assistant:
        for tool, sent, plain in questions:
            expected = await assistant.ask(tool, **plain)
            assert (await assistant.ask(tool, **sent)).structure == expected.structure
            assert expected.coverage["matched"]
