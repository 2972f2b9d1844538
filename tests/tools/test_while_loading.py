"""Calls that are stored while an answer is computed make nothing that it says wrong."""

import asyncio
import csv
import itertools
import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.filters import DetailRequest, Filters
from formant_mcp.members import Member
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries import transcripts
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.queries.search import SearchQuery, SearchResult
from formant_mcp.queries.transcripts import Transcript, Window, read_window
from formant_mcp.store import Store
from formant_mcp.store.engine import Connection
from formant_mcp.store.reader import Counts, Reader
from formant_mcp.store.search import MatchPage, Search
from formant_mcp.store.search_steps import StoreSearch
from formant_mcp.sync.background import cancel_all
from tests.examples import some
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
        results={"csat": 2},
        turns=turns,
        has_detail=True,
    )


def _failed_call(n: int) -> Conversation:
    """It has a reason to listen to it, though its details are not loaded."""
    return _listed(_call(n))._replace(outcome="failure")


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


EARLIER = timedelta(hours=18)  # in the period before the last 12 hours
MOST_READS = 60
QUESTIONS: list[tuple[str, Figures]] = [
    ("list_conversations", {}),
    ("list_conversations", {"status": ["failed"]}),
    ("list_conversations", {"fields": ["results.csat", "status"], "order_by": "duration_seconds"}),
    ("list_conversations", {"results": ["csat exists"], "summary_mode": "include"}),
    ("search_transcripts", {"query": "morning"}),
    ("search_transcripts", {"query": "evening"}),
    ("summarize_results", {}),
    ("summarize_results", {"group_by": ["status"], "measures": ["duration_seconds"]}),
    ("summarize_results", {"group_by": ["results.csat"], "since": "12h", "compare_previous": True}),
    ("summarize_results", {"group_by": ["status"], "measures": ["signals.recording_gap_seconds"]}),
    ("find_phrases", {}),
    ("find_phrases", {"since": "12h", "compare_previous": True}),
    ("find_calls_to_review", {"random_share": 0.5}),
    ("find_changes", {"since": "12h"}),
]
Change = Callable[[Store, datetime], Coroutine[None, None, object]]
CHANGES: dict[str, Change] = {
    "a call is listed": lambda store, now: store.write.save([_listed(_call(1))], now),
    "a call is loaded": lambda store, now: store.write.save([_call(1)], now),
    "a call of the period before is listed": lambda store, now: store.write.save([_listed(_earlier(1))], now),
    "a call of the period before is loaded": lambda store, now: store.write.save([_earlier(1)], now),
    "a call fails": lambda store, now: store.write.save([_failed(_call(0))], now),
    "a call is deleted": lambda store, _: store.write.delete("call-0"),
    "a call is deleted and another listed": lambda store, now: _replace(store, _listed(_call(1)), now),
    "a recording is measured": lambda store, _: store.signals.save_of_recording("call-0", RECORDED),
}
RECORDED = {"recording_gap_seconds": 9.0, "recording_silence_share": 0.5}


async def _replace(store: Store, by: Conversation, now: datetime) -> None:
    await store.write.delete("call-0")
    await store.write.save([by], now)


def _listed(call: Conversation) -> Conversation:
    return call._replace(results=None, turns=None, has_detail=False)


def _earlier(n: int) -> Conversation:
    return _call(n)._replace(started_at=START - EARLIER)


def _failed(call: Conversation) -> Conversation:
    return call._replace(status="failed", outcome="failure", results={"csat": 1})


def _without_times(said: Said) -> Figures:
    return {**said.structure, "coverage": {name: said.coverage[name] for name in said.coverage if name != "as_of"}}


