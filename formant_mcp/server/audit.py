"""A line for each call over HTTP: who, what, with which outcome; never words, numbers, ids or queries."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types.methods import SPEC_CLIENT_METHODS

from formant_mcp.app import LazyApp
from formant_mcp.models import clean
from formant_mcp.server.members import name_of_sender
from formant_mcp.server.tools import TOOLS

_log = logging.getLogger("formant_mcp.audit")
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
        fields = {
            "member": clean(name_of_sender(ctx.request.scope))[:60],
            "call": call,
            "outcome": outcome,
            "conversations": conversations,
            "ms": round(seconds * 1000),
        }
        _log.info(
            "%(member)s %(call)s: %(outcome)s, %(conversations)d conversations, %(ms)d ms",
            fields,
            extra={"fields": fields},
        )


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
