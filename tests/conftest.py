"""Fixtures that several test files share."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.fake_formant import FakeFormant
from tests.prism import install, serve
from tests.server_harness import Account


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that tests run in."""
    return "asyncio"


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    """The protocol's era: what a client of 2026-07-28 does, and the handshake of those before."""
    return str(request.param)


@pytest.fixture
def account(mode: str, tmp_path: Path) -> Account:
    """An empty account, asked in both eras."""
    return Account(FakeFormant(), mode, tmp_path)


@pytest.fixture(scope="session")
def prism_program(request: pytest.FixtureRequest) -> Path:
    """The installed Prism, kept in pytest's cache; keep its tests in one file (one worker of xdist)."""
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir("prism-5.14")
    program = folder / "node_modules" / ".bin" / "prism"
    return program if program.exists() else install(folder)


@pytest.fixture
def prism(prism_program: Path) -> Callable[..., AbstractContextManager[str]]:
    """`with prism(port, *flags) as url:` runs the mock server; port 0 takes a free one."""
    return partial(serve, prism_program)
