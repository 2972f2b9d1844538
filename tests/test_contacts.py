"""Contact numbers: a number stored in one spelling is found by any other, and no other number is."""

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formant_mcp.contacts import parse_contact
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NEWEST, Filters
from formant_mcp.models import Conversation
from formant_mcp.queries.conditions import parse_contact_filter
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

INDIAN = [
    "+919876543210", "+91 98765-43210", "+91 (987) 654.3210", "919876543210", "0091 98765 43210", "011 91 98765 43210",
    "+91 098765 43210", "+91 (0) 98765 43210", "9109876543210", "+९१ ९८७६५ ४३२१०", "＋91 98765 43210",
    "sip:+919876543210@sip.example.com;transport=udp", '"Rahul 2" <sip:+919876543210@10.0.0.1:5060>',
    "sips:00919876543210@10.0.0.1", "sip:%2B919876543210@host", "919876543210@s.whatsapp.net", "919876543210:12@c.us",
    "tel:+91-98765-43210;ext=5", "tel:+919876543210;phone-context=example.com", "whatsapp:+919876543210",
    "+91 98765 43210 x123", "+91 98765 43210 ext. 5", "+91 98765 43210 Extn: 5", "+91 98765 43210#5",
    "+91 98765 43210,,5#", "+91 98765 43210;5", "Mobile: +91 98765 43210", "#31#+919876543210", "*67 +919876543210",
]  # fmt: skip
INDIAN_AT_HOME = [
    "9876543210",
    "098765 43210",
    "98765-43210",
    "(0)98765 43210",
    "098765 43210 x5",
    "sip:9876543210@pbx",
]
MEXICAN = [
    "+525512345678", "+52 55 1234 5678", "+52 1 55 1234 5678", "+5215512345678", "5215512345678", "525512345678",
    "whatsapp:+5215512345678", "5215512345678@s.whatsapp.net", "00 52 1 55 1234 5678", "+52 044 55 1234 5678",
]  # fmt: skip
ARGENTINE = [
    "+5491155550101", "+54 9 11 5555-0101", "+54 11 15 5555 0101", "+54 11 5555 0101", "5491155550101",
    "54 011 15 5555 0101",
]  # fmt: skip
BRAZILIAN = ["+5511987654321", "+55 11 98765-4321", "+55 11 8765-4321", "551187654321", "whatsapp:+551187654321"]
BRITISH = ["+442079460958", "+44 (0)20 7946 0958", "+4402079460958", "0044 (0)20 7946 0958", "442079460958"]
ITALIAN = ["+390612345678", "+39 06 1234 5678", "0039 06 1234 5678", "390612345678"]
RUSSIAN = ["+79123456789", "+7 912 345-67-89", "+7 8 912 345 67 89", "79123456789@c.us", "8 (912) 345-67-89"]
AMERICAN = ["+14155550100", "1-415-555-0100", "+1 (415) 555-0100", "0014155550100", "14155550100"]
ADDRESS = [
    "sip:alice@example.com",
    "sip:Alice@Example.COM;transport=udp",
    "<sip:alice@example.com>",
    "alice@example.com",
]
SAME = [INDIAN, MEXICAN, ARGENTINE, BRAZILIAN, BRITISH, ITALIAN, RUSSIAN, AMERICAN, ADDRESS]


async def found_by(text: str, stored: list[str]) -> list[str]:
    """The stored numbers that a filter with this text finds."""
    store = await open_store(None)
    await store.write.save([Conversation(f"{n:03}", contact_number=number) for n, number in enumerate(stored)], NOW)
    page = await store.read.page(Filters(contact_number=parse_contact_filter(text)), NEWEST, 200)
    await store.close()
    return sorted((str(call.contact_number) for _, call in page), key=stored.index)


@pytest.mark.parametrize(("number", "stored"), [(number, group) for group in SAME for number in group])
async def test_every_spelling_of_a_number_finds_every_other(number: str, stored: list[str]) -> None:
    others = [number for group in SAME if group is not stored for number in group]
    assert await found_by(number, stored + others) == stored


