"""Links to saved recordings: each works once, within ten minutes, for the member who saved the recording."""

import time
from asyncio import sleep
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue
from starlette.requests import Request
from starlette.types import Message, Scope

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
from tests.server_harness import MOST_SECONDS, NOW, Account

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


def wait_until_done(server: HttpServer) -> None:
    """Returns when no request is under way: a client has the whole answer a moment before."""
    until = time.monotonic() + MOST_SECONDS
    while server.http.gate.running:
        assert time.monotonic() < until


def export(server: HttpServer) -> str:
    """Exports all calls; returns the link."""
    sent = post(server.url, "tools/call", name="export_conversations", arguments={"format": "csv"})
    return sent.json()["result"]["structuredContent"]["path"]


def test_an_export_is_a_link_too_and_deleted_once_that_was_used(account: Account, tmp_path: Path) -> None:
    with in_thread(account) as server:
        link, other = export(server), export(server)
        files = {file.name: file.read_bytes() for file in (tmp_path / "exports").iterdir()}
        assert httpx.head(link).status_code == 200
        got = httpx.get(link)
        name = got.headers["content-disposition"].split('"')[1]
        assert got.content == files[name]
        assert got.headers["content-type"].startswith("text/csv")
        assert httpx.get(link).status_code == 404
        wait_until_done(server)
        assert {file.name for file in (tmp_path / "exports").iterdir()} == {*files} - {name}
        assert httpx.get(other).content == got.content
    assert list((tmp_path / "exports").iterdir()) == []


def test_an_export_whose_link_nobody_used_is_deleted_when_the_server_ends(account: Account, tmp_path: Path) -> None:
    with in_thread(account) as server:
        export(server)
        save(server)
    assert list((tmp_path / "exports").iterdir()) == []
    assert len(list((tmp_path / "recordings").iterdir())) == 1


@pytest.mark.parametrize("wanted", ["bytes=0-3", "bytes=9999999-", "bytes=0-1,3-4", "junk"])
def test_a_link_that_works_once_gives_the_whole_file_whatever_part_is_wanted(account: Account, wanted: str) -> None:
    with in_thread(account) as server:
        link, other = export(server), export(server)
        head = httpx.head(link, headers={"Range": wanted})
        assert (head.status_code, head.headers["accept-ranges"]) == (200, "none")
        got = httpx.get(link, headers={"Range": wanted, "If-Range": head.headers["etag"]})
        assert (got.status_code, got.content) == (200, httpx.get(other).content)


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


class Timers:
    """The actions that are due later, each with its seconds."""

    def __init__(self) -> None:
        self.actions: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, action: Callable[[], None]) -> None:
        self.actions.append((seconds, action))


def requested(by: str, secret: str = "") -> Request:
    """A request from that address, to a link with that secret."""
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "path": "/",
        "headers": [],
        "client": (by, 1),
        "path_params": {"secret": secret},
    }
    return Request(scope)


async def status(downloads: Downloads, by: str, link: str) -> int:
    """The status of a download."""
    return (await downloads.download(requested(by, link.rpartition("/")[2]))).status_code


@pytest.mark.anyio
async def test_after_ten_minutes_a_link_ends_and_a_temporary_file_is_deleted(tmp_path: Path) -> None:
    timers = Timers()
    downloads = Downloads(timers)
    files = [tmp_path / name for name in ("a.wav", "a.csv")]
    for file in files:
        file.write_bytes(b"any")
    links = [
        downloads.publish(requested("anna"), file, is_temporary=is_temporary)
        for file, is_temporary in zip(files, (False, True), strict=True)
    ]
    assert links[0] not in repr(vars(downloads))
    for seconds, end in timers.actions:
        assert seconds == 600
        end()
    assert [await status(downloads, "anna", link) for link in links] == [404, 404]
    assert list(tmp_path.iterdir()) == files[:1]


@pytest.mark.anyio
async def test_a_download_of_an_export_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    downloads = Downloads(Timers())
    file = tmp_path / "a.csv"
    file.write_bytes(b"any")
    request = requested("anna", downloads.publish(requested("anna"), file, is_temporary=True).rpartition("/")[2])
    response = await downloads.download(request)

    sent: list[Message] = []

    async def hang_up() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await sleep(0)  # until the client has hung up
        sent.append(message)

    await response(request.scope, hang_up, send)
    assert sent == []
    assert not file.exists()


@pytest.mark.anyio
async def test_the_links_of_one_member_push_out_the_oldest_of_their_own_alone(tmp_path: Path) -> None:
    downloads = Downloads(Timers())
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF")
    first = downloads.publish(requested("anna"), file)
    links = [downloads.publish(requested("bert"), file) for _ in range(1_001)]
    statuses = [await status(downloads, "bert", link) for link in (links[0], links[1], links[-1])]
    assert statuses == [404, 200, 200]
    assert await status(downloads, "anna", first) == 200


@pytest.mark.anyio
async def test_of_too_many_links_of_all_members_the_member_with_the_most_loses_the_oldest(tmp_path: Path) -> None:
    downloads = Downloads(Timers())
    export = tmp_path / "a.csv"
    export.write_bytes(b"any")
    oldest = downloads.publish(requested("member 0"), export, is_temporary=True)
    for number in range(9_999):
        downloads.publish(requested(f"member {number % 1_000}"), tmp_path / "a.wav")
    assert export.exists()
    downloads.publish(requested("member 0"), tmp_path / "a.wav")
    assert await status(downloads, "member 0", oldest) == 404
    assert not export.exists()
