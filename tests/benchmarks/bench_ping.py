"""Measures how long a client waits for a ping while the server computes.

    python -m tests.benchmarks.bench_ping [--conversations 1000000] [--transcripts 10000] [--every 0.005] [--runs 3]

A server in a process of its own, spoken to on its pipes, over a store in which all calls are complete with results; the
API is on loopback and has nothing new. The first calls alone have transcripts, which no question here is about. A ping
is sent every 5 ms while `summarize_results` runs, and each is timed from its sending to its answer. Every question is
asked several times: `answered` is the median of its seconds, the waits are those of all runs. The baseline is the same
pings while nothing is asked: `ratio` is the longest wait by the longest of those, which varies with what else the
machine does. A longest wait of about the time of the answer means that the event loop is blocked all the while.
"""

import argparse
import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
from pydantic import JsonValue

from formant_mcp.app import utc_now
from formant_mcp.providers.formant_json import parse_detail
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync.details import next_refresh_at
from tests.calls import LazyRows, detail, many
from tests.fake_formant import FakeFormant
from tests.stdio_process import KEY, Message, Server, calling, request, said, started

DAYS, BATCH, IDLE_SECONDS, MOST_SECONDS = 300, 1_000, 2.0, 1_800.0
ZONE = "Asia/Kolkata"
PERIODS: dict[str, JsonValue] = {"since": "150d", "compare_previous": True}
QUESTIONS: dict[str, dict[str, JsonValue]] = {
    "by agent and day": {"group_by": ["agent_id", "day"]},
    "by day, with durations": {"group_by": ["day"], "measures": ["duration_seconds"]},
    "by result field and week": {"group_by": ["results.intent", "week"], "measures": ["results.csat"]},
    "by contact, day and result": {"group_by": ["contact_number", "day", "results.intent"]},
    "two periods by hour": {"group_by": ["hour", "agent_id"], "measures": ["duration_seconds"], **PERIODS},
    "profile of everything": {},
}
_NUMBERS = count(2)  # of requests; the handshake has the first


async def build(path: Path, url: str, calls: LazyRows, transcripts: int) -> None:
    """Fills a store as synchronizing everything would."""
    settings = Settings.model_validate({"api_key": KEY, "base_url": url, "store": str(path), "timezone": ZONE})
    store = await Store.open(path, AccountKey(settings.service(), settings.account(KEY)), next_refresh_at)
    for first in range(0, len(calls), BATCH):
        some = [detail(row) for row in calls[first : first + BATCH]]
        if first >= transcripts:
            some = [row | {"transcript": None} for row in some]
        await store.write.save([parse_detail({"data": row}) for row in some], utc_now())
        print(f"\rbuilding: {first + len(some)} of {len(calls)}", end="", flush=True)
    print()
    now = utc_now()
    await store.sync_state.update("", total=len(calls), last_full_scan_at=now, checked_at=now, list_order="newest")
    await store.close()


class Pings:
    """Sends pings from a thread, and times their answers."""

    def __init__(self, server: Server, every: float) -> None:
        self._server = server
        self._every = every
        self._sent_at: dict[str, float] = {}
        self.waits: list[float] = []

    def while_asked(self, arguments: dict[str, JsonValue]) -> float:
        """Seconds until that summary is answered; fails where it is not whole."""
        number = next(_NUMBERS)
        self._server.send(calling(number, "summarize_results", **arguments))
        began = time.perf_counter()
        with self._sending():
            while (message := self._receive()).get("id") != number:
                pass
            seconds = time.perf_counter() - began
        assert "; complete as of" in said(message).partition("\n")[0], said(message)
        return seconds

    def while_idle(self, seconds: float) -> float:
        """The same for so many seconds in which nothing is asked."""
        until = time.perf_counter() + seconds
        with self._sending():
            while time.perf_counter() < until:
                self._receive()
        return seconds

    @contextmanager
    def _sending(self) -> Generator[None]:
        """While the block runs, pings are sent; then all of them are answered."""
        stop = threading.Event()
        sender = threading.Thread(target=self._send, args=(stop,))
        sender.start()
        try:
            yield
        finally:
            stop.set()
            sender.join()
        while self._sent_at:
            self._receive()

    def _send(self, stop: threading.Event) -> None:
        for number in count():
            self._sent_at[f"ping-{number}"] = time.perf_counter()
            self._server.send(request(f"ping-{number}", "ping"))
            if stop.wait(self._every):
                return

    def _receive(self) -> Message:
        message = self._server.receive()
        if (sent_at := self._sent_at.pop(str(message.get("id")), None)) is not None:
            self.waits.append(time.perf_counter() - sent_at)
        return message


def ask_all(server: Server, every: float, runs: int) -> None:
    """Asks each question so many times and prints a line for it."""
    server.shake_hands()
    Pings(server, every).while_asked({"group_by": ["status"]})  # what the first call imports and opens is no subject
    print(f"{'question':28} {'answered':>9} {'pings':>6} {'median':>8} {'longest':>8}  ms {'ratio':>7}")
    base = 0.0
    for name, arguments in {"nothing": None, **QUESTIONS}.items():
        pings = Pings(server, every)
        answered = statistics.median(
            pings.while_idle(IDLE_SECONDS) if arguments is None else pings.while_asked(arguments) for _ in range(runs)
        )
        median, longest = statistics.median(pings.waits) * 1000, max(pings.waits) * 1000
        base = base or longest
        print(
            f"{name:28} {answered:7.2f} s {len(pings.waits):6} {median:8.1f} {longest:8.1f}     {longest / base:7.1f}"
        )


def main() -> None:
    """Builds the store, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--transcripts", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=0.005, help="seconds between two pings")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, FakeFormant.in_thread() as api:
        calls = many(options.conversations, utc_now() - timedelta(days=2), timedelta(days=DAYS))
        api.conversations, api.order = calls, "as_held"
        httpx.get(f"{api.url}/v1/conversations?limit=1", timeout=MOST_SECONDS)  # it works its list out once
        folder, path = Path(name), Path(name) / "store.sqlite"
        asyncio.run(build(path, api.url, calls, options.transcripts))
        variables = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(path)}
        with started(folder, seconds=MOST_SECONDS, FORMANT_CALL_SECONDS="600", **variables) as server:
            ask_all(server, options.every, options.runs)
            server.close_stdin()
            server.process.wait(30)


if __name__ == "__main__":
    main()
