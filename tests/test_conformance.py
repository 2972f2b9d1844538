"""The protocol's own conformance suite, over HTTP: those of its scenarios that need no tools made for it."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import npm
from tests.http_process import in_child

PACKAGE = "@modelcontextprotocol/conformance@0.1.16"
LEAST_NODE = 22
# The others call tools, resources and prompts that only servers made for the suite have, or need what this one does not
# offer: logging, sampling, elicitation, subscriptions to resources.
SCENARIOS = [
    "server-initialize",
    "ping",
    "completion-complete",
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
]

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest) -> Path:
    """The installed suite, kept in pytest's cache."""
    folder = _cached(request, "conformance-0.1.16")
    program = folder / "node_modules" / ".bin" / "conformance"
    if not program.exists():
        npm.install(folder, PACKAGE)
    return program


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment it needs."""
    return npm.with_node(_cached(request, f"node-{LEAST_NODE}"), LEAST_NODE)


def _cached(request: pytest.FixtureRequest, name: str) -> Path:
    cache: pytest.Cache = request.config.cache
    return cache.mkdir(name)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_passes(program: Path, environment: dict[str, str], tmp_path: Path, scenario: str) -> None:
    with in_child(tmp_path, "--demo") as (_, url):
        command = [str(program), "server", "--url", f"{url}/mcp", "--scenario", scenario]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    passed = re.search(r"Passed: (\d+)/(\d+), (\d+) failed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert passed, done.stdout
    assert int(passed[1]) == int(passed[2]) > 0
