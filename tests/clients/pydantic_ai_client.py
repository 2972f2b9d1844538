"""Pydantic AI: the tools as an agent calls them, which is shown the structure alone. It has no completion."""

import asyncio

from fastmcp.client.transports import StdioTransport
from pydantic_ai.mcp import MCPToolset
from report import Report, digest, given


async def main() -> None:
    questions, report = given(), Report()
    transport = StdioTransport(questions.command, questions.arguments, env=questions.environment)
    async with MCPToolset(transport, tool_error_behavior="error") as toolset:
        report.tools = [tool.name for tool in await toolset.list_tools()]
        for name, arguments in questions.calls:
            report.add(None, await toolset.direct_call_tool(name, arguments))
        for uri in questions.resources:
            content = await toolset.read_resource(uri)
            report.resources[uri] = content if isinstance(content, str) else digest(content.data)
        for name, arguments in questions.prompts:
            (message,) = (await toolset.get_prompt(name, arguments)).messages
            report.prompts[name] = message.content.content
    report.show()


asyncio.run(main())
