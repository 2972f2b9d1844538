"""What the published document allows as an answer is parsed, or counted as unreadable; each tool answers with it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from ruamel.yaml import YAML

from formant_mcp.errors import FormantError
from formant_mcp.providers.formant_json import parse_detail, parse_page
from tests.calls import conversation, conversation_id
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply
from tests.faults import Fault
from tests.hardening.schema_values import Schema, allowed, anything
from tests.prism import DOCUMENT
from tests.server_harness import KEY, Account, Assistant

pytestmark = pytest.mark.hardening

PATHS = ("/v1/conversations", "/v1/conversations/{conversation_id}")
INTERNAL = "Internal error"


@cache
def responses(path: str, *, status: str = "200") -> st.SearchStrategy[JsonValue]:
    """Bodies that the document allows as an operation's answer."""
    document = YAML(typ="safe").load(DOCUMENT.read_text(encoding="utf-8"))  # pyright: ignore
    schema = document["paths"][path]["get"]["responses"][status]["content"]["application/json"]["schema"]
    return allowed(cast(Schema, schema), cast(Schema, document["components"]["schemas"]))


def tried(number: int, examples: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A test by Hypothesis with so many examples, the same ones each time."""
    chosen = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))  # pyright: ignore
    return lambda test: chosen(seed(number)(test))


@tried(1, 2_000)
@given(responses(PATHS[0]))
def test_every_list_that_the_document_allows_is_parsed_and_no_row_is_lost_uncounted(body: JsonValue) -> None:
    assert isinstance(body, dict)
    rows = body.get("data")
    if not isinstance(rows, list):  # the document requires no field
        with suppress(FormantError):
            assert parse_page(body).conversations == ()
        return
    page = parse_page(body)
    assert page.row_count == len(rows) == len(page.conversations) + page.unreadable
    named = [row for row in rows if isinstance(row, dict) and str(row.get("conversation_id") or "").strip()]
    assert page.unreadable >= len(rows) - len(named)


@tried(2, 2_000)
@given(responses(PATHS[1]))
def test_every_conversation_that_the_document_allows_is_parsed(body: JsonValue) -> None:
    assert isinstance(body, dict)
    if not isinstance(data := body.get("data"), dict):
        with suppress(FormantError):
            parse_detail(body)
        return
    parsed = parse_detail(body)
    turns = data.get("transcript")
    if isinstance(turns, list) and any(turns):
        assert parsed.turns or parsed.unreadable


@tried(3, 1_000)
@given(anything, st.sampled_from([parse_page, parse_detail]))
def test_any_json_is_parsed_or_refused_as_an_error_of_ours(
    body: JsonValue, parse: Callable[[JsonValue], object]
) -> None:
    with suppress(FormantError):
        parse(body)


def sending(body: JsonValue) -> Fault:
    """Instead of the good answer, this one."""

    def send(good: Reply) -> Reply:
        return replace(good, body=json.dumps(body).encode())

    return send


async def ask_everything(assistant: Assistant) -> None:
    """Every kind of question is answered, or refused in our words."""
    call = conversation_id(0)
    questions: dict[str, dict[str, JsonValue]] = {
        "list_conversations": {"summary_mode": "include"},
        "get_transcripts": {"conversation_ids": [call]},
        "search_transcripts": {"query": "a OR payment"},
        "summarize_results": {},
        "find_calls_to_review": {},
        "save_recording": {"conversation_id": call},
    }
    for tool, arguments in questions.items():
        result = await assistant.client.call_tool(tool, arguments)
        text = str(result.content[0].model_dump()["text"])
        assert text.strip()
        assert INTERNAL not in text
        assert KEY not in text


@pytest.mark.parametrize("part", range(2))
def test_every_question_is_answered_whatever_the_document_allows(tmp_path: Path, part: int) -> None:
    @tried(10 + part, 60)
    @given(responses(PATHS[0]), responses(PATHS[1]), st.sampled_from(["list", "detail", "both"]))
    def ask(listed: JsonValue, detailed: JsonValue, wrong: str) -> None:
        async def run() -> None:
            api = FakeFormant()
            api.add(conversation(0, datetime(2026, 11, 20, tzinfo=UTC)))
            if wrong != "detail":
                api.fault("offset=", 1_000, sending(listed))
            if wrong != "list":
                api.fault(conversation_id(0), 1_000, sending(detailed))
            async with Account(api, "auto", tmp_path).connect(call_seconds=2) as assistant:
                await ask_everything(assistant)

        asyncio.run(run())

    ask()
