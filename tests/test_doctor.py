"""`formant-mcp doctor`: each thing that can be wrong is named with what to do, and nothing is changed."""

import asyncio
import json
import os
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from formant_mcp.app import utc_now
from formant_mcp.providers import probe
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.engine import TO_ERASE, TO_VACUUM
from formant_mcp.store.sqlite import room
from tests import command
from tests.calls import many
from tests.command import Done
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply, Request
from tests.server_harness import KEY
from tests.stdio_process import calling, request, started
from tests.store.files import call_saying, damage, never, write_store
from tests.store.oracle import NOW
from tests.tls import certificate, https, proxy

pytestmark = pytest.mark.file_store

SECRET = "marmalade"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
Run = Callable[..., Done]


class Api(FakeFormant):
    """An account whose clock is off."""

    ahead = timedelta()
    refuses = 0

    def answer(self, request: Request) -> Reply:
        if self.refuses:
            return Reply.of(self.refusal(self.refuses, "no"))
        reply = super().answer(request)
        reply.headers["Date"] = format_datetime(utc_now() + self.ahead, usegmt=True)
        return reply


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR", *map(str.lower, PROXIES), *PROXIES}:
        monkeypatch.delenv(name)

    def run_doctor(*arguments: str, **others: str) -> Done:
        given = {"FORMANT_API_KEY": KEY, "FORMANT_STORE": "", "FORMANT_BASE_URL": "http://127.0.0.1:9"}
        done = command.run(tmp_path, *arguments, "doctor", **given | others)
        assert KEY not in done.out + done.error
        assert SECRET not in done.out + done.error
        assert "Traceback" not in done.error
        wrong = [line for line in done.out.splitlines() if line.startswith("WRONG")]
        assert done.status == bool(wrong), done.out
        assert all(re.match(r"(ok   |WRONG) \S", line) for line in done.out.splitlines()), done.out
        return done

    return run_doctor


def line(done: Done, name: str) -> str:
    """What it says of one thing; '' if nothing."""
    found = [text[6:] for text in done.out.splitlines() if text[6:].startswith(f"{name} ")]
    assert len(found) < 2, found
    return found[0].removeprefix(name).strip() if found else ""


