"""The one place that decides whether a transcript could be read, whatever its shape and whoever sent it.

Read are lists of turns, wrappers around such lists, objects keyed by number or by side, JSON and tables in a string
(see `packed_texts`), and texts of lines (see `spoken_lines`). Names are compared without case and marks. Where words
stand in several places, the fullest is taken; of the others is taken or counted what it does not say. What cannot be
read is counted, never guessed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.models import Turn, Unreadable
from formant_mcp.providers.json_values import Wire, is_something, moment, number, seconds, text, unpacked
from formant_mcp.providers.packed_texts import is_no_speech, objects_in, says_none, table
from formant_mcp.providers.speakers import is_of_no_side, plain, role, side, speaker
from formant_mcp.providers.spoken_lines import NUMBERED, Said, read_texts
from formant_mcp.providers.turn_fields import (
    SAME_WORDS,
    WORDS,
    has_lost_part,
    letters,
    may_hold_words,
    may_say_more,
    times_in,
    tool_lines,
    words_in,
    words_of,
)

_NAMES = frozenset({"messages", "turns", "utterances"})
_NAME = re.compile(
    r"(?!.*(?:transcriber|transcriptionist)).*(?:transcript|dialog)\w*|\w*(?:chat|conversation|message)(?:history|log)"
)
_NO_TRANSCRIPT = re.compile(
    r".*(?:ids?|ur[li]s?|link|path|file|status|state|summary|languages?|model|provider|config|settings|options|at|time"
    r"|secs|seconds|ms|error|format|type|version|count|length|cost|enabled|available|title|hash)"
)
_PARTS_OF_CALL = ("data", "call", "conversation", "artifact", "recording", "analysis")
_WRAPPERS = frozenset({
    "transcript", "turns", "messages", "utterances", "conversation", "dialogue", "dialog", "items", "segments",
    "entries", "transcripts", "transcriptobject", "transcription", "monologues", "history", "chat", "log", "lines",
    "events", "data", "results", "result", "call", "artifact", "content", "value", "body", "paragraphs", "sentences",
    "message", "item", "turn", "entry", "replies", "reply", "responses",
})  # fmt: skip
_PLACES = _WRAPPERS | (frozenset(WORDS) - SAME_WORDS)
_REPLIES = ("reply", "replies")
# What may stand beside a transcript: only turns of a known side are taken from there.
_BESIDE = frozenset(
    {"data", "results", "result", "call", "artifact", "value", "body", "log", "events", "item", "turn", "entry", "chat"}
)
_MOST_LEVELS = 8
_MOST_CELLS = 4
_SLACK_SECONDS = 60.0


class Transcript(NamedTuple):
    """The turns, None where no transcript was sent or none could be read, and what could not."""

    turns: tuple[Turn, ...] | None
    unreadable: Unreadable


def transcript_of(
    wire: Wire, name: str, started_at: datetime | None, duration_seconds: float | None = None
) -> Transcript:
    """The transcript of a conversation: in the field of that name, else under another name or in an object inside."""
    values = [wire.get(name), *_elsewhere({each: value for each, value in wire.items() if each != name})]
    readers = [reader for value in values if (reader := _read(unpacked(value), started_at))]
    return _finished(readers, started_at, duration_seconds)


def _elsewhere(wire: Wire, levels: int = 2) -> Iterator[JsonValue]:
    """What else of a conversation may be its transcript; a count or a flag of such a name is none."""
    fields = {plain(name): value for name, value in wire.items()}
    for name, value in fields.items():
        is_named = name in _NAMES or (_NAME.fullmatch(name) and not _NO_TRANSCRIPT.fullmatch(name))
        if isinstance(value, str | list | dict) and is_named and is_something(value):
            yield value
    for name in _PARTS_OF_CALL if levels else ():
        if isinstance(part := fields.get(name), dict):
            yield from _elsewhere(part, levels - 1)


def read_transcript(
    wire: JsonValue, started_at: datetime | None = None, duration_seconds: float | None = None
) -> Transcript:
    """The turns of a transcript of any shape. Nothing here raises."""
    reader = _read(unpacked(wire), started_at)
    return _finished([reader] if reader else [], started_at, duration_seconds)


def _read(sent: JsonValue, started_at: datetime | None) -> "_Reader | None":
    """What was made of a transcript; None where none was sent."""
    if sent is None or sent == {}:
        return None
    reader = _Reader(started_at)
    reader.read(sent, _MOST_LEVELS)
    if not reader.worth[1] and (reader.unreadable or reader.is_lost(sent)):
        reader.is_unreadable = True
    return reader


def _finished(readers: "Sequence[_Reader]", started_at: datetime | None, duration_seconds: float | None) -> Transcript:
    reader = _Reader(started_at)
    if any(each.worth[1] for each in readers):
        reader.take_all([each for each in readers if each.worth[1]])
    elif any(each.is_unreadable for each in readers):
        return Transcript(None, Unreadable(transcripts=1))
    elif readers:
        reader = readers[0]
    else:
        return Transcript(None, Unreadable())
    turns = tuple(Turn(index, *each) for index, each in enumerate(_in_seconds(reader, duration_seconds)))
    of_nobody = sum(bool(turn.text) and is_of_no_side(turn.role) for turn in turns)
    return Transcript(turns, Unreadable(turns=reader.unreadable, speakers=of_nobody))


class _Reader:
    """Collects what is said in one transcript, or in one part of it.

    `unreadable`: turns without words that could be read, and items that are no turn. `named`: turns whose own fields
    say who speaks. `is_empty`: a list of turns was found, and nothing in it. `is_unreadable`: something was sent that
    gave no words. `is_beside`: it stands where other things may. `has_clock`: times came as `m:ss`.
    """

    def __init__(self, started_at: datetime | None) -> None:
        self.started_at = started_at
        self.spoken: list[tuple[str, str, float | None]] = []
        self.unreadable = 0
        self.named = 0
        self.is_empty = self.is_unreadable = self.is_beside = False
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

    @property
    def fullness(self) -> tuple[bool, int, int]:
        """Whether a side is known of some words, how much is said, and in how many turns."""
        return self.worth[0], sum(len(letters(words)) for _, words, _ in self.spoken), len(self.spoken)

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
        objects, lost = objects_in(sent)
        self.unreadable += lost
        if objects:
            self._list(objects, _MOST_LEVELS)
        elif says_none(sent):
            self.is_empty = True
        else:
            self._lines(sent, read_texts([sent])[0], at)

    def _lines(self, sent: str, said: list[Said], at: float | None = None) -> None:
        """What was read in a text of lines, where it is speech."""
        if is_no_speech(sent) and all(each.role == "unknown" for each in said):
            self.unreadable += 1
            return
        for each in said:
            self._say(each, at)

    def _say(self, said: Said, at: float | None = None) -> None:
        self.spoken.append((said.role, said.words, self._seconds("", said.time) if said.time else at))

    def _list(self, wire: list[JsonValue], levels: int) -> None:
        items = [unpacked(item) for item in wire]
        items = table(items) or items
        self.is_empty = self.is_empty or not is_something(items)
        if row := _row(items):
            self.spoken.append(row)
            return
        texts = iter(read_texts([item for item in items if isinstance(item, str)]))
        for item in _turns_of_single_words(items):
            if isinstance(item, str):
                self._lines(item, next(texts))
            else:
                self.read(item, levels - 1)

    def _object(self, fields: Wire, levels: int) -> None:
        if fields and all(name.isdecimal() for name in fields):
            self._list([fields[name] for name in sorted(fields, key=int)], levels)
            return
        who, is_named = speaker(fields)
        said = words_in(fields, levels)
        inside = self._inside(fields, levels)
        within = max(inside, key=lambda each: (each.worth, each.is_empty), default=None)
        if within and is_named and not said and all(who == "unknown" for who, *_ in within.spoken):
            said = " ".join(words for _, words, _ in within.spoken if words)
        is_signed = is_named or who != "unknown"
        own = [] if is_signed or not said else self._unsigned(fields, "" if within and within.worth[1] else said)
        if not own:
            own = [_Reader(self.started_at)]
        if said and is_signed:
            own[0]._turn(fields, who, said)
        elif not said and not is_named:
            own[0]._by_side(fields, levels)
        if spoken := [each for each in (*own, *inside) if each.worth[1]]:
            self.take_all(spoken)
        elif within and within.is_empty and not is_named:
            self._take(within)
        elif own[0].is_empty or own[0].unreadable:
            self._take(own[0])
        else:
            self._turn(fields, who, "")

    def _unsigned(self, fields: Wire, otherwise: str) -> "list[_Reader]":
        """Texts of which no field says who speaks, perhaps of lines; what was found in parts where there is none."""
        sent = [(name, each) for name in WORDS if isinstance(each := fields.get(name), str) and words_of(each, 1)]
        texts = [each for index, (name, each) in enumerate(sent) if not index or may_say_more(name, each)]
        readers: list[_Reader] = []
        for each in texts or filter(None, [otherwise]):
            readers.append(_Reader(self.started_at))
            readers[-1]._text(each, self._at(fields))
        if readers:
            readers[0]._tools(fields)
        return readers

    def _inside(self, fields: Wire, levels: int) -> "list[_Reader]":
        """What each of the fields has that may hold turns."""
        found: list[_Reader] = []
        for name in filter(_PLACES.__contains__, fields):
            value = unpacked(fields[name])
            is_text = name in _REPLIES or (name not in WORDS and name not in _BESIDE and may_say_more(name, value))
            if is_text or isinstance(value, dict | list) or value in (None, ""):
                reader = _Reader(self.started_at)
                if is_something(value):
                    reader.read(value, levels - 1)
                else:
                    reader.is_empty = name not in WORDS
                reader.is_beside = name in _BESIDE
                found.append(reader)
        return found

    def take_all(self, readers: "Sequence[_Reader]") -> None:
        """Takes the fullest, and what the others say besides: talk of known sides, else a count of what is missing."""
        fullest = max(readers, key=lambda each: each.fullness)
        taken = _Heard(fullest) if len(readers) > 1 else None
        before = least = self.unreadable
        for each in readers:
            if each is fullest or taken is None or (each.worth[0] and taken.is_other_talk(each)):
                self._take(each)
            elif each.worth[0] or not each.is_beside:
                self.unreadable += taken.missing_of(each)
                least = max(least, before + each.unreadable)  # the same turns in another form: counted once
        self.unreadable = max(self.unreadable, least)
        if taken:
            self._in_order()

    def _in_order(self) -> None:
        """By time, where every turn has one."""
        if all(at is not None for *_, at in self.spoken):
            self.spoken.sort(key=lambda each: each[2] or 0.0)

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
            for each in (value if isinstance(value, list) else [value]) if side(name) else ():
                if isinstance(each, dict | list):
                    reader = _Reader(self.started_at)
                    reader.read(each, levels - 1)
                    reader.spoken = [
                        (role(name) if is_of_no_side(who) else who, said, self._at(fields) if at is None else at)
                        for who, said, at in reader.spoken
                        if said
                    ]
                    self._take(reader)
                elif said := words_of(each, 1):
                    self.spoken.append((role(name), said, self._at(fields)))
        self._in_order()

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


class _Heard:
    """The words of one reading, to compare others with."""

    def __init__(self, reader: _Reader) -> None:
        self._all = letters(" ".join(words for _, words, _ in reader.spoken))
        self._words = {word for _, said, _ in reader.spoken for word in _words(said)}

    def missing_of(self, other: _Reader) -> int:
        """How many turns of another reading say something that was not heard."""
        said = [words for _, words, _ in other.spoken if words]
        if letters(" ".join(said)) in self._all:
            return 0
        return sum(not self._words.issuperset(_words(words)) for words in said)

    def is_other_talk(self, other: _Reader) -> bool:
        """Whether most of its words are not those heard: no second form of the same talk."""
        words = {word for _, said, _ in other.spoken for word in _words(said)}
        return len(words - self._words) * 2 > len(words) and self.missing_of(other) > 0


def _words(said: str) -> Iterator[str]:
    return filter(None, map(letters, said.split()))


def _row(items: list[JsonValue]) -> tuple[str, str, float | None] | None:
    """A turn that is a list: who, what was said, and perhaps a time, in any order."""
    texts = [item for item in items if isinstance(item, str)]
    who = next((each for tells in (side, NUMBERED.fullmatch) for each in texts if tells(each)), None)
    if who is None or not 2 <= len(items) <= _MOST_CELLS:
        return None
    others = [item for item in items if item is not who]
    said = next((each for each in others if isinstance(each, str) and seconds(each) is None), None)
    said = said if said is not None else next((each for each in reversed(others) if isinstance(each, str)), None)
    times = [seconds(each) for each in others if each is not said]
    if said is None or None in times:
        return None
    return role(who), text(said) or "", times[0] if times else None


def _turns_of_single_words(items: list[JsonValue]) -> Iterable[JsonValue]:
    """A list that has each word as an item of its own: what one speaker says in a row is one turn."""
    if not all(isinstance(item, dict) and isinstance(item.get("word"), str) and "text" not in item for item in items):
        return items
    words = [{plain(name): value for name, value in item.items()} for item in items if isinstance(item, dict)]
    return [_turn_of(list(run)) for _, run in groupby(words, key=speaker)]


def _turn_of(words: list[Wire]) -> JsonValue:
    """A turn of single words, with the other fields of the first."""
    turn: Wire = {name: value for name, value in words[0].items() if name not in WORDS}
    return {**turn, "words": [*words]}


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
