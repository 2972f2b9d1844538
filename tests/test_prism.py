"""A mock server from the published document: every tool answers, or names what is wrong with the data.

Prism's static answers are the document's examples; with `-d` it invents whatever the schema allows: other ids in every
page, dates of any year, negative durations, empty texts.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pytest
from anyio import to_thread
from mcp import MCPError

from tests.server_harness import Account, Answer, Assistant

pytestmark = [pytest.mark.anyio, pytest.mark.node]

Mock = Callable[..., AbstractContextManager[str]]
CALL_SECONDS = 2
DOCUMENTED = "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1"
CRASH = "Something went wrong inside"


async def answer_or_error(assistant: Assistant, tool: str, **arguments: object) -> Answer:
    """A tool's answer or error; an internal error of ours fails the test."""
    result = await assistant.client.call_tool(tool, arguments)
    text = str(result.content[0].model_dump()["text"])
    assert text.strip()
    assert CRASH not in text
    return Answer(text, result.structured_content or {"conversations": []})


async def read(assistant: Assistant, uri: str) -> object:
    """The content of a resource, or the error."""
    try:
        return (await assistant.client.read_resource(uri)).contents[0]
    except MCPError as said:
        error = said
    assert CRASH not in error.message
    assert error.data == {"uri": uri}
    return error


async def ask_everything(account: Account, url: str) -> list[object]:
    """The results of calling the main tools and reading two resources."""
    async with account.connect(base_url=url, call_seconds=CALL_SECONDS) as assistant:
        listed = await answer_or_error(assistant, "list_conversations", limit=5)
        one = next(iter(listed.ids()), DOCUMENTED)
        return [
            listed,
            await answer_or_error(assistant, "get_transcripts", conversation_ids=[one, DOCUMENTED]),
            await answer_or_error(assistant, "save_recording", conversation_id=one),
            await read(assistant, f"formant://conversations/{DOCUMENTED}/recording"),
            await read(assistant, f"formant://conversations/{DOCUMENTED}/transcript"),
        ]


async def ask_invented(account: Account, mock: AbstractContextManager[str]) -> list[object]:
    """The same with a mock that is started for it."""
    with ExitStack() as stack:
        return await ask_everything(account, await to_thread.run_sync(stack.enter_context, mock))


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


async def test_the_documents_examples_are_answered(account: Account, prism: Mock) -> None:
    with prism(0) as url:
        async with account.connect(base_url=url, call_seconds=CALL_SECONDS) as assistant:
            ids = (await assistant.ask("list_conversations")).ids()
            transcripts = await assistant.ask("get_transcripts", conversation_ids=ids[:1])
            saved = await answer_or_error(assistant, "save_recording", conversation_id=ids[0])
            recording = await read(assistant, f"formant://conversations/{ids[0]}/recording")
    assert transcripts.ids() == ids[:1]
    assert transcripts.rows()[0]["turn_count"] != 0
    # The document's example of a recording is a word, no sound.
    assert "not available yet" in saved.text
    assert isinstance(recording, MCPError)


@pytest.mark.parametrize("first", [1, 6, 11, 16])
async def test_anything_the_schema_allows_is_answered_or_reported_as_wrong(
    account: Account, prism: Mock, first: int
) -> None:
    seeds = range(first, first + 5)
    mocks = [prism(port, "-d", "--seed", str(seed)) for port, seed in zip(free_ports(5), seeds, strict=True)]
    said = await asyncio.gather(*(ask_invented(account, mock) for mock in mocks))
    assert [len(results) for results in said] == [5] * 5
