"""The sample calls as ElevenLabs and VoiceOS send them, through the real clients: the same calls as Formant's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import anyio
import httpx
import pytest

from formant_mcp.demo.audio import wav_of
from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.sample_api import InProcess, SampleApi
from formant_mcp.demo.sample_elevenlabs import SampleElevenLabs
from formant_mcp.demo.sample_formant import SampleFormant
from formant_mcp.demo.sample_voiceos import SampleVoiceOs
from formant_mcp.errors import AuthenticationError, InvalidRequestError, NotFoundError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.providers.base import CursorProvider
from formant_mcp.providers.elevenlabs import ElevenLabsProvider
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.voiceos import VoiceOsProvider
from tests.examples import some
from tests.provider_apis import received, whole_list

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 7, 21, 10, 42, tzinfo=UTC)
Opened = Callable[[tuple[SampleCall, ...]], CursorProvider]
API = "https://api.example.test"


@pytest.fixture(scope="module")
def calls() -> tuple[SampleCall, ...]:
    return sample_calls(NOW)


def served(api: type[SampleApi], calls: tuple[SampleCall, ...]) -> InProcess:
    return InProcess(api(calls, lambda: NOW).respond)


def elevenlabs(calls: tuple[SampleCall, ...], key: str = "k") -> ElevenLabsProvider:
    return ElevenLabsProvider(API, key, transport=served(SampleElevenLabs, calls))


def voiceos(calls: tuple[SampleCall, ...], key: str = "k") -> VoiceOsProvider:
    return VoiceOsProvider(API, key, transport=served(SampleVoiceOs, calls))


both = pytest.mark.parametrize("opened", [elevenlabs, voiceos])


@pytest.fixture(scope="module")
def from_formant(calls: tuple[SampleCall, ...]) -> list[Conversation]:
    """The calls as Formant sends them."""
    return anyio.run(read_from_formant, calls)


async def read_from_formant(calls: tuple[SampleCall, ...]) -> list[Conversation]:
    source = FormantProvider("https://formant.invalid", "k", transport=served(SampleFormant, calls))
    return [await source.get_conversation(call.conversation_id) for call in calls]


@cache
def from_others(opened: Opened) -> dict[str, Conversation]:
    """The calls as another provider sends them."""

    async def read() -> dict[str, Conversation]:
        calls = sample_calls(NOW)
        source = opened(calls)
        return {call.conversation_id: await source.get_conversation(call.conversation_id) for call in calls}

    return anyio.run(read)


@both
async def test_pages_list_every_call_once_newest_first(calls: tuple[SampleCall, ...], opened: Opened):
    assert [row.conversation_id for row in await whole_list(opened(calls))] == [call.conversation_id for call in calls]


@both
def test_conversations_agree_with_formants(
    calls: tuple[SampleCall, ...], opened: Opened, from_formant: list[Conversation]
):
    for call, expected in zip(calls, from_formant, strict=True):
        read = from_others(opened)[call.conversation_id]
        for name in ("conversation_id", "agent_id", "contact_number", "ended"):
            assert getattr(read, name) == getattr(expected, name), name
        assert read.started_at is not None
        assert timedelta() <= call.started_at - read.started_at < timedelta(seconds=1)
        assert [(turn.role, turn.text) for turn in read.turns or ()] == [
            (turn.role, turn.text) for turn in expected.turns or ()
        ]
        if expected.duration_seconds is not None:
            assert read.duration_seconds is not None
            assert abs(read.duration_seconds - expected.duration_seconds) <= 0.5
        assert read.ended or (read.duration_seconds, read.ended_at) == (None, None)


@both
async def test_outcomes_agree_with_formants(calls: tuple[SampleCall, ...], opened: Opened):
    formant = FormantProvider("https://formant.invalid", "k", transport=served(SampleFormant, calls))
    pages = [await formant.list_page(offset) for offset in range(0, len(calls), formant.page_size)]
    expected = {row.conversation_id: row.outcome for page in pages for row in page.conversations}

    assert {row.conversation_id: row.outcome for row in await whole_list(opened(calls))} == expected
    assert set(expected.values()) == {"success", "failure", None}


def test_elevenlabs_results_and_failure_reasons_agree_with_formants(from_formant: list[Conversation]):
    for expected in from_formant:
        read = from_others(elevenlabs)[expected.conversation_id]
        assert (read.results or {}).get("data") == expected.results
        assert ("summary" in (read.results or {})) == (expected.results is not None)
        assert read.failure_reason == expected.failure_reason


async def test_voiceos_results_have_type_cost_and_ended_reason(calls: tuple[SampleCall, ...]):
    for row in await whole_list(voiceos(calls)):
        results = row.results or {}
        assert results["type"] == "outbound_phone_call"
        assert ("cost" in results) == ("ended_reason" in results) == row.ended
        assert (row.failure_reason == "unknown") == (row.outcome == "failure")


@pytest.mark.parametrize(
    "filters",
    some(
        [
            Filters(agent_id="456"),
            Filters(since=NOW - timedelta(days=9)),
            Filters(call_successful="failure", agent_id="123", since=NOW - timedelta(days=30), until=NOW),
            Filters(until=NOW - timedelta(days=9)),
            Filters(call_successful="success"),
        ],
        2,
    ),
)
@both
async def test_a_filtered_list_has_every_match_and_is_shorter(
    calls: tuple[SampleCall, ...], opened: Opened, filters: Filters
):
    def is_match(row: Conversation) -> bool:
        return (
            filters.agent_id in ("", row.agent_id)
            and (filters.since is None or (row.started_at is not None and row.started_at >= filters.since))
            and (filters.until is None or (row.started_at is not None and row.started_at <= filters.until))
            and filters.call_successful in ("any", row.outcome)
        )

    source = opened(calls)
    everything, narrowed = await whole_list(source), await whole_list(source, filters)

    assert [row for row in narrowed if is_match(row)] == [row for row in everything if is_match(row)]
    can_be_narrowed = opened is elevenlabs or filters.agent_id == ""
    assert len(narrowed) < len(everything) or not can_be_narrowed


async def test_elevenlabs_lists_the_calls_of_one_user(calls: tuple[SampleCall, ...]):
    source = elevenlabs(calls)
    user_id = (await source.get_conversation(calls[0].conversation_id)).user_id
    rows = await whole_list(source, Filters(user_id=user_id or "nobody"))

    assert {row.conversation_id for row in rows} == {
        call.conversation_id for call in calls if call.contact_number == calls[0].contact_number
    }


@both
async def test_a_recording_is_served_only_when_ready(calls: tuple[SampleCall, ...], opened: Opened):
    source = opened(calls)
    ready = next(call for call in calls if call.as_of(NOW).recording == "ready")
    missing = next(call for call in calls if call.as_of(NOW).recording != "ready")

    assert await received(source, ready.conversation_id) == ("audio/wav", b"".join(wav_of(ready)))
    with pytest.raises(NotFoundError, match="not available yet"):
        await received(source, missing.conversation_id)
    with pytest.raises(NotFoundError, match="No conversation nobody"):
        await source.get_conversation("nobody")


@pytest.mark.parametrize("opened", [elevenlabs, voiceos])
async def test_a_request_without_a_key_is_refused(
    calls: tuple[SampleCall, ...], opened: Callable[[tuple[SampleCall, ...], str], CursorProvider]
):
    with pytest.raises(AuthenticationError):
        await opened(calls, " ").list_page("", Filters())


async def test_elevenlabs_refuses_an_invalid_cursor_and_voiceos_ends_the_list(calls: tuple[SampleCall, ...]):
    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await elevenlabs(calls).list_page("gone", Filters())
    assert (await voiceos(calls).list_page("999", Filters())).next_cursor == ""


@pytest.mark.parametrize(
    ("api", "path", "headers", "status"),
    [
        (SampleElevenLabs, "/v1/convai/conversations?page_size=101", {"xi-api-key": "k"}, 422),
        (SampleElevenLabs, "/v1/convai/conversations?page_size=many", {"xi-api-key": "k"}, 422),
        (SampleElevenLabs, "/v1/convai/agents", {"xi-api-key": "k"}, 404),
        (SampleVoiceOs, "/conversations?index=0", {"Authorization": "Bearer k"}, 422),
        (SampleVoiceOs, "/conversations?status=done", {"Authorization": "Bearer k"}, 422),
        (SampleVoiceOs, "/conversations?created_after=then", {"Authorization": "Bearer k"}, 422),
        (SampleVoiceOs, "/agents", {"Authorization": "Bearer k"}, 404),
    ],
)
async def test_the_apis_refuse_invalid_parameters_and_unknown_paths(
    calls: tuple[SampleCall, ...],
    api: type[SampleApi],
    path: str,
    headers: dict[str, str],
    status: int,
):
    async with httpx.AsyncClient(transport=served(api, calls), base_url="https://api.invalid") as client:
        answer = await client.get(path, headers=headers)

    assert (answer.status_code, "detail" in answer.json()) == (status, True)
