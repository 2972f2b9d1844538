"""The program as a child process, used as hosts of the older era do: lines of JSON on its pipes."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import IO, Protocol

from pydantic import JsonValue

PROGRAM = Path(sys.executable).with_name("formant-mcp")
MODULE = (sys.executable, "-m", "formant_mcp")
"""The program's command where it is to start itself, and not to be forked from one that has."""
KEY = "key-nobody-may-see"
MOST_SECONDS = 60.0
END_SECONDS = 8.0  # between the promised half second and the 20 a query may take, for busy machines
Message = dict[str, JsonValue]

INITIALIZE: Message = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a-host", "version": "1"},
    },
}
INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(number: int | str, method: str, **params: JsonValue) -> Message:
    """A request of the older era."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def calling(number: int, tool: str, **arguments: JsonValue) -> Message:
    """A tool call of the older era."""
    return request(number, "tools/call", name=tool, arguments=arguments)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """A host's environment without the user's own settings; files are kept in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FORMANT_", "XDG_"))}
    folders = {f"FORMANT_{name.upper()}_DIR": str(folder / name) for name in ("recordings", "exports")}
    own = {"HOME": str(folder), "FORMANT_STORE": ":memory:", **folders}
    return kept | own | {"FORMANT_TIMEZONE": "Asia/Kolkata"} | variables


class Process(Protocol):
    """A child process, as subprocess has it."""

    @property
    def pid(self) -> int: ...
    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def communicate(self, written: bytes, timeout: float, /) -> tuple[bytes, bytes]: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class Server:
    """A child process and its pipes."""

    process: Process

    def write(self, data: bytes) -> None:
        """Writes bytes as they are."""
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, *messages: Message) -> None:
        """Writes messages, a line each."""
        self.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def receive(self) -> Message:
        """The next message."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def shake_hands(self) -> None:
        """The handshake of the older era."""
        self.send(INITIALIZE)
        assert self.receive()["id"] == 1
        self.send(INITIALIZED)

    def close_stdin(self) -> None:
        """Ends the input."""
        assert self.process.stdin
        self.process.stdin.close()

    def rest(self) -> tuple[list[Message], bytes]:
        """The rest of stdout, all of it JSON, and of stderr."""
        assert self.process.stdout
        assert self.process.stderr
        return [json.loads(line) for line in self.process.stdout], self.process.stderr.read()

    def ends(self) -> int:
        """Waits for the end, which must be prompt; returns the exit status."""
        began = monotonic()
        status = self.process.wait(30)
        assert monotonic() - began < END_SECONDS
        return status


@contextmanager
def started(
    folder: Path,
    *arguments: str,
    program: Sequence[str] = (str(PROGRAM),),
    seconds: float = MOST_SECONDS,
    **variables: str,
) -> Generator[Server]:
    """The program, with pipes; killed if a test leaves it running, or after so many seconds."""
    with running(folder, Path.cwd(), *arguments, program=program, **variables) as process:
        watchdog = Timer(seconds, process.kill)  # a test that waits for a line then gets an empty one
        watchdog.start()
        try:
            yield Server(process)
        finally:
            watchdog.cancel()


def piped(folder: Path, messages: Sequence[Message], *arguments: str, **variables: str) -> tuple[list[Message], str]:
    """Sends messages, closes the pipe, and returns stdout, all of it JSON, and stderr."""
    lines = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    status, out, on_stderr = ran(folder, Path.cwd(), lines, *arguments, **variables)
    assert status == 0, on_stderr
    return [json.loads(line) for line in out.splitlines()], on_stderr.decode()


def ran(home: Path, folder: Path, lines: bytes, *arguments: str, **variables: str) -> tuple[int, bytes, bytes]:
    """Runs the program in `folder`; its exit status, and what it wrote to stdout and stderr."""
    with running(home, folder, *arguments, **variables) as process:
        out, on_stderr = process.communicate(lines, MOST_SECONDS)
        return process.wait(), out, on_stderr


@contextmanager
def running(
    home: Path, folder: Path, *arguments: str, program: Sequence[str] = (str(PROGRAM),), **variables: str
) -> Generator[Process]:
    """A process with its pipes; killed at the end if it is left running."""
    process = start([*program, *arguments], environment(home, **variables), folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                assert pipe
                pipe.close()


def start(command: Sequence[str], environment: dict[str, str], folder: Path) -> Process:
    """A new process, with pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe)


def said(message: Message) -> str:
    """The text of a tool's answer."""
    result = message["result"]
    assert isinstance(result, dict)
    content = result["content"]
    assert isinstance(content, list)
    assert isinstance(content[0], dict)
    return str(content[0]["text"])
