"""What is particular to the cursor family's client: its endpoints, parameters and errors."""

from datetime import UTC, datetime

import httpx
import pytest

from formant_mcp.errors import ConfigurationError, InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.providers.elevenlabs import ElevenLabsProvider, VoiceableProvider
from tests.audio import sample
from tests.provider_apis import KEY, no_wait, received
from tests.providers.cursors import EVERYTHING, Handler, sent

pytestmark = pytest.mark.anyio

ID = "conv_8501kb2m4tq7f3vb9d1x2c6n0pza"
VOICEABLE_ID = "conv_a1"
LIST = "page_size=100&summary_mode=include"


def source_for(handler: Handler, client: type[ElevenLabsProvider] = ElevenLabsProvider) -> ElevenLabsProvider:
    address = client.spec.address("global") or "https://api.example.test/base"
    return client(address, KEY, transport=httpx.MockTransport(handler), sleep=no_wait)


def answering(
    name: str, status: int = 200, client: type[ElevenLabsProvider] = ElevenLabsProvider
) -> ElevenLabsProvider:
    return source_for(lambda request: httpx.Response(status, content=sent(name)), client)


@pytest.mark.parametrize(
    ("client", "header", "root", "conversation_id"),
    [
        (ElevenLabsProvider, "xi-api-key", "https://api.elevenlabs.io/v1/convai/conversations", ID),
        (VoiceableProvider, "x-api-key", "https://api.example.test/base/conversations", VOICEABLE_ID),
    ],
)
async def test_each_method_requests_its_endpoint_with_the_key(
    client: type[ElevenLabsProvider], header: str, root: str, conversation_id: str
):
    requests: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers[header] == KEY
        requests.append(f"{request.method} {request.url}")
        if request.url.path.endswith("/audio"):
            return httpx.Response(200, content=sample("bare.mp3"))
        is_one = conversation_id in request.url.path
        return httpx.Response(200, json={"conversation_id": conversation_id} if is_one else {"conversations": []})

    source = source_for(handle, client)
    await source.list_page("", EVERYTHING)
    await source.list_page("a=/&b", EVERYTHING)
    await source.get_conversation(conversation_id)
    await received(source, conversation_id)
    await source.aclose()

    assert requests == [
        f"GET {root}?{LIST}",
        f"GET {root}?{LIST}&cursor=a%3D%2F%26b",
        f"GET {root}/{conversation_id}",
        f"GET {root}/{conversation_id}/audio",
    ]


def test_a_provider_without_a_default_address_needs_one():
    with pytest.raises(ConfigurationError, match="Voiceable") as caught:
        VoiceableProvider("", KEY)

    assert "FORMANT_BASE_URL" in caught.value.hint


async def test_server_side_filters_are_sent_with_wider_time_bounds():
    queries: list[dict[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        queries.append(dict(request.url.params))
        return httpx.Response(200, json={"conversations": []})

    source = source_for(handle)
    since = datetime(2025, 11, 20, 11, 2, 33, 500_000, tzinfo=UTC)
    until = datetime(2025, 11, 20, 11, 2, 33, 500_000, tzinfo=UTC)
    filters = Filters(
        agent_id="agent_1", since=since, until=until, call_successful="failure", user_id="user_7", status=("done",)
    )
    await source.list_page("", filters)
    await source.list_page("next", filters)

    narrowed = {
        "page_size": "100",
        "summary_mode": "include",
        "agent_id": "agent_1",
        "call_start_after_unix": "1763636552",
        "call_start_before_unix": "1763636555",
        "call_successful": "failure",
        "user_id": "user_7",
    }
    assert queries == [narrowed, {**narrowed, "cursor": "next"}]
    assert source.spec.server_side_filters == {"agent_id", "since", "until", "call_successful", "user_id"}


async def test_times_before_the_epoch_are_sent_as_zero():
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.params["call_start_after_unix"] == "0"
        return httpx.Response(200, json={"conversations": []})

    ever = datetime(1, 1, 1, tzinfo=UTC)
    assert (await source_for(handle).list_page("", Filters(since=ever))).next_cursor == ""


async def test_a_cursor_refused_inside_a_success_is_an_error():
    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await answering("voiceable/error_400", 200, VoiceableProvider).list_page("old", EVERYTHING)
