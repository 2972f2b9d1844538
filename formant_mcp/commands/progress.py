"""The progress of a command, on stderr."""

import math
import sys
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from formant_mcp.queries.account import Report

_LINE_EVERY_SECONDS = 5.0


class Display(Protocol):
    def show(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        """Shows the progress (`total` 0: unknown) and a note; `at_once`: do not skip this one."""
        ...

    def close(self) -> None:
        """Ends the output."""
        ...


class _Bar:
    """A progress bar, for a terminal."""

    def __init__(self, name: str, unit: str, *, stays: bool = True) -> None:
        self._unit = unit
        self._progress = Progress(
            TextColumn("{task.description}:", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=not stays,
        )
        self._task = self._progress.add_task(name, total=None, count="", note="")
        self._progress.start()

    def show(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        of = f" of {total:,}" if total else ""
        count = f"{done:,}{of} {self._unit}s"
        self._progress.update(self._task, completed=done, total=total or None, count=count, note=note, refresh=at_once)

    def close(self) -> None:
        self._progress.stop()


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


@contextmanager
def show_loading() -> Generator[Report | None]:
    """A bar that disappears, in a terminal only: what a question's requests are reported to."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar("loading", "request", stays=False)

    async def report(done: int, total: int) -> None:
        bar.show(done, total, "")

    try:
        yield report
    finally:
        bar.close()
