"""Lists of phrases: the package's own, a team's file, and what is wrong with one."""

import os
import tracemalloc
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.analysis.phrase_lists import LISTS, PhraseLists, parse
from formant_mcp.errors import ConfigurationError
from formant_mcp.text_search.tokenizer import folded_words, words_in

SECRET = "geheim-4711"


def lists_of(text: str) -> PhraseLists:
    return PhraseLists(parse(text.encode()))


def found_in(lists: PhraseLists, text: str) -> list[tuple[str, int]]:
    return sorted(lists.find(folded_words(text)))


def test_each_list_has_phrases_in_the_three_languages_none_twice() -> None:
    phrases = PhraseLists.load().phrases
    for name in LISTS:
        of_list = [phrase for phrase in phrases if phrase.list_name == name]
        assert {phrase.language for phrase in of_list} == {"en", "hi", "hi-Latn"}
        assert 25 <= len(of_list) <= 80
        assert [words for words, count in Counter(phrase.words for phrase in of_list).items() if count > 1] == []


def test_every_phrase_of_the_package_is_found_where_it_is_said() -> None:
    lists = PhraseLists.load()
    for name, _, words in lists.phrases:
        if name in LISTS and name != "fillers":
            either = [("any",) if word == "*" else word.split("|") for word in words]
            for said in islice(zip(*map(cycle, either), strict=True), max(map(len, either))):
                assert (name, 2) in lists.find(["xyz", "abc", *said, "def"])


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Please STOP calling, Mr. X", [("opt_out", 1)]),
        ("stop calling stop calling", [("opt_out", 0), ("opt_out", 2)]),
        ("stop, calling", [("opt_out", 0)]),
        ("stop the calling", []),
        ("calling stop", []),
        ("nobody called Rahul here", [("wrong_person", 0)]),
        ("nobody called here", []),
        ("nobody called Rahul Kumar here", []),
        ("फोन मत करो", [("opt_out", 0)]),
        ("फ़ोन मत करो", [("opt_out", 0)]),
        ("", []),
    ],
)
def test_phrases_are_found_as_words_in_a_row(text: str, places: list[tuple[str, int]]) -> None:
    lists = lists_of("[opt_out]\nen stop calling\nhi फ़ोन मत करो\n[wrong_person]\nen nobody called * here\n")

    assert found_in(lists, text) == places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("don't stop calling", []),
        ("do stop calling", [("opt_out", 1)]),
        ("don't stop calling, stop calling", [("opt_out", 3)]),
        ("stop calling, don't stop calling", [("opt_out", 0)]),
        ("never stop calling him", []),
        ("never ever stop calling us", [("opt_out", 2)]),
        ("calling him stop calling", [("opt_out", 2)]),
        ("stop calling him", []),
        ("don't stop calling, wrong number", [("wrong_person", 3)]),
        ("पैसे नहीं दूँगा", [("refusal", 1)]),
        ("पैसे कल नहीं दूँगा", []),
        ("paise kal nahin dunga", []),
    ],
)
def test_a_phrase_that_shares_a_word_with_an_exception_of_its_list_does_not_count(
    text: str, places: list[tuple[str, int]]
) -> None:
    lists = lists_of(
        "[opt_out]\nen stop calling\n- en don't stop calling\n-en never stop * him\n- en calling him\n"
        "[wrong_person]\nen wrong number\n- en stop wrong\n"
        "[refusal]\nhi नहीं दूँगा\nhi-Latn nahin dunga\n- hi कल नहीं दूँगा\n"
    )

    assert found_in(lists, text) == places


def test_an_exception_changes_the_digest_and_may_be_a_teams_own(tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    file.write_text("[opt_out]\n- en stop calling my van\n")
    lists, package = PhraseLists.load(file), PhraseLists.load()

    assert lists.digest != package.digest
    assert found_in(package, "stop calling my van a taxi") == [("opt_out", 0)]
    assert found_in(lists, "stop calling my van a taxi") == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("don't call me", [("opt_out", 0)]),
        ("don't call me after six", []),
        ("don't call me after this", [("opt_out", 0)]),
        ("you can call me after this", []),
        ("don't call me after six, don't call me", [("opt_out", 5)]),
        ("stop calling", []),
        ("nobody called Rahul here", [("wrong_person", 0)]),
        ("nobody called back here", [("wrong_person", 0)]),
        ("nobody called me here", []),
    ],
)
def test_a_phrase_that_has_more_words_than_the_exception_in_it_counts(text: str, places: list[tuple[str, int]]) -> None:
    lists = lists_of(
        "[opt_out]\nen don't call me\nen don't call me after this\nen stop calling\n"
        "- en call me after\n- en stop calling\n"
        "[wrong_person]\nen nobody called * here\n- en called back\n- en nobody called me here\n"
    )

    assert found_in(lists, text) == places


