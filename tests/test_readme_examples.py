"""The README's examples of answers are what the sample account answers on the day that the README names."""

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fake_formant import FakeFormant
from tests.server_harness import Account, Assistant

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
DAY = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.anyio


@pytest.fixture
async def assistant(tmp_path: Path) -> AsyncGenerator[Assistant]:
    account = Account(FakeFormant(), "auto", tmp_path, now=DAY)
    async with account.connect_to_sample() as assistant:
        yield assistant


def example(heading: str, first: str) -> list[list[str]]:
    """The cells of each line of the example below that heading which begins with that line; `…` stands for others."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section[section.index(f"\n{first}") + 1 :].split("\n```" if "\n```\n" + first in section else "\n\n")[0]
    rows = [re.split(r"\t|\s{2,}|\s*\|\s*", line.strip("| ")) for line in lines.splitlines() if "---" not in line]
    return [[cell for cell in row if cell != "…"] for row in rows]


def assert_shown(rows: list[list[str]], text: str) -> None:
    """The answer has these rows in this order, each with all its cells."""
    lines = iter(text.splitlines())
    for row in rows:
        pieces = [piece for cell in row for piece in cell.split("…")]
        assert any(all(piece in line for piece in pieces) for line in lines), f"{row} is not in\n{text}"


async def test_the_example_of_phrases(assistant: Assistant) -> None:
    answer = await assistant.ask("find_phrases", since="7d", distinctive=True)
    assert_shown(example("Tools", "conversations  share")[1:], answer.text)


async def test_the_example_of_changes(assistant: Assistant) -> None:
    answer = await assistant.ask("find_changes", agent_id=456, since="30d")
    assert_shown(example("Tools", "| changed |")[1:], answer.text)


async def test_the_example_of_calls_to_review(assistant: Assistant) -> None:
    answer = await assistant.ask("find_calls_to_review", since="14d")
    assert_shown(example("Reasons to review a call", "Of all that match"), answer.text)
