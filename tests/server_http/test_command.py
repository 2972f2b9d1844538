"""The command `formant-mcp serve`: what it prints, what it refuses, and that it serves the sample account."""

import json
import re
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from formant_mcp.server.http import listen
from tests.http_process import in_child, post
from tests.stdio_process import PROGRAM, environment


def refused(folder: Path, *arguments: str, **variables: str) -> str:
    """What it prints when it does not start."""
    done = subprocess.run(
        [str(PROGRAM), *arguments], env=environment(folder, **variables), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_serves_the_sample_account_and_prints_its_address(tmp_path: Path, host: str) -> None:
    with in_child(tmp_path, "--demo", "--host", host) as (process, url):
        assert url.startswith(f"http://{host}:")
        assert httpx.get(f"{url}/readyz").text == "ready"
        answer = post(url, "tools/call", name="list_conversations", arguments={"limit": 1})
        assert "conversations match; complete" in answer.text
        assert httpx.get(f"{url}/other").status_code == 404
        assert process.poll() is None


def test_it_refuses_to_listen_for_other_machines(tmp_path: Path) -> None:
    variables = {"FORMANT_API_KEY": "any-key", "FORMANT_STORE": str(tmp_path / "store.sqlite")}
    text = refused(tmp_path, "serve", "--host", "0.0.0.0", **variables)  # noqa: S104
    assert text.startswith("Without access control the server listens only on this machine, not on 0.0.0.0.")
    assert "token add NAME" in text


def test_it_refuses_a_proxy_for_other_machines(tmp_path: Path) -> None:
    settings = {"FORMANT_API_KEY": "any-key", "FORMANT_HTTP_HOSTS": "calls.example.com"}
    text = refused(tmp_path, "serve", "--port", "0", **settings)
    assert text.startswith("Without access control the server answers only this machine, not for calls.example.com")


def test_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    assert refused(tmp_path, "serve") == (
        "No API key is set. Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE);"
        " `formant-mcp serve --demo` serves the sample account without one.\n"
    )


def test_the_demo_is_for_this_machine_alone(tmp_path: Path) -> None:
    text = refused(tmp_path, "serve", "--demo", "--host", "0.0.0.0")  # noqa: S104
    assert text == "--demo is served on this machine only, not on 0.0.0.0. Leave --host out.\n"


def notes_of(folder: Path, *arguments: str, **variables: str) -> list[str]:
    """What `serve` prints to stderr."""
    with in_child(folder, *arguments, **variables) as (process, _):
        process.terminate()
        assert process.stderr
        return process.stderr.read().splitlines()


def test_it_says_which_store_it_uses(tmp_path: Path) -> None:
    key = {"FORMANT_API_KEY": "any-key", "XDG_DATA_HOME": str(tmp_path)}
    (line,) = notes_of(tmp_path, FORMANT_STORE="", **key)
    assert re.fullmatch(rf"Store: {tmp_path}/formant-mcp/\w+\.sqlite", line)
    assert notes_of(tmp_path, FORMANT_STORE=":memory:", **key) == ["Store: memory"]
    (line,) = notes_of(tmp_path, FORMANT_STORE=":memory:", FORMANT_LOG_FORMAT="json", **key)
    assert (json.loads(line)["level"], json.loads(line)["message"]) == ("INFO", "Store: memory")
    assert notes_of(tmp_path, "--demo") == []


@pytest.mark.parametrize(("hosts", "is_said"), [("", True), ("calls.example.com", False)])
def test_it_says_that_other_names_are_refused(tmp_path: Path, hosts: str, is_said: bool) -> None:
    login = {"FORMANT_HTTP_ISSUER": "http://127.0.0.1:9", "FORMANT_HTTP_AUDIENCE": "api://calls"}
    variables = {"FORMANT_API_KEY": "any-key", **login, "FORMANT_HTTP_HOSTS": hosts}
    notes = notes_of(tmp_path, "--host", "0.0.0.0", **variables)  # noqa: S104
    note = "FORMANT_HTTP_HOSTS is not set: requests that address the server by another name than 0.0.0.0 are refused"
    assert (f"{note} (421)." in notes) == is_said


def test_it_says_that_a_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = refused(tmp_path, "serve", "--demo", "--port", str(port))
    assert text == (
        f"The server cannot listen on 127.0.0.1, port {port}: address already in use."
        " Choose others with --host and --port.\n"
    )


def test_it_says_that_a_host_is_unknown(tmp_path: Path) -> None:
    text = refused(tmp_path, "serve", "--demo", "--host", "127.0.0.999")
    assert "127.0.0.999" in text


def test_an_answer_does_not_wait_until_its_first_part_is_acknowledged() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_token_opens_the_server_until_it_is_revoked(tmp_path: Path) -> None:
    settings = {"FORMANT_API_KEY": "any-key", "FORMANT_STORE": str(tmp_path / "store.sqlite")}

    def token(*arguments: str) -> str:
        command = [str(PROGRAM), "token", *arguments]
        done = subprocess.run(
            command, env=environment(tmp_path, **settings), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    anna = token("add", "anna")
    with in_child(tmp_path, "--host", "0.0.0.0", **settings) as (_, url):  # noqa: S104 - with access control it may
        url = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert post(url, "tools/list").status_code == 401
        assert post(url, "tools/list", {"Authorization": f"Bearer {anna}"}).status_code == 200
        token("revoke", "anna")
        assert post(url, "tools/list", {"Authorization": f"Bearer {anna}"}).status_code == 401
    with in_child(tmp_path, **settings) as (
        _,
        url,
    ):  # the last token is revoked, and the server is not open to everybody
        assert post(url, "tools/list").status_code == 401
