"""Counting forms: what Counter and sets say, whatever the keys."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.analysis.phrase_counts import FormCounts, count_exactly, first_with
from formant_mcp.analysis.phrases import Phrase

CALLS = st.lists(st.lists(st.integers(1, 12), max_size=6), max_size=8)


@given(CALLS)
def test_turns_and_conversations_are_counted_as_plainly(calls: list[list[int]]) -> None:
    counts = FormCounts.of(calls)
    turns = Counter(key for keys in calls for key in keys)
    assert {key: counts.turns_of(key) for key in counts.conversations} == turns
    assert counts.conversations == Counter(key for keys in calls for key in set(keys))
    assert counts.turns == turns.total()
    assert counts.spoken == sum(map(bool, calls))


@given(CALLS, st.integers(1, 12))
def test_the_commonest_forms_are_those_of_most_conversations_and_all_if_they_fit(
    calls: list[list[int]], limit: int
) -> None:
    counts = FormCounts.of(calls)
    kept = counts.commonest(limit)
    others = counts.conversations.keys() - set(kept)
    assert len(kept) == len(set(kept)) <= limit
    assert [counts.conversations[key] for key in kept] == sorted(
        (counts.conversations[key] for key in kept), reverse=True
    )
    if len(counts.conversations) <= limit:
        assert not others
    else:
        assert all(counts.conversations[key] > 1 for key in kept)
        worst = min((counts.conversations[key] for key in kept), default=0)
        assert len(kept) < limit or all(counts.conversations[key] <= worst for key in others)


@given(CALLS, st.sets(st.integers(1, 14)))
def test_each_key_is_first_where_no_earlier_conversation_has_it(calls: list[list[int]], keys: set[int]) -> None:
    places = {key: next((n for n, said in enumerate(calls) if key in said), None) for key in keys}
    assert first_with(calls, keys) == {key: place for key, place in places.items() if place is not None}


@given(CALLS, CALLS, st.lists(st.sets(st.integers(1, 12), min_size=1, max_size=3), max_size=4))
def test_a_conversation_with_several_forms_of_a_phrase_counts_once(
    calls: list[list[int]], others: list[list[int]], groups: list[set[int]]
) -> None:
    apart = [keys - set().union(*groups[:n]) for n, keys in enumerate(groups)]
    phrases = [Phrase("said", is_short=False, keys=sorted(keys)) for keys in apart]
    count_exactly(phrases, calls, others)
    for phrase, keys in zip(phrases, apart, strict=True):
        assert phrase.conversations == sum(not keys.isdisjoint(said) for said in calls)
        assert phrase.elsewhere == sum(not keys.isdisjoint(said) for said in others)
