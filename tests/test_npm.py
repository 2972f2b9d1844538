"""What tests that need Node do without it: they are skipped here, and fail in CI, with what to install."""

import sys
from pathlib import Path

import pytest

from tests import npm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the Node of this test is a shell script")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Node 20, and nothing else, on the PATH."""
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\necho v20.20.2\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "node"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_test_without_the_node_it_needs_fails_in_ci_alone(
    node: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    what = "the suite needs Node 22, and this is v20.20.2: install Node 22"
    if not is_there:
        node.unlink()
        what = "the suite needs node on the PATH: install Node 22, which has both"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match=f"^{what}$"):
        npm.need_node("the suite", least=22)
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=f"^{what}$"):
        npm.need_node("the suite", least=22)


@pytest.mark.usefixtures("node")
def test_a_newer_node_than_needed_is_good() -> None:
    npm.need_node("the suite", least=20)
