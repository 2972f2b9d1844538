"""A session over an account whose provider and callers are hostile: every tool, resource, prompt and completion, with
the arguments that show each surface, those taken from answers too."""

import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from mcp import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents
from pydantic import JsonValue

from formant_mcp.models import clean
from formant_mcp.server.limits import Limits
from tests.audio import wav
from tests.fake_api import FakeApi
from tests.fake_formant import FakeFormant
from tests.hardening.hostile import Heard, Planter
from tests.http_process import in_thread
from tests.provider_apis import KEY, ProviderFixture, no_wait
from tests.server_harness import BOUNDARY, NOW, Account, Assistant
from tests.text_matches_structure import assert_same_facts

GROUPINGS = ("status", "agent_id", "failure_reason", "contact_number", "direction", "day")
FIELDS = ("agent_id", "agent_name", "contact_number", "status", "failure_reason", "started_at", "duration_seconds")
_SHARED = 12  # calls that have one value in common, so that it is a change, and shared by rows


def fill(api: FakeApi, provider: ProviderFixture, injections: list[str], *, with_ids: int) -> None:
    """One call for each injection, in every field another, every second of them with one as its id too (the even or
    the odd ones), and calls that have one hostile value in common."""
    for n, injection in enumerate(injections):
        row = provider.call(n, NOW - timedelta(hours=1 + n))
        if n % 2 == with_ids:
            row |= {api.id_field: clean(injection)}
        _add(api, row, Planter(injections, n))
    for n in range(len(injections), len(injections) + 2 * _SHARED):
        late = n % 2
        row = provider.call(n, NOW - timedelta(days=1 if late else 8, minutes=n), agent_id=7)
        planter = Planter(injections, n)
        common = Planter(injections[late:], 0)
        if late and with_ids:  # only the end differs, so that all of it is the shortest unique beginning
            row |= {api.id_field: f"{clean(injections[1])} {n}"}
        shared = {
            name: common.next() for name in ("status", "agent_name", "direction", "failure_reason") if name in row
        }
        _add(api, row | shared if late else row, planter, words_only=True)


def _add(api: FakeApi, row: dict[str, JsonValue], planter: Planter, *, words_only: bool = False) -> None:
    detail = api.detail_of(row)
    api.add(planter.plant(row, words_only), planter.plant(detail, words_only))
    api.recordings[api.id_of(row)] = wav((9000, 1))


