"""A line for each call or refusal over HTTP: who, what, with which outcome; never words, numbers, ids or queries."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types.methods import SPEC_CLIENT_METHODS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from formant_mcp.app import LazyApp
from formant_mcp.models import clean
from formant_mcp.server.members import login_of_sender, name_of_sender, peer_of
from formant_mcp.server.tools import TOOLS

_log = logging.getLogger("formant_mcp.audit")
_REFUSALS = frozenset({401, 403, 408, 413, 421, 429, 503})
_TOOLS = frozenset(tool.name for tool in TOOLS)


async def audit(
    count_call: Callable[[str, str, float], None] | None,
    ctx: ServerRequestContext[LazyApp, Any],
    call_next: CallNext,
) -> HandlerResult:
    """Middleware of the SDK's server: logs every request after it was answered.

    `count_call` also gets each call, its outcome and its seconds.
    """
    if ctx.request is None or ctx.request_id is None:  # not over HTTP, or a notification
        return await call_next(ctx)
    started_at, outcome, conversations = time.monotonic(), "error", 0
    try:
        result = await call_next(ctx)
        outcome, conversations = _outcome(result)
        return result
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        seconds = time.monotonic() - started_at
        call = _name(ctx.method, ctx.params or {})
        if count_call:
            count_call(call, outcome, seconds)
        _log_call(_sender(ctx.request.scope), call, outcome, conversations, seconds)


class RefusalsLog:
    """The same app, with a line for each refusal, which no handler of MCP sees; of downloads, for each response."""

    def __init__(self, app: ASGIApp, call: str) -> None:
        self._app = app
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.monotonic()

        async def send_and_log(message: Message) -> None:
            await send(message)
            status = message.get("status", 0)
            if status in _REFUSALS or (status and self._call == "download"):
                sender = {"member": peer_of(scope)} if status == 401 else _sender(scope)
                _log_call(sender, self._call, f"status {status}", 0, time.monotonic() - started_at)

        await self._app(scope, receive, send_and_log)


def _sender(scope: Scope) -> dict[str, str]:
    """Who sent a request: `member`, and `login` if that is a name that people may choose."""
    login = login_of_sender(scope)
    return {"member": name_of_sender(scope), **({"login": login} if login else {})}


def _log_call(sender: Mapping[str, str], call: str, outcome: str, conversations: int, seconds: float) -> None:
    who, ms = clean(sender["member"])[:60], round(seconds * 1000)
    fields = {**sender, "member": who, "call": call, "outcome": outcome, "conversations": conversations, "ms": ms}
    if "login" in sender:  # in quotes, so that no name reads as another sender or as the rest of a line
        who = f"login={sender['login']} {json.dumps(who, ensure_ascii=False)}"
    _log.info("%s %s: %s, %d conversations, %d ms", who, call, outcome, conversations, ms, extra={"fields": fields})


def _name(method: str, params: Mapping[str, Any]) -> str:
    """The tool of a call, else the method; only names of our own, because clients may send anything."""
    name = params.get("name")
    if method == "tools/call" and isinstance(name, str) and name in _TOOLS:
        return name
    return method if method in SPEC_CLIENT_METHODS else "unknown method"


def _outcome(result: HandlerResult) -> tuple[str, int]:
    """The outcome of a request that was answered, and how many conversations matched; `result` is as sent."""
    if not isinstance(result, dict) or result.get("isError"):
        return "error", 0
    coverage = result.get("structuredContent", {}).get("coverage", {"complete": True})
    return "complete" if coverage["complete"] else "incomplete", coverage.get("matched", 0)
