"""What is particular to VoiceOS' client: its endpoints and parameters."""

from datetime import UTC, datetime

import httpx
import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.providers.base import Filters
from formant_mcp.providers.voiceos import VoiceOsProvider
from tests.audio import wav
from tests.provider_apis import KEY, no_wait, received
from tests.providers.cursors import EVERYTHING, Handler

pytestmark = pytest.mark.anyio

ID = "0f8d4c1e-53f2-4a57-9a2e-6f1b1c6d9a01"
API = "https://api.voiceos.io"


def source_for(handler: Handler, base_url: str = "https://api.voiceos.io") -> VoiceOsProvider:
    return VoiceOsProvider(base_url, KEY, transport=httpx.MockTransport(handler), sleep=no_wait)


async def test_each_method_requests_its_endpoint_with_the_key():
    requests: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        requests.append(f"{request.method} {request.url}")
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, json={"recording_url": f"{API}/files/1.mp3?a=%2F"})
        if "/files/" in request.url.path:
            return httpx.Response(200, content=wav((0, 1)))
        is_one = ID in request.url.path
        return httpx.Response(200, json={"id": ID} if is_one else {"items": [], "has_more": False})

    source = source_for(handle)
    await source.list_page("", EVERYTHING)
    await source.list_page("7", EVERYTHING)
    await source.get_conversation(ID)
    await received(source, ID)
    await source.aclose()

    assert requests == [
        f"GET {API}/conversations?limit=100&index=1",
        f"GET {API}/conversations?limit=100&index=7",
        f"GET {API}/conversations/{ID}",
        f"GET {API}/conversations/{ID}/recording",
        f"GET {API}/files/1.mp3?a=%2F",
    ]


@pytest.mark.parametrize(
    ("filters", "parameters"),
    [
        (Filters(agent_id="a", user_id="u"), {}),
        (Filters(call_successful="success"), {"status": "ended"}),
        (Filters(call_successful="failure", status=("queued",)), {"status": "queued"}),
        (Filters(status=("Started",)), {"status": "started"}),
        (Filters(status=("done",)), {}),
        (
            Filters(
                since=datetime(2024, 6, 11, 8, 0, 3, 900_000, tzinfo=UTC),
                until=datetime(2024, 6, 11, 8, 0, 3, 900_000, tzinfo=UTC),
            ),
            {"created_after": "2024-06-11T08:00:02Z", "created_before": "2024-06-11T08:00:04Z"},
        ),
        (
            Filters(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)),
            {"created_after": "0001-01-01T00:00:00Z", "created_before": "9999-12-31T23:59:59Z"},
        ),
    ],
)
async def test_server_side_filters_are_sent_with_wider_time_bounds(filters: Filters, parameters: dict[str, str]):
    def handle(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"limit": "100", "index": "1", **parameters}
        return httpx.Response(200, json={"items": []})

    source = source_for(handle)
    await source.list_page("", filters)
    assert source.spec.server_side_filters == {"since", "until", "call_successful", "status"}


@pytest.mark.parametrize("cursor", ["0", "-1", "x", "1.5", "٣", " 1", "9" * 30])
async def test_a_cursor_that_is_no_index_is_refused_before_any_request(cursor: str):
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await source_for(handle).list_page(cursor, EVERYTHING)
