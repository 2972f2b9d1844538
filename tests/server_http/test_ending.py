"""How calls, sessions and the server end: nothing is cut off that could be answered, and nothing is left over."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import anyio
import httpx
import pytest
import uvicorn

from formant_mcp.app import App, LazyApp
from formant_mcp.errors import StoreError
from formant_mcp.server.http import MCP_PATHS, DrainingServer
from formant_mcp.server.limits import Gate, Limits
from formant_mcp.store import Store
from tests.calls import many
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.http_process import HttpServer, in_child, in_thread, initialize, post, session_of
from tests.server_harness import NOW, Account, in_both_eras
from tests.stdio_process import END_SECONDS, MOST_SECONDS, Process

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals for a child")


@pytest.fixture
def account(account: Account) -> Account:
    """Five calls, some days old."""
    account.api.conversations = many(5, NOW - timedelta(days=2), timedelta(days=10))
    return account


@contextmanager
def outcomes(caplog: pytest.LogCaptureFixture) -> Generator[Future[str]]:
    """The outcome of the next tool call, once it is logged."""
    outcome: Future[str] = Future()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = getattr(record, "fields", {})
            if fields.get("call") == "list_conversations" and not outcome.done():
                outcome.set_result(fields["outcome"])

    logger, handler = logging.getLogger("formant_mcp.audit"), Handler()
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(handler)
    yield outcome
    logger.removeHandler(handler)


@pytest.mark.anyio
@in_both_eras
async def test_a_client_that_cancels_ends_its_call(
    account: Account, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with in_thread(account, limits=Limits(calls_at_once=1)) as server, outcomes(caplog) as outcome:
        account.api.gate.shut()
        async with server.connect(mode) as assistant:
            received = account.api.received(1)
            async with anyio.create_task_group() as calls:
                calls.start_soon(assistant.ask, "list_conversations")
                await asyncio.wrap_future(received)
                calls.cancel_scope.cancel()
            assert await asyncio.wrap_future(outcome) == "cancelled"
            account.api.gate.open()


def test_a_client_that_disconnects_ends_its_call(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    with in_thread(account, limits=Limits(calls_at_once=1)) as server, outcomes(caplog) as outcome:
        account.api.gate.shut()
        with pytest.raises(httpx.ReadTimeout):
            post(server.url, "tools/call", seconds=0.5, name="list_conversations", arguments={})
        assert outcome.result(MOST_SECONDS) == "cancelled"
        account.api.gate.open()
        assert post(server.url, "tools/call", name="list_conversations", arguments={}).status_code == 200


async def wait_for_no_session(server: HttpServer) -> None:
    """Waits until the server has no session: it forgets one a moment after it has answered that it ends."""
    with anyio.fail_after(MOST_SECONDS):
        while server.sessions():
            await asyncio.to_thread(httpx.get, f"{server.url}/healthz")


@pytest.mark.anyio
async def test_no_session_is_left_after_its_client(account: Account) -> None:
    with in_thread(account) as server:
        for _ in range(5):
            async with server.connect("legacy") as assistant:
                await assistant.ask("list_conversations")
                assert server.sessions() == 1
            await wait_for_no_session(server)
        async with server.connect("auto") as assistant:
            await assistant.ask("list_conversations")
            assert server.sessions() == 0


def test_the_account_is_opened_to_see_whether_the_server_is_ready_but_not_whether_it_is_alive(
    account: Account, stores: list[Store]
) -> None:
    with in_thread(account) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert stores == []
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert len(stores) == 1


@pytest.mark.anyio
async def test_all_clients_share_one_open_account(account: Account, stores: list[Store]) -> None:
    with in_thread(account) as server:
        async with server.connect("legacy") as older, server.connect("auto") as newest:
            assert await older.ask("list_conversations") == await newest.ask("list_conversations")
        assert len(stores) == 1


@pytest.mark.file_store
def test_the_account_is_closed_at_the_end(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with in_thread(account, store=str(path)) as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert path.with_name("calls.sqlite-wal").exists()
    assert not path.with_name("calls.sqlite-wal").exists()


@pytest.mark.parametrize(
    "store",
    [
        pytest.param("{folder}/file/calls.sqlite", marks=pytest.mark.file_store, id="below a file"),
        pytest.param("postgresql://nobody@127.0.0.1:9/calls", id="no database"),
    ],
)
def test_a_server_whose_account_cannot_be_opened_is_alive_but_not_ready(
    account: Account, tmp_path: Path, store: str
) -> None:
    (tmp_path / "file").write_text("")
    with in_thread(account, store=store.format(folder=tmp_path)) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        unready = httpx.get(f"{server.url}/readyz")
        assert (unready.status_code, unready.text) == (503, "the account cannot be opened")


@pytest.mark.anyio
async def test_those_who_wait_for_an_account_that_cannot_be_opened_do_not_wait_for_one_another() -> None:
    opened, tries = asyncio.Event(), list[int]()

    async def open_() -> App:
        tries.append(0)
        await opened.wait()
        raise StoreError("The database does not answer.", "Retry.")

    lazy_app = LazyApp(open_)
    waiting = [asyncio.create_task(lazy_app.app()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    opened.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, *[StoreError] * 4]
    assert len(tries) == 1
    with pytest.raises(StoreError):
        await lazy_app.app()
    assert len(tries) == 2


@contextmanager
def call_under_way(folder: Path) -> Generator[tuple[FakeFormant, str, Process, Future[httpx.Response]]]:
    """A server in a child process with a call that the provider's API holds."""
    with FakeFormant.in_thread() as api, ThreadPoolExecutor() as pool:
        api.conversations = many(5, NOW - timedelta(days=2), timedelta(days=10))
        account = {"FORMANT_API_KEY": "k", "FORMANT_BASE_URL": api.url}
        with in_child(folder, **account) as (process, url):
            assert httpx.get(f"{url}/readyz").status_code == 200
            api.gate.shut()
            received = api.received(len(api.requests) + 1)
            answer = pool.submit(post, url, "tools/call", name="list_conversations", arguments={})
            received.result(MOST_SECONDS)
            yield api, url, process, answer
            api.gate.open()


