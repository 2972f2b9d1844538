"""Much at once, much in a row, large things: each is answered, memory stays, nothing leaks, and the end is prompt."""

import asyncio
import csv
import json
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from tests.audio import wav
from tests.benchmarks.bench_ping import build
from tests.benchmarks.bench_soak import MOST_MIB, soaked
from tests.calls import conversation, conversation_id, detail, many
from tests.fake_formant import FakeFormant
from tests.process_usage import IS_COUNTED, Usage, leaks
from tests.stdio_process import KEY, Message, Server, calling, request, said, started

pytestmark = [
    pytest.mark.hardening,
    pytest.mark.skipif(not IS_COUNTED, reason="only Linux shows what a process uses as files"),
]

LIFETIME = 600.0
MOST_MEMORY = 150.0  # MiB above the start
CALLS = 45
AGENTS = ("100", "101", "102")


@contextmanager
def serving(folder: Path, **variables: str) -> Generator[tuple[Server, FakeFormant, Usage]]:
    """A server over 45 calls, their API, and what the server used before the first question."""
    with FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations = many(CALLS, datetime.now(UTC) - timedelta(hours=2), timedelta(days=10))
        own = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(folder / "store.sqlite")}
        with started(folder, seconds=LIFETIME, **own, **variables) as server:
            server.shake_hands()
            yield server, api, Usage.of(server.process.pid)


def structure(message: Message) -> dict[str, JsonValue]:
    """The structured content of an answer."""
    result = cast(dict[str, JsonValue], message["result"])
    assert not result.get("isError"), said(message)
    return cast(dict[str, JsonValue], result["structuredContent"])


def asked(server: Server, number: int, tool: str, **arguments: JsonValue) -> dict[str, JsonValue]:
    """The structured content of the answer to one call."""
    server.send(calling(number, tool, **arguments))
    message = server.receive()
    assert message["id"] == number
    return structure(message)


def mixed(number: int) -> Message:
    """Call number `number`, whose right answer `is_right` knows."""
    agent, call = AGENTS[number % 3], conversation_id(number % CALLS)
    return (
        calling(number, "list_conversations", agent_id=agent, limit=1),
        calling(number, "get_transcripts", conversation_ids=[call]),
        calling(number, "summarize_results", group_by=["agent_id"]),
        calling(number, "search_transcripts", query="hello OR yes OR payment", limit=1),
        calling(number, "list_conversations", limit=0),
    )[number % 5]


def is_right(message: Message) -> bool:
    """Whether an answer is that of its call."""
    number = cast(int, message["id"])
    if number % 5 == 4:
        return "limit must be a whole number from 1 to 100" in said(message)
    answer = structure(message)
    coverage = cast(dict[str, JsonValue], answer["coverage"])
    if number % 5 == 1:
        (row,) = cast(list[dict[str, JsonValue]], answer["conversations"])
        return row["conversation_id"] == conversation_id(number % CALLS)
    return coverage["complete"] is True and coverage["matched"] == (CALLS // 3 if number % 5 == 0 else CALLS)


def test_200_calls_at_once_are_each_answered_right(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, _, before):
        for first in range(1_000, 1_600, 200):
            server.send(*map(mixed, range(first, first + 200)))
            answers = [server.receive() for _ in range(200)]
            assert sorted(cast(int, answer["id"]) for answer in answers) == [*range(first, first + 200)]
            assert [answer["id"] for answer in answers if not is_right(answer)] == []
        assert Usage.of(server.process.pid).memory < before.memory + MOST_MEMORY
        server.close_stdin()
        assert server.ends() == 0
        assert server.rest() == ([], b"")


def test_10_000_calls_in_a_row_leave_memory_files_and_threads_as_they_are(tmp_path: Path) -> None:
    samples: list[Usage] = []
    with serving(tmp_path) as (server, _, before):
        for number in range(10_000, 20_000):
            server.send(mixed(number))
            answer = server.receive()
            assert answer["id"] == number
            assert is_right(answer)
            if number % 100 == 0:
                samples.append(Usage.of(server.process.pid))
        print(f"before {before}, after {samples[-1]}")
    assert leaks(samples, MOST_MIB) == []
    assert max(usage.memory for usage in samples) < before.memory + MOST_MEMORY


def test_a_recording_of_50_megabytes_is_saved_and_as_a_resource_refused_with_the_next_step(tmp_path: Path) -> None:
    call, sound = conversation_id(0), wav((8_000, 3_200.0))
    assert len(sound) > 50_000_000
    with serving(tmp_path) as (server, api, before):
        api.recordings[call] = sound
        saved = asked(server, 2, "save_recording", conversation_id=call)
        assert saved["bytes"] == len(sound)
        assert Path(str(saved["path"])).read_bytes() == sound
        for number in range(3, 8):
            server.send(request(number, "resources/read", uri=f"formant://conversations/{call}/recording"))
            refused = json.dumps(server.receive()["error"])
            assert "save_recording" in refused
        after = Usage.of(server.process.pid)
        print(f"before {before}, after {after}")
        assert after.memory < before.memory + MOST_MEMORY


def test_a_transcript_of_5_000_turns_is_read_in_windows_searched_and_exported(tmp_path: Path) -> None:
    call = conversation_id(99)
    with serving(tmp_path) as (server, api, before):
        row = conversation(99, datetime.now(UTC) - timedelta(hours=1))
        turns = [
            {"role": ("agent", "user")[n % 2], "message": f"word{n} and a few others, as people say"}
            for n in range(5_000)
        ]
        api.add(row, detail(row) | {"transcript": cast(JsonValue, turns)})
        first, read = 0, list[str]()
        while True:
            arguments: dict[str, JsonValue] = {"conversation_ids": [call], "from_turn": first, "max_turns": 2_000}
            (answer,) = cast(
                list[dict[str, JsonValue]], asked(server, 2, "get_transcripts", **arguments)["conversations"]
            )
            read += str(answer["transcript"]).splitlines()
            if not (following := answer.get("next_turn")):
                break
            first = cast(int, following)
        assert [line.split()[0] for line in read] == [str(n) for n in range(5_000)]
        assert all(f" word{n} " in line for n, line in enumerate(read))
        (hit,) = cast(list[dict[str, JsonValue]], asked(server, 3, "search_transcripts", query="word4321")["hits"])
        assert (hit["conversation_id"], hit["turn"]) == (call, 4_321)
        exported = asked(server, 4, "export_conversations", include=["transcript"], format="csv")
        csv.field_size_limit(10_000_000)
        with Path(str(exported["path"])).open(encoding="utf-8-sig", newline="") as file:
            (whole,) = [line for line in csv.DictReader(file) if line["conversation_id"] == call]
        assert whole["transcript"].count("word") == 5_000
        assert Usage.of(server.process.pid).memory < before.memory + MOST_MEMORY


def test_100_000_calls_are_listed_counted_and_searched_within_the_memory(tmp_path: Path) -> None:
    calls = many(100_000, datetime.now(UTC) - timedelta(days=2), timedelta(days=300))
    with FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations, api.order = calls, "as_held"
        path = tmp_path / "store.sqlite"
        asyncio.run(build(path, api.url, calls, 1_000))
        own = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(path)}
        with started(tmp_path, seconds=LIFETIME, FORMANT_CALL_SECONDS="300", **own) as server:
            server.shake_hands()
            before = Usage.of(server.process.pid)
            questions: list[tuple[str, dict[str, JsonValue]]] = [
                ("list_conversations", {"order_by": "longest", "limit": 100}),
                ("summarize_results", {"group_by": ["agent_id", "week"], "measures": ["results.csat"]}),
                ("summarize_results", {}),
                ("search_transcripts", {"query": "payment"}),
                ("find_changes", {"since": "100d"}),
                ("export_conversations", {"include": ["results"]}),
            ]
            for number, (tool, arguments) in enumerate(questions, 2):
                answer = asked(server, number, tool, **arguments)
                assert cast(dict[str, JsonValue], answer["coverage"])["total"] == 100_000
            after = Usage.of(server.process.pid)
            print(f"before {before}, after {after}")
            assert after.memory < before.memory + MOST_MEMORY