async def _answered(tool: str, arguments: Figures, change: Change, at: int, folder: Path) -> tuple[list[Said], bool]:
    """The answers before a change, with the change before that statement, and after it; and whether it came so far."""
    calls, later = (_call(0), _earlier(9)), (_call(1), _earlier(1))
    ids = frozenset(call.conversation_id for call in calls)
    harness = await ToolsHarness.open(Situation(calls, calls, frozenset(), ids, 99, 60.0, frozenset()), folder)
    await harness.prepare()
    database, reads = harness.store.database, itertools.count(1)
    read = database.read

    async def and_change(
        work: Callable[[Connection], object], agents: frozenset[str], *, is_one_query: bool = False
    ) -> object:
        if next(reads) == at:
            await change(harness.store, harness.moment)
            stored = await harness.store.read.get(sorted(ids))
            harness.source.show([*later, *(call for call in calls if call.conversation_id in stored)])
            await harness.store.sync_state.update("", total=await harness.store.read.count_seen(""))
        return await read(work, agents, is_one_query=is_one_query)

    said = [await harness.ask(tool, 60.0, **arguments)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "read", and_change)
        said.append(await harness.ask(tool, 60.0, **arguments))
    has_changed = next(reads) > at
    said.append(await harness.ask(tool, 60.0, **arguments))
    await harness.app.aclose()
    return said, has_changed


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("tool", "arguments"), some(QUESTIONS, 3))
def test_an_answer_is_of_one_moment_whenever_another_server_saves(
    tool: str, arguments: Figures, change: str, tmp_path: Path
) -> None:
    """As all was before the change, or as it is after it, whichever statement of the answer it comes before.

    But where a list is to load details of a call that is deleted, it says that it lacks some.
    """
    may_lack_details = tool == "list_conversations" and "deleted" in change
    for at in some(range(1, MOST_READS), 3):
        (before, answer, after), has_changed = asyncio.run(_answered(tool, arguments, CHANGES[change], at, tmp_path))
        one_of = _without_times(before), _without_times(after)
        lacks_details = may_lack_details and not answer.coverage["complete"] and bool(answer.note)
        assert lacks_details or _without_times(answer) in one_of, (at, answer.text, before.text, after.text)
        if not has_changed:
            return
    pytest.fail("It reads more often than that.")


@pytest.mark.parametrize("include", [[], ["results"], ["results", "signals", "transcript"]])
@pytest.mark.parametrize("change", CHANGES)
def test_a_complete_export_has_every_call_that_it_counts_with_its_details(
    change: str, include: list[JsonValue], tmp_path: Path
) -> None:
    has_incomplete = False
    for at in some(range(1, MOST_READS), 2):
        asked: Figures = {"include": include, "format": "jsonl", "since": "12h"}
        (_, answer, _), has_changed = asyncio.run(
            _answered("export_conversations", asked, CHANGES[change], at, tmp_path)
        )
        calls = [json.loads(line) for line in Path(str(answer.structure["path"])).read_bytes().splitlines()]
        if answer.coverage["complete"]:
            assert len(calls) == answer.structure["rows"] == answer.coverage["matched"]
            assert not include or all(call["results"] for call in calls), (at, calls)
            assert len(include) < 2 or all(call["transcript"] and call["signals"] for call in calls), (at, calls)
        else:
            assert "Export again." in answer.note
            has_incomplete = True
        if not has_changed:
            break
    is_listed = change in ("a call is listed", "a call is deleted and another listed")
    assert has_incomplete == (change == "a call is deleted" or (is_listed and bool(include)))


def _again(call: Conversation) -> Conversation:
    """The same call, read later."""
    turns = (Turn(0, "agent", "Good evening.", 0.0), Turn(1, "contact", "Goodbye.", 2.0), Turn(2, "agent", "Bye.", 3.0))
    return _failed(call)._replace(duration_seconds=77.0, turns=turns)


AGAIN: dict[str, Change] = {
    "it is loaded": lambda store, now: store.write.save([_again(_call(0))], now + timedelta(seconds=1)),
    "it is listed": lambda store, now: store.write.save([_listed(_failed(_call(0)))], now),
    "it is deleted and loaded": lambda store, now: _replace(store, _call(0), now),
}


