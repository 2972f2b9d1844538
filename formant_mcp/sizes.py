"""Counts and sizes, as answers and commands have them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_KILO = 1000


def size(count: int) -> str:
    """Bytes, in the largest unit that leaves a digit before the point."""
    amount, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= _KILO and len(units) > 1:
        amount, units = amount / _KILO, units[1:]
    return f"{amount:,.0f} {units[0]}" if units[0] == "bytes" else f"{amount:,.1f} {units[0]}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """`1 call`, `1,204 calls`."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def files_text(paths: Sequence[Path]) -> str:
    """How many files, and how large they are together."""
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.stat().st_size
    return f"{counted(len(paths), 'file')}, {size(total)}" if paths else "none"
