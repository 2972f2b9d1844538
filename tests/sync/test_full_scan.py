"""A full scan: afterwards the store holds exactly what the provider lists, whatever happens meanwhile."""

import asyncio
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from formant_mcp.errors import PermissionDeniedError
from formant_mcp.store.engine import Connection
from formant_mcp.sync.list_sync import ListRequest
from tests import faults
from tests.examples import each_once
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.providers.scripted import others_have_run
from tests.sync.sync_harness import (
    ALWAYS,
    DAY,
    NOON,
    SECONDS,
    Clock,
    Harness,
    InProcess,
    add_all,
    ended_calls,
    harness_for,
    later_calls,
    with_more,
)

pytestmark = pytest.mark.anyio

ORDERS: list[Order] = ["newest", "oldest", "none"]


@pytest.mark.parametrize(("order", "count"), each_once(ORDERS, [1, 250]))
async def test_calls_that_arrive_during_a_scan_are_part_of_it(order: Order, count: int):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(450), order
        for _ in range(2):  # the second scan starts with the order
            seen = len(api.requests)

            def come(_: Request, at: int = seen + 3) -> None:
                if len(api.requests) == at:
                    add_all(api, later_calls(count, at * 1_000))

            api.on_request = come
            requests, list_status = await harness.cost()

            assert list_status.is_complete
            assert requests <= 9 + count / 50  # the ends are read again, not the whole
            assert await harness.holds_all()
            harness.clock.advance(DAY)


@dataclass
class LateReplies(InProcess):
    """One reply takes a minute to arrive; a call comes in that minute."""

    clock: Clock = field(default_factory=Clock)
    late: int = 5  # the last of a scan

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if len(self.api.requests) == self.late:
            self.api.conversations = [*later_calls(1), *self.api.conversations]
            self.clock.advance(timedelta(minutes=1))
        return response


@pytest.mark.parametrize("order", ORDERS)
async def test_a_scan_says_nothing_of_the_time_after_its_last_request(order: Order):
    api, clock = FakeFormant(), Clock()
    api.conversations, api.order = ended_calls(450), order
    async with harness_for(api, transport=LateReplies(api, clock=clock), clock=clock) as harness:
        await harness.ask()
        assert len(api.requests) == 5
        list_status = await harness.sync.refresh_list(ListRequest(), SECONDS)

        assert list_status.is_complete
        assert await harness.holds_all()


async def test_a_call_deleted_during_a_scan_is_not_kept():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        first = str(api.conversations[0]["conversation_id"])
        api.on_request = lambda _: api.remove(first) if len(api.requests) == 3 else None
        list_status = await harness.ask()

        assert list_status.is_complete
        assert await harness.holds_all()


