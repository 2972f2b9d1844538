"""What the times of turns say about a call. Each function takes the spoken turns in order, and returns None if one of
the times that it needs is missing: a start alone says at most how long a wait may have been.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from formant_mcp.models import Turn


class Wait(NamedTuple):
    """Seconds until a turn, by its index."""

    seconds: float
    turn: int


def replies(speech: Sequence[Turn]) -> list[Wait] | None:
    """From the end of a contact's turn to the start of the agent's next; 0 if the agent begins before that end."""
    waits: list[Wait] = []
    last_of_contact: Turn | None = None
    for turn in speech:
        if turn.role == "agent" and last_of_contact:
            if last_of_contact.end_seconds is None or turn.seconds is None:
                return None
            waits.append(Wait(max(0.0, turn.seconds - last_of_contact.end_seconds), turn.index))
        if turn.role in ("agent", "contact"):
            last_of_contact = turn if turn.role == "contact" else None
    return waits


def longest_gap(speech: Sequence[Turn]) -> Wait | None:
    """The longest time between two turns in which nobody speaks, and the turn after it."""
    spans = [(turn.seconds, turn.end_seconds, turn.index) for turn in speech]
    timed = sorted((start, end, index) for start, end, index in spans if start is not None and end is not None)
    if len(timed) < max(2, len(spans)):
        return None
    silent_from, gaps = timed[0][1], [Wait(0.0, timed[0][2])]
    for start, end, index in timed:
        gaps.append(Wait(start - silent_from, index))
        silent_from = max(silent_from, end)
    return longest(gaps)


def longest(waits: Sequence[Wait]) -> Wait:
    """The first of the longest; there is at least one."""
    return max(waits, key=lambda wait: wait.seconds)


def interrupted(speech: Sequence[Turn]) -> list[int] | None:
    """Agent turns during which the contact begins to speak: by the provider's flags, else by the times.

    A provider that sends no False leaves it out: then a missing flag means False. Otherwise it is unknown.
    """
    of_agent = [turn for turn in speech if turn.role == "agent"]
    if not of_agent:
        return None
    flags = [turn.interrupted for turn in of_agent]
    sends_only_true = any(flags) and all(turn.interrupted is not False for turn in speech)
    if sends_only_true or None not in flags:
        return [turn.index for turn in of_agent if turn.interrupted]
    begins = [turn.seconds for turn in speech if turn.role == "contact"]
    spans = [(turn.seconds, turn.end_seconds, turn.index) for turn in of_agent]
    begins_timed = sorted(begin for begin in begins if begin is not None)
    spans_timed = [(start, end, index) for start, end, index in spans if start is not None and end is not None]
    if len(begins_timed) < len(begins) or len(spans_timed) < len(spans):
        return None
    return [index for start, end, index in spans_timed if _begins_within(begins_timed, start, end)]


def _begins_within(begins: Sequence[float], start: float, end: float) -> bool:
    place = bisect_right(begins, start)
    return place < len(begins) and begins[place] < end
