"""What a member, a request or a session may use; beyond it there is a refusal, and the others are still served."""

import socket
from datetime import timedelta
from time import monotonic

import httpx
import pytest
from pydantic import JsonValue

from formant_mcp.server.http import MCP_PATHS
from formant_mcp.server.limits import Limits, Quotas
from tests.calls import many
from tests.faults import slow
from tests.http_process import PING, Tokens, bearing, headers_of, in_thread, initialize, post, posted, session_of
from tests.server_harness import NOW, Account
from tests.stdio_process import MOST_SECONDS


@pytest.fixture
def account(account: Account) -> Account:
    """Five calls, some days old."""
    account.api.conversations = many(5, NOW - timedelta(days=2), timedelta(days=10))
    return account


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_requests_of_a_minute_may_come_at_once_and_then_as_fast_as_time_passes() -> None:
    clock = Clock()
    quotas = Quotas(Limits(requests_per_minute=60), clock)
    assert [quotas.take_request("anna") for _ in range(60)] == [0.0] * 60
    assert quotas.take_request("anna") == pytest.approx(1.0)
    assert quotas.take_request("bert") == 0.0
    clock.seconds = 2.0
    assert [quotas.take_request("anna") for _ in range(2)] == [0.0, 0.0]
    assert quotas.take_request("anna") > 0
    clock.seconds = 1_000.0
    assert [quotas.take_request("anna") for _ in range(60)] == [0.0] * 60
    assert quotas.take_request("anna") > 0


def test_a_call_that_has_ended_makes_room_for_another() -> None:
    quotas = Quotas(Limits(calls_at_once=2))
    assert [quotas.start_call("anna", call) for call in range(3)] == [True, True, False]
    assert quotas.start_call("bert", 3)
    quotas.end_call("anna", 1)
    assert [quotas.start_call("anna", call) for call in (4, 5)] == [True, False]


def test_senders_who_send_nothing_any_more_are_forgotten_but_not_their_running_calls() -> None:
    clock = Clock()
    quotas = Quotas(Limits(calls_at_once=1), clock)
    assert quotas.start_call("anna", 0)
    for number in range(5_000):
        clock.seconds += 1
        quotas.take_request(f"10.0.0.{number}")
    assert len(quotas._usage) <= 1_000  # pyright: ignore[reportPrivateUsage]
    assert not quotas.start_call("anna", 1)


def test_a_body_that_is_too_large_is_refused(account: Account) -> None:
    with in_thread(account, limits=Limits(body_bytes=2_000)) as server:
        assert post(server.url, "tools/list").status_code == 200
        assert (
            post(server.url, "tools/call", name="list_conversations", arguments={"x": "y" * 2_000}).status_code == 413
        )
        # Without a length, and larger than what the system's buffers hold.
        chunks = (b" " * 100_000 for _ in range(20))
        sent = httpx.post(f"{server.url}/mcp", content=chunks, headers=headers_of("tools/list"), timeout=MOST_SECONDS)
        assert sent.status_code == 413


