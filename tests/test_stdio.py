"""The program as hosts start it: a child process, lines of JSON on its pipes, both eras, and a clean end."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent
from pydantic import JsonValue

from formant_mcp.startup import new_stdio_server
from tests.calls import Row, conversation, detail, many
from tests.command import in_environment
from tests.examples import each_once, some
from tests.fake_formant import FakeFormant
from tests.stdio_process import (
    INITIALIZE,
    INITIALIZED,
    KEY,
    MODULE,
    PROGRAM,
    Message,
    calling,
    environment,
    piped,
    request,
    said,
    started,
)

ROOT = Path(__file__).parent.parent


@contextmanager
def slow_api() -> Generator[FakeFormant]:
    """An API that takes requests and never answers them."""
    with FakeFormant.in_thread() as api:
        api.conversations = many(250, datetime.now(UTC) - timedelta(hours=2), timedelta(days=10))
        api.gate.shut()
        yield api


def test_a_host_of_the_older_era_is_served_until_it_ends_its_input(tmp_path: Path) -> None:
    with started(tmp_path, "--demo", program=MODULE) as server:
        server.send(INITIALIZE)
        initialized = server.receive()["result"]
        assert isinstance(initialized, dict)
        assert initialized["protocolVersion"] == "2025-06-18"
        assert "Asia/Kolkata" in str(initialized["instructions"])
        server.send(INITIALIZED, request(2, "tools/list"))
        assert '"list_conversations"' in json.dumps(server.receive())
        server.send(calling(3, "list_conversations", limit=1))
        assert "conversations match; complete as of" in said(server.receive())
        server.close_stdin()
        assert server.ends() == 0
        assert server.rest() == ([], b"")


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "version"), some([("auto", "2026-07-28"), ("legacy", "2025-11-25")], 2))
async def test_the_sdks_client_is_served_in_both_eras(tmp_path: Path, mode: str, version: str) -> None:
    parameters = StdioServerParameters(command=str(PROGRAM), args=["--demo"], env=environment(tmp_path))
    with anyio.fail_after(60):
        async with Client(stdio_client(parameters), mode=mode) as client:
            assert client.protocol_version == version
            listed = await client.call_tool("list_conversations", {"status": ["failed", "completed"], "limit": 2})
            assert listed.structured_content
            ids = [row["conversation_id"] for row in listed.structured_content["conversations"]]
            read = await client.call_tool("get_transcripts", {"conversation_ids": ids})
            assert isinstance(read.content[0], TextContent)
            assert all(call_id in read.content[0].text for call_id in ids)
            resource = await client.read_resource(f"formant://conversations/{ids[0]}")
            assert ids[0] in resource.contents[0].model_dump()["text"]


def test_requests_are_answered_before_the_server_ends_even_the_last_without_a_line_feed(tmp_path: Path) -> None:
    calls = [calling(n, "list_conversations", limit=1, agent_id=agent) for n, agent in ((2, 123), (3, 456))]
    with started(tmp_path, "--demo") as server:
        server.send(INITIALIZE, INITIALIZED, *calls, request(4, "tools/list"))
        server.write(json.dumps(request(5, "ping")).encode())
        server.close_stdin()
        answers, on_stderr = server.rest()
        assert server.ends() == 0
    assert sorted(int(str(answer["id"])) for answer in answers) == [1, 2, 3, 4, 5]
    assert {"jsonrpc": "2.0", "id": 5, "result": {}} in answers
    assert on_stderr == b""


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        (
            {"FORMANT_API_KEY": ""},
            "No API key is set. Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) in the server's env",
        ),
        ({"FORMANT_API_KEY": "${FORMANT_API_KEY}"}, "FORMANT_API_KEY contains a placeholder"),
        (
            {"FORMANT_BASE_URL": "http://api.example.com"},
            "FORMANT_BASE_URL: use https:// (http:// only for this machine",
        ),
        (
            {"FORMANT_BASE_URL": "https://example.com/?k=1"},
            "FORMANT_BASE_URL: give scheme, host and path only: no query",
        ),
        ({"FORMANT_TIMEZONE": "Mars/Olympus"}, "FORMANT_TIMEZONE: not an IANA time zone"),
        ({"FORMANT_CALL_SECONDS": "soon"}, "FORMANT_CALL_SECONDS must be "),
        ({"FORMANT_LOG_LEVEL": "LOUD"}, "FORMANT_LOG_LEVEL must be "),
        ({"FORMANT_PROVIDER": "unheard-of"}, "FORMANT_PROVIDER must be "),
    ],
)
@pytest.mark.anyio
async def test_with_invalid_settings_every_tool_reports_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], variables: dict[str, str], error: str
) -> None:
    with in_environment(tmp_path, **({"FORMANT_API_KEY": KEY} | variables)):
        server, _ = new_stdio_server(is_demo=False)
        async with Client(server) as client:
            arguments = {
                "list_conversations": {},
                "get_transcripts": {"conversation_ids": ["e36853de"]},
                "save_recording": {"conversation_id": "e36853de"},
            }
            for tool in arguments:
                answer = await client.call_tool(tool, arguments[tool])
                assert answer.is_error
                assert isinstance(answer.content[0], TextContent)
                assert error in answer.content[0].text
                assert KEY not in answer.content[0].text
            with pytest.raises(MCPError, match=re.escape(error)):
                await client.read_resource("formant://conversations/e36853de/transcript")
            assert "list_conversations" in {tool.name for tool in (await client.list_tools()).tools}
    on_stderr = capsys.readouterr().err
    assert error in on_stderr
    assert KEY not in on_stderr


@pytest.mark.parametrize("variables", some([{"FORMANT_API_KEY": KEY, "FORMANT_TIMEZONE": "Mars/Olympus"}, {}], 2))
def test_the_server_starts_with_invalid_settings(tmp_path: Path, variables: dict[str, str]) -> None:
    calls = [calling(2, "list_conversations"), request(3, "tools/list")]
    answers, on_stderr = piped(tmp_path, [INITIALIZE, INITIALIZED, *calls], **variables)
    by_id = {int(str(answer["id"])): answer for answer in answers}
    error = "FORMANT_TIMEZONE: not an IANA time zone" if variables else "No API key is set. Set FORMANT_API_KEY"
    assert error in said(by_id[2])
    assert '"isError": true' in json.dumps(by_id[2])
    assert "list_conversations" in json.dumps(by_id[3]["result"])
    assert KEY not in f"{answers}{on_stderr}"
    assert on_stderr.startswith(error)
    assert len(on_stderr.splitlines()) == 1


def test_stdout_has_only_protocol_messages_and_no_secret_even_one_with_blanks_is_logged(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations = many(3, datetime.now(UTC) - timedelta(hours=2), timedelta(days=1))
        api.fault("/recording", 1, 500)
        ids = [str(row["conversation_id"]) for row in api.conversations]
        messages: list[Message] = [
            INITIALIZE,
            INITIALIZED,
            {"jsonrpc": "2.0", "id": 2, "method": "no/such/method"},
            calling(3, "list_conversations", summary_mode="include"),
            calling(4, "get_transcripts", conversation_ids=[*ids, "unknown"]),
            calling(5, "no_such_tool"),
        ]
        answers, on_stderr = piped(
            tmp_path, messages, FORMANT_API_KEY=f" {KEY}\n", FORMANT_BASE_URL=api.url, FORMANT_LOG_LEVEL="DEBUG"
        )
    (listed,) = [answer for answer in answers if answer["id"] == 3]
    assert "3 of 3 conversations match; complete" in said(listed)  # so the blanks around the key were stripped
    assert sorted(int(str(answer["id"])) for answer in answers) == [1, 2, 3, 4, 5]
    assert KEY not in on_stderr
    assert not [secret for secret in (api.url, ids[0], "Haan ji") if secret in on_stderr]


@pytest.mark.parametrize("sent", some([signal.SIGINT, signal.SIGTERM], 2))
def test_a_signal_ends_an_idle_server_promptly_and_cleanly(tmp_path: Path, sent: signal.Signals) -> None:
    with started(tmp_path, "--demo", program=MODULE) as server:
        server.shake_hands()
        server.process.send_signal(sent)
        assert server.ends() == 0
        assert server.rest() == ([], b"")


@pytest.mark.parametrize(("signals", "is_input_over"), each_once([signal.SIGINT, signal.SIGTERM], [False, True]))
def test_a_signal_ends_the_server_promptly_during_a_call(
    tmp_path: Path, signals: signal.Signals, is_input_over: bool
) -> None:
    with slow_api() as api, started(tmp_path, FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url) as server:
        server.shake_hands()
        server.send(calling(2, "list_conversations"), calling(3, "save_recording", conversation_id="e36853de"))
        api.received(2).result(30)
        if is_input_over:
            server.close_stdin()
        server.process.send_signal(signals)
        assert server.ends() == 0
        messages, on_stderr = server.rest()
        assert sorted(int(str(message["id"])) for message in messages) == [2, 3]
        assert on_stderr == b""


def test_calls_in_progress_when_the_input_ends_are_answered(tmp_path: Path) -> None:
    with slow_api() as api, started(tmp_path, FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url) as server:
        server.shake_hands()
        server.send(calling(2, "list_conversations"), request("3", "resources/list"))
        api.received(1).result(30)
        server.close_stdin()
        sleep(0.5)  # longer than it takes to end
        assert server.process.poll() is None
        api.gate.open()
        messages, on_stderr = server.rest()
        assert {message["id"]: "result" in message for message in messages} == {2: True, "3": True}
        assert "250 of 250 conversations match" in said(next(message for message in messages if message["id"] == 2))
        assert server.ends() == 0
        assert on_stderr == b""


def test_calls_in_progress_are_waited_for_up_to_call_seconds(tmp_path: Path) -> None:
    with (
        slow_api() as api,
        started(tmp_path, FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url, FORMANT_CALL_SECONDS="1") as server,
    ):
        server.shake_hands()
        server.send(calling(2, "list_conversations"), calling(3, "search_transcripts", query="refund"))
        server.close_stdin()
        messages, _ = server.rest()
        assert {message["id"]: "result" in message for message in messages} == {2: True, 3: True}
        assert server.ends() == 0


def test_a_cancelled_call_is_not_waited_for(tmp_path: Path) -> None:
    with slow_api() as api, started(tmp_path, FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url) as server:
        server.shake_hands()
        server.send(calling(2, "list_conversations"), calling(3, "save_recording", conversation_id="e36853de"))
        api.received(2).result(30)
        cancelled: list[Message] = [
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": n}} for n in (2, 3)
        ]
        server.send(*cancelled)
        server.close_stdin()
        assert server.ends() == 0
        assert server.rest() == ([], b"")


@pytest.mark.parametrize("sent", some([b"garbage\n", b""], 2))
def test_the_server_ends_with_its_input_before_any_request(tmp_path: Path, sent: bytes) -> None:
    with started(tmp_path, "--demo") as server:
        server.write(sent)
        server.close_stdin()
        assert server.ends() == 0


def test_the_server_ends_if_the_client_closes_its_pipe(tmp_path: Path) -> None:
    with started(tmp_path, "--demo") as server:
        server.shake_hands()
        assert server.process.stdout
        server.process.stdout.close()
        server.send(request(2, "ping"), request(3, "tools/list"))
        assert server.ends() == 0
        assert server.process.stderr
        assert server.process.stderr.read() == b""


@pytest.mark.parametrize("closed", some(["<&-", ">&-"], 2))
def test_the_server_ends_without_a_pipe(tmp_path: Path, closed: str) -> None:
    command = ["sh", "-c", f'exec "$0" --demo {closed}', str(PROGRAM)]
    done = subprocess.run(command, input=b"", env=environment(tmp_path), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


STRAY = """
import os, threading, time
from formant_mcp.cli import main

