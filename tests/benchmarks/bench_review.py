"""How long `find_calls_to_review` takes on a large store, as `bench_store` builds it.

    python -m tests.benchmarks.bench_review --store FILE [--runs 7]
    python -m tests.benchmarks.bench_review --store FOLDER --engine postgres

A store without measured signals is measured first. Milliseconds are of the clock and, as the machine may be busy, of
the CPU.
"""

import argparse
import asyncio
import resource
import statistics
import time
from datetime import timedelta
from pathlib import Path

from formant_mcp.filters import Filters
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.queries.review import ReviewQuery, find_calls_to_review
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from tests.benchmarks.bench_store import NOW, ZONE, NothingNew, benchmark_store

QUESTIONS = {
    "a year, all reasons": ReviewQuery(Filters(), "year"),
    "a week of an agent": ReviewQuery(Filters(agent_id="107", since=NOW - timedelta(days=7)), "week"),
    "a month, since and until": ReviewQuery(Filters(since=NOW - timedelta(days=30), until=NOW), "month"),
    "a year, one reason": ReviewQuery(Filters(), "year", reasons=("opt_out",)),
}


async def ask(where: Path | str, runs: int) -> None:
    """Prints a line for each question."""
    store = await Store.open(where, AccountKey("service", "benchmark"), lambda conversation, read_at: None)
    loader = Loader(Sync(await NothingNew.of(store), store, lambda: NOW), store)
    await loader.sync.measure_stored(3600)
    print(f"{'question':28} {'ms':>8} {'CPU ms':>8}  (medians)")
    for name, query in QUESTIONS.items():
        taken: list[tuple[float, float]] = []
        result = await find_calls_to_review(loader, RequestContext(NOW, 600), query, ZONE)
        for _ in range(runs):
            began, worked = time.perf_counter(), time.process_time()
            await find_calls_to_review(loader, RequestContext(NOW, 600), query, ZONE)
            taken.append(((time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000))
        clock, cpu = (statistics.median(times) for times in zip(*taken, strict=True))
        print(f"{name:28} {clock:8.0f} {cpu:8.0f}  {result.with_transcript:,} transcripts, {result.reasons_total}")
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    await loader.sync.aclose()
    await store.close()


def main() -> None:
    """Asks the questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with benchmark_store(options.engine, options.store) as (where, _):
        asyncio.run(ask(where, options.runs))


if __name__ == "__main__":
    main()