@pytest.mark.parametrize(
    ("text", "lists_found"),
    [
        ("talk to a manager", ["asked_for_human"]),
        ("speak with a manager", ["asked_for_human"]),
        ("speak to your supervisor", ["asked_for_human"]),
        ("speak to supervisor", []),
        ("talk your manager", []),
        ("मैनेजर से बात", ["asked_for_human"]),
        ("फोन मत", ["opt_out"]),
        ("call mat", ["opt_out"]),
        ("call call", []),
        ("umm ji", ["fillers"]),
    ],
)
def test_a_phrase_may_have_one_of_several_words_in_a_place(text: str, lists_found: list[str]) -> None:
    lists = lists_of(
        "[asked_for_human]\nen talk|Speak to|with a|your manager|supervisor\nhi इंसान|मैनेजर से बात\n"
        "[opt_out]\nhi-Latn call|phone|फ़ोन mat|मत\n[fillers]\nen umm|ji\n"
    )

    found = {name for name, _ in found_in(lists, text)} | {"fillers" for word in text.split() if word in lists.fillers}
    assert sorted(found) == lists_found


@given(
    st.lists(st.lists(st.sampled_from(("a", "b", "cc", "a|cc", "*")), min_size=1, max_size=4), max_size=6),
    st.lists(st.sampled_from(("a", "b", "cc", "d")), max_size=9),
)
def test_phrases_are_found_as_a_plain_search_finds_them(phrases: list[list[str]], said: list[str]) -> None:
    real = [words for words in phrases if set(words) != {"*"}]
    lists = lists_of("[opt_out]\n" + "".join(f"en {' '.join(words)}\n" for words in real))
    expected = [
        ("opt_out", start)
        for words in real
        for start in range(len(said) - len(words) + 1)
        if all(want == "*" or have in want.split("|") for want, have in zip(words, said[start:], strict=False))
    ]

    assert Counter(lists.find(said)) == Counter(expected)


def test_long_phrases_are_found_in_any_spelling_and_script_and_short_ones_as_written() -> None:
    lists = PhraseLists(parse(b"[opt_out]\nhi-Latn mujhe call mat karo\nhi-Latn call matt"))

    for said in ("muje call mat karo", "Mujhe call matt karo ji", "मुझे कॉल मत करो"):
        assert found_in(lists, said)[0] == ("opt_out", 0)
    assert found_in(lists, "mujhe kal mit kare") == []  # the same consonants
    assert found_in(lists, "kal mat aana") == found_in(lists, "call mat") == []


def test_a_teams_file_adds_to_the_packages_lists(tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    file.write_bytes("\ufeff# ours\r\n\r\n[opt_out]\r\nta  என்னை அழைக்க வேண்டாம்\r\n".encode())
    lists = PhraseLists.load(file)

    assert len(lists.phrases) == len(PhraseLists.load().phrases) + 1
    assert found_in(lists, "தயவுசெய்து என்னை அழைக்க வேண்டாம்.") == [("opt_out", 1)]
    assert found_in(lists, "stop calling me") == [("opt_out", 0)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"[opt_out]\nen stop\n{SECRET}\n".encode(), 3),
        (f"en {SECRET}\n".encode(), 1),
        (f"# no such list\n[{SECRET}]\n".encode(), 2),
        (b"[opt_out]\n[no_such_list]\n", 2),
        (b"[opt_out]\nen\n", 2),
        (b"[opt_out]\nen *\n", 2),
        (b"[fillers]\nen to be honest\n", 2),
        (b"[opt_out]\nen stop calling|\n", 2),
        (b"[opt_out]\nen stop *|calling\n", 2),
        (b"[opt_out]\nen stop call-me|calling\n", 2),
        (b"[opt_out]\nen ?!\n", 2),
        (b"[opt_out]\n- en\n", 2),
        (b"[opt_out]\n- stop calling\n", 2),
        (b"[opt_out]\n-- en stop calling\n", 2),
        (b"- en stop calling\n", 1),
        (f"[opt_out]\nen {SECRET} {'word ' * 12}\n".encode(), 2),
        (b"[opt_out]\nenglish stop calling\n", 2),
        (f"[opt_out]\nen stop\nen {SECRET} \xe9\n".encode("latin-1"), 3),
        (f"[opt_out]\nen {SECRET}\n".encode("utf-16"), 1),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_line_without_its_text(tmp_path: Path, content: bytes, line: int) -> None:
    file = tmp_path / "phrases.txt"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        PhraseLists.load(file)

    assert f"line {line} " in raised.value.message
    assert all(f"[{name}]" in raised.value.hint for name in LISTS)
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(ConfigurationError):
            PhraseLists.load(path)


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)  # reading it would wait for a writer forever
    link.symlink_to(pipe)

    for path in (pipe, link, tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigurationError) as raised:
            PhraseLists.load(path)
        assert raised.value.message == "FORMANT_PHRASES_FILE is not a regular file."
        assert "text file" in raised.value.hint


@given(st.text(alphabet=st.one_of(st.sampled_from("aB' ,-1٥5हिं़\u00a0漢かéſıK’‑"), st.characters()), max_size=60))
def test_folded_words_are_those_of_the_tokenizer(text: str) -> None:
    assert folded_words(text) == [word.folded for word in words_in(text)]


def test_many_words_in_two_places_are_found_without_each_pair_of_them(tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    first, second = ("|".join(f"{begin}{n}" for n in range(2_000)) for begin in ("a", "b"))
    file.write_text(f"[opt_out]\nen {first} {second}\n")
    tracemalloc.start()
    lists = PhraseLists.load(file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 50_000_000
    assert found_in(lists, "say a7 b1999 now") == [("opt_out", 1)]
    assert found_in(lists, "say a7 a1999 now") == []
