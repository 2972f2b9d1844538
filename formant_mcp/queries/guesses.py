"""What was probably meant by a word that does not exist."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_RATIO = 0.7
_MOST_CHARACTERS = 60


def nearest(word: str, existing: Iterable[str], ratio: float = _RATIO) -> str:
    """The one that is most like it, case, blanks and punctuation aside; '' where none is."""
    spelled = {_folded(each): each for each in existing if len(each) <= _MOST_CHARACTERS}
    near = get_close_matches(_folded(word[:_MOST_CHARACTERS]), list(spelled), n=1, cutoff=ratio)
    return spelled[near[0]] if near else ""


def did_you_mean(meant: str) -> str:
    """The question for it; nothing for ''."""
    return f" Did you mean {meant}?" if meant else ""


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
