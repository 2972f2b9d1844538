"""Links to saved recordings: each works once, within ten minutes, for the member who saved the recording."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue
from starlette.requests import Request
from starlette.types import Scope

from formant_mcp.server.downloads import Downloads
from formant_mcp.server.limits import Limits
from tests.audio import wav
from tests.calls import conversation, conversation_id
from tests.fake_issuer import FakeIssuer
from tests.http_process import (
    PING,
    HttpServer,
    Logins,
    Tokens,
    bearing,
    in_thread,
    initialize,
    post,
    session_of,
    with_login,
)
from tests.server_harness import NOW, Account

RECORDING = wav((9000, 1), (0, 0.5))


@pytest.fixture
def account(account: Account) -> Account:
    """A call with a recording."""
    account.api.add(conversation(1, NOW - timedelta(days=2), duration_seconds=1.5))
    account.api.recordings[conversation_id(1)] = RECORDING
    return account


def save(server: HttpServer, headers: dict[str, str] | None = None) -> str:
    """Saves the recording; returns the link, which text and structure have."""
    arguments: JsonValue = {"conversation_id": conversation_id(1)}
    answer = post(server.url, "tools/call", headers, name="save_recording", arguments=arguments).json()["result"]
    link = answer["structuredContent"]["path"]
    assert f": {link} (" in answer["content"][0]["text"]
    return link


def test_a_link_gives_the_file_once(account: Account, tmp_path: Path) -> None:
    with in_thread(account) as server:
        link = save(server)
        assert link.startswith(f"{server.url}/files/")
        (file,) = (tmp_path / "recordings").iterdir()
        assert httpx.head(link).status_code == 200
        assert httpx.post(link).status_code == 405
        got = httpx.get(link)
        assert got.content == file.read_bytes() == RECORDING
        assert got.headers["content-type"] == "audio/wav"
        assert got.headers["content-disposition"] == f'attachment; filename="{file.name}"'
        assert got.headers["cache-control"] == "no-store"
        assert httpx.get(link).status_code == 404
        assert httpx.get(f"{server.url}/files/../../etc/passwd").status_code == 404


def test_an_export_is_a_link_too(account: Account, tmp_path: Path) -> None:
    with in_thread(account) as server:
        sent = post(server.url, "tools/call", name="export_conversations", arguments={"format": "csv"})
        link = sent.json()["result"]["structuredContent"]["path"]
        got = httpx.get(link)
        (file,) = (tmp_path / "exports").iterdir()
        assert got.content == file.read_bytes()
        assert got.headers["content-type"].startswith("text/csv")
        assert httpx.get(link).status_code == 404


def test_the_link_has_the_host_that_the_request_was_sent_to(account: Account) -> None:
    with in_thread(account, hosts=["calls.example.com"]) as server:
        forwarded = {"Host": "calls.example.com", "X-Forwarded-Proto": "https"}
        assert save(server, forwarded).startswith("https://calls.example.com/files/")


def test_a_link_is_for_the_member_who_saved_the_recording(account: Account) -> None:
    with in_thread(account, verifier=Tokens("anna", "bert")) as server:
        link = save(server, bearing("anna"))
        statuses = [httpx.get(link, headers=headers).status_code for headers in ({}, bearing("bert"), bearing("anna"))]
    assert statuses == [401, 404, 200]


def test_a_login_is_never_the_member_with_a_token_who_has_the_same_name(account: Account) -> None:
    with FakeIssuer.in_thread() as issuer, in_thread(account, verifier=Logins(issuer, "anna")) as server:
        link = save(server, bearing("anna"))
        senders = [with_login(issuer, "anna", sub=subject) for subject in (None, "", "anna")]
        statuses = [httpx.get(link, headers=headers).status_code for headers in (*senders, bearing("anna"))]
    assert statuses == [401, 401, 404, 200]


def test_logins_share_neither_links_nor_limits_nor_sessions_and_keep_theirs_under_a_new_name(account: Account) -> None:
    limits = Limits(requests_per_minute=3)
    with FakeIssuer.in_thread() as issuer, in_thread(account, verifier=Logins(issuer), limits=limits) as server:
        one, other = with_login(issuer, "anna", sub="one"), with_login(issuer, "anna", sub="other")
        renamed = with_login(issuer, "bert", sub="one")
        link, session = save(server, one), session_of(initialize(server.url, one))
        pings = [httpx.post(f"{server.url}/mcp", json=PING, headers=session | other)]
        gets = [httpx.get(link, headers=headers) for headers in (other, renamed, one, other, other)]
    assert [answer.status_code for answer in pings + gets] == [404, 404, 200, 429, 404, 429]


def test_a_session_is_of_the_login_whatever_its_name(account: Account) -> None:
    with FakeIssuer.in_thread() as issuer, in_thread(account, verifier=Logins(issuer, "anna")) as server:
        session = session_of(initialize(server.url, with_login(issuer, "anna", sub="one")))
        senders = [bearing("anna"), with_login(issuer, "bert", sub="one")]
        pings = [httpx.post(f"{server.url}/mcp", json=PING, headers=session | headers) for headers in senders]
    assert [answer.status_code for answer in pings] == [404, 200]


def test_a_link_to_a_file_that_was_deleted_gives_404(account: Account, tmp_path: Path) -> None:
    with in_thread(account) as server:
        link = save(server)
        for file in (tmp_path / "recordings").iterdir():
            file.unlink()
        assert httpx.get(link).status_code == 404


@pytest.mark.anyio
async def test_a_link_ends_after_ten_minutes_and_the_oldest_when_there_are_too_many(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF")
    downloads = Downloads(lambda: now)

    def request(secret: str = "") -> Request:
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "path": "/",
            "headers": [],
            "client": ("127.0.0.1", 1),
            "path_params": {"secret": secret},
        }
        return Request(scope)

    async def status(link: str) -> int:
        return (await downloads.download(request(link.rpartition("/")[2]))).status_code

    link = downloads.publish(request(), file)
    now = 601.0
    assert await status(link) == 404
    links = [downloads.publish(request(), file) for _ in range(1_001)]
    assert [await status(links[0]), await status(links[1]), await status(links[-1])] == [404, 200, 200]
    assert links[-1] not in repr(vars(downloads))
