"""What questions cost the provider in requests, and what they answer while it fails."""

import random
from datetime import timedelta
from itertools import product

import pytest

from tests import faults
from tests.calls import conversation, conversation_id
from tests.examples import some
from tests.fake_formant import Order
from tests.fake_http import Reply, Request
from tests.faults import Fault
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

PAGES = 24
MOST_REQUESTS = 26


def fill(account: Account, count: int) -> None:
    account.api.conversations = [conversation(n, NOW - timedelta(days=3, minutes=n)) for n in range(count)]


def lists(account: Account) -> list[Request]:
    return [request for request in account.api.requests if request.path == "/v1/conversations"]


ORDERS: tuple[Order, ...] = ("newest", "oldest", "none")
COMBINATIONS = list(product(ORDERS, (True, False), ("newest", "longest")))


async def to_the_end(assistant: Assistant, order_by: str) -> list[Answer]:
    answers = [await assistant.ask("list_conversations", limit=100, order_by=order_by)]
    while "next_cursor" in answers[-1].structure:
        cursor = answers[-1].structure["next_cursor"]
        answers.append(await assistant.ask("list_conversations", limit=100, order_by=order_by, cursor=cursor))
    return answers


# Without time for all of them, three that have each value.
@pytest.mark.parametrize(("order", "with_total", "order_by"), some(COMBINATIONS, 5))
async def test_paging_to_the_end_reads_the_list_once(
    account: Account, order: Order, with_total: bool, order_by: str
) -> None:
    fill(account, PAGES * 100)
    account.api.order, account.api.with_total = order, with_total
    async with account.connect() as assistant:
        answers = await to_the_end(assistant, order_by)
        assert len(answers) == PAGES
        assert all(answer.coverage["complete"] for answer in answers)
        shown = [conversation_id for answer in answers for conversation_id in answer.ids()]
        assert len(set(shown)) == len(shown) == PAGES * 100
        cost = len(account.api.requests)
        assert cost <= MOST_REQUESTS

        last = answers[-2].structure["next_cursor"]
        again = await assistant.ask("list_conversations", limit=100, order_by=order_by, cursor=last)
        assert again.coverage["complete"]
        assert again.ids() == answers[-1].ids()
        assert len(account.api.requests) == cost


async def test_a_page_of_yesterdays_cursor_is_checked_again(account: Account) -> None:
    fill(account, 300)
    async with account.connect() as assistant:
        first = await assistant.ask("list_conversations", limit=100)
        await assistant.ask("list_conversations", limit=100, cursor=first.structure["next_cursor"])
        cost = len(account.api.requests)
        account.pass_time(hours=3)
        page = await assistant.ask("list_conversations", limit=100, cursor=first.structure["next_cursor"])
        assert page.coverage["complete"]
        assert len(account.api.requests) == cost + 1


async def test_one_call_deleted_upstream_costs_one_request_and_is_said(account: Account) -> None:
    fill(account, 3_000)
    async with account.connect() as assistant:
        await assistant.ask("summarize_results", group_by=["status"])
        account.pass_time(minutes=5)
        account.api.remove(conversation_id(1_500))
        cost = len(account.api.requests)
        account.api.on_request = lambda _: account.api.gate.shut() if len(account.api.requests) > cost + 1 else None
        answer = await assistant.ask("summarize_results", group_by=["status"])
        assert not answer.coverage["complete"]
        assert "1 call may be gone" in str(answer.coverage["note"])
        assert "could not be looked at" not in str(answer.coverage["note"])
        assert len(account.api.requests) <= cost + 1 + 16  # the pass has begun, and nobody waited for it

        account.api.on_request = None
        account.api.gate.open()
        for _ in range(200):
            answer = await assistant.ask("summarize_results", group_by=["status"])
            if answer.coverage["complete"]:
                break
        assert answer.coverage["matched"] == 2_999
        assert "may be gone" not in str(answer.coverage.get("note"))


async def test_an_empty_list_is_not_believed_at_once(account: Account) -> None:
    fill(account, 200)
    async with account.connect() as assistant:
        await assistant.ask("search_transcripts", query="payment")
        details = len(account.api.requests) - len(lists(account))
        held, account.api.conversations = account.api.conversations, []
        account.pass_time(seconds=6)
        answer = await assistant.ask("search_transcripts", query="payment")
        assert answer.coverage["matched"] == 200
        assert not answer.coverage["complete"]
        assert "200 calls may be gone" in str(answer.coverage["note"])

        account.api.conversations = held
        account.pass_time(minutes=2)
        for _ in range(3):
            answer = await assistant.ask("search_transcripts", query="payment")
        assert answer.coverage["complete"]
        assert len(account.api.requests) - len(lists(account)) == details


def half_damaged() -> Fault:
    chance = random.Random(7)
    kinds = (faults.truncated_json, faults.empty_body, faults.html_502, faults.not_json)

    def fault(good: Reply) -> Reply:
        return chance.choice(kinds)(good) if chance.random() < 0.5 else good

    return fault


@pytest.mark.parametrize("kind", some([half_damaged(), faults.truncated_json, faults.empty_body, faults.not_json], 3))
async def test_damaged_answers_leave_what_is_stored(account: Account, kind: Fault) -> None:
    fill(account, 40)
    async with account.connect() as assistant:
        whole = await assistant.ask("search_transcripts", query="payment")
        with account.failing(kind):
            for _ in range(20):
                answer = await assistant.ask("search_transcripts", query="payment")
                assert answer.structure["hits_total"] == whole.structure["hits_total"]
                assert answer.coverage["complete"] or "Answered from" in str(answer.coverage["note"])
                read = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(0)])
                assert read.rows()[0]["turn_count"]


async def test_questions_within_five_seconds_share_one_check_of_the_list(account: Account) -> None:
    fill(account, 40)
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        for seconds, more in ((4, 0), (2, 1), (4, 0)):
            account.pass_time(seconds=seconds)
            before = len(lists(account))
            answer = await assistant.ask("list_conversations", status=["completed"])
            assert answer.coverage["complete"]
            assert len(lists(account)) - before == more


async def test_a_refused_key_is_an_error_whatever_is_stored(account: Account) -> None:
    fill(account, 40)
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        account.pass_time(seconds=6)
        with account.failing(faults.failing(401)):
            assert "key was refused" in await assistant.refused("list_conversations")


async def test_a_web_page_from_the_start_is_an_error(account: Account) -> None:
    async with account.connect() as assistant:
        with account.failing(faults.not_json):
            assert "web page" in await assistant.refused("list_conversations")
