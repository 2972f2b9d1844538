"""What the times of turns say about a call. Each function takes the spoken turns in order, and returns None if one of
the times that it needs is missing: a start alone says at most how long a wait may have been.
"""

from bisect import bisect_right
from collections.abc import Sequence

from formant_mcp.models import Turn


def reply_seconds(speech: Sequence[Turn]) -> list[float] | None:
    """From the end of a contact's turn to the start of the agent's next; 0 if the agent begins before that end."""
    replies: list[float] = []
    last_of_contact: Turn | None = None
    for turn in speech:
        if turn.role == "agent" and last_of_contact:
            if last_of_contact.end_seconds is None or turn.seconds is None:
                return None
            replies.append(max(0.0, turn.seconds - last_of_contact.end_seconds))
        if turn.role in ("agent", "contact"):
            last_of_contact = turn if turn.role == "contact" else None
    return replies


def longest_gap_seconds(speech: Sequence[Turn]) -> float | None:
    """The longest time between two turns in which nobody speaks."""
    spans = [(turn.seconds, turn.end_seconds) for turn in speech]
    timed = sorted((start, end) for start, end in spans if start is not None and end is not None)
    if len(timed) < max(2, len(spans)):
        return None
    longest, silent_from = 0.0, timed[0][1]
    for start, end in timed:
        longest = max(longest, start - silent_from)
        silent_from = max(silent_from, end)
    return longest


def interruptions(speech: Sequence[Turn]) -> int | None:
    """Agent turns during which the contact begins to speak: by the provider's flags, else by the times.

    A provider that sends no False leaves it out: then a missing flag means False. Otherwise it is unknown.
    """
    of_agent = [turn for turn in speech if turn.role == "agent"]
    if not of_agent:
        return None
    flags = [turn.interrupted for turn in of_agent]
    sends_only_true = any(flags) and all(turn.interrupted is not False for turn in speech)
    if sends_only_true or None not in flags:
        return flags.count(True)
    begins = [turn.seconds for turn in speech if turn.role == "contact"]
    spans = [(turn.seconds, turn.end_seconds) for turn in of_agent]
    begins_timed = sorted(begin for begin in begins if begin is not None)
    spans_timed = [(start, end) for start, end in spans if start is not None and end is not None]
    if len(begins_timed) < len(begins) or len(spans_timed) < len(spans):
        return None
    return sum(_begins_within(begins_timed, start, end) for start, end in spans_timed)


def _begins_within(begins: Sequence[float], start: float, end: float) -> bool:
    place = bisect_right(begins, start)
    return place < len(begins) and begins[place] < end
