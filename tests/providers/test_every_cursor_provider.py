"""What every cursor provider guarantees where its documentation is silent or its API makes mistakes.

Each case gives every conversation exactly once, or an error that says what the provider did wrong.
"""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import JsonValue

from formant_mcp.errors import (
    AuthenticationError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    ServiceError,
)
from tests.calls import conversation_id
from tests.fake_cursor import FakeCursorFamily, FakeVoiceable
from tests.fake_http import Reply, Request
from tests.fake_voiceos import FakeVoiceOs
from tests.faults import Fault
from tests.provider_apis import VOICEABLE, VOICEOS, all_pages, whole_list
from tests.providers.cursors import EVERYTHING, OpenedByCursor, ids, opened_by
from tests.providers.scripted import NOON

pytestmark = pytest.mark.anyio


async def test_short_and_empty_pages_do_not_end_the_list(by_cursor: OpenedByCursor):
    held = by_cursor.hold(130)
    by_cursor.api.rows_per_page_cap, by_cursor.api.empty_pages = 30, True
    pages = await all_pages(by_cursor.source)

    assert [page.row_count for page in pages] == [30, 0, 30, 0, 30, 0, 30, 0, 10]
    assert [row.conversation_id for page in pages for row in page.conversations] == held


async def test_a_list_without_has_more_is_read_to_its_end(by_cursor: OpenedByCursor):
    held = by_cursor.hold(130)
    by_cursor.api.rows_per_page_cap, by_cursor.api.with_has_more = 30, False

    assert ids(await whole_list(by_cursor.source)) == held


async def test_calls_that_arrive_meanwhile_hide_no_older_ones(by_cursor: OpenedByCursor):
    held = by_cursor.hold(130)
    by_cursor.api.rows_per_page_cap = 30

    def call_comes(_: Request) -> None:
        n = 1_000 + len(by_cursor.api.requests)
        by_cursor.api.add(by_cursor.provider.call(n, NOON + timedelta(seconds=n)))

    by_cursor.api.on_request = call_comes
    read = ids(await whole_list(by_cursor.source))

    assert set(held) <= set(read)
    if isinstance(by_cursor.api, FakeCursorFamily):
        assert read[-130:] == held


async def test_an_enveloped_list_may_have_either_name_or_none():
    async with opened_by(VOICEABLE) as opened:
        assert isinstance(opened.api, FakeVoiceable)
        held = opened.hold(70)
        opened.api.rows_per_page_cap = 30
        names: list[Literal["conversations", "items", ""]] = ["conversations", "items", ""]
        for name in names:
            opened.api.list_name = name
            pages = await all_pages(opened.source)
            assert [row.conversation_id for page in pages for row in page.conversations] == held
            assert {page.total for page in pages} == {70}


async def test_times_may_be_texts(by_opaque_cursor: OpenedByCursor):
    by_opaque_cursor.hold(3)
    rows = await whole_list(by_opaque_cursor.source)
    reads = [await by_opaque_cursor.source.get_conversation(conversation_id(n)) for n in range(3)]
    by_opaque_cursor.family.times_as_text = True

    assert rows[0].started_at == reads[0].started_at == NOON
    assert await whole_list(by_opaque_cursor.source) == rows
    assert [await by_opaque_cursor.source.get_conversation(conversation_id(n)) for n in range(3)] == reads


async def test_an_entry_that_is_no_conversation_is_counted_and_left_out(by_cursor: OpenedByCursor):
    held = by_cursor.hold(3)
    damages: list[JsonValue] = [None, "text", 7, [], {}, {"conversation_id": {}, "id": []}]
    for damage in damages:
        by_cursor.api.fault("", 1, _second_entry(damage))
        (page,) = await all_pages(by_cursor.source)
        assert ids(page.conversations) == [held[0], held[2]]
        assert (page.row_count, page.unreadable) == (3, 1)


def _second_entry(entry: JsonValue) -> Fault:
    """Replaces the second entry of the list by this one."""

    def damaged(good: Reply) -> Reply:
        body = json.loads(good.body)
        carried = body.get("data", body)
        carried[next(name for name in ("conversations", "items") if name in carried)][1] = entry
        return replace(good, body=json.dumps(body).encode())

    return damaged


