"""Calls that are stored while an answer is computed make nothing that it says wrong."""

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.models import Conversation, Turn
from formant_mcp.queries import transcripts
from formant_mcp.queries.coverage import Coverage
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.queries.transcripts import Transcript, Window, read_window
from formant_mcp.sync.background import cancel_all
from tests.tools.partly_loaded import (
    A_CALL,
    START,
    Figures,
    Said,
    Situation,
    ToolsHarness,
    answers,
    count,
    objects,
)


def test_calls_that_are_loaded_while_a_page_is_read_are_on_it_where_it_is_complete() -> None:
    results: list[dict[str, JsonValue]] = [{"csat": 1}, {"intent": "dispute"}, {"intent": "dispute"}, {"csat": 1}]
    now = tuple(
        A_CALL._replace(conversation_id=f"call-{n}", started_at=START - n * timedelta(minutes=1), results=each)
        for n, each in enumerate(results)
    )
    situation = Situation(now, now, frozenset(), frozenset({"call-0"}), 1, 0.0, frozenset())
    answer = answers(situation, "list_conversations", results=["intent missing"], summary_mode="include")
    assert answer
    shown = [row["conversation_id"] for row in objects(answer.structure["conversations"])]
    matched = count(answer.coverage["matched"])
    assert shown == ["call-0", "call-3"][:matched], answer.text
    assert matched == 2 or not answer.coverage["complete"], answer.text


EACH_TOOL = pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_conversations", {"limit": 100}),
        ("search_transcripts", {"query": "morning"}),
        ("summarize_results", {"group_by": ["status"]}),
        ("summarize_results", {}),
        ("find_phrases", {}),
        ("find_calls_to_review", {}),
        ("find_changes", {}),
        ("export_conversations", {}),
    ],
)


def _call(n: int) -> Conversation:
    turns = (Turn(0, "agent", "Good morning.", 0.0), Turn(1, "contact", "Good morning.", 2.0))
    return A_CALL._replace(
        conversation_id=f"call-{n}",
        started_at=START - n * timedelta(seconds=1),
        duration_seconds=30.0,
        turns=turns,
        has_detail=True,
    )


def _failed_call(n: int) -> Conversation:
    """It has a reason to listen to it, though its details are not loaded."""
    return _call(n)._replace(outcome="failure", turns=None, has_detail=False)


def _calls_in(tool: str, structure: Figures) -> int:
    match tool:
        case "list_conversations":
            return len(objects(structure["conversations"]))
        case "search_transcripts" | "find_phrases":
            return count(structure["conversations_total"])
        case "find_calls_to_review":
            return max(count(structure["with_transcript"]), count(structure["with_reasons"]))
        case "find_changes":
            return count(objects([structure["after"]])[0]["calls"])
        case "export_conversations":
            return count(structure["rows"])
        case _:
            return count(objects([structure["overall"]])[0]["count"])


@EACH_TOOL
def test_no_fewer_calls_match_than_an_answer_has_while_others_are_loaded(
    tool: str, arguments: Figures, tmp_path: Path
) -> None:
    call = _failed_call if tool == "find_calls_to_review" else _call

    async def answered() -> list[tuple[int, int]]:
        harness = await ToolsHarness.open(Situation((), (), frozenset(), frozenset(), 0, 60.0, frozenset()), tmp_path)
        await harness.prepare()
        await harness.store.write.save([call(0)], START)

        async def load() -> None:
            for n in itertools.count(1):
                await harness.store.write.save([call(n)], START)

        loading = asyncio.create_task(load())
        said = [await harness.ask(tool, 60.0, status=["completed"], **arguments) for _ in range(5)]
        await cancel_all([loading])
        await harness.app.aclose()
        return [(_calls_in(tool, answer.structure), count(answer.coverage["matched"])) for answer in said]

    found = asyncio.run(answered())
    assert all(in_it <= matched for in_it, matched in found), found


@EACH_TOOL
def test_a_call_that_another_server_saves_meanwhile_is_counted_where_it_is_in_the_answer(
    tool: str, arguments: Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = (_call(0),)
    ids = frozenset(call.conversation_id for call in calls)
    ensure_loaded = Loader.ensure_loaded

    async def answered() -> Said:
        harness = await ToolsHarness.open(Situation(calls, calls, frozenset(), ids, 99, 60.0, frozenset()), tmp_path)
        await harness.prepare()

        async def and_save(self: Loader, context: RequestContext, request: DataRequest) -> Coverage:
            coverage = await ensure_loaded(self, context, request)
            await self.store.write.save([_call(1)], harness.moment)
            return coverage

        with monkeypatch.context() as patch:
            patch.setattr(Loader, "ensure_loaded", and_save)
            answer = await harness.ask(tool, 60.0, **arguments)
        await harness.app.aclose()
        return answer

    answer = asyncio.run(answered())
    assert (_calls_in(tool, answer.structure), answer.coverage["matched"]) == (2, 2)
    needs_details = tool not in ("list_conversations", "export_conversations") and "group_by" not in arguments
    assert answer.coverage["complete"] is not needs_details
    assert ("were saved while this was computed" in answer.note) is needs_details


def test_an_old_transcript_is_called_old_though_the_new_one_is_stored_right_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = A_CALL._replace(status="in_progress", outcome=None, ended=False)
    ended = A_CALL._replace(turns=(Turn(0, "agent", "Good morning."),))
    call_id = frozenset({A_CALL.conversation_id})
    situation = Situation((running,), (ended,), call_id, call_id, 99, 60.0, frozenset())

    async def ask() -> Said:
        harness = await ToolsHarness.open(situation)

        async def and_load(loader: Loader, conversation_id: str, window: Window) -> Transcript | None:
            transcript = await read_window(loader, conversation_id, window)
            harness.source.failing = frozenset()
            assert not await loader.sync.fetch_one(conversation_id, harness.clock(), 60.0)
            return transcript

        monkeypatch.setattr(transcripts, "read_window", and_load)
        try:
            await harness.prepare()
            return await harness.ask("get_transcripts", conversation_ids=[A_CALL.conversation_id])
        finally:
            await harness.app.aclose()

    old = asyncio.run(ask())
    assert "in_progress" in old.text
    assert not old.coverage["complete"]
    assert old.note == "1 could not be refreshed and may be out of date: call-0000. Ask again."
