"""Stored calls of an earlier version are measured in the background, by one server at a time."""

import asyncio
from datetime import timedelta

import pytest

from formant_mcp.filters import Filters
from formant_mcp.store import Store
from tests.fake_formant import FakeFormant
from tests.sync.sync_harness import SECONDS, Harness, ended_calls, harness_for

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=5)


async def stored_unmeasured(harness: Harness) -> list[str]:
    """The ids of calls whose details are stored as an earlier version did."""
    await harness.ask()
    ids = await harness.stored()
    assert await harness.sync.fetch_details(ids, SECONDS) is None
    await harness.store.database.write(lambda connection: connection.delete("signals", "row_id > 0", [()]))
    return ids


async def is_measured(store: Store) -> bool:
    return await store.signals.are_measured() and await store.signals.count_due(Filters()) == 0


async def test_what_is_stored_unmeasured_is_measured_before_the_answer() -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(30)
        ids = await stored_unmeasured(harness)
        assert not await is_measured(harness.store)
        await harness.sync.measure_stored(SECONDS)
        assert await is_measured(harness.store)
        assert (await harness.store.signals.of(ids)).keys() == set(ids)


async def test_a_question_waits_for_another_server_only_while_calls_are_due() -> None:
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(30)
        await stored_unmeasured(harness)
        state = harness.store.sync_state
        assert await state.lease(["measure"], "another server", harness.clock.now(), LEASE)
        waited = asyncio.get_running_loop().time()
        await harness.sync.measure_stored(3)  # a third of it
        assert not await is_measured(harness.store)
        assert asyncio.get_running_loop().time() - waited < 3
        # What the other server does:
        await harness.store.signals.make_due()
        while row := await harness.store.signals.measure_due():
            assert row
        async with asyncio.timeout(SECONDS):
            await harness.sync.measure_stored(1e9)
        assert await is_measured(harness.store)
