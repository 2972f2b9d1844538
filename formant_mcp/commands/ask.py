"""`formant-mcp list|search|summarize|show`: the questions of an assistant's tools, for a person or a script."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping

from pydantic import JsonValue, ValidationError

from formant_mcp.app import App
from formant_mcp.commands.answers import print_answer
from formant_mcp.commands.progress import show_loading
from formant_mcp.errors import FormantError
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.tools import TOOLS
from formant_mcp.server.tools.tool import Reply
from formant_mcp.settings import Settings

_INCOMPLETE = 3


def run_ask(
    open_app: Callable[[], Awaitable[App]], tool_name: str, arguments: Mapping[str, object], *, as_json: bool
) -> int:
    """Prints the tool's answer; returns the exit status: 0 if it is complete, 3 if not, 1 if something failed."""
    try:
        reply = asyncio.run(_ask(open_app, tool_name, arguments))
    except FormantError as error:
        print(error, file=sys.stderr)
        return 1
    answer = reply.structured.model_dump(mode="json", exclude_none=True)
    if as_json:
        _print_json(answer)
    else:
        print_answer(reply)
    if answer.get("errors"):
        return 1
    return 0 if answer["coverage"]["complete"] else _INCOMPLETE


def _print_json(answer: dict[str, JsonValue]) -> None:
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(encoding="utf-8")  # pipes of Windows have an encoding without Hindi
    print(json.dumps(answer, ensure_ascii=False, indent=2))


async def _ask(open_app: Callable[[], Awaitable[App]], tool_name: str, arguments: Mapping[str, object]) -> Reply:
    tool = next(tool for tool in TOOLS if tool.name == tool_name)
    opened = await open_app()
    app = opened.for_answer()
    try:
        with show_loading() as report:
            return await tool.call(app, arguments, RequestContext(app.now(), app.call_seconds, report))
    except ValidationError as error:
        raise tool.refusal(error, PROVIDERS[Settings.load().provider]) from None
    except FormantError as error:
        raise app.account.shown_error(error) from None
    finally:
        await opened.aclose()
