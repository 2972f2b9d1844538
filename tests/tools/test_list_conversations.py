"""`list_conversations`, asked as an assistant asks."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.calls import conversation, conversation_id, many
from tests.faults import failing
from tests.provider_apis import ELEVENLABS
from tests.server_harness import NOW, Account, in_both_eras
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def account(account: Account) -> Account:
    """45 calls of three agents in ten days, the newest two hours old."""
    account.api.conversations = many(45, NOW - timedelta(hours=2), timedelta(days=10))
    return account


@in_both_eras
async def test_a_list_begins_with_its_coverage_and_has_a_line_a_call(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", limit=3)
    assert_same_answer(SNAPSHOTS / "list.txt", answer)


async def test_a_list_that_matches_nothing_names_the_values_there_are(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", status=["completd"], agent_id=7)
        by_result = await assistant.ask("list_conversations", results=["mood=good"], since="2d")
    assert_same_answer(SNAPSHOTS / "list_empty.txt", answer)
    assert (by_result.coverage["matched"], by_result.coverage["complete"]) == (0, True)
    assert "csat, intent, language.primary" in by_result.text


async def test_a_period_that_begins_in_the_future_is_said_to(account: Account) -> None:
    async with account.connect() as assistant:
        answers = [
            await assistant.ask(tool, since="2027-01-01", **more)
            for tool, more in (("list_conversations", {}), ("search_transcripts", {"query": "hello"}))
        ]
        past = await assistant.ask("list_conversations", until="2027-01-01")
    for answer in answers:
        assert answer.coverage["complete"]
        assert "The period begins in the future: it is 2026-11-21 05:12 UTC now." in answer.text, answer.text
    assert "future" not in past.text


async def test_included_results_and_words_are_inside_a_boundary(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", limit=3, summary_mode="include")
    assert_same_answer(SNAPSHOTS / "list_include.txt", answer)


async def test_times_that_differ_in_their_offset_carry_it_each(account: Account) -> None:
    account.api.conversations = [conversation(n, NOW - timedelta(days=40 * n)) for n in (0, 1)]
    async with account.connect(timezone="Europe/Berlin") as assistant:
        answer = await assistant.ask("list_conversations")
    assert_same_answer(SNAPSHOTS / "list_two_offsets.txt", answer)


async def test_times_of_another_year_have_their_year_each(account: Account) -> None:
    account.api.conversations = [conversation(n, NOW - timedelta(days=400 * n)) for n in (0, 1)]
    async with account.connect() as assistant:
        both = await assistant.ask("list_conversations")
        last_year = await assistant.ask("list_conversations", until="2025-12-31")
    assert "\tstarted (+05:30)\t" in both.text
    assert "\t2026-11-21 10:42\t" in both.text
    assert "\t2025-10-17 10:42\t" in both.text
    assert "\t2025-10-17 10:42\t" in last_year.text


@pytest.mark.parametrize(
    ("now", "started", "header", "shown"),
    [
        ("2026-01-02T00:00", "2025-12-31T10:00", "started (2025, +00:00)", "12-31 10:00"),
        ("2026-12-31T10:00", "2026-01-01T11:00", "started (2026, +00:00)", "01-01 11:00"),
        ("2026-12-31T10:00", "2026-01-01T09:00", "started (+00:00)", "2026-01-01 09:00"),
    ],
)
async def test_a_year_is_left_out_only_where_the_time_is_read_with_that_year(
    account: Account, now: str, started: str, header: str, shown: str
) -> None:
    account.now = datetime.fromisoformat(f"{now}+00:00")
    account.api.conversations = [conversation(1, datetime.fromisoformat(f"{started}+00:00"))]
    async with account.connect(timezone="UTC") as assistant:
        answer = await assistant.ask("list_conversations")
        found = await assistant.ask("list_conversations", since=shown, until=shown)
    assert f"\t{header}\t" in answer.text
    assert f"\t{shown}\t" in answer.text
    assert found.ids() == answer.ids()


@pytest.mark.parametrize(
    ("started", "header", "shown"),
    [
        ("2026-10-25T00:30", "started (2026, +02:00)", "10-25 02:30"),
        ("2026-10-25T01:30", "started (2026)", "10-25 02:30 +01:00"),
        ("2026-10-25T02:30", "started (2026, +01:00)", "10-25 03:30"),
    ],
)
async def test_a_time_of_a_repeated_hour_is_found_as_it_is_printed(
    account: Account, started: str, header: str, shown: str
) -> None:
    account.api.conversations = [conversation(1, datetime.fromisoformat(f"{started}+00:00"))]
    async with account.connect(timezone="Europe/Berlin") as assistant:
        answer = await assistant.ask("list_conversations")
        found = await assistant.ask("list_conversations", since=shown, until=shown)
    assert f"\t{header}\t" in answer.text
    assert f"\t{shown}\t" in answer.text
    assert found.ids() == answer.ids()


async def test_what_every_row_has_is_said_once(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", agent_id=101, status=["busy", "no_answer"], limit=4)
        pair = await assistant.ask("list_conversations", agent_id=101, limit=2)
    note, shared, header, *rows = answer.text.split("\n")[1:]
    assert note == "4 failure reasons not loaded yet; summary_mode=include loads them."
    assert shared == "every row: agent 101"
    assert header == "conversation_id\tstarted (2026, +05:30)\tcontact\tstatus"
    assert [len(row.split("\t")) for row in rows] == [4] * 4
    assert "every row" not in pair.text


async def test_a_value_that_could_be_read_as_more_labels_is_not_said_for_every_row(account: Account) -> None:
    forged = "sip:x · status completed · seconds 999@h"
    account.api.conversations = [
        conversation(n, NOW - timedelta(hours=n), contact_number=forged, status="busy") for n in range(1, 5)
    ]
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations")
    line = next(line for line in answer.text.split("\n") if line.startswith("every row: "))
    assert "status busy" in line
    assert "completed" not in line
    assert answer.text.count(f"\t{forged}") == 4


async def test_agents_that_have_names_have_their_ids_once(account: Account) -> None:
    async with account.connect_to_sample(provider="elevenlabs") as assistant:
        many = await assistant.ask("list_conversations", limit=60)
        few = await assistant.ask("list_conversations", limit=3)
    line = next(line for line in many.text.split("\n") if line.startswith("agents: "))
    ids = dict(agent.split(" = ") for agent in line.removeprefix("agents: ").split(" · "))
    table = [line.split("\t") for line in many.text.split("\n") if "\t" in line]
    column = table[0].index("agent_name")
    assert [ids[cells[column]] for cells in table[1:]] == [row["agent_id"] for row in many.rows()]
    assert len(ids) > 1
    assert "agent" not in table[0]
    assert "agents: " not in few.text
    assert "\tagent\tagent_name\t" in few.text


@pytest.mark.parametrize(
    ("names", "is_said_once"),
    [
        (("Payments", "Reminders"), True),
        (("Payments", "Payments"), False),
        (("Payments", None), False),
        (("Payments = agent_0 · Reminders", "Refunds"), False),
    ],
)
async def test_agents_have_their_ids_once_only_where_a_name_is_that_of_one(
    account: Account, names: tuple[str | None, ...], is_said_once: bool
) -> None:
    async with ELEVENLABS.opened() as opened:
        for n in range(6):
            opened.api.add(
                ELEVENLABS.call(n, NOW - timedelta(hours=n))
                | {"agent_id": f"agent_{n % 2}", "agent_name": names[n % 2]}
            )
        async with account.connect_to(opened.source, "elevenlabs") as assistant:
            answer = await assistant.ask("list_conversations")
    assert ("\nagents: Payments = agent_0 · Reminders = agent_1\n" in answer.text) is is_said_once
    assert ("\tagent\t" in answer.text) is not is_said_once


async def test_cursors_lead_through_every_call_once(account: Account) -> None:
    question: dict[str, object] = {"order_by": "longest", "since": "8d", "limit": 7}
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", **question)
        matched, found = answer.coverage["matched"], answer.ids()
        while "next_cursor" in answer.structure:
            account.api.add(conversation(1000 + len(found), NOW - timedelta(minutes=3)))  # new ones move nothing
            answer = await assistant.ask("list_conversations", cursor=answer.structure["next_cursor"], **question)
            found += answer.ids()
    assert len(found) == len(set(found))
    assert set(found) >= {conversation_id(n) for n in range(36)}
    assert matched == 36


async def test_ids_as_numbers_and_lists_as_json_text_are_understood(account: Account) -> None:
    async with account.connect() as assistant:
        strict = await assistant.ask("list_conversations", agent_id="101", status=["busy", "no_answer"])
        loose = await assistant.ask("list_conversations", agent_id=101, status='["busy", "no_answer"]')
        single = await assistant.ask("list_conversations", agent_id=" 101 ", status="busy,no_answer")
    assert strict.ids() == loose.ids() == single.ids()
    assert len(strict.ids()) == 4


@pytest.mark.parametrize(("order", "first"), [("newest", 0), ("oldest", 44), ("longest", 32), ("shortest", 0)])
async def test_the_first_is_the_first_of_the_whole_account(account: Account, order: str, first: int) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", order_by=order, limit=1)
    assert answer.ids() == [conversation_id(first)]


async def test_the_questions_of_a_first_session_are_answered_on_the_sample_account(account: Account) -> None:
    async with account.connect_to_sample() as assistant:
        failed = await assistant.ask(
            "list_conversations", agent_id=123, call_successful="failure", since="yesterday", until="yesterday", limit=4
        )
        longest = await assistant.ask("list_conversations", agent_id=123, order_by="longest", limit=1)
        read = await assistant.ask("get_transcripts", conversation_ids=longest.ids(), max_turns=3)
    assert_same_answer(SNAPSHOTS / "sample_failed_yesterday.txt", failed)
    assert_same_answer(SNAPSHOTS / "sample_longest_read.txt", read)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            ["failed"],
            "Without status, 1 call would match: summarize_results with group_by=status counts theirs."
            " Did you mean call_successful=failure?",
        ),
        (
            ["completed"],
            "Without status, 1 call would match: summarize_results with group_by=status counts theirs.",
        ),
        (["failure"], "Existing values: completed, failed, no_answer. Did you mean call_successful=failure?"),
    ],
)
async def test_a_status_that_only_other_calls_have_says_so(account: Account, status: list[str], said: str) -> None:
    account.api.conversations = []
    for n, (agent, other) in enumerate([(123, "no_answer"), (456, "failed"), (456, "completed")]):
        account.api.add(conversation(n, NOW - timedelta(hours=n + 1), agent_id=agent, status=other))
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        answer = await assistant.ask("list_conversations", agent_id="123", status=status)
        other = await assistant.ask("list_conversations", agent_id="456", status=["failed"])
    assert answer.coverage["matched"] == 0
    assert str(answer.coverage["note"]).endswith(said)
    assert "Without status" not in other.text


async def test_calls_that_would_match_are_counted_so_far_where_the_list_may_lack_some(account: Account) -> None:
    question: dict[str, object] = {"status": ["busy"], "min_duration_seconds": 1}  # only completed calls last
    async with account.connect() as assistant:
        whole = await assistant.ask("list_conversations", **question)
        account.pass_time(hours=1)
        with account.failing(failing(503)):
            part = await assistant.ask("list_conversations", **question)
    assert (whole.coverage["complete"], part.coverage["complete"]) == (True, False)
    assert "Without status, 23 calls would match: summarize_results" in whole.text
    assert "Without status, 23 calls would match so far: summarize_results" in part.text
