"""The documentation's examples of answers are what the sample account answers on the day that it names."""

import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.fake_formant import FakeFormant
from tests.sample_stores import SampleStores
from tests.server_harness import Account, Assistant

ROOT = Path(__file__).parents[1]
DOCS = "\n".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", ROOT / ".github/docs/tools.md"])
DAY = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
DISPUTES: dict[str, JsonValue] = {"since": "7d", "group_by": ["results.intent"]}
pytestmark = pytest.mark.anyio


@pytest.fixture
async def assistant(tmp_path: Path, sample_stores: SampleStores) -> AsyncGenerator[Assistant]:
    account = Account(FakeFormant(), "auto", tmp_path, now=DAY)
    store = await sample_stores.copy("formant", tmp_path, DAY)
    async with account.connect_to_sample(store=str(store)) as assistant:
        yield assistant


def example(heading: str, first: str) -> list[list[str]]:
    """The cells of each line of the example below that heading which begins with that line; `…` stands for others."""
    section = DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section[section.index(f"\n{first}") + 1 :].split("\n```" if "\n```\n" + first in section else "\n\n")[0]
    rows = [re.split(r"\t|\s{2,}|\s*\|\s*", line.strip("| ")) for line in lines.splitlines() if "---" not in line]
    return [[cell for cell in row if cell != "…"] for row in rows]


def assert_shown(rows: list[list[str]], text: str) -> None:
    """The answer has these rows in this order, each with all its cells."""
    lines = iter(text.splitlines())
    for row in rows:
        pieces = [piece for cell in row for piece in cell.split("…")]
        assert any(all(piece in line for piece in pieces) for line in lines), f"{row} is not in\n{text}"


@pytest.mark.anyio
async def test_the_example_of_phrases(assistant: Assistant) -> None:
    answer = await assistant.ask("find_phrases", since="7d", distinctive=True)
    assert_shown(example("Tools", "conversations  share")[1:], answer.text)


@pytest.mark.anyio
async def test_the_example_of_changes(assistant: Assistant) -> None:
    answer = await assistant.ask("find_changes", agent_id=456, since="30d")
    assert_shown(example("Tools", "| changed |")[1:], answer.text)


@pytest.mark.anyio
async def test_the_example_of_calls_to_review(assistant: Assistant) -> None:
    answer = await assistant.ask("find_calls_to_review", since="14d")
    assert_shown(example("Reasons to review a call", "Of all that match"), answer.text)


@pytest.mark.parametrize(
    ("first", "tool", "arguments"),
    [
        (
            "| failure_reason |",
            "summarize_results",
            {
                "since": "7d",
                "call_successful": "failure",
                "group_by": ["failure_reason"],
                "compare_previous": True,
            },
        ),
        ("| results.intent |", "summarize_results", {**DISPUTES, "compare_previous": True, "agent_id": "456"}),
        ("| changed |", "find_changes", {"agent_id": "456", "since": "30d"}),
        ("| call | agent |", "find_calls_to_review", {"since": "14d"}),
    ],
)
async def test_the_answers_at_the_top(
    first: str, tool: str, arguments: dict[str, JsonValue], assistant: Assistant
) -> None:
    rows = example("What you can ask", first)[1:]
    assert len(rows) > 1
    assert_shown(rows, (await assistant.ask(tool, **arguments)).text)


async def test_the_hits_at_the_top(assistant: Assistant) -> None:
    answer = await assistant.ask("search_transcripts", query="lawyer OR legal OR वकील", role="contact")
    for call, turn, role, words in example("What you can ask", "| call | turn |")[1:]:
        assert_shown([[call], [f"{turn} {role} ", words]], answer.text)


def test_the_picture_is_drawn_from_a_session(tmp_path: Path) -> None:
    script = ROOT / ".github" / "docs" / "draw-session"
    subprocess.run([sys.executable, str(script), str(tmp_path / "session.svg")], check=True, timeout=120)
    for path in (tmp_path / "session.svg", script.with_name("session.svg")):
        picture = path.read_text(encoding="utf-8").replace("&#160;", " ")
        for piece in ("Why did calls fail this week?", "; complete as of", "number labelled as spam", "find_changes"):
            assert piece in picture
        assert re.findall(r"https?://[^\s\"]+", picture) == ["http://www.w3.org/2000/svg"]
