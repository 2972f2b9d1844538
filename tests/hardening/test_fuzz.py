"""Any input: each request gets exactly one answer, which fits its schema or says what is accepted, and shows no more.

20,000 examples in all, each sent to a real server over its pipes, with few calls, none, or the sample account.
"""

import json
import re
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION
from pydantic import JsonValue

from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.prompts import PROMPTS
from formant_mcp.server.tools import TOOLS
from tests.calls import conversation_id, many
from tests.fake_formant import FakeFormant
from tests.hardening.schema_values import HOSTILE_TEXTS, anything, hostile_text, nearly_allowed
from tests.process_usage import IS_COUNTED, Usage
from tests.stdio_process import INITIALIZE, INITIALIZED, KEY, Message, Server, calling, request, started

pytestmark = pytest.mark.hardening

NUMBERS = count(1_000)
MOST_MEMORY = 150.0  # MiB above the start; a line of 50 MB apart
LIFETIME = 900.0  # seconds until a server that hangs is killed
ENTRIES = {tool.name: tool.to_mcp(PROVIDERS["formant"]) for tool in TOOLS}
FORBIDDEN = re.compile(
    r"Error executing|Internal error|Traceback|File \\?\"|site-packages|pydantic|sqlite3?\.|Exception|\bsyntax error\b"
    rf"|SQLITE_|no such (?:table|column)|{KEY}"
)
HELP = re.compile(
    "|".join(
        [
            *(rf"\b{name}\b" for entry in ENTRIES.values() for name in (entry.name, *entry.input_schema["properties"])),
            *(rf"\b{prompt.argument}\b" for prompt in PROMPTS),
            r"Retry|FORMANT_|Tools: |Prompts: |formant://|must be |is missing|at most|is a JSON object",
            r"\b([Gg]ive|[Ww]rite|[Ss]end|Use) ",
        ]
    )
)


class Wrong(AssertionError):
    """An answer that breaks a promise."""


def check(message: Message, answered: frozenset[JsonValue]) -> None:
    """Fails unless the message is the answer that is due, shows nothing of the inside, and helps if it refuses."""
    text = json.dumps(message, ensure_ascii=False)
    if message.get("id") not in answered:
        raise Wrong(f"not due: {text[:500]}")
    if shown := FORBIDDEN.search(text):
        raise Wrong(f"shows {shown[0]}: {text[:2_000]}")
    result = message.get("result")
    if isinstance(result, dict) and not result.get("isError"):
        return
    if not isinstance(result, dict) and not isinstance(message.get("error"), dict):
        raise Wrong(f"neither result nor error: {text[:500]}")
    if not HELP.search(_refusal(message)):
        raise Wrong(f"says not what is accepted: {text[:500]}")


def _refusal(message: Message) -> str:
    """An error's text without what it quotes of the request."""
    if isinstance(error := message.get("error"), dict):
        known = ("Method not found", "Invalid request parameters", "Unsupported protocol version")
        return "write " if error["message"] in known else str(error["message"])
    return str(cast(dict[str, list[dict[str, str]]], message["result"])["content"][0]["text"])


@cache
def validator(tool: str) -> Draft202012Validator:
    """Validates a tool's structured content."""
    return Draft202012Validator(cast(dict[str, JsonValue], ENTRIES[tool].output_schema))


