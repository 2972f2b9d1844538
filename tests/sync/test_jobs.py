"""A question's time, and what goes on when it is over."""

import asyncio
import gc
import time

import pytest

from formant_mcp.errors import AuthenticationError, ConnectionFailedError, InvalidResponseError, ServiceError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import Recording
from formant_mcp.sync.list_sync import RECHECK_AFTER, ListRequest
from tests import faults
from tests.audio import wav
from tests.calls import conversation_id
from tests.fake_formant import FakeFormant
from tests.sync.sync_harness import (
    ALWAYS,
    SECONDS,
    InProcess,
    add_all,
    ended_calls,
    harness_for,
    later_calls,
    no_job,
    running_jobs,
    until,
)

pytestmark = pytest.mark.anyio

SHORT = 0.05  # seconds: less than any job takes whose answers are held back
EVERYTHING = ListRequest()


async def _read(recording: Recording) -> bytes:
    return b"".join([chunk async for chunk in recording.chunks])


async def test_a_question_answers_in_its_time_and_the_rest_goes_on_in_the_background():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        api.on_request = lambda _: api.gate.shut() if len(api.requests) == 3 else None
        requested_at = harness.clock.now()
        while not await harness.stored():  # until it has read something, which may take longer on a busy machine
            began = time.monotonic()
            assert (await harness.sync.refresh_list(EVERYTHING, SHORT)).error is None
            assert time.monotonic() - began < SECONDS / 2
        first = await harness.sync.list_status(EVERYTHING, requested_at)

        assert not first.is_complete
        assert 0 < first.stored < 450
        assert first.list_total == 450
        assert 0 < first.requests_left <= 4

        api.on_request = None
        api.gate.open()
        await no_job("list")
        requests = len(api.requests)
        later = await harness.ask()
        assert later.is_complete
        assert await harness.holds_all()
        assert len(api.requests) - requests == 1  # what the background read is not read again


async def test_a_job_that_ended_in_the_background_does_not_answer_a_later_question():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(20)
        api.gate.shut()
        await harness.sync.refresh_list(EVERYTHING, SHORT)
        api.gate.open()
        await no_job("list")
        api.conversations = ended_calls(21)

        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_a_failure_in_the_background_does_not_fail_a_later_question():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(20)
        api.fault("/v1/conversations?", 1, faults.not_json)
        api.gate.shut()
        await harness.sync.refresh_list(EVERYTHING, SHORT)
        api.gate.open()
        await no_job("list")

        assert (await harness.ask()).is_complete


async def test_the_same_question_twice_at_once_is_one_job():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        first, second = await asyncio.gather(harness.ask(), harness.ask())

        assert first.is_complete
        assert second.is_complete
        assert len(api.requests) == 5


async def test_a_question_during_a_read_of_the_newest_part_is_answered_as_of_now_too():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(1_200)
        need = ListRequest(newest=20)
        first = asyncio.create_task(harness.ask(need))
        await asyncio.wrap_future(api.received(1))
        add_all(api, later_calls(1))
        second = await harness.ask(need)

        assert second.is_complete
        assert await harness.stored(limit=1) == [str(later_calls(1)[0]["conversation_id"])]
        await first


async def test_different_questions_at_once_do_not_read_the_list_twice():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        await asyncio.gather(harness.ask(), harness.ask(ListRequest(newest=20)), harness.ask(ListRequest(newest=40)))

        assert len(api.requests) <= 9
        assert await harness.holds_all()


async def test_a_waiting_question_gets_progress():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(30)
        await harness.ask()
        reported: list[tuple[int, int]] = []

        async def report(done: int, total: int) -> None:
            reported.append((done, total))

        await harness.sync.fetch_details(await harness.stored(), SECONDS, report)
        assert reported[-1] == (30, 30)


async def test_background_jobs_pause_for_questions():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(100)
        await harness.ask()
        api.gate.shut()
        long, short = (await harness.stored())[:80], (await harness.stored())[80:]
        under_way = 16
        await harness.sync.fetch_details(long, SHORT)
        await until(lambda: len(harness.detail_ids()) == under_way)
        waited_for = asyncio.create_task(harness.sync.fetch_details(short, SECONDS))
        await until(lambda: running_jobs("details") == 2)
        api.gate.open()
        await waited_for

        assert set(harness.detail_ids()[: under_way + len(short)]) == {*long[:under_way], *short}
        await harness.sync.fetch_details(long, SECONDS)
        assert sorted(harness.detail_ids()) == sorted(harness.listed())


