"""Two instances on one database, of which one is killed: no answer is wrong or lost, and the other one goes on."""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import NamedTuple

import httpx
import psycopg
import pytest
from pydantic import JsonValue

from tests.calls import many
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply, Request
from tests.http_process import in_child, post
from tests.postgres_server import postgres_server, programs

pytestmark = [
    pytest.mark.hardening,
    pytest.mark.skipif(programs() is None or sys.platform == "win32", reason="no PostgreSQL, or no SIGKILL"),
]

CALLS, LOADED_FIRST, CLIENTS, SECONDS = 60, 15, 6, 60.0
QUESTIONS: tuple[tuple[str, dict[str, JsonValue]], ...] = (
    ("search_transcripts", {"query": "payment OR कल", "limit": 5}),
    ("summarize_results", {"group_by": ["results.intent", "status"], "measures": ["results.csat"]}),
    ("list_conversations", {"order_by": "-results.csat", "limit": 20}),
    ("find_phrases", {}),
    ("find_calls_to_review", {"random_share": 0}),
)
OF_EACH_ANSWER = re.compile(
    r'as of [^.;]+|, now [-0-9: ]+|"as_of":"[^"]+"|end [0-9a-f]{6}|cursor=\S+|"next_cursor":"[^"]+"'
)


class SlowApi(FakeFormant):
    """Sends only a few transcripts until `others` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.others, self.sent = Event(), 0

    async def reply_to(self, request: Request) -> Reply:
        if re.search(r"/conversations/[^/?]+$", request.path):
            self.sent += 1
            while self.sent > LOADED_FIRST and not self.others.is_set():
                await asyncio.sleep(0.02)
        return await super().reply_to(request)


class Given(NamedTuple):
    """An answer, whether it says that it is complete, and whether it was only given by the other instance."""

    number: int
    text: str
    is_complete: bool
    is_repeated: bool = False


def ask(url: str, number: int) -> Given:
    """The answer to a question, without what differs each time."""
    tool, arguments = QUESTIONS[number]
    response = post(url, "tools/call", name=tool, arguments=arguments)
    response.raise_for_status()
    sent = re.findall(r"^(?:data: )?(\{.+)", response.text, re.MULTILINE)
    result = json.loads(sent[-1])["result"]
    assert not result.get("isError"), result
    text = OF_EACH_ANSWER.sub("", json.dumps(result, ensure_ascii=False, separators=(",", ":")))
    return Given(number, text, result["structuredContent"]["coverage"]["complete"])


def converse(urls: Sequence[str], client: int) -> list[Given]:
    """What a client gets to all questions; from the next instance on where one does not answer."""
    place, given = client % len(urls), list[Given]()
    for count in range(len(QUESTIONS)):
        number = (client + count) % len(QUESTIONS)
        try:
            given.append(ask(urls[place], number))
        except httpx.TransportError:
            place = (place + 1) % len(urls)
            given.append(ask(urls[place], number)._replace(is_repeated=True))
    return given


def undisturbed(folder: Path, settings: dict[str, str]) -> list[str]:
    """The answers of one instance on a store of its own."""
    with in_child(folder, **settings) as (_, url):
        answers = [ask(url, number) for number in range(len(QUESTIONS))]
    assert all(answer.is_complete for answer in answers)
    return [answer.text for answer in answers]


def wait_until(address: str, query: str) -> None:
    """Waits until the query has a row."""
    until = monotonic() + SECONDS
    with psycopg.connect(address, autocommit=True) as connection:
        while not connection.execute(query.encode()).fetchone():
            assert monotonic() < until, query
            sleep(0.05)


def test_a_killed_instance_costs_no_answer_and_the_other_one_takes_its_work_over(tmp_path: Path) -> None:
    with ExitStack() as stack:
        api = stack.enter_context(SlowApi.in_thread())
        api.conversations = many(CALLS, datetime.now(UTC) - timedelta(days=2), timedelta(days=10))
        settings = {"FORMANT_API_KEY": "k", "FORMANT_BASE_URL": api.url}
        api.others.set()
        expected = undisturbed(tmp_path, settings)
        api.others.clear()
        api.sent = 0
        address = stack.enter_context(postgres_server()).address
        shared = settings | {"FORMANT_STORE": address, "FORMANT_CALL_SECONDS": "2"}
        (victim, first), (_, second) = (stack.enter_context(in_child(tmp_path, **shared)) for _ in range(2))
        assert not ask(first, 0).is_complete
        wait_until(address, "SELECT 1 FROM formant_mcp.leases")  # which the first one holds
        assert not ask(second, 0).is_complete
        with ThreadPoolExecutor(CLIENTS) as pool:
            under_way = [pool.submit(converse, [first, second], client) for client in range(CLIENTS)]
            sleep(1)  # in the middle of questions that wait for transcripts
            victim.kill()
            api.others.set()
            given = [answer for client in under_way for answer in client.result(SECONDS)]
        assert len(given) == CLIENTS * len(QUESTIONS)
        assert any(answer.is_repeated for answer in given)
        wait_until(
            address,
            "SELECT 1 FROM formant_mcp.conversations"
            f" HAVING count(*) = {CALLS} AND count(*) FILTER (WHERE detail_at IS NULL) = 0",
        )
        given += [ask(second, number) for number in range(len(QUESTIONS))]
        assert all(answer.is_complete for answer in given[-len(QUESTIONS) :])
        for answer in given:
            assert not answer.is_complete or answer.text == expected[answer.number]
