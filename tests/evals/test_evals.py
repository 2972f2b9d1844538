"""Each question is answered by one call, and all of them together cost little to read."""

from pathlib import Path

import pytest

from formant_mcp.demo.calls import sample_calls
from tests.evals.open_questions import OPEN_QUESTIONS
from tests.evals.questions import QUESTIONS, Calls
from tests.fake_formant import FakeFormant
from tests.server_harness import NOW, Account

pytestmark = pytest.mark.anyio

MOST_CALLS, MOST_CHARACTERS = 22, 16_000
MOST_OPEN_CALLS, MOST_OPEN_CHARACTERS = 30, 40_000


def calls_now() -> Calls:
    return Calls(tuple(call.as_of(NOW) for call in sample_calls(NOW) if call.started_at <= NOW), NOW)


async def test_twenty_questions_are_answered_exactly_and_cheaply(tmp_path: Path) -> None:
    calls = calls_now()
    assert len(QUESTIONS) == 20
    wrong: list[str] = []
    read = 0
    async with Account(FakeFormant(), "auto", tmp_path).connect_to_sample() as assistant:
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


async def test_ten_open_questions_are_answered_with_what_is_planted(tmp_path: Path) -> None:
    calls = calls_now()
    assert len(OPEN_QUESTIONS) == 10
    wrong: list[str] = []
    asked = read = 0
    async with Account(FakeFormant(), "auto", tmp_path).connect_to_sample() as assistant:
        for question in OPEN_QUESTIONS:
            answers = [(await assistant.ask(tool, **arguments)).text for tool, arguments in question.asks]
            text = "\n".join(answers)
            asked += len(answers)
            read += len(text)
            expected = question.answer(calls)
            assert expected, question.text
            if missing := [item for item in expected if item not in text]:
                wrong.append(f"{question.text} {missing} not in:\n{text}")
    assert not wrong, "\n\n".join(wrong)
    assert asked <= MOST_OPEN_CALLS
    assert read <= MOST_OPEN_CHARACTERS
    print(f"{len(OPEN_QUESTIONS)} open answers right, {asked} calls, {read:,} characters read")
