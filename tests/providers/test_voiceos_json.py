"""VoiceOS' JSON: every documented form, and malformed answers."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.errors import FormantError, InvalidResponseError
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.voiceos_json import parse_detail, parse_page
from tests.providers.cursors import sent


def detail(**fields: JsonValue) -> Conversation:
    return parse_detail({"id": "c1", **fields})


def test_the_list_of_the_reference_is_parsed():
    assert parse_page(json.loads(sent("voiceos/list")), 1) == CursorPage(
        page=Page(
            conversations=(
                Conversation(
                    conversation_id="0f8d4c1e-53f2-4a57-9a2e-6f1b1c6d9a01",
                    agent_id="agent_7",
                    contact_number="+14155550144",
                    direction="outbound",
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
                    direction="inbound",
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
                    direction="web",
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
                    direction="outbound",
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


def test_a_conversation_equals_its_row():
    rows = parse_page(json.loads(sent("voiceos/list")), 1).page.conversations

    assert parse_detail(json.loads(sent("voiceos/detail"))) == rows[0]


def test_configuration_of_agents_is_not_kept():
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
def test_a_call_ended_by_agent_or_contact_is_a_success(
    fields: dict[str, JsonValue], outcome: str | None, ended: bool, reason: str | None
):
    read = detail(**fields)

    assert (read.outcome, read.ended, read.failure_reason) == (outcome, ended, reason)


@pytest.mark.parametrize(
    ("kind", "number"),
    [("inbound_phone_call", "+2"), ("outbound_phone_call", "+1"), ("web_call", None), (None, None), ({}, None)],
)
def test_the_contact_number_is_that_of_the_other_end(kind: JsonValue, number: str | None):
    assert detail(type=kind, phone_call={"to_number": "+1", "from_number": "+2"}).contact_number == number


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"status": ["ended"]}, {"status"}),
        ({"started_at": "some time ago", "ended_at": "later"}, {"started_at", "duration_seconds"}),
        ({"agent_id": {"team": 1}}, {"agent_id"}),
        ({"ended_reason": {"why": 1}}, {"failure_reason"}),
        ({"type": "inbound_phone_call", "phone_call": {"from_number": ["+1"]}}, {"contact_number"}),
        ({"status": {"code": "ended"}, "ended_at": None, "agent_id": ""}, frozenset[str]()),
    ],
)
def test_a_field_that_cannot_be_parsed_is_named(fields: dict[str, JsonValue], lost: set[str]):
    assert detail(**fields).unreadable.fields == lost


@pytest.mark.parametrize(
    ("costs", "read"),
    [
        ({"total": 0.2, "voice": {"cost": "0.1"}, "telephony": None, "agent": {}}, {"total": 0.2, "voice": 0.1}),
        ({"total": 0}, {"total": 0}),
        (None, None),
        ("free", None),
    ],
)
def test_costs_are_parsed_to_numbers(costs: JsonValue, read: JsonValue):
    assert (detail(cost_breakdown=costs).results or {}).get("cost") == read


@pytest.mark.parametrize("wire", [None, [], {}, {"items": {}}, {"detail": "no"}])
def test_an_answer_without_a_list_is_refused(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="items"):
        parse_page(wire, 1)


def test_a_list_that_is_null_is_empty():
    assert parse_page({"items": None, "index": 1, "has_more": False}, 1) == CursorPage(Page((), 0, False), "")


@pytest.mark.parametrize("wire", [None, [], {}, {"detail": "no"}])
def test_an_answer_without_a_conversation_is_refused(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="not a conversation"):
        parse_detail(wire)


@pytest.mark.parametrize("stated", [0, 1, 3, "3"])
def test_another_page_than_requested_is_refused(stated: JsonValue):
    with pytest.raises(InvalidResponseError, match=f"page {stated}, not page 2"):
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
def test_any_json_is_parsed_or_refused(wire: JsonValue):
    with suppress(FormantError):
        parse_page(wire, 1)
    with suppress(FormantError):
        parse_detail(wire)
    assert detail(messages=[wire], cost_breakdown=wire, phone_call=wire, started_at=wire).conversation_id == "c1"
