"""Fixtures that several test files share."""

import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.prism import install, serve


@pytest.fixture(scope="session")
def prism_program(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The installed Prism; installed once a session, so keep its tests in one file (one worker of xdist)."""
    folder = tmp_path_factory.mktemp("prism")
    yield install(folder)
    shutil.rmtree(folder)


@pytest.fixture
def prism(prism_program: Path) -> Callable[..., AbstractContextManager[str]]:
    """`with prism(port, *flags) as url:` runs the mock server; port 0 takes a free one."""
    return partial(serve, prism_program)
