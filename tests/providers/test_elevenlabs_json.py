"""The cursor family's JSON: every documented form, and malformed answers."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from formant_mcp.errors import AuthenticationError, FormantError, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.providers.base import CursorPage
from formant_mcp.providers.elevenlabs_json import parse_detail, parse_page
from tests.providers.cursors import sent
from tests.providers.parsed import elevenlabs_detail


def fixture(name: str) -> JsonValue:
    return json.loads(sent(name))


def test_elevenlabs_list_fixture_is_parsed():
    assert parse_page(fixture("elevenlabs/list"), "") == CursorPage(
        page=Page(
            conversations=(
                Conversation(
                    conversation_id="conv_8501kb2m4tq7f3vb9d1x2c6n0pza",
                    agent_id="agent_3701k3ttaq12ewp8b7qv5rfyszkz",
                    agent_name="Order desk",
                    direction="inbound",
                    status="done",
                    outcome="success",
                    failure_reason_known=True,
                    started_at=datetime(2025, 11, 20, hour=11, minute=2, second=33, tzinfo=UTC),
                    ended_at=datetime(2025, 11, 20, hour=11, minute=4, second=7, tzinfo=UTC),
                    duration_seconds=94.0,
                    results={
                        "summary": "The caller asked where an order was and was told it comes on Monday.",
                        "ended_reason": "end_call tool was called.",
                    },
                ),
                Conversation(
                    conversation_id="conv_1101kb2kx0m5e8ysg7c4w9r2t6hd",
                    agent_id="agent_3701k3ttaq12ewp8b7qv5rfyszkz",
                    agent_name="Order desk",
                    status="failed",
                    outcome="failure",
                    failure_reason="Client disconnected: 1006",
                    started_at=datetime(2025, 11, 20, hour=9, minute=46, second=41, tzinfo=UTC),
                    ended_at=datetime(2025, 11, 20, hour=9, minute=46, second=48, tzinfo=UTC),
                    duration_seconds=7.0,
                    results={"ended_reason": "Client disconnected: 1006"},
                ),
                Conversation(
                    conversation_id="conv_5201kb2n9",
                    agent_id="agent_9901k9xw",
                    status="in-progress",
                    ended=False,
                    started_at=datetime(2025, 11, 20, hour=11, minute=10, tzinfo=UTC),
                ),
            ),
            row_count=3,
            has_more=True,
        ),
        next_cursor="eyJzdGFydCI6MTc2MzYzMjAwMX0=",
    )


def test_elevenlabs_detail_fixture_is_parsed():
    assert parse_detail(fixture("elevenlabs/detail")) == Conversation(
        conversation_id="conv_8501kb2m4tq7f3vb9d1x2c6n0pza",
        agent_id="agent_3701k3ttaq12ewp8b7qv5rfyszkz",
        agent_name="Order desk",
        contact_number="+14155550123",
        user_id="user_77",
        direction="inbound",
        status="done",
        outcome="success",
        failure_reason_known=True,
        started_at=datetime(2025, 11, 20, hour=11, minute=2, second=33, tzinfo=UTC),
        ended_at=datetime(2025, 11, 20, hour=11, minute=4, second=7, tzinfo=UTC),
        duration_seconds=94.0,
        results={
            "summary": "The caller asked where an order was and was told it comes on Monday.",
            "ended_reason": "end_call tool was called.",
            "evaluation": {"greeted": "success", "offered_refund": "unknown"},
            "evaluation_rationale": {"greeted": "The agent said good morning."},
            "data": {"order_number": 4711, "is_angry": False, "email": None},
            "data_rationale": {
                "order_number": "The caller read it out.",
                "is_angry": "Calm throughout.",
                "email": "None was given.",
            },
        },
        turns=(
            Turn(index=0, role="agent", text="Good morning, order desk.", seconds=0.0),
            Turn(index=1, role="contact", text="Where is order 4711?", seconds=4.0),
            Turn(index=2, role="tool", text="tool call get_order", seconds=8.0),
            Turn(
                index=3,
                role="tool",
                text="tool result get_order: error timeout: The shop did not answer",
                seconds=8.0,
            ),
            Turn(index=4, role="agent", text="One moment, I will try again.", seconds=12.0),
            Turn(index=5, role="tool", text="tool call get_order", seconds=12.0),
            Turn(index=6, role="tool", text="tool result get_order", seconds=14.0),
            Turn(index=7, role="contact", text="", seconds=20.0, interrupted=False),
            Turn(index=8, role="agent", text="It comes on Monday.", seconds=24.0),
        ),
        tool_errors=1,
        has_detail=True,
    )


def test_voiceable_list_fixture_is_parsed():
    assert parse_page(fixture("voiceable/list_conversations"), "") == CursorPage(
        page=Page(
            conversations=(
                Conversation(
                    conversation_id="conv_a1",
                    agent_id="agent_reminders",
                    agent_name="Reminders",
                    status="done",
                    outcome="failure",
                    failure_reason="Contact hung up",
                    failure_reason_known=True,
                    started_at=datetime(2025, 11, 20, hour=11, minute=2, second=33, microsecond=250000, tzinfo=UTC),
                    ended_at=datetime(2025, 11, 20, hour=11, minute=2, second=45, microsecond=750000, tzinfo=UTC),
                    duration_seconds=12.5,
                    turns=(Turn(index=0, role="agent", text="Hello?", seconds=1.0),),
                ),
            ),
            row_count=2,
            has_more=True,
            total=3,
            unreadable=1,
        ),
        next_cursor="b2Zmc2V0OjE=",
    )


def test_voiceable_detail_fixture_is_parsed():
    assert parse_detail(fixture("voiceable/detail")) == Conversation(
        conversation_id="conv_a1",
        agent_id="agent_reminders",
        agent_name="Reminders",
        contact_number="+919999900012",
        status="done",
        outcome="success",
        failure_reason_known=True,
        started_at=datetime(2025, 11, 20, hour=11, minute=2, second=33, microsecond=250000, tzinfo=UTC),
        ended_at=datetime(2025, 11, 20, hour=11, minute=2, second=45, microsecond=750000, tzinfo=UTC),
        duration_seconds=12.5,
        turns=(
            Turn(index=0, role="agent", text="Hello?", seconds=1.0),
            Turn(index=1, role="contact", text="नमस्ते, अभी बात नहीं कर सकता।", seconds=3.0),
        ),
        has_detail=True,
    )


def test_configuration_of_agents_and_tools_is_not_kept():
    assert "SECRET" in json.dumps(fixture("elevenlabs/detail"))
    assert "SECRET" not in repr(parse_detail(fixture("elevenlabs/detail")))


@pytest.mark.parametrize(
    ("name", "conversation_id", "next_cursor"),
    [
        ("list_conversations", "conv_a1", "b2Zmc2V0OjE="),
        ("list_items", "conv_a2", ""),
        ("list_bare", "conv_a3", "b2Zmc2V0OjM="),
    ],
)
def test_an_enveloped_list_may_have_either_name_or_none(name: str, conversation_id: str, next_cursor: str):
    read = parse_page(fixture(f"voiceable/{name}"), "")

    assert [conversation.conversation_id for conversation in read.page.conversations] == [conversation_id]
    assert (read.next_cursor, read.page.has_more) == (next_cursor, bool(next_cursor))


def test_the_cursor_may_be_beside_the_list_in_the_envelope():
    beside: JsonValue = {"data": {"items": []}, "cursor": "n", "has_more": True, "total": 9}
    read = parse_page(beside, "")

    assert (read.next_cursor, read.page.total) == ("n", 9)


def test_a_bare_list_is_the_only_page():
    assert parse_page([{"conversation_id": "c1"}], "") == CursorPage(
        Page((Conversation("c1", ended=False),), 1, False), ""
    )


@pytest.mark.parametrize(("wire", "cursor"), [([], ""), ([], "asked"), ([{"conversation_id": "c1"}], "asked")])
def test_a_bare_list_without_rows_or_at_a_cursor_is_no_page(wire: JsonValue, cursor: str):
    with pytest.raises(InvalidResponseError):
        parse_page(wire, cursor)


@pytest.mark.parametrize(
    ("fields", "next_cursor"),
    [
        ({"next_cursor": "n", "has_more": True}, "n"),
        ({"cursor": "n", "has_more": True}, "n"),
        ({"next_cursor": "n", "cursor": "asked", "has_more": True}, "n"),
        ({"next_cursor": " n\u200b=", "has_more": True}, " n\u200b="),
        ({"next_cursor": 7, "has_more": True}, "7"),
        ({"next_cursor": "n"}, "n"),
        ({"next_cursor": "n", "has_more": None}, "n"),
        ({"next_cursor": None}, ""),
        ({"cursor": ""}, ""),
        ({}, ""),
        ({"next_cursor": "n", "has_more": False}, ""),
        ({"next_cursor": None, "cursor": "asked"}, ""),
        ({"cursor": "asked", "has_more": False}, ""),
    ],
)
def test_the_next_cursor_is_parsed_from_either_name(fields: dict[str, JsonValue], next_cursor: str):
    read = parse_page({"conversations": [], **fields}, "asked")

    assert (read.next_cursor, read.page.has_more) == (next_cursor, next_cursor != "")


@pytest.mark.parametrize(
    "fields",
    [
        {"next_cursor": "asked", "has_more": True},
        {"cursor": "asked"},
        {"next_cursor": None, "has_more": True},
        {"next_cursor": "", "has_more": True},
        {"next_cursor": {}, "has_more": True},
    ],
)
def test_a_page_with_more_to_come_but_no_new_cursor_ends_the_list_early(fields: dict[str, JsonValue]):
    read = parse_page({"conversations": [{"conversation_id": "c1"}], **fields}, "asked")

    assert [conversation.conversation_id for conversation in read.page.conversations] == ["c1"]
    assert (read.next_cursor, read.page.has_more, read.ends_early) == ("", False, True)


@pytest.mark.parametrize(
    "wire",
    [
        {"conversations": None, "has_more": False, "next_cursor": None},
        {"status": {"code": 200}, "data": {"conversations": None, "total": 0, "has_more": False}},
        {"status": {"code": 200}, "data": {"items": None}},
        {"status": {"code": 200}, "data": None},
        {"data": {"has_more": False, "total": 0}},
    ],
)
def test_a_list_that_is_null_is_empty(wire: JsonValue):
    read = parse_page(wire, "")

    assert (read.page.conversations, read.page.row_count, read.next_cursor, read.ends_early) == ((), 0, "", False)


@pytest.mark.parametrize(
    "wire",
    [
        {"conversations": [], "error": "backend unavailable"},
        {"conversations": None, "has_more": False, "error": {"message": "no"}},
        {"data": {"conversations": [], "errors": ["no"]}},
        {"status": {"code": 200}, "error": "no", "data": []},
    ],
)
def test_an_error_beside_an_empty_list_is_raised(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="is an error"):
        parse_page(wire, "")


@pytest.mark.parametrize("wire", [None, "x", 7, {}, {"data": {}}, {"conversations": {}}, {"detail": "no"}])
def test_an_answer_without_a_list_is_refused(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="conversations"):
        parse_page(wire, "")


@pytest.mark.parametrize(
    "wire", [None, [], "x", {}, {"detail": "no"}, {"status": {"code": 200}, "data": None}, {"data": []}]
)
def test_an_answer_without_a_conversation_is_refused(wire: JsonValue):
    with pytest.raises(InvalidResponseError, match="not a conversation"):
        parse_detail(wire)


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (fixture("voiceable/error_in_200_envelope"), AuthenticationError),
        ({"status": {"code": "404", "message": "Not found"}}, NotFoundError),
        ({"status": 404, "error": "Not found"}, NotFoundError),
        (fixture("voiceable/error_in_200_flat"), InvalidResponseError),
        ({"errors": ["no"], "data": None}, InvalidResponseError),
    ],
)
def test_an_error_inside_a_success_is_raised_without_its_message(wire: JsonValue, error: type[FormantError]):
    with pytest.raises(error) as of_detail:
        parse_detail(wire)
    with pytest.raises(error) as of_page:
        parse_page(wire, "")
    for caught in (of_detail, of_page):
        assert "SECRET" not in str(caught.value)
        assert "Upstream unavailable" not in str(caught.value)


def test_an_error_field_of_a_conversation_is_not_raised():
    assert elevenlabs_detail(error="x", status="done", data={"a": 1}).status == "done"
