"""The resources: the list, the contents, the completion of ids, and the errors for missing ones."""

import base64
import gzip
import json
import re
import time
from dataclasses import replace
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

from tests.audio import sample, wav
from tests.calls import conversation, conversation_id, many
from tests.fake_http import Reply
from tests.provider_apis import ELEVENLABS
from tests.server_harness import NOW, Account, Assistant, in_both_eras
from tests.snapshots import assert_same_as_file

pytestmark = [pytest.mark.anyio, in_both_eras]

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
    """The text of a resource."""
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


async def test_there_are_three_resource_templates(account: Account) -> None:
    async with account.connect() as assistant:
        templates = (await assistant.client.list_resource_templates()).resource_templates
    assert [(template.uri_template, template.mime_type) for template in templates] == [
        ("formant://conversations/{conversation_id}/recording", "audio/wav"),
        ("formant://conversations/{conversation_id}/transcript", "text/markdown"),
        ("formant://conversations/{conversation_id}", "application/json"),
    ]


async def test_recordings_and_transcripts_are_listed_once_newest_first(account: Account) -> None:
    async with account.connect() as assistant:
        pages = await listed(assistant)
    uris = [str(resource.uri) for page in pages for resource in page]
    assert [len(page) for page in pages] == [100, 30]
    assert uris == [
        f"formant://conversations/{conversation_id(n)}/{kind}"
        for n in range(0, 130, 2)  # every other call of `many` connected
        for kind in ("recording", "transcript")
    ]
    assert pages[0][0].title == "Recording 2026-11-21 08:42 +05:30 · agent 100 · completed · 20 s"
    assert {resource.mime_type for resource in pages[0]} == {"audio/wav", "text/markdown"}


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 101])
async def test_pages_are_full_except_the_last(account: Account, count: int) -> None:
    connected = [conversation(n, NOW - timedelta(hours=1, minutes=3 * n)) for n in range(count)]
    unconnected = [
        conversation(500 + n, NOW - timedelta(hours=1, minutes=3 * n + 1), status="busy") for n in range(130)
    ]
    account.api.conversations = [*connected, *unconnected]
    async with account.connect() as assistant:
        pages = await listed(assistant)
        requests = len(account.api.requests)
    sizes = [len(page) // 2 for page in pages]
    assert [size for size in sizes[:-1] if size != 50] == []
    assert sum(sizes) == count
    assert len(pages) <= max(1, -(-count // 50)) + 1
    assert requests <= len(pages) + 4


async def test_a_running_call_has_a_transcript_but_no_recording_yet(account: Account) -> None:
    account.api.conversations = [conversation(1, NOW - timedelta(minutes=1), status="in_progress")]
    async with account.connect() as assistant:
        ((transcript,),) = await listed(assistant)
    assert str(transcript.uri) == f"formant://conversations/{conversation_id(1)}/transcript"


async def test_a_saved_recording_is_listed_with_its_size_and_type(account: Account) -> None:
    account.api.recordings = {conversation_id(0): sample("bare.mp3"), conversation_id(2): wav((9000, 1))}
    async with account.connect() as assistant:
        for call_id in account.api.recordings:
            await assistant.ask("save_recording", conversation_id=call_id)
        (page, *_) = await listed(assistant)
    sizes = {
        str(resource.uri): (resource.size, resource.mime_type)
        for resource in page
        if resource.name.startswith("recording")
    }
    for call_id, media_type in ((conversation_id(0), "audio/mpeg"), (conversation_id(2), "audio/wav")):
        assert sizes.pop(f"formant://conversations/{call_id}/recording") == (
            len(account.api.recordings[call_id]),
            media_type,
        )
    assert set(sizes.values()) == {(None, "audio/wav")}


@pytest.mark.parametrize(
    ("cursor", "said"), [("x", "cursor: invalid"), ("c:20:0000000000000001:abcdef", "issued for different arguments")]
)
async def test_an_invalid_cursor_is_refused(account: Account, cursor: str, said: str) -> None:
    async with account.connect() as assistant:
        with pytest.raises(MCPError) as error:
            await assistant.client.list_resources(cursor=cursor)
    assert error.value.code == INVALID_PARAMS
    assert said in error.value.message
    assert "Omit cursor to start over" in error.value.message


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


async def test_a_recording_is_the_providers_bytes(account: Account) -> None:
    account.api.recordings[CALL] = wav((9000, 60))
    async with account.connect() as assistant:
        read = await assistant.client.read_resource(f"formant://conversations/{CALL}/recording")
    (content,) = read.contents
    assert isinstance(content, BlobResourceContents)
    assert content.mime_type == "audio/wav"
    assert base64.b64decode(content.blob) == account.api.recordings[CALL]
    assert not list(account.folder.iterdir())


async def test_a_recording_is_typed_by_its_bytes(account: Account) -> None:
    account.api.recordings[CALL] = sample("bare.mp3")
    async with account.connect() as assistant:
        read = await assistant.client.read_resource(f"formant://conversations/{CALL}/recording")
    assert read.contents[0].mime_type == "audio/mpeg"


@pytest.mark.parametrize("with_length", [True, False])
async def test_a_recording_over_7_mb_must_be_saved_as_a_file(account: Account, with_length: bool) -> None:
    if not with_length:
        account.api.fault("/recording", 2, compressed)
    account.api.recordings[CALL] = b"ID3\4\0\0\0\0\0\0".ljust(7_000_000, b"\0")
    uri = f"formant://conversations/{CALL}/recording"
    async with account.connect() as assistant:
        read = await assistant.client.read_resource(uri)
        account.api.recordings[CALL] += b"\0"
        error = await assistant.not_read(uri)
        saved = await assistant.ask("save_recording", conversation_id=CALL)
    assert len(base64.b64decode(read.contents[0].model_dump()["blob"])) == 7_000_000
    size = "7.0 MB, " if with_length else ""
    assert error.message == (
        f"The recording is {size}more than the 7 MB that assistants accept as a resource."
        f' Call save_recording with conversation_id="{CALL}": it saves the recording as a file.'
    )
    assert saved.structure["bytes"] == 7_000_001


async def test_the_samples_hour_long_recording_must_be_saved_as_a_file(account: Account) -> None:
    async with account.connect_to_sample() as assistant:
        (longest,) = (await assistant.ask("list_conversations", order_by="longest", limit=1)).ids()
        error = await assistant.not_read(f"formant://conversations/{longest}/recording")
    assert f'Call save_recording with conversation_id="{longest}"' in error.message


async def test_the_sample_lists_the_recordings_of_connected_calls(account: Account) -> None:
    async with account.connect_to_sample() as assistant:
        uris = [str(resource.uri) for page in await listed(assistant) for resource in page]
        rows = (await assistant.ask("list_conversations", min_duration_seconds=1, limit=1)).coverage
    recordings = [uri for uri in uris if uri.endswith("/recording")]
    assert len(recordings) == len(set(recordings)) == rows["matched"]


async def test_a_recording_not_fetched_yet_has_the_providers_usual_type(account: Account) -> None:
    async with ELEVENLABS.opened() as opened:
        opened.api.add(ELEVENLABS.call(1, NOW - timedelta(hours=1)))
        async with account.connect_to(opened.source, "elevenlabs") as assistant:
            ((recording, _),) = await listed(assistant)
    assert recording.mime_type == "audio/mpeg"


async def test_a_recording_announced_as_too_large_is_not_downloaded(account: Account) -> None:
    account.api.recordings[CALL] = b"ID3\4\0\0\0\0\0\0".ljust(60_000_000, b"\0")
    account.api.fault("/recording", 1, lambda good: replace(good, send_only=100_000))
    async with account.connect() as assistant:
        error = await assistant.not_read(f"formant://conversations/{CALL}/recording")
    assert error.message.startswith("The recording is 60.0 MB")


@pytest.mark.parametrize("is_listed", [True, False])
async def test_a_call_that_never_connected_has_no_recording(account: Account, is_listed: bool) -> None:
    unconnected = conversation_id(1)
    async with account.connect() as assistant:
        if is_listed:
            await assistant.ask("list_conversations")
        error = await assistant.not_read(f"formant://conversations/{unconnected}/recording")
    assert error.code == INVALID_PARAMS
    assert error.message.startswith(f"The call {unconnected} never connected (no_answer), so it has no recording.")


async def test_a_recording_that_is_not_ready_is_an_error_with_its_uri(account: Account) -> None:
    async with account.connect() as assistant:
        error = await assistant.not_read(f"formant://conversations/{CALL}/recording")
    assert error.code == INVALID_PARAMS
    assert error.data == {"uri": f"formant://conversations/{CALL}/recording"}
    assert error.message.startswith(f"The recording of {CALL} is not available yet, or there is none. Retry")


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
async def test_a_missing_resource_is_an_error_with_its_uri(account: Account, uri: str) -> None:
    async with account.connect() as assistant:
        error = await assistant.not_read(uri)
        requested = {request.path for request in account.api.requests}
    assert error.code == INVALID_PARAMS
    assert error.data == {"uri": uri}
    assert error.message.endswith(".")
    assert not [path for path in requested if not CONFINED.fullmatch(path)]


async def test_ids_with_odd_characters_can_be_read_by_their_listed_uris(account: Account) -> None:
    odd = "call/7 ü?#%2F"
    account.api.add(conversation(7, NOW - timedelta(hours=1), conversation_id=odd, transcript="BOT: Namaste!"))
    account.api.recordings[odd] = wav((9000, 1))
    async with account.connect() as assistant:
        (pages, *_) = await listed(assistant)
        recording = await assistant.client.read_resource(str(pages[0].uri))
        transcript = await read_text(assistant, str(pages[1].uri))
        answer = await assistant.ask("get_transcripts", conversation_ids=[odd])
    assert "0 agent Namaste!" in transcript.text
    assert recording.contents[0].model_dump()["blob"] == base64.b64encode(wav((9000, 1))).decode()
    assert answer.rows()[0]["recording_uri"] == str(pages[0].uri)


def compressed(good: Reply) -> Reply:
    """The same body, compressed, so that its length is not announced."""
    return replace(good, body=gzip.compress(good.body, 1), headers={"Content-Encoding": "gzip"})


async def test_ids_are_completed_from_one_page_on_a_fresh_server(account: Account) -> None:
    async with account.connect() as assistant:
        newest = await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": ""})
        typed = await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": conversation_id(4)[:-3]})
        assert len(account.api.requests) == 1
    assert newest.completion.values == [conversation_id(n) for n in range(100)]
    assert conversation_id(4) in typed.completion.values


async def test_completions_wait_briefly_and_never_fail(account: Account) -> None:
    argument = {"name": "conversation_id", "value": ""}
    async with account.connect() as assistant:
        account.api.gate.shut()
        began = time.monotonic()
        waiting = await assistant.client.complete(TEMPLATE, argument)
        assert time.monotonic() - began < 15  # a call has 20; the machine may be busy
        account.api.gate.open()
    account.api.key = "another"
    async with account.connect() as assistant:
        refused = await assistant.client.complete(TEMPLATE, argument)
    async with account.connect(store=str(account.folder)) as assistant:
        broken = await assistant.client.complete(TEMPLATE, argument)
    assert [result.completion.values for result in (waiting, refused, broken)] == [[], [], []]


async def test_an_empty_account_is_listed_once_for_several_completions(account: Account) -> None:
    account.api.conversations = []
    async with account.connect() as assistant:
        for typed in ("", "e", "e3"):
            await assistant.client.complete(TEMPLATE, {"name": "conversation_id", "value": typed})
        assert len(account.api.requests) == 1


async def test_ids_are_completed_by_prefix(account: Account) -> None:
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
