"""A full pass: afterwards the store holds exactly what the provider lists, whatever happens meanwhile."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.sync.list_sync import ListRequest
from tests import faults
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request
from tests.sync.sync_harness import ALWAYS, DAY, NOON, Clock, add_all, desk_for, ended_calls, later_calls, with_more

pytestmark = pytest.mark.anyio

ORDERS: list[Order] = ["newest", "oldest", "none"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 250])
async def test_calls_that_come_during_the_pass_are_part_of_it(order: Order, count: int):
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.order = ended_calls(450), order
        for _ in range(2):  # the second pass knows the order
            seen = len(api.requests)

            def come(_: Request, at: int = seen + 3) -> None:
                if len(api.requests) == at:
                    add_all(api, later_calls(count, at * 1_000))

            api.on_request = come
            requests, list_status = await desk.cost()

            assert list_status.is_complete
            assert requests <= 9 + count / 50  # the ends are read again, not the whole
            assert await desk.holds_all()
            desk.clock.advance(DAY)


async def test_a_call_that_goes_during_the_pass_is_not_kept():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(450)
        first = str(api.conversations[0]["conversation_id"])
        api.on_request = lambda _: api.remove(first) if len(api.requests) == 3 else None
        list_status = await desk.ask()

        assert list_status.is_complete
        assert await desk.holds_all()


async def test_a_list_that_loses_calls_all_the_time_is_not_read_for_ever():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(450)
        api.on_request = lambda _: api.remove(str(api.conversations[len(api.conversations) // 2]["conversation_id"]))
        requests, list_status = await desk.cost()
        assert requests < 40
        assert not list_status.is_complete

        api.on_request = None
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


async def test_an_offset_that_is_taken_no_notice_of_does_not_go_on_for_ever():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(450)
        page = api.answer(Request("GET", "/v1/conversations?limit=100", {}))
        api.fault("/v1/conversations?", ALWAYS, lambda _: page)
        requests, list_status = await desk.cost()

        assert requests < 60
        assert not list_status.is_complete
        assert len(await desk.stored()) == 100


@pytest.mark.parametrize("count", [0, 50, 100, 250])
async def test_a_list_without_a_total_that_announces_more_than_it_gives_ends_early(count: int):
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.with_total = ended_calls(count), False
        api.fault("/v1/conversations?", ALWAYS, with_more)
        first = await desk.ask()
        requests, again = await desk.cost()

        assert await desk.holds_all()
        for list_status in (first, again):
            assert (list_status.is_complete, list_status.ends_early, list_status.stored) == (False, True, count)
        assert not await desk.sync.knows_all()
        assert requests == 1


async def test_a_list_that_once_ended_early_loses_nothing_and_is_read_again():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.with_total = ended_calls(250), False
        assert (await desk.ask()).is_complete
        desk.clock.advance(DAY)
        cut = True
        api.fault(
            lambda request: cut and int(request.query.get("offset", "0")) > 150,
            ALWAYS,
            lambda good: with_more(replace(good, body=b'{"data": []}')),
        )
        assert not (await desk.ask()).is_complete
        assert await desk.holds_all()
        cut = False
        desk.clock.advance(timedelta(hours=2))
        await desk.ask()
        await desk.settled()
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


async def test_rows_that_cannot_be_read_are_counted_and_hide_no_others():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(450)
        api.fault("offset=0", ALWAYS, faults.unreadable_row)
        list_status = await desk.ask()

        assert not list_status.is_complete
        assert list_status.unreadable == 1
        assert len(await desk.stored()) == 449
        assert (await desk.cost())[0] == 1


async def test_a_too_many_requests_in_the_middle_is_waited_out():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(450)
        api.fault("offset=198", 1, faults.rate_limit("30"))
        list_status = await desk.ask()

        assert list_status.is_complete
        assert await desk.holds_all()
        assert max(desk.slept) >= 30


@pytest.mark.parametrize("order", ORDERS)
async def test_a_pass_that_is_broken_off_goes_on_where_it_stopped(order: Order, tmp_path: Path):
    async with FakeFormant() as api:
        api.conversations, api.order = ended_calls(4_000), order
        clock = Clock()
        async with desk_for(api, path=tmp_path / "store", clock=clock) as desk:
            halfway = api.received(25)
            api.on_request = lambda _: api.gate.shut() if len(api.requests) == 25 else None
            asked = asyncio.create_task(desk.ask())
            await asyncio.wrap_future(halfway)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        api.on_request = None
        api.gate.open()
        async with desk_for(api, path=tmp_path / "store", clock=clock) as desk:
            assert not (await desk.sync.list_status(ListRequest(), NOON)).is_complete
            list_status = await desk.ask()

            assert list_status.is_complete
            assert await desk.holds_all()
            assert len(api.requests) <= 41 + 16 + 1  # the pages, those under way when it stopped, the last one again


async def test_calls_gone_while_nobody_read_do_not_hide_others_from_a_pass_that_goes_on(tmp_path: Path):
    async with FakeFormant() as api:
        api.conversations, api.order, api.with_total = ended_calls(450), "none", False
        clock = Clock()
        async with desk_for(api, path=tmp_path / "store", clock=clock) as desk:
            api.on_request = lambda _: api.gate.shut() if len(api.requests) == 4 else None
            await desk.sync.refresh_list(ListRequest(), 1.0)
            gone = (await desk.stored())[:150]
        api.on_request = None
        for conversation_id in gone:
            api.remove(conversation_id)
        api.gate.open()
        async with desk_for(api, path=tmp_path / "store", clock=clock) as desk:
            assert (await desk.ask()).gone == 150
            assert set(await desk.stored()) >= desk.listed()
            desk.clock.advance(timedelta(minutes=1))
            assert (await desk.ask()).is_complete
            assert await desk.holds_all()
