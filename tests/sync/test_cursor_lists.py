"""Lists whose pages each name the next: after a complete answer the store holds what the account does."""

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
    one_provider,
    opened,
    read_whole,
)
from tests.sync.sync_harness import ALWAYS, DAY, NOON, Clock, InProcess, harness_for

pytestmark = pytest.mark.anyio


@each_provider
@settings(max_examples=examples(0.4))
@given(data=st.data())
def test_after_any_questions_and_changes_the_store_equals_the_account(provider: ProviderFixture, data: st.DataObject):
    asyncio.run(_live(provider, data))


async def _live(provider: ProviderFixture, data: st.DataObject) -> None:
    api = provider.api()
    api.order, api.rows_per_page_cap = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from([1, 7, 100]))
    hours = data.draw(st.lists(st.integers(1, 24 * 40), max_size=30))
    api.conversations = [provider.call(n, NOON - timedelta(hours=ago), n % 3) for n, ago in enumerate(hours)]
    async with harness_for(api, connect=provider.connect, transport=InProcess(api)) as harness:
        for step in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                api.add(provider.call(1_000 + step, harness.clock.moment, step % 3))
            if api.conversations and data.draw(st.booleans()):
                api.remove(data.draw(st.sampled_from([api.id_of(row) for row in api.conversations])))
                for _ in range(2):  # where that was one of few calls, a second scan is needed
                    harness.clock.advance(2 * DAY)  # what is gone may stay known for a day
                    await read_whole(harness)
            days = data.draw(st.sampled_from([None, 1, 8, 60]))
            agent = data.draw(st.sampled_from(["", "1"]))
            since = None if days is None else harness.clock.moment - days * DAY
            need = ListRequest(Filters(agent_id=agent, since=since), 0 if days else data.draw(st.sampled_from([0, 5])))
            list_status = await harness.ask(need)
            wanted = {
                api.id_of(row)
                for row in api.conversations
                if (not agent or row["agent_id"] == agent) and (not since or api.started(row) >= since.timestamp())
            }
            assert list_status.is_complete
            assert set(await harness.stored(Filters(agent_id=agent, since=since))) == wanted


