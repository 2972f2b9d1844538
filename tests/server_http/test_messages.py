"""A body over HTTP gets the answer that the same line gets on stdio: with its id, and without what the client sent."""

import json
from collections.abc import Generator

import httpx
import pytest

from tests.fake_formant import FakeFormant
from tests.http_process import NEWEST, in_thread, initialize, session_of
from tests.server_harness import Account
from tests.stdio_process import Message
from tests.test_pipe import ANSWERED, LINES, code

ONE_MESSAGE = {
    name: (data, expected)
    for name, (data, expected) in LINES.items()
    if len(data) < 1_000_000 and len(expected) < 2 and "message" not in name
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, dict[str, str]]]:
    """An address, and the headers of a session there."""
    with in_thread(Account(FakeFormant(), "legacy", tmp_path_factory.mktemp("http"))) as server:
        yield f"{server.url}/mcp", session_of(initialize(server.url))


def answer(response: httpx.Response) -> Message:
    """The message in a response, as JSON or as an event."""
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = text.partition("data: ")[2].partition("\r\n")[0]
    return json.loads(text)


@pytest.mark.parametrize("line", ONE_MESSAGE)
def test_a_body_is_answered_as_a_line_is(server: tuple[str, dict[str, str]], line: str) -> None:
    (url, headers), (data, expected) = server, ONE_MESSAGE[line]
    response = httpx.post(url, content=data, headers=headers)
    if not expected:
        assert (response.status_code, response.content) == (202, b"")
        return
    message = answer(response)
    assert [(message["id"], code(message))] == expected
    assert response.status_code in ((200,) if code(message) == ANSWERED else (200, 400))
    assert "alidation error" not in response.text


@pytest.mark.parametrize("body", ["{", '{"jsonrpc":"2.0"} {}', "[]"])
def test_a_refusal_is_about_requests_and_not_about_the_lines_of_stdio(
    server: tuple[str, dict[str, str]], body: str
) -> None:
    response = httpx.post(server[0], content=body, headers=server[1])
    assert response.status_code == 400
    assert "each message in a request of its own." in response.text
    assert "line" not in response.text


@pytest.mark.parametrize(
    "version",
    [NEWEST, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "1999-01-01", ""],
)
@pytest.mark.parametrize("params", ['"secret"', "[1]", "7", "true", '{"a":' * 1_000 + "1" + "}" * 1_000])
def test_parameters_that_are_no_object_are_refused_with_the_id_in_every_version(
    server: tuple[str, dict[str, str]], version: str, params: str
) -> None:
    url, session = server
    headers = session | {"MCP-Protocol-Version": version, "Mcp-Method": "tools/list"}
    for method in ("tools/list", "initialize", "no/such"):
        body = f'{{"jsonrpc":"2.0","id":"seven","method":"{method}","params":{params}}}'
        response = httpx.post(url, content=body, headers=headers)
        assert (response.status_code, answer(response)["id"]) == (400, "seven")
        assert "secret" not in response.text