def is_wrong(done: Done, name: str) -> bool:
    return any(text.startswith(f"WRONG {name} ") for text in done.out.splitlines())


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """All files with their bytes, permissions and times."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


def fill(path: Path, key: str, address: str = "http://127.0.0.1:9") -> None:
    async def write() -> None:
        settings = Settings.model_validate({"base_url": address})
        store = await Store.open(path, AccountKey(settings.service(), settings.account(key)), never)
        await store.write.save([call_saying(number, SECRET) for number in range(3)], NOW)
        await store.close()

    asyncio.run(write())


def test_all_is_right_and_nothing_is_made_or_changed(run: Run, data: Path, tmp_path: Path) -> None:
    with Api.in_thread() as api:
        api.conversations = many(30, utc_now(), timedelta(days=2))
        path = data / f"{Settings.model_validate({'base_url': api.url}).account(KEY)}.sqlite"
        fill(path, KEY, api.url)
        before = contents(tmp_path)
        done = run(FORMANT_BASE_URL=api.url)
        assert done.status == 0, done.out
        assert len(api.requests) == 1
    assert contents(tmp_path) == before
    assert line(done, "key") == f"from FORMANT_API_KEY, {len(KEY)} characters"
    assert "accepts the key; its newest calls are of agents" in line(done, "provider")
    assert line(done, "clock") == "agrees with the provider's"
    assert line(done, "store").startswith(f"{path}: 3 conversations (3 with their words), ")
    assert line(done, "store's file") == "intact"
    assert line(done, "privacy") == "the store is readable by you alone"
    assert line(done, "recordings").endswith("will be made when it is first needed, private to you")
    assert line(done, "zone").startswith("Asia/Kolkata: it is 20")


def test_without_a_key_the_rest_is_checked(run: Run, data: Path) -> None:
    fill(data / f"{'a' * 24}.sqlite", "another")
    done = run(FORMANT_API_KEY="")
    assert is_wrong(done, "key")
    assert "in this shell: a key given to `formant-mcp connect` is only in the assistant's" in line(done, "key")
    assert "server's env" not in done.out
    assert "formant at http://127.0.0.1:9, 3 conversations" in line(done, "other store")
    assert line(done, "tools").startswith("9, ")
    assert "quotation marks" in line(run(FORMANT_API_KEY=f'"{KEY}"'), "key")


@pytest.mark.parametrize(
    ("status", "words"), [(401, "The key was refused."), (403, "lacks permission"), (500, "failed")]
)
def test_a_key_that_is_refused_is_not_taken_for_an_address_that_is_wrong(run: Run, status: int, words: str) -> None:
    with Api.in_thread() as api:
        api.refuses = status
        done = run(FORMANT_BASE_URL=api.url)
    assert words in line(done, "provider")
    assert is_wrong(done, "provider")
    assert not is_wrong(done, "address")
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "agrees"), (-0.5, "agrees"), (10, "10 min slow"), (-10, "10 min fast"), (600, "10 h slow")],
)
def test_the_clock_is_compared_with_the_providers(run: Run, minutes: float, words: str) -> None:
    with Api.in_thread() as api:
        api.ahead = timedelta(minutes=minutes)
        done = run(FORMANT_BASE_URL=api.url)
    assert words in line(done, "clock")
    assert is_wrong(done, "clock") is (words != "agrees")


def test_a_certificate_that_is_not_accepted_is_named_with_what_to_set(run: Run, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with https(pem) as address:
        done = run(FORMANT_BASE_URL=address)
        assert is_wrong(done, "address")
        assert "The certificate of localhost is not accepted: self" in line(done, "address")
        assert "set SSL_CERT_FILE" in line(done, "address")
        done = run(FORMANT_BASE_URL=address, SSL_CERT_FILE=str(pem))
        assert line(done, "address").startswith(f"{address} answers in ")
        broken = tmp_path / "broken.pem"
        broken.write_text("no certificate")
        for named in (broken, tmp_path / "missing.pem"):
            done = run(FORMANT_BASE_URL=address, SSL_CERT_FILE=str(named))
            assert "The certificates that SSL_CERT_FILE names cannot be read." in line(done, "address")
        done = run(FORMANT_BASE_URL=address, SSL_CERT_FILE=str(certificate(tmp_path, "another")))
        assert "SSL_CERT_FILE must hold the certificate that signs it." in line(done, "address")


def test_a_proxy_that_is_in_the_way_is_named_with_what_to_set(run: Run, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with https(pem) as address, proxy() as through, proxy(407) as refusing:
        given = {"FORMANT_BASE_URL": address, "SSL_CERT_FILE": str(pem)}
        done = run(**given, HTTPS_PROXY=through.replace("//", "//anna:secret@"))
        assert f"{address} answers through the proxy {through} in " in line(done, "address")
        assert "secret" not in done.out
        done = run(FORMANT_BASE_URL=address, HTTPS_PROXY=through)
        assert f"The certificate of localhost through the proxy {through} is not accepted" in line(done, "address")
        done = run(**given, HTTPS_PROXY=refusing)
        assert f"The proxy {refusing} refuses to connect to localhost." in line(done, "address")
        assert "add its host to NO_PROXY" in line(done, "address")
        for wrong in ("http://127.0.0.1:9", "socks5://127.0.0.1:9", "gopher://x"):
            done = run(**given, HTTPS_PROXY=wrong)
            assert is_wrong(done, "address")
            assert "PROXY" in line(done, "address")
        done = run(**given, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="localhost")
        assert line(done, "address").startswith(f"{address} answers in ")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_variable_that_names_the_proxy_is_the_one_to_check(run: Run, variable: str) -> None:
    done = run(**{variable: "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:8"})
    assert line(done, "address").startswith("Nothing answers at http://127.0.0.1:9.")
    assert f"Check {variable} and the network." in line(done, "address")
    done = run(**{variable: "gopher://x"})
    assert line(done, "address").startswith(f"No proxy can be used as {variable} says.")


def test_an_address_that_hangs_is_tried_once_and_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe._MOST_SECONDS <= 10  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(probe, "_MOST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = monotonic()
        done = run(FORMANT_BASE_URL=f"http://127.0.0.1:{server.getsockname()[1]}")
        assert monotonic() - began < 20
        server.settimeout(1)
        server.accept()[0].close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert is_wrong(done, "address")
    assert line(done, "address").startswith("127.0.0.1 does not answer within 0.3 s.")
    assert not is_wrong(done, "provider")


def test_a_response_that_never_ends_is_not_taken_for_an_address_that_is_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_MOST_SECONDS", 1)
    began = b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:42:00 GMT\r\nContent-Length: 9\r\n\r\n{"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client = server.accept()[0]
            client.recv(65_536)
            client.sendall(began)
            client.recv(1)
            client.close()

        thread = Thread(target=answer)
        thread.start()
        done = run(FORMANT_BASE_URL=f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert is_wrong(done, "provider")
    assert not is_wrong(done, "address")


def test_a_name_that_does_not_resolve_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    done = run(FORMANT_BASE_URL="https://api.nowhere.example")
    assert "The name api.nowhere.example does not resolve." in line(done, "address")


def test_a_web_page_in_place_of_the_api_is_a_wrong_address(run: Run) -> None:
    class Page(FakeFormant):
        def answer(self, request: Request) -> Reply:
            return Reply(200, b"<html>Log in</html>", "text/html")

    with Page.in_thread() as api:
        assert is_wrong(run(FORMANT_BASE_URL=api.url), "address")


def test_stores_that_cannot_be_used_are_named_and_left_as_they_are(run: Run, data: Path, tmp_path: Path) -> None:
    foreign, text, newer = tmp_path / "music.db", tmp_path / "notes.txt", tmp_path / "newer.sqlite"
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    text.write_text("a shopping list")
    asyncio.run(write_store(newer, 1))
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 99")
    before = contents(tmp_path)
    for path in (foreign, text):
        assert "is not a store of formant-mcp" in line(run(FORMANT_STORE=str(path)), "store")
    done = run(FORMANT_STORE=str(newer))
    assert is_wrong(done, "store")
    assert contents(tmp_path) == before
    del data


def test_a_damaged_store_and_one_that_others_may_read_are_wrong(run: Run, data: Path) -> None:
    path = data / f"{Settings.model_validate({'base_url': 'http://127.0.0.1:9'}).account(KEY)}.sqlite"
    fill(path, KEY)
    path.chmod(0o644)
    done = run()
    assert is_wrong(done, "privacy")
    assert f"chmod 600 {path}" in line(done, "privacy")
    path.chmod(0o600)
    asyncio.run(write_store(data / f"{'b' * 24}.sqlite"))
    damage(data / f"{'b' * 24}.sqlite")
    asyncio.run(write_store(data / "large.sqlite"))
    damage(data / "large.sqlite")
    (data / f"{path.name}.damaged-20261121T101112131415").write_text(SECRET)
    done = run()
    assert line(done, "damaged").startswith("1 file, 9 bytes in ")
    damage(path)
    done = run()
    assert is_wrong(done, "store") or is_wrong(done, "store's file")


@pytest.mark.skipif("os.name == 'nt'")
def test_folders_that_others_may_write_to_or_that_are_none_are_wrong(run: Run, tmp_path: Path) -> None:
    recordings, exports = tmp_path / "recordings", tmp_path / "exports"
    recordings.mkdir()
    recordings.chmod(0o777)
    exports.write_text("a file")
    done = run()
    assert f"Everybody may write to {recordings}" in line(done, "recordings")
    assert "is not a folder" in line(done, "exports")
    recordings.chmod(0o755)
    (recordings / "call.wav").touch(0o644)
    assert "1 of them readable by others" in line(run(), "recordings")


def test_what_is_deleted_and_not_yet_erased_is_named(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data / f"{Settings.model_validate({'base_url': 'http://127.0.0.1:9'}).account(KEY)}.sqlite"
    fill(path, KEY)
    assert line(run(), "erasing").startswith("nothing that was deleted is left")
    with closing(sqlite3.connect(path)) as store:
        store.executemany("INSERT INTO meta VALUES (?, '')", [[TO_ERASE], [TO_VACUUM]])
        store.commit()
    done = run()
    assert "can still be read" in line(done, "erasing")
    assert not is_wrong(done, "erasing")
    monkeypatch.setattr(room, "_IN_ITS_FOLDER", 10**12)
    done = run()
    assert is_wrong(done, "erasing")
    assert f" in {data}." in line(done, "erasing")


def test_settings_that_are_unknown_or_wrong_are_named(run: Run) -> None:
    done = run(FORMANT_STOER="x")
    assert "Did you mean FORMANT_STORE?" in line(done, "settings")
    done = run(FORMANT_CALL_SECONDS="never")
    assert any("FORMANT_CALL_SECONDS" in text and text.startswith("WRONG") for text in done.out.splitlines())


def test_the_sample_account_needs_no_key(run: Run) -> None:
    done = run("--demo", FORMANT_API_KEY="", FORMANT_BASE_URL="")
    assert done.status == 0
    assert line(done, "sample").startswith("the sample account answers without key and network")


def test_the_hash_of_the_tools_is_that_of_what_is_served_all_through_a_session(run: Run, tmp_path: Path) -> None:
    with started(tmp_path, "--demo") as server:
        server.shake_hands()
        hashes: list[str] = []
        for number in range(2, 8, 2):
            server.send(request(number, "tools/list"))
            result = server.receive()["result"]
            assert isinstance(result, dict)
            sent = json.dumps(result["tools"], sort_keys=True, separators=(",", ":"))
            hashes.append(sha256(sent.encode()).hexdigest())
            server.send(calling(number + 1, "list_conversations", limit=1))
            server.receive()
    assert len(set(hashes)) == 1
    assert f"sha256 {hashes[0]}" in line(run("--demo"), "tools")
