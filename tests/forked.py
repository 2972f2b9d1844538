"""The program in a process that is forked from one which has imported it: imports are most of what a start takes.

It is a process of its own all the same, with its own arguments, environment, folder and pipes, but it ends without the
interpreter's own end. It is for runs that are to be quick; where there is time for everything, and in tests of how the
program ends, the program itself starts instead.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from formant_mcp import cli, startup, stores
from formant_mcp.command_line import parser
from formant_mcp.demo import account
from formant_mcp.server import http, stdio

if TYPE_CHECKING:  # not on Windows
    from multiprocessing.context import ForkServerContext

_IMPORTED = [module.__name__ for module in (cli, startup, stores, parser, account, http, stdio)]


class Forked:
    """A process, with its pipes, as subprocess has it; its command is the program's."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self.args = command
        (theirs_in, ours_in), (ours_out, theirs_out), (ours_error, theirs_error) = (os.pipe() for _ in range(3))
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
        self.stderr = os.fdopen(ours_error, "rb")
        theirs = [Connection(end) for end in (theirs_in, theirs_out, theirs_error)]  # which can be sent to a process
        self._process = _context().Process(target=_run, args=(command, environment, folder, theirs))
        self._process.start()
        for end in theirs:
            end.close()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; the exit status."""
        self._process.join(timeout)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, written: bytes, timeout: float) -> tuple[bytes, bytes]:
        """Writes to its stdin, and returns what it has written to stdout and stderr when it has ended."""
        with ThreadPoolExecutor(3) as threads:
            out, error = (threads.submit(pipe.read) for pipe in (self.stdout, self.stderr))
            threads.submit(self._write, written)
            try:
                self.wait(timeout)
            finally:
                self.kill()
            return out.result(), error.result()

    def _write(self, written: bytes) -> None:
        with suppress(BrokenPipeError), self.stdin:
            self.stdin.write(written)

    def send_signal(self, sig: int) -> None:
        """Sends a signal, if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, but the process that forked it has not said so yet
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


@cache
def _context() -> "ForkServerContext":
    """Its server, which imports and forks, is started by the first process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def _run(command: Sequence[str], environment: dict[str, str], folder: Path, standard: Sequence[Connection]) -> None:
    """Becomes the program, in the new process; `standard`: its stdin, stdout and stderr."""
    for number, end in enumerate(standard):
        os.dup2(end.fileno(), number)
        end.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    time.tzset()
    sys.argv = [*command]
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace")
    sys.exit(cli.main())
