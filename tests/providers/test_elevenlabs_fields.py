"""The fields of the cursor family's conversations, in documented and undocumented forms."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.errors import FormantError
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.providers.elevenlabs_json import parse_detail, parse_page
from tests.providers.parsed import elevenlabs_detail


def row(**fields: JsonValue) -> Conversation:
    return parse_page({"conversations": [{"conversation_id": "c1", **fields}]}, "").page.conversations[0]


def spoken(transcript: JsonValue) -> list[tuple[str, str, float | None]]:
    turns = elevenlabs_detail(transcript=transcript).turns or ()
    assert [turn.index for turn in turns] == list(range(len(turns)))
    return [(turn.role, turn.text, turn.seconds) for turn in turns]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (1763636553, datetime(2025, 11, 20, 11, 2, 33, tzinfo=UTC)),
        ("1763636553", datetime(2025, 11, 20, 11, 2, 33, tzinfo=UTC)),
        ("2025-11-20T16:32:33+05:30", datetime(2025, 11, 20, 11, 2, 33, tzinfo=UTC)),
        ("2025-11-20T11:02:33", datetime(2025, 11, 20, 11, 2, 33, tzinfo=UTC)),
        ("yesterday", None),
        (0, None),
        (None, None),
    ],
)
def test_times_are_parsed_from_numbers_and_texts(sent: JsonValue, read: datetime | None):
    assert row(start_time_unix_secs=sent).started_at == read
    assert row(created_at=sent).started_at == read
    assert elevenlabs_detail(metadata={"start_time_unix_secs": sent}).started_at == read


@pytest.mark.parametrize(
    ("fields", "outcome", "ended"),
    [
        ({"status": "done", "call_successful": "success"}, "success", True),
        ({"status": "done", "call_successful": "Failure"}, "failure", True),
        ({"status": "done", "call_successful": True}, "success", True),
        ({"status": "done", "call_successful": False}, "failure", True),
        ({"status": "done", "call_successful": "unknown"}, None, True),
        ({"status": "done", "call_successful": 1.5}, None, True),
        ({"status": "done"}, None, True),
        ({"status": "failed"}, "failure", True),
        ({"status": "failed", "call_successful": "unknown"}, None, True),
        ({"status": "done", "analysis": {"call_successful": "success"}}, "success", True),
        ({"status": "done", "metadata": {"call_successful": "success"}}, "success", True),
        ({"status": "in-progress", "call_successful": "unknown"}, None, False),
        ({"status": "In_Progress"}, None, False),
        ({"status": "initiated"}, None, False),
        ({"status": "processing", "call_successful": "success"}, None, False),
        ({}, None, False),
        ({"call_duration_secs": 3}, None, True),
    ],
)
def test_the_outcome_is_the_providers_for_ended_calls_only(
    fields: dict[str, JsonValue], outcome: str | None, ended: bool
):
    read = row(**fields)

    assert (read.outcome, read.ended) == (outcome, ended)


@pytest.mark.parametrize(
    ("fields", "reason", "known_from_row"),
    [
        ({"call_successful": "failure", "termination_reason": "Silence timeout"}, "Silence timeout", False),
        ({"call_successful": "failure", "termination_reason": "Call ended by remote party"}, None, False),
        (
            {"status": "failed", "termination_reason": "", "metadata": {"error": {"reason": "no capacity"}}},
            "no capacity",
            True,
        ),
        ({"status": "failed", "metadata": {"error": {"code": 1008}}}, "error 1008", True),
        ({"status": "failed", "metadata": {"error": "odd"}}, "odd", True),
        ({"status": "failed", "call_successful": "unknown", "termination_reason": "cut"}, "cut", False),
        ({"status": "failed"}, None, False),
        ({"status": "done", "call_successful": "success", "termination_reason": "end_call"}, None, True),
        ({"status": "done", "call_successful": "unknown", "termination_reason": "end_call"}, None, True),
        ({"status": "in-progress"}, None, False),
    ],
)
def test_the_failure_reason_is_the_recorded_error_or_the_termination_reason(
    fields: dict[str, JsonValue], reason: str | None, known_from_row: bool
):
    fields = {"status": "done", **fields}

    assert (row(**fields).failure_reason, row(**fields).failure_reason_known) == (reason, known_from_row)
    assert (elevenlabs_detail(**fields).failure_reason, elevenlabs_detail(**fields).failure_reason_known) == (
        reason,
        True,
    )


def test_a_running_call_has_no_duration():
    running = row(status="in-progress", start_time_unix_secs=1763636553, call_duration_secs=0)
    over = row(status="failed", start_time_unix_secs=1763636553, call_duration_secs=0)

    assert (running.duration_seconds, running.ended_at) == (None, None)
    assert (over.duration_seconds, over.ended_at) == (0, over.started_at)


def test_a_call_in_processing_has_its_duration_but_has_not_ended():
    processed = row(status="processing", start_time_unix_secs=1763636553, call_duration_secs=9)

    assert (processed.duration_seconds, processed.ended_at, processed.ended) == (9, None, False)


def test_a_row_with_transcript_and_analysis_needs_no_detail():
    assert not row(transcript=[]).has_detail
    assert not row(analysis={}, transcript=None).has_detail
    assert row(transcript=[], analysis={}).has_detail


@pytest.mark.parametrize("name", ["evaluation_criteria_results", "data_collection_results"])
@pytest.mark.parametrize("entries", [None, [], "x", {}])
def test_an_analysis_without_entries_has_no_results(name: str, entries: JsonValue):
    assert elevenlabs_detail(analysis={name: entries, "transcript_summary": ""}).results is None


def test_collected_data_may_have_values_of_any_type():
    values: dict[str, JsonValue] = {"a": {"b": [1, "x"]}, "c": 0, "d": None, "e": "bare"}
    entries: JsonValue = {**{key: {"value": value} for key, value in values.items()}, "e": "bare"}

    assert elevenlabs_detail(analysis={"data_collection_results": entries}).results == {"data": values}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"role": "user", "message": None}, [("contact", "", None)]),
        ({"role": "agent", "message": "", "tool_calls": [], "tool_results": None}, [("agent", "", None)]),
        ({"role": "agent", "message": None, "tool_calls": [{"tool_name": "a"}]}, [("tool", "tool call a", None)]),
        (
            {"role": "agent", "message": "Wait.", "tool_calls": [{"tool_name": "a"}], "time_in_call_secs": 3},
            [("agent", "Wait.", 3), ("tool", "tool call a", 3)],
        ),
        (
            {"tool_results": [{"tool_name": "a"}, {"tool_name": "b", "is_error": True, "result_value": "no"}]},
            [("tool", "tool result a", None), ("tool", "tool result b: error no", None)],
        ),
        (
            {"tool_calls": [{"tool_name": "a", "tool_has_been_called": False}, {}]},
            [("tool", "tool call a: not made", None), ("tool", "tool call unnamed", None)],
        ),
        ({"tool_results": [{"is_error": True}]}, [("tool", "tool result unnamed: error", None)]),
        ({"role": "agent", "message": 12}, [("agent", "12", None)]),
    ],
)
def test_a_transcript_entry_gives_its_words_and_its_tool_calls_as_turns(
    entry: JsonValue, said: list[tuple[str, str, float | None]]
):
    assert spoken([{"role": "user", "message": "Before"}, entry, None, "after"]) == [
        ("contact", "Before", None),
        *said,
        ("unknown", "after", None),
    ]


def test_a_long_tool_error_is_cut():
    long: JsonValue = [{"tool_results": [{"tool_name": "a", "is_error": True, "result_value": "x" * 999}]}]

    assert spoken(long) == [("tool", f"tool result a: error {'x' * 300}", None)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "conversation_id", "status", "metadata", "analysis", "transcript", "call_successful", "start_time_unix_secs",
    "call_duration_secs", "termination_reason", "transcript_summary", "user_id", "error", "role", "message",
    "tool_calls", "tool_results", "is_error", "result_value", "phone_call", "data_collection_results",
    "evaluation_criteria_results", "value", "rationale", "data", "conversations", "items", "cursor", "has_more",
    "total", "code",
]  # fmt: skip
SHAPED = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@given(SHAPED)
def test_any_json_is_parsed_or_refused(wire: JsonValue):
    with suppress(FormantError):
        parse_page(wire, "")
    with suppress(FormantError):
        parse_detail(wire)
    body: JsonValue = {"conversation_id": "c1", "transcript": [wire], "metadata": wire, "analysis": wire}
    assert parse_detail(body).conversation_id == "c1"


@pytest.mark.parametrize(
    "usual",
    [
        "end_call tool was called.", "Call ended by remote party", "The remote party hung up.", "Client disconnected",
        "Client disconnected: 1000", "Client disconnected: 1005", "user ended", "Call transferred to number",
        "conversation completed", "agent_ended", "Call ended by remote party (network normal)",
        "Normal clearing by the carrier",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_normal_termination_is_no_failure_reason(usual: str, status: str):
    fields: dict[str, JsonValue] = {"status": status, "call_successful": "failure", "termination_reason": usual}

    for read in (row(**fields), elevenlabs_detail(**fields)):
        assert read.failure_reason is None
        assert (read.results or {})["ended_reason"] == usual


@pytest.mark.parametrize(
    "why",
    [
        "voicemail_detection tool was called.", "no answer - timeout", "busy", "Silence timeout reached",
        "Ending conversation after 40 seconds of silence.", "Max duration limit reached", "Call rejected",
        "This request exceeds your quota limit.", "Conversation initiation webhook failed", "LLM error",
        "Missing required dynamic variables in first message", "failed to connect", "inactivity timeout",
        "Client disconnected: 1006", "Client disconnected: 1011", "client disconnected (4001)", "SIP status 480",
        "SIP/2.0 603", "Abnormal end: no answer", "Client disconnected due to an error", "Carrier hung up before media",
    ],
)  # fmt: skip
def test_an_abnormal_termination_is_the_failure_reason_without_a_recorded_error(why: str):
    fields: dict[str, JsonValue] = {"status": "done", "call_successful": "failure", "termination_reason": why}

    assert row(**fields).failure_reason == elevenlabs_detail(**fields).failure_reason == why
    recorded = elevenlabs_detail(**fields, metadata={"error": {"code": 1011, "reason": "The model did not answer"}})
    assert (recorded.failure_reason, (recorded.results or {})["ended_reason"]) == ("The model did not answer", why)
    assert elevenlabs_detail(**{**fields, "call_successful": "success"}).failure_reason is None


def test_an_unknown_termination_is_the_failure_reason_only_with_status_failed():
    odd: dict[str, JsonValue] = {"termination_reason": "odd", "call_successful": "failure"}

    assert elevenlabs_detail(status="failed", **odd).failure_reason == "odd"
    assert elevenlabs_detail(status="done", **odd).failure_reason is None


def test_a_recorded_error_is_the_failure_reason_of_a_call_with_unknown_success():
    error: JsonValue = {"error": {"code": 1011, "reason": "no model"}}

    assert elevenlabs_detail(status="done", call_successful="unknown", metadata=error).failure_reason == "no model"
    assert elevenlabs_detail(status="done", call_successful="success", metadata=error).failure_reason is None


def test_an_unanswered_call_has_its_call_result_as_failure_reason():
    metadata: JsonValue = {
        "termination_reason": "Call ended by remote party",
        "phone_call": {"call_result": "no_answer"},
    }

    assert elevenlabs_detail(status="done", call_successful="failure", metadata=metadata).failure_reason == "no_answer"


@pytest.mark.parametrize(
    ("metadata", "number"),
    [
        ({"phone_call": {"type": "twilio", "external_number": "+14155550123"}}, "+14155550123"),
        (
            {"phone_call": {"type": "sip_trunking", "external_number": "sip:+919876543210@10.1.2.3:5060"}},
            "+919876543210",
        ),
        ({"phone_call": {"external_number": '"A" <sip:%2B919876543210;ext=1@host;transport=udp>'}}, "+919876543210"),
        ({"phone_call": {"external_number": "tel:+91-98765-43210"}}, "+91-98765-43210"),
        ({"phone_call": {"external_number": "sip:alice@example.com"}}, "sip:alice@example.com"),
        ({"phone_call": None, "whatsapp": {"whatsapp_user_id": "919876543210"}}, "919876543210"),
        ({"sms": {"sms_user_phone_number": "+14155550123"}}, "+14155550123"),
        ({}, None),
    ],
)
def test_the_contact_number_is_parsed_from_any_channel(metadata: JsonValue, number: str | None):
    assert elevenlabs_detail(metadata=metadata).contact_number == number


def test_evaluation_and_data_may_be_a_list_or_json_in_a_string():
    entries: JsonValue = [{"criteria_id": "greeted", "result": "success", "rationale": "It did."}]
    read = elevenlabs_detail(
        analysis={"evaluation_criteria_results_list": entries, "data_collection_results": '{"a": {"value": 1}}'}
    )

    assert read.results == {
        "evaluation": {"greeted": "success"}, "evaluation_rationale": {"greeted": "It did."}, "data": {"a": 1},
    }  # fmt: skip
    assert read.unreadable.results == 0
    assert elevenlabs_detail(analysis={"data_collection_results": "none of it"}).unreadable.results == 1


def test_analysis_and_metadata_may_be_json_in_a_string():
    collected: JsonValue = {"call_successful": "success", "data_collection_results": {"amount": {"value": 5}}}
    metadata: JsonValue = {"call_duration_secs": 60, "phone_call": {"external_number": "+14155550123"}}
    read = elevenlabs_detail(status="done", analysis=json.dumps(collected), metadata=json.dumps(metadata))

    assert (read.outcome, read.results) == ("success", {"data": {"amount": 5}})
    assert (read.duration_seconds, read.contact_number) == (60, "+14155550123")
    assert read.unreadable == Unreadable()
    assert row(transcript=[], analysis=json.dumps(collected)).has_detail


def test_analysis_and_metadata_that_are_no_objects_are_counted_as_unreadable():
    read = elevenlabs_detail(status="done", analysis="it went well", metadata=["60 s"])

    assert read.unreadable.results == 1
    assert read.unreadable.fields == {"started_at", "duration_seconds", "contact_number"}
    assert elevenlabs_detail(analysis="", metadata=[]).unreadable == Unreadable()


@pytest.mark.parametrize(
    ("entry", "value", "lost"),
    [
        ({"value": 5}, 5, 0),
        ({"result": "success"}, "success", 0),
        ({"outcome": "success", "value": None}, "success", 0),
        ({"answer": "yes"}, "yes", 0),
        ({"value": None}, None, 0),
        ({"collected": 5}, None, 1),
    ],
)
@pytest.mark.parametrize(
    ("ours", "theirs"), [("evaluation", "evaluation_criteria_results"), ("data", "data_collection_results")]
)
def test_a_collected_value_is_parsed_under_any_of_its_names_or_counted(
    ours: str, theirs: str, entry: JsonValue, value: JsonValue, lost: int
):
    read = elevenlabs_detail(analysis={theirs: {"amount": entry}})

    assert read.results == {ours: {"amount": value}}
    assert read.unreadable.results == lost


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"status": {"state": ["done"]}}, {"status"}),
        ({"start_time_unix_secs": "some time ago"}, {"started_at"}),
        ({"metadata": {"call_duration_secs": "one minute"}}, {"duration_seconds"}),
        ({"agent_id": ["a"]}, {"agent_id"}),
        ({"user_id": {"a": 1}}, {"user_id"}),
        ({"metadata": {"phone_call": {"external_number": ["+1"]}}}, {"contact_number"}),
        ({"start_time_unix_secs": 0, "user_id": "", "agent_id": None}, frozenset[str]()),
    ],
)
def test_a_field_that_cannot_be_parsed_is_named(fields: dict[str, JsonValue], lost: set[str]):
    assert elevenlabs_detail(**fields).unreadable.fields == lost


def test_turns_are_our_model():
    assert elevenlabs_detail(transcript=[{"role": "user", "message": "Hi"}]).turns == (Turn(0, "contact", "Hi"),)


@pytest.mark.parametrize(
    ("sent", "read"),
    [({"interrupted": True}, True), ({"interrupted": False}, False), ({"interrupted": None}, None), ({}, None)],
)
def test_the_flag_of_an_interrupted_turn_is_read(sent: dict[str, JsonValue], read: bool | None):
    detail = elevenlabs_detail(transcript=[{"role": "agent", "message": "Hello", **sent}])

    assert [turn.interrupted for turn in detail.turns or ()] == [read]


FAILED_TOOLS: list[tuple[JsonValue, int | None]] = [
    ([{"tool_results": []}, {"tool_results": None}, {}], 0),
    ([{"tool_results": [{"is_error": True}, {"is_error": False}]}, {"tool_results": [{"is_error": "true"}]}], 2),
    ([{"tool_results": [{"is_error": True}, {"tool_name": "a"}]}], None),
    ([{"tool_results": [{"is_error": None}]}], None),
    ([{"tool_results": [None, "r", {"is_error": True}]}, None, "turn"], 1),
    ('[{"role": "agent", "tool_results": [{"is_error": true}]}]', 1),
    ([{"tool_results": None}], None),
    ([{"role": "agent", "message": "Hello"}], None),
    ([], None),
    (None, None),
    ("Agent: Hello", None),
]


@pytest.mark.parametrize(("transcript", "errors"), FAILED_TOOLS)
def test_tool_calls_that_failed_are_counted_where_each_result_says_so(transcript: JsonValue, errors: int | None):
    assert elevenlabs_detail(transcript=transcript).tool_errors == errors
