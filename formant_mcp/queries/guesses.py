"""Suggestions for a word that does not exist, and lists of what does."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from formant_mcp.models import outside_form
from formant_mcp.redaction.kinds import LABEL

_RATIO = 0.7
_MAX_CHARACTERS = 60
_HIDDEN_GUESS = re.compile(rf" Did you mean [^?]*{LABEL.pattern}[^?]*\?")


def nearest(word: str, existing: Iterable[str], ratio: float = _RATIO) -> str:
    """The most similar one, ignoring case, blanks and punctuation; '' if none is similar."""
    spelled = {_folded(candidate): candidate for candidate in existing if len(candidate) <= _MAX_CHARACTERS}
    near = get_close_matches(_folded(word[:_MAX_CHARACTERS]), list(spelled), n=1, cutoff=ratio)
    return spelled[near[0]] if near else ""


def did_you_mean(suggestion: str) -> str:
    """The question; '' without a suggestion, or for one that may not be outside the boundary."""
    shown = outside_form(suggestion)
    return f" Did you mean {shown}?" if shown else ""


def without_hidden_guess(text: str) -> str:
    """A text without a question whose answer is hidden: nobody could give it as an argument."""
    return _HIDDEN_GUESS.sub("", text)


def listed(values: Sequence[str], most: int) -> str:
    """The first of these values that may be outside the boundary, and `…` if there are more; '' if none may."""
    shown = list(filter(None, map(outside_form, values)))[:most]
    return ", ".join([*shown, *(["…"] if shown and len(values) > len(shown) else [])])


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
