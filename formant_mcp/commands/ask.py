"""`formant-mcp list|search|summarize|show`: the questions of an assistant's tools, for a person or a script."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pydantic import BaseModel, ValidationError

from formant_mcp.app import App
from formant_mcp.commands.answers import print_answer
from formant_mcp.commands.failures import report_failure
from formant_mcp.commands.progress import show_loading
from formant_mcp.commands.shell_words import in_shell
from formant_mcp.errors import FormantError
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.ordering import parse_fields
from formant_mcp.server.tools import TOOLS
from formant_mcp.server.tools.list_conversations import LIST_CONVERSATIONS, ListArguments
from formant_mcp.server.tools.schemas import ConversationFields, ListAnswer, TranscriptsAnswer
from formant_mcp.server.tools.search_transcripts import SearchAnswer
from formant_mcp.server.tools.summary_schema import SummaryAnswer
from formant_mcp.server.tools.tool import Reply
from formant_mcp.settings import Settings

_INCOMPLETE = 3
_NO_CURSOR = (
    "More match than are shown. The store is in memory and ends with this command, so that no cursor can continue: ask"
    " again with more at once (limit=100 is the most) or with filters."
)


def run_ask(
    open_app: Callable[[], Awaitable[App]],
    tool_name: str,
    arguments: Mapping[str, object],
    *,
    as_json: bool,
    is_demo: bool,
) -> int:
    """Prints the tool's answer; returns the exit status: 0 if it is complete, 3 if not; else as `report_failure`."""
    try:
        reply = asyncio.run(_ask(open_app, tool_name, arguments))
    except FormantError as error:
        return report_failure(error, is_demo=is_demo)
    answer = reply.structured.model_dump(mode="json", exclude_none=True)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        shown = replace(reply, structured=_in_shell(reply.structured, is_demo=is_demo))
        print_answer(shown, _fields(arguments) if tool_name == LIST_CONVERSATIONS.name else ())
    if answer.get("errors"):
        return 1
    return 0 if answer["coverage"]["complete"] else _INCOMPLETE


def _fields(arguments: Mapping[str, object]) -> Sequence[str]:
    """The columns that are named instead of the usual."""
    return parse_fields(ListArguments.model_validate(arguments).fields, ConversationFields.model_fields)


def _without_cursor(reply: Reply) -> Reply:
    """The reply of a store that no later command finds, which would refuse its cursor."""
    answer = reply.structured
    if not isinstance(answer, ListAnswer | SearchAnswer) or not answer.next_cursor:
        return reply
    note = f"{answer.coverage.note or ''} {_NO_CURSOR}".strip()
    coverage = answer.coverage.model_copy(update={"note": note})
    return replace(reply, structured=answer.model_copy(update={"next_cursor": None, "coverage": coverage}))


def _in_shell(answer: BaseModel, *, is_demo: bool) -> BaseModel:
    """The answer, with its notes and errors in the words of a shell."""
    shown = partial(in_shell, is_demo=is_demo)
    update: dict[str, object] = {}
    if isinstance(answer, ListAnswer | SearchAnswer | SummaryAnswer | TranscriptsAnswer) and answer.coverage.note:
        update["coverage"] = answer.coverage.model_copy(update={"note": shown(answer.coverage.note)})
    if isinstance(answer, TranscriptsAnswer):
        update["errors"] = [error.model_copy(update={"message": shown(error.message)}) for error in answer.errors]
    return answer.model_copy(update=update)


async def _ask(open_app: Callable[[], Awaitable[App]], tool_name: str, arguments: Mapping[str, object]) -> Reply:
    tool = next(tool for tool in TOOLS if tool.name == tool_name)
    opened = await open_app()
    app = opened.for_answer()
    try:
        with show_loading() as report:
            reply = await tool.call(app, arguments, RequestContext(app.now(), app.call_seconds, report))
        return reply if app.is_kept else _without_cursor(reply)
    except ValidationError as error:
        raise tool.refusal(error, PROVIDERS[Settings.load().provider]) from None
    except FormantError as error:
        raise app.account.shown_error(error) from None
    finally:
        await opened.aclose()
