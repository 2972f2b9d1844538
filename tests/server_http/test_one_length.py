"""A request with two lengths of its body is refused, and nothing after it is read: a proxy may see another request."""

import json
import socket

import pytest

from tests.http_process import PING, HttpServer, in_thread
from tests.server_harness import MOST_SECONDS, Account

NEXT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps(PING).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH, ENCODING = b"Content-Length: %d", b"Transfer-Encoding: chunked"


def statuses(server: HttpServer, sent: bytes) -> list[int]:
    """The statuses of the answers to what is sent on one connection, until the server closes it."""
    got, port = b"", int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS) as connection:
        connection.sendall(sent)
        while part := connection.recv(65_536):
            got += part
    return [int(answer[:3]) for answer in got.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("path", [b"/mcp", b"/mcp/", b"/files/any", b"/healthz", b"/any"])
@pytest.mark.parametrize("both", [[LENGTH, ENCODING], [ENCODING.upper(), LENGTH.lower()]])
def test_a_request_with_both_lengths_is_refused_and_the_connection_ends(
    account: Account, path: bytes, both: list[bytes]
) -> None:
    lines = [b"POST %s HTTP/1.1" % path, b"Host: localhost", *both, b"", b""]
    with in_thread(account) as server:
        assert statuses(server, b"\r\n".join(lines) % 4 + CHUNKED + NEXT) == [400]


def test_a_request_with_one_length_is_followed_by_others(account: Account) -> None:
    first = b"POST /any HTTP/1.1\r\nHost: localhost\r\n"
    last = NEXT.replace(b"localhost", b"localhost\r\nConnection: close")
    with in_thread(account) as server:
        assert statuses(server, first + ENCODING + b"\r\n\r\n" + CHUNKED + last) == [404, 200]
        assert statuses(server, first + LENGTH % len(BODY) + b"\r\n\r\n" + BODY + last) == [404, 200]
