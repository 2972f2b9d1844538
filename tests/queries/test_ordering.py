"""order_by and fields in the forms in which people and models write them."""

import time

import pytest
from pydantic import JsonValue

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import FIELDS, NEWEST, ORDERS, Order
from formant_mcp.queries.ordering import parse_fields, parse_order, values_of
from formant_mcp.server.tools.schemas import ConversationFields
from formant_mcp.store.result_values import values_by_path

COLUMNS = ("conversation_id", "agent_name", *FIELDS)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("newest", NEWEST),
        (" LONGEST ", ORDERS["longest"]),
        ("-signals.agent_repeats", Order("signals.agent_repeats", descending=True)),
        ("signals.agent_repeats desc", Order("signals.agent_repeats", descending=True)),
        ("Signals.Agent Repeats DESC", Order("signals.agent_repeats", descending=True)),
        ("results.csat", Order("results.csat")),
        ("+csat", Order("results.csat")),
        ("csat asc", Order("results.csat")),
        ("csat ascending", Order("results.csat")),
        ("csat:desc", Order("results.csat", descending=True)),
        ("- language.primary", Order("results.language.primary", descending=True)),
        ("-csat descending", Order("results.csat", descending=True)),
        ("-started_at", NEWEST),
        ("started", ORDERS["oldest"]),
        ("duration desc", ORDERS["longest"]),
        ("seconds", ORDERS["shortest"]),
        ("results.status", Order("results.status")),
        ("final desc score", Order("results.final desc score")),
    ],
)
def test_an_order_is_parsed_in_any_form(text: str, order: Order) -> None:
    assert parse_order(text) == order


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("newst", "Did you mean newest?"),
        ("-durations", "Did you mean duration?"),
        ("-status", "order_by does not take 'status'."),
        ("agent asc", "order_by does not take 'agent'."),
        ("csat desc, started_at", "order_by does not take 'csat desc, started_at'."),
        ("-newest", "order_by does not take '-newest'."),
        ("oldest desc", "order_by does not take 'oldest desc'."),
        ("-csat asc", "order_by does not take '-csat asc'."),
        ("-signals.agent_repeat", "Did you mean agent_repeats?"),
    ],
)
def test_what_is_no_order_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        parse_order(text)
    assert said in refused.value.message
    assert refused.value.hint


def test_fields_are_a_calls_own_and_those_of_results_and_signals() -> None:
    assert set(ConversationFields.model_fields) == set(COLUMNS)
    words = ["Started", "agent", "status", "csat", "results.csat", "signals.ended_by", "status", "results.status"]
    fields = ("started_at", "agent_id", "status", "results.csat", "signals.ended_by", "results.status")
    assert parse_fields(words, COLUMNS) == fields
    assert parse_fields([], COLUMNS) == ()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("stauts", "fields does not take 'stauts'. Did you mean status?"),
        ("trace_id", "fields does not take 'trace_id'."),
        ("results", "fields does not take 'results'."),
        ("signals.ended", "Did you mean ended_by?"),
    ],
)
def test_what_is_no_field_is_refused(word: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said.replace("?", r"\?")):
        parse_fields(["status", word], COLUMNS)


def test_a_long_order_is_not_searched_for_a_direction() -> None:
    began = time.process_time()
    parse_order(": " * 10_000)
    assert time.process_time() - began < 0.5


def test_more_than_thirty_fields_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at most 30"):
        parse_fields([f"results.{n}" for n in range(31)], COLUMNS)


def test_values_are_those_of_leaves_several_of_a_path_as_a_list() -> None:
    results: dict[str, JsonValue] = {
        "csat": 4,
        "tags": [{"name": "a"}, {"name": "b"}, None],
        "a": {"b": "", "c": False},
        "a.b": "x",
    }
    names = ["results.csat", "results.tags.name", "results.a.b", "results.a.c", "results.a", "signals.opt_out"]
    assert values_of(values_by_path(results), {"opt_out": 3, "turn_count": 9}, names) == {
        "results.csat": 4,
        "results.tags.name": ["a", "b"],
        "results.a.b": "x",
        "results.a.c": False,
        "signals.opt_out": 3,
    }
    assert values_of({}, {}, names) == {}
