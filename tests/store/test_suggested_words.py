"""Words that the store suggests and counts: similar ones, those that occur, and longer ones."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.filters import Filters, Role
from formant_mcp.models import Conversation
from formant_mcp.text_search.query import Expression, Term
from tests.in_a_loop import in_a_loop
from tests.store.files import call_saying, stored
from tests.store.oracle import NOW, filters
from tests.store.search_oracle import EXPRESSIONS, ROLES
from tests.store.test_turn_search import CALLS, find

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("meant", "typed"),
    [
        ("lawyer", "lawer"),
        ("lawyer", "alwyer"),
        ("lawyer", "awyer"),
        ("lawyer", "lawwyer"),
        ("payment", "paymants"),
        ("भुगतान", "भूगतान"),
        ("वकील", "बकील"),
        ("вернуть", "вернут"),
    ],
)
async def test_similar_suggests_the_word_that_was_misspelled(meant: str, typed: str) -> None:
    store = await stored(call_saying(1, f"{meant} and something altogether different"))
    assert list(await store.search.similar(Term((typed,), "word"))) == [meant]


@pytest.mark.parametrize("words", [100, 101])  # more are searched as a prefix, not as its words
async def test_a_prefix_matches_all_words_that_continue_it(words: int) -> None:
    store = await stored(*(call_saying(number, f"pre{number} and prefix") for number in range(1, words)))
    for searched in (Term(("pre",), "prefix"), Term(("and", "pre"), "prefix")):
        assert (await find(store, Expression(((searched,),)))).hits == words - 1
    await store.close()


async def test_occurs_ignores_words_of_deleted_transcripts() -> None:
    store = await stored(call_saying(1, "lawyer"), call_saying(2, "lawyers"))
    await store.write.delete("call-1")
    assert not await store.search.occurs(Term(("lawyer",), "phrase"))
    assert await store.search.occurs(Term(("lawyer",), "word"))


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, data=st.data())
@in_a_loop
async def test_occurs_agrees_with_find(
    calls: list[Conversation], expression: Expression, role: Role, data: st.DataObject
) -> None:
    store = await stored(*calls)
    narrowed = data.draw(st.just(Filters()) | filters(calls))
    for term in expression.none_of:
        hits = (await find(store, Expression(((term,),)), role, narrowed)).hits
        assert await store.search.occurs(term, role, narrowed) == bool(hits)
    await store.close()


async def test_longer_lists_other_words_shortest_first() -> None:
    store = await stored(call_saying(1, "pay pays paypal payroll-x repay"), call_saying(2, "환불을 환불이요 환 불"))
    assert list(await store.search.longer(Term(("pay",), "word"))) == ["paypal", "payroll"]
    assert list(await store.search.longer(Term(("환불",), "word"))) == ["환불을", "환불이요"]
    assert list(await store.search.longer(Term(("p",), "word"))) == []


@pytest.mark.parametrize("typed", ["a", "zz", "返", "x" * 400, "\U0001e900" * 30])
async def test_similar_suggests_nothing_for_words_too_short_too_long_or_without_spelling(typed: str) -> None:
    assert list(await (await stored(call_saying(1, "a ab zzz 金 xyz"))).search.similar(Term((typed,), "word"))) == []


async def test_count_transcripts_counts_matching_conversations_with_turns() -> None:
    store = await stored(
        call_saying(1, "hello"), call_saying(2), Conversation("call-3", started_at=NOW), call_saying(4, "hello")
    )
    assert await store.search.count_transcripts(Filters()) == 2
    assert await store.search.count_transcripts(Filters(since=NOW + timedelta(minutes=2))) == 1
