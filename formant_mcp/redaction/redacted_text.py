"""A text whose identifiers are labels."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Span = tuple[int, int]


class Label(NamedTuple):
    """A label's span in the redacted text, and the span of what it hides in the original."""

    span: Span
    hidden: Span


class RedactedText(str):
    """A text whose identifiers are labels; it is not redacted again. `labels`: in order."""

    __slots__ = ("labels", "original")
    original: str
    labels: Sequence[Label]

    def __new__(cls, text: str, original: str = "", labels: Sequence[Label] = ()) -> "RedactedText":
        """A text that was redacted; without an original if nobody searches it."""
        redacted = super().__new__(cls, text)
        redacted.original, redacted.labels = original, labels
        return redacted

    def shown(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        """Where spans of the original are here: a part of an identifier is its whole label."""
        starts = [label.hidden[0] for label in self.labels]
        shown: list[Span] = []
        for first, last in spans:
            start = self._shown(first, bisect_right(starts, first) - 1, 0)
            end = self._shown(last, bisect_left(starts, last) - 1, 1)
            while shown and shown[-1][1] >= start:
                before = shown.pop()
                start, end = min(start, before[0]), max(end, before[1])
            shown.append((start, end))
        return tuple(shown)

    def _shown(self, place: int, nearest: int, side: int) -> int:
        """Where a place is, after or within the `nearest` label before it, of which it then is that `side`."""
        if nearest < 0:
            return place
        span, hidden = self.labels[nearest]
        is_within = place < hidden[1] or (side == 1 and place == hidden[1])
        return span[side] if is_within else place + span[1] - hidden[1]
