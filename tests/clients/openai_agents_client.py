"""OpenAI's Agents SDK: the tools as an agent calls them, once for each of its two ways to show an answer.

By default it shows the text; with `use_structured_content` the structure. It has no completion.
"""

import asyncio
import base64
import json

from agents import RunContextWrapper
from agents.mcp import MCPServerStdio, MCPServerStdioParams, MCPUtil
from agents.tool_context import ToolContext
from mcp_types import TextResourceContents
from report import Given, Report, digest, given


def server_of(questions: Given, *, is_structured: bool) -> MCPServerStdio:
    """The server; its usual five seconds for an answer are less than a first call may take."""
    params = MCPServerStdioParams(command=questions.command, args=questions.arguments, env=questions.environment)
    return MCPServerStdio(params, client_session_timeout_seconds=60, use_structured_content=is_structured)


async def outputs(server: MCPServerStdio, questions: Given, report: Report) -> list[object]:
    """What an agent is shown of each call."""
    context, found = RunContextWrapper(context=None), {}
    for tool in await server.list_tools():
        found[tool.name] = MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True)
    report.tools = list(found)
    shown: list[object] = []
    for name, arguments in questions.calls:
        text = json.dumps(arguments)
        call = ToolContext(context.context, tool_name=name, tool_call_id="1", tool_arguments=text)
        shown.append(await found[name].on_invoke_tool(call, text))
    return shown


async def main() -> None:
    questions, report = given(), Report()
    async with server_of(questions, is_structured=False) as server:
        texts = await outputs(server, questions, report)
        for uri in questions.resources:
            (content,) = (await server.read_resource(uri)).contents
            is_text = isinstance(content, TextResourceContents)
            report.resources[uri] = content.text if is_text else digest(base64.b64decode(content.blob))
        for name, arguments in questions.prompts:
            (message,) = (await server.get_prompt(name, arguments)).messages
            report.prompts[name] = message.content.text
    async with server_of(questions, is_structured=True) as server:
        structures = await outputs(server, questions, report)
    for text, structure in zip(texts, structures, strict=True):
        is_error = not isinstance(text, dict)  # an error is shown as a string
        report.add(
            str(text) if is_error else text["text"], None if is_error else json.loads(structure), is_error=is_error
        )
    report.show()


asyncio.run(main())
