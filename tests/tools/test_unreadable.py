"""What was sent and not understood is counted and said, and the answers that look at it are incomplete."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation, Unreadable
from formant_mcp.queries.coverage import unreadable_notes
from tests.calls import conversation, conversation_id
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.server_harness import NOW, Account, Answer
from tests.store.files import open_store
from tests.text_matches_structure import assert_same_facts

pytestmark = pytest.mark.anyio

READABLE: JsonValue = [{"role": "human", "message": "refund please"}]
LOST_TURN: JsonValue = [{"role": "agent", "message": "hello"}, {"role": "human", "uttered": "my refund"}]
LOST_TRANSCRIPT: JsonValue = {"heard": "refund"}
BROKEN = '{"intent": "dispu'


OTHER_AGENT = 999


def add(account: Account, n: int, transcript: JsonValue, results: JsonValue, **fields: JsonValue) -> None:
    call = conversation(n, NOW - timedelta(days=n), transcript=transcript, results=results) | fields
    account.api.add(call, at=n - 1)


def covered(answer: Answer) -> tuple[JsonValue, JsonValue]:
    assert_same_facts(answer.text, answer.structure)
    return answer.coverage.get("unreadable"), answer.coverage["complete"]


@pytest.fixture
def account(account: Account) -> Account:
    add(account, 1, READABLE, {"intent": "dispute"})
    add(account, 2, LOST_TURN, {"intent": "dispute"})
    add(account, 3, LOST_TRANSCRIPT, {"intent": "other"})
    add(account, 4, READABLE, BROKEN)
    return account


ALL = {"transcripts": 1, "turns": 1, "results": 1}


@pytest.mark.parametrize(
    ("tool", "arguments", "unreadable"),
    [
        ("search_transcripts", {"query": "refund"}, {"transcripts": 1, "turns": 1}),
        ("search_transcripts", {"query": "refund", "until": "4d"}, None),
        ("search_transcripts", {"query": "refund", "results": ["intent=dispute"]}, {"turns": 1, "results": 1}),
        ("list_conversations", {}, None),
        ("list_conversations", {"results": ["intent=dispute"]}, {"results": 1}),
        ("list_conversations", {"summary_mode": "include"}, ALL),
        ("list_conversations", {"summary_mode": "include", "limit": 1}, None),
        ("summarize_results", {}, ALL),
        ("summarize_results", {"group_by": ["signals.ended_by"]}, {"turns": 1, "transcripts": 1}),
        ("summarize_results", {"group_by": ["status"]}, None),
        ("summarize_results", {"group_by": ["failure_reason"]}, None),
        ("summarize_results", {"group_by": ["results.intent"]}, {"results": 1}),
        ("find_changes", {}, ALL),
        ("find_changes", {"until": "5d"}, None),
        ("get_transcripts", {"conversation_ids": [conversation_id(1)]}, None),
        ("get_transcripts", {"conversation_ids": [conversation_id(n) for n in (2, 3, 4)]}, ALL),
    ],
)
async def test_an_answer_that_needs_unreadable_data_is_incomplete(
    account: Account, tool: str, arguments: dict[str, object], unreadable: JsonValue
) -> None:
    async with account.connect() as assistant:
        await assistant.ask("search_transcripts", query="refund")
        answer = await assistant.ask(tool, **arguments)
    assert covered(answer) == (unreadable, unreadable is None)
    assert ("could not be understood" in answer.text) == (unreadable is not None)


async def test_a_transcript_that_was_sent_and_not_understood_is_not_said_to_be_missing(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(3)])
    assert "no transcript in a readable form" in answer.text
    assert "1 transcript could not be understood, so this answer may lack something" in answer.text


async def test_a_call_that_is_fetched_again_and_readable_no_longer_counts(account: Account) -> None:
    async with account.connect() as assistant:
        before = await assistant.ask("search_transcripts", query="refund", until="3d", since="4d")
        assert covered(before) == ({"transcripts": 1}, False)
    store = await open_store(None)
    lost = Conversation("call", has_detail=True, unreadable=Unreadable(1, 2, 3))
    await store.write.save([lost], NOW)
    assert await store.read.unreadable(Filters()) == {"transcripts": 1, "turns": 2, "results": 3}
    await store.write.save([Conversation("call", status="failed")], NOW)
    assert await store.read.unreadable_among(["call"]) == {"transcripts": 1, "turns": 2, "results": 3}
    await store.write.save([Conversation("call", has_detail=True)], NOW)
    assert await store.read.unreadable(Filters()) == {}
    await store.write.save([lost], NOW)
    await store.write.delete("call")
    assert await store.read.unreadable(Filters()) == {}
    await store.close()


COUNTS = st.builds(Unreadable, st.integers(0, 1), st.integers(0, 5), st.integers(0, 5))
MATCHES: list[tuple[Filters, Callable[[int], bool]]] = [
    (Filters(), lambda _: True),
    (Filters(agent_id="1"), lambda n: n % 2 == 1),
    (Filters(results=(Condition("n", ">=", "2"),)), lambda n: n >= 2),
]


@settings(max_examples=examples(0.3), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COUNTS, max_size=6))
@in_a_loop
async def test_the_counts_of_what_matches_add_up(counts: list[Unreadable]) -> None:
    store = await open_store(None)
    await store.write.save(
        [
            Conversation(f"call-{n}", agent_id=str(n % 2), results={"n": n}, has_detail=True, unreadable=each)
            for n, each in enumerate(counts)
        ],
        NOW,
    )
    for filters, matches in MATCHES:
        matching = [each for n, each in enumerate(counts) if matches(n)]
        expected = {
            "transcripts": sum(each.transcripts for each in matching),
            "turns": sum(each.turns for each in matching),
            "results": sum(each.results for each in matching),
        }
        assert await store.read.unreadable(filters) == {kind: count for kind, count in expected.items() if count}
    await store.close()


@pytest.mark.parametrize(
    ("unreadable", "said"),
    [
        ({}, []),
        ({"turns": 1}, ["1 turn"]),
        ({"rows": 2, "transcripts": 1_000}, ["2 rows of the list and 1,000 transcripts"]),
        ({"results": 3, "turns": 2, "rows": 1}, ["1 row of the list, 2 turns and 3 result values"]),
    ],
)
def test_what_was_not_understood_is_said_in_words(unreadable: dict[str, int], said: list[str]) -> None:
    assert [note.partition(" could not be understood")[0] for note in unreadable_notes(unreadable)] == said


LOST_FIELDS: dict[str, JsonValue] = {
    "start_timestamp": "some time ago",
    "end_timestamp": None,
    "duration_seconds": "one minute",
    "status": {"state": ["completed"]},
    "agent_id": {"team": 7},
    "contact_number": ["+919876543210"],
    "failure_reason": {"why": "busy"},
}


@pytest.mark.parametrize(
    ("lost", "tool", "arguments", "unreadable"),
    [
        ("start_timestamp", "list_conversations", {}, {"started_at": 1}),
        ("start_timestamp", "list_conversations", {"since": "7d"}, {"started_at": 1}),
        ("start_timestamp", "search_transcripts", {"query": "refund", "until": "today"}, {"started_at": 1}),
        ("start_timestamp", "search_transcripts", {"query": "refund"}, None),
        ("start_timestamp", "summarize_results", {"group_by": ["weekday"]}, {"started_at": 1}),
        ("start_timestamp", "summarize_results", {"group_by": ["status"], "since": "7d"}, {"started_at": 1}),
        ("start_timestamp", "summarize_results", {"group_by": ["status"]}, None),
        ("duration_seconds", "list_conversations", {"order_by": "longest"}, {"duration_seconds": 1}),
        ("duration_seconds", "list_conversations", {"min_duration_seconds": 10}, {"duration_seconds": 1}),
        ("duration_seconds", "summarize_results", {"measures": ["duration_seconds"]}, {"duration_seconds": 1}),
        ("status", "list_conversations", {"status": "completed"}, {"status": 1}),
        ("status", "list_conversations", {"call_successful": "success"}, {"status": 1}),
        ("status", "list_conversations", {"status": "completed", "limit": 1}, {"status": 1}),
        ("status", "summarize_results", {}, {"status": 1}),
        ("contact_number", "list_conversations", {"contact_number": "98765"}, {"contact_number": 1}),
        ("contact_number", "list_conversations", {}, {"contact_number": 1}),
        ("failure_reason", "summarize_results", {"group_by": ["failure_reason"]}, {"failure_reason": 1}),
        ("agent_id", "summarize_results", {"group_by": ["agent_id"]}, {"agent_id": 1}),
        ("agent_id", "list_conversations", {"agent_id": "7"}, {"agent_id": 1}),
        ("agent_id", "search_transcripts", {"query": "refund"}, None),
    ],
)
async def test_an_answer_that_needs_an_unreadable_field_is_incomplete(
    account: Account, lost: str, tool: str, arguments: dict[str, object], unreadable: JsonValue
) -> None:
    account.api.conversations = []
    add(account, 1, READABLE, {})
    fields = {"end_timestamp": None, "duration_seconds": None} if lost == "start_timestamp" else {}
    add(account, 2, READABLE, {}, **(fields | {lost: LOST_FIELDS[lost], "end_timestamp": None}))
    async with account.connect() as assistant:
        answer = await assistant.ask(tool, **arguments)
        again = await assistant.ask(tool, **arguments)
    assert covered(answer) == covered(again) == (unreadable, unreadable is None)
    assert ("could not be understood" in answer.text) == (unreadable is not None)


async def test_two_periods_count_a_start_that_was_not_understood_once(account: Account) -> None:
    account.api.conversations = []
    add(account, 1, READABLE, {})
    add(account, 2, READABLE, {}, start_timestamp="some time ago", end_timestamp=None)
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["status"], since="7d", compare_previous=True)
    assert covered(answer) == ({"started_at": 1}, False)


async def test_a_field_counts_until_a_reading_has_it() -> None:
    store = await open_store(None)
    lost = Unreadable(fields=frozenset({"started_at", "contact_number"}))
    await store.write.save([Conversation("call", unreadable=lost)], NOW)
    await store.write.save([Conversation("call", has_detail=True, unreadable=Unreadable(results=1))], NOW)
    assert await store.read.unreadable(Filters()) == {"started_at": 1, "results": 1, "contact_number": 1}
    assert await store.read.unreadable(Filters(), {"started_at"}) == {"started_at": 1}
    await store.write.save([Conversation("call", started_at=NOW)], NOW)
    assert await store.read.unreadable(Filters()) == {"results": 1, "contact_number": 1}
    await store.write.delete("call")
    assert await store.read.unreadable(Filters()) == {}
    await store.close()


@pytest.mark.parametrize("speaker", [{}, {"speaker": "Speaker 1"}, {"speaker": 1}, {"role": "spk_0"}])
async def test_a_search_by_role_counts_turns_whose_speaker_is_not_known(
    account: Account, speaker: dict[str, JsonValue]
) -> None:
    add(account, 5, [{**speaker, "message": "my refund is late"}], {}, agent_id=OTHER_AGENT)
    async with account.connect() as assistant:
        by_role = await assistant.ask("search_transcripts", query="refund", role="contact", agent_id=OTHER_AGENT)
        by_anybody = await assistant.ask("search_transcripts", query="refund", agent_id=OTHER_AGENT)
        read = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(5)])
    assert covered(by_role) == ({"speakers": 1}, False)
    assert "1 turn's speaker could not be understood" in by_role.text
    assert by_anybody.structure["hits_total"] == 1
    assert covered(by_anybody) == covered(read) == (None, True)


async def test_a_part_of_a_turn_that_is_not_understood_is_counted_beside_one_that_is(account: Account) -> None:
    said: JsonValue = {"type": "text", "text": "hello"}
    image: JsonValue = {"type": "image_url", "alt_words": "a photo of a bill"}
    lost: JsonValue = {"type": "voice_part", "value_text": "my secret word"}
    add(account, 5, [{"role": "human", "content": [said, lost]}], {}, agent_id=OTHER_AGENT)
    add(account, 6, [{"role": "human", "content": [said, image]}], {}, agent_id=OTHER_AGENT)
    async with account.connect() as assistant:
        answer = await assistant.ask("search_transcripts", query="secret", agent_id=OTHER_AGENT)
    assert covered(answer) == ({"turns": 1}, False)