@pytest.mark.parametrize("number", INDIAN)
async def test_a_number_finds_stored_numbers_without_country_code(number: str) -> None:
    assert await found_by(number, INDIAN_AT_HOME) == INDIAN_AT_HOME


@pytest.mark.parametrize("number", INDIAN_AT_HOME)
async def test_a_number_without_country_code_finds_stored_numbers_with_it(number: str) -> None:
    assert await found_by(number, INDIAN + INDIAN_AT_HOME) == INDIAN + INDIAN_AT_HOME


@pytest.mark.parametrize(
    ("number", "stored", "is_found"),
    [
        ("5512345678", "+5215512345678", True),
        ("(11) 98765-4321", "+551187654321", True),
        ("11 8765-4321", "+5511987654321", True),
        ("011 15 5555-0101", "+54 9 11 5555 0101", True),
        ("+54 9 11 5555 0101", "011 15 5555-0101", True),
        ("+7 912 345 67 89", "8 (912) 345-67-89", True),
        ("+36 20 123 4567", "06 20 123 4567", True),
        ("+39 06 1234 5678", "06 1234 5678", True),
        ("43210", "+91 98765 43210 x77", True),
        ("77", "+91 98765 43210 x77", False),
        ("0100", "(415) 555-0100", True),
        ("0100", "0100", True),
        ("100", "0100", True),
        ("0100", "100", False),
        ("3210", "XXXXXX3210", True),
        ("3210", "user_3210", True),
        ("13210", "+91******3210", False),
        ("1001", "sip:1001@10.0.0.2", True),
        ("2", "sip:1001@10.0.0.2", False),
        ("anonymous", "sip:anonymous@anonymous.invalid", False),
        ("anonymous", "Anonymous", True),
        ("alice@example.com", "malice@example.com", False),
        ("user_3f2a", "USER_3f2a", True),
        # Numbers that only end alike: another country, another place, a fixed line.
        ("+65 6123 4567", "+91 65612 34567", False),
        ("+44 20 7946 0958", "+1 442 079 460958", False),
        ("+91 98765 43210", "+1 9876543210", False),
        ("+55 11 93456-7890", "+55 11 3456-7890", False),
        ("+14155550100", "+914155550100", False),
    ],
)
async def test_endings_find_numbers_and_whole_numbers_do_not_find_others_that_end_alike(
    number: str, stored: str, is_found: bool
) -> None:
    assert await found_by(number, [stored]) == ([stored] if is_found else [])


@pytest.mark.parametrize("text", [None, "", "()", "+", "²", "-"])
def test_a_text_without_digits_or_letters_is_no_contact(text: str | None) -> None:
    assert parse_contact(text) is None


@given(st.text() | st.from_regex(r"(\+|00|0|sip:)?[0-9 ()./x\-;=,०-९]{0,25}(@h|ext\. ?[0-9]{1,5})?", fullmatch=True))
@example("+43000000")
def test_any_contact_is_found_by_its_own_text_and_parsing_is_idempotent(text: str) -> None:
    contact = parse_contact(text)
    if contact is None:
        return
    assert contact.normal
    again = parse_contact(contact.normal)
    assert again is not None
    if len(contact.normal) < 12:  # a longer one may be another country's number without "+" or zeros
        assert again.normal == contact.normal
    try:
        spelled = parse_contact_filter(text)
    except InvalidRequestError:
        return
    assert not text.strip() or any(
        contact.normal == spelling[1:] if spelling[0] == "=" else contact.normal.endswith(spelling)
        for spelling in spelled
    )


@given(st.text("+0x;,#@:<()", max_size=3), st.integers(1, 60_000))
def test_a_very_long_text_is_parsed_to_a_bounded_length(sign: str, times: int) -> None:
    assert len((parse_contact("1" + sign * times) or ("",))[0]) <= 60_001


def test_phonenumbers_is_not_imported_for_common_numbers() -> None:
    script = (
        "import sys; from formant_mcp.contacts import parse_contact\n"
        "for text in ('+919876543210', '+14155550100', '5215512345678', '098765 43210', '+5511987654321'):\n"
        "    parse_contact(text)\n"
        "print('phonenumbers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
