"""What an answer adds to its coverage's note."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from formant_mcp.query.gather import Coverage

_VALUES_CHARACTERS = 1_500


def with_notes(coverage: Coverage, existing: Mapping[str, Sequence[str]], *notes: str) -> Coverage:
    """The coverage with more to its note; `existing`: for filters that nothing matches, the values that there are."""
    named = [_existing(column, values) for column, values in existing.items()]
    return replace(coverage, note=" ".join(each for each in (coverage.note, *named, *notes) if each))


def _existing(column: str, values: Sequence[str]) -> str:
    """The values there are, as many as a sentence holds."""
    shown: list[str] = []
    left = _VALUES_CHARACTERS
    for value in values:
        left -= len(value) + 2
        if left < 0:
            break
        shown.append(value)
    more = f" and {len(values) - len(shown):,} more" if len(shown) < len(values) else ""
    return f"Not every {column} asked for exists; {column} values that exist: {', '.join(shown) or 'none'}{more}."
