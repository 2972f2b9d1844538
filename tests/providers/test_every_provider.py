"""What every provider's client guarantees, over its API."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from formant_mcp.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, Outcome
from tests import calls
from tests.audio import wav
from tests.calls import Row, conversation_id
from tests.fake_api import Order
from tests.provider_apis import Opened, all_pages, first_page, received, whole_list

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST = conversation_id(0)


def ids(count: int) -> list[str]:
    return [conversation_id(n) for n in range(count)]


@pytest.mark.parametrize("order", ["newest", "oldest", "none"])
async def test_pages_of_any_size_list_every_conversation_once(opened: Opened, order: Order):
    opened.api.conversations = opened.provider.calls(130, NOON)
    opened.api.order = order
    for cap in (7, 30, 100):
        opened.api.rows_per_page_cap = cap
        listed = [row.conversation_id for row in await whole_list(opened.source)]
        assert sorted(listed) == ids(130)
        assert (listed == ids(130), listed == ids(130)[::-1]) == (order == "newest", order == "oldest")


@pytest.mark.parametrize(("held", "rows"), [(0, [0]), (1, [1]), (99, [99]), (100, [100]), (101, [100, 1])])
async def test_no_page_is_requested_after_the_last(opened: Opened, held: int, rows: list[int]):
    opened.api.conversations = opened.provider.calls(held, NOON)
    pages = await all_pages(opened.source)

    assert [(page.row_count, len(page.conversations)) for page in pages] == [(count, count) for count in rows]
    assert [page.has_more for page in pages] == [True] * (len(rows) - 1) + [False]
    assert {page.total for page in pages} <= {held, None}
    assert len(opened.api.requests) == len(rows)


async def test_an_unreadable_row_is_counted_and_left_out(opened: Opened):
    for n in range(3):
        opened.api.add(opened.provider.call(n, NOON))
    opened.api.add(opened.provider.call(3, NOON) | {opened.api.id_field: None})
    opened.api.add(opened.provider.call(4, NOON) | {opened.api.id_field: True})
    opened.api.add({})
    page = await first_page(opened.source)

    assert sorted(row.conversation_id for row in page.conversations) == ids(3)
    assert (page.row_count, page.unreadable) == (6, 3)


async def test_the_list_of_one_agent_has_all_its_calls(opened: Opened):
    for n in range(6):
        opened.api.add(opened.provider.call(n, NOON, agent_id=100 + n % 2))
    page = await first_page(opened.source, "101")

    assert {row.conversation_id for row in page.conversations if row.agent_id == "101"} == set(ids(6)[1::2])
    narrows = "agent_id" in opened.source.spec.server_side_filters
    assert page.row_count == (3 if narrows else 6)


def expected(provider: str) -> Conversation:
    """Call number 7, with the fields that each provider has."""
    row = calls.conversation(7, NOON)
    same = Conversation(
        conversation_id=conversation_id(7),
        agent_id="123",
        agent_name="Agent 123",
        contact_number="+14155550107",
        status="done",
        outcome="success",
        failure_reason_known=True,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=279),
        duration_seconds=279,
        has_detail=True,
    )
    extracted = calls.detail(row)["results"]
    assert isinstance(extracted, dict)
    match provider:
        case "formant":
            trace_id = f"trace-{conversation_id(7)}"
            return same._replace(agent_name=None, status="completed", trace_id=trace_id, results=extracted)
        case "voiceos":
            cost: JsonValue = {"voice": 0.02, "total": 0.05}
            results: Row = {"type": "outbound_phone_call", "ended_reason": "user_ended", "cost": cost}
            return same._replace(agent_name=None, status="ended", direction="outbound", results=results)
        case _:
            why: Row = dict.fromkeys(extracted, "The caller said so.")
            said: Row = {"summary": "They spoke about a payment.", "ended_reason": "end_call tool was called."}
            said |= {"data": extracted, "data_rationale": why}
            return same._replace(user_id="user_14155550107", direction="outbound", results=said, tool_errors=0)


async def test_a_conversation_has_every_field_of_the_api(opened: Opened):
    opened.api.add(opened.provider.call(7, NOON))
    read = await opened.source.get_conversation(conversation_id(7))

    assert read._replace(turns=None) == expected(opened.provider.name)
    assert [(turn.index, turn.role, turn.text) for turn in read.turns or ()] == [
        (0, "agent", "Hello, I am calling about your payment that was due on Monday."),
        (1, "contact", "Haan ji, boliye."),
        (2, "agent", "Would you like to pay today?"),
        (3, "contact", "मैं कल भुगतान करूँगा, आज नहीं।"),
        (4, "agent", "Thank you, I have noted it for tomorrow."),
    ]
    seconds = [0, 4, 8, 12, 16] if opened.provider.name in ("elevenlabs", "voiceable") else [None] * 5
    assert [turn.seconds for turn in read.turns or ()] == seconds


async def test_row_and_detail_agree_on_outcome_duration_and_reason(opened: Opened):
    expected: list[tuple[str, Outcome, bool, int | None]] = [
        ("completed", "success", True, 20),
        ("no_answer", "failure", True, None),
        ("failed", "failure", True, None),
        ("in_progress", None, False, None),
        ("queued", None, False, None),
    ]
    for n, (status, *_) in enumerate(expected):
        opened.api.add(opened.provider.call(n, NOON, status=status))
    rows = {row.conversation_id: row for row in (await first_page(opened.source)).conversations}

    for n, (status, outcome, ended, seconds) in enumerate(expected):
        row = rows[conversation_id(n)]
        read = await opened.source.get_conversation(row.conversation_id)
        assert (row.outcome, row.ended, row.duration_seconds or None) == (outcome, ended, seconds)
        assert (read.outcome, read.ended, read.duration_seconds or None) == (outcome, ended, seconds)
        assert ended or (row.duration_seconds, read.duration_seconds) == (None, None)
        reason = "unknown" if opened.provider.name == "voiceos" else status
        assert read.failure_reason_known
        assert not ended or read.failure_reason == (reason if outcome == "failure" else None)
        assert row.failure_reason in (None, read.failure_reason)
        assert bool(read.turns) == (status == "completed")


async def test_detail_only_and_unsupported_fields_are_as_specified(opened: Opened):
    opened.api.add(opened.provider.call(1, NOON))
    (row,) = (await first_page(opened.source)).conversations
    read = await opened.source.get_conversation(row.conversation_id)

    lacking = {name for name in ("contact_number", "user_id", "direction") if getattr(row, name) is None}
    assert {name for name in lacking if getattr(read, name) is not None} == opened.source.spec.detail_only_fields
    assert {name for name in lacking if getattr(read, name) is None} == opened.source.spec.unsupported_filters


async def test_a_row_with_its_detail_equals_the_conversation(opened: Opened):
    opened.api.list_carries_detail = True
    opened.api.add(opened.provider.call(1, NOON))
    (row,) = (await first_page(opened.source)).conversations

    assert row == await opened.source.get_conversation(row.conversation_id)
    assert row.has_detail


async def test_no_turn_is_lost_and_unknown_roles_are_kept(opened: Opened):
    said = [
        ("human", "One"),
        ("agent", None),
        ("user", "Two\u202e and\n a half"),
        ("Supervisor", "Three"),
        ("assistant", ""),
        ("customer", "Four"),
    ]
    field, words = ("messages", "content") if opened.provider.name == "voiceos" else ("transcript", "message")
    row = opened.provider.call(1, NOON)
    turns: list[JsonValue] = [{"role": who, words: what} for who, what in said]
    detail = opened.api.detail_of(row)
    detail[field] = turns
    opened.api.add(row, detail)
    read = await opened.source.get_conversation(conversation_id(1))

    assert [(turn.index, turn.role, turn.text) for turn in read.turns or ()] == [
        (0, "contact", "One"),
        (1, "agent", ""),
        (2, "contact", "Two and a half"),
        (3, "Supervisor", "Three"),
        (4, "agent", ""),
        (5, "contact", "Four"),
    ]


async def test_a_missing_conversation_is_named_in_the_error(opened: Opened):
    with pytest.raises(NotFoundError, match=f"No conversation {FIRST} in this account") as caught:
        await opened.source.get_conversation(FIRST)

    assert "list_conversations" in caught.value.hint


async def test_an_answer_with_another_conversation_is_refused(opened: Opened):
    row = opened.provider.call(0, NOON)
    opened.api.add(row, detail=opened.api.detail_of(opened.provider.call(1, NOON)))

    with pytest.raises(InvalidResponseError, match="names another conversation"):
        await opened.source.get_conversation(FIRST)


async def test_an_answer_without_an_id_gets_the_requested_one(opened: Opened):
    row = opened.provider.call(0, NOON)
    opened.api.add(row, detail=opened.api.detail_of(row) | {opened.api.id_field: None})

    assert (await opened.source.get_conversation(FIRST)).conversation_id == FIRST


async def test_an_id_of_any_characters_is_one_segment_of_the_path(opened: Opened):
    odd = ["../../agents", "a/b?c=d#e", "a%2Fb", "a b", "क-1", "4711", "...", "x" * 256]
    for odd_id in odd:
        opened.api.add(opened.provider.call(0, NOON) | {opened.api.id_field: odd_id})
        opened.api.recordings[odd_id] = wav((0, 1)) + odd_id.encode()

    assert sorted(row.conversation_id for row in (await first_page(opened.source)).conversations) == sorted(odd)
    root = opened.api.requests[0].path
    for odd_id in odd:
        opened.api.clear()
        assert (await opened.source.get_conversation(odd_id)).conversation_id == odd_id
        assert (await received(opened.source, odd_id))[1] == wav((0, 1)) + odd_id.encode()
        assert not set("/?#") & set(opened.api.requests[0].target.removeprefix(f"{root}/"))


async def test_an_invalid_id_is_refused_before_any_request(opened: Opened):
    for wrong in ("", ".", "..", "a\nb", "x" * 257):
        for question in (opened.source.get_conversation(wrong), received(opened.source, wrong)):
            with pytest.raises(InvalidRequestError, match="Invalid conversation_id"):
                await question
    assert opened.api.requests == []
