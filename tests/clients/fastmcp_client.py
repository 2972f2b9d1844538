"""fastmcp's client."""

import asyncio
import base64

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp_types import ResourceTemplateReference, TextResourceContents
from report import Report, digest, given


async def main() -> None:
    questions, report = given(), Report()
    async with Client(StdioTransport(questions.command, questions.arguments, env=questions.environment)) as client:
        report.tools = [tool.name for tool in await client.list_tools()]
        for name, arguments in questions.calls:
            result = await client.call_tool(name, arguments, raise_on_error=False)
            (block,) = result.content
            report.add(block.text, result.structured_content, is_error=result.is_error)
        for uri in questions.resources:
            (content,) = await client.read_resource(uri)
            is_text = isinstance(content, TextResourceContents)
            report.resources[uri] = content.text if is_text else digest(base64.b64decode(content.blob))
        for name, arguments in questions.prompts:
            (message,) = (await client.get_prompt(name, arguments)).messages
            report.prompts[name] = message.content.text
        template = ResourceTemplateReference(uri=questions.completion["template"])
        report.completion = (await client.complete(template, questions.completion["argument"])).values
    report.show()


asyncio.run(main())
