"""VoiceOS' endpoints, over a transport that answers as the documents say, and as none does."""

import traceback
from datetime import UTC, datetime

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
from formant_mcp.source import Narrowing
from formant_mcp.sources.voiceos import VoiceOsSource
from tests.sources.cursors import EVERYTHING, KEY, Handler, no_sleep, received, sent, whole_list

pytestmark = pytest.mark.anyio

ID = "0f8d4c1e-53f2-4a57-9a2e-6f1b1c6d9a01"
API = "https://api.voiceos.io"


def source_for(handler: Handler, base_url: str = "") -> VoiceOsSource:
    return VoiceOsSource(base_url, KEY, transport=httpx.MockTransport(handler), sleep=no_sleep)


def answering(name: str, status: int = 200) -> VoiceOsSource:
    return source_for(lambda request: httpx.Response(status, content=sent(name)))


async def test_each_method_asks_its_endpoint_with_the_key():
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        asked.append(f"{request.method} {request.url}")
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, json={"recording_url": f"{API}/files/1.mp3?a=%2F"})
        if "/files/" in request.url.path:
            return httpx.Response(200, content=b"ID3")
        is_one = ID in request.url.path
        return httpx.Response(200, json={"id": ID} if is_one else {"items": [], "has_more": False})

    source = source_for(handle)
    await source.list_from("", EVERYTHING)
    await source.list_from("7", EVERYTHING)
    await source.get_conversation(ID)
    await received(source, ID)
    await source.aclose()

    assert asked == [
        f"GET {API}/conversations?limit=100&index=1",
        f"GET {API}/conversations?limit=100&index=7",
        f"GET {API}/conversations/{ID}",
        f"GET {API}/conversations/{ID}/recording",
        f"GET {API}/files/1.mp3?a=%2F",
    ]


@pytest.mark.parametrize(
    ("narrowing", "asked"),
    [
        (Narrowing(agent_id="a", user_id="u"), {}),
        (Narrowing(call_successful="success"), {"status": "ended"}),
        (Narrowing(call_successful="failure", status="queued"), {"status": "queued"}),
        (Narrowing(status="Started"), {"status": "started"}),
        (Narrowing(status="done"), {}),
        (
            Narrowing(
                since=datetime(2024, 6, 11, 8, 0, 3, 900_000, tzinfo=UTC),
                until=datetime(2024, 6, 11, 8, 0, 3, 900_000, tzinfo=UTC),
            ),
            {"created_after": "2024-06-10T08:00:03Z", "created_before": "2024-06-11T08:00:04Z"},
        ),
        (
            Narrowing(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)),
            {"created_after": "0001-01-01T00:00:00Z", "created_before": "9999-12-31T23:59:59Z"},
        ),
    ],
)
async def test_what_the_provider_can_narrow_by_is_asked_of_it_with_wider_bounds(
    narrowing: Narrowing, asked: dict[str, str]
):
    def handle(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"limit": "100", "index": "1", **asked}
        return httpx.Response(200, json={"items": []})

    source = source_for(handle)
    await source.list_from("", narrowing)
    assert source.narrows_by == {"since", "until", "call_successful", "status"}


@pytest.mark.parametrize("says_more", [True, False])
async def test_an_odd_list_gives_every_conversation_once(says_more: bool):
    """Pages of 30 where 100 were asked, one of none in between where there is more to come."""
    ids = [f"c{number}" for number in range(61)]
    pages = [ids[:30], [], ids[30:60], ids[60:]] if says_more else [ids[:30], ids[30:60], ids[60:], []]

    def handle(request: httpx.Request) -> httpx.Response:
        index = int(request.url.params["index"])
        more = {"has_more": index < len(pages)} if says_more else {}
        return httpx.Response(200, json={"items": [{"id": each} for each in pages[index - 1]], **more})

    assert [each.conversation_id for each in await whole_list(source_for(handle))] == ids


@pytest.mark.parametrize("cursor", ["0", "-1", "x", "1.5", "٣", " 1", "9" * 30])
async def test_a_cursor_that_is_no_index_is_refused_before_anything_is_sent(cursor: str):
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await source_for(handle).list_from(cursor, EVERYTHING)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_an_index_that_the_provider_refuses_is_named_so_that_the_list_can_begin_anew(status: int):
    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await answering("voiceos/error_422", status).list_from("9", EVERYTHING)
    with pytest.raises((InvalidRequestError, NotFoundError), match=r"^The API"):
        await answering("voiceos/error_422", status).list_from("", EVERYTHING)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, ServiceError),
        (200, InvalidResponseError),
    ],
)
async def test_errors_are_told_in_our_own_words(status: int, error: type[FormantError]):
    for question in (
        answering("voiceos/error_422", status).list_from("", EVERYTHING),
        answering("voiceos/error_422", status).get_conversation(ID),
    ):
        with pytest.raises(error) as caught:
            await question
        said = "".join(traceback.format_exception(caught.value))
        assert caught.value.hint
        assert "ensure this value" not in said
        assert KEY not in said


async def test_a_conversation_is_the_one_asked_for():
    assert (await answering("voiceos/detail").get_conversation(ID)).contact_number == "+14155550144"
    with pytest.raises(InvalidResponseError, match="another conversation"):
        await answering("voiceos/detail").get_conversation("other")
    with pytest.raises(NotFoundError, match="No conversation other in this account"):
        await answering("voiceos/error_422", 404).get_conversation("other")
    with pytest.raises(InvalidRequestError):
        await answering("voiceos/detail").get_conversation("..")


async def test_the_pace_is_told_and_the_key_is_not_shown():
    headers = {"X-RateLimit-Limit": "50"}
    source = source_for(lambda request: httpx.Response(200, json={"items": []}, headers=headers))
    await source.list_from("", EVERYTHING)

    assert (source.page_size, source.concurrency, source.requests_per_minute) == (100, 16, 50)
    assert KEY not in repr(vars(source))