@each_provider
async def test_the_newest_calls_are_requested_by_their_time(provider: ProviderFixture):
    async with opened(provider, 500) as harness:
        harness.clock.moment = LONG_OVER + MINUTE
        halted = asyncio.Event()
        harness.api.on_request = lambda request: (
            None if is_timed(request) else (harness.api.gate.shut(), halted.set())[0]
        )
        list_status = await harness.ask(ListRequest(newest=20))
        assert is_timed(lists(harness)[0])
        newest = [harness.api.id_of(row) for row in harness.api.conversations[:20]]
        assert await harness.stored(limit=20) == newest
        assert not list_status.is_complete  # the rest is still being read, and nobody knows how much that is
        assert list_status.is_listing
        harness.api.on_request = None
        harness.api.gate.open()
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@each_provider
async def test_a_question_since_a_time_reads_no_older_calls_and_none_twice(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as harness:
        need = ListRequest(Filters(since=LONG_OVER - timedelta(hours=150)))
        cost, list_status = await harness.cost(need)
        assert list_status.is_complete
        assert cost <= 8
        assert all(map(is_timed, lists(harness)))
        assert len(await harness.stored(Filters(since=need.filters.since))) == 151
        assert (await harness.cost(need))[0] == 1


@each_provider
async def test_a_past_period_is_requested_with_both_its_ends(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as harness:
        need = ListRequest(Filters(since=LONG_OVER - 60 * DAY, until=LONG_OVER - 59 * DAY))
        cost, list_status = await harness.cost(need)
        assert list_status.is_complete
        assert cost == 1
        assert len(await harness.stored(Filters(since=need.filters.since, until=need.filters.until))) == 25
        assert (await harness.cost(need)) == (0, list_status)


@each_provider
async def test_new_calls_of_a_complete_list_cost_one_request(provider: ProviderFixture):
    async with opened(provider, 500) as harness:
        await harness.ask()
        harness.api.add(provider.call(9_000, harness.clock.moment, status="completed"))
        cost, list_status = await harness.cost()
        assert list_status.is_complete
        assert await harness.holds_all()
        assert cost == 1


@one_provider
async def test_an_interrupted_scan_resumes_at_its_cursor(provider: ProviderFixture, tmp_path: Path):
    await _broken_off(provider, tmp_path, requests=13 + 2)


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_a_scan_whose_cursor_is_rejected_starts_over(provider: ProviderFixture, tmp_path: Path):
    await _broken_off(provider, tmp_path, refuse=True, requests=13 + 12)


async def _broken_off(provider: ProviderFixture, folder: Path, requests: int, *, refuse: bool = False) -> None:
    clock = Clock()
    async with provider.api() as api:
        api.conversations = provider.calls(1_200, LONG_OVER)
        api.on_request = lambda _: api.gate.shut() if len(api.requests) == 10 else None
        async with harness_for(api, connect=provider.connect, path=folder / "store", clock=clock) as harness:
            await harness.sync.refresh_list(ListRequest(), 0.3)
            assert not (await harness.sync.list_status(ListRequest(), NOON)).is_complete
        if refuse:
            api.fault("cursor=", 1, 422)
        api.on_request = None
        api.gate.open()
        async with harness_for(api, connect=provider.connect, path=folder / "store", clock=clock) as harness:
            assert (await harness.ask()).is_complete
            assert await harness.holds_all()
            assert 12 <= len(lists(harness)) <= requests


@each_provider
async def test_a_deleted_call_is_removed_by_the_daily_scan_in_the_background(provider: ProviderFixture):
    async with opened(provider, 300) as harness:
        await harness.ask()
        harness.api.remove(harness.api.id_of(harness.api.conversations[150]))
        harness.clock.advance(DAY)
        assert (await harness.ask()).is_complete
        await read_whole(harness)
        assert await harness.holds_all()


async def test_a_row_that_pages_passed_over_is_not_deleted():
    async with opened(VOICEOS, 300) as harness:
        await harness.ask()
        harness.clock.advance(DAY)
        gone, passed_over = (harness.api.id_of(harness.api.conversations[place]) for place in (50, 100))
        harness.api.on_request = lambda request: harness.api.remove(gone) if request.query.get("index") == "2" else None
        await read_whole(harness)
        assert passed_over in await harness.stored()
        assert {*await harness.stored(), gone} == {*harness.listed(), gone}


async def test_queued_calls_are_requested_by_their_status_each_time():
    async with opened(VOICEOS, 300) as harness:
        api = harness.api
        api.add(VOICEOS.call(900, NOON - 5 * DAY, status="queued"))
        cost, list_status = await harness.cost(ListRequest(Filters(status=("queued",))))
        assert (list_status.is_complete, cost) == (True, 1)
        assert len(await harness.stored(Filters(status=("queued",)))) == 1
        api.remove(api.id_of(next(row for row in api.conversations if row["status"] == "queued")))
        api.add(VOICEOS.call(900, NOON - 5 * DAY, status="completed"))
        assert (await harness.ask(ListRequest(Filters(status=("queued",))))).is_complete
        assert not await harness.stored(Filters(status=("queued",)))


async def test_the_total_that_a_provider_states_is_reported():
    async with opened(VOICEABLE, 150) as harness:
        list_status = await harness.ask()
        assert (list_status.total, list_status.unlisted, list_status.is_complete) == (150, 0, True)


@one_provider
async def test_a_scan_that_another_server_finished_is_not_continued(provider: ProviderFixture, tmp_path: Path):
    api, clock, path = provider.api(), Clock(), tmp_path / "store"
    api.conversations = provider.calls(950, LONG_OVER, MINUTE)
    async with (
        harness_for(api, connect=provider.connect, transport=InProcess(api), path=path, clock=clock) as first,
        harness_for(api, connect=provider.connect, transport=InProcess(api), path=path, clock=clock) as second,
    ):
        is_back: list[bool] = []
        api.fault(lambda _: not is_back and len(api.requests) > 3, ALWAYS, 500)
        assert (await first.sync.refresh_list(ListRequest(), 30)).error is not None  # after three pages
        is_back.append(True)
        assert (await second.ask()).is_complete
        for row in api.conversations[:3]:
            api.remove(api.id_of(row))
        clock.advance(2 * DAY)
        scanned_from = clock.now()
        await first.ask()
        await first.settled()

        assert await first.holds_all()
        scanned_at = (await first.store.sync_state.list_state("")).last_full_scan_at
        assert scanned_at is not None
        assert scanned_at >= scanned_from
