"""The MCP server: connects tools, resources and prompts to the SDK, and translates errors."""

import asyncio
import json
import logging
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from formant_mcp import __version__
from formant_mcp.app import App, LazyApp
from formant_mcp.errors import FormantError, InvalidRequestError, NotFoundError, StoreError
from formant_mcp.log import described
from formant_mcp.models import clean, named
from formant_mcp.providers.registry import ProviderSpec
from formant_mcp.queries.forms import is_left_out, json_in
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.jsonrpc import without_depth, without_lone_surrogates
from formant_mcp.server.members import member_of
from formant_mcp.server.prompts import PROMPTS, complete_argument, get_prompt
from formant_mcp.server.resources import TEMPLATES, list_resources, read_resource
from formant_mcp.server.tools import TOOLS
from formant_mcp.server.tools.tool import Tool

_log = logging.getLogger(__name__)
_BY_NAME = {tool.name: tool for tool in TOOLS}
_FORMS = {
    "string_type": "a text",
    "dict_type": "an object, names with values",
    "model_type": "an object, names with values",
    "model_attributes_type": "an object, names with values",
    "int_type": "a whole number",
    "list_type": "a list",
}
_MOST_CHARACTERS = 10_000  # of an argument, as JSON
_HOUR_MS = 3_600_000
_MARGIN_SECONDS = 3.0  # in addition to a call's time, to build its answer
_OPENING_SECONDS = 60.0  # for the first question alone, which may migrate the store
_SILENT = "The store does not answer."
_SILENT_HINT = "Retry. If it persists, check that the database or disk of FORMANT_STORE works, or narrow the question."
_UNEXPECTED = "Internal error in formant-mcp."
_UNEXPECTED_HINT = "Retry; if it persists, start it with FORMANT_LOG_LEVEL=DEBUG and report what it logs."

FormantServer = Server[LazyApp]
Request = ServerRequestContext[LazyApp]


def build_server(lazy_app: LazyApp, instructions: str, provider: ProviderSpec) -> Server[LazyApp]:
    """The server, described in the provider's terms; the account is opened at the first question, closed at the end."""

    @asynccontextmanager
    async def lifespan(_: Server[LazyApp]) -> AsyncGenerator[LazyApp]:
        try:
            yield lazy_app
        finally:
            await lazy_app.aclose()

    async def list_tools(_: Request, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(_listed_tools(provider)))

    static = CacheHint(ttl_ms=_HOUR_MS, scope="public")
    server = Server(
        "formant-mcp",
        version=__version__,
        title="Voice call review",
        description="Lists, filters, reads and saves a company's voice calls.",
        icons=[_icon()],
        instructions=instructions,
        cache_hints={"tools/list": static, "resources/templates/list": static, "prompts/list": static},
        lifespan=lifespan,
        get_tool_input_schema=lambda _: None,  # no tool declares headers; else the SDK lists all tools before each call
        on_list_tools=list_tools,
        on_call_tool=partial(_call_tool, provider),
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_templates,
        on_read_resource=_read_resource,
        on_list_prompts=_list_prompts,
        on_get_prompt=_get_prompt,
        on_completion=_complete,
    )
    server.middleware.append(_check_params)
    return server


@cache
def _listed_tools(provider: ProviderSpec) -> tuple[types.Tool, ...]:
    """All tools; to describe them takes milliseconds, and each session lists them."""
    return tuple(tool.to_mcp(provider) for tool in TOOLS)


def _icon() -> types.Icon:
    """Small, because newer clients get it with each result; a PNG, which all clients must show."""
    data = b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()
    return types.Icon(src=f"data:image/png;base64,{data}", mime_type="image/png", sizes=["32x32"])


async def _check_params(ctx: ServerRequestContext[LazyApp, Any], call_next: CallNext) -> HandlerResult:
    """Accepts a tool's arguments as JSON text too, and reports which parameter of a request is wrong."""
    params = cast(dict[str, Any], without_lone_surrogates(dict(ctx.params or {})))
    sent = params.get("arguments")
    inside = json_in(sent) if isinstance(sent, str) and without_depth(sent) == sent else sent
    if ctx.method == "tools/call" and (is_left_out(inside) or isinstance(inside, dict)):
        params["arguments"] = inside or {}
    ctx = replace(ctx, params=params)
    try:
        return await call_next(ctx)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The parameter is the last name of the location.
    name = next((named(name) for name in reversed(wrong["loc"]) if isinstance(name, str)), "params")
    what = "is missing" if wrong["type"] == "missing" else f"must be {_FORMS.get(wrong['type'], 'of another form')}"
    raise MCPError(types.INVALID_PARAMS, f"{clean(ctx.method)[:60]}: {name} {what}.")


