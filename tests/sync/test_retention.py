"""What is too old is not loaded, whatever the order of the list; what is kept stays complete as time passes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from formant_mcp.demo.apis.api import Row
from formant_mcp.errors import NotFoundError
from formant_mcp.filters import Filters
from formant_mcp.store.store import Store
from formant_mcp.sync.list_sync import ListRequest
from tests.calls import conversation
from tests.examples import some
from tests.fake_api import Order
from tests.fake_formant import FakeFormant
from tests.provider_apis import ProviderFixture
from tests.sync.cursor_sync_harness import each_provider
from tests.sync.sync_harness import DAY, EVERYTHING, NOON, SECONDS, Harness, ended_calls, harness_for, held_as

pytestmark = pytest.mark.anyio

KEPT = 30 * DAY
ORDERS: tuple[Order, ...] = ("newest", "oldest", "none")
HOUR = timedelta(hours=1)


def kept_in(harness: Harness) -> set[str]:
    """The ids of the calls that are to be kept."""
    kept_from = harness.store.retention.kept_from(harness.clock.now())
    assert kept_from
    rows = harness.api.conversations
    return {harness.api.id_of(row) for row in rows if harness.api.started(row) >= kept_from.timestamp() * 1000}


async def delete_old(store: Store, harness: Harness) -> None:
    kept_from = store.retention.kept_from(harness.clock.now())
    assert kept_from
    while old := await store.retention.expired(kept_from):
        await store.retention.delete(old, kept_from)


def spread(count: int) -> list[Row]:
    """Calls over 60 days, the newest first."""
    starts = [NOON - 2 * DAY - n * 60 * DAY / count for n in range(count)]
    return [conversation(n, start) for n, start in enumerate(starts)]


def with_new(order: Order, rows: Sequence[Row], started_at: datetime) -> list[Row]:
    """The rows with one more, at the newest end."""
    new = conversation(len(rows), started_at)
    return [*rows, new] if order == "oldest" else [new, *rows]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", some([40, 1_600], 2))
async def test_the_store_has_just_what_is_kept_as_time_passes(order: Order, count: int) -> None:
    async with FakeFormant() as api:
        api.order = "as_held"
        api.conversations = held_as(order, spread(count))
        async with harness_for(api) as harness:
            harness.store.keep_for(KEPT)
            for _ in range(4):
                status = await harness.ask()
                assert set(await harness.stored()) == kept_in(harness)
                assert status.is_complete, status
                assert status.kept_from
                assert status.unlisted == 0
                requests, status = await harness.cost()
                assert status.is_complete
                assert requests <= 2 + (count // 100 if order == "none" else 0)
                harness.clock.advance(3 * HOUR)
                await delete_old(harness.store, harness)
                api.conversations = with_new(order, api.conversations, harness.clock.now() - HOUR)


async def test_a_request_for_the_newest_calls_does_not_read_on_to_the_end_of_the_list() -> None:
    async with FakeFormant() as api:
        api.conversations = ended_calls(5_000, newest_at=NOON - 2 * DAY)
        async with harness_for(api) as harness:
            harness.store.keep_for(timedelta(days=2, hours=3))  # the newest 120 or so
            for need in (ListRequest(newest=1_000), EVERYTHING, ListRequest(Filters(since=NOON - DAY))):
                assert (await harness.ask(need)).is_complete
            assert set(await harness.stored()) == kept_in(harness)
            assert len(harness.list_requests()) < 20


@each_provider
async def test_lists_by_cursor_are_complete_from_then_on(provider: ProviderFixture) -> None:
    async with provider.api() as api:
        newest, apart = NOON - 2 * DAY, 5 * HOUR
        rows = provider.calls(300, newest, apart)
        api.conversations = rows
        async with harness_for(api, connect=provider.connect) as harness:

            def kept() -> set[str]:
                kept_from = harness.store.retention.kept_from(harness.clock.now())
                assert kept_from
                return {api.id_of(row) for row in rows[: (newest - kept_from) // apart + 1]}

            harness.store.keep_for(KEPT)
            for need in (EVERYTHING, ListRequest(newest=20), ListRequest(Filters(since=NOON - 10 * DAY))):
                assert (await harness.ask(need)).is_complete
                assert set(await harness.stored()) == kept()
            harness.clock.advance(2 * DAY)
            await delete_old(harness.store, harness)
            assert (await harness.ask()).is_complete
            assert set(await harness.stored()) == kept()


@pytest.mark.parametrize("count", [40, 1_600])
async def test_a_server_that_keeps_everything_does_not_take_what_another_deleted_for_stored(
    tmp_path: Path, count: int
) -> None:
    async with FakeFormant() as api:
        api.conversations = spread(count)
        path = tmp_path / "store"
        async with harness_for(api, path=path) as all_, harness_for(api, path=path, clock=all_.clock) as some:
            some.store.keep_for(KEPT)
            for _ in range(3):
                status = await all_.ask()
                assert status.is_complete
                assert status.kept_from is None
                assert len(await all_.stored()) == count
                await delete_old(some.store, some)
                status = await some.ask()
                assert status.is_complete
                assert set(await some.stored()) == kept_in(some)
                stale = await all_.sync.list_status(EVERYTHING, all_.clock.now())
                assert not stale.is_complete


async def test_details_of_a_call_that_is_too_old_are_not_kept() -> None:
    async with FakeFormant() as api:
        api.conversations = ended_calls(3, newest_at=NOON - 40 * DAY)
        async with harness_for(api) as harness:
            harness.store.keep_for(KEPT)
            name = api.id_of(api.conversations[0])
            with pytest.raises(NotFoundError, match="longer ago than calls are kept"):
                await harness.sync.fetch_one(name, harness.clock.now(), SECONDS)
            assert await harness.stored() == []


async def test_a_server_deletes_what_is_too_old_when_it_opens_and_what_else_there_is_of_it() -> None:
    async with FakeFormant() as api:
        api.conversations = ended_calls(250, newest_at=NOON - 2 * DAY)
        async with harness_for(api) as harness:
            await harness.ask()
            forgotten: list[str] = []

            async def forget(conversation_ids: Sequence[str]) -> None:
                assert set(forgotten) & set(await harness.stored()) == set()  # while it is known whose they are
                forgotten.extend(conversation_ids)

            harness.store.keep_for(timedelta(days=2, hours=2))
            await harness.sync.start_retention(SECONDS, forget)
            stored = set(await harness.stored())
            assert stored == kept_in(harness)
            assert set(forgotten) == harness.listed() - stored
            assert (await harness.ask()).is_complete
