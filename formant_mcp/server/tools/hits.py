"""The hits of search_transcripts: as the structure has them, and as the text shows them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from formant_mcp.models import Turn
from formant_mcp.queries.search import Hit
from formant_mcp.server.tools.schemas import CoverageAnswer, local
from formant_mcp.server.tools.text import WARNING, shortened, stamp, turn_line
from formant_mcp.text_search.highlight import Span

_MARK, _CUT = "**", "…"
_AGENT_CHARACTERS, _ROLE_CHARACTERS = 100, 40
_WORD_CHARACTERS = 25  # so far off a place to cut, the end of a word is looked for


class HitAnswer(BaseModel):
    """A turn that says it, what was found marked **so**; `before` and `after` without turns that stand at another hit.

    `more`: at the last hit of a conversation, how many hits it has besides those shown.
    """

    conversation_id: str
    started_at: datetime | None = None
    agent_id: str | None = None
    turn: int
    role: str
    seconds: float | None = None
    text: str
    before: list[str]
    after: list[str]
    more: int | None = None


class SearchAnswer(BaseModel):
    """Hits, best first."""

    coverage: CoverageAnswer
    hits_total: int
    conversations_total: int
    next_cursor: str | None = None
    hits: list[HitAnswer]


class Widths(NamedTuple):
    """Characters shown of a hit's turn, and of each turn around it."""

    hit: int
    neighbour: int


def hit_answer(hit: Hit, widths: Widths, zone: ZoneInfo) -> HitAnswer:
    """A hit with its texts shortened."""
    conversation = hit.conversation
    return HitAnswer(
        conversation_id=conversation.conversation_id,
        started_at=local(conversation.started_at, zone),
        agent_id=conversation.agent_id and shortened(conversation.agent_id, _AGENT_CHARACTERS),
        turn=hit.turn.index,
        role=shortened(hit.turn.role, _ROLE_CHARACTERS),
        seconds=hit.turn.seconds,
        text=marked(hit.turn.text, hit.marks, widths.hit),
        before=[_neighbour(turn, widths.neighbour) for turn in hit.before],
        after=[_neighbour(turn, widths.neighbour) for turn in hit.after],
        more=hit.more or None,
    )


def hit_lines(hits: Sequence[HitAnswer], zone: ZoneInfo, boundary: str) -> list[str]:
    """A block a conversation: its id, start and agent, then the turns, and how many hits more it has."""
    if not hits:
        return []
    lines = [f'Turns {WARNING}, up to the line "end {boundary}"']
    for conversation_id, group in groupby(hits, key=lambda hit: hit.conversation_id):
        some = list(group)
        agent = f" · agent {some[0].agent_id}" if some[0].agent_id else ""
        lines.append(f"{conversation_id} · {stamp(some[0].started_at, zone)}{agent}")
        for hit in some:
            turn = Turn(hit.turn, hit.role, hit.text, hit.seconds)
            lines += [*hit.before, turn_line(turn), *hit.after]
            lines += [f"and {hit.more:,} more"] if hit.more else []
    return [*lines, f"end {boundary}"]


def marked(text: str, marks: Sequence[Span], width: int) -> str:
    """The text around its first mark, about so many characters of it, what was found **so**."""
    start, end = _window(text, marks[0] if marks else (0, 0), width)
    shown = [_CUT] if start else []
    at = start
    for first, last in marks:
        first, last = max(first, start), min(last, end)
        if first < last:
            shown += [text[at:first], _MARK, text[first:last], _MARK]
            at = last
    return "".join([*shown, text[at:end], _CUT if end < len(text) else ""])


def _window(text: str, mark: Span, width: int) -> tuple[int, int]:
    """From where to where a text is shown: a third of it before the mark, cut between words where some end nearby."""
    if len(text) <= width:
        return 0, len(text)
    start = max(0, min(mark[0] - width // 3, len(text) - width))
    end = min(start + width, len(text))
    if start:
        start = max(start, text.find(" ", start, min(start + _WORD_CHARACTERS, mark[0])) + 1)
    if end < len(text):
        blank = text.rfind(" ", max(end - _WORD_CHARACTERS, mark[1]), end)
        end = blank if blank > start else end
    return start, end


def _neighbour(turn: Turn, width: int) -> str:
    return turn_line(replace(turn, role=shortened(turn.role, _ROLE_CHARACTERS), text=shortened(turn.text, width)))