def wait_until_draining(url: str) -> None:
    """Waits until the server has received its signal."""
    deadline = monotonic() + MOST_SECONDS
    while httpx.get(f"{url}/readyz").status_code == 200:
        assert monotonic() < deadline


@on_posix
@pytest.mark.parametrize("number", some([signal.SIGTERM, signal.SIGINT], 2))
def test_after_a_signal_calls_under_way_are_answered_and_new_ones_refused(
    tmp_path: Path, number: signal.Signals
) -> None:
    with call_under_way(tmp_path) as (api, url, process, answer):
        process.send_signal(number)
        wait_until_draining(url)
        named = post(url, "prompts/list"), post(url, "tools/call", name="find_changes", arguments={})
        for refused in (*named, httpx.post(f"{url}/mcp", json={"id": 1, "method": ["x"]})):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert not answer.done()
        api.gate.open()
        assert "5 of 5 conversations match" in answer.result(MOST_SECONDS).text
        assert process.wait(END_SECONDS) == 0
        assert process.stderr
        assert process.stderr.read() == b"Store: memory\n"


@pytest.mark.anyio
@in_both_eras
async def test_a_client_gets_an_answer_that_it_checks_by_the_list_of_tools_while_the_server_ends(
    account: Account, mode: str
) -> None:
    with in_thread(account) as server:
        account.api.gate.shut()
        async with server.connect(mode) as assistant:
            received = account.api.received(1)
            asked = asyncio.create_task(assistant.ask("list_conversations"))
            await asyncio.wrap_future(received)
            server.http.drain()
            account.api.gate.open()
            answer = await asked  # the SDK's client lists the tools once it has the answer
            assert "5 of 5 conversations match" in answer.text
            await asyncio.to_thread(server.thread.join, END_SECONDS)
            assert not server.thread.is_alive()


@pytest.mark.anyio
async def test_the_server_does_not_end_before_a_client_had_a_second_to_check_its_answer() -> None:
    gate = Gate(Limits())
    server = DrainingServer(uvicorn.Config(lambda: None, log_config=None), gate, MOST_SECONDS)
    gate.ended_at = monotonic()
    server.drain()
    assert not await server.on_tick(1)
    gate.ended_at -= 1
    assert await server.on_tick(2)


@on_posix
def test_a_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    with call_under_way(tmp_path) as (_, url, process, answer):
        process.send_signal(signal.SIGTERM)
        wait_until_draining(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 128 + signal.SIGTERM
        assert isinstance(answer.exception(MOST_SECONDS), httpx.TransportError)


@on_posix
@pytest.mark.parametrize("path", some(MCP_PATHS, 2))
def test_sessions_that_wait_for_notifications_do_not_hold_up_the_end(tmp_path: Path, path: str) -> None:
    with in_child(tmp_path, "--demo") as (process, url):
        session = session_of(initialize(url))
        with httpx.stream("GET", f"{url}{path}", headers=session, timeout=MOST_SECONDS) as stream:
            process.send_signal(signal.SIGTERM)
            assert b"".join(stream.iter_bytes()) == b""
        assert process.wait(END_SECONDS) == 0
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_request_that_never_ends_does_not_hold_up_the_end(account: Account) -> None:
    with in_thread(account) as server:
        server.http.patience = 0.2
        head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
            connection.sendall(head)
            deadline = monotonic() + MOST_SECONDS
            while not server.http.gate.running:
                assert monotonic() < deadline
            server.http.drain()
            server.thread.join(END_SECONDS)
            assert not server.thread.is_alive()
