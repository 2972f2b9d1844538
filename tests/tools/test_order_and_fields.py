"""`list_conversations` in the order of a field, with the fields that are wanted."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.calls import conversation, conversation_id, many
from tests.server_harness import NOW, Account, Answer, Assistant
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
REPEATING: list[JsonValue] = [{"role": "agent", "message": "Please press one to pay today."}] * 3
ONCE: list[JsonValue] = [{"role": "agent", "message": "Hello there."}, {"role": "human", "message": "Haan ji."}]
# Of each call: its results, and what is said.
CALLS: list[tuple[JsonValue, JsonValue]] = [
    ({"csat": 3, "language": {"primary": "hi"}}, ONCE),
    ({"csat": "n/a"}, REPEATING),
    ({"csat": 5, "tags": ["late", "fee"]}, ONCE),
    ({"mood": "good"}, REPEATING[:2]),
    ({"csat": "4.5"}, ONCE),
    (None, None),
    ({"csat": 3}, ONCE),
]


@pytest.fixture
async def assistant(account: Account) -> AsyncGenerator[Assistant]:
    """CALLS an hour from each other, the first the newest."""
    account.api.conversations = [
        conversation(n, NOW - timedelta(hours=n + 1), results=results, transcript=said)
        for n, (results, said) in enumerate(CALLS)
    ]
    async with account.connect() as assistant:
        yield assistant


def numbers(answer: Answer) -> list[int]:
    """The calls' numbers."""
    by_id = {conversation_id(n): n for n in range(100)}
    return [by_id[call] for call in answer.ids()]


def details(account: Account) -> list[str]:
    """The conversations whose details were requested."""
    return [request.path for request in account.api.requests if request.path != "/v1/conversations"]


@pytest.mark.parametrize(
    ("order_by", "first", "last"),
    [
        ("-csat", [2, 4], [1]),  # a text comes after the numbers in either direction
        ("results.csat asc", [], [1]),
        ("-signals.agent_repeats", [1, 3], []),
        ("tags", [2], []),
    ],
)
async def test_calls_without_a_value_come_last_in_either_direction(
    assistant: Assistant, order_by: str, first: list[int], last: list[int]
) -> None:
    answer = await assistant.ask("list_conversations", order_by=order_by)
    listed, name = numbers(answer), "signals" if "signals" in order_by else "results"
    valued = [n for n, row in zip(listed, answer.rows(), strict=True) if name in row]
    assert listed[: len(valued)] == valued
    assert valued[: len(first)] == first
    assert valued[len(valued) - len(last) :] == last
    assert len(listed) == len(CALLS)
    assert (answer.coverage["details_needed"], answer.coverage["complete"]) == (7, True)


async def test_pages_lead_through_a_list_by_value_once(assistant: Assistant) -> None:
    whole = await assistant.ask("list_conversations", order_by="-csat")
    page = await assistant.ask("list_conversations", order_by="-csat", limit=2)
    listed = page.ids()
    while "next_cursor" in page.structure:
        cursor = page.structure["next_cursor"]
        page = await assistant.ask(
            "list_conversations", order_by="results.csat desc", limit=2, cursor=cursor, fields="status"
        )
        listed += page.ids()
    assert listed == whole.ids()


async def test_what_a_list_is_ordered_by_is_a_column_inside_the_boundary(assistant: Assistant) -> None:
    by_result = await assistant.ask("list_conversations", order_by="-csat", limit=4)
    by_signal = await assistant.ask("list_conversations", order_by="-signals.agent_repeats", limit=3)
    assert_same_answer(SNAPSHOTS / "list_by_result.txt", by_result)
    assert_same_answer(SNAPSHOTS / "list_by_signal.txt", by_signal)


async def test_chosen_fields_are_the_only_columns(assistant: Assistant) -> None:
    fields = ["started", "results.language.primary", "tags", "signals.ended_by", "agent_id"]
    answer = await assistant.ask("list_conversations", fields=fields, limit=3)
    assert_same_answer(SNAPSHOTS / "list_fields.txt", answer)


