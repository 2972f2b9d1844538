"""Times a first synchronization against a bare script that makes the same requests and keeps nothing.

    python -m tests.benchmarks.bench_sync [--conversations 10000] [--details 2000] [--turns 20] [--runs 3]
        [--engine postgres]

An API in a process of its own answers each request after 50 ms. The baseline is httpx with 16 requests in flight that
parses the JSON; ours is `Sync` over a new store, in a file or in a new PostgreSQL with its default settings. They take
turns in this process. The first line is the whole list in pages of 100, the second the details of the newest completed
calls. Seconds are medians of the runs; `ratio` is the median of the ratios of each pair (least and most of them behind
it), 1.00 is as fast as can be. `cpu` is what this process worked: the baseline mostly waits and ours does not, so on a
busy machine the ratio rises, and `cpu` much less. `requests` are what the API counted in the last run of each.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path

import httpx

from formant_mcp.app import utc_now
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import ListRequest
from tests.benchmarks.api_process import api_process
from tests.benchmarks.bench_store import benchmark_store
from tests.calls import STATUSES, Row, conversation_id, many
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply, Request

ROOT = Path(__file__).parents[2]
LATENCY, IN_FLIGHT, PAGE, MOST_SECONDS = 0.05, 16, 100, 600.0
LIST, COUNT = "/v1/conversations", "/requests"


class SlowApi(FakeFormant):
    """The API; it works an answer out once, and says at COUNT how many requests came since that was last asked."""

    turns = 20

    def __init__(self) -> None:
        super().__init__()
        self._replies: dict[str, Reply] = {}

    def detail_of(self, row: Row) -> Row:
        whole = super().detail_of(row)
        if isinstance(lines := whole["transcript"], list):
            whole["transcript"] = list(islice(cycle(lines), self.turns))
        return whole

    def answer(self, request: Request) -> Reply:
        if request.path == COUNT:
            count = len(self.requests) - 1
            self.clear()
            return Reply(body=str(count).encode())
        if request.target not in self._replies:
            self._replies[request.target] = replace(super().answer(request), delay_seconds=LATENCY)
        return self._replies[request.target]


async def serve(conversations: int, turns: int) -> None:
    """Prints the address, and serves until stdin ends."""
    async with SlowApi() as api:
        api.turns = turns
        api.conversations = many(conversations, utc_now() - timedelta(days=2), timedelta(days=300))
        print(api.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def served(conversations: int, turns: int) -> AbstractContextManager[str]:
    """The API's address, while its process runs."""
    options = ["--serve", "--conversations", str(conversations), "--turns", str(turns)]
    return api_process("tests.benchmarks.bench_sync", options)


@dataclass(frozen=True)
class Run:
    """What one run took, of the list and of the details."""

    seconds: tuple[float, ...]
    cpu: tuple[float, ...]
    requests: tuple[int, ...]


async def timed(url: str, *steps: Awaitable[object]) -> Run:
    """Both steps, one after the other."""
    figures: list[tuple[float, float, int]] = []
    async with httpx.AsyncClient(base_url=url) as client:
        await client.get(COUNT)
        for step in steps:
            started, worked = time.perf_counter(), time.process_time()
            await step
            taken = time.perf_counter() - started, time.process_time() - worked
            figures.append((*taken, int((await client.get(COUNT)).text)))
    seconds, cpu, requests = zip(*figures, strict=True)
    return Run(seconds, cpu, requests)


async def bare(url: str, ids: Sequence[str]) -> Run:
    """The baseline."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer any-key"}) as client:

        async def work(targets: Generator[str]) -> None:
            for target in targets:
                response = await client.get(target)
                response.raise_for_status()
                json.loads(response.content)

        async def everything(targets: Generator[str]) -> None:
            await asyncio.gather(*(work(targets) for _ in range(IN_FLIGHT)))

        async def pages() -> None:
            first = json.loads((await client.get(f"{LIST}?limit={PAGE}&offset=0")).content)
            await everything(f"{LIST}?limit={PAGE}&offset={offset}" for offset in range(PAGE, first["total"], PAGE))

        return await timed(url, pages(), everything(f"{LIST}/{each}" for each in ids))


async def ours(url: str, ids: Sequence[str], engine: str) -> Run:
    """The same through Sync over a new store; fails where something is missing in the end."""
    with benchmark_store(engine, None) as (where, _):
        store = await Store.open(where, AccountKey("service", "benchmark"), next_refresh_at)
        sync, began = Sync(FormantProvider(url, "any-key"), store, utc_now), utc_now()
        try:
            run = await timed(
                url, sync.refresh_list(ListRequest(), MOST_SECONDS), sync.fetch_details(ids, MOST_SECONDS)
            )
            assert (await sync.list_status(ListRequest(), began)).is_complete
            assert not await store.read.needing_refresh(ids, began)
            return run
        finally:
            await sync.aclose()
            await store.close()


async def measure(url: str, ids: Sequence[str], runs: int, engine: str) -> list[tuple[Run, Run]]:
    """Pairs of the baseline and ours, after a round that only makes the API work its answers out."""
    await bare(url, ids)
    gc.freeze()  # as the program does: what was imported stays
    return [(await bare(url, ids), await ours(url, ids, engine)) for _ in range(runs)]


def line_of(pairs: list[tuple[Run, Run]], step: int) -> str:
    """The figures of one step."""
    bare_seconds, our_seconds = (statistics.median(pair[which].seconds[step] for pair in pairs) for which in (0, 1))
    bare_cpu, our_cpu = (statistics.median(pair[which].cpu[step] for pair in pairs) for which in (0, 1))
    bare_requests, our_requests = (run.requests[step] for run in pairs[-1])
    ratios = sorted(own.seconds[step] / base.seconds[step] for base, own in pairs)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    seconds, cpu = f"{bare_seconds:6.2f} {our_seconds:6.2f}", f"{bare_cpu:10.2f} {our_cpu:6.2f}"
    return f"{seconds}   {ratio:>18} {cpu}   {bare_requests:9,} {our_requests:6,}"


def main() -> None:
    """Measures, and prints a line for each kind of request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--details", type=int, default=2_000)
    parser.add_argument("--turns", type=int, default=20, help="of each transcript")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.conversations, options.turns))
        return
    completed = (n for n in range(options.conversations) if STATUSES[n % len(STATUSES)] == "completed")
    ids = [conversation_id(n) for n in islice(completed, options.details)]
    with served(options.conversations, options.turns) as url:
        pairs = asyncio.run(measure(url, ids, options.runs, options.engine))
    print(
        f"{'':18} {'bare':>6} {'ours':>6} s {'ratio':>18} {'cpu: bare':>10} {'ours':>6} s {'requests':>9} {'ours':>6}"
    )
    for step, name in enumerate((f"list of {options.conversations:,}", f"details of {len(ids):,}")):
        print(f"{name:18} {line_of(pairs, step)}")


if __name__ == "__main__":
    main()
