"""Each question is answered by one call, and all of them together cost little to read."""

import fnmatch
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import pytest

from formant_mcp.demo.calls import sample_calls
from tests.evals.open_questions import IDS, OPEN_QUESTIONS, Right
from tests.evals.questions import QUESTIONS, Calls
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

MOST_CALLS, MOST_CHARACTERS = 22, 16_000
MOST_OPEN_CALLS, MOST_OPEN_CHARACTERS = 30, 40_000


@pytest.fixture
async def assistant(account: Account, sample_stores: SampleStores, tmp_path: Path) -> AsyncGenerator[Assistant]:
    """Connected to the sample account, all of which is stored."""
    store = await sample_stores.copy("formant", tmp_path)
    async with account.connect_to_sample(store=str(store)) as assistant:
        yield assistant


def calls_now() -> Calls:
    return Calls(tuple(call.as_of(NOW) for call in sample_calls(NOW) if call.started_at <= NOW), NOW)


async def test_twenty_questions_are_answered_exactly_and_cheaply(assistant: Assistant) -> None:
    calls = calls_now()
    assert len(QUESTIONS) == 20
    wrong: list[str] = []
    read = 0
    for question in QUESTIONS:
        arguments = {
            name: [calls.longest.conversation_id] if name == "conversation_ids" else value
            for name, value in question.arguments.items()
        }
        answer = await assistant.ask(question.tool, **arguments)
        read += len(answer.text)
        expected = question.answer(calls)
        assert expected, question.text
        if missing := [
            each for each in expected if each not in answer.text.replace(",", "") and each not in answer.text
        ]:
            wrong.append(f"{question.text} {missing} not in:\n{answer.text}")
    assert not wrong, "\n\n".join(wrong)
    assert len(QUESTIONS) <= MOST_CALLS
    assert read <= MOST_CHARACTERS
    print(f"{len(QUESTIONS)} answers right, {len(QUESTIONS)} calls, {read:,} characters read")


async def test_ten_open_questions_are_answered_with_what_is_planted(assistant: Assistant) -> None:
    """And no answer would do with a row less, another figure, a call less or one more."""
    calls = calls_now()
    assert len(OPEN_QUESTIONS) == 10
    wrong: list[str] = []
    asked = read = 0
    for question in OPEN_QUESTIONS:
        answers: list[Answer] = []
        for tool, arguments in question.asks:
            given = {name: answers[-1].ids() if value == IDS else value for name, value in arguments.items()}
            answers.append(await assistant.ask(tool, **given))
        text = "\n".join(answer.text for answer in answers)
        asked += len(answers)
        read += len(text)
        lines, gives = text.split("\n"), question.gives(answers[-1])
        right = question.right(calls)
        if faults := right.faults(lines, gives):
            wrong.append(f"{question.text} {faults} in:\n{text}")
        wrong += [f"{question.text} {broken}" for broken in unnoticed(right, lines, gives)]
    assert not wrong, "\n\n".join(wrong)
    assert asked <= MOST_OPEN_CALLS
    assert read <= MOST_OPEN_CHARACTERS
    print(f"{len(OPEN_QUESTIONS)} open answers right, {asked} calls, {read:,} characters read")


def unnoticed(right: Right, lines: Sequence[str], gives: Sequence[str]) -> list[str]:
    """Ways to break right answers that go unnoticed."""
    broken: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "less is given": (lines, gives[1:]),
        "more is given": (lines, [*gives, "something else"]),
    }
    for pattern in right.lines:
        rows = fnmatch.filter(lines, pattern)
        others = [line for line in lines if line not in rows]
        broken[f"without {pattern}"] = (others, gives)
        for changed in zip(*(other_figures(row, pattern) for row in rows), strict=False):
            broken[f"{changed[0]} for {pattern}"] = ([*others, *changed], gives)
    return [name for name, (said, given) in broken.items() if not right.faults(said, given)]


def other_figures(row: str, pattern: str) -> Iterator[str]:
    """The row with another figure, for each figure in it that is in the pattern."""
    match = re.fullmatch("(.*)".join(map(re.escape, pattern.split("*"))), row)
    assert match
    free = [range(*match.span(number + 1)) for number in range(len(match.groups()))]
    for figure in re.finditer(r"(?<!\w)\d+(?!\w)", row):
        if not any(figure.start() in span for span in free):
            yield f"{row[: figure.start()]}{int(figure[0]) + 1}{row[figure.end() :]}"
