"""The fields of Formant's conversations, in documented and undocumented forms."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.errors import InvalidResponseError
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.providers.formant_json import parse_detail, parse_page
from tests.providers.parsed import formant_row

Spoken = list[tuple[str, str, float | None]]

STARTED = 1685606154
TEXTS = ["agent_id", "contact_number", "status", "failure_reason", "trace_id"]
STARTED_AT = datetime(2023, 6, 1, 7, 55, 54, tzinfo=UTC)


def turns(transcript: JsonValue, **fields: JsonValue) -> Spoken | None:
    read = formant_row(transcript=transcript, **fields).turns
    if read is None:
        return None
    assert [turn.index for turn in read] == list(range(len(read)))
    return [(turn.role, turn.text, turn.seconds) for turn in read]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("agent", "agent"),
        ("Bot", "agent"),
        ("ASSISTANT", "agent"),
        ("ai", "agent"),
        ("contact", "contact"),
        ("human", "contact"),
        ("customer", "contact"),
        ("User", "contact"),
        ("caller", "contact"),
        ("callee", "contact"),
        ("client", "contact"),
        ("Tool call", "Tool_call"),
        (2, "2"),
        (None, "unknown"),
        (" ", "unknown"),
        ({}, "unknown"),
        ("x" * 99, "x" * 40),
    ],
)
def test_roles_are_agent_contact_or_as_sent(sent: JsonValue, read: str):
    assert turns([{"role": sent, "message": "Hi"}]) == [(read, "Hi", None)]
    assert turns([{"speaker": sent, "text": "Hi"}]) == [(read, "Hi", None)]


TRANSCRIPTS: list[tuple[JsonValue, Spoken | None]] = [
    (None, None),
    (5, None),
    ({}, None),
    ({"text": "Hi"}, [("unknown", "Hi", None)]),
    ([], []),
    ("", []),
    ([None, [], ""], []),
    ([None, 5, [], True], None),
    ([{}], [("unknown", "", None)]),
    ([{"role": "agent", "message": None}], [("agent", "", None)]),
    ([{"role": "agent", "content": "Hi"}], [("agent", "Hi", None)]),
    ([{"role": "agent", "message": None, "text": "Hi"}], [("agent", "Hi", None)]),
    (
        "BOT: Hello\nHUMAN: Yes?\n\n  more: of it\nuser:",
        [("agent", "Hello", None), ("contact", "Yes? more: of it", None), ("contact", "", None)],
    ),
    ("before\nit\nAgent : Hello", [("unknown", "before it", None), ("agent", "Hello", None)]),
    (
        ["BOT: Hello", "no prefix", {"role": "human", "message": "Yes"}],
        [("agent", "Hello", None), ("unknown", "no prefix", None), ("contact", "Yes", None)],
    ),
]


@pytest.mark.parametrize(("transcript", "read"), TRANSCRIPTS)
def test_a_transcript_is_parsed_in_any_form(transcript: JsonValue, read: Spoken | None):
    assert turns(transcript) == read


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"timestamp": STARTED + 6}, 6.0),
        ({"timestamp": (STARTED + 6) * 1000 + 500}, 6.5),
        ({"timestamp": "2023-06-01T07:56:00Z"}, 6.0),
        ({"timestamp": STARTED - 0.5}, 0.0),
        ({"timestamp": STARTED - 60}, None),
        ({"timestamp": 6}, 6.0),
        ({"start_time": 6, "end_time": 12}, 6.0),
        ({"start_time": "6.25"}, 6.25),
        ({"start_time": 0, "timestamp": STARTED + 6}, 0.0),
        ({"start_time": -6}, None),
        ({"start_time": float("nan")}, None),
        ({"start_time": True}, None),
    ],
)
def test_a_turns_seconds_count_from_the_start_of_the_call(fields: dict[str, JsonValue], at: float | None):
    assert turns([{"speaker": "agent", "text": "Hi", **fields}], start_timestamp=STARTED) == [("agent", "Hi", at)]


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"start_time": 6, "end_time": 12}, 12.0),
        ({"start_time": 6, "endTime": "12.5"}, 12.5),
        ({"start_ms": 6000, "end_ms": 12500}, 12.5),
        ({"start": "0:06", "end": "0:12"}, 12.0),
        ({"timestamp": STARTED + 6, "end_timestamp": STARTED + 12}, 12.0),
        ({"end_time": 12}, 12.0),
        ({"start_time": 6, "end_time": 6}, 6.0),
        ({"start_time": 6, "end_time": None, "end": 12}, 12.0),
        ({"start_time": 6}, None),
        ({"start_time": 6, "end_time": 5}, None),
        ({"start_time": 6, "end_time": 12000}, None),
        ({"start_time": 6, "end_time": "later"}, None),
        ({"start_time": 6, "end_time": True}, None),
    ],
)
def test_the_end_of_a_turn_is_read_where_it_is_sent(fields: dict[str, JsonValue], end: float | None):
    read = formant_row(
        transcript=[{"speaker": "agent", "text": "Hi", **fields}], start_timestamp=STARTED, duration_seconds=90
    )

    assert [turn.end_seconds for turn in read.turns or ()] == [end]


def test_starts_and_ends_in_milliseconds_are_read_as_seconds():
    sent: JsonValue = [
        {"speaker": "agent", "text": "Hi", "start": 0, "end": 1500},
        {"speaker": "customer", "text": "Yes", "start": 2000, "end": 60500},
    ]
    read = formant_row(transcript=sent, duration_seconds=61)

    assert [(turn.seconds, turn.end_seconds) for turn in read.turns or ()] == [(0.0, 1.5), (2.0, 60.5)]


def test_a_turn_of_single_words_ends_with_its_last():
    words: JsonValue = [
        {"word": "hello", "speaker": "agent", "start": 0, "end": 1},
        {"word": "sir", "speaker": "agent", "start": 1, "end": 2},
        {"word": "yes", "speaker": "user", "start": 3, "end": 4},
    ]
    read = formant_row(transcript=words)

    assert [(turn.seconds, turn.end_seconds) for turn in read.turns or ()] == [(0.0, 2.0), (3.0, 4.0)]


def test_a_turns_time_is_left_out_where_the_start_is_unknown():
    assert turns([{"speaker": "agent", "text": "Hi", "timestamp": STARTED}]) == [("agent", "Hi", None)]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (None, None),
        ({}, {}),
        ("paid", {"value": "paid"}),
        ([1, None], {"value": [1, None]}),
        (False, {"value": False}),
        ({"n": [1, 2.5, True, None]}, {"n": [1, 2.5, True, None]}),
        ({"n": [float("nan"), float("inf"), 10**400, 10**20]}, {"n": [None, None, None, 1e20]}),
    ],
)
def test_results_are_an_object_of_json_values(sent: JsonValue, read: JsonValue):
    assert formant_row(results=sent).results == read


def test_deeply_nested_results_are_cut_at_a_depth():
    deep: JsonValue = "end"
    for _ in range(100_000):
        deep = [deep]

    kept = json.dumps(formant_row(results={"deep": deep}).results)

    assert "nested too deeply" in kept
    assert kept.count("[") == 63


@pytest.mark.parametrize(
    "sent",
    [
        STARTED,
        STARTED * 1000,
        float(STARTED),
        str(STARTED),
        f" {STARTED}000 ",
        "2023-06-01T07:55:54Z",
        "2023-06-01T13:25:54+05:30",
        "2023-06-01 07:55:54",
        STARTED * 10**6,
        str(STARTED * 10**9),
        "2023-06-01 07:55:54 UTC",
        "2023-06-01 13:25:54 +0530",
        "Thu, 01 Jun 2023 07:55:54 GMT",
        "1 Jun 2023 13:25:54 +0530",
        {"seconds": STARTED},
        {"value": "2023-06-01T07:55:54Z"},
    ],
)
def test_a_time_is_parsed_in_any_unit_or_usual_spelling(sent: JsonValue):
    assert formant_row(start_timestamp=sent).started_at == STARTED_AT


@pytest.mark.parametrize(
    "sent",
    [
        None,
        True,
        0,
        -1,
        10**20,
        10**400,
        float("nan"),
        float("inf"),
        1e308,
        "",
        "soon",
        "9" * 30,
        "nan",
        "0001-01-01T00:00:00+05:00",
        "Thu, 99 Jun 2023 07:55:54 GMT",
        [STARTED],
        {"then": STARTED},
    ],
)
def test_an_impossible_time_is_left_out(sent: JsonValue):
    assert formant_row(start_timestamp=sent, end_timestamp=sent).started_at is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (142, 142.0),
        (245.7, 245.7),
        ("142", 142.0),
        (0, 0.0),
        (-1, None),
        (True, None),
        (float("nan"), None),
        (1e300, None),
        ([1], None),
        (None, None),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_left_out(sent: JsonValue, read: float | None):
    assert formant_row(duration_seconds=sent).duration_seconds == read


def test_start_end_and_duration_are_completed_from_two_of_them():
    assert formant_row(start_timestamp=STARTED, end_timestamp=STARTED + 90).duration_seconds == 90
    assert formant_row(start_timestamp=STARTED, duration_seconds=6.5).ended_at == datetime(
        2023, 6, 1, 7, 56, 0, 500000, UTC
    )
    assert formant_row(start_timestamp=STARTED, end_timestamp=STARTED - 1).duration_seconds is None
    assert formant_row(start_timestamp=STARTED, duration_seconds=6, status="in-progress").ended_at is None


def test_fields_of_the_wrong_type_are_left_out_and_named():
    wrong: dict[str, JsonValue] = {name: {"a": [1]} for name in [*TEXTS, "transcript"]}

    lost = frozenset({"agent_id", "contact_number", "status", "failure_reason"})
    assert formant_row(**wrong) == Conversation(
        "c1", ended=False, failure_reason_known=True, unreadable=Unreadable(transcripts=1, fields=lost)
    )
    assert formant_row(agent_id=12.0).agent_id == "12"
    assert formant_row(agent_id=12.5).agent_id is None
    assert formant_row(contact_number=14155550123).contact_number == "14155550123"


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"status": {"code": "completed", "label": "Completed"}}, {"status": "completed", "outcome": "success"}),
        ({"agent_id": {"id": 7, "name": "A"}}, {"agent_id": "7"}),
        ({"contact_number": {"phone": "+919876543210"}}, {"contact_number": "+919876543210"}),
        ({"contact_number": {"number": "sip:+919876543210@host"}}, {"contact_number": "+919876543210"}),
        ({"duration_seconds": {"value": "1:30"}}, {"duration_seconds": 90.0}),
        ({"failure_reason": {"code": "busy"}}, {"failure_reason": "busy"}),
    ],
)
def test_an_object_that_wraps_a_value_is_that_value(fields: dict[str, JsonValue], read: dict[str, JsonValue]):
    parsed = formant_row(**fields)

    assert {name: getattr(parsed, name) for name in read} == read
    assert not parsed.unreadable.fields


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("start_timestamp", "started_at"),
        ("end_timestamp", "duration_seconds"),
        ("duration_seconds", "duration_seconds"),
        ("status", "status"),
        ("agent_id", "agent_id"),
        ("contact_number", "contact_number"),
        ("failure_reason", "failure_reason"),
    ],
)
@pytest.mark.parametrize(
    ("sent", "is_lost"), [({"a": 1}, True), ([[7]], True), (None, False), ("", False), ({}, False), (False, False)]
)
def test_a_field_that_cannot_be_parsed_is_named(name: str, field: str, sent: JsonValue, is_lost: bool):
    assert formant_row(**{name: sent}).unreadable.fields == ({field} if is_lost else frozenset[str]())


def test_a_time_or_a_duration_in_words_is_unreadable():
    assert formant_row(start_timestamp="one day", duration_seconds="one minute").unreadable.fields == {
        "started_at", "duration_seconds"
    }  # fmt: skip


def test_every_text_is_cleaned():
    dirty = " a\u202eb\n\tc\x00 "
    texts: dict[str, JsonValue] = dict.fromkeys(TEXTS, dirty)
    wire: dict[str, JsonValue] = {
        **texts,
        "conversation_id": dirty,
        "results": {dirty: [{dirty: dirty}]},
        "transcript": [{"role": dirty, "message": dirty}],
    }

    assert parse_page({"data": [wire]}).conversations == (
        Conversation(
            conversation_id="ab c",
            agent_id="ab c",
            contact_number="ab c",
            status="ab c",
            failure_reason="ab c",
            failure_reason_known=True,
            trace_id="ab c",
            results={"ab c": [{"ab c": "ab c"}]},
            turns=(Turn(0, "ab_c", "ab c"),),
            has_detail=True,
            unreadable=Unreadable(speakers=1),
        ),
    )


NAMES = [
    "data",
    "has_more",
    "total",
    "conversation_id",
    "agent_id",
    "status",
    "start_timestamp",
    "end_timestamp",
    "duration_seconds",
    "results",
    "transcript",
    "role",
    "speaker",
    "message",
    "text",
    "timestamp",
    "start_time",
]
TEXT = st.text(st.characters(codec=None))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats()
    | TEXT
    | st.sampled_from(["completed", "BOT: a\nb", "1685606154", "2023-06-01T00:00:00", "9999-12-31T23:59:59-12:00"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES) | TEXT, inner),
    max_leaves=30,
)
ROW = st.dictionaries(st.sampled_from(NAMES), JSON).map(lambda fields: {"conversation_id": "c1", **fields})


@given(JSON | st.fixed_dictionaries({"data": st.lists(ROW | JSON) | ROW}))
def test_any_json_is_parsed_or_refused(wire: JsonValue):
    with suppress(InvalidResponseError):
        page = parse_page(wire)
        assert len(page.conversations) + page.unreadable == page.row_count
        json.dumps([conversation.results for conversation in page.conversations], allow_nan=False)
    with suppress(InvalidResponseError):
        json.dumps(parse_detail(wire).results, allow_nan=False)
