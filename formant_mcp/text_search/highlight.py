"""Finds the places in a text that match a query."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from formant_mcp.text_search.query import Term
from formant_mcp.text_search.tokenizer import Word, divided, words_in

_FAR = 2_000  # characters after the first span: no answer shows that much of one turn


class Pattern(NamedTuple):
    """Words one right after the other; the last in any of these forms, or (`is_prefix`) starting with its letters."""

    words: tuple[str, ...]
    forms: Collection[str]
    is_prefix: bool


Span = tuple[int, int]
"""(start, end) offsets."""


def patterns_of(term: Term, forms: Iterable[str]) -> Iterator[Pattern]:
    """What to highlight for a term that matches these forms, some of them several words."""
    if term.kind == "prefix":
        yield Pattern(term.words, (), True)
        return
    words_of_forms = [divided(form) for form in forms]
    single = {words[0] for words in words_of_forms if len(words) == 1}
    if single:
        yield Pattern(("",), single, False)
    yield from (Pattern(words, words[-1:], False) for words in words_of_forms if len(words) > 1)


def find_spans(text: str, patterns: Sequence[Pattern]) -> tuple[Span, ...]:
    """The matches of the patterns in order, overlapping or adjacent ones joined; none far after the first."""
    recent: deque[Word] = deque(maxlen=max(len(pattern.words) for pattern in patterns))
    spans: list[Span] = []
    for word in words_in(text):
        if spans and word.start > spans[0][0] + _FAR:
            break
        recent.append(word)
        for pattern in patterns:
            if _ends_with(recent, pattern):
                start = recent[-len(pattern.words)].start
                while spans and spans[-1][1] >= start:
                    start = min(start, spans.pop()[0])
                spans.append((start, word.end))
    return tuple(spans)


def _ends_with(recent: Sequence[Word], pattern: Pattern) -> bool:
    """Whether these words end with a match of the pattern."""
    count, last = len(pattern.words), recent[-1].folded
    if count > len(recent):
        return False
    if not (last.startswith(pattern.words[-1]) if pattern.is_prefix else last in pattern.forms):
        return False
    return all(recent[n - count].folded == pattern.words[n] for n in range(count - 1))
