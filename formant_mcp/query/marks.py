"""Where in a text the words stand that a query found."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

from formant_mcp.store.words import Word, words_in

_FAR = 2_000  # characters behind the first mark: no answer shows so much of one turn


class Needle(NamedTuple):
    """Words one right behind the other, the last of them in any of these forms, or (`may_go_on`) beginning so."""

    words: tuple[str, ...]
    forms: Collection[str]
    may_go_on: bool


Mark = tuple[int, int]
"""Where it begins, and where it is over."""


def marks(text: str, needles: Sequence[Needle]) -> tuple[Mark, ...]:
    """The places of the needles in order, those that overlap or touch as one; none far behind the first."""
    recent: deque[Word] = deque(maxlen=max(len(needle.words) for needle in needles))
    found: list[Mark] = []
    for word in words_in(text):
        if found and word.start > found[0][0] + _FAR:
            break
        recent.append(word)
        for needle in needles:
            if _ends(needle, recent):
                start = recent[-len(needle.words)].start
                while found and found[-1][1] >= start:
                    start = min(start, found.pop()[0])
                found.append((start, word.end))
    return tuple(found)


def _ends(needle: Needle, recent: Sequence[Word]) -> bool:
    """Whether these words end with the needle."""
    count, last = len(needle.words), recent[-1].folded
    if count > len(recent):
        return False
    if not (last.startswith(needle.words[-1]) if needle.may_go_on else last in needle.forms):
        return False
    return all(recent[n - count].folded == needle.words[n] for n in range(count - 1))