def ask(server: Server, message: Message) -> Message:
    """The one answer to a request."""
    server.send(message)
    answer = server.receive()
    check(answer, frozenset([message["id"]]))
    return answer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str], Server]]:
    """A server for each account: `few` calls, `none`, or the `sample` account; started when it is needed."""
    memory: dict[str, float] = {}
    with ExitStack() as stack:

        @cache
        def server(account: str) -> Server:
            folder, variables, arguments = tmp_path_factory.mktemp(account), {"FORMANT_API_KEY": KEY}, ["--demo"]
            if account != "sample":
                api, arguments = stack.enter_context(FakeFormant.in_thread()), []
                api.key = KEY
                if account == "few":
                    api.conversations = many(45, datetime.now(UTC) - timedelta(hours=2), timedelta(days=10))
                variables["FORMANT_BASE_URL"] = api.url
            running = stack.enter_context(started(folder, *arguments, seconds=LIFETIME, **variables))
            running.shake_hands()
            memory[account] = Usage.of(running.process.pid).memory if IS_COUNTED else 0.0
            return running

        yield server
        for account in [*memory]:
            running = server(account)
            ask(running, request(next(NUMBERS), "ping"))  # nothing else was sent
            if IS_COUNTED:
                assert Usage.of(running.process.pid).memory < memory[account] + MOST_MEMORY
            running.close_stdin()
            assert running.ends() == 0
            assert running.rest() == ([], b"")


def fuzz(number: int, examples: int, values: st.SearchStrategy[Message], test: Callable[[Message], None]) -> None:
    """Tries so many examples; the same ones each time."""
    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    seed(number)(chosen(given(values)(test)))()


SHARES = {"few": 1_200, "none": 490, "sample": 170}
ONE_BY_ONE = ("get_transcripts", "save_recording")  # each asks the API, whose rate limit holds


@pytest.mark.parametrize("tool", ENTRIES)
@pytest.mark.parametrize("account", SHARES)
def test_every_tool_answers_or_refuses_any_arguments(servers: Callable[[str], Server], account: str, tool: str) -> None:
    server = servers(account)

    def call(arguments: JsonValue) -> None:
        answer = ask(server, request(next(NUMBERS), "tools/call", name=tool, arguments=arguments))
        if isinstance(result := answer.get("result"), dict) and not result.get("isError"):
            validator(tool).validate(result["structuredContent"])  # pyright: ignore[reportUnknownMemberType]

    values = nearly_allowed(cast(dict[str, JsonValue], ENTRIES[tool].input_schema))
    as_text = values.map(json.dumps) | hostile_text  # some clients send all arguments as one text
    fuzz(1, SHARES[account] // (5 if tool in ONE_BY_ONE else 1), values | values | as_text | anything, call)  # pyright: ignore[reportArgumentType]


ADDRESS = st.builds(
    "formant://conversations/{}{}".format,
    st.sampled_from([conversation_id(0), conversation_id(0)[:8]]) | hostile_text,
    st.sampled_from(["", "/recording", "/transcript", "/", "//", "?x=1", "#x", "/recording/.."]),
)
URIS = ADDRESS | hostile_text | anything
NAMES = st.sampled_from([prompt.name for prompt in PROMPTS]) | anything
ARGUMENTS = st.dictionaries(
    st.sampled_from([prompt.argument for prompt in PROMPTS]) | hostile_text, anything, max_size=2
)
REFERENCES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ref/prompt", "ref/resource"]) | anything,
        "name": NAMES,
        "uri": st.just("formant://conversations/{conversation_id}") | URIS,
    },
)
COMPLETED = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["conversation_id", "agent_id", "agent_ids"]) | anything, "value": anything}
)
PARAMETERS: dict[str, dict[str, st.SearchStrategy[JsonValue]]] = {
    "prompts/get": {"name": NAMES, "arguments": ARGUMENTS | anything},
    "resources/read": {"uri": cast(st.SearchStrategy[JsonValue], URIS)},
    "completion/complete": {"ref": REFERENCES | anything, "argument": COMPLETED | anything, "context": anything},
    **{f"{kind}/list": {"cursor": anything} for kind in ("tools", "prompts", "resources", "resources/templates")},
    **{name: {"uri": URIS, "level": anything} for name in ("resources/subscribe", "logging/setLevel", "ping")},
    "tools/call": {"name": st.sampled_from([*ENTRIES]) | anything, "arguments": anything, "_meta": anything},
    "no/such": {"a": anything},
}  # pyright: ignore[reportAssignmentType]


