"""`formant-mcp --demo` as each provider: every tool works, and all providers agree on the same calls."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from mcp_types import BlobResourceContents
from pydantic import JsonValue

from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.sample_stores import SampleStores
from tests.server_harness import Account, Answer, Assistant
from tests.stdio_process import Message, calling, request, said, started

pytestmark = pytest.mark.anyio

READING = ["list_conversations", "search_transcripts", "get_transcripts", "summarize_results"]
TOOLS = [*READING, "find_calls_to_review", "find_changes", "find_phrases", "save_recording", "export_conversations"]
PROVIDERS = ["formant", "elevenlabs", "voiceable", "voiceos"]
OTHERS = some(PROVIDERS[1:], 2)  # but for voiceable, whose client is that of elevenlabs
IN_ITS_FAMILY = ["elevenlabs", "voiceable"]
# ElevenLabs sends whole seconds, VoiceOS only start and end: durations differ by up to half a second.
ROUNDED = 0.5
STATUSES = {
    "formant": {"completed", "no_answer", "in_progress"},
    "elevenlabs": {"done", "failed", "in-progress"},
    "voiceable": {"done", "failed", "in-progress"},
    "voiceos": {"ended", "started"},
}


class Demo(Protocol):
    """A server on the sample account of that provider, with a loaded or an empty store."""

    def __call__(self, provider: str, *, is_loaded: bool = True) -> AbstractAsyncContextManager[Assistant]: ...


@pytest.fixture
def demo(tmp_path: Path, sample_stores: SampleStores) -> Demo:
    @asynccontextmanager
    async def connect(provider: str, *, is_loaded: bool = True) -> AsyncGenerator[Assistant]:
        account = Account(FakeFormant(), "auto", tmp_path)
        store = str(await sample_stores.copy(provider, tmp_path)) if is_loaded else ":memory:"
        async with account.connect_to_sample(provider=provider, store=store) as assistant:
            yield assistant
        assert account.api.requests == []

    return connect


async def groups(assistant: Assistant, by: str, **arguments: object) -> tuple[dict[str, list[JsonValue]], JsonValue]:
    """Count, share and success rate of the hundred largest groups, and how many others there are."""
    answer = await assistant.ask("summarize_results", group_by=[by], top=100, **arguments)
    assert answer.coverage["complete"] is True
    figures = {json.dumps(row["key"]): [row[name] for name in FIGURES] for row in answer.rows("groups")}
    return figures, answer.structure.get("others", 0)


FIGURES = ("count", "share", "success_rate")


async def overall(assistant: Assistant, **arguments: object) -> dict[str, JsonValue]:
    """The figures of all calls that match."""
    answer = await assistant.ask("summarize_results", **{"group_by": ["agent_id"], **arguments})
    assert answer.coverage["complete"] is True
    figures = answer.structure["overall"]
    assert isinstance(figures, dict)
    return figures


async def profile(assistant: Assistant) -> dict[str, JsonValue]:
    """The profile of all calls."""
    result = await assistant.client.call_tool("summarize_results", {"top": 100})
    assert result.structured_content
    return result.structured_content["profile"]


async def fields(assistant: Assistant) -> dict[str, list[JsonValue]]:
    """The properties of each result field but its name."""
    rows = (await profile(assistant))["results"]
    assert isinstance(rows, list)
    return {str(row["path"]): [row[name] for name in row if name != "path"] for row in rows if isinstance(row, dict)}


@pytest.mark.parametrize("provider", some(["formant", "elevenlabs", "voiceos", "voiceable"], 2))
async def test_every_tool_answers(provider: str, demo: Demo) -> None:
    async with demo(provider, is_loaded=False) as assistant:
        assert sorted(tool.name for tool in (await assistant.client.list_tools()).tools) == sorted(TOOLS)

        listed = await assistant.ask("list_conversations", call_successful="success", limit=3)
        assert (len(listed.rows()), listed.coverage["complete"]) == (3, True)
        shown = await assistant.ask("list_conversations", call_successful="success", limit=3, summary_mode="include")
        assert shown.ids() == listed.ids()
        assert all(row["results"] and row["gist"] for row in shown.rows())

        hits = await assistant.ask("search_transcripts", query="refund", limit=2)
        assert all("refund" in str(hit["text"]).lower() for hit in hits.rows("hits"))
        hit = hits.rows("hits")[0]

        to_review = await assistant.ask("find_calls_to_review", since="7d", limit=5)
        assert (len(to_review.rows()), to_review.coverage["complete"]) == (5, True)

        read = await assistant.ask("get_transcripts", conversation_ids=[hit["conversation_id"], *listed.ids()])
        assert read.structure["errors"] == []
        assert [row["conversation_id"] for row in read.rows()] == [hit["conversation_id"], *listed.ids()]
        assert str(hit["text"]).replace("**", "") in str(read.rows()[0]["transcript"])  # hits are highlighted
        assert all(row["turn_count"] for row in read.rows())

        await assert_recording(assistant, listed)
        most = await assistant.ask("find_phrases", role="agent", limit=1)
        assert (len(most.rows("phrases")), most.coverage["complete"]) == (1, True)
        exported = await assistant.ask("export_conversations", format="jsonl", call_successful="success")
        assert exported.structure["rows"] == exported.coverage["matched"]
        statuses = (await profile(assistant))["statuses"]
        assert isinstance(statuses, list)
        assert STATUSES[provider] <= {str(status[0]) for status in statuses if isinstance(status, list)}


def content_of(saved: Answer) -> bytes:
    """What is in the file."""
    return Path(str(saved.structure["path"])).read_bytes()


async def assert_recording(assistant: Assistant, listed: Answer) -> None:
    """The file and the resource are the same sound, about as long as the call."""
    row = listed.rows()[-1]
    saved = await assistant.ask("save_recording", conversation_id=row["conversation_id"])
    data = content_of(saved)
    assert (data[:4], len(data)) == (b"RIFF", saved.structure["bytes"])
    uri = f"formant://conversations/{row['conversation_id']}/recording"
    (content,) = (await assistant.client.read_resource(uri)).contents
    assert isinstance(content, BlobResourceContents)
    assert (content.mime_type, base64.b64decode(content.blob)) == ("audio/wav", data)
    seconds, lasted = saved.structure["seconds"], row["duration_seconds"]
    assert isinstance(seconds, float)
    assert isinstance(lasted, int | float)
    assert abs(seconds - lasted) <= 1


@pytest.mark.parametrize("provider", OTHERS)
async def test_summaries_agree_with_formants(provider: str, demo: Demo) -> None:
    async with demo("formant") as formant, demo(provider) as other:
        expected, actual = await overall(formant), await overall(other)
        assert {name: actual[name] for name in FIGURES} == {name: expected[name] for name in FIGURES}
        for grouping in ("agent_id", "day", "week", "month", "weekday", "hour", "contact_number"):
            assert await groups(other, grouping) == await groups(formant, grouping)
        for successful in ("success", "failure"):
            by_agent = await groups(formant, "agent_id", call_successful=successful)
            assert await groups(other, "agent_id", call_successful=successful) == by_agent
            assert len(by_agent[0]) == 5
        for name in ("started_from", "started_to"):
            moments = [datetime.fromisoformat(str((await profile(assistant))[name])) for assistant in (formant, other)]
            assert timedelta() <= moments[0] - moments[1] < timedelta(seconds=1)


@pytest.mark.parametrize("provider", OTHERS)
async def test_durations_agree_with_formants_up_to_rounding(provider: str, demo: Demo) -> None:
    """Of successful calls: for others, some providers send no duration and some send zero."""
    arguments = {"call_successful": "success", "measures": ["duration_seconds"]}
    async with demo("formant") as formant, demo(provider) as other:
        expected, actual = (
            duration_of(await overall(formant, **arguments)),
            duration_of(await overall(other, **arguments)),
        )
    assert actual["count"] == expected["count"] > 100
    for name in ("mean", "median", "p90", "min", "max"):
        assert abs(actual[name] - expected[name]) <= ROUNDED, name
    assert abs(actual["sum"] - expected["sum"]) <= ROUNDED * expected["count"]


def duration_of(figures: dict[str, JsonValue]) -> dict[str, float]:
    measures = figures["measures"]
    assert isinstance(measures, dict)
    duration = measures["duration_seconds"]
    assert isinstance(duration, dict)
    return {name: value for name, value in duration.items() if isinstance(value, int | float)}


@pytest.mark.parametrize("provider", OTHERS)
@pytest.mark.parametrize("query", ["refund", '"customer care" OR complaint', "भुगतान", "paid -website"])
async def test_searches_find_the_same_turns_as_with_formant(provider: str, query: str, demo: Demo) -> None:
    answers: list[Answer] = []
    for name in ("formant", provider):
        async with demo(name) as assistant:
            answers.append(await assistant.ask("search_transcripts", query=query, limit=100))
    expected, actual = answers
    for name in ("hits_total", "conversations_total"):
        assert actual.structure[name] == expected.structure[name] != 0
    turns = [[(hit["conversation_id"], hit["turn"], hit["text"]) for hit in answer.rows("hits")] for answer in answers]
    assert sorted(turns[1], key=str) == sorted(turns[0], key=str)


@pytest.mark.parametrize("provider", some(IN_ITS_FAMILY, 2))
async def test_formants_results_are_below_data_in_the_cursor_family(provider: str, demo: Demo) -> None:
    async with demo("formant") as formant, demo(provider) as other:
        expected, actual = await fields(formant), await fields(other)
        summaries, endings = actual.pop("summary"), actual.pop("ended_reason")
        assert actual == {f"data.{path}": figures for path, figures in expected.items()}
        assert len(actual) > 20
        assert summaries[0] == endings[0] == "text"
        intents, _ = await groups(formant, "results.intent")
        renamed = {key.replace("results.intent", "results.data.intent"): figures for key, figures in intents.items()}
        assert (await groups(other, "results.data.intent"))[0] == renamed
        unhappy = await formant.ask("list_conversations", results=["csat<=2", "nps exists"])
        matching = await other.ask("list_conversations", results=["data.csat<=2", "data.nps exists"])
        assert matching.ids() == unhappy.ids() != []


async def test_voiceos_has_type_ended_reason_and_cost_as_results(demo: Demo) -> None:
    async with demo("voiceos") as assistant:
        paths = await fields(assistant)
        assert {path.partition(".")[0] for path in paths} == {"type", "ended_reason", "cost"}
        parts = [paths[path] for path in paths if path.startswith("cost.") and path != "cost.total"]
        assert [part[0] for part in parts] == ["number"] * 5
        measured = await overall(assistant, measures=["results.cost.total"])
        ended = await assistant.ask("list_conversations", results=["cost.total exists"], limit=1)
        running = await assistant.ask("list_conversations", results=["cost missing"])
        failed = await assistant.ask("list_conversations", call_successful="failure", limit=1)
        unknown = await assistant.ask("list_conversations", failure_reason="unknown", limit=1)
    measures = measured["measures"]
    assert isinstance(measures, dict)
    cost = measures["results.cost.total"]
    assert isinstance(cost, dict)
    assert (cost["count"], cost["min"]) == (ended.coverage["matched"], 0)
    assert [row["status"] for row in running.rows()] == ["started"] * 2
    assert failed.coverage["matched"] == unknown.coverage["matched"] != 0


async def test_elevenlabs_filters_by_user_id_and_voiceos_refuses_it(demo: Demo) -> None:
    async with demo("elevenlabs") as assistant:
        listed = await assistant.ask("list_conversations", limit=1)
        read = await assistant.ask("get_transcripts", conversation_ids=listed.ids())
        (row,) = read.rows()
        of_user = await assistant.ask("list_conversations", user_id=row["user_id"], limit=100)
        of_number = await assistant.ask("list_conversations", contact_number=row["contact_number"], limit=100)
        assert of_user.ids() == of_number.ids()
        assert set(listed.ids()) <= set(of_user.ids())
        outbound = await assistant.ask("summarize_results", group_by="direction")
        assert [group["key"] for group in outbound.rows("groups")] == [{"direction": "outbound"}]
    async with demo("voiceos") as assistant:
        assert "user_id: this provider's calls have no such field" in await assistant.refused(
            "list_conversations", user_id="user_1"
        )
        assert (await assistant.ask("list_conversations", direction="Outbound", limit=1)).coverage["matched"]
        assert not (await assistant.ask("list_conversations", direction="web")).coverage["matched"]
    async with demo("formant") as assistant:
        assert "no direction" in await assistant.refused("summarize_results", group_by="direction")


@pytest.mark.parametrize("provider", some(["voiceos", "elevenlabs"], 2))
def test_the_program_serves_the_demo_without_a_key(provider: str, tmp_path: Path) -> None:
    with started(tmp_path, "--demo", FORMANT_PROVIDER=provider) as server:
        server.shake_hands()

        def ask(message: Message) -> str:
            server.send(message)
            answer = server.receive()
            result = answer["result"]
            assert isinstance(result, dict)
            assert not result.get("isError"), said(answer)
            return said(answer) if "content" in result else json.dumps(result)

        assert all(f'"{name}"' in ask(request(2, "tools/list")) for name in TOOLS)
        assert "\nall\t" in ask(calling(3, "summarize_results", group_by=["agent_id"]))  # waits for the whole list
        assert "conversations match; complete as of" in ask(calling(4, "list_conversations", limit=1))
        listed = ask(calling(5, "list_conversations", call_successful="success", limit=1))
        conversation_id = listed.splitlines()[-1].partition("\t")[0]
        assert "refund" in ask(calling(6, "search_transcripts", query="refund")).lower()
        assert conversation_id in ask(calling(7, "get_transcripts", conversation_ids=[conversation_id]))
        assert "saved: " in ask(calling(8, "save_recording", conversation_id=conversation_id))
        uri = f"formant://conversations/{conversation_id}/recording"
        assert '"audio/wav"' in ask(request(9, "resources/read", uri=uri))
        assert server.process.stdin
        server.process.stdin.close()
        assert server.ends() == 0
