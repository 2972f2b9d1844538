"""How every provider's client handles refusals, failures, invalid answers, its key, and recordings."""

import traceback
from dataclasses import replace

import pytest

from formant_mcp.errors import (
    AuthenticationError,
    ConnectionFailedError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryableError,
    ServiceError,
    UnexpectedStatusError,
)
from tests import faults
from tests.audio import wav
from tests.calls import conversation_id
from tests.cursor_calls import tool_turn
from tests.fake_api import FakeApi
from tests.fake_http import Reply
from tests.fake_voiceos import FakeAudioHost, FakeVoiceOs
from tests.faults import Fault
from tests.provider_apis import KEY, VOICEOS, Opened, first_page, received, whole_list
from tests.providers.scripted import NOON

pytestmark = pytest.mark.anyio

FIRST = conversation_id(0)
UPSTREAM_WORDS = ("Scripted", "Gateway", "Sign in", "Invalid or missing", "exceeded.", "ot found.", "should be valid")
RECORDING = wav((9000, 9), (0, 9))


@pytest.fixture
async def held(opened: Opened) -> Opened:
    """An account of each provider in turn, with one recorded call."""
    opened.api.add(opened.provider.call(0, NOON))
    opened.api.recordings[FIRST] = RECORDING
    return opened


async def refusals(held: Opened) -> list[FormantError]:
    """The errors for the list, for one conversation and for a recording."""
    raised: list[FormantError] = []
    for ask in (
        lambda: first_page(held.source),
        lambda: held.source.get_conversation(FIRST),
        lambda: received(held.source, FIRST),
    ):
        with pytest.raises(FormantError) as caught:
            await ask()
        assert_repeats_nothing(caught.value, held.api)
        raised.append(caught.value)
    return raised


def assert_repeats_nothing(error: FormantError, api: FakeApi) -> None:
    said = "".join(traceback.format_exception(error))
    assert error.hint
    assert KEY not in said
    assert api.url not in said
    assert [words for words in UPSTREAM_WORDS if words in said] == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
        (500, ServiceError),
        (503, ServiceError),
        (faults.html_502, ServiceError),
        (faults.hang_up, ConnectionFailedError),
    ],
    ids=lambda value: value.__name__ if hasattr(value, "__name__") else str(value),
)
async def test_a_refusal_raises_its_class_and_repeats_nothing_of_the_response(
    held: Opened, kind: int | Fault, error: type[FormantError]
):
    held.api.fault("", 1_000, kind)

    for raised in await refusals(held):
        assert type(raised) is error
    assert len(held.api.requests) == (15 if issubclass(error, RetryableError) else 3)


@pytest.mark.parametrize("kind", [400, 409, 422, faults.redirect("https://recordings.example.com/")])
async def test_statuses_that_mean_no_recording_are_errors_for_lists_and_conversations(held: Opened, kind: int | Fault):
    for ask in (lambda: first_page(held.source), lambda: held.source.get_conversation(FIRST)):
        held.api.fault("", 1, kind)
        with pytest.raises(InvalidRequestError if isinstance(kind, int) else UnexpectedStatusError) as caught:
            await ask()
        assert_repeats_nothing(caught.value, held.api)


async def test_a_response_that_is_no_json_is_invalid(held: Opened):
    for kind, problem in (
        (faults.not_json, "is a web page instead of JSON"),
        (faults.empty_body, "is empty"),
        (faults.truncated_json, "was truncated"),
    ):
        for ask in (lambda: first_page(held.source), lambda: held.source.get_conversation(FIRST)):
            held.api.fault("", 5, kind)
            with pytest.raises(InvalidResponseError, match=f"^The response {problem}") as caught:
                await ask()
            assert_repeats_nothing(caught.value, held.api)


async def test_a_404_from_a_gateway_is_an_unexpected_status(held: Opened):
    for body in (b"<html><h1>404 Not Found</h1></html>", b"", b'{"message": "no Route matched with those values"}'):
        for ask in (lambda: first_page(held.source), lambda: held.source.get_conversation(FIRST)):
            held.api.fault("", 1, lambda good, body=body: Reply(404, body, "text/html"))
            with pytest.raises(UnexpectedStatusError, match="404") as caught:
                await ask()
            assert_repeats_nothing(caught.value, held.api)


async def test_json_of_another_shape_is_an_invalid_response(held: Opened):
    for body in (b"[]", b"null", b"7", b'"no"', b'{"data": "no"}', b'{"items": {}, "conversations": {}}'):
        held.api.fault("", 2, lambda good, body=body: replace(good, body=body))
        with pytest.raises(InvalidResponseError):
            await held.source.get_conversation(FIRST)
        with pytest.raises(InvalidResponseError, match="FORMANT_BASE_URL") as caught:
            await first_page(held.source)
        assert_repeats_nothing(caught.value, held.api)


