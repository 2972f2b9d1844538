"""Builds a large store and prints how long questions take on it, and what its indexes cost.

    python -m tests.benchmarks.bench_store [--conversations 1000000] [--transcripts 100000] [--store FILE]
    python -m tests.benchmarks.bench_store --engine postgres [--store FOLDER]

Every question is asked through the query layer over a source that has nothing new, so that what is timed is the store.
A store that is there already is used as it is. PostgreSQL runs with its default settings, its data in the folder.
Figures are the median of the runs after one that is not counted.
"""

import argparse
import asyncio
import itertools
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import psycopg
from pydantic import JsonValue

from formant_mcp.errors import NotFoundError
from formant_mcp.filters import NEWEST, NO_FILTERS, Condition, Filters, Order
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.providers.base import Recording
from formant_mcp.providers.rate_limit import Ledger
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.queries.changes import ChangesQuery, find_changes
from formant_mcp.queries.conversations import ListQuery, list_conversations
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.queries.profile import profile
from formant_mcp.queries.review import ReviewQuery, find_calls_to_review
from formant_mcp.queries.search import SearchQuery, search_transcripts
from formant_mcp.queries.summary import SummaryQuery, summarize
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.phrases import Answers, PhraseQuestion, Phrases
from formant_mcp.store.sqlite.full_text import DELETE, INSERT, index_rows
from formant_mcp.sync import Sync
from tests.postgres_server import PostgresServer

SERVER = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_connections": "100"}  # defaults
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS, TURNS, BATCH = 365, 40, 1_000
ZONE = ZoneInfo("Asia/Kolkata")
STATUSES = ("completed", "no_answer", "busy", "failed", "telephony_failed", "unreachable", "socket_failure")
INTENTS = ("promise_to_pay", "payment_confirmed", "dispute", "refusal", "callback", "wrong_number")
COMMON, RARE, SPELLED, COMMONEST = "payment", "lawyer", "daled", "baled"  # deled, beled: other spellings
UNSAID = "xylophone"


class NothingNew:
    """A source whose list is what the store holds already."""

    spec = replace(PROVIDERS["formant"], unsupported_filters=frozenset[str]())
    pagination: Literal["offset"] = "offset"
    page_size = 100
    concurrency = 16
    requests_per_minute = None

    def __init__(self, total: int, newest: tuple[Conversation, ...]) -> None:
        self._total = total
        self._newest = newest

    @classmethod
    async def of(cls, store: Store) -> "NothingNew":
        """The source whose list that store holds."""
        newest = await store.read.page(Filters(), NEWEST, 100)
        rows = tuple(conversation._replace(has_detail=False) for _, conversation in newest)
        return cls(await store.read.count(Filters()), rows)

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        return Page(self._newest, len(self._newest), has_more=True, total=self._total)

    def share_rate_limit(self, ledger: Ledger) -> None:
        """No requests are sent."""

    async def refresh_rate_limit(self) -> None:
        """No requests are sent."""

    async def get_conversation(self, conversation_id: str) -> Conversation:
        raise NotFoundError("There is none.")

    def open_recording(self, conversation_id: str) -> AbstractAsyncContextManager[Recording]:
        raise NotFoundError("There is none.")

    async def aclose(self) -> None:
        return None


def texts(rng: random.Random) -> list[str]:
    """A pool of turns: about ten words each, COMMON in a tenth of them."""
    words = [f"{a}{b}{c}" for a, b, c in itertools.product("bdgklmnprst", "aeiou", ("n", "r", "sto", "led", "ka"))]
    weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(len(words))))
    pool = [" ".join(rng.choices(words, cum_weights=weights, k=rng.randint(4, 16))) for _ in range(20_000)]
    return [f"{text} {COMMON}" if i % 10 == 0 else text for i, text in enumerate(pool)]


