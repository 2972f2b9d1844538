"""Sentences with marked identifiers, and what of them is still visible after redaction.

`{}` is around digits or letters of an id: fewer than five may stay visible. `[]` is around the local part of an
address: nothing may. ` // ` is between turns.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from formant_mcp.redaction.redactor import Redactor

BETWEEN_TURNS = " // "
_LABEL = re.compile(r"<(?:number|email|id) \d+>")
_MARK = re.compile(r"[{}\[\]]")
_WORD = re.compile(r"\d|[^\W\d_]\w*")
_FEWEST_LEFT = 5


def words(text: str) -> list[str]:
    """The words of a list that is written as one text."""
    return text.split()


def unmarked(marked: str) -> list[str]:
    """The turns of a marked text without the marks."""
    return _MARK.sub("", marked).split(BETWEEN_TURNS)


def leftover(marked: str, redactor: Redactor) -> str:
    """What is left over of the identifiers in a marked text; '' if they are hidden."""
    turns = redactor.turns(unmarked(marked))
    shown = [_shown(said, redacted) for said, redacted in zip(unmarked(marked), turns, strict=True)]
    digits: list[str] = []
    for turn, text in enumerate(marked.split(BETWEEN_TURNS)):
        for opening, start, end in _marked(text):
            rest = "".join(shown[turn][start:end])
            digits += _WORD.findall(rest)
            if opening == "[" and _WORD.search(rest):
                return rest
    return " ".join(digits) if len(digits) >= _FEWEST_LEFT else ""


def hidden_tokens(said: str, redacted: str) -> tuple[int, int]:
    """How many words of a text are hidden, at least in part, and how many it has."""
    shown = "".join(_shown(said, redacted))
    words = list(re.finditer(r"\S+", said))
    return sum("\0" in shown[word.start() : word.end()] for word in words), len(words)


def _marked(text: str) -> list[tuple[str, int, int]]:
    """The opening mark, start and end of each marked part, as places in the text without marks."""
    marks = list(_MARK.finditer(text))
    return [
        (opening[0], opening.start() - n, closing.start() - n - 1)
        for n, (opening, closing) in enumerate(pairwise(marks))
        if n % 2 == 0
    ]


def _shown(said: str, redacted: str) -> Sequence[str]:
    """The characters of a text, with zero bytes for those that labels replace."""
    pieces = _LABEL.split(redacted)
    match = re.fullmatch("(.+?)".join(map(re.escape, pieces)), said, re.DOTALL)
    assert match, (said, redacted)
    characters = list(said)
    for group in range(1, len(pieces)):
        for place in range(*match.span(group)):
            characters[place] = "\0"
    return characters
