"""The fake APIs of providers whose lists are paged by cursor, on which other tests rely."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.calls import conversation_id
from tests.cursor_calls import elevenlabs_call, voiceable_call, voiceos_call
from tests.fake_cursor import FakeElevenLabs, FakeVoiceable
from tests.fake_voiceos import FakeVoiceOs

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
LIST = "/v1/convai/conversations"


@pytest.fixture
def elevenlabs() -> Generator[FakeElevenLabs]:
    with FakeElevenLabs.in_thread() as api:
        for n in range(70):
            api.add(
                elevenlabs_call(n, NOON - timedelta(seconds=n), agent_id=n % 2, status=("completed", "busy")[n % 2])
            )
        yield api


@pytest.fixture
def voiceos() -> Generator[FakeVoiceOs]:
    with FakeVoiceOs.in_thread() as api:
        for n in range(5):
            api.add(voiceos_call(n, NOON, status=("completed", "queued")[n % 2]))
            api.created_at[conversation_id(n)] = NOON - timedelta(seconds=n)
        yield api


def ids(answer: httpx.Response) -> list[str]:
    return [row["conversation_id"] for row in answer.json()["conversations"]]


def test_a_page_has_thirty_rows_by_default(elevenlabs: FakeElevenLabs):
    page = httpx.get(elevenlabs.url + LIST).json()

    assert (len(page["conversations"]), page["has_more"], "total" in page) == (30, True, False)
    assert page["conversations"][0].keys().isdisjoint({"user_id", "metadata", "transcript", "transcript_summary"})


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("agent_id=1", range(1, 70, 2)),
        ("call_successful=success", range(0, 70, 2)),
        ("call_successful=unknown", []),
        (f"call_start_after_unix={SECONDS - 2}", [0, 1, 2]),
        (f"call_start_before_unix={SECONDS - 67}", [67, 68, 69]),
        ("user_id=user_14155550103", [3]),
        (f"agent_id=1&call_start_after_unix={SECONDS - 2}", [1]),
    ],
)
def test_elevenlabs_filters_its_list(elevenlabs: FakeElevenLabs, query: str, numbers: list[int]):
    assert ids(httpx.get(f"{elevenlabs.url}{LIST}?page_size=100&{query}")) == [conversation_id(n) for n in numbers]


def test_time_bounds_can_be_exclusive(elevenlabs: FakeElevenLabs):
    elevenlabs.bounds_included = False
    answer = httpx.get(f"{elevenlabs.url}{LIST}?call_start_after_unix={SECONDS - 3}&call_start_before_unix={SECONDS}")

    assert ids(answer) == [conversation_id(1), conversation_id(2)]


@pytest.mark.parametrize(
    "query",
    ["page_size=101", "page_size=0", "cursor=gone", "call_start_after_unix=x", "call_successful=yes", "pagesize=1"],
)
def test_an_undocumented_query_is_refused(elevenlabs: FakeElevenLabs, query: str):
    answer = httpx.get(f"{elevenlabs.url}{LIST}?{query}")

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", query.partition("=")[0]])


def test_cursors_repeat_after_the_set_number_of_pages(elevenlabs: FakeElevenLabs):
    elevenlabs.cursor_cycle = 2
    cursors: list[str] = []
    for _ in range(5):
        params = {"page_size": "10"} | ({"cursor": cursors[-1]} if cursors else {})
        page = httpx.get(elevenlabs.url + LIST, params=params).json()
        assert page["has_more"]
        cursors.append(page["next_cursor"])

    assert cursors[:2] * 2 + cursors[:1] == cursors
    assert len(set(cursors)) == 2


def test_newer_calls_do_not_shift_later_pages(elevenlabs: FakeElevenLabs):
    cursor = httpx.get(elevenlabs.url + LIST).json()["next_cursor"]
    elevenlabs.add(elevenlabs_call(1_000, NOON + timedelta(hours=1)))
    elevenlabs.remove(conversation_id(29))

    assert ids(httpx.get(elevenlabs.url + LIST, params={"cursor": cursor}))[0] == conversation_id(30)


def test_voiceable_answers_in_an_envelope_and_has_its_own_errors():
    with FakeVoiceable.in_thread() as api:
        api.add(voiceable_call(1, NOON))
        good, bad = httpx.get(f"{api.url}/conversations").json(), httpx.get(f"{api.url}/conversations/gone").json()

    assert good["status"] == {"code": 200, "message": "OK"}
    assert good["data"] | {"conversations": []} == {"conversations": [], "cursor": None, "has_more": False, "total": 1}
    assert good["data"]["conversations"][0]["created_at"] == "2026-11-20T12:00:00.000Z"
    assert bad == {"status": 404, "error": "Not Found", "errors": ["Conversation not found."], "details": None}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("limit=2&index=2", [2, 3]),
        ("limit=2&index=4", []),
        ("status=queued", [1, 3]),
        ("created_after=2026-11-20T11:59:58Z", [0, 1, 2]),
        ("created_before=2026-11-20T17:29:57%2B05:30&status=ended", [4]),
    ],
)
def test_voiceos_counts_pages_from_one_and_filters_by_creation(voiceos: FakeVoiceOs, query: str, numbers: list[int]):
    page = httpx.get(f"{voiceos.url}/conversations?{query}").json()

    assert [row["id"] for row in page["items"]] == [conversation_id(n) for n in numbers]


@pytest.mark.parametrize(
    "query", ["index=0", "limit=101", "status=done", "created_after=then", "created_before=0", "page=2"]
)
def test_voiceos_refuses_an_undocumented_query(voiceos: FakeVoiceOs, query: str):
    answer = httpx.get(f"{voiceos.url}/conversations?{query}")

    assert (answer.status_code, answer.json().keys()) == (422, {"detail"})
