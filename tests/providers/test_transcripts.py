"""Transcripts of any shape: what can be parsed becomes turns, the rest is counted, and nothing raises."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.models import Unreadable, clean
from formant_mcp.providers.json_values import is_something
from formant_mcp.providers.transcripts import read_transcript, transcript_of

Spoken = list[tuple[str, str, float | None]]
STARTED = datetime(2023, 6, 1, 7, 55, 54, tzinfo=UTC)
NOTHING = Unreadable()


def spoken(wire: JsonValue, duration_seconds: float | None = None) -> Spoken:
    read = read_transcript(wire, STARTED, duration_seconds)
    sides = {"agent", "contact", "tool", "system"}
    of_nobody = sum(bool(turn.text) and turn.role not in sides for turn in read.turns or ())
    assert read.unreadable == Unreadable(speakers=of_nobody)
    assert [turn.index for turn in read.turns or ()] == list(range(len(read.turns or ())))
    return [(turn.role, turn.text, turn.seconds) for turn in read.turns or ()]


BOTH: Spoken = [("agent", "Hello", None), ("contact", "Yes, I", None)]
TIMED: Spoken = [("agent", "Hello", 1.0), ("contact", "Yes, I", 5.0)]


@pytest.mark.parametrize(
    "wire",
    [
        [{"role": "agent", "message": "Hello"}, {"role": "human", "message": "Yes, I"}],
        [{"Speaker": "AI Agent", "Utterance": "Hello"}, {"Speaker": "End-User", "Utterance": "Yes, I"}],
        [{"sender": "bot", "body": "Hello"}, {"sender": "lead", "body": "Yes, I"}],
        [{"from": {"type": "agent", "name": "Priya"}, "say": "Hello"}, {"from": {"role": "user"}, "say": "Yes, I"}],
        [{"role": "agent", "name": "Priya", "text": "Hello"}, {"speaker": "Rahul", "role": "caller", "text": "Yes, I"}],
        [{"type": "agent", "sentence": "Hello"}, {"type": "customer", "sentence": "Yes, I"}],
        [{"direction": "outbound", "content": "Hello"}, {"direction": "inbound", "content": "Yes, I"}],
        [{"role": "agent", "content": [{"type": "text", "text": "Hello"}]}, {"role": "user", "content": ["Yes,", "I"]}],
        [{"role": "agent", "message": {"text": "Hello"}}, {"role": "user", "message": {"content": {"text": "Yes, I"}}}],
        [{"role": "agent", "message": '[{"text": "Hello"}]'}, {"role": "user", "message": '{"text": "Yes, I"}'}],
        [{"role": "agent", "words": [{"word": "Hello"}]}, {"role": "user", "words": [{"text": "Yes"}, ",", "I"]}],
        [{"word": "Hello", "speaker": "agent"}, {"word": "Yes,", "speaker": "user"}, {"word": "I", "speaker": "user"}],
        [{"type": "message", "message": {"role": "assistant", "content": [{"text": "Hello"}]}}, {"user": "Yes, I"}],
        [{"agent": "Hello"}, {"customer": "Yes, I"}],
        [{"role": "agent", "data": {"text": "Hello"}}, {"role": "user", "item": {"say": "Yes, I"}}],
        {"agent": ["Hello"], "customer": ["Yes, I"]},
        [["agent", "Hello"], ["user", "Yes, I"]],
        ["BOT: Hello", "HUMAN: Yes, I"],
        [[{"role": "agent", "text": "Hello"}], [{"role": "user", "text": "Yes, I"}]],
        {"0": {"role": "agent", "text": "Hello"}, "1": {"role": "user", "text": "Yes, I"}},
        {"10": {"role": "user", "text": "Yes, I"}, "9": {"role": "agent", "text": "Hello"}},
        {"turns": [{"role": "agent", "text": "Hello"}, {"role": "user", "text": "Yes, I"}], "language": "en"},
        {"name": "Call", "data": {"items": [{"role": "agent", "text": "Hello"}, {"role": "user", "text": "Yes, I"}]}},
        {"text": "Agent: Hello\nUser: Yes, I"},
        {"type": "transcript", "transcript": "Agent: Hello\nUser: Yes, I", "turns": None},
        "Agent: Hello User: Yes, I",
        "**Agent:** Hello\n\n- **Customer**: Yes, I",
        "> *Bot*: Hello\n> *Human*: Yes, I",
        "Priya (Agent): Hello\nCustomer [Rahul]: Yes,\nI",
        "<b>Agent:</b> Hello<br/><b>Caller:</b> Yes, I",
        "Agent: Hello\\nCustomer: Yes, I",
        "AGENT> Hello\nUSER> Yes, I",
        "Agent\tHello\nUser\tYes, I",
        '{"role":"agent","text":"Hello"}\n{"role":"user","text":"Yes, I"}',
        '```json\n[{"role":"agent","text":"Hello"},{"role":"user","text":"Yes, I"}]\n```',
    ],
)  # fmt: skip
def test_a_transcript_of_any_of_these_shapes_is_parsed(wire: JsonValue):
    assert spoken(wire) == BOTH
    assert spoken(json.dumps(wire)) == BOTH
    assert spoken(json.dumps(json.dumps({"transcript": wire}))) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        "[00:01] Agent: Hello\n[00:05] Customer: Yes, I",
        "00:01 - Agent: Hello\n00:05 - Customer: Yes, I",
        "(0:01) Agent: Hello\n(0:05) Customer: Yes, I",
        "Agent [00:01]: Hello\nCustomer (00:05): Yes, I",
        "Agent 0:01: Hello\nCustomer 0:05: Yes, I",
        "Agent  0:01\nHello\n\nCustomer  0:05\nYes,\nI",
        "[00:00:01.000 --> 00:00:04.000] Agent: Hello\n[00:00:05.000 --> 00:00:09.000] User: Yes, I",
        "[1.0s] Agent: Hello\n[5s] User: Yes, I",
        "[2023-06-01 07:55:55] Agent: Hello\n[2023-06-01T13:25:59+05:30] User: Yes, I",
        "1\n00:00:01,000 --> 00:00:04,000\nAgent: Hello\n\n2\n00:00:05,000 --> 00:00:09,000\nUser: Yes,\nI",
        "WEBVTT\n\n00:01.000 --> 00:04.000\n<v Agent>Hello</v>\n\n00:05.000 --> 00:09.000\n<v User>Yes, I</v>",
        "[00:01] Agent: Hello [00:05] Customer: Yes, I",
        "00:01\tAgent\tHello\n00:05\tUser\tYes, I",
    ],
)
def test_a_text_with_times_is_parsed(text: str):
    assert spoken(text) == TIMED


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"start": "0:05"}, 5.0),
        ({"start_time": "00:01:30.5"}, 90.5),
        ({"offset": "90s"}, 90.0),
        ({"start_ms": 1500}, 1.5),
        ({"startMs": "1500"}, 1.5),
        ({"timestamp": "2023-06-01T13:26:00+05:30"}, 6.0),
        ({"time": 1685606160000}, 6.0),
        ({"timestamp": {"start": 3, "end": 4}}, 3.0),
        ({"timestamp": [3, 4]}, 3.0),
        ({"secondsFromStart": 7}, 7.0),
        ({"created_at": "soon", "start": 2}, 2.0),
    ],
)
def test_a_turns_time_is_parsed_from_any_of_its_names_and_forms(fields: dict[str, JsonValue], at: float):
    assert spoken([{"role": "agent", "text": "Hello", **fields}]) == [("agent", "Hello", at)]


def test_times_are_milliseconds_where_seconds_exceed_the_call_and_left_out_beyond_it():
    turns: JsonValue = [{"role": "agent", "text": "a", "start": 250}, {"role": "user", "text": "b", "start": 61_000}]

    assert [at for *_, at in spoken(turns, 90)] == [0.25, 61.0]
    assert [at for *_, at in spoken(turns, 70_000)] == [250.0, 61_000.0]
    assert spoken("10:42:13 Agent: Hello", 90) == [("agent", "Hello", None)]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Agent 1: Hi\nSpeaker 0: Yes\nSPEAKER_01: No", ["Agent_1", "Speaker_0", "SPEAKER_01"]),
        ("Rahul: Hi\nPriya: Yes", ["Rahul", "Priya"]),
        ("Agent: Hi\nRahul: Yes\nAgent: So\nRahul: No\nok", ["agent", "Rahul", "agent", "Rahul"]),
        ("[00:01] Rahul: Hi\n[00:02] Priya: Yes", ["Rahul", "Priya"]),
        ("Agent: Hi\nplease note: bring it\n10:30 is fine", ["agent"]),
        ("Bring it: all of it", ["unknown"]),
    ],
)
def test_a_speaker_on_a_line_is_a_role_a_number_or_a_repeated_name(text: str, read: list[str]):
    assert [who for who, *_ in spoken(text)] == read


def test_the_same_turn_sent_twice_is_two_turns():
    turn: JsonValue = {"role": "agent", "text": "Hello"}

    assert len(spoken([turn, turn])) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"message": "I want a refund", "text": "My lawyer will call"}, "I want a refund My lawyer will call"),
        ({"message": "I want a refund", "content": "<p>I want a refund!</p>"}, "I want a refund"),
        ({"message": "I want a refund", "words": [{"word": "want"}], "value": "x1"}, "I want a refund"),
    ],
)
def test_a_turn_with_different_words_under_two_names_has_both(fields: dict[str, JsonValue], said: str):
    assert spoken([{"role": "user", **fields}]) == [("contact", said, None)]


@pytest.mark.parametrize(
    "wire", [None, "", "null", "[]", [], {}, {"turns": []}, {"turns": None, "status": "done"}, [None]]
)
def test_an_empty_transcript_has_nothing_unreadable(wire: JsonValue):
    read = read_transcript(wire)

    assert not [turn for turn in read.turns or () if turn.text and turn.text != "null"]
    assert replace(read.unreadable, speakers=0) == NOTHING  # "null" may be a word that somebody says


@pytest.mark.parametrize(
    "silent",
    [
        {"role": "agent", "message": None},
        {"role": "agent", "message": ""},
        {"role": "agent"},
        {},
        {"role": "user", "message": None, "time_in_call_secs": 3, "source_medium": "audio", "mood": "glad"},
        {"role": "user", "message": "", "llm_usage": {"model_usage": {"a b": {"note": "not said"}}}},
    ],
)
def test_a_turn_without_words_is_kept_empty(silent: JsonValue):
    turns = spoken([silent, {"role": "agent", "message": "Hello"}])

    assert [words for _, words, _ in turns] == ["", "Hello"]


@pytest.mark.parametrize(
    "odd",
    [
        {"role": "user", "uttered": "Hello there"},
        {"role": "user", "uttered": {"de": ["Hallo"]}},
        {"role": "user", "message": None, "uttered": "Hello there"},
        {"role": "user", "message": {"audio": "a.wav", "heard": "Hello"}},
        {"role": "user", "message": True},
        {"kind": "x", "heard": "Hello"},
        {"role": "user", "what": "Hello"},
        7,
        True,
    ],
)
def test_a_turn_whose_words_cannot_be_parsed_is_counted(odd: JsonValue):
    read = read_transcript([{"role": "agent", "message": "Hello"}, odd, odd])

    assert read.unreadable == Unreadable(turns=2)
    assert [turn.text for turn in read.turns or () if turn.text] == ["Hello"]
    assert read_transcript([odd, odd]) == (None, Unreadable(transcripts=1))


@pytest.mark.parametrize("wire", [5, True, {"foo": "bar"}, {"status": "done"}, {"turns": 5}, [5], [[["deep", 5]], 6]])
def test_a_transcript_without_readable_words_is_counted_once(wire: JsonValue):
    read = read_transcript(wire)

    assert bool([turn for turn in read.turns or () if turn.text]) != (read.unreadable == Unreadable(transcripts=1))


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "agent", "content": "Hello"}]},
        {"transcript": None, "transcript_object": [{"role": "agent", "content": "Hello"}]},
        {"transcript": [], "turns": "Agent: Hello"},
        {"transcript": 5, "messages": [{"role": "agent", "content": "Hello"}]},
        {"call": {"transcript": "Agent: Hello"}},
        {"data": {"call": {"transcript": [{"role": "agent", "text": "Hello"}]}}},
        {"transcript_json": [{"role": "agent", "text": "Hello"}], "transcript_summary": "They said hello to all."},
        {"conversationTranscript": "Agent: Hello", "transcript_language": "en"},
        {"transcript": None, "call_transcript": "Agent: Hello", "transcript_id": "Agent: no"},
        {"transcript_text": "Agent: Hello"},
        {"dialogue": [{"role": "agent", "content": "Hello"}]},
        {"transcript": [], "chat_history": [{"role": "agent", "content": "Hello"}]},
        {"transcript": None, "analysis": {"transcript": [{"role": "agent", "content": "Hello"}]}},
        {"transcript": "hello", "messages": [{"role": "agent", "content": "Hello"}]},
        {"transcript": "https://a.b/c", "messages": [{"role": "agent", "content": "Hello"}]},
    ],
)
def test_a_transcript_is_found_under_other_names_and_in_nested_objects(fields: dict[str, JsonValue]):
    read = transcript_of(fields, "transcript", None)

    assert [(turn.role, turn.text) for turn in read.turns or ()] == [("agent", "Hello")]
    assert read.unreadable == NOTHING


def test_the_fuller_of_two_transcripts_is_used_and_words_only_in_the_other_are_counted():
    full: JsonValue = [{"role": "agent", "text": "Hello"}, {"role": "user", "text": "my refund"}]
    half: JsonValue = [{"role": "agent", "text": "Hello"}]

    for one, other in ((full, half), (half, full)):
        read = transcript_of({"transcript": one, "messages": other}, "transcript", None)
        assert [turn.text for turn in read.turns or ()] == ["Hello", "my refund"]
        assert read.unreadable == NOTHING
    read = transcript_of({"transcript": full, "raw_transcript": "Hello. My refund is late."}, "transcript", None)
    assert (len(read.turns or ()), read.unreadable) == (2, Unreadable(turns=1))


def test_a_count_of_messages_is_no_transcript():
    assert transcript_of({"messages": 12, "turns": True}, "transcript", None) == (None, NOTHING)


def test_tool_parameters_are_not_kept():
    secret: JsonValue = [{"tool_name": "pay", "params_as_json": "SECRET", "headers": {"a": "SECRET"}, "body": "SECRET"}]
    read = read_transcript([{"role": "agent", "message": "Hello", "tool_calls": secret, "tool_results": secret}])

    assert [turn.text for turn in read.turns or ()] == ["Hello", "tool call pay", "tool result pay"]


SAID = st.text(st.sampled_from("abcdefghij हिकल"), min_size=1, max_size=20).map(clean).filter(bool)
SIDES = st.sampled_from([("agent", "agent"), ("Bot", "agent"), ("user", "contact"), ("Customer", "contact")])
TURNS = st.lists(st.tuples(SIDES, SAID), min_size=1, max_size=6)
Shape = Callable[[str, str], JsonValue]
SHAPES: list[Shape] = [
    lambda who, said: {"role": who, "message": said},
    lambda who, said: {"speaker": {"type": who}, "text": said, "start": 1.5},
    lambda who, said: {"sender": who, "content": [{"type": "text", "text": word} for word in said.split()]},
    lambda who, said: {"participant": who, "words": [{"word": word, "start": 1} for word in said.split()]},
    lambda who, said: {"author": who, "body": {"value": said}},
    lambda who, said: {who: said},
    lambda who, said: [who, said],
    lambda who, said: f"{who}: {said}",
    lambda who, said: f"[00:01] **{who}:** {said}",
    lambda who, said: json.dumps({"role": who, "transcript": said}),
]
WRAPPINGS: list[Callable[[list[JsonValue]], JsonValue]] = [
    lambda turns: turns,
    lambda turns: {"turns": turns, "id": "x"},
    lambda turns: {"data": {"messages": turns}},
    lambda turns: {str(place): turn for place, turn in enumerate(turns)},
    json.dumps,
    lambda turns: json.dumps(json.dumps({"transcript": turns})),
]


@given(TURNS, st.lists(st.sampled_from(SHAPES), min_size=6, max_size=6), st.sampled_from(WRAPPINGS))
def test_turns_of_mixed_shapes_are_parsed_in_order(
    turns: list[tuple[tuple[str, str], str]], shapes: list[Shape], wrapped: Callable[[list[JsonValue]], JsonValue]
):
    sent = [shape(who, said) for ((who, _), said), shape in zip(turns, shapes, strict=False)]
    read = read_transcript(wrapped(sent), STARTED)

    assert [(turn.role, turn.text) for turn in read.turns or ()] == [(role, said) for (_, role), said in turns]
    assert read.unreadable == NOTHING


NAMES = st.sampled_from(
    ["role", "speaker", "message", "text", "content", "words", "word", "turns", "data", "transcript", "start", "agent"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=9)
LINES = st.sampled_from(
    ["Agent: a\nb", "[00:01] x", "1\n00:01 --> 00:02\nq", '{"turns": [1]}', "**Bot:** x", '"\\"a\\""']
)
JSON = st.recursive(
    LEAVES | LINES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_parsed_and_counted_as_unreadable_only_if_it_holds_something(wire: JsonValue):
    read = read_transcript(wire, STARTED, 90)
    has_words = any(turn.text for turn in read.turns or ())

    assert read.unreadable.transcripts in (0, 1)
    assert not (has_words and read.unreadable.transcripts)
    if read.unreadable.transcripts:
        assert (read.turns, read.unreadable.turns) == (None, 0)
    if not is_something(wire):
        assert read.unreadable == NOTHING
    elif not read.turns and not isinstance(wire, str | dict):
        assert read.unreadable.transcripts or not _holds_anything(wire)


def _holds_anything(wire: JsonValue) -> bool:
    """Whether a value, or an item of a list, is a number or a boolean."""
    return isinstance(wire, bool | int | float) or (
        isinstance(wire, list) and any(isinstance(item, bool | int | float) for item in wire)
    )


@given(
    st.lists(st.sampled_from([{"role": "user", "uttered": "lost words"}, {"role": "user", "text": "kept"}]), max_size=9)
)
def test_parsed_and_unreadable_turns_add_up(turns: list[JsonValue]):
    kept = sum(1 for turn in turns if isinstance(turn, dict) and "text" in turn)
    assume(kept)

    assert read_transcript(turns).unreadable == Unreadable(turns=len(turns) - kept)


def test_deeply_nested_transcripts_are_counted_as_unreadable():
    deep: JsonValue = "Agent: hello"
    for _ in range(50_000):
        deep = {"data": deep}

    assert read_transcript(deep).unreadable == Unreadable(transcripts=1)
    assert read_transcript("[" * 100_000).unreadable in (Unreadable(speakers=1), Unreadable(transcripts=1))
