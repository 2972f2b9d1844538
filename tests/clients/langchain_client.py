"""langchain-mcp-adapters: the tools as an agent of LangChain calls them. It has no completion."""

import asyncio

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.prompts import load_mcp_prompt
from langchain_mcp_adapters.resources import load_mcp_resources
from langchain_mcp_adapters.tools import load_mcp_tools
from report import Report, digest, given


async def main() -> None:
    questions, report = given(), Report()
    server = {
        "transport": "stdio",
        "command": questions.command,
        "args": questions.arguments,
        "env": questions.environment,
    }
    async with MultiServerMCPClient({"formant": server}).session("formant") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        report.tools = list(tools)
        for name, arguments in questions.calls:
            message = await tools[name].ainvoke({"type": "tool_call", "name": name, "args": arguments, "id": "1"})
            (block,) = message.content
            report.add(block["text"], message.artifact["structured_content"], is_error=message.status == "error")
        for uri in questions.resources:
            (blob,) = await load_mcp_resources(session, uris=[uri])
            report.resources[uri] = blob.data if isinstance(blob.data, str) else digest(blob.data)
        for name, arguments in questions.prompts:
            (message,) = await load_mcp_prompt(session, name, arguments=arguments)
            report.prompts[name] = message.content
    report.show()


asyncio.run(main())