def test_more_calls_than_a_minute_has_are_refused_with_the_time_to_wait(account: Account) -> None:
    with in_thread(account, limits=Limits(requests_per_minute=2), verifier=Tokens("anna", "bert")) as server:
        statuses = [post(server.url, "tools/list", bearing("anna")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = post(server.url, "tools/list", bearing("anna"))
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert post(server.url, "tools/list", bearing("bert")).status_code == 200


def test_more_calls_at_once_than_a_member_may_have_are_refused(account: Account) -> None:
    with in_thread(account, limits=Limits(calls_at_once=1), verifier=Tokens("anna", "bert"), call_seconds=30) as server:
        account.api.gate.shut()
        asking = posted("tools/call", name="list_conversations", arguments={})
        under_way = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        headers = headers_of("tools/call", "list_conversations") | bearing("anna")
        request = httpx.Request("POST", f"{server.url}/mcp", json=asking, headers=headers)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        received = account.api.received(1)
        under_way.sendall("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + request.content)
        received.result(MOST_SECONDS)
        refused = post(server.url, "tools/list", bearing("anna"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert post(server.url, "tools/list", bearing("bert")).status_code == 200
        account.api.gate.open()
        assert under_way.recv(100).startswith(b"HTTP/1.1 200")
        under_way.close()


def test_a_call_whose_client_hung_up_still_counts_while_it_runs(account: Account) -> None:
    with in_thread(account, limits=Limits(calls_at_once=1), verifier=Tokens("anna"), call_seconds=30) as server:
        session = session_of(initialize(server.url, bearing("anna"))) | bearing("anna")
        account.api.gate.shut()
        received = account.api.received(1)
        calling: dict[str, JsonValue] = {"name": "list_conversations", "arguments": {}}
        under_way = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": calling}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/mcp", json=under_way, headers=session, timeout=1)
        received.result(MOST_SECONDS)
        assert httpx.post(f"{server.url}/mcp", json=PING, headers=session).status_code == 429
        account.api.gate.open()
        deadline = monotonic() + MOST_SECONDS
        while httpx.post(f"{server.url}/mcp", json=PING, headers=session).status_code == 429:
            assert monotonic() < deadline


@pytest.mark.parametrize("path", MCP_PATHS)
def test_more_streams_at_once_than_a_member_may_have_are_refused_until_one_ends(account: Account, path: str) -> None:
    with in_thread(account, limits=Limits(streams_at_once=1), verifier=Tokens("anna", "bert")) as server:
        url = f"{server.url}{path}"

        def session(name: str) -> dict[str, str]:
            return session_of(initialize(server.url, bearing(name))) | bearing(name)

        with httpx.stream("GET", url, headers=session("anna"), timeout=MOST_SECONDS) as first:
            assert first.status_code == 200
            assert httpx.get(url, headers=session("anna")).status_code == 429
            with httpx.stream("GET", url, headers=session("bert"), timeout=MOST_SECONDS) as other:
                assert other.status_code == 200
        deadline, status = monotonic() + MOST_SECONDS, 429
        while status == 429:
            assert monotonic() < deadline
            with httpx.stream("GET", url, headers=session("anna"), timeout=MOST_SECONDS) as again:
                status = again.status_code
        assert status == 200


@pytest.mark.parametrize("path", MCP_PATHS)
def test_a_stream_ends_after_a_while_and_opens_again_only_for_a_member(account: Account, path: str) -> None:
    tokens = Tokens("anna")
    with in_thread(account, limits=Limits(stream_seconds=0.2), verifier=tokens) as server:
        session = session_of(initialize(server.url, bearing("anna"))) | bearing("anna")
        for _ in range(2):
            with httpx.stream("GET", f"{server.url}{path}", headers=session, timeout=MOST_SECONDS) as stream:
                assert (stream.status_code, b"".join(stream.iter_bytes())) == (200, b"")
        tokens.members.clear()
        assert httpx.get(f"{server.url}{path}", headers=session).status_code == 401


def test_more_sessions_than_the_server_has_are_refused_until_one_ends(account: Account) -> None:
    with in_thread(account, limits=Limits(sessions=2)) as server:
        opened = [initialize(server.url) for _ in range(3)]
        assert [response.status_code for response in opened] == [200, 200, 503]
        assert httpx.delete(f"{server.url}/mcp", headers=session_of(opened[0])).status_code == 200
        assert initialize(server.url).status_code == 200


def test_an_idle_session_ends(account: Account) -> None:
    with in_thread(account, limits=Limits(session_idle_seconds=0.2)) as server:
        session = session_of(initialize(server.url))
        assert server.sessions() == 1
        deadline = monotonic() + MOST_SECONDS
        while server.sessions() and monotonic() < deadline:
            assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert httpx.post(f"{server.url}/mcp", json=PING, headers=session).status_code == 404


def test_a_session_is_not_idle_while_it_waits_for_notifications(account: Account) -> None:
    with in_thread(account, limits=Limits(session_idle_seconds=0.2)) as server:
        session = session_of(initialize(server.url))
        with httpx.stream("GET", f"{server.url}/mcp", headers=session, timeout=0.6) as stream:
            with pytest.raises(httpx.ReadTimeout):
                next(stream.iter_bytes())
            assert httpx.post(f"{server.url}/mcp", json=PING, headers=session).status_code == 200


def test_more_connections_than_the_server_has_are_refused(account: Account) -> None:
    with in_thread(account, limits=Limits(connections=3)) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        assert post(server.url, "tools/list").status_code == 200
        with socket.create_connection(address), socket.create_connection(address):
            assert post(server.url, "tools/list").status_code == 503


def converse(url: str, data: bytes) -> bytes:
    """Sends bytes, then nothing; returns all that is sent back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=MOST_SECONDS) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


@pytest.mark.parametrize("data", [b"", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_connection_without_whole_headers_is_closed(account: Account, data: bytes) -> None:
    with in_thread(account, limits=Limits(header_seconds=0.2)) as server:
        assert converse(server.url, data) == b""
        assert post(server.url, "tools/list").status_code == 200


def test_headers_that_are_too_slow_end_a_connection_after_its_first_answer_too(account: Account) -> None:
    with in_thread(account, limits=Limits(header_seconds=0.5)) as server:
        answer = converse(server.url, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\n")
        assert answer.count(b"HTTP/1.1 200") == 1


def test_a_body_that_arrives_slowly_after_its_answer_ends_the_connection(account: Account) -> None:
    with in_thread(account, limits=Limits(header_seconds=0.2), verifier=Tokens("anna")) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=MOST_SECONDS / 6) as connection:
            connection.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                chunk = connection.recv(65_536)
                assert chunk, answer
                answer += chunk
            assert answer.startswith(b"HTTP/1.1 401")
            connection.sendall(b"{")
            assert connection.recv(65_536) == b""


def test_a_body_that_does_not_arrive_in_time_is_refused(account: Account) -> None:
    with in_thread(account, limits=Limits(body_seconds=0.2)) as server:
        head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        assert converse(server.url, head.encode()).startswith(b"HTTP/1.1 408")
        assert post(server.url, "tools/list").status_code == 200


def test_a_call_may_take_longer_than_its_headers_and_body(account: Account) -> None:
    account.api.fault("offset=0", 1, slow(0.6))
    with in_thread(account, limits=Limits(header_seconds=0.2, body_seconds=0.2)) as server:
        answer = post(server.url, "tools/call", name="list_conversations", arguments={})
    assert answer.status_code == 200
    assert "5 of 5 conversations match" in answer.text
