"""A call answers in time with what it has, says how to go on, and the same question finds more when asked again."""

import re
from datetime import timedelta
from time import monotonic

import pytest

from tests.calls import many
from tests.fake_http import Request
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

SECONDS = 1.0
GO_ON = "Ask again, narrow by since, agent_id or status, or run `formant-mcp sync` once to load everything."
MOST_SECONDS = 15.0  # a call has 20 otherwise; the machine that runs the tests may have other things to do


@pytest.fixture
def account(account: Account) -> Account:
    """120 calls, some days old: two pages."""
    account.api.conversations = many(120, NOW - timedelta(days=2), timedelta(days=10))
    return account


def hold_from_second_page_on(account: Account) -> None:
    """The first page comes; whatever else is asked for has to wait until the gate opens."""

    def look(request: Request) -> None:
        if request.query.get("offset") != "0":
            account.api.gate.shut()

    account.api.on_request = look


def release(account: Account) -> None:
    account.api.on_request = None
    account.api.gate.open()


async def until_complete(assistant: Assistant, **question: object) -> Answer:
    """The same question again, until all of it is answered."""
    answer = await assistant.ask("list_conversations", **question)
    for _ in range(50):
        if answer.coverage["complete"]:
            return answer
        answer = await assistant.ask("list_conversations", **question)
    raise AssertionError(f"never complete: {answer.text}")


async def test_a_list_of_a_slow_api_is_a_part_that_says_so_and_later_the_whole(account: Account) -> None:
    hold_from_second_page_on(account)
    async with account.connect(call_seconds=SECONDS) as assistant:
        began = monotonic()
        part = await assistant.ask("list_conversations", order_by="longest")
        assert monotonic() - began < MOST_SECONDS
        assert (part.coverage["complete"], part.coverage["total"]) == (False, 120)
        assert part.text.split("\n")[0].startswith("0 of 120 (0 known)") or part.ids()
        assert "more list pages to load." in str(part.coverage["note"]) or "1 more list page" in part.text
        assert GO_ON in part.text
        release(account)
        whole = await until_complete(assistant, order_by="longest")
    assert whole.coverage["matched"] == 120


async def test_nothing_at_all_in_time_says_how_to_go_on(account: Account) -> None:
    account.api.gate.shut()
    async with account.connect(call_seconds=SECONDS) as assistant:
        began = monotonic()
        part = await assistant.ask("list_conversations")
        assert monotonic() - began < MOST_SECONDS
        assert part.coverage["complete"] is False
        assert part.coverage["note"] == f"The list could not be refreshed within this call's time limit. {GO_ON}"
        account.api.gate.open()
        whole = await until_complete(assistant)
        reasons = r"(\d+ failure reasons? not loaded yet; summary_mode=include loads them\.)?"
        assert re.fullmatch(reasons, str(whole.coverage.get("note", "")))
        account.pass_time(minutes=5)
        account.api.gate.shut()
        stale = await assistant.ask("list_conversations")
        assert stale.coverage["complete"] is False
        assert stale.coverage["as_of"] == whole.coverage["as_of"]
        assert "could not be refreshed within this call's time limit. Ask again" in stale.text
    assert (whole.coverage["complete"], len(whole.ids())) == (True, 20)


async def test_results_that_are_still_to_be_read_are_counted_and_read_in_the_background(account: Account) -> None:
    async with account.connect(call_seconds=SECONDS) as assistant:
        await until_complete(assistant, order_by="longest")
        account.api.clear()
        hold_from_second_page_on(account)
        part = await assistant.ask("list_conversations", results=["csat>=3"])
        assert part.coverage["complete"] is False
        assert part.coverage["details_needed"] == 120
        assert part.coverage["details_read"] == 0
        assert f"120 of 120 conversations that may match still to load. {GO_ON}" in part.text
        release(account)
        whole = await until_complete(assistant, results=["csat>=3"])
        assert whole.coverage["details_read"] == 120
        paths = [request.path for request in account.api.requests if request.path != "/v1/conversations"]
    assert len(paths) == len(set(paths)) == 120


async def test_transcripts_that_do_not_come_in_time_fail_alone(account: Account) -> None:
    async with account.connect(call_seconds=SECONDS) as assistant:
        newest = (await assistant.ask("list_conversations", limit=2)).ids()
        await assistant.ask("get_transcripts", conversation_ids=newest[:1])
        account.api.gate.shut()
        answer = await assistant.ask("get_transcripts", conversation_ids=newest)
        assert answer.ids() == newest[:1]
        assert answer.rows("errors") == [
            {"conversation_id": newest[1], "message": "Not loaded within this call's time limit. Ask again."}
        ]
        account.api.gate.open()
        answer = await assistant.ask("get_transcripts", conversation_ids=newest)
    assert answer.ids() == newest


async def test_progress_is_reported_to_requests_with_a_token(account: Account) -> None:
    told: list[float] = []
    async with account.connect() as assistant:
        answer = await assistant.ask_with_progress("list_conversations", told, results=["csat>=3"], limit=1)
    assert answer.coverage["complete"] is True
    assert told
    assert told[-1] == 120


async def test_what_was_read_is_not_read_again(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations", results=["csat>=3"])
        account.api.clear()
        await assistant.ask("list_conversations", results=["csat>=3"], order_by="shortest")
    assert len(account.api.requests) <= 2
