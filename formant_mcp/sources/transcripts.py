"""The one place that decides whether a transcript could be read, whatever its shape and whoever sent it.

Read are lists of turns, wrappers around such lists, objects keyed by number or by side, JSON in a string, and texts of
lines (see `spoken_lines`). Names are compared without case and marks. What cannot be read is counted, never guessed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.models import Turn, Unreadable
from formant_mcp.sources.speakers import is_of_no_side, plain, role, side, speaker
from formant_mcp.sources.spoken_lines import Said, read_texts
from formant_mcp.sources.turn_fields import (
    WORDS,
    has_lost_part,
    may_hold_words,
    times_in,
    tool_lines,
    words_in,
    words_of,
)
from formant_mcp.sources.wire_values import Wire, is_something, moment, number, seconds, text, unpacked

_TRANSCRIPTS = (
    "transcript", "messages", "turns", "utterances", "transcriptobject", "transcripts", "transcription",
)  # fmt: skip
_PARTS_OF_CALL = ("data", "call", "conversation", "artifact", "recording")
_WRAPPERS = (
    "transcript", "turns", "messages", "utterances", "conversation", "dialogue", "dialog", "items", "segments",
    "entries", "transcripts", "transcriptobject", "transcription", "monologues", "history", "chat", "log", "lines",
    "events", "data", "results", "result", "call", "artifact", "content", "value", "body", "paragraphs", "sentences",
    "message", "item", "turn", "entry",
)  # fmt: skip
_MOST_LEVELS = 8
_SLACK_SECONDS = 60.0


class Transcript(NamedTuple):
    """The turns, None where no transcript was sent or none could be read, and what could not."""

    turns: tuple[Turn, ...] | None
    unreadable: Unreadable


def transcript_of(
    wire: Wire, name: str, started_at: datetime | None, duration_seconds: float | None = None
) -> Transcript:
    """The transcript of a conversation: in the field of that name, else under another name or in an object inside."""
    found = [read_transcript(wire.get(name), started_at, duration_seconds)]
    for value in () if found[0].turns else _elsewhere(wire):
        found.append(read_transcript(value, started_at, duration_seconds))
        if found[-1].turns:
            return found[-1]
    return next((each for each in found if each.unreadable.transcripts), found[0])


def _elsewhere(wire: Wire, levels: int = 2) -> Iterator[JsonValue]:
    """What else of a conversation may be its transcript; a count or a flag of such a name is none."""
    fields = {plain(name): value for name, value in wire.items()}
    for name in _TRANSCRIPTS:
        value = fields.get(name)
        if isinstance(value, str | list | dict) and is_something(value):
            yield value
    for name in _PARTS_OF_CALL if levels else ():
        if isinstance(part := fields.get(name), dict):
            yield from _elsewhere(part, levels - 1)


def read_transcript(
    wire: JsonValue, started_at: datetime | None = None, duration_seconds: float | None = None
) -> Transcript:
    """The turns of a transcript of any shape. Nothing here raises."""
    sent = unpacked(wire)
    if sent is None or sent == {}:
        return Transcript(None, Unreadable())
    reader = _Reader(started_at)
    reader.read(sent, _MOST_LEVELS)
    if not reader.worth[1] and (reader.unreadable or reader.is_lost(sent)):
        return Transcript(None, Unreadable(transcripts=1))
    turns = tuple(Turn(index, *each) for index, each in enumerate(_in_seconds(reader, duration_seconds)))
    of_nobody = sum(bool(turn.text) and is_of_no_side(turn.role) for turn in turns)
    return Transcript(turns, Unreadable(turns=reader.unreadable, speakers=of_nobody))


class _Reader:
    """Collects what is said in one transcript, or in one part of it.

    `unreadable`: turns without words that could be read, and items that are no turn. `named`: turns whose own fields
    say who speaks. `is_empty`: a list of turns was found, and nothing in it. `has_clock`: times came as `m:ss`.
    """

    def __init__(self, started_at: datetime | None) -> None:
        self.started_at = started_at
        self.spoken: list[tuple[str, str, float | None]] = []
        self.unreadable = 0
        self.named = 0
        self.is_empty = False
        self.has_clock = False

    def is_lost(self, sent: JsonValue) -> bool:
        """Whether something was sent and nothing at all was made of it."""
        is_nothing = not self.spoken or (isinstance(sent, dict) and not self.named)
        return is_nothing and not self.is_empty and is_something(sent)

    @property
    def worth(self) -> tuple[bool, bool]:
        """How well it was understood: whether a side is known of some words, whether there are any words."""
        said = [who for who, words, _ in self.spoken if words]
        return any(who in ("agent", "contact") for who in said), bool(said)

    def read(self, wire: JsonValue, levels: int) -> None:
        """Adds the turns of a list, an object or a text."""
        if isinstance(wire, str):
            self._text(wire)
        elif isinstance(wire, list) and levels:
            self._list(wire, levels)
        elif isinstance(wire, dict) and levels:
            self._object({plain(name): value for name, value in wire.items()}, levels)
        elif is_something(wire):
            self.unreadable += 1

    def _text(self, sent: str, at: float | None = None) -> None:
        if objects := _objects_by_line(sent):
            self._list(objects, _MOST_LEVELS)
            return
        for said in read_texts([sent])[0]:
            self._say(said, at)

    def _say(self, said: Said, at: float | None = None) -> None:
        self.spoken.append((said.role, said.words, self._seconds("", said.time) if said.time else at))

    def _list(self, wire: list[JsonValue], levels: int) -> None:
        items = [unpacked(item) for item in wire]
        self.is_empty = self.is_empty or not is_something(items)
        if row := _row(items):
            self.spoken.append(row)
            return
        texts = iter(read_texts([item for item in items if isinstance(item, str)]))
        for item in _turns_of_single_words(items):
            if isinstance(item, str):
                for said in next(texts):
                    self._say(said)
            else:
                self.read(item, levels - 1)

    def _object(self, fields: Wire, levels: int) -> None:
        if fields and all(name.isdecimal() for name in fields):
            self._list([fields[name] for name in sorted(fields, key=int)], levels)
            return
        who, is_named = speaker(fields)
        said = words_in(fields, levels)
        within = self._within(fields, levels)
        if within and is_named and not said and all(who == "unknown" for who, *_ in within.spoken):
            said = " ".join(words for _, words, _ in within.spoken if words)
        if is_named and (said or not within or not within.worth[1]) and not (within and within.named):
            self._turn(fields, who, said)
            return
        own = _Reader(self.started_at)
        if not is_named and not said:
            own._by_side(fields, levels)
        if said and (is_named or who != "unknown"):
            own._turn(fields, who, said)
        elif said:
            sent = next(fields[name] for name in WORDS if words_of(fields.get(name), levels - 1))
            own._text(sent if isinstance(sent, str) else said, self._at(fields))
            own._tools(fields)
        best = max((each for each in (within, own) if each), key=lambda each: each.worth)
        if best.worth[1] or (within and within.is_empty):
            self._take(best if best.worth[1] else within or best)
        else:
            self._turn(fields, who, "")

    def _within(self, fields: Wire, levels: int) -> "_Reader | None":
        """What the best of the fields that may hold turns has."""
        found: list[_Reader] = []
        for name in _WRAPPERS:
            value = unpacked(fields.get(name)) if name in fields else None
            if isinstance(value, dict | list) or (name in fields and value in (None, "")):
                reader = _Reader(self.started_at)
                if is_something(value):
                    reader.read(value, levels - 1)
                else:
                    reader.is_empty = name not in WORDS
                found.append(reader)
        return max(found, key=lambda each: (each.worth, each.is_empty), default=None)

    def _take(self, other: "_Reader") -> None:
        self.spoken += other.spoken
        self.unreadable += other.unreadable
        self.named += other.named
        self.is_empty = self.is_empty or other.is_empty
        self.has_clock = self.has_clock or other.has_clock

    def _turn(self, fields: Wire, who: str, said: str) -> None:
        """One turn: what was said, and each tool's call and result as a turn of the role `tool`."""
        self.named += who != "unknown"
        if said or not tool_lines(fields):
            is_lost = not said and may_hold_words(fields)
            self.unreadable += is_lost or (bool(said) and has_lost_part(fields))
            if not is_lost or who != "unknown":
                self.spoken.append((who, said, self._at(fields)))
        self._tools(fields)

    def _tools(self, fields: Wire) -> None:
        self.spoken += [("tool", line, self._at(fields)) for line in tool_lines(fields)]

    def _by_side(self, fields: Wire, levels: int) -> None:
        """Turns whose fields are the sides themselves: `{"agent": "Hello", "customer": ["Hi", "Bye"]}`."""
        for name, value in fields.items():
            if side(name):
                for each in value if isinstance(value, list) else [value]:
                    if said := words_of(each, levels):
                        inner = {plain(n): v for n, v in each.items()} if isinstance(each, dict) else fields
                        self.spoken.append((role(name), said, self._at(inner)))

    def _at(self, fields: Wire) -> float | None:
        """When the turn begins, by the first of its fields that says so."""
        said = (self._seconds(name, value) for name, value in times_in(fields))
        return next((at for at in said if at is not None), None)

    def _seconds(self, name: str, value: JsonValue) -> float | None:
        """Seconds from the start, from such seconds or a time; call and turn times may be rounded differently."""
        self.has_clock = self.has_clock or isinstance(value, str)
        if (said_at := moment(value)) is None:
            figure = number(value)
            return seconds(figure / 1000 if figure is not None and name.endswith(("ms", "millis")) else value)
        if self.started_at is None:
            return None
        offset = (said_at - self.started_at).total_seconds()
        return seconds(max(0.0, offset) if offset > -1 else offset)


