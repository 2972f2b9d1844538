"""The second major version of the Python SDK, in the era that the variable MODE names."""

import asyncio
import base64
import os

from mcp import Client, StdioServerParameters
from mcp_types import ResourceTemplateReference, TextResourceContents
from report import Report, digest, given


async def main() -> None:
    questions, report = given(), Report()
    server = StdioServerParameters(command=questions.command, args=questions.arguments, env=questions.environment)
    async with Client(server, mode=os.environ["MODE"]) as client:
        report.tools = [tool.name for tool in (await client.list_tools()).tools]
        for name, arguments in questions.calls:
            result = await client.call_tool(name, arguments)
            (block,) = result.content
            report.add(block.text, result.structured_content, is_error=bool(result.is_error))
        for uri in questions.resources:
            (content,) = (await client.read_resource(uri)).contents
            is_text = isinstance(content, TextResourceContents)
            report.resources[uri] = content.text if is_text else digest(base64.b64decode(content.blob))
        for name, arguments in questions.prompts:
            (message,) = (await client.get_prompt(name, arguments)).messages
            report.prompts[name] = message.content.text
        template = ResourceTemplateReference(uri=questions.completion["template"])
        report.completion = (await client.complete(template, questions.completion["argument"])).completion.values
    report.show()


asyncio.run(main())
