"""Cleaned texts: one line of visible characters. And how lists continue."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formant_mcp.models import Page, clean

# The misused part of Unicode's Default_Ignorable_Code_Point, and its Bidi_Control (UAX #9, table 2).
ZERO_WIDTH = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u3164\u2800\ufeff\uffa0"
)
BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
TAGS = "".join(map(chr, range(0xE0000, 0xE0080)))
SELECTORS = "".join(map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
UNSEEN = ZERO_WIDTH + BIDIRECTIONAL + TAGS + SELECTORS
UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
texts = st.text(st.characters() | st.sampled_from(UNSEEN + " \t\r\n\u2028\u2029\x85\ud800\udfff\ue000"))
EVERY_CHARACTER = "".join(map(chr, range(0x110000)))


def assert_seen(text: str) -> None:
    """Fails if the text has an invisible character or a second line."""
    assert not set(text) & set(UNSEEN)
    assert not [character for character in text if unicodedata.category(character) in UNSEEN_CATEGORIES]
    assert text == " ".join(text.split())
    text.encode()


def test_cleaning_every_character_leaves_only_visible_ones() -> None:
    assert_seen(clean(EVERY_CHARACTER))
    assert_seen(clean(" ".join(EVERY_CHARACTER)))


@given(texts)
def test_cleaning_any_text_leaves_one_visible_line(text: str) -> None:
    assert_seen(clean(text))


@given(texts)
@example("a \u200b b")
def test_cleaning_is_idempotent(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(texts)
@example(EVERY_CHARACTER[:0xD800])
def test_cleaning_removes_only_invisible_characters(text: str) -> None:
    assert seen(clean(text)) == seen(text)


def seen(text: str) -> str:
    """The letters, marks, digits and symbols of a text."""
    other = UNSEEN_CATEGORIES | {"Cn", "Zs"}
    return "".join(
        character for character in text if unicodedata.category(character) not in other and character not in UNSEEN
    )


@pytest.mark.parametrize(
    "text",
    [
        "मैं कल भुगतान करूँगा, आज नहीं।",
        "क्षत्रिय ज्ञान श्रीमती ₹15,000",
        "お支払いは明日でよろしいでしょうか？「はい」、ＯＫです。",
        "ガギグゲゴ ぱぴぷぺぽ 々〆ヶ",
        "ガ is written in two characters",
        "Haan ji, boliye… – “theek hai” 👍",
        "תודה, شكرا",
        "a < b & c > d; 50 % * 2 = 100 %",
        "\ufffd",
    ],
)
def test_ordinary_text_is_unchanged_by_cleaning(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("  two \t\r\n lines\u2028or three\x85 ", "two lines or three"),
        ("p\u200ba\u00ady\u2060 now", "pay now"),
        ("\u202ereversed\u202c", "reversed"),
        ("red\x1b[31m\x07", "red[31m"),
        ("a\u3000b\u00a0c", "a b c"),
        ("tag\U000e0041\U000e0042", "tag"),
        ("\ud83d", ""),
        (" \u200b ", ""),
        ("a \u200b b", "a b"),
    ],
)
def test_cleaning_removes_invisible_characters_and_joins_white_space(text: str, left: str) -> None:
    assert clean(text) == left


@pytest.mark.parametrize(
    ("page", "offset", "more"),
    [
        (Page((), row_count=100, has_more=True), 0, True),
        (Page((), row_count=100, has_more=False, total=101), 0, True),
        (Page((), row_count=100, has_more=False, total=200), 100, False),
        (Page((), row_count=100, has_more=False), 0, False),
        (Page((), row_count=0, has_more=True, total=500), 0, False),
    ],
)
def test_a_list_continues_by_has_more_or_total_but_not_after_an_empty_page(page: Page, offset: int, more: bool) -> None:
    assert page.more_after(offset) == more
