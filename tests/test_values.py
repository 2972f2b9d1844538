"""Values in any spelling: tables of spellings, and laws over any text."""

import unicodedata
from time import process_time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from formant_mcp.values import label, read_value

NUMBERS: dict[str, list[str]] = {
    "0": ["0", "-0", "0.0", "−0", "०"],
    "7": ["7", "7.0", " 7 ", "٧", "₹7", "7%"],
    "0.5": ["0.5", ".5", "0.50", "0.500"],
    "-2.5": ["-2.5", "−2.5", "-₹2.5", "₹-2.50", "₹ −2.5", "-$2.50"],
    "500": [
        "500",
        "Rs 500",
        "Rs. 500/-",
        "rs.500",
        "500/-",
        "INR 500",
        "inr500",
        "500 EUR",
        "€500",
        "500 €",
        "500 rupees",
    ],
    "12.5": ["12.5", "12.500", "$12.50", "KWD 12.500", "US$ 12.50", "A$12.50", "१२.५"],
    "1500": ["1500", "1,500", "1 500", "1\u202f500", "1\u00a0500", "1'500", "1’500", "R$ 1.500,00"],
    "15000": [
        "15000",
        "15,000",
        "15000.00",
        "₹15,000",
        "₹ 15,000.00",
        "१५,०००",
        "１５，０００",
        "١٥٬٠٠٠",
        "15 000",
        "रु. 15,000",
    ],
    "150000": ["1,50,000", "150,000", "₹1,50,000/-", "१,५०,०००"],
    "1234567.5": ["12,34,567.50", "1,234,567.5", "1.234.567,50", "1 234 567.5"],
    "98765432109876543": ["98765432109876543", "98,765,432,109,876,543"],
}
TEXTS = [
    "007",
    "0012",
    "00",
    "-007",
    "+5",
    "1e5",
    "1e-7",
    "1_000",
    "0x1F",
    "inf",
    "nan",
    "5.",
    ".",
    "-",
    "--5",
    "$",
    "%",
    "₹",
    "rs",
    "1,50",
    "12,5",
    "15,000,00",
    "1,2345",
    ",500",
    "0,500",
    "1 50",
    "4111 1111 1111 1111",
    "98765 43210",
    "1.234.567",
    "€15.000",
    "15.000 €",
    "192.168.100.200",
    "2.5 lakh",
    "₹ 2.5 lakh",
    "5k",
    "5 crore",
    "1 million",
    "500 apples",
    "(500)",
    "₹-",
    "-₹-5",
    "$5%",
    "10²",
    "①",
    "½",
    "5-3",
    "- 5",
    "20/11/2026",
    "20 Nov 2026",
    "2026-13-01",
    "2026-02-30",
    "2026-11-20T25:00",
    "10:30",
    "v2",
]
DATES: dict[str, list[str]] = {
    "2026-11": ["2026-11", "२०२६-११"],
    "2026-11-20": ["2026-11-20", " 2026-11-20 ", "２０２６-１１-２０"],
    "2026-11-20T10:00": ["2026-11-20T10:00", "2026-11-20 10:00", "2026-11-20t10:00:00", "2026-11-20 10:00:00.000"],
    "2026-11-20T10:00+00:00": ["2026-11-20T10:00:00Z", "2026-11-20T10:00-00:00", "2026-11-20 10:00:00 +0000"],
    "2026-11-20T10:00+05:30": ["2026-11-20T10:00:00+05:30", "2026-11-20 10:00 +0530"],
    "2026-11-20T10:00:00.5-08:00": ["2026-11-20T10:00:00.500-08", "2026-11-20 10:00:00,5 -08:00"],
}
LABELS = [
    ["payment confirmed", "payment_confirmed", "Payment-Confirmed", " PAYMENT  CONFIRMED ", "payment - confirmed"],
    ["no_answer", "No Answer", "no-answer", "ＮＯ＿ＡＮＳＷＥＲ"],
    ["straße", "STRASSE"],
    ["भुगतान हुआ", "भुगतान_हुआ", "भुगतान\u200d हुआ"],
    ["é", "e\u0301", "É"],
    ["007", "００７"],
    ["true", "True"],
]
DIFFERENT = [
    ["temp -5", "temp 5", "temp5"], ["-", "_", ""], ["10²", "102"], ["noanswer", "no answer"], ["7", "007", "+7", "7k"],
    ["1e3", "1000"], ["1_000", "1000"], ["2026-11-20", "2026-11-21", "20 Nov 2026"], ["12.500", "12,500"],
]  # fmt: skip
SYMBOLS = ["", "₹", "₹ ", "Rs. ", "INR ", "$", "€ "]