def conversations(count: int, transcripts: int) -> Iterator[Conversation]:
    """Calls of 20 agents over a year, the newest first; the first `transcripts` of them with 40 turns and results."""
    rng = random.Random(7)
    pool = texts(rng)
    step = timedelta(days=DAYS) / count
    for i in range(count):
        started_at = NOW - step * i
        status = "completed" if i < transcripts or rng.random() < 0.4 else rng.choice(STATUSES[1:])
        duration = float(rng.randint(20, 900)) if status == "completed" else None
        turns = None
        if i < transcripts:
            turns = tuple(Turn(n, "contact" if n % 2 else "agent", rng.choice(pool), n * 6.0) for n in range(TURNS))
            if i % 1_000 == 3:
                turns = (*turns[:-1], Turn(TURNS - 1, "contact", f"I will call my {RARE} now", 234.0))
        yield Conversation(
            conversation_id=f"{rng.getrandbits(64):016x}-{i:07d}_1",
            agent_id=str(100 + i % 20),
            contact_number=f"+9199999{rng.randint(0, 99_999):05d}",
            status=status,
            outcome="success" if status == "completed" else "failure",
            started_at=started_at,
            ended_at=started_at + timedelta(seconds=duration or 0),
            duration_seconds=duration,
            failure_reason_known=True,
            results=results(rng) if i < transcripts else None,
            turns=turns,
            has_detail=True,
        )


def results(rng: random.Random) -> dict[str, JsonValue]:
    """Six fields, flat and nested, two of them numbers."""
    return {
        "intent": rng.choice(INTENTS),
        "csat": rng.randint(1, 5),
        "language": {"primary": rng.choice(("hi", "en", "hi-Latn")), "confidence": round(rng.random(), 2)},
        "promised_date": f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        "escalate": rng.random() < 0.05,
    }


async def build(where: Path | str, count: int, transcripts: int) -> None:
    """Fills a store, as syncing would, and says how long that took."""
    store = await Store.open(where, AccountKey("service", "benchmark"), lambda conversation, read_at: None)
    await store.signals.make_due()  # notes with what the calls are measured when they are saved
    started, worked = time.perf_counter(), time.process_time()
    calls = conversations(count, transcripts)
    while batch := list(itertools.islice(calls, BATCH)):
        await store.write.save(batch, NOW)
    done, cpu = time.perf_counter() - started, time.process_time() - worked
    print(f"built {count:,} conversations in {done:.0f} s ({cpu:.0f} s of this process)", flush=True)
    await store.sync_state.update("", total=count, last_full_scan_at=NOW, checked_at=NOW, list_order="newest")
    await store.close()


async def median_ms(ask: Callable[[], Awaitable[object]], runs: int) -> tuple[float, float, float]:
    """Milliseconds: median, least, most."""
    taken: list[float] = []
    for run in range(runs + 1):
        started = time.perf_counter()
        await ask()
        if run:
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken), min(taken), max(taken)


async def ask_all(where: Path | str, runs: int) -> None:
    """Asks each question `runs` times and prints a line for each."""
    store = await Store.open(where, AccountKey("service", "benchmark"), lambda conversation, read_at: None)
    loader = Loader(Sync(await NothingNew.of(store), store, lambda: NOW), store)

    def call() -> RequestContext:
        return RequestContext(NOW, 600)

    def listing(filters: Filters, order: Order = NEWEST) -> Callable[[], Awaitable[object]]:
        return lambda: list_conversations(loader, call(), ListQuery(filters, "benchmark", order))

    def summary(*groupings: str, filters: Filters | None = None) -> Callable[[], Awaitable[object]]:
        return lambda: summarize(loader, call(), SummaryQuery(filters or Filters(), groupings), ZONE)

    def search(words: str, filters: Filters | None = None) -> Callable[[], Awaitable[object]]:
        return lambda: search_transcripts(loader, call(), SearchQuery(filters or Filters(), words, "benchmark"))

    month, before = timedelta(days=30), NOW - timedelta(days=30, milliseconds=1)
    months = ChangesQuery(Filters(since=NOW - month, until=NOW), (before - month, before))
    last_week, last_month = Filters(since=NOW - timedelta(days=7)), Filters(since=NOW - month)
    week = replace(last_week, agent_id="107", status=("failed", "busy"))

    async def phrases() -> object:
        return await Phrases(store.phrases.database, Answers()).find(PhraseQuestion(last_week, "contact"))

    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "list: an agent's failed and busy calls of a week": listing(week),
        "list: results intent=dispute, csat<=2": listing(
            Filters(results=(Condition("intent", "=", "dispute"), Condition("csat", "<=", "2")))
        ),
        "list: by results.csat, the largest first": listing(Filters(), Order("results.csat", descending=True)),
        "list: by signals.agent_repeats, the largest first": listing(
            Filters(), Order("signals.agent_repeats", descending=True)
        ),
        "summary by status": summary("status"),
        "summary by agent and day": summary("agent_id", "day"),
        "summary of a week by result field and agent": summary("results.intent", "agent_id", filters=last_week),
        "summary by signals.ended_by": summary("signals.ended_by"),
        "search: a word that nobody says": search(UNSAID),
        "search: a rare word": search(RARE),
        "search: a common word": search(COMMON),
        "search: a common word and its other spellings": search(SPELLED),
        "search: a word of every third turn, other spellings": search(COMMONEST),
        "search: begin* of a common word": search(f"{COMMON[:4]}*"),
        "search: a common word, one agent, a month": search(COMMON, replace(last_month, agent_id="107")),
        "changes between two months": lambda: find_changes(loader, call(), months, ZONE),
        "profile of everything": lambda: profile(loader, call(), Filters(), 20, ZONE),
        "profile of a month": lambda: profile(loader, call(), last_month, 20, ZONE),
        "calls to review of a month": lambda: find_calls_to_review(loader, call(), ReviewQuery(last_month, ""), ZONE),
        "phrases of a week": phrases,
    }
    print(f"{'question':52} {'median':>8} {'least':>8} {'most':>8}  ms")
    for name, ask in questions.items():
        median, least, most = await median_ms(ask, runs)
        print(f"{name:52} {median:8.1f} {least:8.1f} {most:8.1f}")
    await loader.sync.aclose()
    await store.close()