@pytest.mark.parametrize("change", AGAIN)
@pytest.mark.parametrize(
    "arguments",
    [
        {"include": ["results", "signals", "transcript"]},
        {"include": ["results"], "status": ["completed"]},
        {"include": ["transcript"], "results": ["csat=2"]},
        {"include": ["signals"], "results": ["signals.turn_count=2"]},
    ],
    ids=["everything", "by status", "by result", "by signal"],
)
def test_a_call_in_a_complete_export_is_of_one_moment_whenever_it_changes(
    arguments: Figures, change: str, tmp_path: Path
) -> None:
    arguments = {**arguments, "format": "jsonl", "since": "12h"}
    for at in some(range(1, MOST_READS), 2):
        said, has_changed = asyncio.run(_answered("export_conversations", arguments, AGAIN[change], at, tmp_path))
        before, rows, after = (Path(str(each.structure["path"])).read_text(encoding="utf-8") for each in said)
        assert rows in (before, after) or not said[1].coverage["complete"], (at, rows, before, after)
        if not has_changed:
            return
    pytest.fail("It reads more often than that.")


def test_a_complete_table_has_the_results_of_every_call_whenever_a_new_field_comes(tmp_path: Path) -> None:
    async def change(store: Store, now: datetime) -> None:
        await store.write.save([_call(0)._replace(results={"mood": "glad"})], now)

    asked: Figures = {"include": ["results"], "since": "12h"}
    has_incomplete = False
    for at in some(range(1, MOST_READS), 2):
        (_, answer, _), has_changed = asyncio.run(_answered("export_conversations", asked, change, at, tmp_path))
        with Path(str(answer.structure["path"])).open(encoding="utf-8-sig", newline="") as file:
            rows = [{k: v for k, v in row.items() if v and k.startswith("results.")} for row in csv.DictReader(file)]
        if answer.coverage["complete"]:
            assert rows in ([{"results.csat": "2"}], [{"results.mood": "glad"}]), (at, rows)
        has_incomplete |= not answer.coverage["complete"] and "not among the columns" in answer.note
        if not has_changed:
            break
    assert has_incomplete


@pytest.mark.parametrize(("status", "is_complete"), [("completed", False), ("failed", True)])
def test_an_answer_is_incomplete_where_calls_that_it_counts_change_all_the_time(
    status: str, is_complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, new = (_call(0), _failed(_call(999))), itertools.count(1)
    situation = Situation(calls, calls, frozenset(), frozenset({"call-0", "call-999"}), 99, 60.0, frozenset())

    async def answered() -> Said:
        harness = await ToolsHarness.open(situation)
        await harness.prepare()
        version = Reader.version

        async def and_save(self: Reader) -> str:
            await harness.store.write.save([_call(next(new))], harness.moment)
            return await version(self)

        monkeypatch.setattr(Reader, "version", and_save)
        answer = await harness.ask("search_transcripts", query="morning", status=[status])
        await harness.app.aclose()
        return answer

    answer = asyncio.run(answered())
    assert answer.coverage["complete"] is is_complete
    assert ("figures may be of different moments. Ask again." in answer.note) is not is_complete


@pytest.mark.parametrize("counting", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("agents", [frozenset[str](), frozenset({"7"})])
def test_an_answer_is_not_computed_again_without_time_for_it(
    agents: frozenset[str], counting: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is incomplete then; but a member cannot know that calls of other agents change."""
    calls, ids, times = (_call(0),), frozenset({"call-0"}), itertools.count()
    find, counts = Search.find, Reader.counts

    async def answered() -> SearchResult:
        harness = await ToolsHarness.open(Situation(calls, calls, frozenset(), ids, 99, 60.0, frozenset()))
        await harness.prepare()
        account = harness.app.account.for_member(Member("anna", agents=agents))

        async def slowly(self: Search, query: StoreSearch, count: int, after: int = 0) -> MatchPage:
            next(times)
            await asyncio.sleep(0 if counting else 0.3)
            await harness.store.write.save([_call(next(times))._replace(agent_id="8")], harness.moment)
            return await find(self, query, count, after)

        async def counted(self: Reader, filters: Filters, details: Sequence[DetailRequest], now: datetime) -> Counts:
            await asyncio.sleep(counting)
            return await counts(self, filters, details, now)

        monkeypatch.setattr(Search, "find", slowly)
        monkeypatch.setattr(Reader, "counts", counted)
        context = RequestContext(harness.clock(), 0.5)
        answer = await account.search(context, SearchQuery(Filters(agent_id="7"), "morning", ""))
        await harness.app.aclose()
        return answer

    answer = asyncio.run(answered())
    assert (answer.hits_total, next(times)) == (2, 2)
    assert answer.coverage.complete is bool(agents)


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
