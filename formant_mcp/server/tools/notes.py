"""What an answer adds to its coverage's note."""

from collections.abc import Mapping
from dataclasses import replace

from formant_mcp.queries.conversations import Existing
from formant_mcp.queries.guesses import did_you_mean
from formant_mcp.queries.loader import Coverage
from formant_mcp.queries.summary import RESULTS
from formant_mcp.server.tools.text import shortened

_VALUES_CHARACTERS = 1_500
_VALUE_CHARACTERS = 100


def with_notes(coverage: Coverage, existing: Mapping[str, Existing], *notes: str) -> Coverage:
    """The coverage with more to its note; `existing`: for filters that nothing matches, the values that there are."""
    named = [
        _existing(column, each, is_known=column in coverage.settled or "results" in coverage.settled)
        + did_you_mean(each.meant)
        for column, each in existing.items()
    ]
    return replace(coverage, note=" ".join(each for each in (coverage.note, *named, *notes) if each))


def _existing(column: str, existing: Existing, *, is_known: bool) -> str:
    """That a value does not occur, and the values that do, as many as a sentence holds."""
    shown: list[str] = []
    left = _VALUES_CHARACTERS
    for value in (shortened(value, _VALUE_CHARACTERS) for value in existing.values):
        left -= len(value) + 2
        if left < 0:
            break
        shown.append(value)
    left_out = len(existing.values) - len(shown) + existing.more
    counts = "summarize_results counts"
    if not shown and left_out:
        shown = [f"not named here ({counts} all {left_out:,})"]
    elif left_out:
        shown[-1] += f" and {left_out:,} more" + (f" ({counts} them)" if existing.more else "")
    if column == "status":  # of several, some may occur
        none = "Some of the statuses given do not occur"
    else:
        none = f"No call has this {'value of ' if column.startswith(RESULTS) else ''}{column}"
    values_are = "Existing result fields" if column == "result field" else "Existing values"
    if not is_known:
        none, values_are = f"{none} among the calls loaded so far", f"{values_are} so far"
    if not shown and not is_known:
        return ""  # nothing was loaded that could have it
    return f"{none}. {values_are}: {', '.join(shown) or 'none'}."