async def test_a_list_that_keeps_losing_calls_is_not_read_endlessly():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        api.on_request = lambda _: api.remove(str(api.conversations[len(api.conversations) // 2]["conversation_id"]))
        requests, list_status = await harness.cost()
        assert requests < 40
        assert not list_status.is_complete

        api.on_request = None
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_a_list_that_ignores_the_offset_is_not_read_endlessly():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        page = api.answer(Request("GET", "/v1/conversations?limit=100", {}))
        api.fault("/v1/conversations?", ALWAYS, lambda _: page)
        requests, list_status = await harness.cost()

        assert requests < 60
        assert not list_status.is_complete
        assert len(await harness.stored()) == 100


@pytest.mark.parametrize("count", [0, 50, 100, 250])
async def test_a_list_without_a_total_that_announces_more_than_it_gives_ends_early(count: int):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.with_total = ended_calls(count), False
        api.fault("/v1/conversations?", ALWAYS, with_more)
        first = await harness.ask()
        requests, again = await harness.cost()

        assert await harness.holds_all()
        for list_status in (first, again):
            assert (list_status.is_complete, list_status.ends_early, list_status.stored) == (False, True, count)
        assert not await harness.sync.knows_all()
        assert requests == 1


async def test_a_list_that_ended_early_loses_nothing_and_is_read_again():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.with_total = ended_calls(250), False
        assert (await harness.ask()).is_complete
        harness.clock.advance(DAY)
        cut = True
        api.fault(
            lambda request: cut and int(request.query.get("offset", "0")) > 150,
            ALWAYS,
            lambda good: with_more(replace(good, body=b'{"data": []}')),
        )
        assert not (await harness.ask()).is_complete
        assert await harness.holds_all()
        cut = False
        harness.clock.advance(timedelta(hours=2))
        await harness.ask()
        await harness.settled()
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_rows_that_cannot_be_read_are_counted_and_hide_no_others():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        api.fault("offset=0", ALWAYS, faults.unreadable_row)
        list_status = await harness.ask()

        assert not list_status.is_complete
        assert list_status.unreadable == 1
        assert len(await harness.stored()) == 449
        assert (await harness.cost())[0] == 1


async def test_a_too_many_requests_in_the_middle_is_waited_out():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        api.fault("offset=198", 1, faults.rate_limit("30"))
        list_status = await harness.ask()

        assert list_status.is_complete
        assert await harness.holds_all()
        assert max(harness.slept) >= 30


@pytest.mark.parametrize(("order", "size"), each_once(ORDERS, [(41, 25, 16), (91, 60, 32)]))
async def test_an_interrupted_scan_resumes_at_its_checkpoint(order: Order, size: tuple[int, int, int], tmp_path: Path):
    pages, stops_at, unsaved = size
    async with FakeFormant() as api:
        api.conversations, api.order = ended_calls(pages * 99 - 9), order
        clock = Clock()
        async with harness_for(api, path=tmp_path / "store", clock=clock) as harness:
            halfway = api.received(stops_at)
            api.on_request = lambda _: api.gate.shut() if len(api.requests) == stops_at else None
            asked = asyncio.create_task(harness.ask())
            await asyncio.wrap_future(halfway)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        api.on_request = None
        api.gate.open()
        async with harness_for(api, path=tmp_path / "store", clock=clock) as harness:
            assert not (await harness.sync.list_status(ListRequest(), NOON)).is_complete
            list_status = await harness.ask()

            assert list_status.is_complete
            assert await harness.holds_all()
            assert len(api.requests) <= pages + unsaved + 1  # the last page again


async def test_pages_of_a_long_list_come_while_others_are_saved(database_address: str):
    if database_address:
        pytest.skip("nothing holds up all saves there")
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.order = ended_calls(9_000), "none"
        asked, unsaved = asyncio.create_task(harness.ask()), 0
        while not asked.done():
            unsaved = max(unsaved, await _requests_while_nothing_is_saved(harness))

        assert (await asked).is_complete
        assert 16 < unsaved <= 32


async def _requests_while_nothing_is_saved(harness: Harness) -> int:
    """How many pages are requested, after those of the checkpoint, while the store is busy with something else."""
    positions, is_over = list[int](), threading.Event()

    def hold(connection: Connection) -> None:
        position = connection.rows("SELECT coalesce(max(scan_position), 0) FROM $list_states")[0][0]
        positions.append(int(position or 0))
        is_over.wait(SECONDS)

    holding, before = asyncio.create_task(harness.store.database.write(hold)), -1
    while not positions or before < len(harness.api.requests):
        before = len(harness.api.requests)
        await others_have_run()
    is_over.set()
    await holding
    return before - (positions[0] - 1) // 99 if positions[0] else 0


async def test_calls_deleted_before_a_scan_resumes_hide_no_others(tmp_path: Path):
    async with FakeFormant() as api:
        api.conversations, api.order, api.with_total = ended_calls(450), "none", False
        clock = Clock()
        async with harness_for(api, path=tmp_path / "store", clock=clock) as harness:
            api.on_request = lambda _: api.gate.shut() if len(api.requests) == 4 else None
            await harness.sync.refresh_list(ListRequest(), 1.0)
            gone = (await harness.stored())[:150]
        api.on_request = None
        for conversation_id in gone:
            api.remove(conversation_id)
        api.gate.open()
        async with harness_for(api, path=tmp_path / "store", clock=clock) as harness:
            assert (await harness.ask()).gone == 150
            assert set(await harness.stored()) >= harness.listed()
            harness.clock.advance(timedelta(minutes=1))
            assert (await harness.ask()).is_complete
            assert await harness.holds_all()


async def test_a_page_that_came_beside_a_failed_one_is_not_read_again() -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_050)
        api.fault("offset=198", 1, 403)  # fails while the page before it is being saved
        with pytest.raises(PermissionDeniedError):
            await harness.sync.refresh_list(ListRequest(), 60)
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()
        assert len(harness.list_requests()) <= 11 + 10  # those under way when it failed
