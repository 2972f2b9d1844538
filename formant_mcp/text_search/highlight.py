"""Where in a text the words are that a query found."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from formant_mcp.text_search.query import Term
from formant_mcp.text_search.tokenizer import Word, divided, words_in

_FAR = 2_000  # characters after the first mark: no answer shows so much of one turn


class Pattern(NamedTuple):
    """Words one right after the other, the last of them in any of these forms, or (`may_go_on`) beginning so."""

    words: tuple[str, ...]
    forms: Collection[str]
    may_go_on: bool


Span = tuple[int, int]
"""Where it starts and ends."""


def needles_of(term: Term, forms: Iterable[str]) -> Iterator[Pattern]:
    """What to mark for a term that is found in these forms, some of them several words."""
    if term.kind == "beginning":
        yield Pattern(term.words, (), True)
        return
    words = [divided(form) for form in forms]
    single = {each[0] for each in words if len(each) == 1}
    if single:
        yield Pattern(("",), single, False)
    yield from (Pattern(each, each[-1:], False) for each in words if len(each) > 1)


def marks(text: str, needles: Sequence[Pattern]) -> tuple[Span, ...]:
    """The places of the needles in order, those that overlap or touch as one; none far after the first."""
    recent: deque[Word] = deque(maxlen=max(len(needle.words) for needle in needles))
    found: list[Span] = []
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


def _ends(needle: Pattern, recent: Sequence[Word]) -> bool:
    """Whether these words end with the needle."""
    count, last = len(needle.words), recent[-1].folded
    if count > len(recent):
        return False
    if not (last.startswith(needle.words[-1]) if needle.may_go_on else last in needle.forms):
        return False
    return all(recent[n - count].folded == needle.words[n] for n in range(count - 1))
