"""Recordings of VoiceOS: fetched from where the API says, if that is a place to fetch from; the key stays at home."""

import httpx
import pytest

from formant_mcp.errors import AuthenticationError, InvalidResponseError, NotFoundError, ServiceError
from formant_mcp.sources.voiceos import VoiceOsSource
from tests.providers import KEY, no_wait, received
from tests.sources.cursors import Handler, sent

pytestmark = pytest.mark.anyio

ID = "0f8d4c1e"
API = "https://api.voiceos.io"
ELSEWHERE = "https://recordings.example.com/0f8d4c1e.mp3?X-Signature=a%2Fb%3D"


def source_for(handler: Handler, base_url: str) -> VoiceOsSource:
    return VoiceOsSource(base_url, KEY, transport=httpx.MockTransport(handler), sleep=no_wait)


def pointing(address: object, recording: httpx.Response | None = None, base_url: str = API) -> VoiceOsSource:
    """A source whose API names that address; anything but the API answers with the recording."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(f"/conversations/{ID}/recording"):
            return httpx.Response(200, json={"recording_url": address})
        assert recording is not None, f"{request.url} may not be asked"
        return recording

    return source_for(handle, base_url)


async def test_another_host_gets_the_whole_address_and_no_key():
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "api.voiceos.io":
            return httpx.Response(200, content=sent("voiceos/recording"))
        return httpx.Response(200, content=b"ID3", headers={"Content-Type": "audio/mpeg"})

    assert await received(source_for(handle, API), ID) == ("audio/mpeg", b"ID3")
    assert str(asked[1].url) == ELSEWHERE
    assert KEY in str(asked[0].headers.raw)
    assert KEY not in str(asked[1].headers.raw)


@pytest.mark.parametrize(
    ("address", "with_key"),
    [
        (f"{API}/files/1.mp3", True),
        ("https://API.voiceos.io:443/files/1.mp3", True),
        ("https://api.voiceos.io:8443/files/1.mp3", False),
        ("https://api.voiceos.io.example.com/1.mp3", False),
        ("https://voiceos.io/1.mp3", False),
    ],
)
async def test_the_key_goes_to_the_api_alone(address: str, with_key: bool):
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, json={"recording_url": address})
        assert ("authorization" in request.headers) == with_key
        return httpx.Response(200, content=b"ID3")

    assert await received(source_for(handle, API), ID) == ("audio/mpeg", b"ID3")


@pytest.mark.parametrize(
    "address",
    [
        "http://recordings.example.com/1.mp3",
        "http://api.voiceos.io/1.mp3",
        "http://127.0.0.1:9/1.mp3",
        "https://127.0.0.1/1.mp3",
        "https://localhost/1.mp3",
        "https://[::1]/1.mp3",
        "file:///etc/passwd",
        "ftp://recordings.example.com/1.mp3",
        "https://name:word@recordings.example.com/1.mp3",
        "https://",
        "https://recordings.example.com:port/1.mp3",
        "/1.mp3",
        "//recordings.example.com/1.mp3",
        "javascript:1",
        "https://a\x00b/",
        7,
        {"url": ELSEWHERE},
    ],
)
async def test_what_is_no_https_address_is_not_followed(address: object):
    with pytest.raises(InvalidResponseError, match="recording_url") as caught:
        await received(pointing(address), ID)

    assert "example.com" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/1.mp3", "http://localhost:9/1.mp3", "http://[::1]:9/1.mp3"])
async def test_an_api_on_this_machine_may_name_addresses_on_it(address: str):
    source = pointing(address, httpx.Response(200, content=b"ID3"), base_url="http://127.0.0.1:8/api")

    assert await received(source, ID) == ("audio/mpeg", b"ID3")


@pytest.mark.parametrize("answer", ["{}", '{"recording_url": null}', '{"recording_url": ""}', "[]", "null"])
async def test_no_address_is_no_recording(answer: str):
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(source_for(lambda request: httpx.Response(200, text=answer), API), ID)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_an_address_that_is_no_longer_good_is_no_fault_of_the_key(status: int):
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(pointing(ELSEWHERE, httpx.Response(status)), ID)


async def test_a_key_that_the_api_refuses_is():
    with pytest.raises(AuthenticationError):
        await received(source_for(lambda request: httpx.Response(401), API), ID)
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(source_for(lambda request: httpx.Response(404), API), ID)


async def test_no_redirection_is_followed():
    away = httpx.Response(302, headers={"Location": "http://127.0.0.1/"})

    with pytest.raises(ServiceError, match="redirects elsewhere"):
        await received(pointing(ELSEWHERE, away), ID)


async def test_a_document_is_not_taken_for_a_recording():
    with pytest.raises(InvalidResponseError, match="document instead of a recording"):
        await received(pointing(ELSEWHERE, httpx.Response(200, json={})), ID)


async def test_a_recording_may_not_be_larger_than_any_other():
    async def endless():
        while True:
            yield bytes(10_000_000)

    source = pointing(ELSEWHERE, httpx.Response(200, content=endless()))
    with pytest.raises(InvalidResponseError, match="larger than"):
        await received(source, ID)
