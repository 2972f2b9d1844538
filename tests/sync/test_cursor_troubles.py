"""Lists by cursor that go wrong: every conversation once, or an error that says what the provider did."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from formant_mcp.errors import InvalidResponseError
from formant_mcp.filters import Filters
from formant_mcp.sync.list_sync import ListRequest
from tests.fake_cursor import FakeCursorFamily, FakeElevenLabs
from tests.fake_http import Reply
from tests.fake_voiceos import FakeVoiceOs
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.sync.cursor_sync_harness import LONG_OVER, MINUTE, each_provider, is_timed, opened, read_whole
from tests.sync.sync_harness import DAY

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("cap", [30, 100])
@pytest.mark.parametrize("option", ["empty_pages", "times_as_text", "with_has_more"])
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_an_odd_list_still_gives_every_conversation_once(provider: ProviderFixture, option: str, cap: int):
    async with opened(provider, 250) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        setattr(desk.api, option, option != "with_has_more")
        desk.api.rows_per_page_cap = cap
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@pytest.mark.parametrize("cycle", [1, 2, 5])
async def test_cursors_that_come_round_keep_the_rows_and_leave_the_list_open(cycle: int):
    async with opened(ELEVENLABS, 950) as desk:
        assert isinstance(desk.api, FakeElevenLabs)
        desk.api.cursor_cycle = cycle
        for _ in range(2):
            list_status = await desk.ask()
            assert (list_status.is_complete, list_status.ends_early, list_status.is_listing) == (False, True, False)
            assert list_status.stored == 100 * (cycle + 1)
        desk.api.cursor_cycle = None
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


@pytest.mark.parametrize("need", [ListRequest(), ListRequest(Filters(since=LONG_OVER - DAY)), ListRequest(newest=20)])
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_more_to_come_without_a_way_to_it_leaves_the_list_open_until_it_comes(
    provider: ProviderFixture, need: ListRequest
):
    async with opened(provider, 250) as desk:
        is_over: list[bool] = []
        desk.api.fault(lambda request: not is_over and request.path.endswith("/conversations"), 99, _cut)
        list_status = await desk.ask(need)
        assert (list_status.is_complete, list_status.ends_early) == (False, True)
        assert list_status.stored >= 100
        is_over.append(True)
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()


async def test_a_known_call_that_a_cut_list_does_not_show_is_neither_forgotten_nor_asked_for():
    async with opened(ELEVENLABS, 250) as desk:
        await desk.ask()
        await desk.store.sync_state.update("", last_full_scan_at=None)  # so that all is read again
        desk.clock.advance(DAY)
        desk.api.fault(lambda request: request.path.endswith("/conversations") and not is_timed(request), 20, _cut)
        assert (await desk.ask()).ends_early
        assert await desk.holds_all()
        assert {request.path.rpartition("/")[2] for request in desk.api.requests} == {"conversations"}


async def test_a_part_read_to_its_end_does_not_complete_a_list_that_was_cut():
    async with opened(ELEVENLABS, 250) as desk:
        desk.api.fault(lambda request: request.path.endswith("/conversations") and not is_timed(request), 20, _cut)
        await desk.ask()
        part = ListRequest(Filters(since=LONG_OVER - DAY))
        assert (await desk.ask(part)).is_complete
        assert not (await desk.sync.list_status(ListRequest(), desk.clock.now() - DAY)).is_complete


def _cut(good: Reply) -> Reply:
    body = json.loads(good.body)
    paging = body.get("data", body)
    paging |= {"cursor": None, "next_cursor": None, "has_more": True}
    return replace(good, body=json.dumps(body).encode())


async def test_a_list_that_never_ends_is_left_with_an_error_that_says_so():
    async with opened(VOICEOS, 10) as desk:
        assert isinstance(desk.api, FakeVoiceOs)
        desk.api.fault(
            lambda request: request.path.endswith("/conversations"),
            1_000,
            lambda good: type(good)(body=b'{"items": [], "has_more": true}', media_type="application/json"),
        )
        with pytest.raises(InvalidResponseError, match="100 pages in a row without anything new"):
            await desk.sync.refresh_list(ListRequest(), 30)


EMPTY = {
    "elevenlabs": b'{"conversations": [], "has_more": false}',
    "voiceable": b'{"status": {"code": 200}, "data": {"conversations": [], "has_more": false}}',
    "voiceos": b'{"items": [], "index": 1, "has_more": false}',
}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_one_users_calls_are_those_of_the_list_that_the_provider_narrows(provider: ProviderFixture, shown: bool):
    async with opened(provider, 200) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        desk.api.unsent = frozenset() if shown else frozenset({"user_id"})
        detail = desk.api.whole(desk.api.conversations[3])
        user = str(detail["user_id"])
        wanted = {desk.api.id_of(row) for row in desk.api.conversations if desk.api.whole(row)["user_id"] == user}
        _, list_status = await desk.cost(ListRequest(Filters(user_id=user)))
        assert list_status.is_complete
        assert set(await desk.stored(Filters(user_id=user))) == wanted
        assert len(desk.api.requests) == 2  # the list, and whether the provider narrows it at all
        assert (await desk.ask(ListRequest(Filters(user_id="nobody")))).is_complete
        assert not await desk.stored(Filters(user_id="nobody"))


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
async def test_where_the_provider_takes_no_notice_of_the_user_the_details_tell(provider: ProviderFixture):
    async with opened(provider, 20) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        desk.api.ignored_filters = frozenset({"user_id"})
        user = str(desk.api.whole(desk.api.conversations[3])["user_id"])
        wanted = {desk.api.id_of(row) for row in desk.api.conversations if desk.api.whole(row)["user_id"] == user}
        assert (await desk.ask(ListRequest(Filters(user_id=user)))).is_complete
        assert set(await desk.stored(Filters(user_id=user))) == wanted


@pytest.mark.parametrize("with_nobody", ["refused", "not found"])
async def test_a_provider_that_refuses_an_unknown_user_narrows_by_user(with_nobody: str):
    async with opened(VOICEABLE, 20) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        desk.api.unsent = frozenset({"user_id"})
        desk.api.fault("user_id=formant-mcp-nobody", 1, 422 if with_nobody == "refused" else 404)
        user = str(desk.api.whole(desk.api.conversations[3])["user_id"])
        assert (await desk.ask(ListRequest(Filters(user_id=user)))).is_complete
        assert await desk.stored(Filters(user_id=user))


async def test_an_agents_rows_that_do_not_name_it_are_the_agents():
    async with opened(VOICEABLE, 20) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        desk.api.unsent = frozenset({"agent_id"})
        assert (await desk.ask(ListRequest(Filters(agent_id="123")))).is_complete
        assert len(await desk.stored(Filters(agent_id="123"))) == 20


@pytest.mark.parametrize("provider", [ELEVENLABS, VOICEABLE], ids=lambda provider: provider.name)
@pytest.mark.parametrize("since", [None, LONG_OVER - 5 * DAY])
async def test_a_users_calls_whose_details_fail_are_missed_and_tried_again(
    provider: ProviderFixture, since: datetime | None
):
    async with opened(provider, 20) as desk:
        assert isinstance(desk.api, FakeCursorFamily)
        desk.api.ignored_filters = frozenset({"user_id"})
        mine = desk.api.conversations[3]
        user = str(desk.api.whole(mine)["user_id"])
        desk.api.fault(f"/{desk.api.id_of(mine)}", 20, 500)
        need = ListRequest(Filters(user_id=user, since=since))
        assert not (await desk.ask(need)).is_complete
        desk.api.fault("no request has this", 1, 500)
        for _ in range(20):
            if (await desk.ask(need)).is_complete:
                break
        assert desk.api.id_of(mine) in await desk.stored(Filters(user_id=user))


@each_provider
async def test_a_relative_period_asked_again_is_the_same_list(provider: ProviderFixture):
    async with opened(provider, 2_000, timedelta(hours=1)) as desk:
        for cost in (1, 0, 0):
            now = desk.clock.now()
            need = ListRequest(Filters(since=now - 62 * DAY, until=now - 61 * DAY))
            found, list_status = await desk.cost(need)
            assert (found, list_status.is_complete) == (cost, True)


@each_provider
async def test_the_beginning_of_the_calendar_is_a_time_like_others(provider: ProviderFixture):
    async with opened(provider, 30) as desk:
        assert (await desk.ask(ListRequest(Filters(since=datetime.min.replace(tzinfo=UTC))))).is_complete
        assert await desk.holds_all()


@each_provider
async def test_more_calls_than_are_looked_up_at_once_may_be_gone(provider: ProviderFixture):
    async with opened(provider, 400) as desk:
        await desk.ask()
        for row in desk.api.conversations[100:350]:
            desk.api.remove(desk.api.id_of(row))
        desk.clock.advance(DAY)
        await read_whole(desk)
        list_status = await desk.ask()
        assert (list_status.gone, list_status.is_complete, len(await desk.stored())) == (250, False, 400)
        assert all(path.endswith("/conversations") for path in (request.path for request in desk.api.requests))

        desk.clock.advance(MINUTE)
        await read_whole(desk)
        assert await desk.holds_all()
        list_status = await desk.ask()
        assert (list_status.gone, list_status.is_complete) == (0, True)


@each_provider
async def test_a_list_that_comes_empty_by_mistake_costs_nothing(provider: ProviderFixture):
    async with opened(provider, 400) as desk:
        await desk.ask()
        desk.clock.advance(DAY)
        desk.api.fault(
            lambda request: request.path.endswith("/conversations") and not is_timed(request),
            1,
            lambda good: type(good)(body=EMPTY[provider.name], media_type="application/json"),
        )
        await read_whole(desk)
        list_status = await desk.ask()
        assert (list_status.gone, list_status.is_complete) == (400, False)
        desk.clock.advance(MINUTE)
        await read_whole(desk)
        assert (await desk.ask()).is_complete
        assert await desk.holds_all()
        assert all(request.path.endswith("/conversations") for request in desk.api.requests)
