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
from tests.sync.sync_harness import ALWAYS, DAY, NOON, SECONDS, Desk, desk_for, ended_calls

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def read_due(desk: Desk) -> int:
    """Brings the details that are due, as a question about all of them does; gives how many requests that took."""
    before = len(desk.detail_ids())
    due = await desk.store.read.details_to_fetch(DetailRequest(Filters()), desk.clock.now())
    assert await desk.sync.fetch_details(due, SECONDS) is None
    return len(desk.detail_ids()) - before


async def unread(desk: Desk) -> list[str]:
    return await desk.store.read.details_to_fetch(DetailRequest(Filters()), desk.clock.now())


def running_call(n: int = 0) -> Row:
    return conversation(n, NOON - timedelta(minutes=10), status="in_progress", duration_seconds=None)


async def test_each_detail_is_read_once_newest_first_and_never_again():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(40)
        await desk.ask()
        assert await read_due(desk) == 40
        assert sorted(desk.detail_ids()) == sorted(desk.listed())
        assert set(desk.detail_ids()[:24]) >= set((await desk.stored())[:8])
        assert (await desk.store.read.turns(conversation_id(0), 0, 1))[0].role == "agent"

        desk.clock.advance(400 * DAY)
        await desk.ask()
        assert await read_due(desk) == 0


async def test_a_call_without_results_yet_is_read_anew_until_a_day_has_gone_by():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = [conversation(0, NOON - 2 * MINUTE, status="no_answer", end_timestamp=None)]
        await desk.ask()
        assert await read_due(desk) == 1
        desk.clock.advance(MINUTE / 2)
        assert await read_due(desk) == 0
        desk.clock.advance(MINUTE / 2)
        assert await read_due(desk) == 1
        desk.clock.advance(DAY)
        assert await read_due(desk) == 1
        desk.clock.advance(DAY)
        assert await read_due(desk) == 0


async def test_a_running_call_is_seen_anew_with_the_list_once_a_minute():
    async with FakeFormant() as api, desk_for(api) as desk:
        newer = [conversation(n, NOON - MINUTE, status="no_answer") for n in range(1, 151)]
        api.conversations = [*newer, running_call()]
        await desk.ask()
        await desk.ask()
        assert desk.detail_ids() == []

        desk.clock.advance(MINUTE)
        api.conversations = [*newer, conversation(0, NOON - 10 * MINUTE)]
        await desk.ask()
        assert desk.detail_ids() == [conversation_id(0)]  # too far down the list for a look
        assert (await desk.store.read.get([conversation_id(0)]))[conversation_id(0)].status == "completed"

        desk.clock.advance(MINUTE)
        await desk.ask()
        assert len(desk.detail_ids()) == 1


async def test_rows_that_carry_transcript_and_results_need_no_request():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.list_carries_detail = ended_calls(40), True
        await desk.ask()

        assert await read_due(desk) == 0
        assert desk.detail_ids() == []
        assert await desk.store.read.turn_count(conversation_id(0))


@pytest.mark.parametrize("fault", [faults.failing(500), faults.not_json, faults.wrong_shape, faults.failing(400)])
async def test_some_details_that_always_fail_do_not_block_the_others(fault: Fault):
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(60)
        broken = [conversation_id(n) for n in (0, 1, 2, 30)]
        for each in broken:
            api.fault(each, ALWAYS, fault)
        await desk.ask()
        await read_due(desk)

        assert await unread(desk) == broken


async def test_an_id_that_no_address_can_hold_does_not_block_the_others():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = [*ended_calls(20), conversation(20, NOON, conversation_id="..")]
        await desk.ask()
        await read_due(desk)

        assert await unread(desk) == [".."]


async def test_where_every_detail_fails_it_is_the_service_that_fails_and_is_left_alone():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(60)
        await desk.ask()
        api.fault("/v1/conversations/", ALWAYS, 500)
        trouble = await desk.sync.fetch_details(await unread(desk), SECONDS)

        assert isinstance(trouble, ServiceError)
        assert len(set(desk.detail_ids())) < 40


