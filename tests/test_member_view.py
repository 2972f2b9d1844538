"""A member who may see only some agents gets the answers of an account that has no others."""

import re
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.members import Member
from tests.calls import Row, conversation
from tests.examples import examples, is_thorough, some
from tests.in_a_loop import in_a_loop
from tests.questions import AGENTS, CALLS, QUESTIONS, Question, account_of, answer
from tests.server_harness import NOW, Account

pytestmark = pytest.mark.anyio

UNFINISHED = re.compile(r"([\d,]+) of (?!\1 )")
LISTING = "reading the list of calls"


async def answers(asked: Account, questions: Sequence[Question], *, is_loaded: bool) -> list[list[str]]:
    """The answers; `is_loaded`: somebody who sees everything has asked about all calls before."""
    store, member = str(asked.folder / "store.sqlite"), asked.member
    if is_loaded:
        asked.member = None
        async with asked.connect(store=store) as assistant:
            await assistant.ask("search_transcripts", query="payment")
        asked.member = member
    async with asked.connect(store=store) as assistant:
        await assistant.ask("list_conversations")
        return [await answer(assistant, question) for question in questions]


@pytest.mark.parametrize("is_loaded", [True, False])
@settings(max_examples=examples(1 if is_thorough() else 0.6))
@given(
    agents=st.frozensets(st.sampled_from([*AGENTS, 7]), min_size=1, max_size=3),
    questions=st.lists(QUESTIONS, min_size=1, max_size=6),
)
@in_a_loop
async def test_a_members_answers_are_those_of_an_account_with_just_their_agents(
    is_loaded: bool, agents: frozenset[int], questions: list[Question]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        member = Member("asha", frozenset(map(str, agents)))
        everything = account_of(Path(folder, "all"), CALLS, member)
        own = account_of(Path(folder, "own"), [row for row in CALLS if row["agent_id"] in agents])
        expected = await answers(own, questions, is_loaded=is_loaded)
        got = await answers(everything, questions, is_loaded=is_loaded)
        for question, its, theirs in zip(questions, got, expected, strict=True):
            assert its == theirs, question
        saved = {path.name for path in Path(folder, "all").glob("recordings/*")}
        assert saved == {path.name for path in Path(folder, "own").glob("recordings/*")}


@pytest.mark.parametrize("is_loaded", some([False, True], 2))
async def test_a_members_progress_shows_nothing_of_other_agents(tmp_path: Path, is_loaded: bool) -> None:
    asked, member = Question("tool", "search_transcripts", {"query": "payment"}), Member("asha", frozenset({"100"}))
    own = many_calls(100, 120)
    steps = [
        await progress(account_of(tmp_path / name, calls, member), asked, is_loaded=is_loaded)
        for name, calls in (("own", own), ("all", own + many_calls(101, 360)))
    ]
    assert steps[0] == steps[1] == ["120 of 120 requests"]


async def progress(asked: Account, question: Question, *, is_loaded: bool) -> list[str]:
    """What the client is told when each step is done, but for steps without figures."""
    store, member, told = str(asked.folder / "store.sqlite"), asked.member, list[str]()
    if is_loaded:
        asked.member = None
        async with asked.connect(store=store) as assistant:
            await assistant.ask("list_conversations")
        asked.member = member
    async with asked.connect(store=store) as assistant:
        await answer(assistant, question, told)
    return [words for words in told if words != LISTING and not UNFINISHED.match(words)]


def many_calls(agent: int, count: int) -> list[Row]:
    return [
        conversation(n, NOW - timedelta(days=2, minutes=n), agent, conversation_id=f"call{agent}{n:06}")
        for n in range(count)
    ]


async def test_progress_grows_while_a_members_list_is_read(account: Account) -> None:
    account.api.add(conversation(1, NOW - timedelta(days=2), 100))
    account.member = Member("asha", frozenset({"100", "101"}))
    account.api.gate.shut()
    steps: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))
        if len(steps) == 2:
            account.api.gate.open()

    async with account.connect() as assistant:
        await assistant.client.call_tool("search_transcripts", {"query": "payment"}, progress_callback=note)
    assert steps[:2] == [(1, None, LISTING), (2, None, LISTING)]
    assert (steps[-1][0], steps[-1][2]) == (steps[-1][1], "1 of 1 requests")
    figures = [figure for figure, _, _ in steps]
    assert figures == sorted(set(figures))
