"""Results in any form: parsed to an object of values, and a count of what was lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.providers.results import read_results


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
        ([{"id": 1, "value": 1}, {"id": 1, "value": 2}], {"1": [1, 2]}, 0),
        ([["intent", "paid"], ["amount", "15,000"]], {"intent": "paid", "amount": "15,000"}, 0),
        ([{"intent": "paid"}, {"amount": 3}, None], {"intent": "paid", "amount": 3}, 0),
        ([{"x": 1, "y": 2}, {"x": 3}], {"x": [1, 3], "y": 2}, 0),
        (["Intent: paid", "Amount: 3"], {"Intent": "paid", "Amount": "3"}, 0),
        ("Intent: paid\nAmount: 15,000", {"Intent": "paid", "Amount": "15,000"}, 0),
        ("- **Intent**: paid\r\n\n- Note = he paid\nat 10:30", {"Intent": "paid", "Note": "he paid at 10:30"}, 0),
        ("Results\nIntent: paid\nCSAT: 3", {"value": "Results", "Intent": "paid", "CSAT": "3"}, 0),
        ("intent=paid; amount=3", {"intent": "paid", "amount": "3"}, 0),
        ("He said: call me later", {"value": "He said: call me later"}, 0),
        ('Here is the JSON: {"intent": "paid"} Done.', {"intent": "paid"}, 0),
        ('```json\n{"intent": "paid"}\n```\nDone', {"intent": "paid"}, 0),
        ('Here: [{"name": "intent", "value": "paid"}]', {"intent": "paid"}, 0),
        ('Here is the JSON: {"intent": "pa', {"value": 'Here is the JSON: {"intent": "pa'}, 1),
        ({"data": '{"intent": "paid"}'}, {"intent": "paid"}, 0),
        ({"data": {"intent": "paid"}}, {"data": {"intent": "paid"}}, 0),
        ({"intent": '{"primary": "paid"}', "n": "[1, 2]"}, {"intent": {"primary": "paid"}, "n": [1, 2]}, 0),
        ({"name": "intent", "value": "paid"}, {"intent": "paid"}, 0),
        ({"name": "Asha", "result": "paid"}, {"name": "Asha", "result": "paid"}, 0),
        ({"name": "Asha", "value": 3, "intent": "paid"}, {"name": "Asha", "value": 3, "intent": "paid"}, 0),
        ([], {"value": []}, 0),
        (["paid", "late"], {"value": ["paid", "late"]}, 1),
        ([["a", 1, 2]], {"value": [["a", 1, 2]]}, 1),
        ([{"intent": "dispute"}], {"intent": "dispute"}, 0),
        ([1, 2], {"value": [1, 2]}, 1),
        ('{"intent": "dispu', {"value": '{"intent": "dispu'}, 1),
        ({"n": [float("nan"), 10**400, 1]}, {"n": [None, None, 1]}, 2),
        ({"a": 1, "a\u200b": 2}, {"a": 2}, 1),
    ],
)  # fmt: skip
def test_results_of_any_form_are_parsed_to_an_object(sent: JsonValue, read: JsonValue, lost: int):
    assert read_results(sent) == (read, lost)


def test_deeply_nested_results_are_counted_as_lost():
    deep: JsonValue = "end"
    for _ in range(50_000):
        deep = [deep]

    assert read_results({"deep": deep, "flat": 1})[1] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | inner.map(json.dumps)
        | st.dictionaries(st.sampled_from(["name", "value", "id"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_valid_json_results(wire: JsonValue):
    read, lost = read_results(wire)

    assert lost >= 0
    json.dumps(read, allow_nan=False)
    assert read_results(read) == (read, 0)
