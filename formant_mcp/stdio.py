"""Serving on stdin and stdout, with a clean and prompt end on end of input, SIGINT and SIGTERM.

The SDK reads stdin in a thread that cannot be interrupted, so that a signal would hang until the next line. Here a
daemon thread reads, and nobody waits for it.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from formant_mcp.app import Opener

_GRACE_STEPS = 20  # for answers under way when the input ends
_STEP_SECONDS = 0.01
_FORCE_SECONDS = 0.4
_CHUNK = 65_536


def serve(server: "Server[Opener]") -> None:
    """Serves until the input ends or a signal comes."""
    asyncio.run(_serve(server))


async def _serve(server: "Server[Opener]") -> None:
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:

        def stop() -> None:
            scope.cancel()
            # A client that does not read its end of the pipe must not keep us.
            loop.call_later(_FORCE_SECONDS, os._exit, 0)

        for number in (signal.SIGINT, signal.SIGTERM):
            _on_signal(loop, number, stop)
        lines = cast("anyio.AsyncFile[str]", _Lines(loop, sys.stdin.fileno()))
        async with stdio_server(stdin=lines) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
            scope.cancel()


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: Callable[[], None]) -> None:
    if sys.platform == "win32":
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        loop.add_signal_handler(number, stop)


class _Lines:
    """The lines of a file descriptor, to be iterated once; after the last one the answers under way have a moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, daemon=True, name="stdin").start()

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            # In steps, so that what holds up the loop, as the imports of a first call do, is not counted.
            for _ in range(_GRACE_STEPS):
                await asyncio.sleep(_STEP_SECONDS)
            raise StopAsyncIteration
        return line

    def _read(self) -> None:
        rest = b""
        while chunk := self._next_chunk():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._put(line.decode(errors="replace"))
        if rest:
            self._put(rest.decode(errors="replace"))
        self._put(None)

    def _next_chunk(self) -> bytes:
        try:
            return os.read(self._descriptor, _CHUNK)
        except OSError:
            return b""

    def _put(self, line: str | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
