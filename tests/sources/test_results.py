"""Results in any form: an object of values, and how many could not be kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.sources.results import read_results


@pytest.mark.parametrize(
    ("sent", "read", "lost"),
    [
        (None, None, 0),
        ("null", {"value": "null"}, 0),
        ({"intent": "dispute"}, {"intent": "dispute"}, 0),
        ('{"intent": "dispute"}', {"intent": "dispute"}, 0),
        (json.dumps('{"intent": "dispute"}'), {"intent": "dispute"}, 0),
        ('\ufeff```json\n{"intent": "dispute"}\n```', {"intent": "dispute"}, 0),
        ("paid in full", {"value": "paid in full"}, 0),
        ('"paid"', {"value": "paid"}, 0),
        (5, {"value": 5}, 0),
        ([{"name": "intent", "value": "dispute"}, {"name": "csat", "value": 3}], {"intent": "dispute", "csat": 3}, 0),
        ([{"key": "intent", "value": "x", "confidence": 1}], {"intent": "x", "intent_confidence": 1}, 0),
        ('[{"id": "intent", "value": null}]', {"intent": None}, 0),
        ([{"id": 1, "value": 1}, {"id": 1, "value": 2}], {"value": [{"id": 1, "value": 1}, {"id": 1, "value": 2}]}, 0),
        ([{"intent": "dispute"}], {"intent": "dispute"}, 0),
        ([1, 2], {"value": [1, 2]}, 0),
        ('{"intent": "dispu', {"value": '{"intent": "dispu'}, 1),
        ({"n": [float("nan"), 10**400, 1]}, {"n": [None, None, 1]}, 2),
        ({"a": 1, "a\u200b": 2}, {"a": 2}, 1),
    ],
)  # fmt: skip
def test_results_are_an_object_whatever_they_were_sent_as(sent: JsonValue, read: JsonValue, lost: int):
    assert read_results(sent) == (read, lost)


def test_results_nested_too_deeply_are_counted():
    deep: JsonValue = "end"
    for _ in range(50_000):
        deep = [deep]

    assert read_results({"deep": deep, "flat": 1})[1] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "value", "id"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_results_that_json_can_hold(wire: JsonValue):
    read, lost = read_results(wire)

    assert lost >= 0
    json.dumps(read, allow_nan=False)
    assert read_results(read) == (read, 0)