def print_once_it_serves():
    while not os.path.sameopenfile(1, 2):
        time.sleep(0.01)
    print("stray", flush=True)

threading.Thread(target=print_once_it_serves).start()
main(["--demo"])
"""


def test_stray_output_goes_to_stderr(tmp_path: Path) -> None:
    lines = json.dumps(INITIALIZE).encode()
    command = [sys.executable, "-c", STRAY]
    done = subprocess.run(command, input=lines, env=environment(tmp_path), capture_output=True, timeout=30)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1]
    assert done.stderr == b"stray\n"


def test_an_answer_larger_than_clients_accept_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        row = conversation(1, datetime.now(UTC) - timedelta(hours=2))
        turns: list[JsonValue] = [{"role": "agent", "message": "😀" * 80_000}] * 32
        whole: Row = detail(row)
        whole["transcript"] = turns
        api.add(row, whole)
        transcript = f"formant://conversations/{row['conversation_id']}/transcript"
        messages = [INITIALIZE, INITIALIZED, request(2, "resources/read", uri=transcript), request(3, "ping")]
        answers, _ = piped(tmp_path, messages, FORMANT_API_KEY=KEY, FORMANT_BASE_URL=api.url)
    by_id = {answer["id"]: answer for answer in answers}
    assert by_id[3]["result"] == {}
    assert "The answer is larger than the 9.5 MiB" in json.dumps(by_id[2]["error"])
    assert "get_transcripts" in json.dumps(by_id[2]["error"])


def test_a_signal_ends_the_server_while_nobody_reads_its_answer(tmp_path: Path) -> None:
    with started(tmp_path, "--demo") as server:
        server.shake_hands()
        server.send(calling(2, "list_conversations", order_by="longest", limit=20))
        longest = [line.split("\t")[0] for line in said(server.receive()).split("\n")[-20:]]
        server.send(calling(3, "get_transcripts", conversation_ids=[*longest], max_turns=2_000))
        assert server.process.stdout
        server.process.stdout.read(1)  # the answer has begun, and is longer than what a pipe holds
        server.process.send_signal(signal.SIGTERM)
        assert server.ends() == 0
