"""Lists by cursor that go wrong: every conversation once, or an error that says what the provider did."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from formant_mcp.errors import AuthenticationError, InvalidResponseError
from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests.examples import each_once
from tests.fake_cursor import FakeCursorFamily, FakeElevenLabs
from tests.fake_http import Reply, Request
from tests.fake_voiceos import FakeVoiceOs
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.sync.cursor_sync_harness import LONG_OVER, MINUTE, each_provider, is_timed, lists, opened, read_whole
from tests.sync.sync_harness import DAY, running_jobs, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("cap", "option"), each_once([30, 100], ["empty_pages", "times_as_text", "with_has_more"]))
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_an_unusual_list_is_stored_with_every_conversation_once(provider: ProviderFixture, option: str, cap: int):
    async with opened(provider, 250) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        setattr(harness.api, option, option != "with_has_more")
        harness.api.rows_per_page_cap = cap
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@pytest.mark.parametrize("cycle", [1, 2, 5])
async def test_repeated_cursors_keep_the_rows_and_leave_the_list_incomplete(cycle: int):
    async with opened(ELEVENLABS, 950) as harness:
        assert isinstance(harness.api, FakeElevenLabs)
        harness.api.cursor_cycle = cycle
        for _ in range(2):
            list_status = await harness.ask()
            assert (list_status.is_complete, list_status.ends_early, list_status.is_listing) == (False, True, False)
            assert list_status.stored == 100 * (cycle + 1)
        harness.api.cursor_cycle = None
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


@pytest.mark.parametrize("need", [ListRequest(), ListRequest(Filters(since=LONG_OVER - DAY)), ListRequest(newest=20)])
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_a_list_without_its_next_cursor_is_incomplete_until_it_has_one(
    provider: ProviderFixture, need: ListRequest
):
    async with opened(provider, 250) as harness:
        is_over: list[bool] = []
        harness.api.fault(lambda request: not is_over and request.path.endswith("/conversations"), 99, _cut)
        list_status = await harness.ask(need)
        assert (list_status.is_complete, list_status.ends_early) == (False, True)
        assert list_status.stored >= 100
        is_over.append(True)
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()


async def test_a_stored_call_that_a_cut_list_does_not_show_is_neither_deleted_nor_requested():
    async with opened(ELEVENLABS, 250) as harness:
        await harness.ask()
        await harness.store.sync_state.update("", last_full_scan_at=None)  # so that all is read again
        harness.clock.advance(DAY)
        harness.api.fault(lambda request: request.path.endswith("/conversations") and not is_timed(request), 20, _cut)
        assert (await harness.ask()).ends_early
        assert await harness.holds_all()
        assert {request.path.rpartition("/")[2] for request in harness.api.requests} == {"conversations"}


async def test_a_part_read_to_its_end_does_not_complete_a_cut_list():
    async with opened(ELEVENLABS, 250) as harness:
        harness.api.fault(lambda request: request.path.endswith("/conversations") and not is_timed(request), 20, _cut)
        await harness.ask()
        part = ListRequest(Filters(since=LONG_OVER - DAY))
        assert (await harness.ask(part)).is_complete
        assert not (await harness.sync.list_status(ListRequest(), harness.clock.now() - DAY)).is_complete


def _cut(good: Reply) -> Reply:
    body = json.loads(good.body)
    paging = body.get("data", body)
    paging |= {"cursor": None, "next_cursor": None, "has_more": True}
    return replace(good, body=json.dumps(body).encode())


async def test_a_list_that_never_ends_is_an_error():
    async with opened(VOICEOS, 10) as harness:
        assert isinstance(harness.api, FakeVoiceOs)
        harness.api.fault(
            lambda request: request.path.endswith("/conversations"),
            1_000,
            lambda good: type(good)(body=b'{"items": [], "has_more": true}', media_type="application/json"),
        )
        with pytest.raises(InvalidResponseError, match="100 pages in a row without anything new"):
            await harness.sync.refresh_list(ListRequest(), 30)


EMPTY = {
    "elevenlabs": b'{"conversations": [], "has_more": false}',
    "voiceable": b'{"status": {"code": 200}, "data": {"conversations": [], "has_more": false}}',
    "voiceos": b'{"items": [], "index": 1, "has_more": false}',
}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_one_users_calls_are_those_of_the_list_that_the_provider_narrows(provider: ProviderFixture, shown: bool):
    async with opened(provider, 200) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.unsent = frozenset() if shown else frozenset({"user_id"})
        detail = harness.api.whole(harness.api.conversations[3])
        user = str(detail["user_id"])
        wanted = {
            harness.api.id_of(row) for row in harness.api.conversations if harness.api.whole(row)["user_id"] == user
        }
        _, list_status = await harness.cost(ListRequest(Filters(user_id=user)))
        assert list_status.is_complete
        assert set(await harness.stored(Filters(user_id=user))) == wanted
        assert len(harness.api.requests) == 2  # the list, and whether the provider narrows it at all
        assert (await harness.ask(ListRequest(Filters(user_id="nobody")))).is_complete
        assert not await harness.stored(Filters(user_id="nobody"))


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_where_the_provider_ignores_the_user_filter_the_details_decide(provider: ProviderFixture):
    async with opened(provider, 20) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.ignored_filters = frozenset({"user_id"})
        user = str(harness.api.whole(harness.api.conversations[3])["user_id"])
        wanted = {
            harness.api.id_of(row) for row in harness.api.conversations if harness.api.whole(row)["user_id"] == user
        }
        assert (await harness.ask(ListRequest(Filters(user_id=user)))).is_complete
        assert set(await harness.stored(Filters(user_id=user))) == wanted


@pytest.mark.parametrize("with_nobody", ["refused", "not found"])
async def test_a_provider_that_refuses_an_unknown_user_narrows_by_user(with_nobody: str):
    async with opened(VOICEABLE, 20) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.unsent = frozenset({"user_id"})
        harness.api.fault("user_id=formant-mcp-nobody", 1, 422 if with_nobody == "refused" else 404)
        user = str(harness.api.whole(harness.api.conversations[3])["user_id"])
        assert (await harness.ask(ListRequest(Filters(user_id=user)))).is_complete
        assert await harness.stored(Filters(user_id=user))


async def test_rows_of_an_agents_list_without_agent_id_get_it():
    async with opened(VOICEABLE, 20) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.unsent = frozenset({"agent_id"})
        assert (await harness.ask(ListRequest(Filters(agent_id="123")))).is_complete
        assert len(await harness.stored(Filters(agent_id="123"))) == 20


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
@pytest.mark.parametrize("since", [None, LONG_OVER - 5 * DAY])
async def test_a_users_calls_whose_details_fail_are_retried(provider: ProviderFixture, since: datetime | None):
    async with opened(provider, 20) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.ignored_filters = frozenset({"user_id"})
        mine = harness.api.conversations[3]
        user = str(harness.api.whole(mine)["user_id"])
        harness.api.fault(f"/{harness.api.id_of(mine)}", 20, 500)
        need = ListRequest(Filters(user_id=user, since=since))
        assert not (await harness.ask(need)).is_complete
        harness.api.fault("no request has this", 1, 500)
        for _ in range(20):
            if (await harness.ask(need)).is_complete:
                break
        assert harness.api.id_of(mine) in await harness.stored(Filters(user_id=user))


@each_provider
async def test_a_relative_period_requested_again_is_the_same_list(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as harness:
        for cost in (1, 0, 0):
            now = harness.clock.now()
            need = ListRequest(Filters(since=now - 62 * DAY, until=now - 61 * DAY))
            found, list_status = await harness.cost(need)
            assert (found, list_status.is_complete) == (cost, True)


@each_provider
async def test_since_the_beginning_of_the_calendar_is_accepted(provider: ProviderFixture):
    async with opened(provider, 30) as harness:
        assert (await harness.ask(ListRequest(Filters(since=datetime.min.replace(tzinfo=UTC))))).is_complete
        assert await harness.holds_all()


@each_provider
async def test_many_missing_calls_are_deleted_once_a_second_scan_misses_them(provider: ProviderFixture):
    async with opened(provider, 400) as harness:
        await harness.ask()
        for row in harness.api.conversations[100:350]:
            harness.api.remove(harness.api.id_of(row))
        harness.clock.advance(DAY)
        await read_whole(harness)
        list_status = await harness.ask()
        assert (list_status.gone, list_status.is_complete, len(await harness.stored())) == (250, False, 400)
        assert all(path.endswith("/conversations") for path in (request.path for request in harness.api.requests))

        harness.clock.advance(MINUTE)
        await read_whole(harness)
        assert await harness.holds_all()
        list_status = await harness.ask()
        assert (list_status.gone, list_status.is_complete) == (0, True)


@each_provider
async def test_an_empty_list_by_mistake_requests_no_details(provider: ProviderFixture):
    async with opened(provider, 400) as harness:
        await harness.ask()
        harness.clock.advance(DAY)
        harness.api.fault(
            lambda request: request.path.endswith("/conversations") and not is_timed(request),
            1,
            lambda good: type(good)(body=EMPTY[provider.name], media_type="application/json"),
        )
        await read_whole(harness)
        list_status = await harness.ask()
        assert (list_status.gone, list_status.is_complete) == (400, False)
        harness.clock.advance(MINUTE)
        await read_whole(harness)
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()
        assert all(request.path.endswith("/conversations") for request in harness.api.requests)


async def test_a_page_whose_details_failed_is_not_passed_over():
    async with opened(ELEVENLABS, 250) as harness:
        assert isinstance(harness.api, FakeCursorFamily)
        harness.api.ignored_filters = frozenset({"user_id"})
        mine = harness.api.conversations[150]  # on the second page
        user = str(harness.api.whole(mine)["user_id"])
        harness.api.fault(f"/{harness.api.id_of(mine)}", 1, 401)
        need = ListRequest(Filters(user_id=user))
        with pytest.raises(AuthenticationError):
            await harness.sync.refresh_list(need, 30)
        assert (await harness.ask(need)).is_complete
        assert harness.api.id_of(mine) in await harness.stored(Filters(user_id=user))


async def test_a_scan_that_met_one_wrong_page_continues_after_the_page_before():
    async with opened(ELEVENLABS, 950) as harness:
        pages: list[Request] = []

        def wrong_once(request: Request) -> bool:
            pages.append(request)
            return len(pages) == 7

        harness.api.fault(wrong_once, 1, lambda good: replace(good, body=b"{}"))
        with pytest.raises(InvalidResponseError):
            await harness.sync.refresh_list(ListRequest(), 30)
        assert (await harness.ask()).is_complete
        assert await harness.holds_all()
        assert len(lists(harness)) <= 10 + 3  # the wrong one, the one before it once more, and what is new


@each_provider
async def test_a_question_does_not_wait_for_a_scan_that_waits_for_it(provider: ProviderFixture):
    async with opened(provider, 30) as harness:
        await read_whole(harness)
        harness.api.remove((await harness.stored())[9])
        harness.clock.advance(DAY)
        harness.api.on_request = lambda request: None if is_timed(request) else harness.api.gate.shut()
        await harness.ask()  # begins the daily scan, which misses a call
        await until(lambda: not is_timed(harness.api.requests[-1]))
        harness.api.on_request = None
        question = asyncio.create_task(harness.ask())
        await until(lambda: running_jobs("list") > 0)
        harness.api.gate.open()
        assert (await question).is_complete
