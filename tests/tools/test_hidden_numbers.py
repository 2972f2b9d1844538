"""Questions by which a reader could find a hidden number digit by digit are refused; whole numbers are found."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from pydantic import JsonValue

from formant_mcp.members import Member
from tests.calls import conversation, conversation_id
from tests.server_harness import NOW, Account, Assistant

pytestmark = pytest.mark.anyio

CALL = conversation_id(1)


@pytest.fixture
def account(account: Account) -> Account:
    """A call in which numbers are said, left as results, and of which the reason for failing has one."""
    turns: JsonValue = [{"role": "human", "message": "Call 91234 56780, my card is 4111 1111 1111 1111."}]
    results: JsonValue = {"callback": "098765-43210", "wife": 9123456780, "amount": 4999, "due": "2026-11-30"}
    row = conversation(1, NOW - timedelta(days=1), status="completed", contact_number="+919876541059")
    account.api.add(row | {"transcript": turns, "results": results, "failure_reason": "no answer at 9876541059"})
    return account


@pytest.fixture
async def reader(account: Account) -> AsyncGenerator[Assistant]:
    """A member from whom numbers are hidden."""
    account.member = Member("red", redacts=frozenset({"numbers"}))
    async with account.connect() as assistant:
        yield assistant


@pytest.mark.parametrize("query", ["9*", '"91234 5*"', '"91234 567"*', "call -91235*", "card OR (call 91*)", "९१*"])
async def test_a_beginning_of_digits_is_not_searched_for(reader: Assistant, query: str) -> None:
    text = await reader.refused("search_transcripts", query=query)
    assert text.startswith("query: identifiers are hidden here, so digits with * after them are refused.")
    assert "the whole number" in text


@pytest.mark.parametrize("query", ['"91234 56780"', "91234", "car*", '"my car"*'])
async def test_whole_numbers_and_beginnings_of_words_are_searched_for(reader: Assistant, query: str) -> None:
    answer = await reader.ask("search_transcripts", query=query, spelling="exact")
    assert answer.structure["hits_total"] == 1


@pytest.mark.parametrize("digits", ["9", "59", "059", "41059", "541059", "6541059", "000000059"])
async def test_a_contact_number_is_whole_or_its_last_four_digits(reader: Assistant, digits: str) -> None:
    for tool in ("list_conversations", "summarize_results", "export_conversations"):
        text = await reader.refused(tool, contact_number=digits)
        assert text.startswith("contact_number: numbers are hidden here, so it takes a whole number or its last four")
        assert "+91 98765 43210, 3210" in text


@pytest.mark.parametrize("number", ["1059", "98765 41059", "+919876541059", "09876541059"])
async def test_a_caller_is_found_by_the_whole_number_or_its_last_four_digits(reader: Assistant, number: str) -> None:
    assert (await reader.ask("list_conversations", contact_number=number)).ids() == [CALL]


@pytest.mark.parametrize(
    "condition",
    [
        "wife>=9e9",
        "wife<9123456781",
        "callback>=0987",
        "callback=0987…",
        "callback!=098765-…",
        "callback=⓪⑨⑧…",
        "x>=ACC-㍙",
    ],
)
async def test_a_result_is_not_compared_with_a_part_of_a_number(reader: Assistant, condition: str) -> None:
    text = await reader.refused("list_conversations", results=condition)
    assert text.startswith("results: identifiers are hidden here, so ")


async def test_nor_is_a_reason(reader: Assistant) -> None:
    text = await reader.refused("list_conversations", failure_reason="no answer at 98…")
    assert text.startswith("failure_reason: identifiers are hidden here, so ")


@pytest.mark.parametrize("condition", ["wife=9123456780", "callback=098765-43210", "amount>=1000", "due<=2026-12-01"])
async def test_whole_results_amounts_and_dates_are_compared(reader: Assistant, condition: str) -> None:
    assert (await reader.ask("list_conversations", results=condition)).ids() == [CALL]


async def test_readers_who_see_numbers_ask_as_ever(account: Account) -> None:
    account.member = Member("mail", redacts=frozenset({"emails"}))
    async with account.connect() as assistant:
        assert (await assistant.ask("list_conversations", contact_number="59", results="wife>=9e9")).ids() == [CALL]
        found = await assistant.ask("search_transcripts", query='"91234 5*"', spelling="exact")
        assert found.structure["hits_total"] == 1
    account.member = Member("ids", redacts=frozenset({"ids"}))
    async with account.connect() as assistant:
        assert (await assistant.ask("list_conversations", contact_number="59")).ids() == [CALL]
        assert "identifiers are hidden" in await assistant.refused("search_transcripts", query='"4111 1*"')
