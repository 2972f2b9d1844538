"""No answer depends on the order in which calls were loaded."""

import json
import random
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.calls import Row, conversation
from tests.examples import examples, is_thorough
from tests.in_a_loop import in_a_loop
from tests.questions import CALLS, COUNT, QUESTIONS, Question, account_of, answer
from tests.server_harness import NOW

LABELS = ("Odd one", "odd one", "odd_one")
CHANGES = Question("tool", "find_changes", {"since": "4d", "compare_since": "8d", "limit": 50})
MOST_ALIKE = [
    *[Question("tool", "summarize_results", {"group_by": [name]}) for name in ("duration_seconds", "weekday", "hour")],
    Question("tool", "summarize_results", {"group_by": ["results.amount", "signals.ended_by"]}),
    Question("tool", "find_phrases", {"limit": 100}),
    Question("tool", "find_calls_to_review", {"limit": 100, "random_share": 0}),
    Question("tool", "search_transcripts", {"query": "payment OR today", "limit": 50}),
]


def alike(n: int) -> Row:
    """Most calls start with others, some have no start, and many are equally long."""
    row, started_at = CALLS[n], round((NOW - timedelta(days=2, hours=n // 5)).timestamp() * 1000)
    status = LABELS[n % 3] if n % 8 == 3 else row["status"]
    seconds = None if n == 5 else 20 + 7 * (n // 8)
    started = {} if n % 6 == 4 else {"start_timestamp": started_at, "end_timestamp": started_at + 1000 * (seconds or 0)}
    return row | {"start_timestamp": None, "status": status, "duration_seconds": seconds} | started


def changed(n: int) -> Row:
    """Twenty calls a day, at two times. Those of the last four days have more turns; half of them fail."""
    is_after, plain = n < 80, f"call{n:06}"
    name = chr(ord("a") + (4 * is_after + n % 2 - sum(plain.encode()) - ord("a")) % 6) + plain  # `detail` counts so
    status = "busy" if n % 2 and is_after else "completed"
    started_at = NOW - timedelta(days=n // 20, hours=1 + n % 2)
    seconds = (20, 25, 60)[n % 3] + 70 * is_after
    return conversation(n, started_at, 100 + n % 2, status, conversation_id=name, duration_seconds=seconds)


ALIKE = [alike(n) for n in range(COUNT)]
CHANGED = [changed(n) for n in range(160)]


async def answers(folder: Path, calls: Sequence[Row], questions: Sequence[Question]) -> list[list[str]]:
    """The answers after the calls were loaded in this order."""
    account = account_of(folder, calls)
    account.api.order = "as_held"
    store = str(folder / "store.sqlite")
    async with account.connect(store=store) as assistant:
        await assistant.ask("search_transcripts", query="payment")
    account.api.order = "newest"
    account.api.hold(sorted(calls, key=account.api.id_of))
    async with account.connect(store=store) as assistant:
        await assistant.ask("list_conversations")
        return [await answer(assistant, question) for question in questions]


async def assert_equal_answers(orders: Sequence[Sequence[Row]], questions: Sequence[Question]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = ("own", "all")  # which an answer with a path does not show
        one, other = [
            await answers(Path(folder, name), calls, questions) for name, calls in zip(names, orders, strict=True)
        ]
    for question, its, theirs in zip(questions, one, other, strict=True):
        assert its == theirs, question


@settings(max_examples=examples(1 if is_thorough() else 0.6))
@given(
    orders=st.tuples(st.permutations(range(COUNT)), st.permutations(range(COUNT))),
    questions=st.lists(QUESTIONS, min_size=1, max_size=12),
)
@in_a_loop
async def test_the_order_in_which_calls_were_loaded_changes_no_answer(
    orders: tuple[list[int], list[int]], questions: list[Question]
) -> None:
    await assert_equal_answers([[ALIKE[n] for n in order] for order in orders], questions)


@in_a_loop
async def test_examples_are_the_newest_calls_in_whatever_order_these_were_loaded() -> None:
    shuffled = random.Random(1).sample(CHANGED, len(CHANGED))
    await assert_equal_answers([CHANGED, shuffled], [CHANGES, *MOST_ALIKE])
    with tempfile.TemporaryDirectory() as folder:
        ((changes,),) = await answers(Path(folder), shuffled, [CHANGES])
    examples = {
        change["field"]: change["example_conversation_id"]
        for change in json.loads(changes)["structured_content"]["changes"]
    }
    newest, newest_busy = (max(str(row["conversation_id"]) for row in CHANGED[first:20:2]) for first in (0, 1))
    assert examples["failure_reason"] == newest_busy
    assert {examples[name] for name in ("signals.turn_count", "signals.agent_repeats", "results.csat")} == {newest}
    assert examples["results.language.primary"] == newest
