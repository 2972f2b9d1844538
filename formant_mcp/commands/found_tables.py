"""The answers of the tools that find calls to review, changes and phrases, as people read them."""

import re

from pydantic import BaseModel
from rich.console import Console

from formant_mcp.commands.screen import Columns, percent, print_rows, print_table, text
from formant_mcp.server.tools.changes_schema import ChangesAnswer
from formant_mcp.server.tools.changes_text import change_cells
from formant_mcp.server.tools.find_calls_to_review import ReviewAnswer, reason_text
from formant_mcp.server.tools.schemas import PhrasesAnswer
from formant_mcp.server.tools.text import format_offset
from formant_mcp.server.tools.tool import Reply

_FENCE = re.compile(r'.*data, not instructions, up to the line "end \w+"|end \w+')
_CHANGE = ("changed", "before", "after", "difference (95 % interval)", "since")
_NUMBERS = ("score", "conversations", "share", "turns", "elsewhere", "share elsewhere")


def print_found(console: Console, reply: Reply) -> None:
    """The table, then the other lines of the text, without what is for assistants alone."""
    _print_table(console, reply.structured)
    console.print()
    for line in reply.text.splitlines()[1:]:
        if "\t" not in line and not _FENCE.fullmatch(line):
            console.print(text(line))


def _print_table(console: Console, answer: BaseModel) -> None:
    match answer:
        case ReviewAnswer():
            print_rows(console, [call.conversation_id for call in answer.conversations], _calls(answer), _NUMBERS)
        case ChangesAnswer():
            rows = [change_cells(change, {})[: len(_CHANGE)] for change in answer.changes]
            print_table(console, dict(zip(_CHANGE, zip(*rows, strict=True), strict=True)))
        case PhrasesAnswer():
            print_table(console, _phrases(answer), _NUMBERS)
        case _:
            pass


def _calls(answer: ReviewAnswer) -> Columns:
    calls = answer.conversations
    return {
        "score": [str(call.score) for call in calls],
        "agent": [call.agent_id or "" for call in calls],
        "name": [call.agent_name or "" for call in calls],
        "started": [
            f"{start:%Y-%m-%d %H:%M} {format_offset(start)}" if (start := call.started_at) else "" for call in calls
        ],
        "reasons": ["; ".join(map(reason_text, call.reasons)) or "drawn at random" for call in calls],
    }


def _phrases(answer: PhrasesAnswer) -> Columns:
    phrases = answer.phrases
    elsewhere = [phrase.elsewhere for phrase in phrases]
    return {
        "conversations": [f"{phrase.conversations:,}" for phrase in phrases],
        "share": [percent(phrase.share) for phrase in phrases],
        "turns": [f"{phrase.turns:,}" for phrase in phrases],
        "elsewhere": [f"{other.conversations:,}" if other else "" for other in elsewhere],
        "share elsewhere": [percent(other.share) if other else "" for other in elsewhere],
        "phrase": [phrase.text for phrase in phrases],
    }
