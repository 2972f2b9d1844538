"""How texts are split into words in every script, and which words count as the same."""

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formant_mcp.text_search.tokenizer import (
    Word,
    forms_in,
    indexable,
    indexed_until_version_3,
    is_unspaced,
    stem,
    words_in,
)

# The characters of the rules (accents, nuktas, digits, commas, apostrophes, compatibility forms), and any others.
LETTERS = st.sampled_from("aZ9é'’ ,-*\"फज\u093cन्दँ५๑ไ返ガｶﾞ⑴ﷺß") | st.characters(exclude_categories=["Cs"])
TEXTS = st.text(LETTERS, max_size=20)


def folded(text: str) -> list[str]:
    return [word.folded for word in words_in(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("REFUND", "refund"),
        ("café CAFÉ", "cafe Cafe"),
        ("Straße", "STRASSE"),
        ("don't DON’T", "dont dont"),
        ("15,000 1,50,000", "15000 150000"),
        ("15,000 रुपये", "१५००० रुपये"),
        ("१,५०,०००", "150000"),
        ("1,234,567", "1234567"),
        ("₹1,234,567", "1234567"),
        ("๑๕๐๐๐", "15000"),
        ("लेट फ़ीस", "लेट फीस"),
        ("फ\u093cीस", "\u095eीस"),
        ("हिन्दी लम्बा सम्पर्क", "हिंदी लंबा संपर्क"),
        ("हाँ", "हां"),
        ("ﾊﾞﾝｸ", "バンク"),
        ("ＡＢＣ１２３", "abc123"),
        ("IŞIK İADE", "ışık iade"),
        ("ŁÓDŹ Øre Đồng", "lodz ore dong"),
    ],
)
def test_spellings_of_the_same_words_fold_alike(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हाँ, भुगतान करूँगा।", ["हां", "भुगतान", "करूंगा"]),  # vowel signs belong to the word
        ("अन्य जन्म", ["अन्य", "जन्म"]),  # a nasal before another row of consonants is a letter
        ("Haan ji, 15,000 kal dunga!", ["haan", "ji", "15000", "kal", "dunga"]),
        ("10,20 1,2345", ["10", "20", "1", "2345"]),
        ("₹10,20 ₹1,2345", ["10", "20", "1", "2345"]),
        ("返金を", ["返", "金", "を"]),
        ("ค่าปรับ", ["ค่", "า", "ป", "รั", "บ"]),
        ("ATMで5000円", ["atm", "で", "5000", "円"]),
        ("환불 해주세요", ["환불", "해주세요"]),
        ("a_b-c@d.e", ["a", "b", "c", "d", "e"]),
        ("l'ordine D’accord", ["l", "ordine", "d", "accord"]),
        ("don't couldn't've CUSTOMER'S o'clock y'all", ["dont", "couldntve", "customers", "oclock", "yall"]),
        ("Ahmet'in Türkiye’de", ["ahmet", "in", "turkiye", "de"]),
        ("комп'ютер об’єкт", ["компютер", "обєкт"]),
        ("aujourd'hui c'è", ["aujourd", "hui", "c", "e"]),
        ("… — !?", []),
    ],
)
def test_a_text_is_split_into_words(text: str, words: list[str]) -> None:
    assert folded(text) == words


@given(text=TEXTS)
@example("½ ⑴ ﷺ ㌀ İ")
def test_every_word_is_one_term_of_the_index(text: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE said USING fts5 (text, tokenize = 'ascii')")
    database.execute("CREATE VIRTUAL TABLE words USING fts5vocab (said, instance)")
    database.execute("INSERT INTO said VALUES (?)", [indexable(text)])
    assert [row[0] for row in database.execute("SELECT term FROM words ORDER BY offset")] == folded(text)
    database.close()


@given(text=TEXTS)
def test_a_word_folds_alike_alone_and_in_its_text(text: str) -> None:
    for word in words_in(text):
        alone = text[word.start : word.end]
        assert list(words_in(alone)) == [Word(word.folded, 0, len(alone))]


@given(text=st.text(st.sampled_from("aZ09 ,.'-*"), max_size=20))
def test_english_is_split_alike_with_and_without_other_scripts_beside_it(text: str) -> None:
    assert folded(f"{text} é") == [*folded(text), "e"]


def test_english_word_forms_share_a_stem_and_other_words_are_unchanged() -> None:
    assert {stem(word) for word in ("refund", "refunds", "refunded", "refunding")} == {"refund"}
    assert [stem(word) for word in ("भुगतान", "15000", "as", "返")] == ["भुगतान", "15000", "as", "返"]


def test_is_unspaced_only_for_scripts_without_spaces() -> None:
    assert [is_unspaced(word) for word in ("返", "รั", "ガ", "a", "ह", "환", "5")] == [True] * 3 + [False] * 4


def test_joined_words_are_also_indexed_as_one_word() -> None:
    assert forms_in(indexable("Follow-ups l’e-mail 10-20")) == {
        "follow": "follow",
        "ups": "up",
        "follow-ups": "followup",
        "l": "l",
        "e": "e",
        "mail": "mail",
        "l'e-mail": "lemail",
        "l'e": "le",
        "e-mail": "email",
        "10": "10",
        "20": "20",
    }


def test_indexed_until_version_3_gives_the_words_that_version_3_indexed() -> None:
    text = "l'ordine dell’Ordine e-mail ALDIM mı Łódź l'a2 don't O'Brien's Øre 15,000's फ़ीस"
    assert indexed_until_version_3(text) == (
        "lordine dellordine e mail aldim mı łodz la 2 dont obriens øre 15000 s फीस"  # as version 3 did
    )


@given(text=TEXTS)
def test_only_joined_words_and_stroked_letters_were_indexed_differently_in_version_3(text: str) -> None:
    if not set(text) & set("'’ıłŁøØđĐ"):
        assert indexed_until_version_3(text).split() == folded(text)
