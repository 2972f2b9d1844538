"""`find_calls_to_review`: the worst calls first with their reasons, and a random share that stays all day."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.analysis.review import REASONS
from formant_mcp.members import Member
from tests.calls import Row, conversation, conversation_id
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Answer, in_both_eras
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
WORST, SECOND, RATED, FAILED, MACHINE = range(100, 105)
SECRET = "kutta kamina number 4711"


def words(*said: str) -> JsonValue:
    """A transcript in which the agent and the contact take turns."""
    return [{"role": "human" if n % 2 else "agent", "message": text} for n, text in enumerate(said)]


def call(n: int, *said: str, **fields: JsonValue) -> Row:
    row: Row = {"results": {"csat": 5}, "duration_seconds": 60, **fields}
    status = str(row.pop("status", "completed"))
    transcript = words(*said) if said else None
    return conversation(n, NOW - timedelta(hours=n), agent_id=7, status=status, transcript=transcript, **row)


def harmless(n: int) -> Row:
    return call(
        n, f"Hello, this is call {n} of ours", "Yes, tell me", f"I note down item {n} for you", "Fine, thank you"
    )


@pytest.fixture
def account(account: Account) -> Account:
    """60 harmless calls, and five with something to hear, all older."""
    again = ["Can I note a date for this", "No"] * 6
    planted = [
        call(
            WORST,
            *("Will you pay the amount today", SECRET, "I see, so on Monday then", "I won't pay, stop calling me"),
            results={"csat": 1, "intent": "promise_to_pay"},
        ),
        call(SECOND, *again, "Thank you", "I want to talk to a human"),
        call(RATED, "Hello", "Yes", "Good bye", "Bye", results={"csat": 2, "risk_score": 1}),
        call(FAILED, "Hello, this is the first", "Yes?", "I call you for", "Hello?", status="socket_failure"),
        call(MACHINE, *again, "Hello?", "Please leave a message after the tone", status="socket_failure"),
    ]
    account.api.hold([*map(harmless, range(60)), *planted])
    return account


def rows(answer: Answer, picked_by: str = "score") -> dict[str, tuple[JsonValue, dict[str, tuple[str, JsonValue]]]]:
    """By id: the score, and by reason its detail and turn."""
    found: dict[str, tuple[JsonValue, dict[str, tuple[str, JsonValue]]]] = {}
    for row in answer.rows():
        reasons = row["reasons"]
        assert isinstance(reasons, list)
        by_name = {
            str(reason["name"]): (str(reason["detail"]), reason.get("turn"))
            for reason in reasons
            if isinstance(reason, dict)
        }
        if row["picked_by"] == picked_by:
            found[str(row["conversation_id"])] = row["score"], by_name
    return found


@in_both_eras
async def test_planted_calls_come_first_with_each_reason_its_turn_and_figures(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("find_calls_to_review")
    refuses = "says promised or paid; the contact refuses or disputes"
    assert rows(answer) == {
        conversation_id(WORST): (
            18,
            {
                "opt_out": ("wants no more calls", 3),
                "contradiction": (f"intent {refuses}", 3),
                "abusive_words": ("an insult", 1),
                "low_rating": ("csat 1 of 5", None),
            },
        ),
        conversation_id(SECOND): (
            6,
            {"asked_for_human": ("wants a person", 13), "agent_repeats": ("5; agent's usual 0", 2)},
        ),
        conversation_id(RATED): (4, {"low_rating": ("csat 2 of 5", None)}),
        conversation_id(FAILED): (3, {"failed_after_connection": ("connected, then failed", None)}),
        # Neither its failure nor what the agent said again.
        conversation_id(MACHINE): (1, {"voicemail": ("an answering machine or the network", 13)}),
    }
    assert answer.ids()[:5] == [conversation_id(n) for n in (WORST, SECOND, RATED, FAILED, MACHINE)]
    assert answer.structure["reasons_total"] == {
        "opt_out": 1,
        "contradiction": 1,
        "abusive_words": 1,
        "low_rating": 2,
        "failed_after_connection": 1,
        "asked_for_human": 1,
        "agent_repeats": 1,
        "voicemail": 1,
    }
    assert "Of all that match: 65 calls with a transcript, 5 with a reason.\nCalls by reason: opt_out 1" in answer.text
    assert "4711" not in answer.text
    # Places that no call with a reason fills are drawn, too.
    assert len(rows(answer, "random")) == 5
    assert all(row == (0, {}) for row in rows(answer, "random").values())


async def test_the_same_question_draws_the_same_calls_all_day_and_others_the_next_day(account: Account) -> None:
    async def drawn(**arguments: object) -> list[str]:
        return list(rows(await assistant.ask("find_calls_to_review", **arguments), "random"))

    async with account.connect() as assistant:
        first = await drawn(random_share=0.5)
        account.pass_time(hours=6)
        assert await drawn(random_share=0.5) == first
        assert (await drawn(random_share=1, limit=50))[:6] == await drawn(random_share=1, limit=6)
        other = await drawn(random_share=0.5, min_duration_seconds=1)
        account.pass_time(hours=24)
        next_day = await drawn(random_share=0.5)
    assert first not in (other, next_day)


async def test_the_share_says_how_many_places_are_drawn(account: Account) -> None:
    async with account.connect() as assistant:
        by_score = await assistant.ask("find_calls_to_review", random_share=0)
        few = await assistant.ask("find_calls_to_review", limit=3, random_share="50 %")
        at_random = await assistant.ask("find_calls_to_review", random_share=1)
    assert (len(rows(by_score)), len(rows(by_score, "random"))) == (5, 0)
    assert (list(rows(few)), len(rows(few, "random"))) == ([conversation_id(WORST)], 2)
    assert (len(rows(at_random)), len(rows(at_random, "random"))) == (0, 10)
    assert at_random.structure["reasons_total"] == by_score.structure["reasons_total"]


async def test_only_the_reasons_wished_count(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask(
            "find_calls_to_review", reasons=["Low Rating", "signals.agent_repeats"], random_share=0
        )
        none = await assistant.ask("find_calls_to_review", reasons="wrong_person", random_share=0)
        every, all_ = [await assistant.ask("find_calls_to_review", reasons=word) for word in ("", "all")]
        among = await assistant.ask("find_calls_to_review", reasons=["opt_out", "All"])
        wrong = await assistant.refused("find_calls_to_review", reasons=["all", "optout"])
    assert every.structure == all_.structure == among.structure
    assert "There is no reason 'optout'" in wrong
    assert {name: list(reasons) for name, (_, reasons) in rows(answer).items()} == {
        conversation_id(WORST): ["low_rating"],
        conversation_id(RATED): ["low_rating"],
        conversation_id(SECOND): ["agent_repeats"],
    }
    assert none.rows() == []
    assert none.structure["reasons_total"] == {}


async def test_a_call_is_compared_with_all_stored_calls_of_its_agent_whatever_is_filtered(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("find_calls_to_review")
        answer = await assistant.ask("find_calls_to_review", results=["csat exists"], since="5d", random_share=0)
    assert rows(answer)[conversation_id(SECOND)][1]["agent_repeats"] == ("5; agent's usual 0", 2)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"random_share": 2}, "random_share must be a number from 0 to 1, e.g. 0.2."),
        ({"random_share": "nan"}, "random_share must be a number from 0 to 1"),
        ({"limit": 0}, "limit must be a whole number from 1 to 50"),
        ({"limit": 51}, "limit must be a whole number from 1 to 50"),
        ({"reasons": ["optout"]}, "There is no reason 'optout'. Did you mean opt_out?"),
        ({"reasons": ["refusal"]}, f"The reasons are {', '.join(REASONS)}."),
        ({"results": ["signals.refusal exists"]}, "There is no signal 'refusal'."),
        ({"cursor": "c"}, "There is no argument 'cursor'."),
    ],
)
async def test_what_is_not_accepted_is_refused(account: Account, arguments: dict[str, object], error: str) -> None:
    async with account.connect() as assistant:
        assert error in await assistant.refused("find_calls_to_review", **arguments)


async def test_a_member_is_shown_no_other_agents_calls_nor_what_is_usual_of_them(account: Account) -> None:
    account.member = Member("asha", frozenset({"8"}))
    account.api.hold([{**row, "agent_id": 8 if n < 5 else 7} for n, row in enumerate(account.api.conversations)])
    async with account.connect() as assistant:
        answer = await assistant.ask("find_calls_to_review")
    assert sorted(answer.ids()) == [conversation_id(n) for n in range(5)]
    assert answer.structure["reasons_total"] == {}
    assert answer.structure["with_transcript"] == 5


@pytest.mark.file_store
async def test_the_sample_account_reads_so(account: Account, sample_stores: SampleStores) -> None:
    store = await sample_stores.copy("formant", account.folder)
    async with account.connect_to_sample(store=str(store)) as assistant:
        answer = await assistant.ask("find_calls_to_review", since="14d", limit=5)
    assert_same_answer(SNAPSHOTS / "sample_review.txt", answer)