@pytest.mark.parametrize("ending", ["end of input", "SIGTERM"])
def test_200_running_calls_do_not_keep_the_server_from_ending(tmp_path: Path, ending: str) -> None:
    with serving(tmp_path, FORMANT_CALL_SECONDS="1") as (server, api, _):
        api.gate.shut()
        received = api.received(1)
        server.send(*map(mixed, range(1_000, 1_200)), request(1_200, "ping"))
        received.result(60)
        messages = [server.receive()]
        while messages[-1]["id"] != 1_200:  # all have been read once this is answered
            messages.append(server.receive())
        if ending == "SIGTERM":
            server.process.send_signal(signal.SIGTERM)
            assert server.ends() == 0
            server.close_stdin()
        else:
            server.close_stdin()
        rest, on_stderr = server.rest()
        assert sorted(cast(int, message["id"]) for message in (*messages, *rest)) == [*range(1_000, 1_201)]
        assert on_stderr == b""
        assert server.process.wait(60) == 0


@pytest.mark.parametrize("ending", ["end of input", "SIGTERM"])
def test_a_running_scan_does_not_keep_the_server_from_ending(tmp_path: Path, ending: str) -> None:
    with serving(tmp_path, FORMANT_CALL_SECONDS="1") as (server, api, _):
        api.conversations = many(20_000, datetime.now(UTC) - timedelta(hours=2), timedelta(days=300))
        server.send(calling(2, "summarize_results", group_by=["status"]))
        assert "; complete as of" not in said(server.receive()).partition("\n")[0]
        api.received(1).result(60)  # it goes on after the answer
        if ending == "SIGTERM":
            server.process.send_signal(signal.SIGTERM)
        else:
            server.close_stdin()
        assert server.ends() == 0
        assert server.rest() == ([], b"")


def test_a_minute_of_all_kinds_of_questions_leaks_nothing(tmp_path: Path) -> None:
    with soaked(tmp_path, 500) as it:
        before = Usage.of(it.server.process.pid)
        samples = it.soak(60, print)
        it.server.close_stdin()
        assert it.server.ends() == 0
        assert it.server.rest() == ([], b"")
    assert leaks(samples, MOST_MIB) == []
    assert max(usage.memory for usage in samples) < before.memory + MOST_MEMORY


LEAKING = """
import threading
from formant_mcp.cli import main
from formant_mcp.server import stdio

send, kept = stdio._Pipe.send, []

def wait_in_a_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

async def send_and_keep(self, item):
    kept.append(KEPT)
    await send(self, item)

stdio._Pipe.send = send_and_keep
main([])
"""


@pytest.mark.parametrize(
    ("kept", "grown"),
    [("bytes(range(250)) * 2_000", "memory"), ("open('/dev/null')", "files"), ("wait_in_a_thread()", "threads")],
)
def test_the_check_reports_a_server_that_leaks(tmp_path: Path, kept: str, grown: str) -> None:
    program = (sys.executable, "-c", LEAKING.replace("KEPT", kept))
    with soaked(tmp_path, 50, program=program) as it:
        samples = it.soak(0, print)
    assert any(found.startswith(grown) for found in leaks(samples, MOST_MIB))
