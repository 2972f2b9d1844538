"""Addresses of recordings: redirects and addresses in JSON, followed without the key, and only where it is safe."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidResponseError,
    NotFoundError,
    RetryableError,
)
from formant_mcp.recordings import SavedRecording
from tests.examples import examples
from tests.provider_apis import KEY, received
from tests.providers.cursors import sent
from tests.providers.recording_source import (
    API,
    ELSEWHERE,
    ID,
    REDIRECTS,
    SOUND,
    SOURCES,
    pointing,
    saved_or_error,
    source_for,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("provider", SOURCES)
@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_is_followed_without_the_key(provider: str, status: int):
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.url.host == "api.example.test":
            return httpx.Response(status, headers={"Location": ELSEWHERE})
        return httpx.Response(200, content=SOUND)

    assert await received(source_for(handle, provider=provider), ID) == ("audio/wav", SOUND)
    assert str(requests[1].url) == ELSEWHERE
    assert KEY in str(requests[0].headers.raw)
    assert KEY not in str(requests[1].headers.raw)
    assert requests[1].headers["host"] == "recordings.example.com"


@pytest.mark.parametrize("provider", SOURCES)
@pytest.mark.parametrize(
    "document",
    [
        {"recording_url": ELSEWHERE},
        {"url": ELSEWHERE},
        {"audio_url": ELSEWHERE, "expires": 60},
        {"signed_url": ELSEWHERE},
        {"data": {"recording_url": ELSEWHERE}},
        {"recording": {"url": ELSEWHERE}},
        {"data": [{"recording_url": ELSEWHERE}]},
        {"data": {"recording": {"url": ELSEWHERE}}},
        [{"url": ELSEWHERE}],
        [ELSEWHERE],
        ELSEWHERE,
    ],
)
async def test_an_address_in_json_is_followed_without_the_key(provider: str, document: JsonValue):
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        is_api = request.url.host == "api.example.test"
        return httpx.Response(200, json=document) if is_api else httpx.Response(200, content=SOUND)

    assert await received(source_for(handle, provider=provider), ID) == ("audio/wav", SOUND)
    assert str(requests[1].url) == ELSEWHERE
    assert KEY not in str(requests[1].headers.raw)


async def test_the_recording_answer_of_voiceos_reference_is_followed():
    def handle(request: httpx.Request) -> httpx.Response:
        is_api = request.url.host == "api.example.test"
        return httpx.Response(200, content=sent("voiceos/recording") if is_api else SOUND)

    assert await received(source_for(handle, provider="voiceos"), ID) == ("audio/wav", SOUND)


@pytest.mark.parametrize(
    ("address", "fetched", "with_key"),
    [
        (f"{API}/files/1.mp3", f"{API}/files/1.mp3", True),
        ("https://API.example.test:443/files/1.mp3", f"{API}/files/1.mp3", True),
        ("/files/1.mp3?a=%2F", f"{API}/files/1.mp3?a=%2F", True),
        ("1.mp3", f"{API}/v1/conversations/{ID}/1.mp3", True),
        ("https://api.example.test:8443/1.mp3", "https://api.example.test:8443/1.mp3", False),
        ("https://api.example.test.example.com/1.mp3", "https://api.example.test.example.com/1.mp3", False),
        ("//example.test/1.mp3", "https://example.test/1.mp3", False),
    ],
)
@pytest.mark.parametrize("is_redirect", [True, False])
async def test_the_key_is_sent_only_to_the_api(address: str, fetched: str, with_key: bool, is_redirect: bool):
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/recording"):
            if is_redirect:
                return httpx.Response(302, headers={"Location": address})
            return httpx.Response(200, json={"recording_url": address})
        assert str(request.url) == fetched
        assert ("authorization" in request.headers) == with_key
        return httpx.Response(200, content=SOUND)

    assert await received(source_for(handle), ID) == ("audio/wav", SOUND)


@pytest.mark.parametrize(
    "address",
    [
        "http://recordings.example.com/1.mp3",
        "http://api.example.test/1.mp3",
        "http://127.0.0.1:9/1.mp3",
        "https://127.0.0.1/1.mp3",
        "https://localhost/1.mp3",
        "https://[::1]/1.mp3",
        "file:///etc/passwd",
        "ftp://recordings.example.com/1.mp3",
        "https://name:word@recordings.example.com/1.mp3",
        "https://",
        "https://recordings.example.com:port/1.mp3",
        "javascript:1",
        "https://a\x00b/",
    ],
)
@pytest.mark.parametrize("is_redirect", [True, False])
async def test_an_unsafe_address_is_not_fetched(address: str, is_redirect: bool):
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith(f"/{ID}/recording"), f"{request.url} may not be requested"
        if is_redirect:
            return httpx.Response(302, headers={"Location": address})
        return httpx.Response(200, json={"recording_url": address})

    with pytest.raises(InvalidResponseError, match="is not allowed: only https is") as caught:
        await received(source_for(handle), ID)
    assert "FORMANT_BASE_URL" not in str(caught.value)
    assert "1.mp3" not in str(caught.value)


@settings(max_examples=examples(2))
@given(
    st.text(max_size=40) | st.sampled_from(["https://", "http://", "//"]).flatmap(lambda s: st.text().map(s.__add__))
)
def test_any_address_is_followed_or_an_error(address: str):
    with TemporaryDirectory() as folder:
        saved = saved_or_error(pointing(address, httpx.Response(200, content=SOUND)), Path(folder))
    assert isinstance(saved, SavedRecording | InvalidResponseError | NotFoundError)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/1.mp3", "http://localhost:9/1.mp3", "https://127.0.0.1/1.mp3"])
async def test_an_api_on_this_machine_may_name_addresses_on_it(address: str):
    source = pointing(address, httpx.Response(200, content=SOUND), base_url="http://127.0.0.1:8/api")

    assert await received(source, ID) == ("audio/wav", SOUND)


async def test_an_api_on_this_machine_may_not_name_http_elsewhere():
    source = pointing("http://recordings.example.com/1.mp3", base_url="http://127.0.0.1:8/api")

    with pytest.raises(InvalidResponseError, match="only https is"):
        await received(source, ID)


@pytest.mark.parametrize(("hops", "is_followed"), [(1, True), (5, True), (6, False), (1_000, False)])
async def test_at_most_five_redirects_are_followed(hops: int, is_followed: bool):
    urls: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        if len(urls) <= hops:
            return httpx.Response(302, headers={"Location": f"https://{len(urls)}.example.com/"})
        return httpx.Response(200, content=SOUND)

    if is_followed:
        assert await received(source_for(handle), ID) == ("audio/wav", SOUND)
    else:
        with pytest.raises(InvalidResponseError, match="Too many redirects"):
            await received(source_for(handle), ID)
    assert len(urls) == min(hops, 5) + 1


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_an_expired_address_is_not_blamed_on_the_key(status: int):
    with pytest.raises(NotFoundError, match="may have expired"):
        await received(pointing(ELSEWHERE, httpx.Response(status, text="<Error/>")), ID)


@pytest.mark.parametrize(("status", "said"), [(404, "not available yet"), (410, "no longer available"), (202, "yet")])
async def test_storage_without_the_recording_is_not_found(status: int, said: str):
    with pytest.raises(NotFoundError, match=said):
        await received(pointing(ELSEWHERE, httpx.Response(status)), ID)


async def test_a_redirect_to_a_web_page_is_not_found():
    page = httpx.Response(200, text="<!doctype html><title>Sign in</title>", headers={"Content-Type": "audio/wav"})
    with pytest.raises(NotFoundError, match="sent a document instead"):
        await received(pointing(ELSEWHERE, page), ID)


async def test_a_redirect_without_an_address_is_not_found():
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(source_for(lambda request: httpx.Response(302)), ID)


@pytest.mark.parametrize(
    "status", [400, 402, 405, 406, 408, 412, 413, 414, 415, 417, 418, 421, 423, 424, 426, 428, 431]
)
async def test_an_undocumented_status_is_not_blamed_on_a_setting(status: int):
    with pytest.raises(NotFoundError, match=rf"is not available \(status {status}\)") as caught:
        await received(source_for(lambda request: httpx.Response(status)), ID)
    assert "FORMANT_BASE_URL" not in str(caught.value)


@pytest.mark.parametrize("status", [201, 203, 206, 208, 226])
async def test_any_success_status_with_audio_bytes_is_a_recording(status: int):
    headers = {"Content-Range": f"bytes 0-{len(SOUND) - 1}/{len(SOUND)}"} if status == 206 else {}
    source = source_for(lambda request: httpx.Response(status, content=SOUND, headers=headers))
    assert await received(source, ID) == ("audio/wav", SOUND)


@pytest.mark.parametrize("content_range", ["", "bytes 0-99/900", "bytes 0-99/*", "bytes 1-99/100", "x" * 1_000])
async def test_a_part_of_a_recording_is_not_found(content_range: str):
    answer = httpx.Response(206, content=SOUND, headers={"Content-Range": content_range})
    with pytest.raises(NotFoundError, match="sent only a part of it"):
        await received(source_for(lambda request: answer), ID)


async def test_an_unavailable_storage_is_not_blamed_on_a_setting():
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example.test":
            return httpx.Response(302, headers={"Location": ELSEWHERE})
        raise httpx.ConnectError("no route")

    with pytest.raises(ConnectionFailedError) as caught:
        await received(source_for(handle), ID)
    assert "FORMANT_BASE_URL" not in str(caught.value)


async def test_a_key_that_the_api_refuses_is_an_authentication_error():
    with pytest.raises(AuthenticationError):
        await received(source_for(lambda request: httpx.Response(401)), ID)


async def test_a_failing_storage_is_a_retryable_error():
    with pytest.raises(RetryableError):
        await received(pointing(ELSEWHERE, httpx.Response(503)), ID)


@pytest.mark.parametrize(
    ("headers", "size"),
    [({}, len(SOUND)), ({"Content-Encoding": "identity"}, None), ({"Transfer-Encoding": "chunked"}, None)],
)
async def test_the_size_is_the_announced_content_length(headers: dict[str, str], size: int | None):
    source = source_for(lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(SOUND)))
    if size:
        source = source_for(lambda request: httpx.Response(200, content=SOUND))
    async with source.open_recording(ID) as recording:
        assert recording.size == size


async def test_an_endless_recording_is_refused():
    async def endless() -> AsyncIterator[bytes]:
        yield SOUND
        while True:
            yield bytes(10_000_000)

    source = pointing(ELSEWHERE, httpx.Response(200, content=endless()))
    with pytest.raises(InvalidResponseError, match="larger than"):
        await received(source, ID)
