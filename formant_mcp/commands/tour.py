"""The command `formant-mcp tour`: makes an assistant's calls on the sample account, and prints the answers.

The server runs as a child process and speaks MCP, as with Claude Desktop: what works here works there.
"""

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import cast

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import TextContent, TextResourceContents
from pydantic import JsonValue

from formant_mcp.commands.tour_steps import READ, STEPS, Answer, Step

_SAMPLE_ZONE = "Asia/Kolkata"  # where most of the sample account's calls are made: its "yesterday" is used
_SECONDS = 60  # for one answer: far more than any needs
_LINES, _CHARACTERS = 12, 116  # of an answer on the screen
_KEY = "paste your Formant API key here"


def run_tour() -> int:
    """Runs all steps; returns 0 if everything worked, else 1 after a line that says what did not."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")  # some terminals cannot show Hindi; that is no reason to stop
    problem = ""
    try:
        problem = anyio.run(_run_steps)
    except* (MCPError, OSError) as group:
        problem = f"the server did not start or ended too early: {_first_error(group)}"
    if problem:
        print(f"The tour failed: {problem}")
        return 1
    print(f"All {len(STEPS)} steps worked.\n\n{_how_to_connect()}")
    return 0


async def _run_steps() -> str:
    """Runs every step in turn; returns what went wrong, '' if nothing did."""
    with TemporaryDirectory(prefix="formant-mcp-tour-") as folder:
        async with Client(_server(folder), read_timeout_seconds=_SECONDS) as client:
            listed = await client.list_tools()
            offer = f"The server offers {', '.join(tool.name for tool in listed.tools)}, and resources."
            print(
                "A tour of formant-mcp on its sample account: about 600 calls of 5 voice agents, no key, no network."
                "\nEach step is a person's question, the call an assistant makes of it, and the answer it gets (cut to"
                f" fit here).\n{fill(offer, _CHARACTERS)}\n"
            )
            kept: dict[str, str] = {}
            for number, step in enumerate(STEPS, start=1):
                problem = await _run_step(client, step, number, kept)
                if problem:
                    return f"step {number} ({step.tool}): {problem}"
    return ""


def _server(folder: str) -> StdioServerParameters:
    """The sample account's server, without any of the user's own settings, and with `folder` for recordings."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("FORMANT_")}
    environment |= {"FORMANT_RECORDINGS_DIR": folder, "FORMANT_TIMEZONE": _SAMPLE_ZONE}
    return StdioServerParameters(command=sys.executable, args=["-m", "formant_mcp", "--demo"], env=environment)


async def _run_step(client: Client, step: Step, number: int, kept: dict[str, str]) -> str:
    arguments = {name: _fill_in(value, kept) for name, value in step.arguments.items()}
    print(f"{number}. {step.question}\n   {step.tool} {json.dumps(arguments, ensure_ascii=False)}\n")
    try:
        answer = await (_read(client, arguments) if step.tool == READ else _call(client, step.tool, arguments))
    except (MCPError, RuntimeError) as error:  # the SDK's RuntimeError: an answer that violates the tool's schema
        return str(error)
    print(_on_screen(answer.text))
    print(f"\n   Why it matters: {step.why}\n")
    if not answer.structured:
        return "the answer is an error, or without structured content."
    if not _is_complete(answer) or not step.holds(answer):
        return f"the answer is not what was expected: {step.expects}, and complete coverage."
    if step.keeps:
        kept[step.keeps] = answer.structured["conversations"][0]["conversation_id"]
    return ""


async def _call(client: Client, tool: str, arguments: dict[str, JsonValue]) -> Answer:
    result = await client.call_tool(tool, arguments)
    text = "\n".join(content.text for content in result.content if isinstance(content, TextContent))
    return Answer(text, {} if result.is_error else result.structured_content or {})


async def _read(client: Client, arguments: dict[str, JsonValue]) -> Answer:
    contents = (await client.read_resource(str(arguments["uri"]))).contents[0]
    if isinstance(contents, TextResourceContents):
        return Answer(contents.text, {})
    data = base64.b64decode(contents.blob)
    begins = data[:4].decode("ascii", "replace")
    text = f"{contents.mime_type}, {len(data):,} bytes, beginning with {begins!r}"
    return Answer(text, {"media_type": contents.mime_type, "bytes": len(data), "begins": begins})


def _is_complete(answer: Answer) -> bool:
    """Whether the coverage is complete, and the first line of the text says the same as the structured content."""
    coverage = answer.structured.get("coverage")
    if coverage is None:  # a resource is one thing, and has none
        return True
    first_line = answer.text.partition("\n")[0]
    return coverage["complete"] and f"{coverage['matched']:,} " in first_line and "; complete" in first_line


def _fill_in(value: JsonValue, kept: dict[str, str]) -> JsonValue:
    if isinstance(value, list):
        return [_fill_in(item, kept) for item in value]
    return value.format_map(kept) if isinstance(value, str) else value


def _on_screen(text: str) -> str:
    lines = [line.replace("\t", "  ") for line in text.splitlines()]
    shown = [line if len(line) <= _CHARACTERS else line[: _CHARACTERS - 1] + "…" for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"… {len(lines) - _LINES} more lines")
    return "\n".join(f"   | {line}".rstrip() for line in shown)


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_error(cast(ExceptionGroup[Exception], first)) if isinstance(first, ExceptionGroup) else first


def _how_to_connect() -> str:
    here = Path(sys.executable).parent
    command = shutil.which("formant-mcp", path=str(here)) or str(here / "formant-mcp")
    entry = {"mcpServers": {"formant": {"command": command, "env": {"FORMANT_API_KEY": _KEY}}}}
    return f"""\
To ask about your own calls:

Claude Desktop: Settings > Developer > Edit Config, add this, and start it again:
{json.dumps(entry, indent=2)}

Cursor: the same in ~/.cursor/mcp.json.

Claude Code:
claude mcp add formant --env FORMANT_API_KEY="$FORMANT_API_KEY" -- {command}
Once formant-mcp is on PyPI, and with uv, nothing need be installed first:
claude mcp add formant --env FORMANT_API_KEY="$FORMANT_API_KEY" -- uvx formant-mcp

To try an assistant on this sample account first, add --demo after the command (in JSON: "args": ["--demo"])."""
