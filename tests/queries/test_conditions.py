"""Conditions on results and contact numbers, as people write them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Condition
from formant_mcp.queries.conditions import parse_condition, parse_conditions, parse_contact_filter


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("intent=dispute", Condition("intent", "=", "dispute")),
        ("intent==dispute", Condition("intent", "=", "dispute")),
        ("intent!=dispute", Condition("intent", "!=", "dispute")),
        ("csat<=2", Condition("csat", "<=", "2")),
        ("csat>=2", Condition("csat", ">=", "2")),
        ("csat<-2.5", Condition("csat", "<", "-2.5")),
        ("csat > 2", Condition("csat", ">", "2")),
        ("language.primary=hi", Condition("language.primary", "=", "hi")),
        ("results.language.primary = hi", Condition("language.primary", "=", "hi")),
        ("promised_amount exists", Condition("promised_amount", "exists")),
        ("  promised_amount   MISSING  ", Condition("promised_amount", "missing")),
        ("results.promised_amount exists", Condition("promised_amount", "exists")),
        ('intent="payment confirmed"', Condition("intent", "=", "payment confirmed")),
        ("intent = 'payment confirmed'", Condition("intent", "=", "payment confirmed")),
        ("next step = call back", Condition("next step", "=", "call back")),
        ("next step exists", Condition("next step", "exists")),
        ("इरादा=भुगतान", Condition("इरादा", "=", "भुगतान")),
        ('intent=""', Condition("intent", "=", "")),
        ("formula=a=b", Condition("formula", "=", "a=b")),
        ('sign="<>"', Condition("sign", "=", "<>")),
        ("reason=documents missing", Condition("reason", "=", "documents missing")),
        ("intent= exists", Condition("intent", "=", "exists")),
        ("exists exists", Condition("exists", "exists")),
        ("missing=exists", Condition("missing", "=", "exists")),
        ("note=two\nlines", Condition("note", "=", "two\nlines")),
    ],
)
def test_a_condition_is_parsed(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "intent",
        "intent=",
        "=dispute",
        "intent!dispute",
        "intent is dispute",
        "exists",
        " missing",
        "results.=1",
        "results. exists",
        "csat=>2",
        "csat=<2",
        "csat===2",
        "csat>>2",
        "csat =! 2",
        "csat= =2",
        "!=2",
        "<2",
    ],
)
def test_an_invalid_condition_is_refused_with_accepted_forms(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^results has an invalid condition") as raised:
        parse_condition(text)
    assert "intent=dispute" in raised.value.hint
    assert "promised_amount missing" in raised.value.hint


TORN = "the box was torn and one piece was missing"
FROM_TO = [Condition("amount", ">=", "1,000"), Condition("amount", "<=", "5,000")]
DISPUTE, LOW = Condition("intent", "=", "dispute"), Condition("csat", "<=", "2")


@pytest.mark.parametrize(
    ("sent", "conditions"),
    [
        ("intent=dispute, csat<=2", [DISPUTE, LOW]),
        ("intent=dispute,csat<=2", [DISPUTE, LOW]),
        ("intent=dispute; csat<=2;", [DISPUTE, LOW]),
        ("intent=dispute\ncsat<=2", [DISPUTE, LOW]),
        ("intent=dispute and csat<=2", [DISPUTE, LOW]),
        ("intent=dispute AND csat <= 2", [DISPUTE, LOW]),
        ("intent=dispute && results.csat<=2", [DISPUTE, LOW]),
        ("[intent=dispute, csat<=2]", [DISPUTE, LOW]),
        ("['intent=dispute', 'csat<=2']", [DISPUTE, LOW]),
        ('["intent=dispute", "csat<=2"]', [DISPUTE, LOW]),
        (["intent=dispute", None, "csat<=2"], [DISPUTE, LOW]),
        ({"intent": "dispute", "csat": "<=2"}, [DISPUTE, LOW]),
        ("{'intent': 'dispute'}", [DISPUTE]),
        ({"intent": ["dispute"], "csat": {"<=": 2}}, [DISPUTE, LOW]),
        ({"csat": {"$lte": 2}}, [LOW]),
        ([{"field": "csat", "operator": "lte", "value": 2}], [LOW]),
        ({"path": "csat", "op": "<=", "value": "2"}, [LOW]),
        ({"name": "intent", "value": "dispute"}, [DISPUTE]),
        ({"key": "intent", "comparison": "is not null"}, [Condition("intent", "exists")]),
        ({"intent": "missing"}, [Condition("intent", "missing")]),
        ({"intent": {"exists": False}}, [Condition("intent", "missing")]),
        ({"language": {"primary": "hi"}}, [Condition("language.primary", "=", "hi")]),
        ({"escalate": True}, [Condition("escalate", "=", "true")]),
        ({"note": "a=1 and b=2"}, [Condition("note", "=", "a=1 and b=2")]),
        ("amount=15,000", [Condition("amount", "=", "15,000")]),
        ("amount=15,000, csat<=2", [Condition("amount", "=", "15,000"), LOW]),
        ("note=first, second", [Condition("note", "=", "first, second")]),
        ("note=bread and butter", [Condition("note", "=", "bread and butter")]),
        ('note="a, b=1", csat<=2', [Condition("note", "=", "a, b=1"), LOW]),
        ("intent exists, csat<=2", [Condition("intent", "exists"), LOW]),
        ('language={"primary":"hi"}, csat<=2', [Condition("language.primary", "=", "hi"), LOW]),
        ('tags=["a","b"]', [Condition("tags", "=", "a"), Condition("tags", "=", "b")]),
        ("intent=(none)", [Condition("intent", "=", "(none)")]),
        # Text inside a value is no condition.
        ("comment=the box was torn and one piece was missing", [Condition("comment", "=", TORN)]),
        ([f"comment={TORN}"], [Condition("comment", "=", TORN)]),
        (["note=x or y=1"], [Condition("note", "=", "x or y=1")]),
        (["note=all paid, csat exists"], [Condition("note", "=", "all paid, csat exists")]),
        ('note="x or y=1", csat<=2', [Condition("note", "=", "x or y=1"), LOW]),
        ("`note`=`x or y=1` and csat<=2", [Condition("note", "=", "x or y=1"), LOW]),
        ("note=“x or y=1” and csat<=2", [Condition("note", "=", "x or y=1"), LOW]),
        ("note=we met, 2nd=3", [Condition("note", "=", "we met, 2nd=3")]),
        ("note=this or that, csat<=2", [Condition("note", "=", "this or that"), LOW]),
        # A comma within a number does not separate conditions.
        ("amount>=1,000 and amount<=5,000", FROM_TO),
        ("amount>=1,000 && amount<=5,000", FROM_TO),
        ("amount>=1,000&&amount<=5,000", FROM_TO),
        ("amount>=1,000, amount<=5,000", FROM_TO),
        (["amount>=1,000 and amount<=5,000"], FROM_TO),
        (["amount>=1,000", "amount<=5,000"], FROM_TO),
        ("amount<=5,000 and csat exists", [FROM_TO[1], Condition("csat", "exists")]),
        (["csat exists and amount<=5,000"], [Condition("csat", "exists"), FROM_TO[1]]),
        (["csat exists and nps missing"], [Condition("csat", "exists"), Condition("nps", "missing")]),
        ('csat<=2 and "next step"=call', [LOW, Condition("next step", "=", "call")]),
        # Quotes around all of it, and other signs.
        ("`intent=dispute` and `csat<=2`", [DISPUTE, LOW]),
        ("‘intent=dispute’", [DISPUTE]),
        ("`csat`≤2", [LOW]),
        ("csat ≥ 2, intent≠dispute", [Condition("csat", ">=", "2"), Condition("intent", "!=", "dispute")]),
        ("csat<>2", [Condition("csat", "!=", "2")]),
        ({"csat": "≤2"}, [LOW]),
        ("Results.intent=dispute", [DISPUTE]),
        # Objects in other common styles.
        ({"intent": {"operator": "=", "value": "dispute"}}, [DISPUTE]),
        ({"intent": {"value": "dispute"}}, [DISPUTE]),
        ({"intent": {"$in": ["dispute"]}}, [DISPUTE]),
        ({"intent": {"not in": ["dispute"]}}, [Condition("intent", "!=", "dispute")]),
        ({"csat": {"min": 1, "max": 2}}, [Condition("csat", ">=", "1"), LOW]),
        ({"delay": {"min": 1, "mean": 2}}, [Condition("delay.min", "=", "1"), Condition("delay.mean", "=", "2")]),
        ({"field": "intent", "value": "dispute", "type": "string"}, [DISPUTE]),
        ({"field": "csat", "comparator": "<=", "val": 2}, [LOW]),
        ({"column": "csat", "op": "lessThanOrEqual", "value": 2}, [LOW]),
        ({"and": [{"intent": "dispute"}, "csat<=2"]}, [DISPUTE, LOW]),
        ({"$and": [{"intent": {"$eq": "dispute"}}, {"csat": {"$lte": 2}}]}, [DISPUTE, LOW]),
        ({"type": "refund", "name": "Ravi"}, [Condition("type", "=", "refund"), Condition("name", "=", "Ravi")]),
        # null is no value.
        ({"intent": None}, [Condition("intent", "missing")]),
        ({"intent": {"$ne": None}}, [Condition("intent", "exists")]),
        ({"field": "intent", "operator": "=", "value": None}, [Condition("intent", "missing")]),
        (
            'visit={"outcome":"confirmed","moved_to":null}',
            [Condition("visit.outcome", "=", "confirmed"), Condition("visit.moved_to", "missing")],
        ),
        ('tags=["a",null]', [Condition("tags", "=", "a")]),
        ("", []),
        ([], []),
        ({}, []),
    ],
    ids=str,
)
def test_conditions_are_parsed_in_the_shapes_that_models_send(sent: object, conditions: list[Condition]) -> None:
    assert parse_conditions(sent) == conditions


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("intent=dispute or intent=refund", "there is no OR"),
        ("intent=dispute || csat<=2", "there is no OR"),
        ({"intent": ["dispute", "refund"]}, "one value for each condition"),
        ({"intent": []}, "one value for each condition"),
        ({"field": "intent", "operator": "="}, "a condition without a value"),
        ({"csat": {">=": None}}, "a condition without a value"),
        ("note=x or y=1", "there is no OR"),
        ("promised_amount>=1,000 csat=2", "none of these"),
        (["csat>=1,000 csat=2"], "none of these"),
        ("intent!=dispute csat<=2", "invalid condition"),
        (["intent, csat<=2"], "invalid condition"),
        (["csat exists and"], "invalid condition"),
        ({"intent": {"$in": ["dispute", "refund"]}}, "one value for each condition"),
        ({"tags": {"contains": "x"}}, "unknown operator"),
        ({"tags": {"notContains": "x"}}, "unknown operator"),
        ({"tags": {"$regex": "x"}}, "unknown operator"),
        ({"tags": {"operator": "starts with", "value": "x"}}, "unknown operator"),
        ({"or": [{"intent": "dispute"}, {"csat": 2}]}, "there is no OR"),
        ({"$or": [{"intent": "dispute"}]}, "there is no OR"),
        ({"not": {"intent": "dispute"}}, "there is no NOT"),
        ({"field": "intent"}, "a condition without a value"),
        ({"field": "intent", "operator": "like", "value": "d"}, "unknown operator"),
        ("intent=(not read yet)", "not loaded"),
        ("intent, csat<=2", "invalid condition"),
        (5, "invalid condition"),
        (True, "invalid condition"),
        ([[[[[[[[[["intent=dispute"]]]]]]]]]], "invalid condition"),
    ],
)
def test_unsupported_conditions_are_refused_with_the_reason(sent: object, words: str) -> None:
    with pytest.raises(InvalidRequestError, match="results") as raised:
        parse_conditions(sent)
    assert words in raised.value.message


@given(st.text() | st.from_regex(r"[a-z. ]{0,5}[=<>! ]{0,3}[a-z=<>! ]{0,5}( exists| missing)?", fullmatch=True))
def test_any_text_is_a_condition_on_a_path_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except InvalidRequestError:
        return
    assert condition.path.strip() == condition.path != ""
    assert not set("=<>!") & set(condition.path)
    assert condition.operator not in ("exists", "missing") or not condition.value


@pytest.mark.parametrize("sign", ["a", " ", "=", "a ", "exists ", "<>", "\n", "'", ",", ", a", '="', " and "])
def test_a_very_long_text_is_parsed_or_refused_within_a_second(sign: str) -> None:
    # A regular expression that backtracks over a long run of one character takes many seconds for this.
    begun = time.process_time()
    for text in (f"a{sign * 30_000}b", f"a{sign * 30_000}=b", f"a={sign * 30_000}b"):
        try:
            assert parse_condition(text)
            assert parse_conditions(text)
        except InvalidRequestError:
            continue
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "value",
    ["2.5 lakh", "₹ 2.5 lakh", "5k", "20 Nov 2026", "20/11/2026", "12,5", "-5 min", "10am", "(5)", "5_000", "1e999"],
)
def test_values_that_only_begin_with_a_number_are_refused_for_comparison_by_size(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="results: <") as raised:
        parse_condition(f"amount>={value}")
    assert "amount>=250000" in raised.value.hint
    assert parse_condition(f"amount={value}").value == value


@pytest.mark.parametrize(
    "value",
    [
        "15,000",
        "₹1,50,000",
        "-2.5",
        "80%",
        "2026-11-20T10:00Z",
        "2026-11",
        "10:30",
        "hi",
        "007",
        "+5",
        "1e4",
        "-2.5E-1",
    ],
)
def test_numbers_dates_and_words_are_accepted_for_comparison_by_size(value: str) -> None:
    assert parse_condition(f"amount>={value}") == Condition("amount", ">=", value)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_contact_number_is_no_filter(text: str) -> None:
    assert parse_contact_filter(text) == ()


@pytest.mark.parametrize("text", ["43210 or 43211", "ends with 3210", "+", "()", "²", "+-", "00000000"])
def test_a_contact_that_is_no_number_or_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="contact_number") as raised:
        parse_contact_filter(text)
    assert "43210" in raised.value.hint


@pytest.mark.parametrize("between", [",", ", ", ";", " ; ", "/", " / ", " ", "  ", "\n", " | ", " & ", ",,"], ids=repr)
@pytest.mark.parametrize("second", ["+919999907002", "+91 99999 07002", "+9107"])
def test_several_contact_numbers_are_refused(between: str, second: str) -> None:
    for first in ("+919999904010", "09999904010", "99999 04010"):
        with pytest.raises(InvalidRequestError, match="takes one number") as raised:
            parse_contact_filter(f"{first}{between}{second}")
        assert raised.value.hint == "Ask once for each."


@pytest.mark.parametrize(
    "text",
    ["919999904010,919999907002", "9999904010 9999907002", "9999904010; 99999 07002", "04010,07002"],
)
def test_several_contact_numbers_without_a_country_code_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="takes one number"):
        parse_contact_filter(text)


@pytest.mark.parametrize(
    "text",
    [
        "+91 98765 43210,,123456789#",
        "+91 98765 43210,12345",
        "+91 98765 43210 x12345678",
        "tel:+91-98765-43210;phone-context=+91",
        "sip:+919876543210@10.200.123.123:5060",
        "089/12345678",
        "+49 30 / 12345678",
        "*67 +919876543210",
    ],
)
def test_extensions_and_prefixes_of_one_contact_number_are_accepted(text: str) -> None:
    assert parse_contact_filter(text)


@given(st.text() | st.from_regex(r"(\+|00)?[0-9 ()./x\-;=,०-९]{0,25}(ext\. ?[0-9]{1,5})?", fullmatch=True))
def test_any_text_is_a_contact_filter_or_refused(text: str) -> None:
    try:
        spellings = parse_contact_filter(text)
    except InvalidRequestError:
        return
    assert bool(spellings) == bool(text.strip())
    assert all(spelling.removeprefix("=") for spelling in spellings)
