"""Prism: a mock server, not ours, that answers as the OpenAPI document says (`openapi/formant-openapi.yaml`).

With `-d --seed N` it invents values that only the schema bounds. It needs an `Authorization: Bearer` header.
https://docs.stoplight.io/docs/prism
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryFile

from tests import npm

DOCUMENT = Path(__file__).parent / "openapi" / "formant-openapi.yaml"
PACKAGE = "@stoplight/prism-cli@5.14"  # the last that runs on Node 20
START_SECONDS = 120


def install(folder: Path) -> Path:
    """Installs Prism below `folder`; gives the program. Starting it directly saves what `npx` costs at each start."""
    return npm.install(folder, PACKAGE) / ".bin" / "prism"


@contextmanager
def serve(program: Path, port: int, *flags: str) -> Generator[str]:
    """Runs the mock on `port` (0: a free one) until the block ends; gives its address.

    Raises:
        OSError: somebody listens on that port already.
        RuntimeError: it ended early or did not answer in `START_SECONDS`; with what it printed.
    """
    port = free_port(port)
    command = [str(program), "mock", str(DOCUMENT), "-h", "127.0.0.1", "-p", str(port), *flags]
    with TemporaryFile() as output:
        # A session of its own, so that ending its process group ends all that it started and nothing else.
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            if not _answers(process, port):
                output.seek(0)
                raise RuntimeError(f"Prism did not start:\n{output.read().decode(errors='replace')}")
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def free_port(port: int = 0) -> int:
    """A port that nobody listens on: `port` itself, or any for 0.

    Raises:
        OSError: somebody listens on `port`: waiting for Prism would take that program's answer for Prism's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed is free
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse()
            return True
        except (OSError, HTTPException):
            time.sleep(0.05)  # polls, as there is nothing else to wait for
        finally:
            connection.close()
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