async def test_a_wider_question_about_details_goes_on_with_the_narrower_one():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(40)
        await harness.ask()
        api.gate.shut()
        await harness.sync.fetch_details((await harness.stored())[:20], SHORT)
        api.gate.open()
        await harness.sync.fetch_details(await harness.stored(), SECONDS)

        assert sorted(harness.detail_ids()) == sorted(harness.listed())


async def test_a_recording_that_took_too_long_is_returned_to_the_next_question():
    async with FakeFormant() as api, harness_for(api) as harness:
        sound = api.recordings[conversation_id(0)] = wav((9000, 1))
        api.gate.shut()
        assert await harness.sync.fetch_recording(conversation_id(0), _read, SHORT) is None
        api.gate.open()
        await no_job("recording")

        assert await harness.sync.fetch_recording(conversation_id(0), _read, SECONDS) == sound
        assert len(api.requests) == 1


async def test_a_recording_that_failed_in_the_background_is_requested_again_by_the_next_question():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.gate.shut()
        assert await harness.sync.fetch_recording(conversation_id(0), _read, SHORT) is None
        api.gate.open()
        await no_job("recording")
        sound = api.recordings[conversation_id(0)] = wav((9000, 1))

        assert await harness.sync.fetch_recording(conversation_id(0), _read, SECONDS) == sound


async def test_a_question_in_the_moment_of_a_failure_does_not_get_it():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.gate.shut()
        assert await harness.sync.fetch_recording(conversation_id(0), _read, SHORT) is None
        sound = wav((9000, 1))
        api.gate.open()
        while running_jobs("recording"):
            await asyncio.sleep(0)  # it ends in this turn of the loop; what follows an end runs in the next
        api.recordings[conversation_id(0)] = sound

        assert await harness.sync.fetch_recording(conversation_id(0), _read, SECONDS) == sound


async def test_of_recordings_that_nobody_waited_for_the_last_few_are_kept():
    async with FakeFormant() as api, harness_for(api) as harness:
        ids = [conversation_id(number) for number in range(10)]
        api.recordings |= dict.fromkeys(ids, wav((9000, 1)))
        for each in ids:
            api.gate.shut()
            assert await harness.sync.fetch_recording(each, _read, SHORT) is None
            api.gate.open()
            await no_job("recording")
        requests = len(api.requests)
        for each in reversed(ids):
            assert await harness.sync.fetch_recording(each, _read, SECONDS) == api.recordings[each]

        assert 0 < len(api.requests) - requests < len(ids)


async def test_what_jobs_share_of_a_list_is_not_kept_after_them():
    async with FakeFormant() as api, harness_for(api, transport=InProcess(api)) as harness:
        api.conversations = ended_calls(20)
        before = _locks()
        for agent in range(30):
            await harness.ask(ListRequest(Filters(agent_id=str(agent))))

        assert _locks() - before < 10


def _locks() -> int:
    gc.collect()
    return sum(isinstance(each, asyncio.Lock) for each in gc.get_objects())


async def test_a_refused_key_is_an_error():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.key = "another"
        with pytest.raises(AuthenticationError):
            await harness.sync.refresh_list(EVERYTHING, SECONDS)


async def test_an_answer_of_the_wrong_form_is_an_error():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.fault("/v1/conversations", 1, faults.wrong_shape)
        with pytest.raises(InvalidResponseError):
            await harness.sync.refresh_list(EVERYTHING, SECONDS)
        assert (await harness.ask()).is_complete


async def test_an_unreachable_service_is_an_error_that_may_pass():
    async with FakeFormant() as api:
        api.url = "http://127.0.0.1:9"
        async with harness_for(api) as harness:
            assert isinstance((await harness.sync.refresh_list(EVERYTHING, SECONDS)).error, ConnectionFailedError)
            assert not (await harness.sync.list_status(EVERYTHING, harness.clock.now())).is_complete


async def test_stored_calls_are_kept_and_incomplete_after_an_error():
    async with FakeFormant() as api, harness_for(api) as harness:
        api.conversations = ended_calls(450)
        before = await harness.ask()
        api.fault("/v1/conversations", ALWAYS, 500)
        harness.clock.advance(RECHECK_AFTER)
        requested_at = harness.clock.now()
        trouble = (await harness.sync.refresh_list(EVERYTHING, SECONDS)).error
        now = await harness.sync.list_status(EVERYTHING, requested_at)

        assert isinstance(trouble, ServiceError)
        assert (now.stored, now.is_complete, now.as_of) == (450, False, before.as_of)
