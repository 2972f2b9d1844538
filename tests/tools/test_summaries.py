"""`summarize_results`: how figures read. Each says what it counts, and none is there for nothing."""

from datetime import timedelta

import pytest

from formant_mcp.server.tools.summary_schema import SummaryAnswer
from tests.calls import conversation
from tests.server_harness import NOW, Account, in_both_eras

pytestmark = pytest.mark.anyio

WEEK = timedelta(days=7)


def lines(text: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [line.split("\t") for line in text.split("\n") if "\t" in line]


@pytest.fixture
def account(account: Account) -> Account:
    """Two weeks of two agents: agent 1 gets worse, agent 2 makes three calls."""
    statuses = ["completed"] * 6 + ["completed", "busy", "busy", "busy"]
    for n, status in enumerate(statuses):
        week = timedelta(days=9) if n < 6 else timedelta(days=2)
        account.api.add(conversation(n, NOW - week, agent_id=1, status=status))
    for n in range(10, 13):
        account.api.add(conversation(n, NOW - timedelta(days=2), agent_id=2, status="completed"))
    return account


async def test_a_change_names_the_figure_that_changed(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["agent_id"], since="7d", compare_previous=True)
    row = next(row for row in lines(answer.text) if row[0] == "1")
    assert "-2; share -42.9 points, success -75.0 points" in row
    change = answer.rows("groups")[0]["change"]
    assert change == {"count": -2, "share": -0.4285714286, "success_rate": -0.75}
    # All is the share of all; only its other figures change.
    assert lines(answer.text)[-1][-2] == "+1; success -42.9 points"
    # There is no rate, and no change, where there were no calls.
    assert "change" in answer.rows("groups")[1]
    assert answer.rows("groups")[1]["change"] == {"count": 3, "share": 0.4285714286}


async def test_two_groupings_give_the_share_within_the_first_too(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["agent_id", "status"])
    header, *rows = lines(answer.text)
    assert header[:5] == ["agent_id", "status", "count", "share", "share in agent_id"]
    assert [row[:5] for row in rows[:2]] == [
        ["1", "completed", "7", "53.8%", "70.0%"],
        ["1", "busy", "3", "23.1%", "30.0%"],
    ]


async def test_columns_that_repeat_the_grouping_are_left_out(account: Account) -> None:
    async with account.connect() as assistant:
        by_status = await assistant.ask("summarize_results", group_by=["status"])
        one = await assistant.ask("summarize_results", agent_id=2, group_by=["agent_id"])
    assert lines(by_status.text)[0] == ["status", "count", "share", "example"]
    assert "success rate of all: 76.9%" in by_status.text
    assert lines(one.text) == [["agent_id", "count", "example"], ["2", "3", lines(one.text)[1][2]]]
    assert "success rate 100.0%" in one.text


async def test_how_many_groups_there_are_is_said(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["contact_number"], top=2)
    assert answer.text.endswith("2 of 13 groups shown, the largest; top shows more")
    assert answer.structure["others"] == 11


async def test_small_groups_are_left_out_where_that_is_wished(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["agent_id", "status"], min_count=4)
        none = await assistant.ask("summarize_results", group_by=["contact_number"], min_count=1_000)
    counts = [group["count"] for group in answer.rows("groups")]
    assert counts
    assert all(isinstance(count, int) and count >= 4 for count in counts)
    assert answer.structure["others"]
    assert answer.text.endswith("groups shown, the largest of at least 4 calls; a lower min_count shows more")
    assert none.rows("groups") == []
    assert none.structure["others"] == 13
    assert none.text.endswith("0 of 13 groups shown: none has 1,000 calls or more; a lower min_count shows more")


@pytest.mark.parametrize(
    ("top", "min_count", "said"),
    [
        (2, 3, "2 of 4 groups shown, the largest of at least 3 calls; top shows more"),
        (3, 3, "3 of 4 groups shown, the largest of at least 3 calls; a lower min_count with a higher top shows more"),
        (4, 3, "3 of 4 groups shown, the largest of at least 3 calls; a lower min_count shows more"),
        (2, 1, "2 of 4 groups shown, the largest; top shows more"),
    ],
)
async def test_only_what_would_show_more_groups_is_named(account: Account, top: int, min_count: int, said: str) -> None:
    account.api.add(conversation(13, NOW - timedelta(days=2), agent_id=3, status="completed"))
    arguments: dict[str, object] = {"group_by": ["agent_id", "status"], "top": top, "min_count": min_count}
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", **arguments)
        higher = await assistant.ask("summarize_results", **arguments | {"top": top + 1})
        lower = await assistant.ask("summarize_results", **arguments | {"min_count": 1})
    assert answer.text.endswith(said)
    shown, *others = (len(summary.rows("groups")) for summary in (answer, higher, lower))
    assert [count > shown for count in others] == ["; top shows" in said, "min_count shows" in said]


async def test_an_example_is_as_short_as_it_can_be_and_can_be_read(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results", group_by=["agent_id"])
        example = lines(answer.text)[1][-1]
        # These ids differ in their last characters only.
        assert str(answer.rows("groups")[0]["example_conversation_id"]).startswith(example)
        read = await assistant.ask("get_transcripts", conversation_ids=[example])
    assert read.ids() == [answer.rows("groups")[0]["example_conversation_id"]]


async def test_success_rates_have_intervals_where_they_are_measured(account: Account) -> None:
    async with account.connect() as assistant:
        plain = await assistant.ask("summarize_results", group_by=["status"])
        answer = await assistant.ask("summarize_results", group_by=["agent_id"], measures="success_rate")
    assert SummaryAnswer.model_validate(plain.structure).overall.interval is None
    summary = SummaryAnswer.model_validate(answer.structure)
    for group in (*(summary.groups or []), summary.overall):
        assert group.interval
        assert 0 <= group.interval[0] <= (group.success_rate or 0) <= group.interval[1] <= 1
    assert "95% interval of success" in answer.text


@in_both_eras
async def test_the_profile_says_what_its_numbers_count(account: Account) -> None:
    account.api.add(conversation(99, NOW - WEEK, agent_id=3, status="completed", results={"retries": 0}))
    async with account.connect() as assistant:
        answer = await assistant.ask("summarize_results")
    assert "agents: 1 (10 calls), 2 (3 calls), 3 (1 call)" in answer.text
    assert "statuses: completed (11 calls), busy (3 calls)" in answer.text
    assert "results.retries (number, 1): all 0" in answer.text


async def test_success_by_a_field_that_failed_calls_lack_is_said_to_say_little(account: Account) -> None:
    async with account.connect() as assistant:
        by_intent = await assistant.ask("summarize_results", group_by=["agent_id", "results.intent"])
        by_agent = await assistant.ask("summarize_results", group_by=["agent_id"])
        of_successes = await assistant.ask("summarize_results", group_by="intent", call_successful="success")
    note = "3 of 3 calls without success have no results.intent, so success rates by it say little."
    assert note in str(by_intent.coverage["note"])
    assert "say little" not in by_agent.text + of_successes.text
