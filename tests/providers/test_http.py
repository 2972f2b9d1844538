"""The HTTP client: what it reads, what it refuses, and its errors."""

import json
import logging
import traceback
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import JsonValue

from formant_mcp.errors import (
    AuthenticationError,
    ConnectionFailedError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeoutError,
    UnexpectedStatusError,
)
from formant_mcp.providers.http import path_segment
from tests.providers.scripted import KEY, Clock, answering, client_for

pytestmark = pytest.mark.anyio

BODY = "body-nobody-may-see"
AGENT = "4711"


async def received(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_requests_go_to_the_path_below_the_base_url():
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"url": str(request.url), "key": request.headers["authorization"]})

    answer = await client_for(Clock(), handle).get_json("things", "/v1/things", {"limit": 2})

    assert answer == {"url": "https://api.example.test/base/v1/things?limit=2", "key": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (400, InvalidRequestError, "arguments"),
        (401, AuthenticationError, "FORMANT_PROVIDER, FORMANT_REGION"),
        (403, PermissionDeniedError, "key"),
        (404, UnexpectedStatusError, "FORMANT_BASE_URL"),
        (409, InvalidRequestError, "arguments"),
        (422, InvalidRequestError, "arguments"),
        (302, UnexpectedStatusError, "FORMANT_BASE_URL"),
        (418, UnexpectedStatusError, "FORMANT_BASE_URL"),
    ],
)
async def test_a_failure_that_cannot_pass_is_not_retried(
    clock: Clock, status: int, error: type[FormantError], hint: str
):
    client = client_for(
        clock, answering(httpx.Response(status, headers={"Location": "https://elsewhere.test/", "Retry-After": "1"}))
    )

    with pytest.raises(error) as caught:
        await client.get_json("things", "/v1/things")

    assert clock.slept == []
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "failure",
    [
        *[httpx.Response(status) for status in (404, 302, 305, 402, 418)],
        httpx.ConnectError("no route"),
        httpx.Response(200, content=b"<html>Sign in</html>"),
    ],
)
async def test_an_address_that_worked_before_is_not_blamed(clock: Clock, failure: httpx.Response | Exception):
    client = client_for(clock, answering(httpx.Response(200, json={}), *[failure] * 5))
    await client.get_json("things", "/v1/things")
    with pytest.raises(FormantError) as caught:
        await client.get_json("things", "/v1/things")

    assert "FORMANT_BASE_URL" not in caught.value.hint
    assert "the provider, or a gateway before it, may have failed. Retry later." in caught.value.hint


async def test_an_address_that_worked_before_is_not_blamed_for_a_stream_that_breaks_off(clock: Clock) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise httpx.ReadError("gone")

    client = client_for(clock, answering(httpx.Response(200, json={}), httpx.Response(200, content=body())))
    await client.get_json("things", "/v1/things")
    async with client.stream("/v1/things") as download:
        with pytest.raises(ConnectionFailedError) as caught:
            await received(download.chunks)

    assert "FORMANT_BASE_URL" not in caught.value.hint
    assert "Retry later." in caught.value.hint


FORMANT_ERROR: JsonValue = {"error": {"type": "not_found", "message": BODY}}


@pytest.mark.parametrize(
    "body",
    [
        FORMANT_ERROR,
        {"error": {"message": BODY}},
        {"detail": {"status": "conversation_not_found", "message": BODY}},
        {"detail": BODY},
        {"detail": [{"loc": ["path"], "msg": BODY}]},
        {"status": {"code": 404, "message": BODY}, "data": None},
        {"status": 404, "error": BODY, "errors": [BODY]},
    ],
)
async def test_a_404_with_an_error_of_the_api_is_not_found(clock: Clock, body: JsonValue):
    with pytest.raises(NotFoundError) as caught:
        await client_for(clock, answering(httpx.Response(404, json=body))).get_json("things", "/v1/things")

    assert BODY not in "".join(traceback.format_exception(caught.value))
    assert clock.slept == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404 Not Found</html>" + BODY.encode(),
        b"default backend - 404",
        b'{"message": "no Route matched with those values"}',
        b'{"error": {"type": "upstream_unavailable"}}',
        b'{"error": {"type": "not_f',
        b'["not_found"]',
        b"[" * 60_000,
        json.dumps({"error": {"type": "not_found", "message": "x" * 70_000}}).encode(),
    ],
)
async def test_a_404_with_any_other_body_is_an_unexpected_status(clock: Clock, content: bytes):
    with pytest.raises(UnexpectedStatusError, match="404") as caught:
        await client_for(clock, answering(httpx.Response(404, content=content))).get_json("things", "/v1/things")

    assert BODY not in "".join(traceback.format_exception(caught.value))
    assert clock.slept == []


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"<html>Bad gateway</html>",
        b'{"data": [1,',
        b'{"data": [{"text": "ab',
        b'{"data": nul',
        b'[{"text": "\\u09',
    ],
)
async def test_a_damaged_answer_is_retried(clock: Clock, damaged: bytes):
    client = client_for(clock, answering(*[httpx.Response(200, content=damaged)] * 4))

    assert await client.get_json("things", "/v1/things") == {}
    assert len(clock.slept) == 4


async def test_an_answer_that_is_not_json_is_not_retried(clock: Clock):
    with pytest.raises(InvalidResponseError):
        await client_for(clock, answering(httpx.Response(200, content=b"hello"))).get_json("things", "/v1/things")

    assert clock.slept == []


