"""A list filtered by the provider has every match, whatever its documentation leaves open."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from formant_mcp.models import Conversation
from formant_mcp.providers.base import Filters
from tests.calls import conversation_id
from tests.fake_voiceos import FakeVoiceOs
from tests.provider_apis import VOICEOS, whole_list
from tests.providers.cursors import OpenedByCursor, ids, opened_by
from tests.providers.scripted import NOON

pytestmark = pytest.mark.anyio

SINCE, UNTIL = NOON - timedelta(minutes=20), NOON - timedelta(minutes=10)


def is_within(row: Conversation) -> bool:
    return row.started_at is not None and SINCE <= row.started_at <= UNTIL


CASES: tuple[tuple[Filters, Callable[[Conversation], bool]], ...] = (
    (Filters(agent_id="101"), lambda row: row.agent_id == "101"),
    (Filters(call_successful="success"), lambda row: row.outcome == "success"),
    (Filters(call_successful="failure"), lambda row: row.outcome == "failure"),
    (Filters(status=("Queued",)), lambda row: row.status == "queued"),
    (Filters(status=("done",)), lambda row: row.status == "done"),
    (
        Filters(agent_id="102", since=SINCE, until=UNTIL, call_successful="success"),
        lambda row: row.agent_id == "102" and row.outcome == "success" and is_within(row),
    ),
)


@pytest.mark.parametrize("bounds_included", [True, False])
async def test_no_call_at_a_time_bound_is_missed(by_cursor: OpenedByCursor, bounds_included: bool):
    by_cursor.hold(60)
    by_cursor.api.bounds_included = bounds_included
    everything = await whole_list(by_cursor.source)
    narrowed = await whole_list(by_cursor.source, Filters(since=SINCE, until=UNTIL))

    assert len(narrowed) == 11
    assert [row for row in narrowed if is_within(row)] == [row for row in everything if is_within(row)]


async def test_bounds_between_two_seconds_are_widened(by_cursor: OpenedByCursor):
    by_cursor.api.conversations = by_cursor.provider.calls(60, NOON, apart=timedelta(seconds=1))
    by_cursor.api.bounds_included = False
    since, until = NOON - timedelta(seconds=20.5), NOON - timedelta(seconds=9.5)
    narrowed = await whole_list(by_cursor.source, Filters(since=since, until=until))

    assert set(map(conversation_id, range(10, 21))) <= set(ids(narrowed))
    assert len(narrowed) <= 13


@pytest.mark.parametrize(("filters", "is_wanted"), CASES)
async def test_filtered_lists_have_every_match_and_are_shorter_where_the_provider_can_filter(
    by_cursor: OpenedByCursor, filters: Filters, is_wanted: Callable[[Conversation], bool]
):
    statuses = ("completed", "no_answer", "in_progress", "queued")
    for n in range(40):
        started_at = NOON - timedelta(minutes=n)
        by_cursor.api.add(by_cursor.provider.call(n, started_at, agent_id=100 + n % 3, status=statuses[n % 4]))
    everything = await whole_list(by_cursor.source)
    narrowed = await whole_list(by_cursor.source, filters)

    assert [row for row in narrowed if is_wanted(row)] == [row for row in everything if is_wanted(row)]
    given = filters.given().keys()
    is_filtered = bool(given & by_cursor.source.spec.server_side_filters) and filters.status != ("done",)
    assert (len(narrowed) < len(everything)) == is_filtered


async def test_the_list_of_one_user_has_all_their_calls(by_opaque_cursor: OpenedByCursor):
    by_opaque_cursor.hold(210)
    read = await by_opaque_cursor.source.get_conversation(conversation_id(7))
    narrowed = await whole_list(by_opaque_cursor.source, Filters(user_id=read.user_id or "nobody"))

    assert ids(narrowed) == [conversation_id(7), conversation_id(107), conversation_id(207)]


async def test_a_call_that_waited_in_the_queue_is_within_the_bounds_of_its_creation():
    async with opened_by(VOICEOS) as opened:
        assert isinstance(opened.api, FakeVoiceOs)
        opened.hold(1)
        opened.api.created_at[conversation_id(0)] = NOON - opened.source.spec.max_queue_time
        late = await whole_list(opened.source, Filters(since=NOON - timedelta(hours=1)))
        in_time = await whole_list(opened.source, Filters(since=NOON - opened.source.spec.max_queue_time))

    assert (ids(late), ids(in_time)) == ([], [conversation_id(0)])
