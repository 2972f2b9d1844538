"""FORMANT_RETENTION_DAYS as an assistant sees it: what is older does not exist here, and answers say so."""

from datetime import timedelta

import pytest

from formant_mcp.members import Member
from tests.calls import LazyRows, conversation_id, many
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

DAYS = 30
NOTE = "Calls that started before 2026-10-22 05:00 UTC are not kept here (FORMANT_RETENTION_DAYS)"


def rows() -> LazyRows:
    return many(60, NOW - timedelta(hours=1), timedelta(days=60))


def kept() -> list[int]:
    return [n for n in range(60) if rows().started_at(n) >= NOW.replace(minute=0) - timedelta(days=DAYS)]


async def answers(assistant: Assistant) -> list[Answer]:
    """Counts, words and results, by the questions that use all tables."""
    return [
        await assistant.ask("summarize_results", group_by=["agent_id", "status"], measures=["results.csat"]),
        await assistant.ask("summarize_results", group_by=["day"], since="2026-10-23"),
        await assistant.ask("search_transcripts", query="call"),
        await assistant.ask("find_phrases"),
        await assistant.ask("summarize_results"),
    ]


def without_coverage(answer: Answer) -> dict[str, object]:
    return {name: value for name, value in answer.structure.items() if name not in ("coverage", "next_cursor")}


async def test_answers_are_those_of_an_account_that_has_only_the_newer_calls(account: Account) -> None:
    account.api.conversations = rows()
    async with account.connect(retention_days=DAYS) as assistant:
        limited = await answers(assistant)
    account.api.conversations = [rows()[n] for n in kept()]
    async with account.connect() as assistant:
        newer = await answers(assistant)
    assert [without_coverage(answer) for answer in limited] == [without_coverage(answer) for answer in newer]


async def test_what_is_older_is_said_to_be_missing_where_it_may_match(account: Account) -> None:
    account.api.conversations = rows()
    async with account.connect(retention_days=DAYS) as assistant:
        answer = await assistant.ask("list_conversations", limit=100)
        assert answer.ids() == [conversation_id(n) for n in kept()]
        assert answer.coverage["complete"] is False
        assert NOTE in str(answer.coverage["note"])
        for since, is_complete in (("2026-10-22T05:00Z", True), ("7d", True), ("30d", True), ("31d", False)):
            answer = await assistant.ask("list_conversations", since=since)
            assert answer.coverage["complete"] is is_complete
            assert ("not kept" in str(answer.coverage.get("note"))) is not is_complete
        old = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(59)])
        assert "started longer ago than calls are kept here" in old.text
        assert "FORMANT_RETENTION_DAYS" in await assistant.refused(
            "save_recording", conversation_id=conversation_id(59)
        )
    assert not list(account.folder.glob("recordings/*"))


async def test_without_older_calls_nothing_is_said_of_them(account: Account) -> None:
    account.api.conversations = [rows()[n] for n in kept()]
    async with account.connect(retention_days=DAYS) as assistant:
        coverage = (await assistant.ask("summarize_results")).coverage
    assert coverage["complete"] is True
    assert "not kept" not in str(coverage.get("note"))


async def test_what_was_loaded_before_is_deleted_at_the_next_start_recordings_too(account: Account) -> None:
    account.api.conversations = rows()
    store = str(account.folder / "store.sqlite")
    async with account.connect(store=store) as assistant:
        assert len((await assistant.ask("list_conversations", limit=100)).ids()) == 60
    folder = account.folder / "recordings"
    folder.mkdir()
    for n in (0, 59):
        name = conversation_id(n)
        (folder / f"{name}.wav").write_bytes(b"RIFF")
        (folder / f"{name}-2.wav").write_bytes(b"RIFF")
    async with account.connect(store=store, retention_days=DAYS) as assistant:
        coverage = (await assistant.ask("list_conversations", limit=100)).coverage
        assert coverage["known"] == len(kept())
    left = {file.name[: len(conversation_id(0))] for file in folder.iterdir()}
    assert conversation_id(59) not in left
    assert conversation_id(0) in left


async def test_what_matches_is_counted_among_what_is_kept(account: Account) -> None:
    account.api.conversations = rows()
    async with account.connect(retention_days=DAYS) as assistant:
        for limit in (1, 100):
            answer = await assistant.ask("list_conversations", limit=limit)
            assert answer.coverage["matched"] == len(kept())
        assert "next_cursor" not in answer.structure


async def test_a_members_answer_names_no_list_that_is_still_loading(account: Account) -> None:
    account.api.conversations = rows()
    account.member = Member("anna", frozenset({"123"}))
    async with account.connect(retention_days=DAYS) as assistant:
        for since in ("", "7d"):
            answer = await assistant.ask("list_conversations", since=since, limit=100)
            assert "still loading" not in answer.text
        old = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(59)])
        assert "more is being listed" not in old.text
