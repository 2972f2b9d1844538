"""Every word that was sent is in the turns or counted; other texts are in neither."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.models import Unreadable
from formant_mcp.providers.transcripts import read_transcript
from tests.providers.test_transcripts import BOTH, NOTHING, TIMED, Spoken, spoken


def _by_line(turns: list[JsonValue]) -> str:
    return "\n".join(map(json.dumps, turns))


A_LIST: list[JsonValue] = [{"role": "agent", "text": "Hello"}, {"role": "user", "text": "Yes, I"}]
WORD_BY_WORD: list[JsonValue] = [
    {"word": "hello", "punctuated_word": "Hello,", "speaker": "customer", "start": 0, "end": 1, "confidence": 0.9},
    {"word": "sir", "punctuated_word": "sir.", "speaker": "customer", "start": 1, "end": 2, "confidence": 0.9},
    {"word": "yes", "punctuated_word": "Yes.", "speaker": "agent", "start": 3, "end": 4, "confidence": 0.9},
]


@pytest.mark.parametrize(
    ("wire", "read"),
    [
        (WORD_BY_WORD, [("contact", "Hello, sir.", 0.0), ("agent", "Yes.", 3.0)]),
        ([{"role": "agent", "text": "hi", "messages": [{"role": "user", "text": "yes"}]}], ["agent hi", "contact yes"]),
        ([{"role": "agent", "text": "hi", "replies": [{"role": "user", "text": "yes"}]}], ["agent hi", "contact yes"]),
        ([{"role": "agent", "text": "hi", "parts": [{"text": "there"}]}], ["agent hi there"]),
        ({"turns": A_LIST[:1], "items": A_LIST[1:]}, BOTH),
        ({"history": A_LIST[:1], "messages": A_LIST[1:]}, BOTH),
        ({"messages": A_LIST, "history": A_LIST[:1]}, BOTH),
        ({"text": "Agent: Hello\nUser: Yes, I", "messages": A_LIST[:1]}, BOTH),
        ({"text": "hello yes i", "segments": A_LIST}, BOTH),
        ([["0:01", "agent", "Hello"], ["0:05", "user", "Yes, I"]], TIMED),
        ([[1, "agent", "Hello"], [5, "user", "Yes, I"]], TIMED),
        ([["agent", "0:01", "0:04", "Hello"], ["user", "0:05", "0:06", "Yes, I"]], TIMED),
        ([["time", "speaker", "text"], ["0:01", "Agent", "Hello"], ["0:05", "User", "Yes, I"]], TIMED),
        ('time,speaker,text\n0:01,Agent,Hello\n0:05,User,"Yes, I"', TIMED),
        ("Speaker;Message\nAgent;Hello\nUser;Yes, I", BOTH),
        ("[{'role': 'agent', 'text': 'Hello'}, {'role': 'user', 'text': 'Yes, I', 'at': None}]", BOTH),
        ('{"role":"agent","text":"Hello"} {"role":"user","text":"Yes, I"}', BOTH),
        (
            {"agent": [{"text": "a", "start": 0}, {"text": "c", "start": 9}], "customer": [{"text": "b", "start": 5}]},
            [("agent", "a", 0.0), ("contact", "b", 5.0), ("agent", "c", 9.0)],
        ),
        (
            [{"role": "user", "parts": [{"text": "look"}, {"inlineData": {"mimeType": "audio/wav", "data": "QUJD"}}]}],
            ["contact look"],
        ),
        ([{"role": "user", "alternatives": [{"transcript": "refund"}, {"transcript": "regent"}]}], ["contact refund"]),
        ([{"speaker": "Priya (Agent)", "text": "a"}], ["agent a"]),
        ([{"speaker": "Customer - Rahul", "text": "a"}], ["contact a"]),
        ([{"speaker": {"id": 1, "name": "Agent Smith"}, "text": "a"}], ["agent a"]),
        ([{"speaker": "Customer Care", "text": "a"}], ["Customer_Care a"]),
        ([{"speaker": "Human Agent", "text": "a"}], ["Human_Agent a"]),
        ("hello", ["unknown hello"]),
        ("Agent", ["unknown Agent"]),
        ("Agent\nHello\nUser\nYes, I", BOTH),
        ([{"role": "user", "content": [{"text": "human"}, {"text": "agent"}]}], ["contact human agent"]),
        ("[laughs] hello", ["unknown [laughs] hello"]),
        ([{"role": "user", "text": "https://a.b/c"}], ["contact https://a.b/c"]),
    ],
)  # fmt: skip
def test_words_are_parsed_once_and_in_order(wire: JsonValue, read: list[str] | Spoken):
    parsed = spoken(wire)
    assert parsed == read or [f"{who} {words}" for who, words, _ in parsed] == read


@pytest.mark.parametrize(
    ("wire", "lost"),
    [
        ({"messages": A_LIST, "text": "Hello. Yes, I want my refund"}, 1),
        ([{"role": "agent", "text": "hello", "items": [{"text": "my refund"}]}], 1),
        ([{"role": "agent", "text": "hello", "reply": "my refund"}], 1),
        ([{"agent": "hello", "customer": {"said_now": "my refund"}}], 1),
        ('{"role":"agent","text":"hello"}\n{"role":"user","text":"yes"}\n{"role":"user","text":"my ref', 1),
        ('[{"role":"agent","text":"hello"},{"role":"user","text":"my ref', 1),
        ('{"turns": [{"role":"agent","text":"hello"},{"role":"user","text":"my ref', 1),
        ([{"role": "agent", "text": "hello"}, '{"role":"user","text":"my ref'], 1),
        ([{"role": "agent", "text": "hello", "mood": "very glad", "data": {"note": "not said"}}], 0),
        ({"messages": [{"role": "agent", "text": "hello"}], "events": [{"message": "Call began"}]}, 0),
    ],
)  # fmt: skip
def test_words_beside_the_parsed_turns_are_counted(wire: JsonValue, lost: int):
    read = read_transcript(wire)

    assert next(turn for turn in read.turns or ()).text.lower() == "hello"
    assert read.unreadable == Unreadable(turns=lost)


@pytest.mark.parametrize(
    "text",
    [
        "https://storage.example/transcripts/1.json?sig=abc",
        '{"heard": "hel',
        "{'heard': 'hel",
        "<?xml version='1.0'?><turn>hello</turn>",
        "<transcript><turn role='agent'>hello</turn><turn role='user'>ok</turn></transcript>",
        "- role: user\n  content: hello\n- role: bot\n  content: ok",
    ],
)
def test_addresses_and_markup_are_no_turns(text: str):
    assert read_transcript(text) == (None, Unreadable(transcripts=1))
    assert read_transcript({"transcript": text}) == (None, Unreadable(transcripts=1))


@pytest.mark.parametrize(
    "text", ["Transcript not available", "No transcript available.", "N/A", "None", "transcript is not ready yet"]
)
def test_a_text_that_says_there_is_no_transcript_gives_no_turns(text: str):
    assert not read_transcript(text).turns
    assert read_transcript(text).unreadable == NOTHING
    assert spoken(f"Agent: {text}") == [("agent", text, None)]


PLACES = ["turns", "messages", "history", "items", "replies", "text", "message", "content", "parts", "transcript"]


@st.composite
def talks(draw: st.DrawFn) -> JsonValue:
    """Nested turns, texts and objects, each with two words of its own."""
    numbers = iter(range(1, 1000))

    def words() -> str:
        return f"said{next(numbers)} heard{next(numbers)}"

    def talk(levels: int) -> JsonValue:
        kind = draw(st.sampled_from(["turn", "side", "text", "list", "object"] if levels else ["turn", "text"]))
        if kind == "turn":
            return {"role": draw(st.sampled_from(["agent", "user", "Rahul"])), "text": words()}
        if kind == "list":
            return [talk(levels - 1) for _ in range(draw(st.integers(1, 3)))]
        if kind == "side":
            return {"agent": words(), "customer": talk(levels - 1)}
        if kind == "object":
            places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True))
            who: dict[str, JsonValue] = {"role": "agent"} if draw(st.booleans()) else {}
            return who | {place: talk(levels - 1) for place in places}
        return words()

    return talk(3)


@given(talks())
def test_words_in_any_place_are_parsed_or_counted(wire: JsonValue):
    read = read_transcript(wire)
    parsed_words = {word for turn in read.turns or () for word in turn.text.split()}

    assert (
        set(re.findall(r"(?:said|heard)\d+", json.dumps(wire))) == parsed_words
        or replace(read.unreadable, speakers=0) != NOTHING
    )


@given(st.integers(1, 6), st.integers(0, 400), st.sampled_from([json.dumps, repr, _by_line]))
def test_whole_turns_of_a_truncated_text_are_parsed_and_the_rest_is_counted(
    count: int, end: int, printed: Callable[[list[JsonValue]], str]
):
    turns: list[JsonValue] = [{"role": "user", "message": f"refund {place}"} for place in range(count)]
    whole = printed(turns)
    read = read_transcript(whole[:end])

    said = [turn.text for turn in read.turns or ()]
    assert said == [f"refund {place}" for place in range(len(said))]
    is_whole = end >= len(whole) or (printed is _by_line and whole[end - 1 : end + 1].find("\n") >= 0)
    assert end < 3 or bool(read.unreadable.turns or read.unreadable.transcripts) != is_whole
