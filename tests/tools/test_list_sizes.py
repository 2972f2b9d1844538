"""Lists stay as small as assistants read, whatever the account holds, and lose nothing for that."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from tests.calls import Row, conversation, conversation_id
from tests.server_harness import NOW, Account

pytestmark = pytest.mark.anyio

DEFAULT_CHARACTERS = 9_000
REASON = "Carrier returned SIP 503 Service Unavailable; ग्राहक का फ़ोन बंद था; "


def fill(account: Account, count: int, fields: Row) -> None:
    """So many failed calls, each with long texts and an own reason."""
    for n in range(count):
        reason = f"{n}: {REASON * 30}"
        started_at = NOW - timedelta(hours=30 + n)
        account.api.add(conversation(n, started_at, status="telephony_failed", failure_reason=reason) | fields)


async def test_a_default_list_is_small_in_both_forms(account: Account) -> None:
    fill(account, 25, {"duration_seconds": 1234.5})
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations")
    assert len(answer.ids()) == 20
    assert max(answer.sizes()) < DEFAULT_CHARACTERS
    assert all(str(row["failure_reason"]).endswith("…") for row in answer.rows())


async def test_a_list_that_matches_nothing_names_as_many_values_as_fit(account: Account) -> None:
    for n in range(60):
        reason = f"{n}_carrier_returned_sip_503_unavailable"
        account.api.add(conversation(n, NOW - timedelta(hours=n), status="failed", failure_reason=reason))
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", failure_reason="none such", status=["none such"])
    assert max(answer.sizes()) < DEFAULT_CHARACTERS
    assert "Existing values: 0_carrier_returned_sip_503_unavailable, " in answer.text
    assert " more." in answer.text


async def test_values_that_are_sentences_are_counted_but_not_named(account: Account) -> None:
    fill(account, 60, {})
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", failure_reason="none such")
    assert "Existing values: not listed here (summarize_results counts all 60)." in answer.text


async def test_a_hundred_rows_with_large_results_are_shortened_and_the_cursor_gives_all(account: Account) -> None:
    results: JsonValue = {f"field_{n}": "t" * 250 for n in range(30)}
    fill(account, 100, {"results": results, "transcript": "BOT: Namaste!\nHUMAN: " + REASON * 5})
    question: dict[str, object] = {"summary_mode": "include", "limit": 100}
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", **question)
        assert min(answer.sizes()) > 20_000
        assert "Long results are shortened (…); get_transcripts has them whole." in str(answer.coverage["note"])
        found = answer.ids()
        assert len(found) < 100
        assert len(account.api.requests) == 1  # the one page, although the answer had to be cut
        while "next_cursor" in answer.structure:
            assert f"{len(found)} of 100 shown" in answer.text
            answer = await assistant.ask("list_conversations", cursor=answer.structure["next_cursor"], **question)
            found += answer.ids()
    assert found == [conversation_id(n) for n in range(100)]


async def test_a_shortened_result_says_how_many_fields_are_missing(account: Account) -> None:
    fill(account, 1, {"results": {f"field_{n}": "t" * 250 for n in range(30)}})
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", summary_mode="include")
    shown = answer.rows()[0]["results"]
    assert isinstance(shown, dict)
    assert shown["…"] == f"{31 - len(shown)} more fields"
    assert str(shown["field_0"]).endswith("…")
