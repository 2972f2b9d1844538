"""Pages of hits: every conversation once, with highlights, context turns, and advice where nothing matches."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.filters import Filters, Role, Spelling
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conversations import Existing
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.search import PER_CONVERSATION, Hit, SearchQuery, SearchResult, search_transcripts
from formant_mcp.text_search.highlight import Pattern, find_spans
from formant_mcp.text_search.query import Expression, Term
from tests.queries.static_provider import loader_of
from tests.store.oracle import NOW, conversations, filters, matches
from tests.store.search_oracle import EXPRESSIONS, ROLES, SPOKEN, TEXTS, distance_of, is_hit, spelled_in

LONG = st.lists(st.tuples(st.sampled_from(["agent", "contact"]), TEXTS), max_size=12).map(
    lambda said: tuple(Turn(index, *turn, float(index)) for index, turn in enumerate(said))
)


@st.composite
def transcripts(draw: st.DrawFn) -> Conversation:
    return draw(conversations())._replace(turns=draw(LONG), has_detail=True, failure_reason_known=True)


CALLS = st.lists(transcripts(), max_size=5, unique_by=lambda conversation: conversation.conversation_id)


def call(number: int, *said: str) -> Conversation:
    """A call of two people who take turns; calls with higher numbers are newer."""
    turns = tuple(Turn(index, "contact" if index % 2 else "agent", text) for index, text in enumerate(said))
    return Conversation(f"call-{number}", started_at=NOW + timedelta(minutes=number), turns=turns, has_detail=True)


def written(expression: Expression) -> str:
    """The expression as a person types it."""

    def one(term: Term) -> str:
        words = " ".join(term.words)
        if term.kind == "phrase":
            return f'"{words}"'
        # A prefix of several words is typed as one hyphenated word.
        return "-".join(term.words) + ("*" if term.kind == "prefix" else "")

    wanted = [" OR ".join(map(one, terms)) for terms in expression.all_of]
    return " ".join([*wanted, *(f"-{one(term)}" for term in expression.none_of)])


def pages(calls: list[Conversation], query: SearchQuery) -> list[SearchResult]:
    """All pages, by following the cursor."""

    async def ask() -> list[SearchResult]:
        loader = await loader_of(calls)
        results = [await search_transcripts(loader, RequestContext(NOW, 60), query)]
        while results[-1].next_cursor:
            next_one = replace(query, cursor=results[-1].next_cursor)
            results.append(await search_transcripts(loader, RequestContext(NOW, 60), next_one))
        await loader.sync.aclose()
        await loader.store.close()
        return results

    return asyncio.run(ask())


def searched(query: str, *calls: Conversation, context_turns: int = 1, cursor: str = "") -> SearchResult:
    """The first page of a search without filters."""
    return pages(list(calls), SearchQuery(Filters(), query, "", context_turns=context_turns, cursor=cursor))[0]


def highlighted(hit: Hit) -> list[str]:
    return [hit.turn.text[start:end] for start, end in hit.spans]


def hits_of(
    calls: list[Conversation], among: list[Conversation], expression: Expression, role: Role, spelling: Spelling
) -> dict[tuple[int, str], set[int]]:
    """The turns of some of the calls that are hits: by their steps, and the ids of their calls."""
    spelled = spelled_in((turn for call in calls for turn in call.turns or ()), expression)
    hits: dict[tuple[int, str], set[int]] = {}
    for conversation in among:
        for turn in conversation.turns or ():
            if is_hit(turn, expression, role, spelled if spelling == "any" else None):
                step = distance_of(turn, expression, role, spelled) + 1
                hits.setdefault((step, conversation.conversation_id), set()).add(turn.index)
    return hits


def counted(hits: dict[tuple[int, str], set[int]]) -> tuple[int, int]:
    """How many hits in how many calls."""
    return sum(map(len, hits.values())), len({name for _, name in hits})


@given(
    calls=CALLS,
    expression=EXPRESSIONS,
    role=ROLES,
    spelling=st.sampled_from(("any", "exact")),
    limit=st.integers(1, 7),
    data=st.data(),
)
def test_paging_shows_the_hits_of_every_conversation_once(
    calls: list[Conversation],
    expression: Expression,
    role: Role,
    spelling: Spelling,
    limit: int,
    data: st.DataObject,
) -> None:
    wanted = data.draw(st.just(Filters()) | filters(calls))
    query = SearchQuery(wanted, written(expression), "", role=role, spelling=spelling, limit=limit)
    results = pages(calls, query)
    matching = [conversation for conversation in calls if matches(conversation, wanted)]
    hits = hits_of(calls, matching, expression, role, spelling)
    total, exact = counted(hits), counted({block: turns for block, turns in hits.items() if not block[0]})
    for page in results:
        assert (page.hits_total, page.conversations_total) == total
        assert (page.spelling_hits, page.spelling_conversations) == (total[0] - exact[0], total[1] - exact[1])
        assert len(page.hits) <= limit
        assert all(hit.spans for hit in page.hits)
    blocks: dict[tuple[int, str], list[set[int]]] = {}
    for page in results:
        for block, on_page in groupby(page.hits, key=lambda hit: (hit.step, hit.conversation.conversation_id)):
            blocks.setdefault(block, []).append({hit.turn.index for hit in on_page})
    assert [step for step, _ in blocks] == sorted(step for step, _ in blocks)
    assert blocks.keys() == hits.keys()
    for block, turns in hits.items():
        (shown,) = blocks[block]  # once
        assert shown <= turns
        assert len(shown) == min(PER_CONVERSATION, limit, len(turns))
    shown_hits = [hit for page in results for hit in page.hits]
    assert sum(hit.more for hit in shown_hits) + len(shown_hits) == total[0]
    assert results[-1].shown == len(shown_hits)


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, limit=st.integers(1, 7))
def test_the_exact_hits_are_those_of_a_search_for_the_exact_spelling(
    calls: list[Conversation], expression: Expression, role: Role, limit: int
) -> None:
    query = SearchQuery(Filters(), written(expression), "", role=role, limit=limit)
    shown = [hit for page in pages(calls, query) for hit in page.hits if not hit.by_spelling]
    assert shown == [hit for page in pages(calls, replace(query, spelling="exact")) for hit in page.hits]


@given(turns=LONG, context=st.integers(0, 5))
def test_context_turns_are_shown_once_and_in_order(turns: tuple[Turn, ...], context: int) -> None:
    one = call(1)._replace(turns=turns)
    hits = searched("refund OR fee", one, context_turns=context).hits
    hit_turns = [hit.turn for hit in hits]
    around = [turn for hit in hits for turn in (*hit.before, hit.turn, *hit.after)]
    assert around == [
        turn for turn in turns if any(abs(turn.index - hit_turn.index) <= context for hit_turn in hit_turns)
    ]  # in their order, without repeats
    for hit in hits:
        assert all(turn.index < hit.turn.index for turn in hit.before)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("refund", "Refund? He refunded the refunds.", ["Refund", "refunded", "refunds"]),
        ('"refund"', "Refund? He refunded it.", ["Refund"]),
        ("refund*", "refundable, re, refund", ["refundable", "refund"]),
        ('"late fee"', "late, late fee, fee", ["late fee"]),
        ('late "late fee"', "late, late fee, fee", ["late", "late fee"]),
        ("late OR fee -refund", "a late fee", ["late", "fee"]),
        ("fee", "दो फ़ीस fee", ["fee"]),
        ("फीस", "दो फ़ीस, फीस", ["फ़ीस", "फीस"]),
        ("15000", "Rs.15,000/- and १५,०००", ["15,000", "१५,०००"]),
        ("cafe", "Le Café.", ["Café"]),
        ("返金", "すぐに返金、返 金", ["返金", "返 金"]),
        ("金金", "金金金", ["金金金"]),
        ("follow-u*", "follow up", ["follow up"]),
        ("DON’T", "I don't", ["don't"]),
        ("ordine", "l'ordine", ["ordine"]),
        ("l'ordine", "l’Ordine", ["l’Ordine"]),
        ("email", "my E-mail, emails, e mail", ["E-mail", "emails", "e mail"]),
        ("email", "my emails, e mail", ["emails"]),
        ("e-mail", "my E-mail, emails, e mail", ["E-mail", "emails", "e mail"]),
        ("(refund late) OR fee", "late refund", ["late", "refund"]),
        ("paisa", "Paisa, पैसा, paise", ["Paisa"]),
        ("paisa", "पैसा, paise, pay", ["पैसा", "paise"]),
        ("fee paisa", "fees, पैसा", ["fees", "पैसा"]),
    ],
)
def test_exactly_the_matching_words_are_highlighted(query: str, text: str, expected: list[str]) -> None:
    (hit,) = searched(query, call(1, text)).hits
    assert highlighted(hit) == expected


@given(text=TEXTS)
def test_highlights_are_ordered_and_do_not_touch(text: str) -> None:
    needles = [
        Pattern(("late", "fee"), {"fee"}, False),
        Pattern(("fee",), {"fee", "fees"}, False),
        Pattern(("f",), (), True),
    ]
    spans = find_spans(text, needles)
    assert all(start < end for start, end in spans)
    assert all(one[1] < other[0] for one, other in pairwise(spans))


def test_highlights_far_after_the_first_are_left_out() -> None:
    (hit,) = searched("refund", call(1, "refund " + "word " * 1_000 + "refund")).hits
    assert hit.spans == ((0, 6),)


def test_the_best_turns_of_a_conversation_are_shown_in_turn_order() -> None:
    one = call(1, "refund", "late refund", "refund", "refund late fee", "refund", "late refund")
    hits = searched("refund OR late OR fee", one, context_turns=0).hits
    assert [hit.turn.index for hit in hits] == [1, 3, 5]
    assert [hit.more for hit in hits] == [0, 0, 3]


def test_a_conversation_that_does_not_fit_is_on_the_next_page() -> None:
    calls = [call(number, "refund", "refund") for number in range(3)]
    first, second = pages(calls, SearchQuery(Filters(), "refund", "", limit=5))
    assert [hit.conversation.conversation_id for hit in first.hits] == ["call-2", "call-2", "call-1", "call-1"]
    assert [hit.conversation.conversation_id for hit in second.hits] == ["call-0", "call-0"]
    assert (first.shown, second.shown) == (4, 6)


def test_a_search_without_hits_states_what_was_searched_and_suggests_words() -> None:
    calls = [call(1, "Call my lawyer", "refund"), call(2, "लेट फ़ीस"), call(3)]
    advice = searched('lawer "refunds" "लेट फीश" "rifund it"', *calls).advice
    searched_all = "No matches in 2 transcripts (3 conversations match the filters; 1 without a transcript). "
    assert advice.startswith(searched_all)
    for absent, similar in (("lawer", "lawyer"), ("refunds", "refund"), ("फीश", "फीस"), ("rifund", "refund")):
        assert f'"{absent}" does not occur in the transcripts searched. Similar words: {similar}.' in advice
    assert '"लेट"' not in advice


@pytest.mark.parametrize(
    ("query", "said", "advice"),
    [
        ("paisa", ["paisa"], ""),
        ("paisa", ["पैसा paise", "लोन"], "Also searched as: paise, पैसा."),
        ("paisa", ["paisa", "पैसा"], "Also searched as: पैसा."),
        ("पैसा", ["पैसा", "पैसे"], "Also searched as: पैसे."),
        ("paisa OR loan", ["पैसा"], 'Also searched as: पैसा. "loan" does not occur in the transcripts searched.'),
        ("paisa OR loan", ["पैसा", "लोन"], "Also searched as: पैसा, लोन."),
        ("paise OR paisa", ["paisa", "paise", "पैसा"], "Also searched as: पैसा."),
        ('paise OR "paisa" OR पैसा', ["paisa", "paise", "पैसा", "पैसे"], "Also searched as: पैसे."),
    ],
)
def test_other_spellings_are_named_where_they_gave_hits(query: str, said: list[str], advice: str) -> None:
    result = searched(query, *(call(number, text) for number, text in enumerate(said)))
    assert result.advice.removesuffix(" No similar words.") == advice
    assert bool(advice) == any(hit.by_spelling for hit in result.hits)
    assert searched('"paisa"', call(1, *said, "paisa")).advice == ""


def test_a_search_without_hits_names_the_spellings_and_takes_them_for_the_word() -> None:
    advice = searched("paisa refund", call(1, "पैसा", "refund")).advice
    assert advice.endswith(
        "Also searched as: पैसा. Each word occurs, but not together. Try fewer words, a OR b, or fewer filters."
    )


def test_hits_come_with_longer_words_that_were_not_searched_for() -> None:
    result = searched("환불", call(1, "환불"), call(2, "환불을 주세요"))
    assert result.hits_total == 1
    assert result.advice == "Longer words, not searched for: 환불을; 환불* finds them."


@given(count=st.integers(0, 6), size=st.integers(1, 12))
def test_first_of_a_page_equals_the_page_of_a_smaller_limit(count: int, size: int) -> None:
    calls = [call(number, *["refund"] * (number % 4), *["रिफंड"] * ((number + 1) % 3)) for number in range(1, size + 1)]
    query = SearchQuery(Filters(), "refund", "", limit=100)
    first = pages(calls, query)[0].first(count)
    smaller = pages(calls, replace(query, limit=max(1, len(first.hits))))[0]
    assert replace(first, fingerprint="") == replace(smaller, fingerprint="") or not first.hits
    assert (first.shown, bool(first.next_cursor)) == (smaller.shown, bool(smaller.next_cursor))


def test_filters_that_match_nothing_come_with_existing_values() -> None:
    query = SearchQuery(Filters(status=("completd",)), "refund", "")
    (result,) = pages([call(1, "refund")._replace(status="completed")], query)
    assert (result.hits_total, result.advice, result.existing) == (
        0,
        "",
        {"status": Existing(["completed"], "completed")},
    )


def test_coverage_counts_the_transcripts_searched() -> None:
    coverage = searched("refund", call(1, SPOKEN), call(2)).coverage
    assert (coverage.details_needed, coverage.details_read, coverage.complete) == (2, 2, True)


def test_a_page_is_filled_up_with_hits_by_another_spelling_the_nearest_first() -> None:
    said = ["vakil", "वकील", "vakeel", "vakil", "वकील", "wakeel"]
    calls = [call(number, words) for number, words in enumerate(said)]
    first, second = pages(calls, SearchQuery(Filters(), "vakil", "", limit=5))
    assert [hit.turn.text for hit in first.hits] == ["vakil", "vakil", "wakeel", "vakeel", "वकील"]
    assert [hit.turn.text for hit in second.hits] == ["वकील"]
