"""Turns as they were sent: as lists of cells, as single words, and with times in any unit."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pydantic import JsonValue

from formant_mcp.providers.json_values import Wire, as_seconds, as_text
from formant_mcp.providers.speakers import as_role, plain, side, speaker
from formant_mcp.providers.spoken_lines import NUMBERED
from formant_mcp.providers.turn_fields import ENDS, WORDS

_MOST_CELLS = 4
_SLACK_SECONDS = 60.0


class Spoken(NamedTuple):
    """What a turn will have except its index; see `formant_mcp.models.Turn`."""

    role: str
    words: str
    at: float | None = None
    end: float | None = None
    interrupted: bool | None = None


def row(items: list[JsonValue]) -> Spoken | None:
    """A turn sent as a list: who, what was said, and perhaps a time, in any order."""
    texts = [item for item in items if isinstance(item, str)]
    who = next((text for names_speaker in (side, NUMBERED.fullmatch) for text in texts if names_speaker(text)), None)
    if who is None or not 2 <= len(items) <= _MOST_CELLS:
        return None
    others = [item for item in items if item is not who]
    said = next((item for item in others if isinstance(item, str) and as_seconds(item) is None), None)
    said = said if said is not None else next((item for item in reversed(others) if isinstance(item, str)), None)
    times = [as_seconds(item) for item in others if item is not said]
    if said is None or None in times:
        return None
    return Spoken(as_role(who), as_text(said) or "", times[0] if times else None)


def turns_of_single_words(items: list[JsonValue]) -> Iterable[JsonValue]:
    """Joins a list with one item per word: consecutive words of one speaker become one turn."""
    if not all(isinstance(item, dict) and isinstance(item.get("word"), str) and "text" not in item for item in items):
        return items
    words = [{plain(name): value for name, value in item.items()} for item in items if isinstance(item, dict)]
    return [_turn_of(list(run)) for _, run in groupby(words, key=speaker)]


def _turn_of(words: list[Wire]) -> JsonValue:
    """A turn made of single words: it ends with the last, and has the other fields of the first."""
    turn = {name: value for name, value in words[0].items() if name not in WORDS and name not in ENDS}
    end = {name: value for name, value in words[-1].items() if name in ENDS}
    return {**turn, **end, "words": [*words]}


def in_seconds(spoken: Sequence[Spoken], duration_seconds: float | None, *, has_clock: bool) -> Iterator[Spoken]:
    """The turns, milliseconds as seconds if only that fits the call; times all beyond its end are dropped.

    The end of a turn is dropped if it is before its start or beyond the end of the call.
    """
    times = [turn.at for turn in spoken if turn.at is not None]
    last = None if duration_seconds is None else duration_seconds + _SLACK_SECONDS
    is_in_milliseconds = last is not None and not has_clock and max(times, default=0.0) > last >= max(times) / 1000
    are_no_offsets = last is not None and not is_in_milliseconds and min(times, default=0.0) > last
    for turn in spoken:
        at, end = (None, None) if are_no_offsets else (turn.at, turn.end)
        if is_in_milliseconds:
            at, end = at and at / 1000, end and end / 1000
        if end is not None and ((at or 0.0) > end or (last is not None and end > last)):
            end = None
        yield turn._replace(at=at, end=end)
