"""The words of group_by and measures: those of the filters, those that answers print, and bare result fields."""

from collections.abc import Sequence

from formant_mcp.errors import InvalidRequestError
from formant_mcp.models import clean
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.queries.time_buckets import TIMES
from formant_mcp.store.aggregates import COLUMNS, DURATION, RESULTS

_GROUPINGS = {
    **{name: name for name in (*COLUMNS, *TIMES)},
    **{f"{time}s": time for time in TIMES},
    "agent": "agent_id",
    "agent_name": "agent_id",
    "contact": "contact_number",
    "date": "day",
}
_MEASURES = {DURATION: DURATION, "duration": DURATION, "seconds": DURATION}
# What rows of a list have, but nothing is grouped by.
_OF_ONE_CALL = {"conversation_id", "started", "started_at", "ended_at", "trace_id", "results", "words", "example"}
_SAME = 0.8


def read_groupings(words: Sequence[str]) -> tuple[str, ...]:
    """The groupings of group_by; any other word is a field of the results.

    Raises:
        InvalidRequestError: a word that is almost one of ours, or of a column that nothing is grouped by.
    """
    return tuple(_read("group_by", word, _GROUPINGS, {*_OF_ONE_CALL, *_MEASURES}) for word in words)


def read_measures(words: Sequence[str]) -> tuple[str, ...]:
    """The measures; any other word is a field of the results.

    Raises:
        InvalidRequestError: a word that is almost one of ours, or of a column that has no numbers.
    """
    return tuple(_read("measures", word, _MEASURES, {*_OF_ONE_CALL, *_GROUPINGS}) for word in words)


def _read(argument: str, word: str, words: dict[str, str], refused: set[str]) -> str:
    if word.startswith(RESULTS):
        return word
    name = word.lower().replace(" ", "_")
    if name in words:
        return words[name]
    near = nearest(name, words, _SAME)
    if not near and name not in refused:
        return RESULTS + word
    accepted = ", ".join(dict.fromkeys(words.values()))
    raise InvalidRequestError(
        f"{argument} does not take {clean(word)[:60]!r}.{did_you_mean(near)}",
        f"It takes {accepted} and result fields, e.g. results.intent.",
    )
