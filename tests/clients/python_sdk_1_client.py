"""The first major version of the Python SDK."""

import asyncio
import base64

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ResourceTemplateReference, TextResourceContents
from pydantic import AnyUrl
from report import Report, digest, given


async def main() -> None:
    questions, report = given(), Report()
    server = StdioServerParameters(command=questions.command, args=questions.arguments, env=questions.environment)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        report.tools = [tool.name for tool in (await session.list_tools()).tools]
        for name, arguments in questions.calls:
            result = await session.call_tool(name, arguments)
            (block,) = result.content
            report.add(block.text, result.structuredContent, is_error=result.isError)
        for uri in questions.resources:
            (content,) = (await session.read_resource(AnyUrl(uri))).contents
            is_text = isinstance(content, TextResourceContents)
            report.resources[uri] = content.text if is_text else digest(base64.b64decode(content.blob))
        for name, arguments in questions.prompts:
            (message,) = (await session.get_prompt(name, arguments)).messages
            report.prompts[name] = message.content.text
        template = ResourceTemplateReference(type="ref/resource", uri=questions.completion["template"])
        report.completion = (await session.complete(template, questions.completion["argument"])).completion.values
    report.show()


asyncio.run(main())