def requests(method: str) -> st.SearchStrategy[Message]:
    """Requests of that method, with right and wrong parameters."""
    fields = st.fixed_dictionaries({}, optional={**PARAMETERS[method], "_meta": anything})

    def message(params: JsonValue) -> Message:
        return {"jsonrpc": "2.0", "id": next(NUMBERS), "method": method, "params": params}

    return (fields | anything).map(message)


@pytest.mark.parametrize("method", PARAMETERS)
@pytest.mark.parametrize(("account", "examples"), [("few", 180), ("none", 50)])
def test_every_method_answers_or_refuses_any_parameters(
    servers: Callable[[str], Server], account: str, examples: int, method: str
) -> None:
    server = servers(account)
    fuzz(2, examples, requests(method), lambda message: check(ask(server, message), frozenset([message["id"]])))


def envelope(version: str) -> dict[str, JsonValue]:
    """What requests of the newest era carry."""
    prefix = "io.modelcontextprotocol"
    return {
        f"{prefix}/protocolVersion": version,
        f"{prefix}/clientInfo": {"name": "a-host", "version": "1"},
        f"{prefix}/clientCapabilities": {},
    }


@pytest.mark.parametrize("version", [*KNOWN_PROTOCOL_VERSIONS, "1999-01-01", "", "draft"])
def test_every_version_of_the_protocol_is_served_or_refused(tmp_path: Path, version: str) -> None:
    is_modern = version == LATEST_MODERN_VERSION
    with started(tmp_path, "--demo", seconds=LIFETIME) as server:
        if not is_modern:
            hello = ask(
                server, {**INITIALIZE, "params": {**cast(Message, INITIALIZE["params"]), "protocolVersion": version}}
            )
            agreed = cast(Message, hello["result"])["protocolVersion"]
            assert agreed == version if version in KNOWN_PROTOCOL_VERSIONS else agreed in KNOWN_PROTOCOL_VERSIONS
            server.send(INITIALIZED)

        def send(message: Message) -> None:
            params = message["params"]
            if is_modern and isinstance(params, dict):
                params["_meta"] = envelope(version)
            ask(server, message)

        fuzz(3, 90, st.one_of([requests(method) for method in PARAMETERS]), send)
        alive = request(next(NUMBERS), "tools/list", **({"_meta": envelope(version)} if is_modern else {}))
        assert "result" in ask(server, alive)
        server.close_stdin()
        assert server.ends() == 0
        assert server.rest() == ([], b"")


BYTES = st.lists(
    st.sampled_from(
        [b'{"jsonrpc":"2.0",', b'"id":', b"7", b'"method":"ping"', b"}", b"{", b"[", b"]", b",", b'"', b"\\", b"\xff"]
    )
    | st.sampled_from(
        [b"\xef\xbb\xbf", b"\0", b" ", b"\t", b"null", b"1e999", b"\xed\xa0\x80", b"\\ud83d", b"\xe2\x80\xa8"]
    )
    | st.binary(max_size=8).map(lambda part: part.replace(b"\n", b"").replace(b"\r", b"")),
    max_size=12,
).map(b"".join)
LINES = BYTES | anything.map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("part", range(4))
def test_any_line_is_answered_at_most_once_and_the_next_message_works(
    servers: Callable[[str], Server], part: int
) -> None:
    server = servers("none")

    def write(line: bytes) -> None:
        ping = next(NUMBERS)
        server.write(line + b"\n")
        server.send(request(ping, "ping"))
        first = server.receive()
        if first.get("id") != ping:
            check(first, frozenset([None, 7]) | frozenset([first.get("id")]))
            assert server.receive() == {"jsonrpc": "2.0", "id": ping, "result": {}}

    fuzz(10 + part, 800, LINES, write)  # pyright: ignore[reportArgumentType]


LONG = ("x", "(", "[", "-", "*", "1,", "a=b,", "a ", '"a" OR ')


