"""The package's lists of phrases, judged by what contacts say on everyday calls."""

from pathlib import Path

import pytest

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import PHRASE_SIGNALS
from formant_mcp.text_search.tokenizer import folded_words

ROWS = [
    line.split("\t")
    for line in Path(__file__).with_name("said_on_calls.txt").read_text("utf-8").splitlines()
    if "\t" in line
]
SAID = {sentence: set(names.split(",")) & PHRASE_SIGNALS for names, sentence in ROWS}
BEYOND_WORDS = {sentence: names[1:] for names, sentence in ROWS if names.startswith("~")}


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    lists = PhraseLists.load()
    return {sentence: {name for name, _ in lists.find(folded_words(sentence))} & PHRASE_SIGNALS for sentence in SAID}


def test_each_sentence_is_there_once_and_half_of_them_belong_to_a_list() -> None:
    assert len(SAID) == len(ROWS) > 600
    assert 0.5 < sum(map(bool, SAID.values())) / len(SAID) < 0.6
    assert {name for names, _ in ROWS for name in names.removeprefix("~").split(",")} == {*PHRASE_SIGNALS, "-"}


@pytest.mark.parametrize("name", sorted(PHRASE_SIGNALS))
def test_a_list_finds_what_belongs_to_it_and_hardly_anything_else(found: dict[str, set[str]], name: str) -> None:
    said = {sentence for sentence, names in SAID.items() if name in names}
    measured = {sentence for sentence, names in found.items() if name in names}

    assert len(said & measured) >= 0.95 * len(said), sorted(said - measured)
    assert len(said & measured) >= 0.95 * len(measured), sorted(measured - said)
    assert len(said) >= 35


@pytest.mark.parametrize("sentence", BEYOND_WORDS)
def test_a_name_alone_is_not_found(found: dict[str, set[str]], sentence: str) -> None:
    assert BEYOND_WORDS[sentence] in PHRASE_SIGNALS
    assert found[sentence] == set()
