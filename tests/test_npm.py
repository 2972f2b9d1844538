"""What tests that need Node do without it, or with one that is too old."""

import os
import re
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


def test_a_test_without_node_fails_in_ci_alone(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node.unlink()
    what = "^the suite needs node on the PATH: install Node 22, which has both$"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match=what):
        npm.need_node("the suite")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=what):
        npm.need_node("the suite")


def test_a_newer_node_is_installed_where_the_machines_is_too_old(node: Path, tmp_path: Path) -> None:
    folders = [npm.with_node(tmp_path, least)["PATH"].split(os.pathsep) for least in (20, 22)]
    assert folders[0] == [str(node.parent)]
    assert folders[1][1:] == folders[0]
    assert re.fullmatch(r"node-\w+-\w+", Path(folders[1][0]).relative_to(tmp_path / "node_modules").parent.name)