async def test_passing_failures_are_retried(held: Opened):
    damaged = (faults.hang_up, faults.cut_off_json, faults.truncated_json, faults.empty_body, faults.not_json)
    for kind in (500, 429, faults.html_502, *damaged):
        held.api.fault("", 2, kind)
        assert (await first_page(held.source)).row_count == 1
        held.api.fault("", 2, kind)
        assert (await held.source.get_conversation(FIRST)).conversation_id == FIRST


async def test_the_key_is_sent_only_in_the_providers_header(held: Opened):
    await whole_list(held.source)
    await held.source.get_conversation(FIRST)
    await received(held.source, FIRST)

    header = {"elevenlabs": "xi-api-key", "voiceable": "x-api-key"}.get(held.provider.name, "authorization")
    value = KEY if header != "authorization" else f"Bearer {KEY}"
    for request in held.api.requests:
        assert {name: sent for name, sent in request.headers.items() if KEY in sent} == {header: value}
        assert KEY not in request.target


async def test_the_key_is_in_no_representation(held: Opened):
    assert KEY not in repr(held.source)
    assert KEY not in repr(vars(held.source))


async def test_a_wrong_key_is_an_authentication_error(held: Opened):
    held.api.key = "another"

    assert {type(error) for error in await refusals(held)} == {AuthenticationError}


async def test_the_providers_rate_limit_is_reported(held: Opened):
    before = held.source.requests_per_minute
    held.api.rate_limit_headers(50, 60)
    await first_page(held.source)

    assert (before, held.source.requests_per_minute) == (None, 50)
    assert held.source.concurrency == 16


async def test_a_recording_is_unchanged_and_typed_by_its_bytes(held: Opened):
    for media_type in ("audio/wav", "audio/mpeg", "application/octet-stream", "text/html"):
        held.api.recording_type = media_type
        assert await received(held.source, FIRST) == ("audio/wav", RECORDING)


async def test_a_missing_recording_is_reported_as_not_yet_available(held: Opened):
    del held.api.recordings[FIRST]

    with pytest.raises(NotFoundError, match=f"The recording of {FIRST} is not available yet"):
        await received(held.source, FIRST)


async def test_a_document_is_not_accepted_as_a_recording(held: Opened):
    held.api.recordings[FIRST] = b'{"status": "processing"}'
    for media_type in ("application/json", "audio/wav"):
        held.api.recording_type = media_type
        with pytest.raises(NotFoundError, match="sent a document instead"):
            await received(held.source, FIRST)


async def test_a_recording_that_breaks_off_is_an_error(held: Opened):
    held.api.fault(lambda request: request.path.endswith(("/recording", "/audio")), 1, faults.cut_off_json)
    held.api.fault("/files/", 1, faults.cut_off_json)
    with pytest.raises(ConnectionFailedError):
        await received(held.source, FIRST)


async def test_an_error_of_the_caller_while_reading_is_unchanged(held: Opened):
    with pytest.raises(NotFoundError, match="the reader's own"):
        async with held.source.open_recording(FIRST):
            raise NotFoundError("the reader's own")


async def test_a_recording_at_another_host_is_fetched_without_the_key():
    async with VOICEOS.opened() as opened, FakeAudioHost(opened.api.recordings) as audio:
        assert isinstance(opened.api, FakeVoiceOs)
        opened.api.audio_url = audio.url
        opened.api.recordings["a/b c"] = RECORDING

        assert await received(opened.source, "a/b c") == ("audio/wav", RECORDING)
        assert [KEY in str(request) for request in audio.requests] == [False]
        audio.files.expired = True
        with pytest.raises(NotFoundError, match="may have expired"):
            await received(opened.source, "a/b c")


async def test_configuration_and_tool_parameters_are_not_kept(opened: Opened):
    row = opened.provider.call(0, NOON)
    detail = opened.api.detail_of(row)
    if isinstance(said := detail.get("transcript"), list) and opened.source.pagination == "cursor":
        said.append(tool_turn())
    opened.api.list_carries_detail = True
    opened.api.add(row, detail)
    models = [*(await first_page(opened.source)).conversations, await opened.source.get_conversation(FIRST)]

    sends_secrets = "SECRET" in str(detail)
    assert sends_secrets == (opened.source.pagination == "cursor")
    assert "SECRET" not in repr(models)
