"""Clients that assistants are built on, none of them written here, each in an environment of its own.

A client's program (`tests/clients`) starts `formant-mcp --demo` and puts the same questions to it as every other. What
it gets has to be, word for word, what our own client gets from a server in this process. The questions are about days
that are over everywhere, so the answers are the same until it is midnight for one of the sample account's agents.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from mcp_types import ResourceTemplateReference, TextContent, TextResourceContents
from pydantic import JsonValue

from formant_mcp.demo.agents import read_agents
from formant_mcp.demo.calls import sample_calls
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.prompts import PROMPTS
from formant_mcp.server.resources import TEMPLATES
from formant_mcp.server.tools import TOOLS
from tests import npm
from tests.clients.report import Report, digest
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.http_process import in_child
from tests.server_harness import ZONE, Account, Assistant
from tests.stdio_process import PROGRAM, environment
from tests.test_conformance import PACKAGE as CONFORMANCE
from tests.test_docs import table
from tests.test_packaging import CLAUDE

PROGRAMS = Path(__file__).parent / "clients"
QUESTIONS = (PROGRAMS / "questions.json").read_text(encoding="utf-8")
AJV = ("ajv@8.20.0", "ajv-formats@3.0.1")
SECONDS = 400  # the Inspector starts two programs for each question
BOTH = ("text", "structure")


@dataclass(frozen=True)
class RealClient:
    """A client: its package, pinned, its program here, and what it gives whoever uses it.

    `eras`: for each era of the protocol that it can be set to, the variables that do so.
    `starts_anew`: it starts a server for each question, which then knows nothing of those before.
    """

    name: str
    package: str
    program: str
    eras: dict[str, dict[str, str]]
    gives: tuple[str, ...] = BOTH
    has_completion: bool = True
    starts_anew: bool = False

    @property
    def version(self) -> str:
        return re.split("==|(?<=.)@", self.package)[-1]


def eras(*names: str, **variables: str) -> dict[str, dict[str, str]]:
    return {name: {"MODE": name, **variables} for name in names}


def inspector(version: str, **options: str) -> RealClient:
    package = f"@modelcontextprotocol/inspector@{version}"
    lists = "--strict" if version.startswith("2.") else ""  # it fails if a schema is not portable
    modes = {era: {"OPTIONS": text, "LIST_OPTIONS": lists} for era, text in options.items()}
    return RealClient("MCP Inspector", package, "inspector_client.py", modes, has_completion=False, starts_anew=True)


PATIENTLY = "--connect-timeout 60000"  # its usual 15 seconds are too few on a busy machine
ALL_ERAS = ("auto", "legacy", "2026-07-28")
CLIENTS = [
    inspector("0.15.0", legacy=""),
    inspector("1.0.3", legacy=""),
    inspector("2.12.0", legacy=PATIENTLY, auto=f"{PATIENTLY} --protocol-era auto"),
    RealClient(
        "TypeScript SDK", "@modelcontextprotocol/sdk@1.32.2", "typescript_client.cjs", eras("legacy", MAJOR="1")
    ),
    RealClient(
        "TypeScript SDK", "@modelcontextprotocol/client@2.4.0", "typescript_client.cjs", eras(*ALL_ERAS, MAJOR="2")
    ),
    RealClient("Python SDK", "mcp==1.30.0", "python_sdk_1_client.py", eras("legacy")),
    RealClient("Python SDK", "mcp==2.3.0", "python_sdk_2_client.py", eras(*ALL_ERAS)),
    RealClient("fastmcp", "fastmcp==4.2.3", "fastmcp_client.py", eras("auto")),
    RealClient(
        "langchain-mcp-adapters",
        "langchain-mcp-adapters==0.3.2",
        "langchain_client.py",
        eras("legacy"),
        has_completion=False,
    ),
    RealClient("openai-agents", "openai-agents==0.24.0", "openai_agents_client.py", eras("auto"), has_completion=False),
    RealClient(
        "pydantic-ai",
        "pydantic-ai-slim[mcp]==2.68.0",
        "pydantic_ai_client.py",
        eras("auto"),
        gives=("structure",),
        has_completion=False,
    ),
]
CASES = [
    pytest.param(client, variables, id=f"{client.name} {client.version} {era}")
    for client in CLIENTS
    for era, variables in client.eras.items()
]


class Installed:
    """Packages in folders of pytest's cache, installed when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_of(self, *packages: str) -> Path:
        """The folder with these packages. Several workers may need the same at once."""
        folder = self._folder / re.sub(r"\W+", "-", " ".join(packages)).strip("-")
        if folder.exists():
            return folder
        with TemporaryDirectory(dir=self._folder) as temporary:
            own = Path(temporary) / "packages"
            own.mkdir()
            if "==" in packages[0]:
                install_python(own, *packages)
            else:
                npm.install(own, *packages)
            with suppress(OSError):  # another worker was faster
                own.rename(folder)
        return folder