async def test_what_a_list_is_ordered_by_is_a_column_beside_chosen_fields(assistant: Assistant) -> None:
    answer = await assistant.ask("list_conversations", order_by="-csat", fields=["status"], limit=1)
    (row,) = answer.rows()
    assert row.keys() == {"conversation_id", "status", "results"}
    assert "\nconversation_id\tstatus\tresults.csat\n" in answer.text


async def test_only_the_details_of_the_rows_shown_are_loaded_for_fields(account: Account) -> None:
    account.api.conversations = many(45, NOW - timedelta(hours=2), timedelta(days=10))
    async with account.connect() as assistant:
        await assistant.ask("list_conversations", fields=["status", "duration"])
        assert details(account) == []
        answer = await assistant.ask("list_conversations", fields=["csat", "signals.turn_count"], limit=4)
        assert len(details(account)) == 4
        reasons = await assistant.ask("list_conversations", fields="failure_reason", status="busy", limit=2)
    assert (answer.coverage["matched"], answer.coverage["details_read"]) == (45, 4)
    assert "Measured for 2 of 4 calls, those with a transcript" in str(answer.coverage["note"])
    assert [row["failure_reason"] for row in reasons.rows()] == ["busy", "busy"]


async def test_included_results_and_words_come_beside_chosen_fields(assistant: Assistant) -> None:
    answer = await assistant.ask("list_conversations", fields=["status", "csat"], summary_mode="include", limit=1)
    (row,) = answer.rows()
    assert row["results"] == CALLS[0][0]
    assert row.keys() == {"conversation_id", "status", "results", "gist"}
    assert "\nconversation_id\tstatus\tresults.csat\tresults\twords\n" in answer.text


async def test_long_values_are_shortened_and_said_to_be(account: Account) -> None:
    results: JsonValue = {"summary": "so " * 200, "tags": ["long" for _ in range(200)]}
    account.api.conversations = [conversation(1, NOW, results=results)]
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", fields="summary, tags")
    (row,) = answer.rows()
    assert isinstance(row["results"], dict)
    assert all(len(str(value)) == 200 and str(value).endswith("…") for value in row["results"].values())
    assert "Long results are shortened (…)" in str(answer.coverage["note"])


async def test_a_result_field_that_no_call_has_is_refused_or_noted(assistant: Assistant) -> None:
    refused = await assistant.refused("list_conversations", order_by="-csatt")
    assert refused == (
        "order_by: no call has results.csatt. Did you mean results.csat? Fields: results.csat,"
        " results.language.primary, results.mood, results.tags. Or: newest, oldest, longest, shortest, started_at,"
        " duration_seconds."
    )
    answer = await assistant.ask("list_conversations", fields="csatt")
    assert "No call loaded so far has results.csatt. Did you mean results.csat?" in str(answer.coverage["note"])


async def test_what_is_no_field_is_refused(assistant: Assistant) -> None:
    assert "fields does not take 'call_successful'" in await assistant.refused(
        "list_conversations", fields="call_successful"
    )
    assert "order_by does not take" in await assistant.refused("list_conversations", order_by="-")


async def test_an_order_by_results_is_refused_where_no_call_has_any(account: Account) -> None:
    account.api.conversations = [conversation(n, NOW, results=None) for n in range(3)]
    async with account.connect() as assistant:
        assert await assistant.refused("list_conversations", order_by="csat") == (
            "order_by: no call has results.csat. Fields: none. Or: newest, oldest, longest, shortest, started_at,"
            " duration_seconds."
        )


async def test_fields_that_the_provider_lacks_are_refused(account: Account) -> None:
    async with account.connect() as assistant:
        refused = await assistant.refused("list_conversations", fields=["user_id"])
    async with account.connect_to_sample(provider="voiceos") as assistant:
        ends = await assistant.refused("list_conversations", fields=["signals.longest_gap_seconds"])
        by_ends = await assistant.refused("list_conversations", order_by="signals.longest_gap_seconds")
    assert refused == "fields: this provider's calls have no user_id. Leave it out."
    assert ends == by_ends
    assert "signals.longest_gap_seconds cannot be measured here" in ends