async def test_a_repeated_cursor_ends_the_list_with_its_rows(by_opaque_cursor: OpenedByCursor):
    held = by_opaque_cursor.hold(130)
    by_opaque_cursor.family.cursor_cycle = 1

    assert ids(await whole_list(by_opaque_cursor.source)) == held
    assert len(by_opaque_cursor.api.requests) == 2


async def test_has_more_without_a_cursor_ends_the_list_with_its_rows(by_opaque_cursor: OpenedByCursor):
    held = by_opaque_cursor.hold(130)
    by_opaque_cursor.api.fault("", 1, _without_cursor)

    assert ids(await whole_list(by_opaque_cursor.source)) == held[:100]


def _without_cursor(good: Reply) -> Reply:
    body = json.loads(good.body)
    paging = body.get("data", body)
    paging |= {"cursor": None, "next_cursor": None}
    return replace(good, body=json.dumps(body).encode())


async def test_another_index_than_requested_is_an_invalid_response():
    async with opened_by(VOICEOS) as opened:
        assert isinstance(opened.api, FakeVoiceOs)
        opened.hold(130)
        opened.api.counts_from_zero = True
        with pytest.raises(InvalidResponseError, match="The response is page 0, not page 1"):
            await whole_list(opened.source)


@pytest.mark.parametrize(
    ("sent", "error", "message"),
    [
        ({"status": {"code": 401, "message": "Bad key"}, "data": None}, AuthenticationError, "The key was refused"),
        ({"status": {"code": 500, "message": "Bad day"}, "data": None}, ServiceError, r"The API failed \(500\)"),
        (
            {"status": "error", "error": "Bad day", "errors": []},
            InvalidResponseError,
            "although its status says success",
        ),
        ({"status": 422, "error": "Bad", "errors": ["page_size"]}, InvalidRequestError, "refused the request"),
    ],
)
async def test_an_error_inside_a_success_is_raised_without_its_message(
    by_opaque_cursor: OpenedByCursor, sent: JsonValue, error: type[FormantError], message: str
):
    by_opaque_cursor.hold(1)
    by_opaque_cursor.api.fault("", 2, lambda good: replace(good, body=json.dumps(sent).encode()))
    source = by_opaque_cursor.source
    for ask in (lambda: whole_list(source), lambda: source.get_conversation(conversation_id(0))):
        with pytest.raises(error, match=message) as caught:
            await ask()
        assert "Bad" not in str(caught.value)


async def test_a_refused_cursor_is_named_in_the_error(by_cursor: OpenedByCursor):
    by_cursor.hold(130)
    cursor = (await by_cursor.source.list_page("", EVERYTHING)).next_cursor
    by_cursor.api.refuse_cursors = True
    with pytest.raises(InvalidRequestError, match=r"^cursor"):
        await by_cursor.source.list_page(cursor, EVERYTHING)
    by_cursor.api.refuse_cursors = False
    for status in (400, 404, 422):
        by_cursor.api.fault("", 1, status)
        with pytest.raises(InvalidRequestError, match=r"^cursor"):
            await by_cursor.source.list_page(cursor, EVERYTHING)

    assert (await by_cursor.source.list_page(cursor, EVERYTHING)).page.row_count == 30


async def test_a_refused_first_page_is_not_blamed_on_the_cursor(by_cursor: OpenedByCursor):
    by_cursor.api.fault("", 1, 422)
    with pytest.raises(InvalidRequestError, match="refused the request"):
        await by_cursor.source.list_page("", EVERYTHING)
    by_cursor.api.fault("", 1, 404)
    with pytest.raises(NotFoundError, match=r"Not found \(404\)"):
        await by_cursor.source.list_page("", EVERYTHING)


async def test_a_cursor_stays_valid_after_other_failures(by_cursor: OpenedByCursor):
    by_cursor.hold(130)
    cursor = (await by_cursor.source.list_page("", EVERYTHING)).next_cursor
    by_cursor.api.fault("", 1, 401)
    with pytest.raises(AuthenticationError):
        await by_cursor.source.list_page(cursor, EVERYTHING)
    by_cursor.api.fault("", 5, 503)
    with pytest.raises(ServiceError):
        await by_cursor.source.list_page(cursor, EVERYTHING)

    assert (await by_cursor.source.list_page(cursor, EVERYTHING)).page.row_count == 30
