"""Several servers on one store: what one is reading, the others do not read as well."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from formant_mcp.errors import RateLimitError
from formant_mcp.filters import Filters
from formant_mcp.sync import details
from formant_mcp.sync.background import POLL_LEASE_SECONDS
from formant_mcp.sync.list_sync import RECHECK_AFTER, ListRequest
from tests import faults
from tests.examples import each_once
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.sync.sync_harness import (
    SECONDS,
    Clock,
    Harness,
    add_all,
    ended_calls,
    harness_for,
    held_as,
    later_calls,
    until,
)

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def two_desks(
    api: FakeFormant, path: Path, off: timedelta | None = None
) -> AsyncGenerator[tuple[Harness, Harness]]:
    """Two servers with one clock, or the second with another that is `off`."""
    clock = Clock()
    another = clock if off is None else Clock(clock.moment + off)
    async with harness_for(api, path=path, clock=clock) as first, harness_for(api, path=path, clock=another) as second:
        yield first, second


StartChild = Callable[[FakeFormant], "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def child(path: Path, database_address: str) -> StartChild:
    """Starts a server on the store at `path` in a process of its own, which loads everything."""
    where = (database_address, f"account {path}") if database_address else (str(path), "account")
    return partial(start_child, where)


def start_child(where: tuple[str, str], api: FakeFormant) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sync.sync_process", api.url, *where],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_a_rate_limit_stated_to_one_server_holds_for_the_other(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(60)
        await first.ask()
        ids = await first.stored()
        api.fault(ids[0], 1, faults.rate_limit("3600"))
        assert isinstance(await first.sync.fetch_details(ids[:1], SECONDS), RateLimitError)
        requests = len(api.requests)

        error = await second.sync.fetch_details(ids[1:2], SECONDS)
        assert isinstance(error, RateLimitError)
        assert 3590 <= (error.retry_after_seconds or 0) <= 3600
        assert len(api.requests) == requests


async def test_two_servers_at_once_read_the_list_once(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(450)
        answers = await asyncio.gather(first.ask(), second.ask())

        assert all(each.is_complete for each in answers)
        assert await second.holds_all()
        assert len(api.requests) <= 5 + 2


async def test_what_one_server_has_read_another_only_checks(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(450)
        await first.ask()
        requests, list_status = await second.cost()

        assert requests == 1
        assert list_status.is_complete


async def test_different_questions_at_once_read_what_is_new_once(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(450)
        await first.ask()
        api.conversations = [*later_calls(3), *api.conversations]
        first.clock.advance(RECHECK_AFTER)
        before, since = len(first.list_requests()), first.clock.now() - timedelta(days=30)
        questions = [ListRequest(), ListRequest(newest=20), ListRequest(Filters(since=since))]
        asked = [server.sync.refresh_list(question, SECONDS) for question in questions for server in (first, second)]
        statuses = await asyncio.gather(*asked)

        assert all(status.is_complete for status in statuses)
        assert len(await first.stored()) == 453
        assert len(first.list_requests()) - before == 2  # both ends, as the order is not proven yet


async def test_two_servers_that_both_miss_a_call_read_the_list_once(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(450)
        await first.ask()
        api.remove((await first.stored())[200])
        before = len(api.requests)
        await asyncio.gather(first.ask(), second.ask())
        await first.settled()
        answers = await asyncio.gather(first.ask(), second.ask())

        assert all(each.is_complete for each in answers)
        assert await second.holds_all()
        assert len(api.requests) - before <= 2 + 6 + 1 + 2


async def test_a_scan_for_what_is_gone_is_continued_where_its_server_ended(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(450)
        await first.ask()
        api.remove((await first.stored())[200])
        await first.ask()
        await first.sync.aclose()  # the scan has just begun
        await second.ask()
        await second.settled()

        assert (await second.ask()).is_complete
        assert await second.holds_all()


async def test_a_list_is_checked_again_after_the_clock_was_set_back():
    async with FakeFormant() as api, harness_for(api) as server:
        api.conversations = ended_calls(450)
        await server.ask()
        add_all(api, later_calls(3))
        server.clock.advance(timedelta(hours=-1))

        assert (await server.ask()).is_complete
        assert await server.holds_all()


async def test_two_servers_read_the_newest_part_once(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(3_200)  # too long to be read on
        need = ListRequest(newest=1_500)
        answers = await asyncio.gather(first.ask(need), second.ask(need))

        assert all(each.is_complete for each in answers)
        assert len(api.requests) <= 5 + 20 + 3


@pytest.mark.parametrize(
    ("order", "off"), each_once(["newest", "oldest", "none"], [timedelta(minutes=10), timedelta(minutes=-10)]), ids=str
)
async def test_a_server_with_another_clock_completes_a_scan(tmp_path: Path, off: timedelta, order: Order):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store", off) as (first, second):
        api.conversations, api.order = held_as(order, ended_calls(4_000)), order
        await first.ask(ListRequest(newest=20))
        await first.sync.aclose()
        assert (await second.ask()).is_complete
        assert await second.holds_all()
        assert len(api.requests) <= 40 + 16 + 8  # pages, those under way when it ended, both ends, a check


async def test_two_servers_read_each_detail_once(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(80)
        await first.ask()
        ids = await first.stored()
        await asyncio.gather(*(harness.sync.fetch_details(ids, SECONDS) for harness in (first, second)))

        assert sorted(first.detail_ids()) == sorted(ids)
        assert await second.store.read.needing_refresh(ids, second.clock.now()) == []


async def test_what_another_server_reads_keeps_a_server_from_nothing_else(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(40)
        await first.ask()
        ids = await first.stored()
        names = [f"detail:{conversation_id}" for conversation_id in ids[:8]]
        await first.store.sync_state.lease(names, "a server that died", first.clock.now(), timedelta(seconds=5))
        reading = asyncio.create_task(second.sync.fetch_details(ids, SECONDS))
        await until(lambda: len(second.detail_ids()) == 32)
        assert second.detail_ids() == ids[8:]

        second.clock.advance(timedelta(seconds=5))
        await reading
        assert sorted(second.detail_ids()) == sorted(ids)
        assert await second.store.read.needing_refresh(ids, second.clock.now()) == []


async def test_the_newest_calls_that_another_server_gives_back_are_read_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(details, "POLL_LEASE_SECONDS", 0.01)
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(400)
        await first.ask()
        ids = await first.stored()
        names, state = [f"detail:{conversation_id}" for conversation_id in ids[:8]], first.store.sync_state
        await state.lease(names, "another server", first.clock.now(), timedelta(seconds=5))
        given_back: list[asyncio.Task[None]] = []

        def give_back(_: Request) -> None:
            if len(second.detail_ids()) == 40:
                given_back.append(asyncio.create_task(state.release(names, "another server")))

        api.on_request = give_back
        await second.sync.fetch_details(ids, SECONDS)
        assert given_back
        assert set(ids[:8]) <= set(second.detail_ids()[40:200])
        assert sorted(second.detail_ids()) == sorted(ids)


async def test_a_server_that_waits_asks_the_store_as_often_for_one_call_as_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(40)
        await first.ask()
        ids = await first.stored()
        names = [f"detail:{conversation_id}" for conversation_id in ids]
        await first.store.sync_state.lease(names, "another server", first.clock.now(), timedelta(seconds=5))
        lease, asked_at, began_at = second.store.sync_state.lease, list[float](), asyncio.get_running_loop().time()

        async def counted(names: Sequence[str], owner: str, now: datetime, span: timedelta) -> list[str]:
            asked_at.append(asyncio.get_running_loop().time() - began_at)
            return await lease(names, owner, now, span)

        monkeypatch.setattr(second.store.sync_state, "lease", counted)
        await second.sync.fetch_details(ids, 1.0)
        assert second.detail_ids() == []
        await second.sync.aclose()
        claims = 3  # of sixteen each
        assert claims < len(asked_at) <= claims * (asked_at[-1] / POLL_LEASE_SECONDS + 2)


async def test_the_work_of_a_dead_server_is_free_after_seconds(tmp_path: Path):
    async with FakeFormant() as api, two_desks(api, tmp_path / "store") as (first, second):
        api.conversations = ended_calls(20)
        assert await first.store.sync_state.lease(
            ["list:"], "a server that died", first.clock.now(), timedelta(seconds=5)
        )
        await second.sync.refresh_list(ListRequest(), 0.05)
        assert api.requests == []

        second.clock.advance(timedelta(seconds=5))
        assert (await second.ask()).is_complete


def test_two_processes_read_everything_once(child: StartChild):
    with FakeFormant.in_thread() as api:
        api.conversations = ended_calls(150)
        children = [child(api) for _ in range(2)]
        outputs = [each.communicate(timeout=60)[0] for each in children]

        assert outputs == ["None True\nNone\n"] * 2
        asked = [request.path for request in api.requests]
        assert asked.count("/v1/conversations") <= 2 + 2
        details = [path for path in asked if path != "/v1/conversations"]
        assert len(details) == len(set(details)) == 150


async def test_what_a_killed_process_has_read_is_not_read_again(path: Path, child: StartChild):
    with FakeFormant.in_thread() as api:
        api.conversations, api.order = ended_calls(3_000), "none"
        api.on_request = lambda _: api.gate.shut() if len(api.requests) == 20 else None
        reached = api.received(20)
        process = child(api)
        await asyncio.to_thread(reached.result, 30)
        process.kill()
        process.communicate(timeout=30)
        api.on_request = None
        api.gate.open()

        clock = Clock(datetime.now(UTC) + timedelta(seconds=10))  # its leases have run out
        async with harness_for(api, path=path, clock=clock) as harness:
            assert 0 < len(await harness.stored()) < 3_000
            assert (await harness.ask()).is_complete
            assert await harness.holds_all()
            assert (
                len(harness.list_requests()) <= 31 + 16 + 1
            )  # pages, those under way when it died, the last one again
