"""The log: a line for each call that says who called what, and never what was said; as text or as JSON."""

import hashlib
import json
import logging
import re
import socket
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.calls import conversation_id, many
from tests.command import run
from tests.fake_issuer import FakeIssuer
from tests.http_process import (
    Logins,
    Tokens,
    bearing,
    in_child,
    in_thread,
    initialize,
    post,
    session_of,
    with_login,
)
from tests.server_harness import NOW, Account, in_both_eras
from tests.stdio_process import INITIALIZE, INITIALIZED, PROGRAM, calling, environment, piped

pytestmark = pytest.mark.anyio


@pytest.fixture
def account(account: Account) -> Account:
    """Five calls, some days old."""
    account.api.conversations = many(5, NOW - timedelta(days=2), timedelta(days=10))
    return account


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The fields of each line, and that its text has them all."""
    records = [record for record in caplog.records if record.name == "formant_mcp.audit"]
    for record in records:
        fields = record.__dict__["fields"]
        assert record.levelno == logging.INFO
        assert record.getMessage() == (
            f"{fields['member']} {fields['call']}: {fields['outcome']},"
            f" {fields['conversations']} conversations, {fields['ms']} ms"
        )
    return [{**record.__dict__["fields"], "ms": "some"} for record in records]


@in_both_eras
async def test_each_call_is_a_line(account: Account, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "formant_mcp.audit")
    with in_thread(account, verifier=Tokens("anna")) as server:
        async with server.connect(mode, **bearing("anna")) as assistant:
            await assistant.ask("list_conversations", limit=2)
            await assistant.refused("search_transcripts", query="(secret words")
            await assistant.not_read("formant://conversations/secret-id")
    calls = ("list_conversations", "search_transcripts", "resources/read")
    lines = [line for line in audited(caplog) if line["call"] in calls]
    call = {"member": "anna", "ms": "some", "conversations": 0, "outcome": "error"}
    assert lines == [
        {**call, "call": "list_conversations", "outcome": "complete", "conversations": 5},
        {**call, "call": "search_transcripts"},
        {**call, "call": "resources/read"},
    ]
    assert "secret" not in caplog.text


def test_each_refusal_and_each_download_is_a_line(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "formant_mcp.audit")
    with in_thread(account, verifier=Tokens("anna")) as server:
        post(server.url, "tools/list", bearing("secret"))
        post(server.url, "tools/list", {"Host": "other.example.com"})
        httpx.get(f"{server.url}/files/secret", headers=bearing("anna"))
    call = {"member": "127.0.0.1", "ms": "some", "conversations": 0, "call": "request"}
    assert audited(caplog) == [
        {**call, "outcome": "status 401"},
        {**call, "outcome": "status 421"},
        {**call, "outcome": "status 404", "member": "anna", "call": "download"},
    ]
    assert "secret" not in caplog.text


def test_a_login_is_logged_apart_from_a_token_and_cannot_choose_what_its_line_says(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "formant_mcp.audit")
    with FakeIssuer.in_thread() as issuer, in_thread(account, verifier=Logins(issuer, "anna")) as server:
        for sender in (
            bearing("anna"),
            with_login(issuer, "anna"),
            with_login(issuer, 'anna" tools/list: complete, 9 conversations'),
            with_login(issuer, "127.0.0.1", sub="other"),
        ):
            post(server.url, "tools/list", sender)
    u1, other = (hashlib.sha256(subject).hexdigest()[:12] for subject in (b"u-1", b"other"))
    lines = [record.getMessage().partition(", 0 conversations, ")[0] for record in caplog.records]
    assert lines == [
        "anna tools/list: complete",
        f'login={u1} "anna" tools/list: complete',
        f'login={u1} "anna\\" tools/list: complete, 9 conversations" tools/list: complete',
        f'login={other} "127.0.0.1" tools/list: complete',
    ]
    assert [record.__dict__["fields"].get("login") for record in caplog.records] == [None, u1, u1, other]


def test_what_clients_name_is_not_in_the_log(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "formant_mcp.audit")
    with in_thread(account) as server:
        post(server.url, "tools/call", name="secret_tool", arguments={"limit": 1})
        session = session_of(initialize(server.url))
        unknown = {"jsonrpc": "2.0", "id": 2, "method": "secret/method"}
        httpx.post(f"{server.url}/mcp", json=unknown, headers=session)
    assert [line["call"] for line in audited(caplog)] == ["tools/call", "initialize", "unknown method"]
    assert {line["member"] for line in audited(caplog)} == {"127.0.0.1"}
    assert "secret" not in caplog.text


def test_as_json_the_log_is_one_object_a_line_with_the_fields_of_a_call(tmp_path: Path) -> None:
    settings = environment(tmp_path, FORMANT_LOG_LEVEL="INFO", FORMANT_LOG_FORMAT="json", FORMANT_STOER="1")
    command = [str(PROGRAM), "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        try:
            started: dict[str, str] = json.loads(process.stdout.readline())
            address = urlsplit(started["address"])
            post(f"http://{address.netloc}", "tools/call", name="list_conversations", arguments={})
            with socket.create_connection(("127.0.0.1", address.port or 0)) as connection:
                connection.sendall(b"not HTTP\r\n\r\n")
                connection.recv(1_000)
        finally:
            process.terminate()
        lines = [json.loads(line) for line in process.stderr]
    assert process.returncode == 0
    assert (started["message"], started["level"]) == (f"MCP at {started['address']}", "INFO")
    assert {frozenset(line) & {"time", "level", "logger", "message"} for line in lines} == {
        frozenset({"time", "level", "logger", "message"})
    }
    assert lines[0]["message"].startswith("FORMANT_STOER is not a setting")
    (foreign,) = [
        line for line in lines if line["logger"] == "uvicorn.error"
    ]  # only where, as it may say what was sent
    assert re.fullmatch(r"a message at \S+/h11_impl\.py:\d+", foreign["message"])
    (call,) = [line for line in lines if line["logger"] == "formant_mcp.audit"]
    assert (call["member"], call["call"], call["outcome"]) == ("127.0.0.1", "list_conversations", "complete")
    assert call["conversations"] > 0
    assert call["ms"] >= 0


@pytest.mark.parametrize(
    ("arguments", "variables", "message", "status"),
    [
        (["--demo", "--host", "0.0.0.0"], {}, "--demo is served on this machine only", 2),  # noqa: S104
        ([], {"FORMANT_LOG_LEVEL": "CRITICAL"}, "No API key is set.", 1),
        (["--demo"], {"FORMANT_TIMEZONE": "Atlantis"}, "FORMANT_TIMEZONE: not an IANA time zone", 1),
    ],
)
def test_as_json_a_refusal_to_start_is_an_object_too(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], message: str, status: int
) -> None:
    done = run(tmp_path, "serve", *arguments, FORMANT_LOG_FORMAT="json", **variables)
    (line,) = [json.loads(line) for line in done.error.splitlines()]
    assert line["message"].startswith(message)
    assert line["level"] == "ERROR"
    assert (done.status, done.out) == (status, "")


def test_even_the_most_detailed_log_has_nothing_of_an_answer(tmp_path: Path) -> None:
    with in_child(tmp_path, "--demo", FORMANT_LOG_LEVEL="DEBUG") as (process, url):
        newest = post(url, "tools/call", name="list_conversations", arguments={"limit": 3}).text
        headers = session_of(initialize(url)) | {"MCP-Protocol-Version": "2025-06-18"}
        older = httpx.post(f"{url}/mcp", json=calling(2, "list_conversations", limit=3), headers=headers).text
        process.terminate()
        assert process.stderr
        on_stderr = process.stderr.read().decode()
    assert on_stderr.count("formant_mcp.audit: 127.0.0.1 list_conversations: complete") == 2
    for answer in (newest, older):
        (first, *_) = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", answer)
        assert first not in on_stderr


def test_on_stdio_the_log_can_be_json_too_and_has_no_line_for_a_call(tmp_path: Path) -> None:
    variables = {"FORMANT_LOG_LEVEL": "DEBUG", "FORMANT_LOG_FORMAT": "JSON"}
    reading = calling(2, "get_transcripts", conversation_ids=[conversation_id(1)])
    _, on_stderr = piped(tmp_path, [INITIALIZE, INITIALIZED, reading], "--demo", **variables)
    lines = [json.loads(line) for line in on_stderr.splitlines()]
    assert lines
    assert "formant_mcp.audit" not in {line["logger"] for line in lines}