def _row(items: list[JsonValue]) -> tuple[str, str, float | None] | None:
    """A turn that is a list: who, what was said, and perhaps a time, in any order."""
    texts = [item for item in items if isinstance(item, str)]
    times = [item for item in items if not isinstance(item, str)]
    who = next((each for each in texts if side(each)), None)
    if who is None or len(texts) != 2 or len(times) > 2 or not all(number(time) is not None for time in times):
        return None
    said = next((each for each in texts if each is not who), "")
    return role(who), text(said) or "", seconds(times[0]) if times else None


def _turns_of_single_words(items: list[JsonValue]) -> Iterable[JsonValue]:
    """A list that has each word as an item of its own: what one speaker says in a row is one turn."""
    if not all(isinstance(item, dict) and isinstance(item.get("word"), str) and "text" not in item for item in items):
        return items
    words = [item for item in items if isinstance(item, dict)]
    runs = [list(run) for _, run in groupby(words, key=lambda item: speaker({plain(n): v for n, v in item.items()}))]
    return [{**run[0], "word": None, "words": [*run]} for run in runs]


def _objects_by_line(wire: str) -> list[JsonValue]:
    """The objects of a text that has one in each line."""
    found = [unpacked(line) for line in wire.splitlines() if line.strip()]
    return found if len(found) > 1 and all(isinstance(each, dict) for each in found) else []


def _in_seconds(reader: _Reader, duration_seconds: float | None) -> Iterator[tuple[str, str, float | None]]:
    """The turns with milliseconds made into seconds where only that fits the call; times beyond its end are none."""
    times = [at for _, _, at in reader.spoken if at is not None]
    end = None if duration_seconds is None else duration_seconds + _SLACK_SECONDS
    is_in_milliseconds = end is not None and not reader.has_clock and max(times, default=0.0) > end >= max(times) / 1000
    are_no_offsets = end is not None and not is_in_milliseconds and min(times, default=0.0) > end
    for who, words, at in reader.spoken:
        if at is not None and is_in_milliseconds:
            at /= 1000
        yield who, words, None if are_no_offsets else at
