"""Transcripts and results: each read once, and again only while it may change."""

from datetime import timedelta

import pytest

from formant_mcp.errors import NotFoundError, RateLimitError, ServiceError
from formant_mcp.filters import DetailRequest, Filters
from tests import faults
from tests.calls import Row, conversation, conversation_id
from tests.fake_formant import FakeFormant
from tests.fake_http import Reply
from tests.faults import Fault
from tests.sync.sync_harness import ALWAYS, DAY, NOON, SECONDS, Harness, ended_calls, harness_for

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def read_due(harness: Harness) -> int:
    """Fetches the details that are due, as a question about all of them does; returns how many requests that took."""
    before = len(harness.detail_ids())
    due = await harness.store.read.details_to_fetch(DetailRequest(Filters()), harness.clock.now())
    assert await harness.sync.fetch_details(due, SECONDS) is None
    return len(harness.detail_ids()) - before


async def unread(harness: Harness) -> list[str]:
    return await harness.store.read.details_to_fetch(DetailRequest(Filters()), harness.clock.now())


def running_call(n: int = 0) -> Row:
    return conversation(n, NOON - timedelta(minutes=10), status="in_progress", duration_seconds=None)


async def test_each_detail_is_read_once_newest_first_and_never_again():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(40)
        await harness.ask()
        assert await read_due(harness) == 40
        assert sorted(harness.detail_ids()) == sorted(harness.listed())
        assert set(harness.detail_ids()[:24]) >= set((await harness.stored())[:8])
        assert (await harness.store.read.turns(conversation_id(0), 0, 1))[0].role == "agent"

        harness.clock.advance(400 * DAY)
        await harness.ask()
        assert await read_due(harness) == 0


async def test_a_call_without_results_is_refreshed_for_a_day():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = [conversation(0, NOON - 2 * MINUTE, status="no_answer", end_timestamp=None)]
        await harness.ask()
        assert await read_due(harness) == 1
        harness.clock.advance(MINUTE / 2)
        assert await read_due(harness) == 0
        harness.clock.advance(MINUTE / 2)
        assert await read_due(harness) == 1
        harness.clock.advance(DAY)
        assert await read_due(harness) == 1
        harness.clock.advance(DAY)
        assert await read_due(harness) == 0


async def test_a_running_call_is_refreshed_once_a_minute():
    async with FakeFormant() as api, harness_for(api) as harness:
        newer = [conversation(n, NOON - MINUTE, status="no_answer") for n in range(1, 151)]
        api.conversations = [*newer, running_call()]
        await harness.ask()
        await harness.ask()
        assert harness.detail_ids() == []

        harness.clock.advance(MINUTE)
        api.conversations = [*newer, conversation(0, NOON - 10 * MINUTE)]
        await harness.ask()
        assert harness.detail_ids() == [conversation_id(0)]  # too far down the list for an incremental
        assert (await harness.store.read.get([conversation_id(0)]))[conversation_id(0)].status == "completed"

        harness.clock.advance(MINUTE)
        await harness.ask()
        assert len(harness.detail_ids()) == 1


async def test_rows_that_carry_transcript_and_results_need_no_request():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.list_carries_detail = ended_calls(40), True
        await harness.ask()

        assert await read_due(harness) == 0
        assert harness.detail_ids() == []
        assert await harness.store.read.turn_count(conversation_id(0))


@pytest.mark.parametrize("fault", [faults.failing(500), faults.not_json, faults.wrong_shape, faults.failing(400)])
async def test_some_details_that_always_fail_do_not_block_the_others(fault: Fault):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(60)
        broken = [conversation_id(n) for n in (0, 1, 2, 30)]
        for each in broken:
            api.fault(each, ALWAYS, fault)
        await harness.ask()
        await read_due(harness)

        assert await unread(harness) == broken


async def test_an_id_that_no_address_can_hold_does_not_block_the_others():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = [*ended_calls(20), conversation(20, NOON, conversation_id="..")]
        await harness.ask()
        await read_due(harness)

        assert await unread(harness) == [".."]


