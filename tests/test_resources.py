"""The resources: what is listed, what each holds, how ids complete, and what is said of those that are not there."""

import base64
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    Resource,
    ResourceTemplateReference,
    TextResourceContents,
)

from tests.calls import conversation, conversation_id, many
from tests.serving import NOW, Account, Assistant
from tests.snapshots import assert_same_as_file

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "tools" / "snapshots"
CALL = conversation_id(0)
CONFINED = re.compile(r"/v1/conversations(/(?!\.+(/|$))[^/]+(/recording)?)?")
TEMPLATE = ResourceTemplateReference(uri="formant://conversations/{conversation_id}/transcript")


@pytest.fixture
def account(account: Account) -> Account:
    """130 calls in ten days."""
    account.api.conversations = many(130, NOW - timedelta(hours=2), timedelta(days=10))
    return account


async def read_text(assistant: Assistant, uri: str) -> TextResourceContents:
    """The one text that stands there."""
    read = await assistant.client.read_resource(uri)
    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    return content


async def listed(assistant: Assistant) -> list[list[Resource]]:
    """The pages of the list."""
    pages: list[list[Resource]] = []
    cursor: str | None = None
    while cursor or not pages:
        page = await assistant.client.list_resources(cursor=cursor)
        pages.append(page.resources)
        cursor = page.next_cursor
    return pages


async def test_there_are_three_kinds(account: Account) -> None:
    async with account.connect() as assistant:
        templates = (await assistant.client.list_resource_templates()).resource_templates
    assert [(each.uri_template, each.mime_type) for each in templates] == [
        ("formant://conversations/{conversation_id}/recording", "audio/wav"),
        ("formant://conversations/{conversation_id}/transcript", "text/markdown"),
        ("formant://conversations/{conversation_id}", "application/json"),
    ]


async def test_recordings_and_transcripts_are_listed_newest_first_and_each_once(account: Account) -> None:
    async with account.connect() as assistant:
        pages = await listed(assistant)
    uris = [str(each.uri) for page in pages for each in page]
    assert [len(page) for page in pages] == [100, 100, 60]
    assert uris == [
        f"formant://conversations/{conversation_id(n)}/{kind}"
        for n in range(130)
        for kind in ("recording", "transcript")
    ]
    assert pages[0][0].title == "Recording 2026-11-21 08:42 +05:30 · agent 100 · completed · 20 s"


@pytest.mark.parametrize("cursor", ["x", "r:999999", "c:20:1:abcdef"])
async def test_a_cursor_that_is_not_ours_is_refused(account: Account, cursor: str) -> None:
    async with account.connect() as assistant:
        with pytest.raises(MCPError) as error:
            await assistant.client.list_resources(cursor=cursor)
    assert error.value.code == INVALID_PARAMS
    assert error.value.message.startswith("cursor: ")
    assert "List from the beginning" in error.value.message


async def test_a_transcript_is_markdown(account: Account) -> None:
    async with account.connect() as assistant:
        content = await read_text(assistant, f"formant://conversations/{CALL}/transcript")
    assert content.mime_type == "text/markdown"
    assert_same_as_file(SNAPSHOTS / "resource_transcript.md", content.text + "\n")


async def test_a_conversation_is_json_with_all_its_fields(account: Account) -> None:
    async with account.connect() as assistant:
        content = await read_text(assistant, f"formant://conversations/{CALL}")
    assert content.mime_type == "application/json"
    document = json.loads(content.text)
    assert_same_as_file(
        SNAPSHOTS / "resource_conversation.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    )


async def test_a_recording_is_the_bytes_that_the_provider_has(account: Account) -> None:
    account.api.recordings[CALL] = bytes(range(256)) * 5_000
    async with account.connect() as assistant:
        read = await assistant.client.read_resource(f"formant://conversations/{CALL}/recording")
    (content,) = read.contents
    assert isinstance(content, BlobResourceContents)
    assert content.mime_type == "audio/wav"
    assert base64.b64decode(content.blob) == account.api.recordings[CALL]
    assert not list(account.folder.iterdir())


async def test_a_recording_that_is_not_ready_is_said(account: Account) -> None:
    async with account.connect() as assistant:
        error = await assistant.not_read(f"formant://conversations/{CALL}/recording")
    assert error.code == INVALID_PARAMS
    assert error.data == {"uri": f"formant://conversations/{CALL}/recording"}
    assert error.message.startswith(f"The recording of {CALL} is not available yet, or there is none. Ask again")


@pytest.mark.parametrize(
    "uri",
    [
        "formant://conversations",
        "formant://conversations/",
        "formant://agents/123",
        f"formant://conversations/{CALL}/audio",
        f"formant://conversations/{CALL}/recording/2",
        "file:///etc/passwd",
        "formant://conversations/../../etc/passwd",
        "formant://conversations/..%2F..%2Fv1%2Fagents",
        "formant://conversations/%2E%2E/recording",
        f"formant://conversations/{conversation_id(999)}",
        f"formant://conversations/{conversation_id(999)}/recording",
    ],
)
async def test_what_is_not_there_is_an_error_with_its_address(account: Account, uri: str) -> None:
    async with account.connect() as assistant:
        error = await assistant.not_read(uri)
        requested = {request.path for request in account.api.requests}
    assert error.code == INVALID_PARAMS
    assert error.data == {"uri": uri}
    assert error.message.endswith(".")
    assert not [path for path in requested if not CONFINED.fullmatch(path)]


async def test_ids_with_odd_characters_are_read_by_the_addresses_given_for_them(account: Account) -> None:
    odd = "call/7 ü?#%2F"
    account.api.add(conversation(7, NOW - timedelta(hours=1), conversation_id=odd, transcript="BOT: Namaste!"))
    account.api.recordings[odd] = b"audio"
    async with account.connect() as assistant:
        (pages, *_) = await listed(assistant)
        recording = await assistant.client.read_resource(str(pages[0].uri))
        transcript = await read_text(assistant, str(pages[1].uri))
        answer = await assistant.ask("get_transcripts", conversation_ids=[odd])
    assert "0 agent Namaste!" in transcript.text
    assert recording.contents[0].model_dump()["blob"] == base64.b64encode(b"audio").decode()
    assert answer.rows()[0]["recording_uri"] == str(pages[0].uri)


async def test_ids_complete_as_one_types(account: Account) -> None:
    beginning = "e36853de-9cbb-441e-ad75-00000000004"
    async with account.connect() as assistant:
        await assistant.ask("list_conversations", order_by="oldest")
        typed = await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": beginning})
        none = await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": "nobody"})
        newest = await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": ""})
    assert typed.completion.values == [f"{beginning}{digit:x}_1" for digit in range(16)]
    assert typed.completion.has_more is False
    assert none.completion.values == []
    assert newest.completion.values == [conversation_id(n) for n in range(100)]
    assert newest.completion.has_more is True
