"""The command, in this process where it needs no other: to start one takes longer than most tests.

done = run(tmp_path, "token", "list", FORMANT_API_KEY="k")
assert (done.status, done.error) == (0, "")
"""

import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest

from formant_mcp.cli import main
from formant_mcp.command_line.parser import parse
from formant_mcp.command_line.syntax import Call
from tests.stdio_process import environment, ran


class Done(NamedTuple):
    """How a command ended, and what it wrote to stdout and stderr."""

    status: int
    out: str
    error: str


def parsed(arguments: Sequence[str]) -> Call:
    """The command line, which must be accepted."""
    call = parse(arguments)
    assert isinstance(call, Call)
    return call


def run(folder: Path, *arguments: str, **variables: str) -> Done:
    """Runs `formant-mcp` with these arguments, in `folder` and the environment of a child process."""
    with TemporaryFile("w+", encoding="utf-8", newline="") as out, TemporaryFile("w+", encoding="utf-8") as error:
        with in_environment(folder, **variables), redirect_stdout(out), redirect_stderr(error):
            status = status_of(arguments)
        for file in (out, error):
            file.seek(0)
        return Done(status, out.read(), error.read())


def run_in_child(folder: Path, *arguments: str, **variables: str) -> Done:
    """The same in a process of its own."""
    status, out, error = ran(folder, folder, b"", *arguments, **variables)
    return Done(status, out.decode(), error.decode())


@contextmanager
def in_environment(folder: Path, **variables: str) -> Generator[None]:
    """The working folder, the environment and the log of a child process."""
    given = environment(folder, **variables)
    with pytest.MonkeyPatch.context() as patch, _own_log():
        for name in os.environ.keys() - given.keys():
            patch.delenv(name)
        for name, value in given.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        yield


def status_of(arguments: Sequence[str]) -> int:
    """Runs the command as it is; returns its exit status."""
    try:
        return main(arguments)
    except SystemExit as end:  # the command line could not be parsed
        return int(end.code or 0)
    finally:
        gc.enable()  # a command that does not start leaves it disabled


@contextmanager
def _own_log() -> Generator[None]:
    """The root logger as in a new process, for the command to set up; all levels and hooks as before afterwards."""
    root, _ = logging.getLogger(), logging.getLogger("formant_mcp")
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning
    loggers = [root, *(one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    levels = [(logger, logger.level) for logger in loggers]
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers
        sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning = hooks
        for logger, level in levels:
            logger.setLevel(level)