def print_costs(path: Path) -> None:
    """What each table and index takes on disk, and what indexing the words adds to saving a transcript."""
    with sqlite3.connect(path) as database:
        sizes = database.execute("SELECT name, sum(pgsize) / 1e6 FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
        print(f"size: {path.stat().st_size / 1e6:,.0f} MB; the largest parts:")
        for name, megabytes in sizes[:14]:
            print(f"  {name:32} {megabytes:8.1f} MB")
        turns = database.execute("SELECT turn_id, role, text FROM turns LIMIT 20000").fetchall()
        indexed = index_rows(turns)
        started = time.perf_counter()
        index_rows(turns)
        cut = time.perf_counter() - started
        started = time.perf_counter()
        database.executemany(DELETE, indexed)
        database.executemany(INSERT, indexed)
        written = (time.perf_counter() - started) / 2
        database.rollback()
        print(f"words of a transcript of {TURNS} turns: {1000 * cut * TURNS / len(turns):.2f} ms to cut,"
              f" {1000 * written * TURNS / len(turns):.2f} ms to write")  # fmt: skip


def print_sizes(address: str) -> None:
    """What each table and index takes on disk."""
    with psycopg.connect(address) as database:
        parts = database.execute(
            "SELECT relname, size / 1e6, sum(size) OVER () / 1e6 FROM (SELECT relname, pg_relation_size(oid)"
            " + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) AS size FROM pg_class"
            " WHERE relnamespace = 'formant_mcp'::regnamespace) AS part ORDER BY 2 DESC LIMIT 14"
        ).fetchall()
    print(f"size: {parts[0][2]:,.0f} MB; the largest parts:")
    for name, megabytes, _ in parts:
        print(f"  {name:32} {megabytes:8.1f} MB")


@contextmanager
def benchmark_store(engine: str, store: Path | None) -> Generator[tuple[Path | str, bool]]:
    """Where the store is, and whether it is new: at that path, or in a temporary folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = store or Path(temporary)
        if engine == "postgres":
            folder.mkdir(exist_ok=True)
            is_new = not (folder / "data").exists()
            server = PostgresServer(folder.absolute(), **SERVER)
            try:
                server.start()
                yield server.address, is_new
            finally:
                server.stop()
        else:
            path = store or folder / "benchmark.sqlite"
            yield path, not path.exists()


def main() -> None:
    """Builds the store where it is not there, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--transcripts", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with benchmark_store(options.engine, options.store) as (where, is_new):
        if is_new:
            asyncio.run(build(where, options.conversations, options.transcripts))
        asyncio.run(ask_all(where, options.runs))
        if isinstance(where, str):
            print_sizes(where)
        else:
            print_costs(where)


if __name__ == "__main__":
    main()
