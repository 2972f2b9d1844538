"""Labels for phone numbers, e-mail addresses and ids: which are found, which are the same, and what stays."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redacted_text import RedactedText
from formant_mcp.redaction.redactor import Redactor

ONE_NUMBER = (
    "98203 44716", "+91 98203 44716", "098203-44716", "0091 9820344716", "(+91) 98203 44716", "९८२०३ ४४७१६",
    "９８２０３４４７１６", "9 8 2 0 3 4 4 7 1 6", "98.20.34.47.16",
    "nine eight two zero three double four seven one six", "nine eight two oh three, umm, four four seven one six",
    "ninety eight twenty thirty four forty seven sixteen", "nau aath do zero teen chaar chaar saat ek chhe",
    "nau aat do jiro tin do baar char sat ek che", "98 two zero three 44 saat ek 6",
    "नौ आठ दो शून्य तीन डबल चार सात एक छह", "नाइन एट टू ज़ीरो थ्री फोर फोर सेवन वन सिक्स",
    "athanve bees chauntis saintalis solah",
)  # fmt: skip
PIECES = """
98203 44716 9 8 1234 2026 ९ 5,400 ₹ rupees nau aath do double saath sattar नौ डबल एट रेट at the rate gmail dot com @
okaxis number call me on account card aadhaar <number 1> A B C foo ok haan , . - + ( )
"""
WORDS = st.lists(st.sampled_from(PIECES.split()), max_size=25).map(" ".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=8,
)


def redact(text: str) -> str:
    return Redactor(KINDS).text(text)


@pytest.mark.parametrize("said", ONE_NUMBER)
def test_a_number_has_one_label_however_it_is_said(said: str) -> None:
    redactor = Redactor(KINDS)
    assert redactor.number("+919820344716") == "<number 1>"
    assert redactor.text(f"Call {said} please") == "Call <number 1> please"


@pytest.mark.parametrize(
    ("said", "redacted"),
    [
        ("Call +1 415 555 0132 or 8879120045", "Call <number 1> or <number 2>"),
        ("my landline is (022) 2645 8890", "my landline is <number 1>"),
        ("rahul.sharma@gmail.com", "<email 1>"),
        ("it is rahul dot sharma at the rate gmail dot com ok", "it is <email 1> ok"),
        ("mera ईमेल राहुल डॉट शर्मा एट जीमेल डॉट कॉम है", "mera ईमेल <email 1> है"),
        ("pay rahul@okaxis now", "pay <id 1> now"),
        ("card 4539 1488 0343 6467", "card <id 1>"),
        ("aadhaar do teen char paanch chhe saat aath nau zero ek do char", "aadhaar <id 1>"),
        ("PAN A B C P K one two three four F", "PAN <id 1>"),
        ("GB82 WEST 1234 5698 7654 32", "<id 1>"),
        ("account number 50100234567891", "account number <id 1>"),
        ("is it 98203&44716 or 88791 & 20045", "is it <number 1> or <number 2>"),
        ("rahul[at]gmail.com, rahul (at) gmail (dot) com", "<email 1>, <email 1>"),
        ("raj-at-gmail-dot-com, or raj at y b l", "<email 1>, or <id 1>"),
        ("order 45218734, mobile 98203 44716", "order 45218734, mobile <number 1>"),
        ("order for mobile number 2645 8890", "order for mobile number <number 1>"),
    ],
)
def test_an_identifier_becomes_a_label(said: str, redacted: str) -> None:
    assert redact(said) == redacted


@pytest.mark.parametrize(
    "said",
    [
        "I paid five thousand four hundred on 2026-11-20 at 10:42",
        "do teen din, char paanch baar",
        "order 452187, pincode 560001, OTP 482913",
        "₹1,25,000 for 36 months at 10.5%",
        "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1",
        "no no no, now to two for four",
        "the last four digits are 4 7 1 6",
        "in 2019, 2020, 2021 and 2022",
        "order number 45218734, ticket no. is 1029 3847, शिकायत नंबर ७७८८९९००",
        "order number four five two one eight seven three four",
        "at 1763623330, 1763623330123 and 20261120-104233",
        "he comes at noon dot in two days, or at six dot in the evening",
        "stare at it. In fact, gmail works",
        "sugar 110 145 180 210",
    ],
)
def test_what_is_no_identifier_stays(said: str) -> None:
    assert redact(said) == said


def test_a_number_over_several_turns_is_hidden_in_all_of_them() -> None:
    turns = ["mera number hai 98203", "98203, aage boliye", "phir 44 716", "OK, 4 din mein call karenge"]
    hidden = ["mera number hai <number 1>", "<number 1>, aage boliye", "phir <number 1>", turns[3]]
    assert Redactor(KINDS).turns(turns) == hidden


def test_an_end_of_five_digits_that_is_said_again_is_hidden_but_not_one_of_four() -> None:
    turns = ["98203 44716", "ends with 44716?", "with 4716"]
    assert Redactor(KINDS).turns(turns) == ["<number 1>", "ends with <number 1>?", "with 4716"]


def test_amounts_and_other_numbers_in_successive_turns_are_not_joined() -> None:
    turns = ["order number?", "98203", "and the pincode?", "44716", "9 EMIs", "of 8203"]
    assert Redactor(KINDS).turns(turns) == turns


def test_only_the_chosen_kinds_are_hidden() -> None:
    said = "9820344716, rahul@gmail.com, ABCPK1234F"
    assert Redactor(["numbers"]).text(said) == "<number 1>, rahul@gmail.com, ABCPK1234F"
    assert Redactor(["emails"]).text(said) == "9820344716, <email 1>, ABCPK1234F"
    assert Redactor(["ids"]).text(said) == "9820344716, rahul@gmail.com, <id 1>"
    assert Redactor([]).text(said) == said


def test_a_label_that_somebody_says_is_not_taken_for_ours() -> None:
    redactor = Redactor(KINDS)
    assert redactor.text("9820344716") == "<number 1>"
    assert redactor.text("<number 1> said so, < ID 2 >") == "‹number 1› said so, ‹ ID 2 ›"


def test_spoken_and_written_addresses_have_one_label() -> None:
    redactor = Redactor(KINDS)
    said = [
        "priya_92@yahoo.co.in",
        "Priya underscore nine two at yahoo dot co dot in",
        "priya_92 at the rate yahoo.co.in",
    ]
    assert [redactor.text(text) for text in said] == ["<email 1>"] * 3


def test_an_address_is_hidden_far_into_a_turn() -> None:
    before = "and then I told them so " * 20
    assert redact(f"{before}mail rahul dot sharma at gmail dot com") == f"{before}mail <email 1>"


def test_a_field_with_a_number_is_always_a_label() -> None:
    redactor = Redactor(KINDS)
    numbers = ["+919820344716", "sip:+919820344716@example.com", "anonymous", "56161", "", None]
    assert [redactor.number(number) for number in numbers] == [
        "<number 1>",
        "<number 1>",
        "<number 2>",
        "<number 3>",
        "",
        None,
    ]
    assert Redactor(["emails"]).number("+919820344716") == "+919820344716"


def test_values_are_redacted_in_texts_numbers_and_keys() -> None:
    value: JsonValue = {
        "said": ["call 98203 44716", 9820344716, 9820344716.0, True, None],
        "9820344716": {"amount": 1500000, "at": 1764418800, "score": 4.5},
        "mobile_number": "2645 8890",
        "accountNumber": 50100234,
        "account_balance": 50100234,
    }
    assert Redactor(KINDS).value(value) == {
        "said": ["call <number 1>", "<number 1>", "<number 1>", True, None],
        "<number 1>": {"amount": 1500000, "at": 1764418800, "score": 4.5},
        "mobile_number": "<number 2>",
        "accountNumber": "<id 1>",
        "account_balance": 50100234,
    }


def test_no_value_is_lost_where_two_keys_are_one_number() -> None:
    assert Redactor(KINDS).value({"98203 44716": 1, "9820344716": 2}) == {"<number 1>": 1, "<number 1>'": 2}


@given(st.one_of(st.text(), WORDS))
def test_no_text_is_refused_and_none_changes_twice(text: str) -> None:
    redactor = Redactor(KINDS)
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert redact(text) == once


@given(st.lists(st.one_of(WORDS, st.text(max_size=20)), max_size=8))
def test_turns_stay_as_many_and_those_with_labels_do_not_change_twice(turns: list[str]) -> None:
    redactor = Redactor(KINDS)
    once = redactor.turns(turns)
    assert len(once) == len(turns)
    for redacted, twice in zip(once, redactor.turns(once), strict=True):
        assert twice == redacted or "<number 1>" not in redacted


@given(st.lists(st.sampled_from(["98203", "44716", "98203 44716", "haan ji", "call me on 8879120045", "EMI 5,400"])))
def test_ordinary_turns_do_not_change_twice(turns: list[str]) -> None:
    redactor = Redactor(KINDS)
    once = redactor.turns(turns)
    assert redactor.turns(once) == once


SAID = st.sampled_from(
    [
        "98203",
        "44716",
        "98203 44716",
        "haan ji",
        "to do",
        "no",
        "nau aath",
        "call me on 8879120045",
        "EMI 5,400",
        "pin 447 166",
        "card",
        "mail raj at ok",
        "at gmail dot com",
        "chaar saat ek chhe",
        "order 452187",
    ]
)


@given(st.lists(st.one_of(SAID, st.just("I see"), st.just("and so on")), max_size=10), st.integers(0, 10), st.data())
def test_a_part_is_that_of_the_whole(turns: list[str], first: int, data: st.DataObject) -> None:
    first = min(first, len(turns))
    shown = range(first, data.draw(st.integers(first, len(turns))))
    whole = [re.sub(r"\d+>", ">", text) for text in Redactor(KINDS).turns(turns)[shown.start : shown.stop]]
    assert [re.sub(r"\d+>", ">", text) for text in Redactor(KINDS).part(turns, shown)] == whole


def test_an_end_of_a_number_far_away_is_hidden_in_a_part() -> None:
    turns = ["ends with 44716?", *["and so on"] * 50, "nau aath do zero teen 44716"]
    assert Redactor(KINDS).part(turns, range(1)) == ["ends with <number 1>?"]


def test_a_place_in_an_identifier_is_its_label() -> None:
    said = "Ask 98203 44716, or raj at gmail.com, ok"
    redacted = Redactor(KINDS).text(said)
    assert isinstance(redacted, RedactedText)
    words = [(said.index(word), said.index(word) + len(word)) for word in ("Ask", "98203", "44716", "or", "raj", "ok")]
    marked = [redacted[start:end] for start, end in redacted.shown(words)]
    assert marked == ["Ask", "<number 1>", "or", "<email 1>", "ok"]
    assert [redacted[start:end] for start, end in redacted.shown([(0, len(said))])] == [redacted]


@given(VALUES)
def test_a_value_keeps_its_form(value: JsonValue) -> None:
    redacted = Redactor(KINDS).value(value)
    assert json.dumps(redacted)
    match value, redacted:
        case (list(), list()) | (dict(), dict()):
            assert len(redacted) == len(value)
        case _:
            assert not isinstance(value, list | dict)


def test_libraries_are_imported_only_for_an_answer_with_identifiers() -> None:
    script = (
        "import sys\n"
        "from formant_mcp.redaction.kinds import KINDS\n"
        "from formant_mcp.redaction.redactor import Redactor\n"
        "Redactor(KINDS).turns(['Your EMI of 5,400 is due', 'haan ji, do din mein'])\n"
        "print('phonenumbers' in sys.modules or 'stdnum' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_numbers_of_two_countries_are_two_people_and_one_without_a_code_is_of_the_code_seen() -> None:
    redactor = Redactor(KINDS)
    assert redactor.number("+919876543210") == redactor.number("9876543210") == "<number 1>"
    assert redactor.number("+449876543210") == "<number 2>"
    assert redactor.number("098765 43210") == "<number 1>"


def test_decimals_after_a_number_do_not_show_it() -> None:
    assert "43210" not in Redactor(KINDS).text("It is 98765 43210.00 rupees")
    assert Redactor(KINDS).text("It is 43210.50 rupees") == "It is 43210.50 rupees"
