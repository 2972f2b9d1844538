"""Lists whose pages hang on each other: after a complete answer the store holds what the account does."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests.examples import examples
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.sync.cursor_sync_harness import (
    LONG_OVER,
    MINUTE,
    ORDERS,
    each_provider,
    is_timed,
    lists,
    opened,
    read_whole,
)
from tests.sync.sync_harness import DAY, NOON, Clock, InProcess, desk_for

pytestmark = pytest.mark.anyio


@each_provider
@settings(max_examples=examples(0.4))
@given(data=st.data())
def test_whatever_is_asked_and_happens_the_store_holds_what_the_account_does(
    provider: ProviderFixture, data: st.DataObject
):
    asyncio.run(_live(provider, data))


async def _live(provider: ProviderFixture, data: st.DataObject) -> None:
    api = provider.api()
    api.order, api.rows_per_page_cap = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from([1, 7, 100]))
    hours = data.draw(st.lists(st.integers(1, 24 * 40), max_size=30))
    api.conversations = [provider.call(n, NOON - timedelta(hours=ago), n % 3) for n, ago in enumerate(hours)]
    async with desk_for(api, connect=provider.connect, transport=InProcess(api)) as desk:
        for step in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                api.add(provider.call(1_000 + step, desk.clock.moment, step % 3))
            if api.conversations and data.draw(st.booleans()):
                api.remove(data.draw(st.sampled_from([api.id_of(row) for row in api.conversations])))
                for _ in range(2):  # where that was one of few calls, a second pass is needed
                    desk.clock.advance(2 * DAY)  # what is gone may stay known for a day
                    await read_whole(desk)
            days = data.draw(st.sampled_from([None, 1, 8, 60]))
            agent = data.draw(st.sampled_from(["", "1"]))
            since = None if days is None else desk.clock.moment - days * DAY
            need = ListRequest(Filters(agent_id=agent, since=since), 0 if days else data.draw(st.sampled_from([0, 5])))
            list_status = await desk.ask(need)
            wanted = {
                api.id_of(row)
                for row in api.conversations
                if (not agent or row["agent_id"] == agent) and (not since or api.started(row) >= since.timestamp())
            }
            assert list_status.is_complete
            assert set(await desk.stored(Filters(agent_id=agent, since=since))) == wanted


@each_provider
async def test_the_newest_are_asked_for_by_their_time(provider: ProviderFixture):
    async with opened(provider, 3_000) as desk:
        desk.clock.moment = LONG_OVER + MINUTE
        halted = asyncio.Event()
        desk.api.on_request = lambda request: None if is_timed(request) else (desk.api.gate.shut(), halted.set())[0]
        list_status = await desk.ask(ListRequest(newest=20))
        assert is_timed(lists(desk)[0])
        newest = [desk.api.id_of(row) for row in desk.api.conversations[:20]]
        assert await desk.stored(limit=20) == newest
        assert not list_status.is_complete  # the rest is still being read, and nobody knows how much that is
        assert list_status.is_listing
        desk.api.on_request = None
        desk.api.gate.open()
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@each_provider
async def test_a_time_is_reached_without_the_rest_and_what_is_known_is_not_read_again(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as desk:
        need = ListRequest(Filters(since=LONG_OVER - timedelta(hours=150)))
        cost, list_status = await desk.cost(need)
        assert list_status.is_complete
        assert cost <= 8
        assert all(map(is_timed, lists(desk)))
        assert len(await desk.stored(Filters(since=need.filters.since))) == 151
        assert (await desk.cost(need))[0] == 1


@each_provider
async def test_a_period_long_over_is_asked_for_with_both_its_ends(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as desk:
        need = ListRequest(Filters(since=LONG_OVER - 60 * DAY, until=LONG_OVER - 59 * DAY))
        cost, list_status = await desk.cost(need)
        assert list_status.is_complete
        assert cost == 1
        assert len(await desk.stored(Filters(since=need.filters.since, until=need.filters.until))) == 25
        assert (await desk.cost(need)) == (0, list_status)


@each_provider
async def test_what_is_new_costs_one_request_where_all_is_known(provider: ProviderFixture):
    async with opened(provider, 500) as desk:
        await desk.ask()
        desk.api.add(provider.call(9_000, desk.clock.moment, status="completed"))
        cost, list_status = await desk.cost()
        assert list_status.is_complete
        assert await desk.holds_all()
        assert cost == 1


@each_provider
async def test_a_pass_that_is_broken_off_goes_on_from_its_cursor(provider: ProviderFixture, tmp_path: Path):
    await _broken_off(provider, tmp_path, requests=21 + 2)


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_a_pass_whose_cursor_is_refused_starts_over(provider: ProviderFixture, tmp_path: Path):
    await _broken_off(provider, tmp_path, refuse=True, requests=21 + 12)


async def _broken_off(provider: ProviderFixture, folder: Path, requests: int, *, refuse: bool = False) -> None:
    clock = Clock()
    async with provider.api() as api:
        api.conversations = provider.calls(2_000, LONG_OVER)
        api.on_request = lambda _: api.gate.shut() if len(api.requests) == 10 else None
        async with desk_for(api, connect=provider.connect, path=folder / "store", clock=clock) as desk:
            await desk.sync.refresh_list(ListRequest(), 0.3)
            assert not (await desk.sync.list_status(ListRequest(), NOON)).is_complete
        if refuse:
            api.fault("cursor=", 1, 422)
        api.on_request = None
        api.gate.open()
        async with desk_for(api, connect=provider.connect, path=folder / "store", clock=clock) as desk:
            assert (await desk.ask()).is_complete
            assert await desk.holds_all()
            assert 20 <= len(lists(desk)) <= requests


@each_provider
async def test_a_call_that_is_gone_is_forgotten_by_the_daily_pass_which_nobody_waits_for(provider: ProviderFixture):
    async with opened(provider, 300) as desk:
        await desk.ask()
        desk.api.remove(desk.api.id_of(desk.api.conversations[150]))
        desk.clock.advance(DAY)
        assert (await desk.ask()).is_complete
        await read_whole(desk)
        assert await desk.holds_all()


async def test_a_row_that_pages_passed_over_is_not_forgotten():
    async with opened(VOICEOS, 300) as desk:
        await desk.ask()
        desk.clock.advance(DAY)
        gone, passed_over = (desk.api.id_of(desk.api.conversations[place]) for place in (50, 100))
        desk.api.on_request = lambda request: desk.api.remove(gone) if request.query.get("index") == "2" else None
        await read_whole(desk)
        assert passed_over in await desk.stored()
        assert {*await desk.stored(), gone} == {*desk.listed(), gone}


async def test_calls_that_wait_or_run_are_asked_for_by_their_status_each_time():
    async with opened(VOICEOS, 300) as desk:
        api = desk.api
        api.add(VOICEOS.call(900, NOON - 5 * DAY, status="queued"))
        cost, list_status = await desk.cost(ListRequest(Filters(status=("queued",))))
        assert (list_status.is_complete, cost) == (True, 1)
        assert len(await desk.stored(Filters(status=("queued",)))) == 1
        api.remove(api.id_of(next(row for row in api.conversations if row["status"] == "queued")))
        api.add(VOICEOS.call(900, NOON - 5 * DAY, status="completed"))
        assert (await desk.ask(ListRequest(Filters(status=("queued",))))).is_complete
        assert not await desk.stored(Filters(status=("queued",)))


async def test_a_total_that_the_list_does_not_show_is_told():
    async with opened(VOICEABLE, 150) as desk:
        list_status = await desk.ask()
        assert (list_status.total, list_status.unlisted, list_status.is_complete) == (150, 0, True)
