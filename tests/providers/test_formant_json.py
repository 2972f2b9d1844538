"""Formant's JSON: every documented form, and malformed answers."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from formant_mcp.errors import InvalidResponseError
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.providers.formant_json import parse_detail, parse_page
from tests.providers.cursors import sent
from tests.providers.parsed import formant_row

STARTED = 1685606154


def fixture(name: str) -> JsonValue:
    return json.loads(sent(f"formant/{name}"))


def test_the_list_of_the_guide_is_parsed():
    assert parse_page(fixture("list_guide")) == Page(
        conversations=(
            Conversation(
                conversation_id="e36853de-9cbb-441e-ad75-d3c8ac82abfb_1",
                agent_id="123",
                contact_number="+919876543210",
                status="completed",
                outcome="success",
                started_at=datetime(2026, 3, 18, hour=20, minute=53, second=21, microsecond=766000, tzinfo=UTC),
                ended_at=datetime(2026, 3, 18, hour=20, minute=55, second=41, microsecond=766000, tzinfo=UTC),
                duration_seconds=142.0,
            ),
        ),
        row_count=1,
        has_more=False,
        total=1,
    )


def test_the_list_of_the_openapi_document_is_parsed():
    assert parse_page(fixture("list_openapi")) == Page(
        conversations=(
            Conversation(
                conversation_id="conv_9876543210abcdef",
                agent_id="12345",
                contact_number="+14155552671",
                status="completed",
                outcome="success",
                failure_reason_known=True,
                started_at=datetime(2023, 6, 1, hour=7, minute=55, second=54, tzinfo=UTC),
                ended_at=datetime(2023, 6, 1, hour=8, tzinfo=UTC),
                duration_seconds=245.7,
                trace_id="trace_4f3b2a1c9d8e7f6a",
                results={"call_quality": "excellent", "transcription_confidence": 0.95},
                turns=(
                    Turn(
                        index=0,
                        role="agent",
                        text="Hello, thank you for calling FormantAI support. How can I assist you today?",
                        seconds=1.0,
                    ),
                    Turn(index=1, role="contact", text="Hi, I need help with my account settings.", seconds=6.0),
                ),
                has_detail=True,
            ),
        ),
        row_count=1,
        has_more=False,
        total=1,
    )


def test_the_detail_of_the_guide_is_parsed():
    assert parse_detail(fixture("detail_guide")) == Conversation(
        conversation_id="e36853de-9cbb-441e-ad75-d3c8ac82abfb_1",
        agent_id="123",
        contact_number="+919876543210",
        status="completed",
        outcome="success",
        failure_reason_known=True,
        duration_seconds=142.0,
        trace_id="a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        results={"intent": "payment_confirmed", "sentiment": "positive"},
        turns=(
            Turn(index=0, role="agent", text="Hello Rahul..."),
            Turn(index=1, role="contact", text="Yes, I can talk."),
        ),
        has_detail=True,
    )


def test_the_detail_of_the_openapi_document_is_parsed():
    assert parse_detail(fixture("detail_openapi")) == Conversation(
        conversation_id="c9f8a1d2-3b4e-4f6a-9d7e-123456789abc",
        agent_id="452",
        contact_number="+14155552671",
        status="completed",
        outcome="success",
        failure_reason_known=True,
        started_at=datetime(2023, 6, 1, hour=7, minute=55, second=54, tzinfo=UTC),
        ended_at=datetime(2023, 6, 1, hour=8, tzinfo=UTC),
        duration_seconds=245.7,
        trace_id="trace-7f3e2a1b-9c4d-4e5f-b8a1-2d3c4e5f6a7b",
        results={
            "call_quality": "excellent",
            "sentiment_analysis": {"overall_sentiment": "positive", "confidence": 0.92},
        },
        turns=(
            Turn(
                index=0,
                role="agent",
                text="Hello, thank you for calling FormantAI support. How can I assist you today?",
                seconds=0.0,
                end_seconds=5.0,
            ),
            Turn(
                index=1,
                role="contact",
                text="Hi, I'm having trouble accessing my account.",
                seconds=6.0,
                end_seconds=12.0,
            ),
        ),
        has_detail=True,
    )


def test_a_transcript_that_is_one_text_is_parsed():
    assert parse_detail(fixture("detail_flat_text")) == Conversation(
        conversation_id="e36853de-9cbb-441e-ad75-d3c8ac82abfb_1",
        agent_id="123",
        contact_number="+919876543210",
        status="completed",
        outcome="success",
        failure_reason_known=True,
        started_at=datetime(2026, 3, 18, hour=20, minute=53, second=21, microsecond=766000, tzinfo=UTC),
        ended_at=datetime(2026, 3, 18, hour=20, minute=53, second=52, microsecond=766000, tzinfo=UTC),
        duration_seconds=31.0,
        turns=(
            Turn(index=0, role="agent", text="नमस्ते, क्या अभी बात हो सकती है?"),
            Turn(index=1, role="contact", text="हाँ, boliye. Kal shaam tak payment ho jaayega."),
            Turn(index=2, role="agent", text="धन्यवाद।"),
        ),
        has_detail=True,
    )


def test_an_unanswered_call_is_parsed():
    assert parse_detail(fixture("detail_unanswered")) == Conversation(
        conversation_id="e36853de-9cbb-441e-ad75-d3c8ac82abfb_2",
        contact_number="+919876543210",
        status="no_answer",
        outcome="failure",
        failure_reason="Recipient did not answer.",
        failure_reason_known=True,
        started_at=datetime(2026, 3, 18, hour=20, minute=53, second=21, microsecond=766000, tzinfo=UTC),
        has_detail=True,
    )


@pytest.mark.parametrize("wire", [None, [], "text", 1, {}, {"data": {}}, {"data": "x"}, {"items": []}])
def test_a_page_whose_data_is_no_list_names_the_field(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="'data' is not a list"):
        parse_page(wire)


@pytest.mark.parametrize(
    "wire", [{"data": None}, {"data": None, "has_more": False, "total": 0}, {"has_more": False}, {"total": 0}]
)
def test_a_list_that_is_null_or_left_out_is_empty(wire: JsonValue):
    assert parse_page(wire) == Page((), 0, False, 0 if isinstance(wire, dict) and "total" in wire else None)


@pytest.mark.parametrize("wire", [{"data": None, "error": {"message": "no"}}, {"data": [], "errors": ["no"]}])
def test_an_error_in_a_page_is_raised(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="is an error"):
        parse_page(wire)


ONE: JsonValue = {"conversation_id": "c1", "status": "busy"}
WRAPPED: list[JsonValue] = [
    ONE,
    {"data": ONE},
    {"data": [ONE]},
    {"data": {"conversation": ONE}},
    {"status": "ok", "data": {"call": ONE}},
]


@pytest.mark.parametrize("wire", WRAPPED)
def test_a_detail_is_parsed_in_any_envelope(wire: JsonValue):
    read = parse_detail(wire)
    assert (read.conversation_id, read.status) == ("c1", "busy")


@pytest.mark.parametrize(
    "wire", [None, [], [{}], "text", 1, {}, {"data": None}, {"data": []}, {"data": "x"}, {"error": {}}]
)
def test_a_detail_whose_data_is_no_object_names_the_field(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="'data' is not an object"):
        parse_detail(wire)


@pytest.mark.parametrize("data", [{"result": []}, {"data": []}, {"item": [1, 2]}])
def test_a_list_among_the_fields_of_a_detail_is_no_other_envelope(data: JsonValue):
    assert parse_detail({"data": data}).conversation_id == ""


def test_a_detail_without_its_envelope_is_parsed():
    assert parse_detail({"conversation_id": "c1", "status": "busy"}).status == "busy"


def test_a_detail_without_an_id_has_an_empty_one():
    assert parse_detail({"data": {"status": "busy"}}).conversation_id == ""


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"conversation_id": None},
        {"conversation_id": "\u200b"},
        {"conversation_id": True},
        {"conversation_id": ["x"]},
        None,
        "c1",
        [],
    ],
)
def test_a_row_without_an_id_is_counted_and_left_out(bad: JsonValue):
    page = parse_page({"data": [{"conversation_id": "c1"}, bad, {"conversation_id": 7}], "has_more": True, "total": 9})

    assert [conversation.conversation_id for conversation in page.conversations] == ["c1", "7"]
    assert (page.row_count, page.unreadable, page.has_more, page.total) == (3, 1, True, 9)


@pytest.mark.parametrize(
    ("total", "read"),
    [(0, 0), (12, 12), ("12", 12), (12.0, 12), (-1, None), (1.5, None), (True, None), (None, None), ("many", None)],
)
def test_a_total_is_a_whole_number_or_left_out(total: JsonValue, read: int | None):
    assert parse_page({"data": [], "total": total}).total == read


@pytest.mark.parametrize(
    ("sent", "read"), [(True, True), ("true", True), (False, False), ("false", False), (None, False)]
)
def test_has_more_is_true_only_if_sent_as_true(sent: JsonValue, read: bool):
    assert parse_page({"data": [], "has_more": sent}).has_more is read
    assert parse_page({"data": []}).has_more is False


@pytest.mark.parametrize(
    ("status", "end", "outcome", "ended"),
    [
        ("completed", None, "success", True),
        ("COMPLETED ", None, "success", True),
        *[
            (status, None, "failure", True)
            for status in [
                "failed",
                "busy",
                "no_answer",
                "No Answer",
                "no-answer",
                "socket_failure",
                "telephony_failed",
                "unreachable",
                "canceled",
                "cancelled",
            ]
        ],
        *[
            (status, STARTED, None, False)
            for status in [
                "initiated",
                "scheduled",
                "pending",
                "queued",
                "in_progress",
                "In-Progress",
                "ongoing",
                "ringing",
                "started",
                "processing",
            ]
        ],
        ("voicemail", STARTED, "failure", True),
        ("voicemail", None, None, True),
        (None, STARTED, None, True),
        (None, None, None, False),
        (["completed"], None, None, False),
    ],
)
def test_the_outcome_follows_from_the_status(status: JsonValue, end: int | None, outcome: str | None, ended: bool):
    read = formant_row(status=status, end_timestamp=end)

    assert (read.outcome, read.ended) == (outcome, ended)


def test_a_row_has_its_detail_only_with_transcript_and_results():
    assert formant_row(transcript=[], results={}).has_detail
    assert not formant_row(transcript=[], results=None).has_detail
    assert not formant_row(results={}).has_detail
    assert parse_detail({"data": {}}).has_detail


def test_an_absent_failure_reason_differs_from_an_empty_one():
    assert not formant_row().failure_reason_known
    assert formant_row(failure_reason=None).failure_reason_known
    assert parse_detail({"data": {}}).failure_reason_known
