"""Measures a server's memory while it lists, counts, searches, compares and exports a large account.

    python -m tests.benchmarks.bench_memory [--conversations 1000000] [--transcripts 10000]

A server in a process of its own, spoken to on its pipes, over a store in which all calls are complete with results; the
API is on loopback and has nothing new. The exit status is 1 if an answer does not cover every call, or if the server
ever used more than 150 MiB above its start (Linux only: its highest resident memory).
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
from pydantic import JsonValue

from formant_mcp.app import utc_now
from tests.benchmarks.bench_ping import MOST_SECONDS, build
from tests.calls import many
from tests.fake_formant import FakeFormant
from tests.process_usage import Usage
from tests.stdio_process import KEY, Server, calling, said, started

MOST_MIB = 150.0
DAYS = 300
QUESTIONS: list[tuple[str, dict[str, JsonValue]]] = [
    ("list_conversations", {"order_by": "longest", "limit": 100}),
    ("summarize_results", {"group_by": ["agent_id", "week"], "measures": ["results.csat"]}),
    ("summarize_results", {"group_by": ["contact_number", "day", "results.intent"]}),
    ("summarize_results", {}),
    ("search_transcripts", {"query": "payment"}),
    ("find_phrases", {"limit": 20}),
    ("find_calls_to_review", {"since": "30d"}),
    ("find_changes", {"since": "100d"}),
    ("export_conversations", {"include": ["results"]}),
]


@contextmanager
def large_account(folder: Path, conversations: int, transcripts: int) -> Generator[Server]:
    """A server over a store of so many calls, so many of them with a transcript."""
    calls = many(conversations, utc_now() - timedelta(days=2), timedelta(days=DAYS))
    with FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations, api.order = calls, "as_held"
        httpx.get(f"{api.url}/v1/conversations?limit=1", timeout=MOST_SECONDS)  # it works its list out once
        path = folder / "store.sqlite"
        asyncio.run(build(path, api.url, calls, transcripts))
        variables = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(path)}
        with started(folder, seconds=MOST_SECONDS, FORMANT_CALL_SECONDS="600", **variables) as server:
            server.shake_hands()
            yield server


def highest(server: Server) -> float:
    """The most memory that the server ever used, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) / 1_024


def ask_all(server: Server, conversations: int) -> list[str]:
    """Asks each question, prints the memory after it, and returns what is wrong."""
    before = Usage.of(server.process.pid).memory
    print(f"{'start':24} {before:8.1f} MiB")
    wrong: list[str] = []
    for number, (tool, arguments) in enumerate(QUESTIONS, 2):
        server.send(calling(number, tool, **arguments))
        message = server.receive()
        answer = cast(
            dict[str, JsonValue], cast(dict[str, JsonValue], message["result"]).get("structuredContent") or {}
        )
        coverage = cast(dict[str, JsonValue], answer.get("coverage") or {})
        if coverage.get("total") != conversations:
            wrong.append(f"{tool}: {said(message)[:200]}")
        print(f"{tool:24} {highest(server):8.1f} MiB at most, {highest(server) - before:+.1f}")
    if highest(server) > before + MOST_MIB:
        wrong.append(f"memory rose by {highest(server) - before:.1f} MiB")
    return wrong


def main() -> int:
    """Builds the store, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--transcripts", type=int, default=10_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        large_account(Path(name), options.conversations, options.transcripts) as server,
    ):
        wrong = ask_all(server, options.conversations)
        server.close_stdin()
        server.process.wait(30)
    print("; ".join(wrong) or "nothing is wrong")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
