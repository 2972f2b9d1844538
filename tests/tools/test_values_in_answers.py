"""Values are understood in the spelling in which they were extracted, or asked for; what is not is counted."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from tests.calls import conversation, conversation_id
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Answer

pytestmark = pytest.mark.anyio

AMOUNTS: list[JsonValue] = ["15,000", 15000, "₹1,50,000", "12,500.50", 500, "₹ 2.5 lakh", "0012", "-2,500"]
DUE: list[JsonValue] = [
    "2026-11-20", "2026-11-20T10:00:00+05:30", "2026-11-21 09:30", "2026-12-01", "20/11/2026", "tomorrow", None, "2026",
]  # fmt: skip
INTENTS: list[JsonValue] = [
    "payment_confirmed", "Payment Confirmed", "payment-confirmed", "dispute", "Dispute", "refusal", None, "7",
]  # fmt: skip


@pytest.fixture
def account(account: Account) -> Account:
    """Calls with values as models extract them from speech."""
    account.api.conversations = [
        conversation(
            n,
            NOW - timedelta(hours=2 + n),
            status=("no_answer", "No-Answer", "busy")[n % 3],
            results={"amount": amount, "due": due, "intent": intent},
        )
        for n, (amount, due, intent) in enumerate(zip(AMOUNTS, DUE, INTENTS, strict=True))
    ]
    return account


def at(value: JsonValue, *path: str) -> JsonValue:
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def places(answer: Answer) -> list[int]:
    assert answer.coverage["complete"] is True
    return sorted(n for n in range(len(AMOUNTS)) if conversation_id(n) in answer.ids())


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("amount=15,000", [0, 1]),
        ("amount=15000", [0, 1]),
        ("amount = ₹ 15,000.00", [0, 1]),
        ("amount=१५,०००", [0, 1]),
        ("amount!=15000", [2, 3, 4, 5, 6, 7]),
        ("amount>=10000", [0, 1, 2, 3]),
        ("amount>15,000", [2]),
        ("amount<1000", [4, 7]),
        ("amount<=−2500", [7]),
        ("amount=12", []),
        ("amount=0012", [6]),
        ("amount=₹ 2.5 LAKH", [5]),
        ("due=2026-11-20", [0, 1]),
        ("due<=2026-11-20", [0, 1]),
        ("due<2026-11-20", []),
        ("due>2026-11-20", [2, 3]),
        ("due>=2026-11-20", [0, 1, 2, 3]),
        ("due=2026-11-20T10:00", [1]),
        ("due=2026-11", [0, 1, 2]),
        ("due!=2026-11-20", [2, 3, 4, 5, 7]),
        ("intent=PAYMENT confirmed", [0, 1, 2]),
        ("intent!=payment-confirmed", [3, 4, 5, 7]),
        ("intent=7", [7]),
    ],
)
async def test_a_condition_means_the_same_in_every_spelling(
    account: Account, condition: str, expected: list[int]
) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", results=[condition])
    assert places(answer) == expected


async def test_a_sum_says_over_how_many_values_it_is_and_how_many_it_left_out(account: Account) -> None:
    async with account.connect() as assistant:
        whole = await assistant.ask("summarize_results", measures=["results.amount"])
        groups = await assistant.ask("summarize_results", measures=["results.amount"], group_by=["results.due"])
        profile = await assistant.client.call_tool("summarize_results", {})
    figures = at(whole.structure, "overall", "measures", "results.amount")
    assert [at(figures, name) for name in ("count", "sum", "left_out")] == [6, 190500.5, 2]
    assert "n 6 (2 not numbers) sum 190500.5 mean" in whole.text
    by_due = {at(row, "key", "results.due"): at(row, "measures", "results.amount") for row in groups.rows("groups")}
    assert by_due["tomorrow"] == {"count": 0, "sum": 0.0, "left_out": 1}
    assert "\tn 0 (1 not a number)\t" in groups.text
    assert "left_out" not in str(by_due["2026-11-20"])
    described = at(profile.structured_content, "profile", "results")
    assert isinstance(described, list)
    amount, _, intent = described
    assert [at(amount, name) for name in ("path", "kind", "count", "numbers", "left_out")] == [
        "amount",
        "mixed",
        8,
        6,
        2,
    ]
    text = str(profile.content)
    assert "results.amount (mixed, 8): n 6 (2 not numbers) sum 190500.5" in text
    assert "payment-confirmed (1)" in text  # a number or two among labels leave the field its labels
    assert "sum" not in str(intent)


async def test_a_status_is_found_in_every_spelling(account: Account) -> None:
    async with account.connect() as assistant:
        for status in ("no_answer", "NO ANSWER", "no-answer"):
            answer = await assistant.ask("list_conversations", status=[status])
            assert places(answer) == [0, 1, 3, 4, 6, 7]
            assert "values that exist" not in answer.text


async def test_an_order_that_cannot_be_meant_is_refused_with_what_can(account: Account) -> None:
    async with account.connect() as assistant:
        error = await assistant.refused("list_conversations", results=["amount>=2.5 lakh"])
    assert "amount>=250000" in error


@pytest.mark.parametrize(
    ("condition", "expected", "note"),
    [
        ("amount>=100000", [2], "2 calls have a value of amount that is not a number, and so was not compared."),
        ("amount>+1e4", [0, 1, 2, 3], "2 calls have a value of amount that is not a number, and so was not compared."),
        (
            "amount>ten",
            [5],
            "6 calls have a value of amount that is not a word, and so was not compared. For numbers and dates write"
            " one to compare with, e.g. amount>=3 or amount>=2026-11-20.",
        ),
        ("due>=2026-12-01", [3], "3 calls have a value of due that is not an ISO date, and so was not compared."),
        ("intent>=e", [0, 1, 2, 5], "1 call has a value of intent that is not a word, and so was not compared."),
        ("amount>=1000, intent=dispute", [3], None),
        ("amount=+15000", [0, 1], None),
        ("amount=1.5e4", [0, 1], None),
        ("amount!=+15000", [2, 3, 4, 5, 6, 7], None),
    ],
)
async def test_what_a_size_passes_over_is_counted(
    account: Account, condition: str, expected: list[int], note: str | None
) -> None:
    async with account.connect() as assistant:
        for tool in ("list_conversations", "summarize_results"):
            answer = await assistant.ask(tool, results=condition)
            assert answer.coverage["matched"] == len(expected)
            found = str(answer.coverage.get("note", ""))
            assert note in found if note else "not compared" not in found
            if tool == "list_conversations":
                assert places(answer) == expected


async def test_a_percentage_for_a_field_of_at_most_one_gets_a_note(
    account: Account, sample_stores: SampleStores
) -> None:
    store = str(await sample_stores.copy("formant", account.folder))
    async with account.connect_to_sample(store=store) as assistant:
        answer = await assistant.ask("list_conversations", results="language.confidence>=90%")
    assert "language.confidence is at most 0.99: for 90% write 0.9." in str(answer.coverage["note"])
