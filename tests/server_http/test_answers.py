"""Over HTTP an assistant gets what it gets on stdio: the same lists, answers, prompts and errors, in both eras."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from mcp_types import PromptReference, ResourceTemplateReference
from pydantic import BaseModel, JsonValue

from tests.calls import many
from tests.http_process import HttpServer, in_thread
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Assistant, in_both_eras

pytestmark = [pytest.mark.anyio, in_both_eras]

Both = Callable[[], AbstractAsyncContextManager[tuple[Assistant, Assistant]]]
TEMPLATE = ResourceTemplateReference(uri="formant://conversations/{conversation_id}")


@pytest.fixture
async def both(account: Account, mode: str, tmp_path: Path, sample_stores: SampleStores) -> Both:
    """Two assistants on equal stores of the sample account: one over HTTP, one in process."""
    stores = [str(await sample_stores.copy("formant", tmp_path)) for _ in range(2)]

    @asynccontextmanager
    async def connect() -> AsyncGenerator[tuple[Assistant, Assistant]]:
        server: HttpServer
        with in_thread(account, is_sample=True, store=stores[0]) as server:
            async with server.connect(mode) as over_http, account.connect_to_sample(store=stores[1]) as in_process:
                yield over_http, in_process

    return connect


def plain(result: BaseModel) -> JsonValue:
    """A result without what belongs to the transport."""
    return result.model_dump(mode="json", exclude={"meta", "ttl_ms"})


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_conversations", {"limit": 3, "summary_mode": "include"}),
        ("search_transcripts", {"query": "payment", "limit": 2}),
        ("summarize_results", {"group_by": "status"}),
        ("summarize_results", {}),
    ],
)
async def test_a_tool_gives_the_same_answer(both: Both, tool: str, arguments: dict[str, object]) -> None:
    async with both() as (over_http, in_process):
        assert await over_http.ask(tool, **arguments) == await in_process.ask(tool, **arguments)


async def test_a_transcript_is_the_same(both: Both) -> None:
    async with both() as (over_http, in_process):
        ids = (await over_http.ask("list_conversations", limit=2)).ids()
        answers = [
            await assistant.ask("get_transcripts", conversation_ids=ids) for assistant in (over_http, in_process)
        ]
    assert answers[0] == answers[1]


async def test_an_error_is_the_same(both: Both) -> None:
    async with both() as (over_http, in_process):
        errors = [await assistant.refused("list_conversations", limit=0) for assistant in (over_http, in_process)]
    assert errors[0] == errors[1]


async def test_a_saved_recording_is_the_same_but_for_its_link(both: Both) -> None:
    async with both() as (over_http, in_process):
        found = await over_http.ask("list_conversations", call_successful="success", limit=1)
        saved = [
            (await assistant.ask("save_recording", conversation_id=found.ids()[0])).structure
            for assistant in (over_http, in_process)
        ]
    assert str(saved[0].pop("path")).startswith("http://127.0.0.1:")
    assert str(saved[1].pop("path")).startswith("/")
    coverages = [answer.pop("coverage") for answer in saved]
    assert saved[0] == saved[1]
    assert isinstance(coverages[0], dict)
    assert "works once" in str(coverages[0].pop("note"))
    assert coverages[0] == coverages[1]


async def test_lists_are_the_same(both: Both) -> None:
    async with both() as (over_http, in_process):
        for name in ("list_tools", "list_prompts", "list_resources", "list_resource_templates"):
            lists = [plain(await getattr(assistant.client, name)()) for assistant in (over_http, in_process)]
            assert lists[0] == lists[1]


async def test_resources_prompts_and_completions_are_the_same(both: Both) -> None:
    async with both() as (over_http, in_process):
        clients = (over_http.client, in_process.client)
        uris = [resource.uri for resource in (await clients[0].list_resources()).resources[:2]]
        for uri in uris:
            read = [plain(await client.read_resource(uri)) for client in clients]
            assert read[0] == read[1]
        prompts = [plain(await client.get_prompt("review_call", {"conversation_id": "abc123"})) for client in clients]
        assert prompts[0] == prompts[1]
        for reference, name in ((TEMPLATE, "conversation_id"), (PromptReference(name="weekly_review"), "agent_id")):
            completed = [plain(await client.complete(reference, {"name": name, "value": ""})) for client in clients]
            assert completed[0] == completed[1]


async def test_progress_is_reported_while_a_call_runs(account: Account, mode: str) -> None:
    account.api.conversations = many(60, NOW - timedelta(hours=2), timedelta(days=10))
    with in_thread(account) as server:
        async with server.connect(mode) as assistant:
            steps: list[float] = []
            await assistant.ask_with_progress("search_transcripts", steps, query="payment")
    assert steps
    assert steps == sorted(steps)
