"""JSON-RPC 2.0 as MCP restricts it: parses a line or body as a message, formats messages, and answers malformed ones.

MCP has no batches, ids are texts or integers, and parameters have names.
"""

import json
import math
import re

from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from mcp_types.jsonrpc import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from pydantic import JsonValue

# The TypeScript SDK, and so most assistants, closes the connection at 10 MiB, counting the chunk it reads last.
MOST_BYTES = 9_961_472
_TOO_LARGE = (
    "The answer is larger than the 9.5 MiB that a message may have. Save a recording as a file with save_recording; "
    "read a long transcript in parts with get_transcripts (from_turn, max_turns)."
)
_UNWRITABLE = (
    "The answer could not be written as JSON. Ask for something else, and report this as a bug in formant-mcp."
)
_MOST_ID = 1_000  # characters; an id is sent back as it came
_MOST_DIGITS = 1_000  # Python reads longer integers slowly, or not at all
_MOST_DEPTH = 100  # what Python, and what comes after it, can read is far deeper
_TEXT_OR_BRACKET = re.compile(r'"(?>[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(Exception):
    """A line or body that is not a message, and its JSON-RPC error, with the request's id if it can be read."""

    def __init__(self, code: int, message: str, request_id: JsonValue = None) -> None:
        super().__init__(message)
        self._answer: JsonValue = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}

    def answer(self) -> bytes:
        """The line to send back."""
        return _encoded(self._answer)


def message_of(line: bytes, alone: str = "on a line of its own") -> JSONRPCRequest | JSONRPCNotification | None:
    """The message in a line; None if there is nothing to do: for a blank line, or a response to no request.

    `alone`: how each message is to be sent.

    Raises:
        Malformed: it is neither.
    """
    text = line.decode(errors="replace").strip("\ufeff").strip()
    if not text:
        return None
    shallow = without_depth(text)
    content = _parsed(shallow, alone)
    if isinstance(content, list):
        raise Malformed(INVALID_REQUEST, f"Batches are not supported: send each message {alone}.")
    if not isinstance(content, dict):
        raise Malformed(INVALID_REQUEST, "A message is a JSON object.")
    if "method" not in content and ("result" in content or "error" in content):
        return None
    if shallow != text:
        problem = f"The message is nested too deeply: {_MOST_DEPTH} levels at most."
        raise Malformed(INVALID_REQUEST, problem, _id(content.get("id")))
    return _request_or_notification(content)


def _request_or_notification(content: dict[str, JsonValue]) -> JSONRPCRequest | JSONRPCNotification | None:
    request_id, params, method = _id(content.get("id")), content.get("params"), content.get("method")
    if content.get("jsonrpc") != "2.0":
        raise Malformed(INVALID_REQUEST, 'jsonrpc: write "2.0".', request_id)
    if not isinstance(method, str):
        raise Malformed(INVALID_REQUEST, "method: write its name, as text.", request_id)
    if "id" in content and (request_id is None or isinstance(request_id, float)):
        raise Malformed(
            INVALID_REQUEST, f"id: write an integer, or a text of at most {_MOST_ID:,} characters.", request_id
        )
    if isinstance(params, list):  # JSON-RPC has them, MCP does not
        if request_id is None:
            return None
        raise Malformed(INVALID_PARAMS, "params: write an object, names with values.", request_id)
    if params is not None and not isinstance(params, dict):
        raise Malformed(INVALID_REQUEST, "params: write an object, names with values.", request_id)
    if request_id is None or isinstance(request_id, float):
        return JSONRPCNotification(jsonrpc="2.0", method=method, params=params)
    return JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=params)


def _id(value: JsonValue) -> int | float | str | None:
    """An id that can be sent back (2.0 as 2); None if it cannot."""
    if isinstance(value, str):
        return value if len(value) <= _MOST_ID else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parsed(text: str, alone: str) -> JsonValue:
    """The JSON value. A lone surrogate, as in a truncated text, becomes the replacement character."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_integer)
        if _SURROGATE_ESCAPE.search(text):
            value = without_lone_surrogates(value)
    except ValueError:
        raise Malformed(PARSE_ERROR, f"This is not one JSON text. Send each message {alone}.") from None
    return value


def without_depth(text: str) -> str:
    """The text with null for what is nested too deeply, so that the id above it can be read."""
    if text.count("[") + text.count("{") <= _MOST_DEPTH:
        return text
    depth, end, kept = 0, 0, list[str]()
    for match in _TEXT_OR_BRACKET.finditer(text):
        character = text[match.start()]
        if character in "[{":
            depth += 1
            if depth == _MOST_DEPTH + 1:
                kept.append(text[end : match.start()])
        elif character in "]}":
            if depth == _MOST_DEPTH + 1:
                kept.append("null")
                end = match.end()
            depth -= 1
    return "".join(kept) if depth > _MOST_DEPTH else "".join([*kept, text[end:]])


def without_lone_surrogates(value: JsonValue) -> JsonValue:
    """The same, with the replacement character for each half of a character, as a truncated text has."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(_LONE_SURROGATE.sub("\ufffd", text)) if _LONE_SURROGATE.search(text) else value


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def line_of(message: JSONRPCMessage) -> bytes:
    """The line for a message; an error for a response that cannot be sent, nothing for such a notification."""
    code, problem = INTERNAL_ERROR, _TOO_LARGE
    try:
        line = _encoded(message.model_dump(by_alias=True, exclude_unset=True))
        if len(line) <= MOST_BYTES:
            return line
    except (ValueError, RecursionError):
        problem = _UNWRITABLE
    if isinstance(message, JSONRPCError):  # its data repeat what the client sent
        code, problem = message.error.code, message.error.message[:_MOST_ID]
    if isinstance(message, JSONRPCResponse | JSONRPCError):
        return Malformed(code, problem, message.id).answer()
    return b""


def _encoded(content: JsonValue) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"
