"""Fixtures that several test files share."""

import asyncio
import gc
import json
import os
import secrets
import sqlite3
import ssl
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from functools import cache, lru_cache, partial
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.app import utc_now
from formant_mcp.demo import account as account_of_demo
from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.sqlite import connection
from formant_mcp.store.writer import Due
from tests import stdio_process
from tests.empty_stores import EmptyStore, empty_store
from tests.examples import is_thorough, load_profile
from tests.fake_formant import FakeFormant
from tests.forked import Forked
from tests.postgres_server import postgres_server, programs
from tests.prism import install, serve
from tests.sample_stores import SampleStores
from tests.server_harness import Account
from tests.store.postgres.statements import checked

load_profile()

_ON_POSTGRES = Path(__file__).parent / "store" / "postgres"


def pytest_configure() -> None:
    """Refuses a folder of PostgreSQL's programs where there are none."""
    programs()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects no garbage while tests are collected, and then exempts these from it, as they live until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One worker more than processors: many tests wait, for a disk, a lock or the end of a time limit."""
    return (yield) + 1


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that tests run in."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--engine postgres`: every store lies in a PostgreSQL database, an account for each file that a test names."""
    parser.addoption("--engine", choices=("sqlite", "postgres"), default="sqlite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is about files where stores lie in a database, and about databases where there are none."""
    if config.getoption("engine") == "postgres" and programs() is None:
        pytest.exit("NOT TESTED: the store on PostgreSQL. Install PostgreSQL 14 or newer on this machine.", 0)
    if config.getoption("engine") == "postgres":
        items[:] = [item for item in items if not item.get_closest_marker("file_store")]
    if programs() is None:
        items[:] = [item for item in items if not item.path.is_relative_to(_ON_POSTGRES)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end of the run that tests were left out."""
    if programs() is None:
        name = _ON_POSTGRES.relative_to(Path(__file__).parents[1])
        terminalreporter.write_line(f"LEFT OUT: {name}, AS THERE IS NO POSTGRESQL HERE (Debian: postgresql)", red=True)


@pytest.fixture(scope="session")
def database_address(request: pytest.FixtureRequest) -> Generator[str]:
    """The database that stores lie in; '' for files."""
    if request.config.getoption("engine") == "sqlite":
        yield ""
        return
    with postgres_server() as server:
        yield server.address


@pytest.fixture(autouse=True, scope="session")
def schemas_checked_once() -> Generator[None]:
    """The SDK's client checks a tool's schema in every session, which takes longer than most tests. Here it does once.

    Every answer is still validated against its schema.
    """
    checked: set[str] = set()
    check = Draft202012Validator.check_schema

    def check_once(schema: dict[str, JsonValue]) -> None:
        text = json.dumps(schema)
        if text not in checked:
            check(schema)
            checked.add(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft202012Validator, "check_schema", check_once)
        yield


def _lately(now: datetime) -> datetime:
    """The same for 30 seconds; one of the calls that run in the sample account ends 47 seconds after it is opened."""
    return now.replace(second=now.second // 30 * 30, microsecond=0)


@pytest.fixture(autouse=True, scope="session")
def made_once() -> Generator[None]:
    """What takes longer to make than to use, and is always the same: the authorities' certificates, which each client
    of httpx loads, and the calls of the sample account."""
    calls_at = lru_cache(4)(sample_calls)

    def calls_lately(now: datetime) -> tuple[SampleCall, ...]:
        return calls_at(_lately(now))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        patch.setattr(account_of_demo, "sample_calls", calls_lately)
        yield


@pytest.fixture(autouse=True, scope="session")
def programs_forked(request: pytest.FixtureRequest) -> Generator[None]:
    """The program starts without importing everything again, where there is no time for that."""
    start, marks = stdio_process.start, ("hardening", "clients", "node")
    is_special = any(item.get_closest_marker(mark) for item in request.session.items for mark in marks)

    def start_or_fork(command: Sequence[str], environment: dict[str, str], folder: Path) -> stdio_process.Process:
        own = [name for name, value in environment.items() if os.environ.get(name) != value]
        is_alike = all(name == "HOME" or name.startswith("FORMANT_") for name in own)  # libraries read others
        is_program = command[0] == str(stdio_process.PROGRAM)
        return (Forked if is_program and is_alike else start)(command, environment, folder)

    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux" and not is_special and not is_thorough():
            patch.setattr(stdio_process, "start", start_or_fork)
        yield


@pytest.fixture(scope="session")
def migrated_store() -> Generator[EmptyStore]:
    """An empty store in memory, to be copied."""
    with empty_store() as store:
        yield store


@pytest.fixture(autouse=True)
def stores_begin_migrated(monkeypatch: pytest.MonkeyPatch, migrated_store: EmptyStore) -> None:
    """New stores are copies of one that was migrated once; `tests/store/sqlite` has those that are not."""
    monkeypatch.setattr(connection, "migrate", migrated_store.copy_or_migrate)


@pytest.fixture
def demo_is_loaded(monkeypatch: pytest.MonkeyPatch, sample_stores: SampleStores, tmp_path: Path) -> None:
    """New stores in memory have the whole sample account already: to read it takes longer than most tests."""
    loaded = asyncio.run(sample_stores.copy("formant", tmp_path, _lately(utc_now())))
    begin = connection.migrate

    def copy(database: sqlite3.Connection) -> None:
        if not database.execute("PRAGMA database_list").fetchone()[2]:
            with closing(sqlite3.connect(loaded)) as sample:
                sample.backup(database)
        begin(database)

    monkeypatch.setattr(connection, "migrate", copy)


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch, database_address: str) -> Generator[list[Store]]:
    """The stores that a test opened, closed at its end."""
    opened: list[Store] = []
    open_store = Store.open

    async def open_and_keep(
        where: Path | str | None, account: AccountKey, due: Due, lists: PhraseLists | None = None
    ) -> Store:
        if database_address and not isinstance(where, str):
            name = where or f"in memory {secrets.token_hex(8)}"
            where, account = database_address, AccountKey(account.service, f"{account.key} {name}")
        opened.append(await open_store(where, account, due, lists))
        return opened[-1]

    monkeypatch.setattr(Store, "open", open_and_keep)
    yield opened

    async def close() -> None:
        for store in opened:
            await store.close()

    if opened:
        asyncio.run(close())


@pytest.fixture(autouse=True)
def statements(monkeypatch: pytest.MonkeyPatch, database_address: str) -> Generator[None]:
    """Checks the statements that the test sends to a PostgreSQL database."""
    if not database_address:
        yield
        return
    with checked(monkeypatch):
        yield


@pytest.fixture
def mode() -> str:
    """The newest era of the protocol; tests in which the era may matter are marked `in_both_eras`."""
    return "auto"


@pytest.fixture
def account(mode: str, tmp_path: Path) -> Account:
    """An empty account."""
    return Account(FakeFormant(), mode, tmp_path)


@pytest.fixture(scope="session")
def sample_stores(tmp_path_factory: pytest.TempPathFactory, database_address: str) -> SampleStores:
    """The sample account, loaded once for each provider, by whichever worker of xdist needs it first."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "sample"
    folder.mkdir(exist_ok=True)
    return SampleStores(folder, in_database=bool(database_address))


@pytest.fixture(scope="session")
def prism_program(request: pytest.FixtureRequest) -> Path:
    """The installed Prism, kept in pytest's cache; keep its tests in one file, for `--dist loadfile`."""
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir("prism-5.14")
    program = folder / "node_modules" / ".bin" / "prism"
    return program if program.exists() else install(folder)


@pytest.fixture
def prism(prism_program: Path) -> Callable[..., AbstractContextManager[str]]:
    """`with prism(port, *flags) as url:` runs the mock server; port 0 takes a free one."""
    return partial(serve, prism_program)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The user's data folder in the environment of `tests.command`."""
    folder = tmp_path / ".local" / "share" / "formant-mcp"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without our variables, with its own home folder, which is the working folder too."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FORMANT_{name.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return monkeypatch
