"""What to say of values that a condition by size passes over, for they cannot be compared with the one asked for."""

from formant_mcp.filters import Filters
from formant_mcp.models import clean
from formant_mcp.store import Store
from formant_mcp.values import plain_number, read_value

_KINDS = {"number": "a number", "date": "an ISO date", "text": "a word"}
_SIZES = ("<", "<=", ">", ">=")


async def size_notes(store: Store, filters: Filters) -> list[str]:
    """A sentence for each field of which some values were not compared; none where all were."""
    notes: list[str] = []
    for path, value in {each.path: each.value for each in filters.results if each.operator in _SIZES}.items():
        kind, field = read_value(plain_number(value)).kind, clean(path)[:100]
        count = await store.read.count_not_compared(filters, path, kind)
        if count:
            calls = "1 call has" if count == 1 else f"{count:,} calls have"
            notes.append(f"{calls} a value of {field} that is not {_KINDS[kind]}, and so was not compared.")
        if count and kind == "text":
            notes.append(f"For numbers and dates write one to compare with, e.g. {field}>=3 or {field}>=2026-11-20.")
        largest = await store.read.largest(path) if "%" in value else None
        if largest is not None and largest <= 1:
            notes.append(f"{field} is at most {largest:g}: for 90% write 0.9.")
    return notes
