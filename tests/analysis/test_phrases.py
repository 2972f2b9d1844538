"""Phrases: the form of a turn, nearly equal forms, and what is said more here than elsewhere."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.analysis.phrases import (
    KEY_VERSION,
    NO_NAMES,
    FormCount,
    Names,
    Phrase,
    distinctive,
    form_of,
    group,
    names_of,
    phrase_key,
    ranked,
)
from formant_mcp.text_search.tokenizer import indexable
from tests.analysis.phrase_groups import GROUPS, NAMES, OTHERS
from tests.examples import some

RAHUL = names_of(["Rahul Sharma", "राहुल", "王小明", "Will", "Al", "D'Souza"])
VOCABULARY = ["pay", "loan", "not", "will", "due", "link", "dunga", "kal", "पैसे", "नहीं", "钱", "付"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8).map(" ".join)


def form(text: str, names: Names = NO_NAMES) -> str:
    return form_of(indexable(text), names)


def counted(turns: Iterable[tuple[int, str]], names: Names = NO_NAMES) -> list[FormCount]:
    """What a store counts of turns, each with its conversation: exactly, with the commonest wording of each form."""
    texts: dict[int, Counter[str]] = defaultdict(Counter)
    conversations: dict[int, set[int]] = defaultdict(set)
    for conversation, text in turns:
        key = phrase_key(indexable(text), names)
        if key is not None:
            texts[key][text] += 1
            conversations[key].add(conversation)
    return [
        FormCount(key, said.total(), len(conversations[key]), min(said, key=lambda text: (-said[text], text)))
        for key, said in texts.items()
    ]


def one_each(texts: Iterable[str], names: Names = NO_NAMES) -> list[FormCount]:
    return counted(enumerate(texts), names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I already paid this yesterday!", "already paid yesterday"),
        ("I've ALREADY paid that.", "already paid"),
        ("I have", "i have"),
        ("yes, yes, yes", "yes"),
        ("I won't; I can't; I didn't", "will not can not"),
        ("Rs 5,000 on the 10th, or 98765 43210", "rs # #th or #"),
        ("मुझे ५००० रुपये देने हैं", "# रुपये देने"),
        ("हाँ जी", "हां"),
        ("Main kal paise de dunga ji", "kal paise de dunga"),
        ("¿Ya pagué ayer?", "ya pague ayer"),
        ("我付了500元", "我 付 了 # 元"),
        ("Ich habe schon bezahlt", "ich habe schon bezahlt"),
        ("…?!", ""),
    ],
)
def test_the_form_is_what_remains_without_case_accents_numbers_and_small_words(text: str, expected: str) -> None:
    assert form(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello Rahul", "hello @"),
        ("hello RAHUL SHARMA ji", "hello @"),
        ("मैं राहुल नहीं हूँ", "@ नहीं"),
        ("王小明在吗", "@ 在 吗"),
        ("小明在吗", "小 明 在 吗"),
        ("Rahulabad", "rahulabad"),
        ("I will call Al", "will call al"),
        ("Mr. D'Souza speaking", "mr d @ speaking"),
    ],
)
def test_names_are_one_placeholder_unless_they_are_ordinary_small_or_decisive_words(text: str, expected: str) -> None:
    assert form(text, RAHUL) == expected


@given(st.text(max_size=40))
def test_every_text_with_words_has_a_key_of_64_bits(text: str) -> None:
    key = phrase_key(indexable(text), RAHUL)
    assert (key is None) == (not indexable(text))
    assert key is None or -(2**63) <= key < 2**63


@given(SENTENCES, st.integers(0, 10**9), st.sampled_from("0٠०০೦０"))
def test_numbers_of_any_script_and_size_are_the_same(sentence: str, number: int, zero: str) -> None:
    digits = "".join(chr(ord(zero) + int(digit)) for digit in str(number))
    assert form(f"{sentence} {digits} {sentence}") == form(f"{sentence.upper()} 7 {sentence}")


def test_of_names_within_each_other_the_longest_is_hidden() -> None:
    names = [name for n in range(8) for name in (chr(0x4E00 + n) + "小明", "前" + chr(0x4E00 + n) + "小明")]
    for name in names[1::2]:
        assert form(f"{name}", names_of(names)) == form("王小明", RAHUL)


def test_a_change_of_the_keys_raises_their_version() -> None:
    texts = [text for said in GROUPS for text in said] + list(OTHERS)
    keys = repr([phrase_key(indexable(text), names_of(NAMES)) for text in texts])
    assert (KEY_VERSION, blake2b(keys.encode(), digest_size=4).hexdigest()) == (1, "62f797ab")


def test_planted_wordings_are_joined_and_others_are_not() -> None:
    names = names_of(NAMES)
    said = [(text, number) for number, texts in enumerate(GROUPS) for text in texts]
    said += [(text, -number) for number, text in enumerate(OTHERS, 1)]
    phrases = group(one_each((text for text, _ in said), names), names)
    phrase_of = {key: number for number, phrase in enumerate(phrases) for key in phrase.keys}
    places = [(phrase_of[phrase_key(indexable(text), names) or 0], meaning) for text, meaning in said]
    pairs = Counter((one[0] == other[0], one[1] == other[1]) for one, other in combinations(places, 2))
    assert pairs[True, True] / (pairs[True, True] + pairs[False, True]) >= 0.95  # recall
    assert pairs[True, True] / (pairs[True, True] + pairs[True, False]) >= 0.95  # precision


def planted(draw: random.Random, vocabulary: Sequence[str]) -> list[str]:
    """Six wordings of one random sentence."""
    words = draw.sample(vocabulary, draw.randint(4, 9))
    sentence = " ".join(words)
    place = draw.randrange(len(words) + 1)
    return [
        sentence,
        sentence.upper() + "!",
        f"um, {sentence} please, sir",
        " ".join([*words[:place], draw.choice(("the", "of", "ji", "है")), *words[place:]]),
        f"{sentence} {draw.choice(vocabulary)}",
        " ".join(words[1:]),
    ]


def test_random_sentences_are_joined_with_their_wordings_alone() -> None:
    draw = random.Random(5)
    syllables = ["ka", "lo", "mi", "ren", "tus", "bha", "पै", "से", "दो", "ло"]
    vocabulary = sorted({"".join(draw.choices(syllables, k=3)) for _ in range(400)})
    meanings = [planted(draw, vocabulary) for _ in range(300)]
    phrases = group(one_each(text for texts in meanings for text in texts))
    phrase_of = {key: number for number, phrase in enumerate(phrases) for key in phrase.keys}
    places = [{phrase_of[phrase_key(indexable(text)) or 0] for text in texts} for texts in meanings]
    assert sum(len(numbers) == 1 for numbers in places) / len(places) >= 0.95
    assert sum(len(numbers) for numbers in places) == len(phrases)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I will pay the full amount tomorrow", "I will not pay the full amount tomorrow"),
        ("I didn't pay the full amount", "I can't pay the full amount"),
        ("when will you send me the payment link", "why will you send me the payment link"),
        ("can you call me later", "I can call you later"),
        ("I will pay tomorrow", "I will pay on Monday"),
        ("main kal paise de dunga", "main kal paise nahi de dunga"),
        ("मैं कल पैसे दूँगा", "मैं कल पैसे नहीं दूँगा"),
        ("yes", "no"),
    ],
)
def test_what_turns_the_meaning_around_is_never_joined(one: str, other: str) -> None:
    assert len(group(one_each([one, other]))) == 2


def test_a_chain_of_small_differences_does_not_join_what_differs_much() -> None:
    words = ["red", "blue", "green", "black", "white", "brown", "grey", "pink", "gold", "silver", "amber", "jade"]
    phrases = group(one_each(" ".join(words[first : first + 6]) for first in range(6)))
    assert len(phrases) > 1


TURNS = st.lists(st.tuples(st.integers(0, 5), SENTENCES), max_size=40)


@given(TURNS, st.randoms(use_true_random=False))
def test_counts_are_exact_and_the_order_of_turns_does_not_matter(
    turns: list[tuple[int, str]], draw: random.Random
) -> None:
    phrases = group(counted(turns))
    assert sum(phrase.turns for phrase in phrases) == len(turns)
    forms = {key for phrase in phrases for key in phrase.keys}
    assert len(forms) == sum(len(phrase.keys) for phrase in phrases) == len({form(text) for _, text in turns})
    rows = counted(draw.sample(turns, len(turns)))
    assert group(draw.sample(rows, len(rows))) == phrases


def negated_and_shingles(text: str) -> tuple[bool, frozenset[object]]:
    words = form(text).split()
    return "not" in words, frozenset([*words, *pairwise(words)])


FEW_WORDS = st.lists(st.sampled_from(["pay", "loan", "due", "link", "दूँगा", "not"]), min_size=1, max_size=5)


@given(st.lists(FEW_WORDS.map(" ".join), max_size=40))
def test_each_form_joins_the_nearest_first_form_of_all(texts: list[str]) -> None:
    rows = one_each(texts)
    leaders: list[tuple[bool, frozenset[object]]] = []
    expected: list[list[int]] = []
    for row in sorted(rows, key=lambda row: (-row.conversations, -row.turns, form(row.text))):
        negated, shingles = negated_and_shingles(row.text)
        near = [
            (len(shingles & leader) / len(shingles | leader), -place)
            for place, (is_negated, leader) in enumerate(leaders)
            if is_negated == negated
        ]
        similarity, place = max(near, default=(0.0, 0))
        if similarity >= 0.6:
            expected[-place].append(row.key)
        else:
            leaders.append((negated, shingles))
            expected.append([row.key])
    assert sorted(phrase.keys for phrase in group(rows)) == sorted(expected)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_single_words_are_at_most_every_fourth_phrase(short: list[bool], limit: int) -> None:
    phrases = [Phrase(f"{number}", is_short) for number, is_short in enumerate(short)]
    shown = ranked(phrases, len(phrases))
    for is_short in (True, False):
        assert [one for one in shown if one.is_short == is_short] == [
            one for one in phrases if one.is_short == is_short
        ]
    longer = [number for number, phrase in enumerate(shown) if not phrase.is_short]
    for count in range(1, max(longer, default=-1) + 2):
        assert sum(phrase.is_short for phrase in shown[:count]) <= math.ceil(count / 4)
    assert ranked(phrases, limit) == shown[:limit]


def test_what_one_call_repeats_comes_after_what_many_calls_say() -> None:
    turns = [(0, "one moment please wait")] * 50 + [(call, "payment link never came") for call in range(3)]
    assert [phrase.text for phrase in group(counted(turns))] == ["payment link never came", "one moment please wait"]


def said(conversations: int, elsewhere: int, text: str = "payment link") -> Phrase:
    return Phrase(text, False, [1], conversations, conversations, elsewhere)


def test_distinctive_phrases_are_said_more_here() -> None:
    phrases = [
        said(60, 40, "app crashed"),
        said(500, 5_000, "will pay"),
        said(10, 900, "old price"),
        said(4, 0, "rare"),
    ]
    (best,) = distinctive(phrases, 1_000, 10_000)
    assert best.text == "app crashed"


@pytest.mark.parametrize(("conversations", "spoken"), [(10, 50), (12, 200)])
def test_a_phrase_of_a_small_selection_is_distinctive_as_soon_as_chance_does_not_explain_it(
    conversations: int, spoken: int
) -> None:
    common = [said(spoken // 2, spoken // 2, f"common {n}") for n in range(6)]
    assert [phrase.text for phrase in distinctive([*common, said(conversations, 0)], spoken, spoken)] == [
        "payment link"
    ]


def test_of_distinctive_phrases_a_common_one_comes_before_a_rare_one_with_the_same_odds() -> None:
    phrases = [said(20, 10, "rare"), said(200, 100, "common"), said(300, 30, "most")]
    assert [phrase.text for phrase in distinctive(phrases, 2_000, 2_000)] == ["most", "common"]


@pytest.mark.parametrize(
    ("conversations", "elsewhere", "total", "total_elsewhere"),
    [(4, 0, 10_000, 10_000), (100, 100, 100, 100), (100, 0, 100, 0), (5, 4, 100, 100)],
)
def test_nothing_is_distinctive_of(conversations: int, elsewhere: int, total: int, total_elsewhere: int) -> None:
    assert distinctive([said(conversations, elsewhere)], total, total_elsewhere) == []


def test_two_random_shares_rarely_have_a_distinctive_phrase() -> None:
    draw = random.Random(3)
    reports, rounds = 0, some(range(300), 3)
    for _ in rounds:
        sizes = [int(2_000 / rank) for rank in range(1, 80)]
        here = [sum(call < 600 for call in draw.sample(range(2_000), size)) for size in sizes]
        phrases = [said(count, size - count, str(size)) for count, size in zip(here, sizes, strict=True)]
        reports += bool(distinctive(phrases, 600, 1_400))
    assert reports / len(rounds) <= 0.05