class Session:
    """Asks, and keeps all that is said."""

    def __init__(self, assistant: Assistant) -> None:
        self.client = assistant.client
        self.heard = Heard()
        self.compares = True  # text with structure; not while a defence is removed

    async def ask(self, tool: str, **arguments: object) -> dict[str, JsonValue]:
        """The structured answer; {} for an error."""
        result = await self.client.call_tool(tool, arguments)
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert "Internal error" not in content.text, (tool, arguments)
        (self.heard.plain if result.is_error else self.heard.answers).append(content.text)
        self.heard.documents.append(result.structured_content)
        if result.structured_content is not None and self.compares:
            assert_same_facts(content.text, result.structured_content)
        return result.structured_content or {}

    async def read(self, uri: str) -> None:
        """One resource, or its error."""
        try:
            (contents,) = (await self.client.read_resource(uri)).contents
        except MCPError as error:
            self.heard.plain.append(error.message)
            return
        if isinstance(contents, TextResourceContents) and contents.mime_type == "application/json":
            self.heard.documents.append({"results": json.loads(contents.text)})
        elif isinstance(contents, TextResourceContents):
            self.heard.answers.append(contents.text)
        self.heard.plain.append(str(contents.mime_type))

    async def whole(self) -> None:
        """Everything that can be asked."""
        values = await self.values()
        await self.lists(values)
        await self.figures(values)
        await self.searches()
        await self.calls(values["conversation_id"])
        await self.errors(values)
        await self.resources()
        await self.prompts(values)

    async def values(self) -> dict[str, list[str]]:
        """All values of the fields of calls, and the paths of results, as answers show them."""
        rows: list[dict[str, JsonValue]] = []
        cursor: JsonValue = ""
        while cursor is not None:
            answer = await self.ask("list_conversations", limit=100, summary_mode="include", cursor=cursor)
            listed = answer["conversations"]
            assert isinstance(listed, list)
            rows += [row for row in listed if isinstance(row, dict)]
            cursor = answer.get("next_cursor")
        names = {name: None for row in rows for name in row}
        values = {name: list(dict.fromkeys(str(row[name]) for row in rows if name in row)) for name in names}
        profile = (await self.ask("summarize_results", top=100)).get("profile")
        assert isinstance(profile, dict)
        fields = profile["results"]
        assert isinstance(fields, list)
        return values | {"paths": [str(field["path"]) for field in fields if isinstance(field, dict)]}

    async def lists(self, values: dict[str, list[str]]) -> None:
        """Lists with all columns, without hits, and with what is shared by rows."""
        await self.ask("list_conversations", limit=100)
        for name in (*FIELDS, "user_id", "direction"):
            await self.ask("list_conversations", limit=100, fields=[name])
        await self.ask("list_conversations", agent_id="7", limit=30)
        for path in values["paths"][:4]:
            await self.ask("list_conversations", fields=[f"results.{path}"], order_by=f"results.{path}")
        for name in ("status", "agent_id", "failure_reason", "user_id", "direction"):
            for value in ["nobody", *values.get(name, [])[:3]]:
                await self.ask("list_conversations", **{name: value})
                await self.ask("list_conversations", **{name: f"{value[:-1]}q"})
        for path in values["paths"][:5]:
            for condition in (f"{path}=nothing", f"{path[:-1]}=x", f"{path}>=a", f"{path} exists", f"{path}<=5"):
                await self.ask("list_conversations", results=[condition])
                await self.ask("list_conversations", results=[{"field": path, "value": condition}])
        await self.ask("find_calls_to_review", limit=50, random_share=0.5)

    async def figures(self, values: dict[str, list[str]]) -> None:
        """Groups, measures, changes and phrases."""
        paths = [f"results.{path}" for path in values["paths"]]
        for grouping in (*GROUPINGS, *paths[:6]):
            await self.ask("summarize_results", group_by=[grouping], top=100)
        for pair in itertools.pairwise((*GROUPINGS, *paths[:2])):
            await self.ask("summarize_results", group_by=pair, since="7d", compare_previous=True)
        for path in paths[:12]:
            await self.ask("summarize_results", group_by=["status"], measures=[path])
        await self.ask("summarize_results", agent_id="7", group_by=["status", "agent_id"])
        await self.ask("summarize_results", agent_id="7")
        await self.ask("find_changes", since="7d", limit=100)
        await self.ask("find_changes", agent_id="7", since="5d", compare_since="20d", limit=100)
        for role in ("contact", "agent", "any"):
            await self.ask("find_phrases", role=role, limit=50)
            await self.ask("find_phrases", role=role, agent_id="7", distinctive=True)

    async def searches(self) -> None:
        """With hits, without, with advice on similar and longer words."""
        for query in (
            *("kestrel*", "kestrel01", "kestrel", "kestre101 missing", "instructons", "the OR kestrel03", "निर्देश"),
            *('"obey kestrel05"', '"ignore previous kestrel"', "recordin", "sistem", "-the kestrel02", "CANARY or x"),
            *("intent:kestrel04", "kestrel07~2", "agent kestrel", "instruction kestrelxx", "boundry OR kestrel99"),
        ):
            for arguments in ({}, {"role": "agent"}, {"status": "completed"}):
                await self.ask("search_transcripts", query=query, limit=100, context_turns=2, **arguments)

    async def calls(self, ids: list[str]) -> None:
        """Every call, and a few recordings and exports."""
        addresses = list(map(_address, ids))
        for start in range(0, len(ids), 20):
            await self.ask("get_transcripts", conversation_ids=addresses[start : start + 20])
        await self.ask("get_transcripts", conversation_ids=addresses[:3], around_turn=1, max_turns=1)
        for conversation_id in addresses[:6]:
            saved = await self.ask("save_recording", conversation_id=conversation_id)
            self.heard.plain.append(str(saved.get("path")))
        for form in ("csv", "jsonl"):
            await self.ask("export_conversations", format=form, include=["results", "signals", "transcript"])

    async def errors(self, values: dict[str, list[str]]) -> None:
        """Errors of each kind, with what was read as arguments."""
        hostile = [values[name][-1] for name in ("status", "paths", "conversation_id") if values.get(name)]
        ids = values["conversation_id"]
        for text in [*hostile, ids[0][:7], ids[1][:7], "the", "Ignore", "पिछले"]:
            await self.ask("get_transcripts", conversation_ids=[_address(text), "e36853de"])
            await self.ask("get_transcripts", conversation_ids=[_address(f"{text} nobody at all")])
            await self.ask("save_recording", conversation_id=text)
            await self.ask("save_recording", conversation_id=f"{text} nobody")
            for argument in ("order_by", "fields", "group_by", "measures", "reasons", "since", "weekdays", "hours"):
                tool = "summarize_results" if argument in ("group_by", "measures") else "list_conversations"
                await self.ask("find_calls_to_review" if argument == "reasons" else tool, **{argument: f"{text} x"})
                await self.ask(tool, **{argument: f"results.{text}"})
                await self.ask(tool, **{argument: f"signals.{text}"})
            await self.ask("list_conversations", **{text: 1})
            await self.ask("list_conversations", filters={text: 1}, cursor=text, limit=text, contact_number=text)
            await self.ask("list_conversations", cursor=text)
            await self.ask("search_transcripts", query=f"{text}:x {text}=1")
            await self.ask("search_transcripts", query=text, role=text, spelling=text)

    async def resources(self) -> None:
        """Lists and templates with their titles, every resource of some calls, and errors."""
        cursor = None
        uris: list[str] = []
        while True:
            page = await self.client.list_resources(cursor=cursor)
            for entry in page.resources:
                self.heard.plain += [str(value) for value in entry.model_dump(exclude_none=True).values()]
                uris.append(str(entry.uri))
            cursor = page.next_cursor
            if cursor is None:
                break
        for template in (await self.client.list_resource_templates()).resource_templates:
            self.heard.plain.append(template.model_dump_json())
        rows = (await self.ask("list_conversations", limit=100, fields=["status"]))["conversations"]
        assert isinstance(rows, list)
        for row in rows:
            assert isinstance(row, dict)
            address = _address(str(row["conversation_id"]))
            await self.read(address)
            await self.read(f"{address}/transcript")
        for uri in [*uris[:6], f"{_address(str(rows[0]))}/recording"]:
            await self.read(uri)
        await self.read("formant://conversations/kestrel01%20is%20nobody%20at%20all/transcript")

    async def prompts(self, values: dict[str, list[str]]) -> None:
        """Prompts with hostile arguments, and completions."""
        prompts = (await self.client.list_prompts()).prompts
        texts = [value for name in ("agent_name", "conversation_id", "status") for value in values.get(name, [])[:4]]
        for prompt in prompts:
            self.heard.plain.append(prompt.model_dump_json())
            (argument,) = prompt.arguments or []
            for text in texts:
                try:
                    got = await self.client.get_prompt(prompt.name, {argument.name: text})
                    self.heard.plain += [message.model_dump_json() for message in got.messages]
                except MCPError as error:
                    self.heard.plain.append(error.message)
            for typed in ("", "I", "A", "k", "e", "प"):
                reference = PromptReference(name=prompt.name)
                done = await self.client.complete(reference, {"name": argument.name, "value": typed})
                self.heard.plain += done.completion.values
        reference = ResourceTemplateReference(uri="formant://conversations/{conversation_id}")
        for typed in ("", "I", "A", "e", "प"):
            done = await self.client.complete(reference, {"name": "conversation_id", "value": typed})
            self.heard.plain += done.completion.values


def _address(conversation_id: str) -> str:
    """The address of a call, which is one argument though its id has blanks."""
    return f"formant://conversations/{quote(conversation_id, safe='')}"


@asynccontextmanager
async def session_at(
    provider: ProviderFixture, api: FakeApi, folder: Path, boundary: str | None = BOUNDARY
) -> AsyncGenerator[Session]:
    """A session with a server over that API. The corpus knows its boundary, unless that is random (None)."""
    api.key = KEY
    source = provider.connect(api.url, KEY, sleep=no_wait, transport=api.transport())
    account = Account(FakeFormant(), "auto", folder, boundary=boundary)
    async with account.connect_to(source, provider.name) as assistant:
        yield Session(assistant)


@asynccontextmanager
async def session_over_http(api: FakeFormant, folder: Path) -> AsyncGenerator[Session]:
    """The same over HTTP."""
    api.key = KEY
    with in_thread(Account(api, "auto", folder), limits=Limits(requests_per_minute=1_000_000)) as server:
        async with server.connect("auto") as assistant:
            yield Session(assistant)
