"""Signals wherever assistants meet them: what cannot be measured is said, and a team's phrases are taken or refused."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.calls import conversation, conversation_id
from tests.server_harness import NOW, Account, in_both_eras

pytestmark = pytest.mark.anyio

WORDS: JsonValue = [
    {"role": "agent", "message": "Good morning, may I ask for the late fee?"},
    {"role": "human", "message": "Put me through to the branch, please."},
]


@pytest.fixture
def account(account: Account) -> Account:
    """A call with words, and one that never connected."""
    account.api.add(conversation(1, NOW - timedelta(hours=2), transcript=WORDS))
    account.api.add(conversation(2, NOW - timedelta(hours=3), status="busy", duration_seconds=0, transcript=None))
    return account


@in_both_eras
async def test_answers_say_of_how_many_calls_a_signal_could_be_measured(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", results="signals.contact_turns=1")
        profile = await assistant.ask("summarize_results")
    assert "Measured for 1 of 2 calls, those with a transcript whose speakers are all identified" in answer.text
    assert answer.coverage["complete"] is True
    assert conversation_id(1) in answer.text
    assert "signals, measured in 1 call: turn_count in 1" in profile.text


@in_both_eras
async def test_a_signal_that_does_not_exist_or_that_the_provider_never_has_is_refused(account: Account) -> None:
    async with account.connect() as assistant:
        unknown = await assistant.refused("list_conversations", results="signals.agent_repeat>=1")
        never = await assistant.refused("summarize_results", measures="signals.tool_errors")
        no_number = await assistant.refused("summarize_results", measures="signals.opt_out")
    assert "There is no signal 'agent_repeat'. Did you mean agent_repeats?" in unknown
    assert "signals.tool_errors cannot be measured here: it needs what became of each tool call" in never
    assert "Group by it instead: group_by=signals.opt_out" in no_number


async def test_a_signals_bare_name_that_no_result_field_has_is_answered_with_the_signal(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", results="opt_out exists")
        refusal = await assistant.refused("summarize_results", group_by="opt_out")
    assert "Did you mean signals.opt_out?" in answer.text
    assert "Did you mean signals.opt_out?" in refusal


async def test_a_teams_phrases_are_searched_for_in_stored_calls_too(account: Account, tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("[asked_for_human]\nen put me through to the branch\n", encoding="utf-8")
    async with account.connect() as assistant:
        before = await assistant.ask("list_conversations", results="signals.asked_for_human exists")
    async with account.connect(phrases_file=str(phrases)) as assistant:
        after = await assistant.ask("list_conversations", results="signals.asked_for_human exists")
    assert before.coverage["matched"] == 0
    assert after.coverage["matched"] == 1


async def test_a_file_of_phrases_that_cannot_be_read_is_an_error_that_names_the_line(
    account: Account, tmp_path: Path
) -> None:
    phrases = tmp_path / "phrases.txt"
    phrases.write_bytes("[opt_out]\nen höre auf\n".encode("latin-1"))
    async with account.connect(phrases_file=str(phrases)) as assistant:
        refusal = await assistant.refused("list_conversations")
    assert "FORMANT_PHRASES_FILE: line 2 is not UTF-8." in refusal
    assert "höre" not in refusal
