"""The answers of tools, as people read them: coverage first, then a table or turns, then notes."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from formant_mcp.commands.found_tables import print_found
from formant_mcp.commands.screen import ROLES, fields_of, print_rows, screen, text
from formant_mcp.commands.summary_tables import print_summary
from formant_mcp.server.tools.schemas import (
    ConversationAnswer,
    CoverageAnswer,
    ListAnswer,
    TranscriptAnswer,
    TranscriptsAnswer,
)
from formant_mcp.server.tools.search_transcripts import HitAnswer, SearchAnswer
from formant_mcp.server.tools.summary_schema import SummaryAnswer
from formant_mcp.server.tools.text import (
    EMPTY,
    format_mmss,
    format_offset,
    format_seconds,
    results_line,
    value_text,
)
from formant_mcp.server.tools.tool import Reply
from formant_mcp.sizes import counted

_TURN = re.compile(r'(\d+) ("(?:[^"\\]|\\.)*"|\S+)(?: (\d+:\d\d))?(?: (.*))?', re.DOTALL)
_MARKED = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
_FIELDS = ("agent_id", "agent_name", "contact_number", "user_id", "direction", "status", "failure_reason", "trace_id")

_HEADERS = {
    "agent_id": "agent",
    "agent_name": "name",
    "contact_number": "contact",
    "user_id": "user",
    "direction": "direction",
    "status": "status",
}


def print_answer(reply: Reply, fields: Sequence[str] = ()) -> None:
    """Prints an answer to stdout; `fields`: the columns of a list, if not the usual."""
    with screen() as console:
        show_answer(console, reply, fields)


def show_answer(console: Console, reply: Reply, fields: Sequence[str] = ()) -> None:
    """Prints an answer of any tool."""
    console.print(text(reply.text.partition("\n")[0], "bold"))
    match reply.structured:
        case ListAnswer() as answer:
            _print_list(console, answer, fields)
            more = _more(len(answer.conversations), answer.coverage.matched, answer.next_cursor)
            _print_notes(console, answer.coverage, more)
        case SearchAnswer() as answer:
            _print_hits(console, answer)
            more = _more(len(answer.hits), answer.hits_total, answer.next_cursor)
            _print_notes(console, answer.coverage, more)
        case SummaryAnswer() as answer:
            print_summary(console, answer)
            _print_notes(console, answer.coverage)
        case TranscriptsAnswer() as answer:
            for conversation in answer.conversations:
                _print_conversation(console, conversation)
            lost = [f"{error.conversation_id}: {error.message}" for error in answer.errors]
            _print_notes(console, answer.coverage, *lost)
        case _:
            print_found(console, reply)


def _print_notes(console: Console, coverage: CoverageAnswer, *more: str) -> None:
    notes = [*more]
    if coverage.details_needed > coverage.details_read:
        notes.append(f"Transcripts loaded: {coverage.details_read:,} of {coverage.details_needed:,}.")
    if coverage.note:
        notes.append(coverage.note if coverage.complete else f"Incomplete: {coverage.note}")
    if any(notes):
        console.print()
    for note in filter(None, notes):
        console.print(text(note, "" if coverage.complete else "yellow"))


def _more(shown: int, total: int, cursor: str | None) -> str:
    return f"{shown:,} of {total:,} shown; for more: --cursor {cursor}" if cursor else ""


def _print_list(console: Console, answer: ListAnswer, fields: Sequence[str]) -> None:
    rows = answer.conversations
    if not rows:
        return
    starts, cells = _starts([row.started_at for row in rows])
    columns = {
        starts: cells,
        **{header: [getattr(row, name) or "" for row in rows] for name, header in _HEADERS.items()},
        "seconds": [_seconds(row.duration_seconds) for row in rows],
        "reason": [row.failure_reason or "" for row in rows],
        **_extracted(rows),
        "words": [row.gist or "" for row in rows],
    }
    headers = {**_HEADERS, "started_at": starts, "duration_seconds": "seconds", "failure_reason": "reason"}
    names = [headers.get(name, name) for name in fields if name != "conversation_id"]
    named = {name: [cell or EMPTY for cell in columns.get(name, [""] * len(rows))] for name in names}
    print_rows(console, [row.conversation_id for row in rows], {**named, **columns, **named}, ("seconds",))


def _extracted(rows: Sequence[ConversationAnswer]) -> dict[str, list[str]]:
    """A column for each field of results and signals that a row has."""
    columns: dict[str, list[str]] = {}
    for kind in ("results", "signals"):
        values = [(row.results if kind == "results" else row.signals) or {} for row in rows]
        for name in dict.fromkeys(name for value in values for name in value):
            columns[f"{kind}.{name}"] = [value_text(value[name]) if name in value else "" for value in values]
    return columns


def _starts(starts: Sequence[datetime | None]) -> tuple[str, list[str]]:
    """The header with the offset, if all share one, and the cells."""
    offsets = {format_offset(start) for start in starts if start}
    if len(offsets) == 1:
        return f"started ({offsets.pop()})", [f"{start:%Y-%m-%d %H:%M}" if start else "" for start in starts]
    return "started", [_moment(start) for start in starts]


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} {format_offset(moment)}" if moment else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else format_seconds(value)


def _print_hits(console: Console, answer: SearchAnswer) -> None:
    spelled = f", {answer.spelling_hits:,} of them only by another spelling" if answer.spelling_hits else ""
    where = counted(answer.conversations_total, "conversation")
    console.print(text(f"{counted(answer.hits_total, 'hit')} in {where}{spelled}."))
    for conversation_id, group in groupby(answer.hits, key=lambda hit: hit.conversation_id):
        hits = list(group)
        agent = f" · agent {hits[0].agent_id}" if hits[0].agent_id else ""
        started = f" · {_moment(hits[0].started_at)}" if hits[0].started_at else ""
        console.print()
        console.print(text(f"{conversation_id}{started}{agent}", "bold"))
        console.print(_turns([line for hit in hits for line in _hit_turns(hit)]))
        if hits[-1].more:
            console.print(text(f"and {hits[-1].more:,} more"))


def _hit_turns(hit: HitAnswer) -> list[tuple[Text, ...]]:
    own = (str(hit.turn), hit.role, "" if hit.seconds is None else format_mmss(hit.seconds), hit.text)
    return [
        *(_turn(*_parts(line), style="dim") for line in hit.before),
        _turn(*own, has_marks=True),
        *(_turn(*_parts(line), style="dim") for line in hit.after),
    ]


def _print_conversation(console: Console, answer: TranscriptAnswer) -> None:
    console.print()
    console.print(text(answer.conversation_id, "bold"), soft_wrap=True)
    fields = {name.replace("_", " "): getattr(answer, name) for name in _FIELDS}
    fields |= {
        "started": _moment(answer.started_at),
        "ended": _moment(answer.ended_at),
        "seconds": _seconds(answer.duration_seconds),
        "signals": answer.signals and results_line({**answer.signals}),
        "recording": answer.recording_uri,
        **{f"results.{name}": value_text(value) for name, value in (answer.results or {}).items()},
    }
    console.print(Padding(fields_of({name: value or "" for name, value in fields.items()}), (0, 0, 1, 2)))
    console.print(_turns([_turn(*_parts(line)) for line in answer.transcript.splitlines()]))
    if answer.next_turn is not None:
        shown = f"{answer.turn_count:,} turns in all; for more: --from-turn {answer.next_turn}"
        console.print(text(shown, "yellow"))
    if not answer.turn_count:
        console.print(text("No transcript."))


def _parts(line: str) -> tuple[str, str, str, str]:
    """Index, role, time and words of a turn's line."""
    match = _TURN.fullmatch(line)
    return (match[1], match[2], match[3] or "", match[4] or "") if match else ("", "", "", line)


def _turn(index: str, role: str, at: str, words: str, style: str = "", *, has_marks: bool = False) -> tuple[Text, ...]:
    said = text(words, style)
    if has_marks:
        said.highlight_regex(_MARKED, "bold yellow")
    return text(index, "dim"), text(role, style or ROLES.get(role, "magenta")), text(at, "dim"), said


def _turns(turns: Sequence[tuple[Text, ...]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for turn in turns:
        grid.add_row(*turn)
    return grid