@pytest.mark.parametrize("tool", ENTRIES)
def test_a_long_text_is_answered_in_every_argument_and_a_megabyte_is_refused_by_name(
    servers: Callable[[str], Server], tool: str
) -> None:
    server = servers("few")
    for name in ENTRIES[tool].input_schema["properties"]:
        for number, part in enumerate(LONG):
            text = part * (9_900 // len(part))
            value: JsonValue = [text] if number % 2 else text
            ask(server, calling(next(NUMBERS), tool, **{name: value}))
        for value in ("x" * 1_000_000, "[" * 1_000_000):
            assert f"{name} is too long" in _refusal(ask(server, calling(next(NUMBERS), tool, **{name: value})))


@pytest.mark.parametrize("method", ["prompts/get", "completion/complete", "resources/read"])
def test_a_megabyte_in_other_parameters_is_answered(servers: Callable[[str], Server], method: str) -> None:
    server = servers("few")
    for part in LONG:
        text = part * (1_000_000 // len(part))
        for params in (
            {"name": "review_call", "arguments": {"conversation_id": text}},
            {"name": text, "arguments": {text: text}},
            {"uri": f"formant://conversations/{text}"},
            {"uri": text},
            {"ref": {"type": "ref/prompt", "name": "review_call"}, "argument": {"name": "agent_id", "value": text}},
        ):
            message: Message = {
                "jsonrpc": "2.0",
                "id": next(NUMBERS),
                "method": method,
                "params": cast(JsonValue, params),
            }
            ask(server, message)


def test_a_line_of_50_megabytes_is_answered(tmp_path: Path) -> None:
    with started(tmp_path, "--demo", seconds=LIFETIME) as server:
        server.shake_hands()
        for line in (b"x" * 50_000_000, b'{"a":"%s"' % (b"\\" * 50_000_000), b"[" * 50_000_000):
            server.write(line + b"\n")
            check(server.receive(), frozenset([None]))
        ask(server, request(next(NUMBERS), "ping"))


@pytest.mark.parametrize(
    "message",
    [
        {"id": 7, "result": {"isError": True, "content": [{"text": "Error executing tool list_conversations"}]}},
        {"id": 7, "result": {"isError": True, "content": [{"text": "Internal error in formant-mcp. Retry."}]}},
        {"id": 7, "result": {"isError": True, "content": [{"text": "That went wrong."}]}},
        {"id": 7, "result": {"content": [{"text": f"limit: the key is {KEY}"}]}},
        {"id": 7, "error": {"code": -32603, "message": 'limit\nTraceback (most recent call last):\n  File "x.py"'}},
        {"id": 7, "error": {"code": -32603, "message": "Something failed"}},
        {"id": 8, "result": {}},
        {"id": 7},
    ],
)
def test_the_check_reports_each_broken_promise(message: Message) -> None:
    with pytest.raises(Wrong):
        check(message, frozenset([7]))


WITHOUT = """
from formant_mcp.cli import main
from formant_mcp.server import jsonrpc, mcp_server

async def fail(*_): raise KeyError("key")

{removal}
main(["--demo"])
"""


@pytest.mark.parametrize(
    ("removal", "arguments"),
    [
        ("mcp_server._run_tool = fail", {}),
        ("mcp_server._check_lengths = lambda _: 1 / 0", {}),
        ("mcp_server.without_depth = str", '{"a":' * 975 + "1" + "}" * 975),
    ],
)
def test_the_check_reports_a_server_without_a_defence(tmp_path: Path, removal: str, arguments: JsonValue) -> None:
    program = (sys.executable, "-c", WITHOUT.format(removal=removal))
    with started(tmp_path, program=program) as server:
        server.shake_hands()
        with pytest.raises(Wrong):
            ask(server, request(next(NUMBERS), "tools/call", name="list_conversations", arguments=arguments))


def test_hostile_texts_are_many() -> None:
    assert len(HOSTILE_TEXTS) == len({*HOSTILE_TEXTS}) > 100
