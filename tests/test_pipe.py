"""Any input on the pipe: each line gets the answer that JSON-RPC defines for it, and the next message works.

MCP restricts JSON-RPC: no batches, ids only texts or integers, parameters by name. A line is one message.
"""

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator
from itertools import count
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.jsonrpc import JSONRPCNotification, JSONRPCResponse
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import JsonValue

from formant_mcp.server.jsonrpc import MOST_BYTES, line_of
from tests.examples import examples, some
from tests.stdio_process import INITIALIZE, Message, Server, calling, request, started

PARSE, INVALID, NO_METHOD, PARAMS = -32700, -32600, -32601, -32602
ANSWERED = 0
TYPESCRIPT_MOST, TYPESCRIPT_READS = 10 * 1024 * 1024, 64 * 1024  # what its SDK buffers, what Node reads at once
PING = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'
DEEP = '{"a":' * 975 + "1" + "}" * 975
NUMBERS = count(1)

Expected = list[tuple[JsonValue, int]]  # the id and the error's code of each answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One server for all tests, as earlier input must not matter."""
    with started(tmp_path_factory.mktemp("pipe"), "--demo", seconds=240) as server:
        server.shake_hands()
        yield server


def answers(server: Server, data: bytes, at_least: int) -> list[Message]:
    """The answers to `data`: all messages until a ping after it is answered, and at least so many."""
    ping = f"ping {next(NUMBERS)}"
    server.write(data)
    server.send(request(ping, "ping"))
    received: list[Message] = []
    is_alive = False
    while not is_alive or len(received) < at_least:
        message = server.receive()
        if message.get("id") == ping:
            assert message["result"] == {}
            is_alive = True
        else:
            received.append(message)
    return received


def code(message: Message) -> int:
    """The error's code, or `ANSWERED` for a result."""
    error = message.get("error")
    if error is None:
        assert "result" in message
        return ANSWERED
    assert isinstance(error, dict)
    assert str(error["message"]).strip()
    return int(str(error["code"]))


def ping(request_id: str) -> bytes:
    """A ping with such an id, given as JSON."""
    return b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % request_id.encode()


def ping_with(params: str) -> bytes:
    """A ping with such parameters, given as JSON."""
    return b'{"jsonrpc":"2.0","id":7,"method":"ping","params":%s}' % params.encode()