async def test_many_failures_in_a_row_stop_the_requests():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(60)
        await harness.ask()
        api.fault("/v1/conversations/", ALWAYS, 500)
        trouble = await harness.sync.fetch_details(await unread(harness), SECONDS)

        assert isinstance(trouble, ServiceError)
        assert len(set(harness.detail_ids())) < 40


async def test_a_conversation_that_is_not_found_is_kept_until_the_list_does_not_show_it_either():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(20)
        await harness.ask()
        api.remove(conversation_id(3))
        assert await read_due(harness) == 20
        assert conversation_id(3) in await harness.stored()
        assert await harness.store.read.count_details_to_fetch(DetailRequest(Filters()), harness.clock.now()) == 1
        assert await read_due(harness) == 0  # it is not asked for again and again

        await harness.ask()
        await harness.settled()
        assert await harness.holds_all()
        assert (await harness.cost())[0] == 1


@pytest.mark.parametrize("with_total", [True, False])
async def test_a_conversation_that_is_not_found_by_mistake_is_read_an_hour_later(with_total: bool):
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.with_total = ended_calls(20), with_total
        await harness.ask()
        api.fault(conversation_id(3), 1, 404)
        await read_due(harness)
        await harness.ask()
        await harness.settled()
        assert conversation_id(3) in await harness.stored()
        assert await read_due(harness) == 0

        harness.clock.advance(timedelta(hours=1))
        assert await read_due(harness) == 1
        assert await harness.store.read.turn_count(conversation_id(3))


async def test_a_running_call_that_is_not_found_is_not_requested_every_minute():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations, api.with_total = [running_call(), *ended_calls(5, first=1)], False
        await harness.ask()
        api.remove(conversation_id(0))
        for _ in range(5):
            harness.clock.advance(MINUTE)
            await harness.ask()
            await harness.settled()
        assert len(harness.detail_ids()) == 1
        assert await harness.holds_all()


async def test_a_gateways_404_is_a_failure_of_the_service():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(20)
        await harness.ask()
        api.fault(conversation_id(3), 1, lambda _: Reply(404, b"<html>404 Not Found</html>", "text/html"))
        await read_due(harness)
        assert await unread(harness) == [conversation_id(3)]
        assert await harness.holds_all()
        assert await read_due(harness) == 1


async def test_a_stored_conversation_that_is_not_found_is_no_error():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = [running_call()]
        await harness.ask()
        await read_due(harness)
        api.remove(conversation_id(0))
        harness.clock.advance(2 * MINUTE)
        assert isinstance(await harness.sync.fetch_one(conversation_id(0), harness.clock.now(), SECONDS), NotFoundError)
        assert conversation_id(0) in await harness.stored()

        with pytest.raises(NotFoundError):
            await harness.sync.fetch_one("e36853de-gone", harness.clock.now(), SECONDS)


async def test_one_conversation_is_read_without_any_list():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(20)
        for _ in range(2):
            assert await harness.sync.fetch_one(conversation_id(7), harness.clock.now(), SECONDS) is None

        assert harness.detail_ids() == [conversation_id(7)]
        assert harness.list_requests() == []
        assert await harness.store.read.turn_count(conversation_id(7))


async def test_a_too_many_requests_in_the_middle_is_waited_out():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(60)
        await harness.ask()
        api.fault(conversation_id(30), 1, faults.rate_limit("45"))
        await read_due(harness)

        assert await unread(harness) == []
        assert max(harness.slept) >= 45
        assert len(harness.detail_ids()) <= 61


async def test_a_rate_limit_too_long_to_wait_for_is_an_error_and_nothing_read_is_lost():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(60)
        await harness.ask()
        api.fault(conversation_id(30), 1, faults.rate_limit("3600"))
        trouble = await harness.sync.fetch_details(await unread(harness), SECONDS)

        assert isinstance(trouble, RateLimitError)
        assert trouble.retry_after_seconds
        assert len(await unread(harness)) <= 45
