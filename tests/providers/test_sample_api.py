"""Formant's API over the sample calls, through an httpx client."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import pytest
from pydantic import JsonValue

from formant_mcp.demo.apis.api import Request
from formant_mcp.demo.audio import wav_of
from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.sample_api import InProcess
from formant_mcp.demo.sample_formant import SampleFormant

NOW = datetime(2026, 7, 21, 10, 42, tzinfo=UTC)
Row = dict[str, JsonValue]
Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def calls() -> tuple[SampleCall, ...]:
    return sample_calls(NOW)


def talk(
    calls: tuple[SampleCall, ...], question: Callable[[httpx.AsyncClient], Awaitable[Answer]], authorization: str
) -> Answer:
    async def ask() -> Answer:
        transport = InProcess(SampleFormant(calls, lambda: NOW).respond)
        headers = {"Authorization": authorization} if authorization else {}
        async with httpx.AsyncClient(
            transport=transport, base_url="https://formant.invalid", headers=headers
        ) as client:
            return await question(client)

    return asyncio.run(ask())


def get(calls: tuple[SampleCall, ...], path: str, authorization: str = "Bearer k") -> httpx.Response:
    return talk(calls, lambda client: client.get(path), authorization)


def rows_of(calls: tuple[SampleCall, ...], query: str = "") -> list[Row]:
    async def page_through(client: httpx.AsyncClient) -> list[Row]:
        rows: list[Row] = []
        while True:
            body = (await client.get(f"/v1/conversations?limit=100&offset={len(rows)}{query}")).json()
            rows += body["data"]
            if not body["has_more"]:
                assert body["total"] == len(rows)
                return rows

    return talk(calls, page_through, "Bearer k")


def details_of(calls: tuple[SampleCall, ...]) -> list[Row]:
    async def read_each(client: httpx.AsyncClient) -> list[Row]:
        return [(await client.get(f"/v1/conversations/{call.conversation_id}")).json()["data"] for call in calls]

    return talk(calls, read_each, "Bearer k")


def test_pages_list_every_call_once_newest_first(calls: tuple[SampleCall, ...]) -> None:
    assert [row["conversation_id"] for row in rows_of(calls)] == [call.conversation_id for call in calls]


@pytest.mark.parametrize(
    ("before_the_end", "rows", "has_more"), [(6, 5, True), (5, 5, False), (4, 4, False), (0, 0, False)]
)
def test_the_last_page_has_no_more(
    calls: tuple[SampleCall, ...], before_the_end: int, rows: int, has_more: bool
) -> None:
    body = get(calls, f"/v1/conversations?limit=5&offset={len(calls) - before_the_end}").json()
    assert (len(body["data"]), body["has_more"], body["total"]) == (rows, has_more, len(calls))


def test_the_list_filters_by_agent_and_has_20_rows_by_default(calls: tuple[SampleCall, ...]) -> None:
    of_one = [call for call in calls if call.agent_id == 452]
    assert [row["agent_id"] for row in rows_of(calls, "&agent_id=452")] == [452] * len(of_one)
    assert len(get(calls, "/v1/conversations").json()["data"]) == 20
    assert get(calls, "/v1/conversations?agent_id=7").json() == {"data": [], "has_more": False, "total": 0}


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "offset=-1", "agent_id=x", "limit=many"])
def test_an_invalid_parameter_is_an_invalid_request(calls: tuple[SampleCall, ...], query: str) -> None:
    answer = get(calls, f"/v1/conversations?{query}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request")


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Basic a2V5", "k"])
def test_a_request_without_a_bearer_key_is_refused(calls: tuple[SampleCall, ...], authorization: str) -> None:
    answer = get(calls, "/v1/conversations", authorization)
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize("path", ["/v1/conversations/nobody", "/v1/conversations/nobody/recording", "/v1/agents"])
def test_an_unknown_path_is_not_found(calls: tuple[SampleCall, ...], path: str) -> None:
    answer = get(calls, path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")


def test_rows_come_with_and_without_detail_and_in_both_units_of_time(calls: tuple[SampleCall, ...]) -> None:
    rows = rows_of(calls)
    assert Counter("transcript" in row for row in rows)[True] > 20
    assert Counter("trace_id" in row for row in rows)[False] > 100
    for row, call in zip(rows, calls, strict=True):
        sent = row["start_timestamp"]
        assert isinstance(sent, int)
        assert abs((sent / 1000 if sent > 10**11 else sent) - call.started_at.timestamp()) < 1
    in_seconds = [isinstance(sent := row["start_timestamp"], int) and sent < 10**11 for row in rows]
    assert 0 < sum(in_seconds) < len(rows) / 2


def test_fields_without_a_value_are_null_or_missing(calls: tuple[SampleCall, ...]) -> None:
    details = details_of(calls)
    for name in ("duration_seconds", "failure_reason", "results", "transcript", "end_timestamp"):
        assert any(detail.get(name, 0) is None for detail in details), name
        assert any(name not in detail for detail in details), name
    assert {type(detail.get("duration_seconds")) for detail in details} == {int, float, type(None)}
    assert any("start_timestamp" not in detail for detail in details)


def parsed_transcript(transcript: JsonValue, started_at: datetime) -> tuple[str, list[tuple[str, str, float | None]]]:
    """The form of a transcript and its turns: role, text and, if sent, seconds."""
    if isinstance(transcript, str):
        lines = [line.partition(": ") for line in transcript.split("\n")]
        return "flat", [({"BOT": "agent", "HUMAN": "contact"}[who], text, None) for who, _, text in lines]
    turns: list[tuple[str, str, float | None]] = []
    form = ""
    assert isinstance(transcript, list)
    for turn in transcript:
        match turn:
            case {"role": "agent" | "human" as who, "message": str(text)}:
                form, seconds = "messages", None
            case {"speaker": "agent" | "customer" as who, "text": str(text), "timestamp": int(epoch)}:
                form, seconds = "clocked", epoch - started_at.timestamp()
            case {
                "speaker": "agent" | "customer" as who,
                "text": str(text),
                "start_time": float(at),
                "end_time": float(),
            }:
                form, seconds = "spanned", at
            case _:
                pytest.fail(f"undocumented turn {turn}")
        turns.append(("agent" if who == "agent" else "contact", text, seconds))
    return form, turns


def test_all_four_forms_of_transcript_occur_with_the_same_turns(calls: tuple[SampleCall, ...]) -> None:
    forms = Counter[str]()
    for call, detail in zip(calls, details_of(calls), strict=True):
        if transcript := detail.get("transcript"):
            form, turns = parsed_transcript(transcript, call.started_at)
            forms[form] += 1
            expected = call.as_of(NOW).turns
            assert [(role, text) for role, text, _ in turns] == [(turn.role, turn.text) for turn in expected]
            for (_, _, seconds), turn in zip(turns, expected, strict=True):
                assert seconds is None or abs(seconds - turn.seconds) <= 1
    assert set(forms) == {"messages", "clocked", "spanned", "flat"}
    assert min(forms.values()) > 20


def test_a_recording_is_served_as_wav_only_when_ready(calls: tuple[SampleCall, ...]) -> None:
    for kind, status in (("ready", 200), ("not ready", 404), ("none", 404)):
        call = next(call for call in calls if call.as_of(NOW).recording == kind)
        answer = get(calls, f"/v1/conversations/{call.conversation_id}/recording")
        assert answer.status_code == status
        if status == 200:
            assert answer.headers["Content-Type"] == "audio/wav"
            assert answer.content == b"".join(wav_of(call))
            assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_running_call_gains_turns_until_it_ends(calls: tuple[SampleCall, ...]) -> None:
    running = max(calls, key=lambda call: call.ended_at or call.started_at)
    assert running.ended_at
    moments = [NOW, NOW + timedelta(minutes=3), running.ended_at + timedelta(minutes=1)]
    api = SampleFormant(calls, lambda: moments[0])
    headers = {"authorization": "Bearer k"}

    def read(path: str) -> JsonValue:
        response = api.respond(Request("GET", f"/v1/conversations{path}", headers))
        assert isinstance(response.body, bytes)
        return json.loads(response.body)["data"]

    seen: list[tuple[JsonValue, int]] = []
    while moments:
        detail, rows = read(f"/{running.conversation_id}"), read("?limit=3")
        assert isinstance(detail, dict)
        assert isinstance(rows, list)
        seen.append((detail["status"], len(str(detail["transcript"]))))
        assert detail["status"] in [row["status"] for row in rows if isinstance(row, dict)]
        moments.pop(0)
    assert [status for status, _ in seen] == ["in_progress", "in_progress", "completed"]
    assert seen[0][1] < seen[1][1] < seen[2][1]