@pytest.mark.parametrize("status", [200, 404])
async def test_an_answer_that_takes_over_two_minutes_times_out(clock: Clock, status: int):
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            clock.seconds += 25
            yield b" "

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=drip())

    with pytest.raises(RequestTimeoutError):
        await client_for(clock, handle).get_json("things", "/v1/things")

    assert clock.seconds == 125


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><p>" + BODY.encode(), "is a web page instead of JSON"),
        (b'{"data": [{"text": "' + BODY.encode(), "was truncated"),
        (b'{"data": [1,', "was truncated"),
        (BODY.encode(), "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "is nested too deeply"),
    ],
)
async def test_the_error_of_an_answer_that_is_not_json_says_what_is_wrong(content: bytes, wrong: str):
    with pytest.raises(InvalidResponseError, match=wrong) as caught:
        await client_for(Clock(), answering(*[httpx.Response(200, content=content)] * 5)).get_json(
            "things", "/v1/things"
        )

    assert BODY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"[NaN, -Infinity]", "[nan, -inf]"),
        (b"[" + b"9" * 10_000 + b"]", "[inf]"),
        (b'["\\ud83d"]', r"['\ud83d']"),
        (b'["caf\xe9"]', "['caf\ufffd']"),
        (b'\xef\xbb\xbf["a\nb"]', r"['a\nb']"),
    ],
)
async def test_invalid_json_values_are_parsed_as_far_as_possible(content: bytes, value: str):
    assert (
        repr(
            await client_for(Clock(), answering(httpx.Response(200, content=content))).get_json("things", "/v1/things")
        )
        == value
    )


async def test_damaged_compression_is_an_invalid_response():
    def handle(request: httpx.Request) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"no gzip"

        return httpx.Response(200, content=body(), headers={"Content-Encoding": "gzip"})

    with pytest.raises(InvalidResponseError, match="decompressed"):
        await client_for(Clock(), handle).get_json("things", "/v1/things")


async def test_an_answer_over_100_mb_is_refused():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000

    client = client_for(Clock(), lambda request: httpx.Response(200, content=endless()))

    with pytest.raises(InvalidResponseError, match="100 MB"):
        await client.get_json("things", "/v1/things")
    async with client.stream("/v1/things") as download:
        with pytest.raises(InvalidResponseError, match="100 MB"):
            await received(download.chunks)


async def test_a_connection_that_breaks_within_a_stream_is_a_connection_error():
    def handle(request: httpx.Request) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            raise httpx.ReadError("gone")

        return httpx.Response(200, content=body())

    chunks: list[bytes] = []
    async with client_for(Clock(), handle).stream("/v1/things") as download:
        chunks.append(await anext(download.chunks))
        with pytest.raises(ConnectionFailedError):
            await anext(download.chunks)

    assert chunks == [b"first"]


async def test_opening_a_stream_is_retried_and_its_status_checked(clock: Clock):
    sound = httpx.Response(200, content=b"RIFF")
    client = client_for(clock, answering(httpx.Response(500), sound, httpx.Response(404), httpx.Response(404)))

    async with client.stream("/v1/things") as download:
        assert (download.status, download.location, download.size) == (200, "", 4)
        assert await received(download.chunks) == b"RIFF"
    with pytest.raises(NotFoundError):
        await client.stream("/v1/things").__aenter__()
    async with client.stream("/v1/things", {404}) as download:
        assert download.status == 404

    assert len(clock.slept) == 1


async def test_a_stream_gives_its_redirect_and_does_not_follow_it(clock: Clock):
    client = client_for(clock, answering(httpx.Response(307, headers={"Location": "https://else.where/1"})))

    async with client.stream("/v1/things") as download:
        assert (download.status, download.location) == (307, "https://else.where/1")


@pytest.mark.parametrize(
    "failure",
    [httpx.Response(s, text=BODY) for s in (302, 400, 401, 403, 404, 429, 500, 418)] + [httpx.ConnectError(BODY)],
)
async def test_errors_and_warnings_do_not_contain_body_address_or_key(
    caplog: pytest.LogCaptureFixture, failure: httpx.Response | Exception
):
    with caplog.at_level(logging.WARNING), pytest.raises(FormantError) as caught:
        await client_for(Clock(), answering(*[failure] * 5)).get_json("things", "/v1/things", {"agent_id": AGENT})

    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.hint + caplog.text
    assert caught.value.message
    assert caught.value.hint
    for secret in (BODY, KEY, AGENT, "example.test"):
        assert secret not in said


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("e36853de-9cbb_1.x~", "e36853de-9cbb_1.x~"),
        ("../../v1/agents", "..%2F..%2Fv1%2Fagents"),
        ("a?b#c%2F", "a%3Fb%23c%252F"),
        ("नमः \\", "%E0%A4%A8%E0%A4%AE%E0%A4%83%20%5C"),
    ],
)
async def test_an_id_is_one_segment_of_the_path(value: str, segment: str):
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=request.url.raw_path.decode())

    answer: JsonValue = await client_for(Clock(), handle).get_json("things", f"/v1/things/{path_segment(value)}/end")

    assert answer == f"/base/v1/things/{segment}/end"


@pytest.mark.parametrize("value", ["", ".", "..", "x" * 257, "a\nb", "a\x00", "a\u200bb", "a\ud800"])
def test_an_invalid_id_is_refused_by_argument_name(value: str):
    with pytest.raises(InvalidRequestError, match="conversation_id"):
        path_segment(value)
