"""The command `formant-mcp serve`: what it prints, what it refuses, and that it serves the sample account."""

import json
import re
import socket
from pathlib import Path

import httpx
import pytest

from formant_mcp.server.http import listen
from tests.command import Done, run
from tests.http_process import in_child, post
from tests.stdio_process import Process


def refused(done: Done, status: int = 1) -> str:
    """What it prints when it does not start."""
    assert (done.status, done.out) == (status, "")
    return done.error


def test_it_serves_the_sample_account_and_prints_its_address(tmp_path: Path) -> None:
    with in_child(tmp_path, "--demo", "--host", "localhost") as (process, url):
        assert url.startswith("http://localhost:")
        assert httpx.get(f"{url}/readyz").text == "ready"
        answer = post(url, "tools/call", name="list_conversations", arguments={"limit": 1})
        assert "conversations match; complete" in answer.text
        assert httpx.get(f"{url}/other").status_code == 404
        assert httpx.get(f"{url}/metrics").status_code == 404  # they are off unless set
        assert process.poll() is None
        assert ended(process) == []


def test_it_refuses_to_listen_for_other_machines(tmp_path: Path) -> None:
    variables = {"FORMANT_API_KEY": "any-key", "FORMANT_STORE": str(tmp_path / "store.sqlite")}
    text = refused(run(tmp_path, "serve", "--host", "0.0.0.0", **variables))  # noqa: S104
    assert text.startswith("Without access control the server listens only on this machine, not on 0.0.0.0.")
    assert "token add NAME" in text


def test_it_refuses_a_proxy_for_other_machines(tmp_path: Path) -> None:
    settings = {"FORMANT_API_KEY": "any-key", "FORMANT_HTTP_HOSTS": "calls.example.com"}
    text = refused(run(tmp_path, "serve", "--port", "0", **settings))
    assert text.startswith("Without access control the server answers only this machine, not for calls.example.com")


def test_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    assert refused(run(tmp_path, "serve")) == (
        "No API key is set. Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE);"
        " `formant-mcp serve --demo` serves the sample account without one.\n"
    )


def test_the_demo_is_for_this_machine_alone(tmp_path: Path) -> None:
    text = refused(run(tmp_path, "serve", "--demo", "--host", "0.0.0.0"), status=2)  # noqa: S104
    assert text == "--demo is served on this machine only, not on 0.0.0.0. Leave --host out.\n"


def ended(process: Process) -> list[str]:
    """Ends it; returns the lines that it printed to stderr."""
    process.terminate()
    assert process.stderr
    return process.stderr.read().decode().splitlines()


LOGIN = {"FORMANT_HTTP_ISSUER": "http://127.0.0.1:9", "FORMANT_HTTP_AUDIENCE": "api://calls"}  # so any host may be used


def test_it_says_which_store_it_uses_and_that_other_names_are_refused(tmp_path: Path) -> None:
    variables = {"FORMANT_API_KEY": "any-key", "XDG_DATA_HOME": str(tmp_path), "FORMANT_STORE": "", **LOGIN}
    with in_child(tmp_path, "--host", "0.0.0.0", **variables) as (process, _):  # noqa: S104
        store, names = ended(process)
    assert re.fullmatch(rf"Store: {tmp_path}/formant-mcp/\w+\.sqlite", store)
    refused = "requests that address the server by another name than 0.0.0.0 are refused (421)."
    assert names == f"FORMANT_HTTP_HOSTS is not set: {refused}"


def test_as_json_it_says_so_too_but_not_of_names_where_they_are_set(tmp_path: Path) -> None:
    variables = {"FORMANT_API_KEY": "any-key", "FORMANT_HTTP_HOSTS": "calls.example.com", **LOGIN}
    variables |= {"FORMANT_STORE": ":memory:", "FORMANT_LOG_FORMAT": "json"}
    with in_child(tmp_path, "--host", "0.0.0.0", **variables) as (process, _):  # noqa: S104
        (line,) = ended(process)
    assert (json.loads(line)["level"], json.loads(line)["message"]) == ("INFO", "Store: memory")


def test_it_says_that_a_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = refused(run(tmp_path, "serve", "--demo", "--port", str(port)))
    assert text == (
        f"The server cannot listen on 127.0.0.1, port {port}: address already in use."
        " Choose others with --host and --port.\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "calls..example.com", "ü..example.com"])  # neither needs a name server
def test_a_host_that_is_not_of_this_machine_is_refused_with_what_is_accepted(tmp_path: Path, host: str) -> None:
    variables = {"FORMANT_API_KEY": "any-key", "FORMANT_STORE": ":memory:", **LOGIN}
    text = refused(run(tmp_path, "serve", "--host", host, **variables), status=2)
    accepted = "Use one that it has, for example 127.0.0.1, or 0.0.0.0 for all of them."
    assert text == f"--host: {host} is not an address of this machine. {accepted}\n"


def test_an_answer_does_not_wait_until_its_first_part_is_acknowledged() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_token_opens_the_server_until_it_is_revoked(tmp_path: Path, database_address: str) -> None:
    settings = {"FORMANT_API_KEY": "any-key", "FORMANT_STORE": database_address or str(tmp_path / "store.sqlite")}
    settings["FORMANT_BASE_URL"] = "http://127.0.0.1:9"  # whose accounts nobody else has in the database

    def token(*arguments: str) -> str:
        done = run(tmp_path, "token", *arguments, **settings)
        assert done.status == 0
        return done.out.strip()

    anna = token("add", "anna")
    with in_child(tmp_path, "--host", "0.0.0.0", **settings) as (_, url):  # noqa: S104 - with access control it may
        url = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert post(url, "tools/list").status_code == 401
        assert post(url, "tools/list", {"Authorization": f"Bearer {anna}"}).status_code == 200
        token("revoke", "anna")
        assert post(url, "tools/list", {"Authorization": f"Bearer {anna}"}).status_code == 401
    with in_child(tmp_path, **settings) as (_, url):  # the last one is revoked, yet not everybody may use the server
        assert url.startswith("http://127.0.0.1:")
        assert post(url, "tools/list").status_code == 401
