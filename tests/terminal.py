"""The program in a terminal: what it prints there."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from tests.command import in_environment, status_of
from tests.stdio_process import PROGRAM, environment

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def shown_in_terminal(folder: Path, *arguments: str, columns: int = 120, **variables: str) -> tuple[int, str]:
    """The exit status, and what is on stdout, which is a terminal of that width; stderr is not. In this process."""
    ours, terminal = _terminal(columns)
    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(_read_all, ours)
        try:
            given = {"TERM": "xterm-256color", "NO_COLOR": "", "COLUMNS": "", "LINES": ""} | variables
            with in_environment(folder, **given), _stdout(terminal):
                status = status_of(arguments)
        finally:
            os.close(terminal)
        return status, shown.result()


def shown_by_child(folder: Path, *arguments: str, columns: int = 120, **variables: str) -> tuple[int, str]:
    """The same of a process of its own."""
    ours, terminal = _terminal(columns)
    given = environment(folder, TERM="xterm-256color", NO_COLOR="") | variables
    process = subprocess.Popen(
        [str(PROGRAM), *arguments],
        env={name: value for name, value in given.items() if name not in ("COLUMNS", "LINES")},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    )
    os.close(terminal)
    shown = _read_all(ours)
    return process.wait(60), shown


def _terminal(columns: int) -> tuple[int, int]:
    """Both ends of a new terminal: ours, and the program's."""
    import pty
    import termios

    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    return ours, terminal


@contextmanager
def _stdout(terminal: int) -> Generator[None]:
    """The terminal as stdout, and nothing as stdin and stderr, for all that asks the system how wide they are."""
    kept = [os.dup(standard) for standard in range(3)]
    nothing = os.open(os.devnull, os.O_RDWR)
    sys.stdout.flush()
    try:
        for standard, ours in enumerate((nothing, terminal, nothing)):
            os.dup2(ours, standard)
        with open(1, "w", encoding="utf-8", closefd=False) as out, redirect_stdout(out):
            yield
    finally:
        for standard, before in enumerate(kept):
            os.dup2(before, standard)
            os.close(before)
        os.close(nothing)


def _read_all(ours: int) -> str:
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""
