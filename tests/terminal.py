"""The program in a terminal: what it prints there."""

import os
import re
import subprocess
from pathlib import Path

from tests.stdio_process import PROGRAM, environment

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def shown_in_terminal(folder: Path, *arguments: str, columns: int = 120, **variables: str) -> tuple[int, str]:
    """The exit status, and what is on stdout, which is a terminal of that width; stderr is not."""
    import pty
    import termios

    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    given = environment(folder, TERM="xterm-256color", NO_COLOR="") | variables
    process = subprocess.Popen(
        [str(PROGRAM), *arguments],
        env={name: value for name, value in given.items() if name not in ("COLUMNS", "LINES")},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    )
    os.close(terminal)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""
