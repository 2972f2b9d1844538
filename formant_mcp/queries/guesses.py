"""Suggestions for a word that does not exist."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_RATIO = 0.7
_MAX_CHARACTERS = 60


def nearest(word: str, existing: Iterable[str], ratio: float = _RATIO) -> str:
    """The most similar one, ignoring case, blanks and punctuation; '' if none is similar."""
    spelled = {_folded(candidate): candidate for candidate in existing if len(candidate) <= _MAX_CHARACTERS}
    near = get_close_matches(_folded(word[:_MAX_CHARACTERS]), list(spelled), n=1, cutoff=ratio)
    return spelled[near[0]] if near else ""


def did_you_mean(suggestion: str) -> str:
    """The question, or nothing for ''."""
    return f" Did you mean {suggestion}?" if suggestion else ""


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