async def _call_tool(
    provider: ProviderSpec, request: Request, params: types.CallToolRequestParams
) -> types.CallToolResult:
    tool = _BY_NAME.get(params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool. Tools: {', '.join(_BY_NAME)}.")
    started_at = time.monotonic()
    result = await _run_tool(tool, provider, request, params.arguments or {})
    structured = cast(dict[str, Any], result.structured_content or {})
    coverage = cast(dict[str, Any], structured.get("coverage", {}))
    outcome = "error" if result.is_error else "complete" if coverage.get("complete") else "incomplete"
    matched, listed = coverage.get("matched", 0), coverage.get("known", 0)
    ms = (time.monotonic() - started_at) * 1000
    _log.debug("tool %s: %s, %s of %s calls, %d ms", tool.name, outcome, matched, listed, ms)
    return result


async def _run_tool(
    tool: Tool[Any], provider: ProviderSpec, request: Request, arguments: dict[str, Any]
) -> types.CallToolResult:
    try:
        _check_lengths(arguments)
        async with _app_in_time(request) as app:
            reply = await tool.call(_publishing(app, request), arguments, _new_context(app, request))
        structured = reply.structured.model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        return _error_result(tool.refusal(error, provider))
    except FormantError as error:
        return _error_result(error)
    except Exception as error:  # noqa: BLE001 - the outermost place: a bug must not end the server or quote a caller
        return _error_result(_unexpected(error))
    return types.CallToolResult(
        content=[types.TextContent(text=reply.text)],
        structured_content=structured,
    )


def _check_lengths(arguments: dict[str, Any]) -> None:
    """Refuses what takes the server long to read, and is no question.

    Raises:
        InvalidRequestError: an argument is too long; names it.
    """
    for name, value in arguments.items():
        if len(json.dumps(value, ensure_ascii=False)) > _MOST_CHARACTERS:
            raise InvalidRequestError(
                f"{clean(name)[:60]} is too long: {_MOST_CHARACTERS:,} characters at most.", "Ask in several calls."
            )


async def _list_resources(request: Request, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    cursor = (params.cursor if params else None) or ""
    with _protocol_errors():
        async with _app_in_time(request) as app:
            entries, next_cursor = await list_resources(app, _new_context(app, request), cursor)
    return types.ListResourcesResult(resources=entries, next_cursor=next_cursor or None)


async def _list_templates(_: Request, __: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=[template.to_mcp() for template in TEMPLATES])


async def _read_resource(request: Request, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    with _protocol_errors(uri):
        async with _app_in_time(request) as app:
            contents = await read_resource(app, _new_context(app, request), uri)
    return types.ReadResourceResult(contents=[contents])


async def _list_prompts(_: Request, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[prompt.to_mcp() for prompt in PROMPTS])


async def _get_prompt(request: Request, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    async def agents() -> Mapping[str, str | None]:
        async with _app_in_time(request) as app:
            return await app.account.agents(app.call_seconds)

    with _protocol_errors():
        return await get_prompt(params.name, params.arguments or {}, agents)


async def _complete(request: Request, params: types.CompleteRequestParams) -> types.CompleteResult:
    """Completions for what is typed; none on an error, because nobody wants errors while typing."""
    name, typed = params.argument.name, params.argument.value
    try:
        with _protocol_errors():
            async with _app_in_time(request) as app:
                completion = await complete_argument(app, _new_context(app, request), name, typed)
    except MCPError:
        completion = types.Completion(values=[])
    return types.CompleteResult(completion=completion)


@asynccontextmanager
async def _app_in_time(request: Request) -> AsyncGenerator[App]:
    """The account, as it exists for whoever sent the request. What is done with it is ended soon after a call's time.

    Raises:
        StoreError: it had to be ended. All else that a call waits for has limits of its own.
    """
    limit = asyncio.timeout(_OPENING_SECONDS)
    try:
        async with limit:
            app = (await request.lifespan_context.app()).for_answer(member_of(request))
            limit.reschedule(asyncio.get_running_loop().time() + app.call_seconds + _MARGIN_SECONDS)
            try:
                yield app
            except FormantError as error:
                raise app.account.shown_error(error) from None
    except TimeoutError:
        if not limit.expired():
            raise
        raise StoreError(_SILENT, _SILENT_HINT) from None


def _publishing(app: App, request: Request) -> App:
    """Over HTTP the app gives links to files, because clients are on other machines."""
    return replace(app, publish=request.request.state.publish) if request.request else app


def _new_context(app: App, request: Request) -> RequestContext:
    before = last = 0

    async def report(done: int, total: int) -> None:
        nonlocal before, last
        if done < last:  # of the next step: the figures that a host gets must grow
            before += last
        is_more, last = done != last, done
        if is_more:
            words = f"{done:,} of {total:,} requests" if total else "reading the list of calls"
            await request.session.report_progress(before + done, before + total if total else None, words)

    return RequestContext(app.now(), app.call_seconds, report)


def _error_result(error: FormantError) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)


@contextmanager
def _protocol_errors(uri: str = "") -> Generator[None]:
    """Outside tools, errors become errors of the protocol."""
    try:
        yield
    except FormantError as error:
        raise _protocol_error(error, uri) from None
    except Exception as error:  # noqa: BLE001 - as for tools: the SDK would send its text to the client
        raise _protocol_error(_unexpected(error), uri) from None


def _protocol_error(error: FormantError, uri: str) -> MCPError:
    is_invalid = isinstance(error, NotFoundError | InvalidRequestError)
    code = types.INVALID_PARAMS if is_invalid else types.INTERNAL_ERROR
    return MCPError(code, str(error), data={"uri": uri} if uri else None)


def _unexpected(error: Exception) -> FormantError:
    _log.error("%s", described(error))
    return FormantError(_UNEXPECTED, _UNEXPECTED_HINT)