async def test_a_conversation_that_is_not_found_is_kept_until_the_list_does_not_show_it_either():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(20)
        await desk.ask()
        api.remove(conversation_id(3))
        assert await read_due(desk) == 20
        assert conversation_id(3) in await desk.stored()
        assert await desk.store.read.count_details_to_fetch(DetailRequest(Filters()), desk.clock.now()) == 1
        assert await read_due(desk) == 0  # it is not asked for again and again

        await desk.ask()
        await desk.settled()
        assert await desk.holds_all()
        assert (await desk.cost())[0] == 1


@pytest.mark.parametrize("with_total", [True, False])
async def test_a_conversation_that_is_not_found_by_mistake_is_read_an_hour_later(with_total: bool):
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.with_total = ended_calls(20), with_total
        await desk.ask()
        api.fault(conversation_id(3), 1, 404)
        await read_due(desk)
        await desk.ask()
        await desk.settled()
        assert conversation_id(3) in await desk.stored()
        assert await read_due(desk) == 0

        desk.clock.advance(timedelta(hours=1))
        assert await read_due(desk) == 1
        assert await desk.store.read.turn_count(conversation_id(3))


async def test_a_running_call_that_is_not_found_is_not_asked_for_every_minute():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations, api.with_total = [running_call(), *ended_calls(5, first=1)], False
        await desk.ask()
        api.remove(conversation_id(0))
        for _ in range(5):
            desk.clock.advance(MINUTE)
            await desk.ask()
            await desk.settled()
        assert len(desk.detail_ids()) == 1
        assert await desk.holds_all()


async def test_what_a_gateway_does_not_find_is_a_failure_of_the_service():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(20)
        await desk.ask()
        api.fault(conversation_id(3), 1, lambda _: Reply(404, b"<html>404 Not Found</html>", "text/html"))
        await read_due(desk)
        assert await unread(desk) == [conversation_id(3)]
        assert await desk.holds_all()
        assert await read_due(desk) == 1


async def test_a_stored_conversation_that_is_not_found_is_no_error():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = [running_call()]
        await desk.ask()
        await read_due(desk)
        api.remove(conversation_id(0))
        desk.clock.advance(2 * MINUTE)
        assert isinstance(await desk.sync.fetch_one(conversation_id(0), desk.clock.now(), SECONDS), NotFoundError)
        assert conversation_id(0) in await desk.stored()

        with pytest.raises(NotFoundError):
            await desk.sync.fetch_one("e36853de-gone", desk.clock.now(), SECONDS)


async def test_one_conversation_is_read_without_any_list():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(20)
        for _ in range(2):
            assert await desk.sync.fetch_one(conversation_id(7), desk.clock.now(), SECONDS) is None

        assert desk.detail_ids() == [conversation_id(7)]
        assert desk.list_requests() == []
        assert await desk.store.read.turn_count(conversation_id(7))


async def test_a_too_many_requests_in_the_middle_is_waited_out():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(60)
        await desk.ask()
        api.fault(conversation_id(30), 1, faults.rate_limit("45"))
        await read_due(desk)

        assert await unread(desk) == []
        assert max(desk.slept) >= 45
        assert len(desk.detail_ids()) <= 61


async def test_an_allowance_used_up_for_longer_than_is_waited_is_said_and_nothing_read_is_lost():
    async with FakeFormant() as api, desk_for(api) as desk:
        api.conversations = ended_calls(60)
        await desk.ask()
        api.fault(conversation_id(30), 1, faults.rate_limit("3600"))
        trouble = await desk.sync.fetch_details(await unread(desk), SECONDS)

        assert isinstance(trouble, RateLimitError)
        assert trouble.retry_after_seconds
        assert len(await unread(desk)) <= 45
