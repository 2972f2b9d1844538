"""The command `formant-mcp tour`: makes an assistant's calls on the sample account, and prints the answers.

The server runs as a child process and speaks MCP, as with Claude Desktop: what works here works there.
"""

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import TextContent, TextResourceContents
from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from formant_mcp.commands.answers import show_answer
from formant_mcp.commands.assistants import own_path
from formant_mcp.commands.screen import Screen, text
from formant_mcp.commands.tour_steps import READ, STEPS, Answer, Step
from formant_mcp.models import clean
from formant_mcp.server.tools import TOOLS
from formant_mcp.server.tools.schemas import ListAnswer, TranscriptsAnswer
from formant_mcp.server.tools.search_transcripts import SearchAnswer
from formant_mcp.server.tools.tool import Reply
from formant_mcp.sizes import counted

_SAMPLE_ZONE = "Asia/Kolkata"  # where most of the sample account's calls are made: its "yesterday" is used
_SECONDS = 60  # for one answer: far more than any needs
_INDENT = "  "
_LEFT_OUT: dict[str, None] = dict.fromkeys(("trace_id", "signals", "results", "recording_uri", "next_turn"), None)
_CELLS = 2_000  # of the screen, for one answer: more lines where they are short
_COLUMNS = 116  # where there is no terminal
_INTRODUCTION = (
    "A tour of formant-mcp on its sample account: about 600 calls of 5 voice agents, no key, no network. Each step is a"
    " person's question, the call an assistant makes of it, and the answer, as people read it (cut to fit here)."
)


def run_tour(*, shows_all: bool = False) -> int:
    """Runs all steps, shows three or all; returns 0 if everything worked, else 1, and says what did not."""
    is_terminal = sys.stdout.isatty()
    console = Screen(width=None if is_terminal else _COLUMNS)
    tour, problem, is_closed = _Tour(console, shows_all), "", False
    folder = Path(mkdtemp(prefix="formant-mcp-tour-"))  # it stays: a recording is saved there, to be heard
    try:
        problem = anyio.run(tour.run, folder)
    except* BrokenPipeError:
        is_closed = True
    except* (MCPError, OSError) as group:
        problem = f"the server did not start or ended too early: {_first_error(group)}"
    finally:
        if not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
    if is_closed:
        raise BrokenPipeError
    if problem:
        print(f"The tour failed: {problem}")
        return 1
    hidden = "" if shows_all else f" {_command()} tour --all shows them all."
    console.print(Text(f"{len(STEPS)} of {len(STEPS)} steps worked.{hidden}", "bold green"), soft_wrap=True)
    for path in folder.rglob("*.wav"):
        console.print(Text(f"A recording was saved, and stays: {path}"), soft_wrap=True)
    console.print(Text(f"\nTo ask about your own calls: {_command()} connect claude-desktop"), soft_wrap=True)
    console.print(Text("(or claude-code, cursor, vscode; with --demo to try an assistant on this account first)"))
    return 0


class _Tour:
    """The steps, run in turn; all of them, because one needs what another found, though only some are shown."""

    def __init__(self, console: Console, shows_all: bool) -> None:
        self._console = console
        self._shows_all = shows_all
        self._kept: dict[str, str] = {}
        self._shown = 0

    async def run(self, folder: Path) -> str:
        """Returns what went wrong, '' if nothing did."""
        async with Client(_server(str(folder)), read_timeout_seconds=_SECONDS) as client:
            listed = await client.list_tools()
            offer = f"The server offers {', '.join(tool.name for tool in listed.tools)}, and resources."
            self._console.print(Text(f"{_INTRODUCTION}\n{offer}\n"))
            for number, step in enumerate(STEPS, start=1):
                if problem := await self._run_step(client, step):
                    return f"step {number} ({step.tool}): {problem}"
        return ""

    async def _run_step(self, client: Client, step: Step) -> str:
        arguments = {name: _fill_in(value, self._kept) for name, value in step.arguments.items()}
        is_shown = self._shows_all or step.is_shown
        if is_shown:
            self._shown += 1
            self._console.print(Text(f"{self._shown}. {step.question}", "bold"))
            call = f"{_INDENT}{step.tool} {json.dumps(arguments, ensure_ascii=False)}\n"
            self._console.print(Text(call, "dim"), soft_wrap=True)
        try:
            answer = await (_read(client, arguments) if step.tool == READ else _call(client, step.tool, arguments))
        except (MCPError, RuntimeError) as error:  # the SDK's RuntimeError: an answer that violates the tool's schema
            return str(error)
        if is_shown:
            for line in _on_screen(step.tool, answer, self._console.width - len(_INDENT)):
                indent = _INDENT if line.strip() else ""
                self._console.print(Text.assemble(indent, Text.from_ansi(line.rstrip())), soft_wrap=True)
            why = Padding(Text(f"Why it matters: {step.why}"), (0, 0, 0, len(_INDENT)), expand=False)
            self._console.print("", why, "", sep="\n")
        if not answer.structured:
            return f"the answer is an error, or without structured content: {clean(answer.text)}"
        if not _is_complete(answer) or not step.holds(answer):
            return f"the answer is not what was expected: {step.expects}, and complete coverage."
        if step.keeps:
            self._kept[step.keeps] = answer.structured["conversations"][0]["conversation_id"]
        return ""


def _server(folder: str) -> StdioServerParameters:
    """The sample account's server, without any of the user's own settings, and with `folder` for recordings."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("FORMANT_")}
    environment |= {"FORMANT_RECORDINGS_DIR": folder, "FORMANT_TIMEZONE": _SAMPLE_ZONE}
    return StdioServerParameters(command=sys.executable, args=["-m", "formant_mcp", "--demo"], env=environment)


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


def _on_screen(tool_name: str, answer: Answer, columns: int) -> list[str]:
    """The lines of an answer as people read it, the first of them if there are many."""
    console = Screen(width=columns)
    with console.capture() as captured:
        tool = next((tool for tool in TOOLS if tool.name == tool_name), None)
        if tool and answer.structured:
            show_answer(console, Reply(answer.text, _briefly(tool.answer.model_validate(answer.structured))))
        else:
            console.print(text(answer.text))
    lines = captured.get().splitlines()
    most = _CELLS // columns
    return lines if len(lines) <= most + 1 else [*lines[:most], f"… {counted(len(lines) - most, 'more line')}"]


def _briefly(answer: BaseModel) -> BaseModel:
    """Without the cursor, which is for the assistant, and of a transcript what is not about its turns."""
    match answer:
        case ListAnswer() | SearchAnswer():
            return answer.model_copy(update={"next_cursor": None})
        case TranscriptsAnswer():
            transcripts = [transcript.model_copy(update=_LEFT_OUT) for transcript in answer.conversations]
            return answer.model_copy(update={"conversations": transcripts})
        case _:
            return answer


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_error(cast(ExceptionGroup[Exception], first)) if isinstance(first, ExceptionGroup) else first


def _command() -> str:
    """How this program is called here: by its name, or by its path if the shell does not find it."""
    own = own_path()
    return "formant-mcp" if shutil.which("formant-mcp") == own else own
