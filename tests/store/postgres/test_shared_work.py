"""Several servers on one database: each page and detail is read by one, whatever their clocks say and whoever dies."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from formant_mcp.store.aggregates import DAY, Grouping
from formant_mcp.sync.background import Leases
from formant_mcp.sync.list_sync import ListRequest
from tests.fake_formant import FakeFormant
from tests.postgres_server import PostgresServer
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.stores import ask, open_at, speaking
from tests.sync.sync_harness import SECONDS, Clock, Harness, add_all, ended_calls, harness_for, later_calls

pytestmark = pytest.mark.anyio

ONE_DAY = timedelta(days=1)
SPAN = timedelta(seconds=5)
SOME_MINUTES = timedelta(minutes=10)


@asynccontextmanager
async def servers(api: FakeFormant, database: str, *off: timedelta) -> AsyncGenerator[list[Harness]]:
    """Servers on one database, each with a clock that is off by that."""
    async with AsyncExitStack() as stack:
        clocks = [Clock(Clock().moment + each) for each in off]
        yield [await stack.enter_async_context(harness_for(api, path=database, clock=clock)) for clock in clocks]


def child(api: FakeFormant, database: str) -> "subprocess.Popen[str]":
    """A server in a process of its own, which loads everything."""
    command = [sys.executable, "-m", "tests.sync.sync_process", api.url, database, "account"]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("off", [ONE_DAY, -ONE_DAY], ids=["a day ahead", "a day late"])
async def test_a_server_whose_clock_is_off_takes_no_lease_and_loses_none(database: str, off: timedelta) -> None:
    right, wrong = await open_at(database), await open_at(database)
    assert await right.sync_state.lease(["a"], "right", NOW, SPAN) == ["a"]
    assert await wrong.sync_state.lease(["a", "b"], "wrong", NOW + off, SPAN) == ["b"]
    assert await right.sync_state.lease(["a", "b"], "right", NOW, SPAN) == ["a"]
    assert await wrong.sync_state.lease(["a", "b"], "wrong", NOW + off, SPAN) == ["b"]
    await right.close()
    await wrong.close()


async def test_a_lease_ends_when_its_span_is_over_by_the_clock_of_the_database(database: str) -> None:
    store, span = await open_at(database), timedelta(milliseconds=300)
    before = time.monotonic()
    assert await store.sync_state.lease(["a"], "one", NOW, span) == ["a"]
    while not await store.sync_state.lease(["a"], "two", NOW, span):
        await asyncio.sleep(0.01)
    assert 0.3 <= time.monotonic() - before < SECONDS
    assert await store.sync_state.lease(["a"], "one", NOW, span) == []
    await store.close()


async def test_leases_are_renewed_again_after_the_database_was_away(database: str, server: PostgresServer) -> None:
    clock, waits = Clock(), asyncio.Queue[asyncio.Event]()

    async def sleep(seconds: float) -> None:
        over = asyncio.Event()
        waits.put_nowait(over)
        await over.wait()

    store = await open_at(database)
    leases = Leases(store.sync_state, clock.now, sleep)
    async with asyncio.timeout(SECONDS), leases.hold("list:"):
        renewal = await waits.get()
        server.stop()
        renewal.set()
        renewal = await waits.get()  # it has failed
        server.start()
        await ask(database, "UPDATE formant_mcp.leases SET expires_at = 0")
        renewal.set()
        await waits.get()
        assert await store.sync_state.lease(["list:"], "another server", clock.now(), SPAN) == []
    await leases.aclose()
    await store.close()


async def test_servers_with_different_clocks_read_the_list_and_each_detail_once(database: str) -> None:
    async with FakeFormant() as api, servers(api, database, timedelta(), SOME_MINUTES, -SOME_MINUTES) as all_:
        api.conversations = ended_calls(250)
        statuses = await asyncio.gather(*(each.ask() for each in all_))
        assert statuses[0].is_complete
        assert len(api.requests) <= 3 + 3 + 3  # pages, and a check by each; one of them may confirm the end
        ids = await all_[0].stored()
        assert len(ids) == 250
        await asyncio.gather(*(each.sync.fetch_details(ids[:80], SECONDS) for each in all_))
        assert sorted(all_[0].detail_ids()) == sorted(ids[:80])
        assert await all_[1].store.read.needing_refresh(ids[:80], all_[0].clock.now()) == []


async def test_a_server_that_takes_the_list_for_a_day_old_loses_nothing_of_it(database: str) -> None:
    async with FakeFormant() as api, servers(api, database, timedelta(), ONE_DAY, -ONE_DAY) as all_:
        api.conversations = ended_calls(250)
        ids = [api.id_of(row) for row in api.conversations[:80]]
        for _ in range(3):
            await asyncio.gather(*(each.ask() for each in all_))
            await asyncio.gather(*(each.sync.fetch_details(ids, SECONDS) for each in all_))
            assert await all_[0].holds_all()
            add_all(api, later_calls(3, first=1_000_000 + 10 * len(api.conversations)))
        assert sorted(all_[0].detail_ids()) == sorted(ids)


async def test_the_work_of_a_killed_process_is_taken_over_within_ten_seconds(database: str) -> None:
    with FakeFormant.in_thread() as api:
        api.conversations, api.order = ended_calls(3_000), "none"
        api.on_request = lambda _: api.gate.shut() if len(api.requests) == 20 else None
        received = api.received(20)
        process = child(api, database)
        await asyncio.to_thread(received.result, SECONDS)
        process.kill()
        process.communicate(timeout=SECONDS)
        before = time.monotonic()
        assert await ask(database, "SELECT name FROM formant_mcp.leases")
        api.on_request = None
        api.gate.open()

        async with harness_for(api, path=database, clock=Clock(datetime.now(UTC))) as harness:
            assert 0 < len(await harness.stored()) < 3_000
            assert (await harness.ask()).is_complete
            assert time.monotonic() - before < 10
            assert await harness.holds_all()
            assert len(harness.list_requests()) <= 31 + 16 + 1  # pages, those under way then, the last one again
        assert await counts_are_right(database)


async def test_a_job_in_the_background_is_continued_by_another_server(database: str) -> None:
    async with FakeFormant() as api, servers(api, database, timedelta(), timedelta()) as (first, second):
        api.conversations = ended_calls(2_400)
        await first.ask(ListRequest(newest=20))
        await first.sync.aclose()  # in the middle of the rest
        requests, status = await second.cost()
        await second.settled()
        assert status.is_complete
        assert await second.holds_all()
        assert requests
        assert len(api.requests) <= 25 + 16 + 5  # pages, those under way when it ended, the checks of two questions


async def test_pages_that_overlap_and_change_are_saved_at_once_without_a_wrong_count(database: str) -> None:
    chance = random.Random(7)
    stores = [await open_at(database) for _ in range(4)]
    await stores[0].aggregates.count_by(Filters(), Grouping((DAY,), "Europe/Berlin"))
    known = speaking("alpha", 40)

    def changed(call: Conversation) -> Conversation:
        return call._replace(
            agent_id=f"agent {chance.randrange(3)}",
            status=chance.choice(["done", "failed", "no answer"]),
            started_at=NOW + timedelta(hours=chance.randrange(100)),
        )

    async def save_pages(number: int) -> None:
        for n in range(12):
            page = [changed(call) for call in chance.sample(known, 15)]
            at = NOW + timedelta(minutes=chance.randrange(1_000))
            await stores[number].write.save(page, at)
            if n % 4 == number:
                await stores[number].write.delete(*(call.conversation_id for call in page[:5]))

    await asyncio.gather(*(save_pages(number) for number in range(4)), *(save_pages(number) for number in range(4)))
    assert await counts_are_right(database)
    await stores[3].write.save(known, NOW)
    assert await stores[1].read.count(Filters()) == 40
    assert {await stores[2].read.turn_count(call.conversation_id) for call in known} == {4}
    assert await counts_are_right(database)
    assert (await ask(database, "SELECT count(*) FROM formant_mcp.turns"))[0][0] == 160
    for store in stores:
        await store.close()
