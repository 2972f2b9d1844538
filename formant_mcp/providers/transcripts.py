"""Parses transcripts of every provider and shape, and alone decides whether one could be read.

Supported are lists of turns, wrappers around such lists, objects keyed by number or by side, JSON and tables in a
string (see `packed_texts`), and texts of lines (see `spoken_lines`). Names are compared without case and punctuation.
If words are in several fields, the fullest is used; what only the others say is added or counted. What cannot be read
is counted, never guessed.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.models import Turn, Unreadable
from formant_mcp.providers.json_values import Wire, as_datetime, as_float, as_seconds, is_something, unpack
from formant_mcp.providers.packed_texts import is_not_speech, objects_in, says_none, table
from formant_mcp.providers.speakers import as_role, is_of_no_side, plain, side, speaker
from formant_mcp.providers.spoken_lines import Said, read_texts
from formant_mcp.providers.spoken_turns import Spoken, in_seconds, row, turns_of_single_words
from formant_mcp.providers.transcript_fields import other_transcripts
from formant_mcp.providers.turn_fields import (
    SAME_WORDS,
    WORDS,
    ends_in,
    has_lost_part,
    letters,
    may_hold_words,
    may_say_more,
    times_in,
    tool_lines,
    words_in,
    words_of,
)

_WRAPPERS = frozenset({
    "transcript", "turns", "messages", "utterances", "conversation", "dialogue", "dialog", "items", "segments",
    "entries", "transcripts", "transcriptobject", "transcription", "monologues", "history", "chat", "log", "lines",
    "events", "data", "results", "result", "call", "artifact", "content", "value", "body", "paragraphs", "sentences",
    "message", "item", "turn", "entry", "replies", "reply", "responses",
})  # fmt: skip
_TURN_FIELDS = _WRAPPERS | (frozenset(WORDS) - SAME_WORDS)
_REPLIES = ("reply", "replies")
# Fields that may hold something else than the transcript: only turns of agent or contact are used from them.
_UNCERTAIN = frozenset(
    {"data", "results", "result", "call", "artifact", "value", "body", "log", "events", "item", "turn", "entry", "chat"}
)
_MOST_LEVELS = 8


class Transcript(NamedTuple):
    """The turns (None if no transcript was sent or none could be read), and what could not be read."""

    turns: tuple[Turn, ...] | None
    unreadable: Unreadable


_NOT_SENT = Transcript(None, Unreadable())


def transcript_of(
    wire: Wire, name: str, started_at: datetime | None, duration_seconds: float | None = None
) -> Transcript:
    """The transcript of a conversation: in the field of that name, else under another name or in an object inside."""
    values = [value for value in (wire.get(name), *other_transcripts(wire, name)) if value is not None]
    readers = [reader for value in values if (reader := _read(unpack(value), started_at))]
    return _to_transcript(readers, started_at, duration_seconds)


def read_transcript(
    wire: JsonValue, started_at: datetime | None = None, duration_seconds: float | None = None
) -> Transcript:
    """The turns of a transcript of any shape. Nothing here raises."""
    reader = _read(unpack(wire), started_at)
    return _to_transcript([reader] if reader else [], started_at, duration_seconds)


def _read(sent: JsonValue, started_at: datetime | None) -> "_Reader | None":
    """Reads a transcript; None if none was sent."""
    if sent is None or sent == {}:
        return None
    reader = _Reader(started_at)
    reader.read(sent, _MOST_LEVELS)
    if not reader.quality[1] and (reader.unreadable or reader.is_lost(sent)):
        reader.is_unreadable = True
    return reader


def _to_transcript(
    readers: "Sequence[_Reader]", started_at: datetime | None, duration_seconds: float | None
) -> Transcript:
    if not readers:
        return _NOT_SENT
    reader, spoken = readers[0], [candidate for candidate in readers if candidate.quality[1]]
    if spoken:
        reader = _Reader(started_at)
        reader.merge(spoken)
    elif any(candidate.is_unreadable for candidate in readers):
        return Transcript(None, Unreadable(transcripts=1))
    turns = tuple(
        Turn(index, *fields)
        for index, fields in enumerate(in_seconds(reader.spoken, duration_seconds, has_clock=reader.has_clock))
    )
    unknown_speakers = sum(bool(turn.text) and is_of_no_side(turn.role) for turn in turns)
    return Transcript(turns, Unreadable(turns=reader.unreadable, speakers=unknown_speakers))


class _Reader:
    """Collects the turns of one transcript, or of one part of it.

    `unreadable`: turns without readable words, and items that are not turns. `named`: turns whose own fields say who
    speaks. `is_empty`: there is a list of turns, and it is empty. `is_unreadable`: something was sent that gave no
    words. `is_uncertain`: it is in a field that may hold something else. `has_clock`: times were sent as `m:ss`.
    """

    def __init__(self, started_at: datetime | None) -> None:
        self.started_at = started_at
        self.spoken: list[Spoken] = []
        self.unreadable = 0
        self.named = 0
        self.is_empty = self.is_unreadable = self.is_uncertain = False
        self.has_clock = False

    def is_lost(self, sent: JsonValue) -> bool:
        """Whether something was sent and nothing at all could be read."""
        is_nothing = not self.spoken or (isinstance(sent, dict) and not self.named)
        return is_nothing and not self.is_empty and is_something(sent)

    @property
    def quality(self) -> tuple[bool, bool]:
        """Whether agent or contact says some of the words, and whether there are any words."""
        speakers = [turn.role for turn in self.spoken if turn.words]
        return any(who in ("agent", "contact") for who in speakers), bool(speakers)

    @property
    def fullness(self) -> tuple[bool, int, int]:
        """Whether agent or contact says some of the words, how much is said, and in how many turns."""
        return self.quality[0], sum(len(letters(turn.words)) for turn in self.spoken), len(self.spoken)

    def read(self, wire: JsonValue, levels: int) -> None:
        """Adds the turns of a list, an object or a text."""
        if isinstance(wire, str):
            self._read_text(wire)
        elif isinstance(wire, list) and levels:
            self._read_list(wire, levels)
        elif isinstance(wire, dict) and levels:
            self._read_object({plain(name): value for name, value in wire.items()}, levels)
        elif is_something(wire):
            self.unreadable += 1

    def _read_text(self, sent: str, at: float | None = None) -> None:
        objects, lost = objects_in(sent)
        self.unreadable += lost
        if objects:
            self._read_list(objects, _MOST_LEVELS)
        elif says_none(sent):
            self.is_empty = True
        else:
            self._add_lines(sent, read_texts([sent])[0], at)

    def _add_lines(self, sent: str, said: list[Said], at: float | None = None) -> None:
        """Adds what was read in a text of lines, if it is speech."""
        if is_not_speech(sent) and all(turn.role == "unknown" for turn in said):
            self.unreadable += 1
            return
        for turn in said:
            self._add_said(turn, at)

    def _add_said(self, said: Said, at: float | None = None) -> None:
        self.spoken.append(Spoken(said.role, said.words, self._seconds("", said.time) if said.time else at))

    def _read_list(self, wire: list[JsonValue], levels: int) -> None:
        items = [unpack(item) for item in wire]
        items = table(items) or items
        self.is_empty = self.is_empty or not is_something(items)
        if turn := row(items):
            self.spoken.append(turn)
            return
        texts = iter(read_texts([item for item in items if isinstance(item, str)]))
        for item in turns_of_single_words(items):
            if isinstance(item, str):
                self._add_lines(item, next(texts))
            else:
                self.read(item, levels - 1)

    def _read_object(self, fields: Wire, levels: int) -> None:
        if fields and all(name.isdecimal() for name in fields):
            self._read_list([fields[name] for name in sorted(fields, key=int)], levels)
            return
        who, is_named = speaker(fields)
        said = words_in(fields, levels)
        inside = self._read_inner(fields, levels)
        within = max(inside, key=lambda reader: (reader.quality, reader.is_empty), default=None)
        if within and is_named and not said and all(turn.role == "unknown" for turn in within.spoken):
            said = " ".join(turn.words for turn in within.spoken if turn.words)
        is_signed = is_named or who != "unknown"
        own = [] if is_signed or not said else self._read_unsigned(fields, "" if within and within.quality[1] else said)
        if not own:
            own = [_Reader(self.started_at)]
        if said and is_signed:
            own[0]._add_turn(fields, who, said)
        elif not said and not is_named:
            own[0]._add_turns_by_side(fields, levels)
        if spoken := [reader for reader in (*own, *inside) if reader.quality[1]]:
            self.merge(spoken)
        elif within and within.is_empty and not is_named:
            self._add(within)
        elif own[0].is_empty or own[0].unreadable:
            self._add(own[0])
        else:
            self._add_turn(fields, who, "")

    def _read_unsigned(self, fields: Wire, otherwise: str) -> "list[_Reader]":
        """Texts, perhaps of lines, without a field that says who speaks; else the words found in parts."""
        sent = [(name, text) for name in WORDS if isinstance(text := fields.get(name), str) and words_of(text, 1)]
        texts = [text for index, (name, text) in enumerate(sent) if not index or may_say_more(name, text)]
        readers: list[_Reader] = []
        for text in texts or filter(None, [otherwise]):
            readers.append(_Reader(self.started_at))
            readers[-1]._read_text(text, self._at(fields))
        if readers:
            readers[0]._add_tool_turns(fields)
        return readers

    def _read_inner(self, fields: Wire, levels: int) -> "list[_Reader]":
        """A reader for each field that may hold turns."""
        readers: list[_Reader] = []
        for name in filter(_TURN_FIELDS.__contains__, fields):
            value = unpack(fields[name])
            is_text = name in _REPLIES or (name not in WORDS and name not in _UNCERTAIN and may_say_more(name, value))
            if is_text or isinstance(value, dict | list) or value in (None, ""):
                reader = _Reader(self.started_at)
                if is_something(value):
                    reader.read(value, levels - 1)
                else:
                    reader.is_empty = name not in WORDS
                reader.is_uncertain = name in _UNCERTAIN
                readers.append(reader)
        return readers

    def merge(self, readers: "Sequence[_Reader]") -> None:
        """Adds the fullest, and what agent or contact say only in the others; else counts what is missing."""
        fullest = readers[0] if len(readers) == 1 else max(readers, key=lambda reader: reader.fullness)
        words = _WordsOf(fullest) if len(readers) > 1 else None
        before = least = self.unreadable
        for reader in readers:
            if reader is fullest or words is None or (reader.quality[0] and words.is_different_talk(reader)):
                self._add(reader)
            elif reader.quality[0] or not reader.is_uncertain:
                self.unreadable += words.count_missing(reader)
                least = max(least, before + reader.unreadable)  # the same turns in another form: counted once
        self.unreadable = max(self.unreadable, least)
        if words:
            self._sort_by_time()

    def _sort_by_time(self) -> None:
        """Sorts by time, if every turn has one."""
        if all(turn.at is not None for turn in self.spoken):
            self.spoken.sort(key=lambda turn: turn.at or 0.0)

    def _add(self, other: "_Reader") -> None:
        self.spoken += other.spoken
        self.unreadable += other.unreadable
        self.named += other.named
        self.is_empty = self.is_empty or other.is_empty
        self.has_clock = self.has_clock or other.has_clock

    def _add_turn(self, fields: Wire, who: str, said: str) -> None:
        """One turn: what was said, and each tool call and tool result as a turn of the role `tool`."""
        self.named += who != "unknown"
        if said or not tool_lines(fields):
            is_lost = not said and may_hold_words(fields)
            self.unreadable += is_lost or (bool(said) and has_lost_part(fields))
            if not is_lost or who != "unknown":
                interrupted = fields.get("interrupted")
                is_cut = interrupted if isinstance(interrupted, bool) else None
                self.spoken.append(Spoken(who, said, self._at(fields), self._end(fields), is_cut))
        self._add_tool_turns(fields)

    def _add_tool_turns(self, fields: Wire) -> None:
        self.spoken += [Spoken("tool", line, self._at(fields)) for line in tool_lines(fields)]

    def _add_turns_by_side(self, fields: Wire, levels: int) -> None:
        """Turns whose fields are the sides themselves: `{"agent": "Hello", "customer": ["Hi", "Bye"]}`."""
        for name, value in fields.items():
            for item in (value if isinstance(value, list) else [value]) if side(name) else ():
                if isinstance(item, dict | list):
                    reader = _Reader(self.started_at)
                    reader.read(item, levels - 1)
                    reader.spoken = [
                        turn._replace(
                            role=as_role(name) if is_of_no_side(turn.role) else turn.role,
                            at=self._at(fields) if turn.at is None else turn.at,
                        )
                        for turn in reader.spoken
                        if turn.words
                    ]
                    self._add(reader)
                elif said := words_of(item, 1):
                    self.spoken.append(Spoken(as_role(name), said, self._at(fields)))
        self._sort_by_time()

    def _at(self, fields: Wire) -> float | None:
        """When the turn starts, by the first of its fields that says so."""
        return self._first_of(times_in(fields))

    def _end(self, fields: Wire) -> float | None:
        """When the turn ends, likewise."""
        return self._first_of(ends_in(fields))

    def _first_of(self, times: Iterator[tuple[str, JsonValue]]) -> float | None:
        readable = (self._seconds(name, value) for name, value in times)
        return next((at for at in readable if at is not None), None)

    def _seconds(self, name: str, value: JsonValue) -> float | None:
        """Seconds from the start, from seconds or a time; the times of call and turn may be rounded differently."""
        self.has_clock = self.has_clock or isinstance(value, str)
        if (said_at := as_datetime(value)) is None:
            figure = as_float(value)
            return as_seconds(figure / 1000 if figure is not None and name.endswith(("ms", "millis")) else value)
        if self.started_at is None:
            return None
        offset = (said_at - self.started_at).total_seconds()
        return as_seconds(max(0.0, offset) if offset > -1 else offset)


class _WordsOf:
    """The words of one reader, to compare others with."""

    def __init__(self, reader: _Reader) -> None:
        self._all = letters(" ".join(turn.words for turn in reader.spoken))
        self._words = {word for turn in reader.spoken for word in _words(turn.words)}

    def count_missing(self, other: _Reader) -> int:
        """How many turns of another reader say something that is missing here."""
        texts = [turn.words for turn in other.spoken if turn.words]
        if letters(" ".join(texts)) in self._all:
            return 0
        return sum(not self._words.issuperset(_words(text)) for text in texts)

    def is_different_talk(self, other: _Reader) -> bool:
        """Whether most of its words are missing here, so that it is not another form of the same talk."""
        words = {word for turn in other.spoken for word in _words(turn.words)}
        return len(words - self._words) * 2 > len(words) and self.count_missing(other) > 0


def _words(said: str) -> Iterator[str]:
    return filter(None, map(letters, said.split()))
