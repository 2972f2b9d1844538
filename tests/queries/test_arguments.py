"""Filters as assistants send them: forgiving in form, strict in meaning."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import JsonValue, ValidationError

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Condition, Filters
from formant_mcp.queries.arguments import FilterArguments

NOW = datetime(2026, 11, 21, 5, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Kolkata")


def read(**arguments: JsonValue) -> Filters:
    return FilterArguments.model_validate(arguments).filters(NOW, ZONE)


def test_no_arguments_give_no_filters() -> None:
    assert read() == Filters()


def test_every_argument_sets_its_filter() -> None:
    assert read(
        agent_id="7",
        status=["failed", "busy"],
        call_successful="failure",
        since="2026-11-20",
        until="2026-11-20T18:00",
        min_duration_seconds=10,
        max_duration_seconds=60.5,
        contact_number="+91 98765-43210",
        failure_reason="Line dropped",
        user_id="u1",
        results=["intent=dispute", "csat<=2"],
    ) == Filters(
        agent_id="7",
        status=("failed", "busy"),
        call_successful="failure",
        since=datetime(2026, 11, 19, 18, 30, tzinfo=UTC),
        until=datetime(2026, 11, 20, 12, 30, 59, 999000, tzinfo=UTC),
        min_duration_seconds=10.0,
        max_duration_seconds=60.5,
        contact_number=("=919876543210", "=9876543210"),
        failure_reason="Line dropped",
        user_id="u1",
        results=(Condition("intent", "=", "dispute"), Condition("csat", "<=", "2")),
    )


@pytest.mark.parametrize(
    ("arguments", "filters"),
    [
        ({"agent_id": 123}, Filters(agent_id="123")),
        ({"agent_id": 0}, Filters(agent_id="0")),
        ({"agent_id": " 123 "}, Filters(agent_id="123")),
        ({"user_id": 9}, Filters(user_id="9")),
        ({"contact_number": 919876543210}, Filters(contact_number=("919876543210", "=9876543210"))),
        ({"status": "failed"}, Filters(status=("failed",))),
        ({"status": "failed, busy,"}, Filters(status=("failed", "busy"))),
        ({"failure_reason": 5}, Filters(failure_reason="5")),
        ({"agent_id": ["7"]}, Filters(agent_id="7")),
        ({"agent_id": '["7"]'}, Filters(agent_id="7")),
        ({"agent_id": 7.0}, Filters(agent_id="7")),
        ({"agent_id": " `7` "}, Filters(agent_id="7")),
        ({"agent_id": "-"}, Filters(agent_id="(none)")),
        ({"contact_number": "(none)"}, Filters(contact_number=("(none)",))),
        ({"failure_reason": "`Line dropped`"}, Filters(failure_reason="Line dropped")),
        ({"failure_reason": "“Line dropped”"}, Filters(failure_reason="Line dropped")),
        ({"failure_reason": "-"}, Filters(failure_reason="(none)")),
        ({"failure_reason": '{"code": 5}'}, Filters(failure_reason='{"code": 5}')),
        ({"failure_reason": "busy (1,316 calls)"}, Filters(failure_reason="busy")),
        ({"status": "completed (316 calls)"}, Filters(status=("completed",))),
        ({"status": "completed (1,316 calls)"}, Filters(status=("completed",))),
        ({"status": ["completed (316 calls)", "busy (1 call)"]}, Filters(status=("completed", "busy"))),
        ({"agent_id": "Payment reminders (123, 180 calls)"}, Filters(agent_id="Payment reminders (123)")),
        ({"agent_id": "123 (1,180 calls)"}, Filters(agent_id="123")),
        ({"status": "failed\nbusy"}, Filters(status=("failed", "busy"))),
        ({"status": "['failed', 'busy']"}, Filters(status=("failed", "busy"))),
        ({"status": "[failed, busy]"}, Filters(status=("failed", "busy"))),
        ({"status": [None, "", "failed"]}, Filters(status=("failed",))),
        ({"call_successful": True}, Filters(call_successful="success")),
        ({"call_successful": " Failed "}, Filters(call_successful="failure")),
        ({"call_successful": ["SUCCESS"]}, Filters(call_successful="success")),
        ({"since": 1763700000}, Filters(since=datetime(2025, 11, 21, 4, 40, tzinfo=UTC))),
        ({"min_duration_seconds": "142 s"}, Filters(min_duration_seconds=142.0)),
        ({"min_duration_seconds": "2 min"}, Filters(min_duration_seconds=120.0)),
        ({"min_duration_seconds": "1,200"}, Filters(min_duration_seconds=1200.0)),
        ({"filters": {"status": "failed", "agent_id": None}}, Filters(status=("failed",))),
        ({"filters": '{"status": "failed"}', "agent_id": "7"}, Filters(status=("failed",), agent_id="7")),
        ({"filters": None}, Filters()),
        ({"results": {"intent": "dispute"}}, Filters(results=(Condition("intent", "=", "dispute"),))),
        ({"status": ["failed,busy", "no_answer"]}, Filters(status=("failed", "busy", "no_answer"))),
        ({"status": '["failed", "busy"]'}, Filters(status=("failed", "busy"))),
        ({"status": " [] "}, Filters()),
        ({"status": ""}, Filters()),
        ({"status": 5}, Filters(status=("5",))),
        ({"status": [5]}, Filters(status=("5",))),
        ({"results": "intent=a,b"}, Filters(results=(Condition("intent", "=", "a,b"),))),
        ({"results": '["csat<=2"]'}, Filters(results=(Condition("csat", "<=", "2"),))),
        ({"min_duration_seconds": "30"}, Filters(min_duration_seconds=30.0)),
        ({"min_duration_seconds": 0}, Filters(min_duration_seconds=0.0)),
        ({"min_duration_seconds": -1, "max_duration_seconds": -1}, Filters()),
        (
            {"min_duration_seconds": 5, "max_duration_seconds": 5},
            Filters(min_duration_seconds=5, max_duration_seconds=5),
        ),
    ],
)
def test_common_forms_of_arguments_are_accepted(arguments: dict[str, JsonValue], filters: Filters) -> None:
    assert read(**arguments) == filters


@pytest.mark.parametrize(
    "arguments",
    [
        {"agent": "7"},
        {"Agent_id": "7"},
        {"agent_id": True},
        {"agent_id": 1.5},
        {"agent_id": ["7", "8"]},
        {"agent_id": {"any": "7"}},
        {"status": True},
        {"status": [True]},
        {"status": "[true]"},
        {"status": "[unfinished"},
        {"status": "[" * 100_000},
        {"status": '[["failed", "busy"]]'},
        {"status": {"any": "failed"}},
        {"call_successful": "maybe"},
        {"call_successful": 2},
        {"since": True},
        {"since": {"from": "7d"}},
        {"min_duration_seconds": True},
        {"max_duration_seconds": False},
        {"min_duration_seconds": "long"},
        {"min_duration_seconds": -2},
        {"min_duration_seconds": float("nan")},
        {"max_duration_seconds": float("inf")},
        {"max_duration_seconds": "Infinity"},
        {"failure_reason": 5.5},
        {"filters": [1]},
        {"params": {"agent_id": "7"}},
        {"failure_reason": "\ud800"},
    ],
    ids=lambda arguments: json.dumps(arguments)[:50],
)
def test_arguments_of_unclear_meaning_are_refused(arguments: dict[str, JsonValue]) -> None:
    with pytest.raises(ValidationError) as raised:
        read(**arguments)
    assert raised.value.errors()[0]["loc"][0] == next(iter(arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"since": "today", "until": "yesterday"}, "since is later than until"),
        ({"since": "2026-11-20T18:00", "until": "2026-11-20T17:59:59.999"}, "since is later than until"),
        ({"min_duration_seconds": 61, "max_duration_seconds": 60}, "min_duration_seconds is greater"),
        ({"min_duration_seconds": -0.5}, "min_duration_seconds must not be negative"),
        ({"max_duration_seconds": -0.01}, "max_duration_seconds must not be negative"),
        ({"since": "soon"}, "since is not a valid date"),
        ({"until": "soon"}, "until is not a valid date"),
        ({"contact_number": "43210 or 43211"}, "contact_number: "),
        ({"results": ["csat<=2", "intent"]}, "results has an invalid condition"),
        ({"results": [{"path": "intent"}]}, "results has a condition without a value"),
        ({"results": 5}, "results has an invalid condition"),
        ({"status": "failed", "filters": {"status": "busy"}}, "status is given both inside and outside filters"),
        ({"agent_id": "(not read yet)"}, "agent_id: .not read yet. means that the details"),
        ({"status": ["(not read yet)"]}, "status: .not read yet. means that the details"),
    ],
)
def test_impossible_values_are_refused_by_argument_name(arguments: dict[str, JsonValue], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{words}") as raised:
        read(**arguments)
    assert raised.value.hint


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "undefined", [], {}])
def test_empty_values_count_as_left_out_for_every_filter(nothing: JsonValue) -> None:
    assert read(**dict.fromkeys(FilterArguments.model_fields, nothing)) == Filters()


def test_since_and_until_may_be_the_same_day() -> None:
    filters = read(since="2026-11-20", until="2026-11-20")
    assert filters.since
    assert filters.until
    assert filters.since < filters.until


def test_since_and_until_may_be_the_same_minute() -> None:
    filters = read(since="2026-11-20T18:00", until="2026-11-20T18:00")
    assert filters.since == datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    assert filters.until == datetime(2026, 11, 20, 12, 30, 59, 999000, tzinfo=UTC)
