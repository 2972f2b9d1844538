"""Formant's three endpoints, over a transport that answers as the documents say."""

import traceback
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from formant_mcp.errors import (
    AuthenticationError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    RateLimitError,
    ServiceError,
)
from formant_mcp.source import ConversationSource
from formant_mcp.sources.formant import FormantSource

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[1] / "fixtures" / "formant"
KEY = "key-nobody-may-see"
ID = "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1"
WAV = {"Content-Type": "audio/wav"}


async def no_sleep(seconds: float) -> None:
    """Time passes at once."""


def source_for(handler: Callable[[httpx.Request], httpx.Response]) -> FormantSource:
    return FormantSource("https://api.example.test", KEY, transport=httpx.MockTransport(handler), sleep=no_sleep)


def answering(name: str, status: int = 200) -> FormantSource:
    content = (FIXTURES / f"{name}.json").read_bytes()
    return source_for(lambda request: httpx.Response(status, content=content))


async def received(source: ConversationSource, conversation_id: str) -> tuple[str, bytes]:
    async with source.open_recording(conversation_id) as recording:
        return recording.media_type, b"".join([chunk async for chunk in recording.chunks])


async def test_each_method_asks_its_endpoint_with_the_key():
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, content=b"RIFF", headers=WAV)
        return httpx.Response(200, json={"data": {"conversation_id": ID} if ID in request.url.path else []})

    source = source_for(handle)
    await source.list_page(0)
    await source.list_page(300, agent_id="123")
    await source.get_conversation(ID)
    await received(source, ID)
    await source.aclose()

    assert asked == [
        "GET /v1/conversations?limit=100&offset=0",
        "GET /v1/conversations?limit=100&offset=300&agent_id=123",
        f"GET /v1/conversations/{ID}",
        f"GET /v1/conversations/{ID}/recording",
    ]


async def test_a_page_and_a_conversation_are_read_into_our_models():
    page = await answering("list_guide").list_page(0)
    conversation = await answering("detail_guide").get_conversation(ID)

    assert (page.row_count, page.total, page.conversations[0].conversation_id) == (1, 1, ID)
    assert conversation.results == {"intent": "payment_confirmed", "sentiment": "positive"}
    assert [turn.role for turn in conversation.turns or ()] == ["agent", "contact"]


async def test_the_pace_is_told():
    source = source_for(lambda request: httpx.Response(200, json={"data": []}, headers={"X-RateLimit-Limit": "50"}))
    before = source.requests_per_minute
    await source.list_page(0)

    assert (source.page_size, source.concurrency) == (100, 16)
    assert (before, source.requests_per_minute) == (None, 50)


@pytest.mark.parametrize("agent_id", ["abc", "1.5", "1 OR 1", "१२", "1" * 20, " 1"])
async def test_an_agent_id_that_is_no_whole_number_is_refused_before_anything_is_sent(agent_id: str):
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError, match="agent_id must be a whole number"):
        await source_for(handle).list_page(0, agent_id)


async def test_a_conversation_that_is_not_there_is_named():
    with pytest.raises(NotFoundError, match=f"No conversation {ID} in this account") as caught:
        await answering("error_404", 404).get_conversation(ID)

    assert "list_conversations" in caught.value.hint


async def test_an_answer_about_another_conversation_is_refused():
    with pytest.raises(InvalidResponseError, match="conversation_id"):
        await answering("detail_openapi").get_conversation(ID)


async def test_an_answer_without_an_id_is_about_the_one_asked_for():
    source = source_for(lambda request: httpx.Response(200, json={"data": {"status": "busy"}}))

    assert (await source.get_conversation(ID)).conversation_id == ID


@pytest.mark.parametrize("conversation_id", ["..", "", "a\nb", "x" * 300])
async def test_an_id_that_cannot_be_one_is_refused_before_anything_is_sent(conversation_id: str):
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError):
        await source_for(handle).get_conversation(conversation_id)
    with pytest.raises(InvalidRequestError):
        await received(source_for(handle), conversation_id)


@pytest.mark.parametrize(
    ("sent", "media_type"),
    [
        ("audio/wav", "audio/wav"),
        ("Audio/MPEG; q=1", "audio/mpeg"),
        ("application/octet-stream", "audio/wav"),
        ("", "audio/wav"),
    ],
)
async def test_a_recording_comes_unchanged_with_its_media_type(sent: str, media_type: str):
    source = source_for(lambda request: httpx.Response(200, content=b"RIFF\x00\xff", headers={"Content-Type": sent}))

    assert await received(source, ID) == (media_type, b"RIFF\x00\xff")


@pytest.mark.parametrize(
    "sent", ["application/json", "text/html; charset=utf-8", "application/problem+json", "text/plain"]
)
async def test_a_document_is_not_taken_for_a_recording(sent: str):
    source = source_for(lambda request: httpx.Response(200, content=b"{}", headers={"Content-Type": sent}))

    with pytest.raises(InvalidResponseError, match="document instead of a recording"):
        await received(source, ID)


async def test_a_recording_that_is_not_there_may_come_later():
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(answering("error_404", 404), ID)


async def test_an_error_of_the_reader_passes_unchanged():
    source = source_for(lambda request: httpx.Response(200, content=b"RIFF", headers=WAV))

    with pytest.raises(NotFoundError, match="the reader's own"):
        async with source.open_recording(ID):
            raise NotFoundError("the reader's own")


@pytest.mark.parametrize(
    ("name", "status", "error", "upstream"),
    [
        ("error_400", 400, InvalidRequestError, "limit must be"),
        ("error_401", 401, AuthenticationError, "Invalid or missing"),
        ("error_404", 404, NotFoundError, "Resource not found"),
        ("error_409", 409, InvalidRequestError, "Duplicate request"),
        ("error_429", 429, RateLimitError, "Rate limit exceeded"),
        ("error_500", 500, ServiceError, "Internal error"),
    ],
)
async def test_documented_errors_are_told_in_our_own_words(
    name: str, status: int, error: type[FormantError], upstream: str
):
    with pytest.raises(error) as caught:
        await answering(name, status).list_page(0)

    said = "".join(traceback.format_exception(caught.value))
    assert caught.value.hint
    assert upstream not in said
    assert KEY not in said


def test_the_key_is_not_shown():
    source = answering("list_guide")

    assert KEY not in repr(source)
    assert KEY not in repr(vars(source))
