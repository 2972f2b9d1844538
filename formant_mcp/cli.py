"""The command `formant-mcp`. What it imports is decided by its arguments, so that the server starts fast."""

import gc
import os
import sys
from collections.abc import Sequence

from formant_mcp.startup import prepare, serve_stdio, skip_command_of_httpx

_COMPLETES = "_FORMANT_MCP_COMPLETE"  # set by a shell that completes what is typed
_INTERRUPTED = 130  # the exit status of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    gc.disable()  # imports create no garbage; saves about 0.1 s at start
    skip_command_of_httpx()
    is_server = set(given) <= {"--demo"} and _COMPLETES not in os.environ
    try:
        if is_server:
            return serve_stdio(is_demo=bool(given))
        return _run(given)
    except BrokenPipeError:  # the reader of the output has closed it
        _discard_output()
        return 1
    except OSError:
        reason = "" if is_server else _fault_of_output()  # a server's output has messages alone
        if not reason:
            raise
        print(f"The output cannot be written: {reason}.", file=sys.stderr)
        _discard_output()
        return 1
    except KeyboardInterrupt:
        sys.unraisablehook = lambda _: None  # what is half made, such as an event loop, fails while it is deleted
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED


def _run(arguments: list[str]) -> int:
    from formant_mcp.command_line.parser import parse  # imports click, which a server need not

    if not sys.stdout:  # it is closed: what is written must fail, not vanish
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    call = parse(arguments)
    gc.freeze()  # else each full collection walks all modules
    gc.enable()
    if isinstance(call, int):
        status = call
    else:
        prepare()
        status = call.run()
    sys.stdout.flush()  # here, where it can be said if that fails
    return status


def _fault_of_output() -> str:
    """Why nothing can be written to stdout, '' if an empty line can."""
    try:
        print(flush=True)
    except OSError as error:
        return error.strerror or "the system gave no reason"
    return ""


def _discard_output() -> None:
    """Drops what is left to be written, since Python would try it again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