LINES: dict[str, tuple[bytes, Expected]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + PING, [(7, ANSWERED)]),
    "a byte order mark and nothing": (b"\xef\xbb\xbf", []),
    "UTF-16": (PING.decode().encode("utf-16"), [(None, PARSE)]),
    "an empty line": (b"", []),
    "blanks": (b" \t  ", []),
    "a carriage return before the line feed": (PING + b"\r", [(7, ANSWERED)]),
    "a carriage return between messages": (PING + b"\r" + PING, [(7, ANSWERED), (7, ANSWERED)]),
    "blanks around": (b"  " + PING + b" \t", [(7, ANSWERED)]),
    "half a character of two in a value": (ping_with(r'{"a":"\ud83d"}'), [(7, ANSWERED)]),
    "the other half in a name": (ping_with(r'{"\uDE00":1}'), [(7, ANSWERED)]),
    "half a character in the id": (ping(r'"a\ud83d"'), [("a\ufffd", ANSWERED)]),
    "both halves in the id": (ping(r'"\ud83d\ude00"'), [("😀", ANSWERED)]),
    "half a character in the method": (
        rb'{"jsonrpc":"2.0","id":7,"method":"p\udfff"}',
        [(7, NO_METHOD)],
    ),
    "invalid UTF-8 in the id": (b'{"jsonrpc":"2.0","id":"\xe0\xa4","method":"ping"}', [("\ufffd", ANSWERED)]),
    "invalid UTF-8 alone": (b"\xff\xfe\xfa", [(None, PARSE)]),
    "no bytes but zeros": (b"\0\0\0", [(None, PARSE)]),
    "cut off": (PING[:-1], [(None, PARSE)]),
    "two messages": (PING + PING, [(None, PARSE)]),
    "something after it": (PING + b"}", [(None, PARSE)]),
    "no JSON": (b"GET / HTTP/1.1", [(None, PARSE)]),
    "a header": (b"Content-Length: 52", [(None, PARSE)]),
    "single quotes": (PING.replace(b'"', b"'"), [(None, PARSE)]),
    "NaN": (ping_with('{"a":NaN}'), [(None, PARSE)]),
    "Infinity": (ping_with('{"a":-Infinity}'), [(None, PARSE)]),
    "a float too large to be one": (ping_with('{"a":1e999}'), [(7, ANSWERED)]),
    "an integer of 30,000 digits": (ping_with('{"a":%s}' % ("9" * 30_000)), [(7, ANSWERED)]),
    "nested 90 deep": (ping_with('{"a":' * 90 + "1" + "}" * 90), [(7, ANSWERED)]),
    **{f"nested {depth:,} deep": (ping_with("[" * depth + "]" * depth), [(7, INVALID)]) for depth in (500, 100_000)},
    "objects nested 1,000 deep": (ping_with('{"a":' * 1_000 + "1" + "}" * 1_000), [(7, INVALID)]),
    "nested 1,000 deep before the id": (b'{"a":%s,' % (b"[" * 1_000 + b"]" * 1_000) + PING[1:], [(7, INVALID)]),
    "arguments as a text, nested 975 deep": (
        json.dumps(
            calling(7, "list_conversations") | {"params": {"name": "list_conversations", "arguments": DEEP}}
        ).encode(),
        [(7, PARAMS)],
    ),
    "brackets within a text": (ping_with('{"a":"%s"}' % (r"[\"{" * 1_000)), [(7, ANSWERED)]),
    "1,000 lists beside each other": (ping_with('{"a":[%s]}' % ("[]," * 1_000 + "[]")), [(7, ANSWERED)]),
    "a text that does not end": (ping_with('{"a":%s"' % (r"[\"" * 300_000)), [(None, PARSE)]),
    "a notification nested 1,000 deep": (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}'
        % (b"[" * 1_000 + b"]" * 1_000),
        [(None, INVALID)],
    ),
    "100,000 opening brackets": (b"[" * 100_000, [(None, PARSE)]),
    "20 MB": (ping_with('{"a":"%s"}' % ("x" * 20_000_000)), [(7, ANSWERED)]),
    "a method of 20 MB": (b'{"jsonrpc":"2.0","id":7,"method":"%s"}' % (b"x" * 20_000_000), [(7, NO_METHOD)]),
    "a batch": (b"[" + PING + b"]", [(None, INVALID)]),
    "an empty batch": (b"[]", [(None, INVALID)]),
    "a text": (b'"ping"', [(None, INVALID)]),
    "a number": (b"7", [(None, INVALID)]),
    "null": (b"null", [(None, INVALID)]),
    "an empty object": (b"{}", [(None, INVALID)]),
    "an id that is a text": (ping('"seven"'), [("seven", ANSWERED)]),
    "an id that is empty": (ping('""'), [("", ANSWERED)]),
    "an id that is 0": (ping("0"), [(0, ANSWERED)]),
    "an id that is negative": (ping("-3"), [(-3, ANSWERED)]),
    "an id of 30 digits": (ping("9" * 30), [(10**30 - 1, ANSWERED)]),
    "an id of 30,000 digits": (ping("9" * 30_000), [(None, INVALID)]),
    "an id of 30,000 characters": (ping(f'"{"x" * 30_000}"'), [(None, INVALID)]),
    "an id that is an integer written as a fraction": (ping("7.0"), [(7, ANSWERED)]),
    "an id that is a fraction": (ping("1.5"), [(1.5, INVALID)]),
    "an id that is infinite": (ping("1e999"), [(None, INVALID)]),
    "an id that is null": (ping("null"), [(None, INVALID)]),
    "an id that is a boolean": (ping("true"), [(None, INVALID)]),
    "an id that is a list": (ping("[7]"), [(None, INVALID)]),
    "an id that is an object": (ping("{}"), [(None, INVALID)]),
    "no version": (b'{"id":7,"method":"ping"}', [(7, INVALID)]),
    "another version": (PING.replace(b"2.0", b"1.0"), [(7, INVALID)]),
    "a version that is a number": (PING.replace(b'"2.0"', b"2.0"), [(7, INVALID)]),
    "no method": (b'{"jsonrpc":"2.0","id":7}', [(7, INVALID)]),
    "a method that is a number": (b'{"jsonrpc":"2.0","id":7,"method":1}', [(7, INVALID)]),
    "a method that nobody knows": (b'{"jsonrpc":"2.0","id":7,"method":"no/such"}', [(7, NO_METHOD)]),
    "parameters that are null": (ping_with("null"), [(7, ANSWERED)]),
    "parameters that are a list": (ping_with("[]"), [(7, PARAMS)]),
    "parameters that are a text": (ping_with('"a"'), [(7, INVALID)]),
    "parameters that are a number": (ping_with("1"), [(7, INVALID)]),
    "parameters that are a boolean": (ping_with("true"), [(7, INVALID)]),
    **{
        f"a handshake with {params}": (
            b'{"jsonrpc":"2.0","id":7,"method":"initialize","params":%s}' % params.encode(),
            [(7, code)],
        )
        for params, code in (("null", PARAMS), ("[]", PARAMS), ('"a"', INVALID), ("1", INVALID), ("false", INVALID))
    },
    "no tool's name": (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}', [(7, PARAMS)]),
    "a result to nothing": (b'{"jsonrpc":"2.0","id":7,"result":{}}', []),
    "an error to nothing": (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}', []),
    "one id twice": (PING + b"\n" + PING, [(7, ANSWERED), (7, ANSWERED)]),
    "the handshake again": (json.dumps(INITIALIZE).encode(), [(1, ANSWERED)]),
    "a notification": (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', []),
    "a notification that nobody knows": (b'{"jsonrpc":"2.0","method":"no/such","params":{"a":1}}', []),
    "a notification with a list": (b'{"jsonrpc":"2.0","method":"no/such","params":[1]}', []),
    "a notification with nothing useful": (b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', []),
    "a cancellation of nothing": (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}',
        [],
    ),
    "a request's method as a notification": (b'{"jsonrpc":"2.0","method":"tools/list"}', []),
    "a notification with a text": (b'{"jsonrpc":"2.0","method":"no/such","params":"a"}', [(None, INVALID)]),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_gets_its_answer_and_the_next_message_works(server: Server, line: str) -> None:
    data, expected = LINES[line]
    received = answers(server, data + b"\n", len(expected))
    assert [(message["id"], code(message)) for message in received] == expected


def not_json(constant: str) -> None:
    """Rejects NaN and Infinity, which Python accepts."""
    raise ValueError(constant)


def readable(request_id: JsonValue) -> JsonValue:
    """An id as the answer must have it; None if it cannot be sent back."""
    if isinstance(request_id, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", request_id)
    is_number = isinstance(request_id, int | float) and not isinstance(request_id, bool) and abs(request_id) != inf
    return request_id if is_number else None


def answers_due(data: bytes) -> Iterator[JsonValue]:
    """The id of each answer that is due; None for a line without a readable id."""
    for line in re.split(rb"[\r\n]", data):
        text = line.decode(errors="replace").strip("\ufeff").strip()
        try:
            content: JsonValue = json.loads(text, parse_constant=not_json) if text else {"result": "none is due"}
        except ValueError:
            content = None
        if not isinstance(content, dict):
            yield None
        elif "method" not in content and ("result" in content or "error" in content):
            continue
        elif "id" in content:
            yield readable(content["id"])
        elif not is_notification(content):
            yield None


def is_notification(content: dict[str, JsonValue]) -> bool:
    """Whether JSON-RPC calls it a notification, which may have parameters by position."""
    is_called = content.get("jsonrpc") == "2.0" and isinstance(content.get("method"), str)
    return is_called and isinstance(content.get("params"), dict | list | None)


TEXT = st.text(st.characters(), max_size=12)  # halves of characters too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
REQUESTS: tuple[Message, ...] = (
    request(2, "ping"),
    request("b", "tools/list"),
    request("c", "prompts/get", name="review_call", arguments={"conversation_id": "e36853de"}),
    request(5, "resources/read", uri="formant://conversations/e36853de/transcript"),
    request(6, "completion/complete", ref={"type": "ref/prompt", "name": "review_call"}, argument={"name": "a"}),
    calling(7, "list_conversations", limit=1, agent_id="१२३ 😀"),
    calling(8, "get_transcripts", conversation_ids=["e36853de"]),
    INITIALIZE,
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
    {"jsonrpc": "2.0", "id": 9, "result": {}},
)
# Objects with the members of a message, some of them wrong.
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers() | TEXT | JSON,
        "method": st.sampled_from(["ping", "tools/list", "tools/call", "resources/read", "no/such"]) | JSON,
        "params": st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON, "uri": JSON, "_meta": JSON})
        | JSON,
        "result": JSON,
    },
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with a part removed, inserted or repeated."""
    text = json.dumps(draw(st.sampled_from(REQUESTS)), ensure_ascii=draw(st.booleans())).encode()
    for _ in range(draw(st.integers(0, 3))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        inserted = draw(
            st.sampled_from([b"", b'"', b"{", b"}", b"\\", b"\\ud83d", b"1", b"\xff"]) | st.binary(max_size=3)
        )
        text = text[:first] + inserted + draw(st.sampled_from([b"", text[first:last]])) + text[last:]
    return text


@settings(max_examples=examples(4))
@given(
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | SHAPED.map(lambda value: json.dumps(value).encode())
    | damaged()
)
def test_any_line_is_answered_once_or_refused(server: Server, line: bytes) -> None:
    due = Counter(answers_due(line))
    received = answers(server, line + b"\n", due.total())
    assert Counter(message["id"] for message in received) == due


def test_bytes_may_arrive_one_by_one(server: Server) -> None:
    for byte in ping('"क😀"'):
        server.write(bytes([byte]))
    assert [message["id"] for message in answers(server, b"\n", 1)] == ["क😀"]


def test_a_client_may_write_everything_before_it_reads(server: Server) -> None:
    requests = [json.dumps(request(n, "tools/list" if n % 20 == 0 else "ping")).encode() + b"\n" for n in range(1_000)]
    data = b"".join(requests) + (b"{" * 100 + b"\n") * 2_000  # far more than both pipes hold
    received = answers(server, data, 3_000)
    assert Counter(message["id"] for message in received) == Counter([*range(1_000), *[None] * 2_000])


def test_every_line_before_the_handshake_is_answered(tmp_path: Path) -> None:
    with started(tmp_path, "--demo") as server:
        assert [code(message) for message in answers(server, b"{\n[]\n\n", 2)] == [PARSE, INVALID]
        requests = [request(1, "tools/list"), request(2, "no/such"), calling(3, "list_conversations")]
        data = b"".join(json.dumps(message).encode() + b"\n" for message in requests)
        received = {message["id"]: code(message) for message in answers(server, data, 3)}
        assert received == {1: PARAMS, 2: NO_METHOD, 3: PARAMS}
        server.shake_hands()
        assert [
            code(message) for message in answers(server, json.dumps(request(4, "tools/list")).encode() + b"\n", 1)
        ] == [0]


def test_every_line_of_the_newer_era_is_answered(tmp_path: Path) -> None:
    envelope: JsonValue = {
        PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
        CLIENT_INFO_META_KEY: {"name": "a-host", "version": "1"},
        CLIENT_CAPABILITIES_META_KEY: {},
    }
    with started(tmp_path, "--demo") as server:
        server.write(b"{\n")
        assert code(server.receive()) == PARSE
        server.send(request(1, "server/discover", _meta=envelope))
        assert code(server.receive()) == ANSWERED
        for data, expected in (
            (json.dumps(INITIALIZE).encode(), UNSUPPORTED_PROTOCOL_VERSION),
            (json.dumps(request(2, "tools/list")).encode(), PARAMS),
            (b"[]", INVALID),
            (PING + PING, PARSE),
            (json.dumps(request("\ud83d", "tools/list", _meta=envelope)).encode(), ANSWERED),
        ):
            server.write(data + b"\n")
            assert code(server.receive()) == expected
        server.close_stdin()
        assert server.ends() == 0


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ({"a": float("nan")}, "could not be written as JSON"),
        ({"a": "क" * 4_000_000}, "The answer is larger than the 9.5 MiB"),
        ({"a": "half \ud83d"}, '"half ?"'),
    ],
)
def test_a_result_that_cannot_be_sent_is_replaced_or_an_error(result: dict[str, JsonValue], answer: str) -> None:
    line = line_of(JSONRPCResponse(jsonrpc="2.0", id="seven", result=result)).decode()
    assert answer in line
    assert json.loads(line)["id"] == "seven"


def test_messages_are_smaller_than_typescript_clients_accept() -> None:
    for size in some(range(MOST_BYTES - 50, MOST_BYTES, 7), 4):
        line = line_of(JSONRPCResponse(jsonrpc="2.0", id=1, result={"a": "x" * size}))
        assert len(line) + TYPESCRIPT_READS < TYPESCRIPT_MOST
    notification = JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params={"a": "x" * MOST_BYTES})
    assert line_of(notification) == b""
