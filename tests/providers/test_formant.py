"""What is particular to Formant's client: its three endpoints and its agents' ids."""

from collections.abc import Callable

import httpx
import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.providers.formant import FormantProvider
from tests.audio import wav
from tests.provider_apis import KEY, no_wait, received

pytestmark = pytest.mark.anyio

ID = "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1"


def source_for(handler: Callable[[httpx.Request], httpx.Response]) -> FormantProvider:
    return FormantProvider("https://api.example.test", KEY, transport=httpx.MockTransport(handler), sleep=no_wait)


async def test_each_method_requests_its_endpoint_with_the_key():
    requests: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        requests.append(f"{request.method} {request.url.raw_path.decode()}")
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, content=wav((0, 1)))
        return httpx.Response(200, json={"data": {"conversation_id": ID} if ID in request.url.path else []})

    source = source_for(handle)
    await source.list_page(0)
    await source.list_page(300, Filters(agent_id="123"))
    await source.get_conversation(ID)
    await received(source, ID)
    await source.aclose()

    assert requests == [
        "GET /v1/conversations?limit=100&offset=0",
        "GET /v1/conversations?limit=100&offset=300&agent_id=123",
        f"GET /v1/conversations/{ID}",
        f"GET /v1/conversations/{ID}/recording",
    ]


@pytest.mark.parametrize("agent_id", ["abc", "1.5", "1 OR 1", "१२", "1" * 20, " 1"])
async def test_an_agent_id_that_is_no_whole_number_is_refused_before_any_request(agent_id: str):
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(InvalidRequestError, match="agent_id must be a whole number"):
        await source_for(handle).list_page(0, Filters(agent_id=agent_id))
