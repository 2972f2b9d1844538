"""Eight servers, as hosts start them, on one store under load: no error, no lasting lock, and each is right in the end.

Meanwhile calls come, one server is suspended for a while, and one is killed.
"""

import os
import random
import signal
import sqlite3
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import cast

import pytest
from pydantic import JsonValue

from formant_mcp.sync.list_sync import RECHECK_AFTER
from tests.calls import conversation
from tests.fake_formant import FakeFormant
from tests.hardening.crash_stores import problems, sent, stored
from tests.stdio_process import KEY, Message, Server, calling, said, started

pytestmark = [
    pytest.mark.hardening,
    pytest.mark.file_store,
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP there"),
]

SECONDS = 60.0
SUSPENDED_SECONDS = 12.0  # more than leases last
SERVERS, CALLS, AGENTS = 8, 60, (101, 102, 103)
COMING_SECONDS = 0.5
QUESTIONS: tuple[tuple[str, dict[str, JsonValue]], ...] = (
    ("list_conversations", {"limit": 20}),
    ("list_conversations", {"agent_id": "102", "limit": 5}),
    ("search_transcripts", {"query": "payment OR कल", "limit": 5}),
    ("summarize_results", {"group_by": ["results.intent", "status"]}),
    ("summarize_results", {"group_by": ["agent_id"]}),
    ("find_phrases", {}),
    ("find_calls_to_review", {}),
)
LAST: tuple[str, dict[str, JsonValue]] = ("summarize_results", {"group_by": ["agent_id"], "measures": ["results.csat"]})


@dataclass
class Load:
    """The servers, their API, and what went wrong so far."""

    api: FakeFormant
    servers: list[Server]
    path: Path
    is_over: Event = field(default_factory=Event)
    wrong: list[str] = field(default_factory=list[str])
    answers: int = 0
    killed: int | None = None

    def come(self) -> None:
        """Adds calls until it is over."""
        number = CALLS
        while not self.is_over.wait(COMING_SECONDS):
            self.api.add(call(number))
            number += 1

    def ask(self, index: int) -> None:
        """Asks a server one question after the other until it is over."""
        server, rng, number = self.servers[index], random.Random(index), 10
        while not self.is_over.is_set():
            tool, arguments = rng.choice(QUESTIONS)
            number += 1
            try:
                answer = answered(server, number, tool, arguments)
            except (ValueError, OSError):
                if index != self.killed:
                    self.wrong.append(f"{index}: no answer")
                return
            self.answers += 1
            if is_error(answer):
                self.wrong.append(f"{index} {tool}: {said(answer)}")

    def is_locked(self) -> bool:
        """Whether nobody else can write."""
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)
        return False

    def figures(self, index: int) -> dict[str, JsonValue]:
        """What a server answers in the end, once it is complete."""
        until = monotonic() + 60
        while True:
            message = answered(self.servers[index], 1, *LAST)
            if is_error(message):
                return {"error": said(message)}
            answer = cast(dict[str, JsonValue], cast(dict[str, JsonValue], message["result"])["structuredContent"])
            coverage = cast(dict[str, JsonValue], answer.pop("coverage"))
            if coverage["complete"] is True or monotonic() > until:
                return answer | {name: coverage[name] for name in ("complete", "matched", "total")}
            sleep(1)


def call(number: int) -> dict[str, JsonValue]:
    """Call number `number`: of three agents, the newest is the highest."""
    began = datetime.now(UTC) - timedelta(days=2) + timedelta(minutes=number)
    return conversation(number, began, AGENTS[number % 3], "completed" if number % 4 else "busy")


def answered(server: Server, number: int, tool: str, arguments: dict[str, JsonValue]) -> Message:
    """The answer of a server to one question."""
    server.send(calling(number, tool, **arguments))
    message = server.receive()
    assert message["id"] == number
    return message


def is_error(message: Message) -> bool:
    return "result" not in message or bool(cast(dict[str, JsonValue], message["result"]).get("isError"))


@contextmanager
def loaded(folder: Path, count: int) -> Generator[Load]:
    """So many servers on one store, over an account of their own."""
    path = folder / "store.sqlite"
    with FakeFormant.in_thread() as api, ExitStack() as stack:
        api.key = KEY
        api.conversations = [call(number) for number in reversed(range(CALLS))]
        own = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(path)}
        servers = [stack.enter_context(started(folder, seconds=600, **own)) for _ in range(count)]
        for server in servers:
            server.shake_hands()
        yield Load(api, servers, path)


def under_load(load: Load, seconds: float) -> None:
    """Asks all servers at once; in the middle the first is suspended, and the last is killed."""
    pids = [server.process.pid for server in load.servers]
    with ThreadPoolExecutor(len(pids) + 1) as threads:
        jobs = [threads.submit(load.ask, index) for index in range(len(pids))]
        jobs.append(threads.submit(load.come))
        sleep(seconds / 3)
        os.kill(pids[0], signal.SIGSTOP)
        try:
            before = load.answers
            sleep(min(SUSPENDED_SECONDS, seconds / 3))
            load.wrong += ["a suspended server holds the lock"] if load.is_locked() else []
            load.wrong += ["nobody was answered meanwhile"] if load.answers == before else []
        finally:
            os.kill(pids[0], signal.SIGCONT)
        load.killed = len(pids) - 1
        load.servers[-1].process.kill()
        sleep(max(0.0, seconds * 2 / 3 - SUSPENDED_SECONDS))
        load.is_over.set()
        for job in jobs:
            job.result()


def right_figures(api: FakeFormant) -> dict[str, int]:
    """How many calls each agent has."""
    agents = [str(row["agent_id"]) for row in api.conversations]
    return {agent: agents.count(agent) for agent in agents}


def test_eight_servers_on_one_store_answer_without_an_error_and_agree_in_the_end(tmp_path: Path) -> None:
    with loaded(tmp_path, SERVERS) as load:
        under_load(load, SECONDS)
        assert load.wrong == []
        assert not load.is_locked()
        sleep(RECHECK_AFTER.total_seconds())  # for so long an answer may be of the moment before
        with ThreadPoolExecutor(SERVERS) as threads:
            figures = list(threads.map(load.figures, range(SERVERS - 1)))
        count = len(load.api.conversations)
        print(f"{load.answers} answers, {count} calls")
        assert all(one == figures[0] for one in figures)
        assert (figures[0]["complete"], figures[0]["matched"], figures[0]["total"]) == (True, count, count)
        groups = cast(list[dict[str, dict[str, str]]], figures[0]["groups"])
        assert {group["key"]["agent_id"]: group["count"] for group in groups} == right_figures(load.api)
        assert stored(load.path) == sent(load.api)
        assert problems(load.path) == []


def test_the_check_reports_a_lock_that_lasts(tmp_path: Path) -> None:
    with loaded(tmp_path, 2) as load:
        answered(load.servers[0], 2, *LAST)
        with closing(sqlite3.connect(load.path, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            assert load.is_locked()
            load.api.add(call(CALLS))
            message = answered(load.servers[0], 3, *LAST)
            assert is_error(message) or "complete" in said(message)
