"""The fake of Formant's API, on which other tests rely."""

import asyncio
import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests import faults
from tests.calls import Row, conversation, conversation_id, many
from tests.fake_formant import FakeFormant, Order
from tests.fake_http import Request

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def api() -> Generator[FakeFormant]:
    """A server in a thread, with 250 calls."""
    with FakeFormant.in_thread() as api:
        api.conversations = many(250, NOON, timedelta(days=10))
        yield api


@pytest.fixture
def client(api: FakeFormant) -> Generator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=10) as client:
        yield client


def whole_list(client: httpx.Client, step: int = 100) -> list[Row]:
    """Every row, page by page, until `has_more` is false."""
    rows: list[Row] = []
    for _ in range(20):
        page = client.get("/v1/conversations", params={"limit": step, "offset": len(rows)}).json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
    raise AssertionError("has_more never became false")


def ids(rows: list[Row]) -> list[str]:
    return [str(row["conversation_id"]) for row in rows]


def test_pages_list_every_conversation_once(client: httpx.Client) -> None:
    assert ids(whole_list(client)) == [conversation_id(n) for n in range(250)]


def test_a_page_has_twenty_rows_by_default(client: httpx.Client) -> None:
    page = client.get("/v1/conversations").json()
    assert (len(page["data"]), page["has_more"], page["total"]) == (20, True, 250)


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "limit=x", "offset=-1", "agent_id=x"])
def test_an_invalid_query_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/v1/conversations?{query}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request")


def test_the_list_filters_by_agent(client: httpx.Client) -> None:
    page = client.get("/v1/conversations?agent_id=101&limit=100").json()
    assert {row["agent_id"] for row in page["data"]} == {101}
    assert page["total"] == 83


@pytest.mark.parametrize(
    ("order", "expected"), [("newest", [3, 2, 1]), ("oldest", [1, 2, 3]), ("none", [2, 3, 1]), ("as_held", [2, 1, 3])]
)
def test_the_list_is_in_the_set_order(
    api: FakeFormant, client: httpx.Client, order: Order, expected: list[int]
) -> None:
    api.conversations = []
    for n in (3, 1, 2):
        api.add(conversation(n, NOON + timedelta(hours=n)))
    api.order = order
    assert ids(whole_list(client)) == [conversation_id(n) for n in expected]


def test_a_detail_adds_transcript_and_results_to_its_row(client: httpx.Client) -> None:
    row = client.get("/v1/conversations?limit=1").json()["data"][0]
    data = client.get(f"/v1/conversations/{row['conversation_id']}").json()["data"]
    assert not {"transcript", "results"} & row.keys()
    assert data["transcript"]
    assert data["results"]
    assert row.items() <= data.items()


def test_list_rows_can_include_details(api: FakeFormant, client: httpx.Client) -> None:
    api.list_carries_detail = True
    row = client.get("/v1/conversations?limit=1").json()["data"][0]
    assert row == client.get(f"/v1/conversations/{row['conversation_id']}").json()["data"]


def test_a_conversation_can_be_added_with_its_own_detail_and_removed(api: FakeFormant, client: httpx.Client) -> None:
    api.add(conversation(999, NOON), detail={"conversation_id": "other"})
    path = f"/v1/conversations/{conversation_id(999)}"
    assert client.get(path).json() == {"data": {"conversation_id": "other"}}
    api.remove(conversation_id(999))
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")


def test_a_recording_is_its_bytes_or_not_found(api: FakeFormant, client: httpx.Client) -> None:
    path = f"/v1/conversations/{conversation_id(0)}/recording"
    assert client.get(path).status_code == 404
    api.recordings[conversation_id(0)] = b"RIFF"
    answer = client.get(path)
    assert (answer.content, answer.headers["content-type"]) == (b"RIFF", "audio/wav")


def test_only_the_right_key_is_accepted(api: FakeFormant, client: httpx.Client) -> None:
    api.key = "good"
    statuses = [
        client.get("/v1/conversations", headers=headers).status_code
        for headers in ({}, {"Authorization": "Bearer bad"}, {"Authorization": "Bearer good"})
    ]
    assert statuses == [401, 401, 200]


def test_requests_are_recorded_as_received(api: FakeFormant, client: httpx.Client) -> None:
    client.get("/v1/conversations/a%2Fb?x=1+2", headers={"X-Thing": "yes"})
    (request,) = api.requests
    assert (request.method, request.path, request.query) == ("GET", "/v1/conversations/a%2Fb", {"x": "1 2"})
    assert request.headers["x-thing"] == "yes"
    api.clear()
    assert api.requests == []


def test_repeated_rows_are_listed_twice_and_counted_only_if_set(api: FakeFormant, client: httpx.Client) -> None:
    api.repeat_rows = 7
    rows = ids(whole_list(client))
    assert (len(rows), len(set(rows))) == (257, 250)
    assert client.get("/v1/conversations").json()["total"] == 250
    api.total_counts_repeats = True
    assert client.get("/v1/conversations").json()["total"] == 257


def test_pages_can_be_short_and_without_a_total(api: FakeFormant, client: httpx.Client) -> None:
    api.rows_per_page_cap, api.with_total = 30, False
    page = client.get("/v1/conversations?limit=100").json()
    assert (len(page["data"]), page["has_more"], "total" in page) == (30, True, False)


