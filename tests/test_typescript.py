"""The official TypeScript SDK as the client, as in most assistants: both its major versions, both eras.

It closes the connection, and with it the server for the whole chat, if a line is longer than 10 MiB.
"""

import json
import subprocess
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests import npm
from tests.stdio_process import PROGRAM, environment

CLIENT = Path(__file__).parent / "typescript" / "client.cjs"
PACKAGES = ("@modelcontextprotocol/sdk@1.32.2", "@modelcontextprotocol/client@2.4.0")
Report = dict[str, JsonValue]

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def modules(request: pytest.FixtureRequest) -> Path:
    """The folder with both SDKs, kept in pytest's cache."""
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir("typescript-1.32.2-2.4.0")
    is_there = all((folder / "node_modules" / package.rpartition("@")[0]).exists() for package in PACKAGES)
    if not is_there:
        npm.install(folder, *PACKAGES)
    return folder


@pytest.mark.parametrize(("major", "era"), [("1", "legacy"), ("2", "auto")])
def test_the_typescript_client_gets_every_answer_and_stays_connected(
    modules: Path, tmp_path: Path, major: str, era: str
) -> None:
    done = subprocess.run(
        ["node", str(CLIENT), str(modules), major, era, str(PROGRAM), "--demo"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report: Report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["isOpen"]
    assert (report["ping"] == {}) == (era == "legacy")  # the newer era has none
    tools, newest, longest = report["tools"], report["newest"], report["longest"]
    assert isinstance(tools, dict)
    assert {"list_conversations", "search_transcripts", "get_transcripts", "save_recording"} <= set(tools)
    assert [
        name for name, result in tools.items() if "content" not in str(result) or "'isError': True" in str(result)
    ] == []
    assert isinstance(newest, list)
    assert [recording for recording in newest if isinstance(recording, dict) and recording.get("bytes")]
    assert isinstance(longest, dict)  # an hour: 28.8 MB
    assert "save_recording" in str(longest["error"])
    assert "conversations match" in str(report["after"])
