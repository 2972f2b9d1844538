"""VoiceOS: its JSON, its endpoints, and recordings that lie elsewhere."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import JsonValue

from formant_mcp.errors import FormantError, InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.source import CursorPage, Narrowing
from formant_mcp.sources.voiceos import VoiceOsSource
from formant_mcp.sources.voiceos_wire import parse_detail, parse_page
from tests.sources.cursors import EVERYTHING, KEY, Handler, no_sleep, received, sent, whole_list

pytestmark = pytest.mark.anyio

ID = "0f8d4c1e-53f2-4a57-9a2e-6f1b1c6d9a01"
API = "https://api.voiceos.io"


def source_for(handler: Handler, base_url: str = "") -> VoiceOsSource:
    return VoiceOsSource(base_url, KEY, transport=httpx.MockTransport(handler), sleep=no_sleep)


def answering(name: str, status: int = 200) -> VoiceOsSource:
    return source_for(lambda request: httpx.Response(status, content=sent(name)))


def detail(**fields: JsonValue) -> Conversation:
    return parse_detail({"id": "c1", **fields})


def test_the_list():
    assert parse_page(json.loads(sent("voiceos/list")), 1) == snapshot(
        CursorPage(
            page=Page(
                conversations=(
                    Conversation(
                        conversation_id="0f8d4c1e-53f2-4a57-9a2e-6f1b1c6d9a01",
                        agent_id="agent_7",
                        contact_number="+14155550144",
                        status="ended",
                        outcome="success",
                        failure_reason_known=True,
                        started_at=datetime(2024, 6, 11, hour=8, second=3, microsecond=125000, tzinfo=UTC),
                        ended_at=datetime(2024, 6, 11, hour=8, minute=2, second=33, microsecond=625000, tzinfo=UTC),
                        duration_seconds=150.5,
                        results={
                            "type": "outbound_phone_call",
                            "ended_reason": "user_ended",
                            "cost": {
                                "agent": 0.05,
                                "language_model": 0.021,
                                "transcriber": 0.01,
                                "voice": 0.03,
                                "telephony": 0.0,
                                "total": 0.111,
                            },
                        },
                        turns=(
                            Turn(index=0, role="agent", text="Hello, this is the clinic."),
                            Turn(index=1, role="contact", text="Yes, I will come."),
                        ),
                        has_detail=True,
                    ),
                    Conversation(
                        conversation_id="2b7c",
                        contact_number="+14155550155",
                        status="ended",
                        outcome="failure",
                        failure_reason="unknown",
                        failure_reason_known=True,
                        started_at=datetime(2024, 6, 11, hour=7, tzinfo=UTC),
                        ended_at=datetime(2024, 6, 11, hour=7, second=20, tzinfo=UTC),
                        duration_seconds=20.0,
                        results={"type": "inbound_phone_call", "ended_reason": "unknown"},
                        turns=(),
                        has_detail=True,
                    ),
                    Conversation(
                        conversation_id="3c8d",
                        agent_id="agent_7",
                        status="started",
                        ended=False,
                        failure_reason_known=True,
                        started_at=datetime(2024, 6, 11, hour=8, minute=10, tzinfo=UTC),
                        results={"type": "web_call"},
                        turns=(Turn(index=0, role="agent", text=""),),
                        has_detail=True,
                    ),
                    Conversation(
                        conversation_id="4d9e",
                        agent_id="agent_7",
                        status="queued",
                        ended=False,
                        failure_reason_known=True,
                        results={"type": "outbound_phone_call"},
                        turns=(),
                        has_detail=True,
                    ),
                ),
                row_count=5,
                has_more=True,
                unreadable=1,
            ),
            next_cursor="2",
        )
    )


def test_one_conversation_is_what_its_row_is():
    rows = parse_page(json.loads(sent("voiceos/list")), 1).page.conversations

    assert parse_detail(json.loads(sent("voiceos/detail"))) == rows[0]


def test_the_agents_configuration_is_not_kept():
    assert b"SECRET" in sent("voiceos/list")
    assert "SECRET" not in repr(parse_page(json.loads(sent("voiceos/list")), 1))


@pytest.mark.parametrize(
    ("fields", "outcome", "ended", "reason"),
    [
        ({"status": "ended", "ended_reason": "agent_ended"}, "success", True, None),
        ({"status": "ended", "ended_reason": "user_ended"}, "success", True, None),
        ({"status": "ended", "ended_reason": "unknown"}, "failure", True, "unknown"),
        ({"status": "ended", "ended_reason": "carrier_lost"}, "failure", True, "carrier_lost"),
        ({"status": "ended", "ended_reason": None}, None, True, None),
        ({"status": "started", "ended_reason": "unknown"}, None, False, None),
        ({"status": "queued"}, None, False, None),
        ({}, None, False, None),
        ({"ended_at": "2024-06-11T08:00:00Z", "ended_reason": "user_ended"}, "success", True, None),
    ],
)
def test_a_call_that_one_of_the_two_ended_is_a_success(
    fields: dict[str, JsonValue], outcome: str | None, ended: bool, reason: str | None
):
    read = detail(**fields)

    assert (read.outcome, read.ended, read.failure_reason) == (outcome, ended, reason)


@pytest.mark.parametrize(
    ("kind", "number"),
    [("inbound_phone_call", "+2"), ("outbound_phone_call", "+1"), ("web_call", None), (None, None), ({}, None)],
)
def test_the_contacts_number_is_the_other_ends(kind: JsonValue, number: str | None):
    assert detail(type=kind, phone_call={"to_number": "+1", "from_number": "+2"}).contact_number == number


@pytest.mark.parametrize(
    ("costs", "read"),
    [
        ({"total": 0.2, "voice": {"cost": "0.1"}, "telephony": None, "agent": {}}, {"total": 0.2, "voice": 0.1}),
        ({"total": 0}, {"total": 0}),
        (None, None),
        ("free", None),
    ],
)
def test_costs_are_figures(costs: JsonValue, read: JsonValue):
    assert (detail(cost_breakdown=costs).results or {}).get("cost") == read


@pytest.mark.parametrize("wire", [None, [], {}, {"items": None}, {"items": {}}, {"detail": "no"}])
def test_an_answer_without_a_list_is_refused(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="items"):
        parse_page(wire, 1)


@pytest.mark.parametrize("stated", [0, 1, 3, "3"])
def test_another_page_than_asked_for_is_the_providers_error(stated: JsonValue):
    with pytest.raises(InvalidResponseError, match=f"page {stated} and not page 2"):
        parse_page({"items": [], "index": stated, "has_more": True}, 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "items", "status", "type", "messages", "role", "content", "cost_breakdown", "index"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_json_breaks_the_reading(wire: JsonValue):
    with suppress(FormantError):
        parse_page(wire, 1)
    with suppress(FormantError):
        parse_detail(wire)
    assert detail(messages=[wire], cost_breakdown=wire, phone_call=wire, started_at=wire).conversation_id == "c1"


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