@pytest.mark.parametrize(
    ("normal", "text"), [(normal, spelling) for normal, texts in NUMBERS.items() for spelling in texts]
)
def test_numbers_are_parsed_in_any_spelling(normal: str, text: str) -> None:
    assert read_value(text) == ("number", normal, float(normal))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_may_be_codes_or_ambiguous_numbers_stay_texts(text: str) -> None:
    assert (read_value(text).kind, read_value(text).number) == ("text", None)


@pytest.mark.parametrize(
    ("normal", "text"), [(normal, spelling) for normal, texts in DATES.items() for spelling in texts]
)
def test_iso_dates_keep_their_precision(normal: str, text: str) -> None:
    assert read_value(text) == ("date", normal, None)


@pytest.mark.parametrize("texts", LABELS, ids=lambda texts: texts[0])
def test_spellings_of_a_label_are_equal(texts: list[str]) -> None:
    assert len({label(text) for text in texts}) == 1


@pytest.mark.parametrize("texts", DIFFERENT, ids=lambda texts: texts[0])
def test_values_that_differ_in_meaning_stay_different(texts: list[str]) -> None:
    assert len({read_value(text).normal for text in texts}) == len(texts)


@given(st.text() | st.text("0123456789-_ .,+eE:TZ₹१²ßé", max_size=24))
def test_normal_forms_are_parsed_to_themselves(text: str) -> None:
    meaning = read_value(text)
    again = read_value(meaning.normal)
    assert again.normal == meaning.normal
    if meaning.kind != "text":
        assert again == meaning


@given(st.text(), st.sampled_from([str.upper, str.lower, str.swapcase]))
def test_labels_ignore_case_and_unicode_form(text: str, change: object) -> None:
    assert callable(change)
    folded = text.casefold()
    assume(str(change(folded)).casefold() == folded and read_value(text).kind == "text")
    assert label(str(change(folded))) == label(folded)
    assert label(unicodedata.normalize("NFD", text)) == label(unicodedata.normalize("NFC", text))


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(["", ".5", ".50", ".125"]),
    st.sampled_from(["plain", "western", "indian", "blanks"]),
    st.sampled_from(SYMBOLS),
    st.sampled_from([0, 0x966, 0x660, 0xFF10]),
)
def test_any_number_is_parsed_in_any_grouping_currency_and_script(
    whole: int, part: str, grouping: str, symbol: str, zero: int
) -> None:
    digits = str(abs(whole))
    grouped = {
        "plain": digits,
        "western": f"{abs(whole):,}",
        "indian": indian(digits),
        "blanks": f"{abs(whole):,}".replace(",", " "),
    }[grouping]
    text = f"{'-' if whole < 0 else ''}{symbol}{grouped}{part}"
    native = "".join(chr(zero + int(character)) if zero and character.isdigit() else character for character in text)
    may_be_thousands = symbol and part == ".125" and 0 < abs(whole) < 1_000
    assert read_value(native).number == (None if may_be_thousands else float(f"{whole}{part}"))


def indian(digits: str) -> str:
    """Groups of two before the last three digits."""
    head, tail = digits[:-3], digits[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return ",".join([*reversed(pairs), tail])


def test_a_long_run_of_hyphens_takes_no_longer_than_as_many_letters() -> None:
    def seconds(text: str) -> float:
        took: list[float] = []
        for _ in range(3):
            began = process_time()
            label(text)
            took.append(process_time() - began)
        return min(took)

    assert seconds("a" + "-" * 40_000) < 200 * seconds("a" + "b" * 40_000) + 0.05
