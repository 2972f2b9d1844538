"""Voiceable and ElevenLabs, over a transport that answers as the documents say, and as none does."""

import traceback
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import JsonValue

from formant_mcp.errors import (
    AuthenticationError,
    ConfigurationError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
)
from formant_mcp.source import Narrowing
from formant_mcp.sources.cursor_family import ELEVENLABS, VOICEABLE, CursorFamily, CursorFamilySource
from tests.sources.cursors import EVERYTHING, KEY, Handler, no_sleep, received, sent, whole_list

pytestmark = pytest.mark.anyio

ID = "conv_8501kb2m4tq7f3vb9d1x2c6n0pza"
VOICEABLE_ID = "conv_a1"
LIST = "page_size=100&summary_mode=include"


def source_for(handler: Handler, family: CursorFamily = ELEVENLABS, base_url: str = "") -> CursorFamilySource:
    address = base_url or family.base_url or "https://api.example.test/base"
    return CursorFamilySource(family, address, KEY, transport=httpx.MockTransport(handler), sleep=no_sleep)


def answering(name: str, status: int = 200, family: CursorFamily = ELEVENLABS) -> CursorFamilySource:
    return source_for(lambda request: httpx.Response(status, content=sent(name)), family)


@pytest.mark.parametrize(
    ("family", "header", "root", "conversation_id"),
    [
        (ELEVENLABS, "xi-api-key", "https://api.elevenlabs.io/v1/convai/conversations", ID),
        (VOICEABLE, "x-api-key", "https://api.example.test/base/conversations", VOICEABLE_ID),
    ],
)
async def test_each_method_asks_its_endpoint_with_the_key(
    family: CursorFamily, header: str, root: str, conversation_id: str
):
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers[header] == KEY
        asked.append(f"{request.method} {request.url}")
        if request.url.path.endswith("/audio"):
            return httpx.Response(200, content=b"ID3", headers={"Content-Type": "audio/mpeg"})
        is_one = conversation_id in request.url.path
        return httpx.Response(200, json={"conversation_id": conversation_id} if is_one else {"conversations": []})

    source = source_for(handle, family)
    await source.list_from("", EVERYTHING)
    await source.list_from("a=/&b", EVERYTHING)
    await source.get_conversation(conversation_id)
    await received(source, conversation_id)
    await source.aclose()

    assert asked == [
        f"GET {root}?{LIST}",
        f"GET {root}?{LIST}&cursor=a%3D%2F%26b",
        f"GET {root}/{conversation_id}",
        f"GET {root}/{conversation_id}/audio",
    ]


async def test_a_page_and_a_conversation_are_read_into_our_models():
    page = await answering("elevenlabs/list").list_from("", EVERYTHING)
    conversation = await answering("elevenlabs/detail").get_conversation(ID)

    assert (page.page.conversations[0].conversation_id, page.page.row_count, page.page.total) == (ID, 3, None)
    assert conversation.contact_number == "+14155550123"


def test_a_family_without_an_address_needs_one():
    with pytest.raises(ConfigurationError, match="Voiceable") as caught:
        CursorFamilySource(VOICEABLE, "", KEY)

    assert "FORMANT_BASE_URL" in caught.value.hint
    assert CursorFamilySource(ELEVENLABS, "", KEY).page_size == 100


