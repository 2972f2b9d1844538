"""The progress of a command, on stderr."""

import math
import sys
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from tqdm import tqdm

_LINE_EVERY_SECONDS = 5.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}s{postfix}"


class Display(Protocol):
    def show(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        """Shows the progress (`total` 0: unknown) and a note; `at_once`: do not skip this one."""
        ...

    def close(self) -> None:
        """Ends the output."""
        ...


class _Bar:
    """A progress bar, for a terminal."""

    def __init__(self, name: str, unit: str) -> None:
        self._bar = tqdm(desc=name, unit=unit, file=sys.stderr, dynamic_ncols=True, bar_format=_BAR)

    def show(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        self._bar.total = total or None
        self._bar.n = done
        self._bar.set_postfix_str(note)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """A line every few seconds, for a file or a pipe."""

    def __init__(self, name: str, unit: str) -> None:
        self._name, self._unit = name, unit
        self._line, self._printed_at = "", -math.inf

    def show(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        of = f" of {total:,}" if total else ""
        self._line = f"{self._name}: {done:,}{of} {self._unit}s. {note}".rstrip()
        if at_once or monotonic() - self._printed_at >= _LINE_EVERY_SECONDS:
            self._print()

    def close(self) -> None:
        if self._line:
            self._print()

    def _print(self) -> None:
        print(self._line, file=sys.stderr, flush=True)
        self._line, self._printed_at = "", monotonic()


@contextmanager
def show_progress(name: str, unit: str) -> Generator[Display]:
    """A bar in a terminal, else lines."""
    display: Display = _Bar(name, unit) if sys.stderr.isatty() else _Lines(name, unit)
    try:
        yield display
    finally:
        display.close()