def install_python(folder: Path, package: str) -> None:
    """An environment with the package; skips the test if that fails, and in CI fails it."""
    uv, python = str(PROGRAM.with_name("uv")), str(folder / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", python, package],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode and os.environ.get("CI"):
            raise RuntimeError(done.stderr)
        if done.returncode:
            pytest.skip(f"{package} could not be installed: {done.stderr}")


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> Installed:
    cache: pytest.Cache = request.config.cache
    return Installed(cache.mkdir("clients"))


def run(command: list[str], variables: dict[str, str], folder: Path, given: str = "") -> JsonValue:
    """What a program prints, as JSON."""
    done = subprocess.run(
        command, env=environment(folder, **variables), input=given, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def report_of(client: RealClient, variables: dict[str, str], packages: Path, questions: Path) -> Report:
    """What the client's program reports."""
    program, modules = PROGRAMS / client.program, packages / "node_modules"
    interpreter = sys.executable if modules.exists() else str(packages / "bin" / "python")
    command = [
        "node" if program.suffix == ".cjs" else interpreter,
        str(program),
        str(questions),
        str(PROGRAM),
        "--demo",
    ]
    folders = {"MODULES": str(packages), "INSPECTOR": str(modules / ".bin" / "mcp-inspector")}
    patience = {"FORMANT_CALL_SECONDS": "60"}  # an answer must be complete on a busy machine, too
    return Report(**cast(dict[str, Any], run(command, folders | patience | variables, questions.parent)))


@asynccontextmanager
async def sample(
    folder: Path, now: datetime, *, starts_anew: bool
) -> AsyncGenerator[Callable[[], AbstractAsyncContextManager[Assistant]]]:
    """Connects our own client to the sample account as it is at `now`: to a new server each time, or to the same."""
    account = Account(FakeFormant(), "auto", folder, now=now)
    if starts_anew:
        yield lambda: account.connect_to_sample(call_seconds=60)
        return
    async with account.connect_to_sample(call_seconds=60) as assistant:
        yield lambda: nullcontext(assistant)


async def expected(client: RealClient, path: Path, now: datetime) -> Report:
    """What our own client gets, as far as the other one gives it. `ask` also checks that text and structure agree."""
    questions, report = json.loads(path.read_text(encoding="utf-8")), Report()
    async with sample(path.parent / "own", now, starts_anew=client.starts_anew) as connect:
        for name, arguments in questions["calls"]:
            async with connect() as assistant:
                answer = await assistant.ask(name, **arguments)
            gives_text, gives_structure = (part in client.gives for part in BOTH)
            report.add(answer.text if gives_text else None, answer.structure if gives_structure else None)
        for uri in questions["resources"]:
            async with connect() as assistant:
                (content,) = (await assistant.client.read_resource(uri)).contents
            is_text = isinstance(content, TextResourceContents)
            report.resources[uri] = content.text if is_text else digest(base64.b64decode(content.blob))
        async with connect() as assistant:
            report.tools = [tool.name for tool in (await assistant.client.list_tools()).tools]
            for name, arguments in questions["prompts"]:
                (message,) = (await assistant.client.get_prompt(name, arguments)).messages
                assert isinstance(message.content, TextContent)
                report.prompts[name] = message.content.text
        if client.has_completion:
            async with connect() as assistant:
                template = ResourceTemplateReference(uri=questions["completion"]["template"])
                done = await assistant.client.complete(template, questions["completion"]["argument"])
            report.completion = done.completion.values
    return report


VARIES = re.compile(
    r"(?<= as of )[\d-]+ [\d:]+|, now [\d-]+ [\d:]+|(?<=^end )\w{6}$|(?<=\"end )\w{6}(?=\")|\bc:\d+:\w+:\w+"
    r"|(?<=conversations-)[\d-]+(?=\.jsonl)|^(saved|already there)(?=: )|[\d,]+(?= conversations match| known\))",
    re.MULTILINE,
)
"""What the clock and chance decide: times of the answer and of an export, how many conversations there are by then,
boundaries, cursors; and whether the recording was saved before, as a client may need to ask twice."""


def same_each_time(value: JsonValue, folder: Path, name: str = "") -> JsonValue:
    """The value without what varies, and with a file's place below the folder alone."""
    match value:
        case dict():
            return {key: same_each_time(item, folder, key) for key, item in value.items()}
        case list():
            return [same_each_time(item, folder) for item in value]
        case str() if name == "as_of":
            return datetime.fromisoformat(value).strftime("%z")
        case int() if name in ("known", "total"):
            return None
        case str():
            return VARIES.sub("", re.sub(rf"{re.escape(str(folder))}(/[a-z]+)*/", "", value))
        case _:
            return value


def parts(questions: Path, report: Report) -> dict[str, JsonValue]:
    """Each part of a report by its name, without what varies."""
    folder = questions.parent  # which every path of a saved file begins with
    calls = json.loads(questions.read_text(encoding="utf-8"))["calls"]
    whole = cast(dict[str, Any], same_each_time(cast(JsonValue, asdict(report)), folder))
    answers = {f"{n} {name} {arguments}": whole["answers"][n] for n, (name, arguments) in enumerate(calls)}
    return {**answers, **whole["resources"], **whole["prompts"], **{n: whole[n] for n in ("tools", "completion")}}


def wrong_by_ajv(packages: Path, folder: Path, answers: list[tuple[str, object]]) -> JsonValue:
    """The answers that ajv in strict mode refuses, and why."""
    schemas = {tool.name: tool.to_mcp(PROVIDERS["formant"]).output_schema for tool in TOOLS}
    given = json.dumps({"schemas": schemas, "answers": answers})
    return run(["node", str(PROGRAMS / "validate.cjs")], {"MODULES": str(packages)}, folder, given)


def dates_at(now: datetime) -> set[date]:
    """The dates on which the sample account depends: its agents', and the server's."""
    return {now.astimezone(zone).date() for zone in (ZoneInfo(ZONE), *(agent.zone for agent in read_agents()))}


def questions_at(now: datetime, folder: Path) -> Path:
    """The questions, about a recorded call and two weeks of the sample account that no call is added to any more."""
    zone = ZoneInfo(ZONE)
    until = now.astimezone(zone).date() - timedelta(days=2)
    calls = [call for call in sample_calls(now) if call.started_at.astimezone(zone).date() <= until]
    call = next(call.conversation_id for call in calls if (call.status, call.recording) == ("completed", "ready"))
    words = {
        "CONVERSATION_ID": call,
        "BEGINNING_OF_ID": call[:6],
        "SINCE": str(until - timedelta(days=13)),
        "UNTIL": str(until),
    }
    path = folder / "questions.json"
    path.write_text(re.sub("|".join(words), lambda word: words[word[0]], QUESTIONS), encoding="utf-8")
    return path


def asked(client: RealClient, variables: dict[str, str], packages: Path, folder: Path) -> tuple[datetime, Path, Report]:
    """When the client was started, its questions and its report: after a midnight it is asked again."""
    now = datetime.now(UTC).replace(microsecond=0)
    questions = questions_at(now, folder)
    report = report_of(client, variables, packages, questions)
    if dates_at(datetime.now(UTC)) != dates_at(now):
        return asked(client, variables, packages, folder)
    return now, questions, report


@pytest.mark.anyio
@pytest.mark.clients
@pytest.mark.parametrize(("client", "variables"), CASES)
async def test_a_client_gets_every_answer_whole(
    installed: Installed, tmp_path: Path, client: RealClient, variables: dict[str, str]
) -> None:
    now, questions, report = asked(client, variables, installed.folder_of(client.package), tmp_path)
    got, whole = parts(questions, report), parts(questions, await expected(client, questions, now))
    assert got.keys() == whole.keys()
    for name in got:
        assert got[name] == whole[name], name
    names = [name for name, _ in json.loads(questions.read_text(encoding="utf-8"))["calls"]]
    answers = [(name, answer["structure"]) for name, answer in zip(names, report.answers, strict=True)]
    assert wrong_by_ajv(installed.folder_of(*AJV), questions.parent, answers) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("began", "ended"),
    some([("2026-11-28T18:30:00", "2026-11-29T07:59:59"), ("2026-11-29T08:00:00", "2026-11-29T18:29:59")], 2),
    ids=some(["from midnight in Kolkata to midnight in Los Angeles", "until midnight in Kolkata"], 2),
)
async def test_every_answer_is_the_same_until_it_is_midnight_for_an_agent(
    began: str, ended: str, tmp_path: Path
) -> None:
    first, last = (datetime.fromisoformat(f"{time}+00:00") for time in (began, ended))
    assert dates_at(first) == dates_at(last) != dates_at(last + timedelta(seconds=1))
    client = next(client for client in CLIENTS if client.gives == BOTH and client.has_completion)
    questions = questions_at(first, tmp_path)
    before, after = [parts(questions, await expected(client, questions, now)) for now in (first, last)]
    for name in before:
        assert before[name] == after[name], name


@pytest.mark.clients
def test_ajv_refuses_an_answer_that_its_schema_does_not_allow(installed: Installed, tmp_path: Path) -> None:
    coverage: dict[str, object] = {"matched": 1, "known": 1, "complete": True, "as_of": "yesterday"}
    answers: list[tuple[str, object]] = [
        ("list_conversations", {"coverage": coverage, "conversations": []}),
        ("list_conversations", {"coverage": coverage | {"as_of": "2026-11-21T10:42:00+05:30"}, "conversations": [{}]}),
    ]
    wrong = wrong_by_ajv(installed.folder_of(*AJV), tmp_path, answers)
    assert "date-time" in str(wrong)
    assert "conversation_id" in str(wrong)


def test_the_questions_are_about_every_tool_resource_and_prompt() -> None:
    questions = json.loads(QUESTIONS)
    assert {name for name, _ in questions["calls"]} == {tool.name for tool in TOOLS}
    assert {name for name, _ in questions["prompts"]} == {prompt.name for prompt in PROMPTS}
    addresses = [uri.replace("CONVERSATION_ID", "{conversation_id}") for uri in questions["resources"]]
    assert sorted(addresses) == sorted(template.uri for template in TEMPLATES)


def test_the_readme_names_every_client_with_its_version() -> None:
    rows = {
        (row["client"], row["version"]): row
        for row in table("Tried with", "client", "version", "era", "what it passes on")
    }
    expected = {(client.name, client.version): client for client in CLIENTS}
    others = {("Claude Code", CLAUDE.rpartition("@")[2]), ("MCP conformance suite", CONFORMANCE.rpartition("@")[2])}
    assert rows.keys() == expected.keys() | others
    for name, client in expected.items():
        assert rows[name]["era"] == ", ".join(client.eras)
        assert rows[name]["what it passes on"].startswith(" and ".join(client.gives))
        assert ("completion" in rows[name]["what it passes on"]) == client.has_completion


@pytest.mark.clients
@pytest.mark.parametrize("client", CLIENTS[:3], ids=lambda client: f"{client.name} {client.version}")
def test_the_inspector_is_served_over_http(installed: Installed, tmp_path: Path, client: RealClient) -> None:
    program = installed.folder_of(client.package) / "node_modules" / ".bin" / "mcp-inspector"
    with in_child(tmp_path, "--demo", FORMANT_CALL_SECONDS="60") as (_, url):
        command = ["node", str(program), "--cli", f"{url}/mcp", "--transport", "http", "--method"]
        for variables in client.eras.values():
            options = variables["OPTIONS"].split()
            tools = cast(dict[str, Any], run([*command, "tools/list", *options], {}, tmp_path))["tools"]
            assert [tool["name"] for tool in tools] == [tool.name for tool in TOOLS]
            asked = ["tools/call", "--tool-name", "list_conversations", "--tool-arg", "limit=2", *options]
            answer = cast(dict[str, Any], run([*command, *asked], {}, tmp_path))
            assert answer["structuredContent"]["coverage"]["complete"]
            assert len(answer["structuredContent"]["conversations"]) == 2
