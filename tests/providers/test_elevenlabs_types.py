"""JSON generated from the types of ElevenLabs' own Python package is parsed without losing turns or conversations."""

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, TypeAdapter

from formant_mcp.models import clean
from formant_mcp.providers.elevenlabs_json import parse_detail, parse_page
from tests.examples import examples

vendor = pytest.importorskip("elevenlabs.types", reason="ElevenLabs' package is not installed: pip install -e '.[dev]'")
DETAIL: type[BaseModel] = vendor.GetConversationResponseModel
PAGE: type[BaseModel] = vendor.GetConversationsPageResponseModel

Wire = dict[str, JsonValue]
Generated = st.SearchStrategy[JsonValue]
_DEEPEST = 5
_TEXT = st.text(max_size=12)
_SCALARS: dict[object, Generated] = {
    str: _TEXT,
    int: st.integers(0, 2**40),
    float: st.floats(0, 1e6),
    bool: st.booleans(),
    Any: st.none() | st.booleans() | st.integers(-9, 9) | _TEXT,
    type(None): st.none(),
}
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_patient = settings(
    max_examples=examples(0.6), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def json_of(annotation: object, depth: int = 0) -> Generated:
    """JSON that the type allows; optional fields are left out below some depth."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return json_of(arguments[0], depth)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        # Fern types an open set of words as `Literal[...] | Any`; only the literals are sent.
        is_open = any(get_origin(argument) is Literal for argument in arguments)
        choices = [argument for argument in arguments if not (is_open and argument is Any)]
        return st.one_of([json_of(argument, depth) for argument in choices])
    if origin is list:
        return st.lists(json_of(arguments[0], depth), max_size=3).map(_JSON.validate_python)
    if origin is dict:
        return st.dictionaries(_TEXT, json_of(arguments[1], depth), max_size=2).map(_JSON.validate_python)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return model_of(annotation, depth + 1)
    return st.none()


@cache
def model_of(model: type[BaseModel], depth: int = 0) -> Generated:
    """JSON that the model allows."""
    required = {
        name: json_of(field.annotation, depth) for name, field in model.model_fields.items() if field.is_required()
    }
    optional = {
        name: json_of(field.annotation, depth)
        for name, field in model.model_fields.items()
        if not field.is_required() and depth < _DEEPEST
    }
    return st.fixed_dictionaries(required, optional=optional).map(_JSON.validate_python)


def as_sent(model: type[BaseModel], generated: JsonValue) -> Wire:
    """The JSON of the vendor's own object of that type."""
    wire = _JSON.validate_json(model.model_validate(generated).model_dump_json(by_alias=True))
    assert isinstance(wire, dict)
    return wire


def objects(wire: Wire, name: str) -> list[Wire]:
    value = wire.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def under(wire: Wire, name: str) -> Wire:
    value = wire.get(name)
    return value if isinstance(value, dict) else {}


def words(wire: Wire, name: str) -> str:
    return clean(str(wire.get(name) or ""))


_STOPS = frozenset(".,!?;:…।")  # no blank before these


def said_in(entry: Wire) -> str:
    parts = [words(part, "text") for part in objects(under(entry, "multivoice_message"), "parts")]
    return words(entry, "message") or "".join(
        part if part in _STOPS or not index else f" {part}" for index, part in enumerate(filter(None, parts))
    )


@_patient
@given(model_of(DETAIL))
def test_every_turn_of_a_conversation_is_kept_in_order(generated: JsonValue):
    wire = as_sent(DETAIL, generated)
    expected: list[tuple[str, str]] = []
    for entry in objects(wire, "transcript"):
        calls, results = objects(entry, "tool_calls"), objects(entry, "tool_results")
        if said_in(entry) or not (calls or results):
            expected.append(({"user": "contact"}.get(words(entry, "role"), words(entry, "role")), said_in(entry)))
        expected += [("tool", f"tool call {words(call, 'tool_name') or 'unnamed'}") for call in calls]
        expected += [("tool", f"tool result {words(result, 'tool_name') or 'unnamed'}") for result in results]

    turns = parse_detail(wire).turns or ()
    assert len(turns) == len(expected)
    for turn, (role, text) in zip(turns, expected, strict=True):
        assert turn.role == role
        assert turn.text.startswith(text) if role == "tool" else turn.text == text


@_patient
@given(model_of(DETAIL))
def test_evaluation_and_collected_data_are_kept(generated: JsonValue):
    wire = as_sent(DETAIL, generated)
    analysis, read = under(wire, "analysis"), parse_detail(wire)
    results = read.results or {}

    assert read.conversation_id == words(wire, "conversation_id")
    assert (read.agent_id or "", read.status) == (words(wire, "agent_id"), wire["status"])
    assert results.get("summary", "") == words(analysis, "transcript_summary")
    for ours, theirs in (("evaluation", "evaluation_criteria_results"), ("data", "data_collection_results")):
        listed = objects(analysis, f"{theirs}_list") if analysis.get(theirs) is None else []
        ids = {words(entry, "criteria_id") or words(entry, "data_collection_id") for entry in listed} - {""}
        assert under(results, ours).keys() == {clean(key) for key in under(analysis, theirs)} | ids


@_patient
@given(model_of(PAGE))
def test_every_conversation_of_a_page_is_kept_in_order(generated: JsonValue):
    wire = as_sent(PAGE, generated)
    assume(wire.get("next_cursor") or not wire["has_more"])
    read = parse_page(wire, "")

    ids = [words(row, "conversation_id") for row in objects(wire, "conversations")]
    assert [row.conversation_id for row in read.page.conversations] == [row for row in ids if row]
    assert read.page.row_count == len(ids)
    assert read.next_cursor == (wire["next_cursor"] if wire["has_more"] else "")