def test_on_request_can_change_the_list_between_pages(api: FakeFormant, client: httpx.Client) -> None:
    def drift(_: Request) -> None:
        if len(api.requests) == 2:
            api.add(conversation(1000, NOON + timedelta(hours=1)))

    api.on_request = drift
    rows = ids(whole_list(client))
    assert rows.count(conversation_id(99)) == 2  # pushed from the first page to the second
    assert conversation_id(1000) not in rows
    assert client.get("/v1/conversations").json()["total"] == 251


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        (500, 500, b'{"error": {"message": "Scripted fault.", "type": "internal_error"}}'),
        (faults.html_502, 502, b"<html>"),
        (faults.empty_body, 200, b""),
        (faults.not_json, 200, b"<!doctype"),
        (faults.wrong_shape, 200, b'{"data": {}, '),
        (faults.rate_limit("60"), 429, b'{"error": '),
        (faults.redirect("http://127.0.0.1:1/"), 302, b""),
    ],
)
def test_a_fault_occurs_the_set_number_of_times(
    api: FakeFormant, client: httpx.Client, kind: int | faults.Fault, status: int, body: bytes
) -> None:
    good = client.get("/v1/conversations").content
    api.fault("/v1/conversations", 2, kind)
    for _ in range(2):
        answer = client.get("/v1/conversations")
        assert (answer.status_code, answer.content[: len(body)]) == (status, body)
        assert answer.content != good
    assert client.get("/v1/conversations").content == good


@pytest.mark.parametrize("kind", [faults.cut_off_json, faults.hang_up])
def test_a_broken_connection_is_a_transport_error(api: FakeFormant, client: httpx.Client, kind: faults.Fault) -> None:
    api.fault(lambda request: request.query.get("offset") == "100", 1, kind)
    assert client.get("/v1/conversations?offset=0").status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/conversations?offset=100")
    assert client.get("/v1/conversations?offset=100").status_code == 200


def test_truncated_json_is_valid_http(api: FakeFormant, client: httpx.Client) -> None:
    api.fault("conversations", 1, faults.truncated_json)
    answer = client.get("/v1/conversations")
    assert int(answer.headers["content-length"]) == len(answer.content)
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_row_can_lack_its_id(api: FakeFormant, client: httpx.Client) -> None:
    api.fault("conversations", 1, faults.unreadable_row)
    rows = client.get("/v1/conversations").json()["data"]
    assert [row["conversation_id"] is None for row in rows] == [True] + [False] * 19


def test_a_slow_answer_exceeds_a_short_timeout(api: FakeFormant, client: httpx.Client) -> None:
    api.fault("conversations", 1, faults.slow(60))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/v1/conversations", timeout=httpx.Timeout(10, read=0.05))


def test_a_rate_limit_fault_has_the_given_headers(api: FakeFormant, client: httpx.Client) -> None:
    api.fault("conversations", 1, faults.rate_limit("60", "2026-11-20T12:01:00Z"))
    headers = client.get("/v1/conversations").headers
    assert (headers["retry-after"], headers["x-ratelimit-reset"]) == ("60", "2026-11-20T12:01:00Z")


def test_the_rate_limit_is_used_up_and_renewed_with_the_window(api: FakeFormant, client: httpx.Client) -> None:
    now = NOON.timestamp()
    api.clock = lambda: now
    api.rate_limit_headers(2, 60)
    assert [client.get("/v1/conversations").headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    now += 15
    refused = client.get("/v1/conversations")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "45")
    assert refused.headers["x-ratelimit-reset"] == "2026-11-20T12:01:00+00:00"
    now += 45
    assert client.get("/v1/conversations").status_code == 200


def test_a_shut_gate_holds_answers_until_it_opens() -> None:
    async def scenario() -> tuple[bool, int]:
        async with FakeFormant() as api, httpx.AsyncClient(base_url=api.url) as client:
            api.gate.shut()
            answer = asyncio.create_task(client.get("/v1/conversations"))
            await asyncio.wrap_future(api.received(1))
            held = not answer.done()
            api.gate.open()
            return held, (await answer).status_code

    assert asyncio.run(scenario()) == (True, 200)


def test_the_server_ends_without_logs_while_a_client_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient() as client:
            async with FakeFormant() as api:
                api.gate.shut()
                answer = asyncio.create_task(client.get(api.url + "/v1/conversations"))
                await asyncio.wrap_future(api.received(1))
            with pytest.raises(httpx.RemoteProtocolError):
                await answer

    asyncio.run(scenario())
    assert caplog.text == ""


def test_the_server_thread_ends_while_a_client_waits(client: httpx.Client, api: FakeFormant) -> None:
    api.gate.shut()
    with pytest.raises(httpx.ReadTimeout):
        client.get("/v1/conversations", timeout=httpx.Timeout(10, read=0.05))


def test_a_large_account_is_built_row_by_row() -> None:
    rows = many(200_000, NOON, timedelta(days=90))
    assert len(rows) == 200_000
    assert rows[123_456]["conversation_id"] == conversation_id(123_456)
    assert rows[:2] == [rows[0], rows[1]]