async def test_what_the_provider_can_narrow_by_is_asked_of_it_with_wider_bounds():
    asked: list[dict[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        return httpx.Response(200, json={"conversations": []})

    source = source_for(handle)
    since = datetime(2025, 11, 20, 11, 2, 33, 500_000, tzinfo=UTC)
    until = datetime(2025, 11, 20, 11, 2, 33, 500_000, tzinfo=UTC)
    narrowing = Narrowing("agent_1", since, until, "failure", "user_7", status="done")
    await source.list_from("", narrowing)
    await source.list_from("next", narrowing)

    narrowed = {
        "page_size": "100",
        "summary_mode": "include",
        "agent_id": "agent_1",
        "call_start_after_unix": "1763636552",
        "call_start_before_unix": "1763636555",
        "call_successful": "failure",
        "user_id": "user_7",
    }
    assert asked == [narrowed, {**narrowed, "cursor": "next"}]
    assert source.narrows_by == {"agent_id", "since", "until", "call_successful", "user_id"}


async def test_times_before_the_epoch_ask_for_everything_since():
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.params["call_start_after_unix"] == "0"
        return httpx.Response(200, json={"conversations": []})

    ever = datetime(1, 1, 1, tzinfo=UTC)
    assert (await source_for(handle).list_from("", Narrowing(since=ever))).next_cursor == ""


async def test_an_odd_list_gives_every_conversation_once():
    """Pages of 30 and of none, a last page that says nothing of more, the token under either name."""
    ids = [f"c{number}" for number in range(61)]
    more: dict[str, JsonValue] = {"has_more": True}
    pages: dict[str, tuple[list[str], dict[str, JsonValue]]] = {
        "": (ids[:30], {"next_cursor": "p2", **more}),
        "p2": ([], {"cursor": "p3", **more}),
        "p3": (ids[30:60], {"cursor": "p4"}),
        "p4": (ids[60:], {}),
    }

    def handle(request: httpx.Request) -> httpx.Response:
        listed, paging = pages[request.url.params.get("cursor", "")]
        return httpx.Response(200, json={"conversations": [{"conversation_id": each} for each in listed], **paging})

    assert [each.conversation_id for each in await whole_list(source_for(handle))] == ids


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_cursor_that_the_provider_refuses_is_named_so_that_the_list_can_begin_anew(status: int):
    source = answering("elevenlabs/error_422", status)

    with pytest.raises(InvalidRequestError) as caught:
        await source.list_from("old", EVERYTHING)
    assert caught.value.message.startswith("cursor")
    assert type(caught.value) is InvalidRequestError


async def test_a_cursor_refused_inside_a_success_is_refused_too():
    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await answering("voiceable/error_400", 200, VOICEABLE).list_from("old", EVERYTHING)


async def test_a_first_page_that_is_refused_is_not_the_cursors_fault():
    with pytest.raises(InvalidRequestError, match="refused the request"):
        await answering("elevenlabs/error_422", 422).list_from("", EVERYTHING)
    with pytest.raises(NotFoundError, match="nothing at this address"):
        await answering("elevenlabs/error_404", 404).list_from("", EVERYTHING)


async def test_other_failures_do_not_cost_the_cursor():
    with pytest.raises(AuthenticationError):
        await answering("elevenlabs/error_401", 401).list_from("old", EVERYTHING)
    with pytest.raises(ServiceError):
        await answering("elevenlabs/error_401", 503).list_from("old", EVERYTHING)


@pytest.mark.parametrize(
    ("name", "status", "error", "upstream"),
    [
        ("voiceable/error_400", 400, InvalidRequestError, "invalid"),
        ("elevenlabs/error_401", 401, AuthenticationError, "Invalid API key"),
        ("elevenlabs/error_401", 403, PermissionDeniedError, "Invalid API key"),
        ("elevenlabs/error_422", 422, InvalidRequestError, "valid cursor"),
        ("elevenlabs/error_401", 429, RateLimitError, "Invalid API key"),
        ("voiceable/error_in_200_flat", 500, ServiceError, "Upstream unavailable"),
        ("voiceable/error_in_200_envelope", 200, AuthenticationError, "Invalid API key"),
        ("voiceable/error_in_200_flat", 200, InvalidResponseError, "Upstream unavailable"),
    ],
)
async def test_errors_are_told_in_our_own_words(name: str, status: int, error: type[FormantError], upstream: str):
    for question in (answering(name, status).list_from("", EVERYTHING), answering(name, status).get_conversation(ID)):
        with pytest.raises(error) as caught:
            await question
        said = "".join(traceback.format_exception(caught.value))
        assert caught.value.hint
        assert upstream not in said
        assert KEY not in said


async def test_a_conversation_that_is_not_there_is_named():
    with pytest.raises(NotFoundError, match=f"No conversation {ID} in this account"):
        await answering("elevenlabs/error_404", 404).get_conversation(ID)


async def test_an_answer_about_another_conversation_is_refused():
    with pytest.raises(InvalidResponseError, match="conversation_id"):
        await answering("elevenlabs/detail").get_conversation("conv_other")


async def test_an_answer_without_an_id_is_about_the_one_asked_for():
    source = source_for(lambda request: httpx.Response(200, json={"transcript": []}))

    assert (await source.get_conversation(ID)).conversation_id == ID


async def test_an_id_that_cannot_be_one_is_refused_before_anything_is_sent():
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError):
        await source_for(handle).get_conversation("..")
    with pytest.raises(InvalidRequestError):
        await received(source_for(handle), "")


@pytest.mark.parametrize(
    ("declared", "content", "media_type"),
    [
        ("audio/mpeg", b"ID3\x04", "audio/mpeg"),
        ("audio/basic", b"RIFF", "audio/basic"),
        ("Audio/Ogg; codecs=opus", b"OggS", "audio/ogg"),
        ("application/octet-stream", b"RIFF\x00\x00\x00\x00WAVE", "audio/wav"),
        ("application/octet-stream", b"OggS\x00", "audio/ogg"),
        ("", b"fLaC\x00", "audio/flac"),
        ("", b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        ("binary/octet-stream", b"\xff\xfb\x90", "audio/mpeg"),
        ("", b"????", "audio/mpeg"),
        ("", b"", "audio/mpeg"),
    ],
)
async def test_a_recording_comes_unchanged_with_the_type_that_it_has(declared: str, content: bytes, media_type: str):
    headers = {"Content-Type": declared} if declared else {}
    source = source_for(lambda request: httpx.Response(200, content=content, headers=headers))

    assert await received(source, ID) == (media_type, content)


async def test_a_recording_of_unknown_type_comes_whole_in_chunks():
    async def chunks():
        for chunk in (b"RI", b"FF", b"data"):
            yield chunk

    source = source_for(lambda request: httpx.Response(200, content=chunks()))

    assert (await received(source, ID))[1] == b"RIFFdata"


async def test_a_document_is_not_taken_for_a_recording():
    source = source_for(lambda request: httpx.Response(200, json={"audio": None}))

    with pytest.raises(InvalidResponseError, match="document instead of a recording"):
        await received(source, ID)


async def test_a_recording_that_is_not_there_may_come_later():
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(answering("elevenlabs/error_404", 404), ID)


async def test_the_pace_is_told_and_the_key_is_not_shown():
    headers = {"X-RateLimit-Limit": "50"}
    source = source_for(lambda request: httpx.Response(200, json={"conversations": []}, headers=headers))
    before = source.requests_per_minute
    await source.list_from("", EVERYTHING)

    assert (source.concurrency, before, source.requests_per_minute) == (16, None, 50)
    assert KEY not in repr(vars(source))
