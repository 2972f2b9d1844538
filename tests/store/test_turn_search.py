"""The index finds just the turns that plain Python finds, whatever was saved, read anew or forgotten."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.filters import Filters, Role
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store, search
from formant_mcp.store.schema import MIGRATIONS
from formant_mcp.store.search import MatchPage, StoreSearch
from formant_mcp.text_search.query import Expression, Term
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.store.files import open_store
from tests.store.oracle import NOW, conversations, filters, matches, sort_key
from tests.store.search_oracle import EXPRESSIONS, ROLES, TURNS, alternatives_said, folded, is_hit

pytestmark = pytest.mark.anyio


@st.composite
def transcripts(draw: st.DrawFn) -> Conversation:
    return replace(draw(conversations()), turns=draw(TURNS), has_detail=True)


CALLS = st.lists(transcripts(), max_size=6, unique_by=lambda each: each.conversation_id)


def call(number: int, *said: str, role: str = "contact") -> Conversation:
    """A call with these turns, the higher its number the newer."""
    return Conversation(
        f"call-{number}",
        started_at=NOW + timedelta(minutes=number),
        turns=tuple(Turn(index, role, text) for index, text in enumerate(said)),
        has_detail=True,
    )


def word(text: str) -> Expression:
    return Expression(((Term(folded(text), "word"),),))


def joined(text: str) -> Expression:
    """Words that a hyphen or an apostrophe joins, as one."""
    return Expression(((Term(folded(text), "word"),),))


def phrase(text: str) -> Expression:
    return Expression(((Term(folded(text), "phrase"),),))


def either(*words: str) -> Expression:
    return Expression((tuple(Term(folded(each), "word") for each in words),))


async def stored(*calls: Conversation) -> Store:
    store = await open_store(None)
    await store.write.save(calls, NOW)
    return store


async def find(store: Store, expression: Expression, role: Role = "any", asked: Filters | None = None) -> MatchPage:
    return await store.search.find(StoreSearch(expression, role, asked or Filters()), 100)


def turns_found(found: MatchPage) -> dict[str, set[int]]:
    return {each.conversation.conversation_id: set(each.turns) for each in found.page}


def expected(calls: Sequence[Conversation], sought: StoreSearch) -> dict[str, set[int]]:
    """The turns that are hits, of the calls that have some."""
    hits = {
        each.conversation_id: {turn.index for turn in each.turns or () if is_hit(turn, sought.expression, sought.role)}
        for each in calls
        if matches(each, sought.filters)
    }
    return {name: indexes for name, indexes in hits.items() if indexes}


@pytest.mark.parametrize("many", [1, 5_000])
@settings(max_examples=examples(2))
@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, data=st.data())
@in_a_loop
async def test_a_search_finds_what_plain_python_finds(
    many: int, calls: list[Conversation], expression: Expression, role: Role, data: st.DataObject
) -> None:
    sought = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    store = await stored(*calls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MANY", many)
        found = await store.search.find(sought, 100)
    assert turns_found(found) == expected(calls, sought)
    assert found.hits == sum(len(each.turns) for each in found.page)
    assert found.conversations == len(found.page)
    await store.close()


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES)
@in_a_loop
async def test_more_alternatives_come_first_then_the_newest(
    calls: list[Conversation], expression: Expression, role: Role
) -> None:
    store = await stored(*calls)
    by_id = {each.conversation_id: each for each in calls}
    places: list[tuple[int, float]] = []
    for each in (await find(store, expression, role)).page:
        turns = [turn for turn in by_id[each.conversation.conversation_id].turns or () if turn.index in each.turns]
        places.append(
            (alternatives_said(turns, expression), sort_key(by_id[each.conversation.conversation_id], "newest"))
        )
        best_first = sorted(turns, key=lambda turn: (-alternatives_said([turn], expression), turn.index))
        assert list(each.turns) == [turn.index for turn in best_first]
    assert places == sorted(places, reverse=True)
    await store.close()


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, count=st.integers(1, 3), data=st.data())
@in_a_loop
async def test_going_on_behind_the_last_one_gives_each_conversation_once(
    calls: list[Conversation], expression: Expression, role: Role, count: int, data: st.DataObject
) -> None:
    store = await stored(*calls)
    sought = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    page = (await store.search.find(sought, count)).page
    found = list(page)
    while page:
        page = (await store.search.find(sought, count, page[-1].row)).page
        found += page
    assert found == list((await store.search.find(sought, 100)).page)
    await store.close()


@pytest.mark.parametrize("probed", [0, 1, 300])
@settings(max_examples=examples(1))
@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, count=st.integers(1, 3), data=st.data())
@in_a_loop
async def test_of_too_many_hits_to_rank_the_newest_come_first(
    probed: int, calls: list[Conversation], expression: Expression, role: Role, count: int, data: st.DataObject
) -> None:
    store = await stored(*calls)
    sought = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MAX_RANKED", -1)
        patch.setattr(search, "_PROBED", probed)
        page = (await store.search.find(sought, count)).page
        found = list(page)
        while page:
            page = (await store.search.find(sought, count, page[-1].row)).page
            found += page
    assert {each.conversation.conversation_id: set(each.turns) for each in found} == expected(calls, sought)
    by_id = {each.conversation_id: each for each in calls}
    started = [sort_key(by_id[each.conversation.conversation_id], "newest") for each in found]
    assert started == sorted(started, reverse=True)
    await store.close()


@given(first=TURNS, then=st.none() | TURNS, expression=EXPRESSIONS)
@in_a_loop
async def test_what_is_read_anew_or_forgotten_is_found_as_it_is_now(
    first: tuple[Turn, ...], then: tuple[Turn, ...] | None, expression: Expression
) -> None:
    changed, kept = call(1), call(2, "late refund fee", "café 返金")
    store = await stored(replace(changed, turns=first), kept)
    if then is None:
        await store.write.delete(changed.conversation_id)
    else:
        await store.write.save([replace(changed, turns=then)], NOW)
    sought = StoreSearch(expression, "any", Filters())
    assert turns_found(await find(store, expression)) == expected([replace(changed, turns=then), kept], sought)
    await store.close()


async def test_a_store_from_before_there_was_an_index_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(MIGRATIONS[0])
    old.executescript(
        "INSERT INTO meta VALUES ('account', 'key');"
        "INSERT INTO conversations (row_id, conversation_id, ended, failure_reason_known, turn_count, first_seen_at,"
        " seen_at) VALUES (7, 'call-7', 1, 1, 2, 0, 0);"
        "INSERT INTO turns VALUES ((7 << 20), 'agent', 'Your late fee', 0), ((7 << 20) + 1, 'contact', 'Refunds!', 3);"
        "PRAGMA user_version = 1"
    )
    old.close()
    store = await open_store(path)
    assert turns_found(await find(store, word("refund"), "contact")) == {"call-7": {1}}
    assert turns_found(await find(store, phrase("late fee"), "agent")) == {"call-7": {0}}
    assert (await find(store, word("refund"), "agent")).hits == 0
    await store.write.delete("call-7")
    assert (await find(store, word("refund"))).hits == 0
    await store.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (word("refund"), "You were Refunded, I said."),
        (word("payments"), "the PAYMENT"),
        (phrase("लेट फ़ीस"), "यह लेट फीस है।"),
        (phrase("लेट फीस"), "यह लेट फ़ीस है।"),
        (word("हिन्दी"), "हिंदी में बोलिए"),
        (word("15000"), "१५,००० रुपये"),
        (word("१५०००"), "Rs.15,000 only"),
        (word("Cafe"), "Le café!"),
        (phrase("返金"), "すぐに返金をお願いします"),
        (phrase("ค่าปรับ"), "ฉันไม่จ่ายค่าปรับครับ"),
        (word("paise"), "Mere paas Paise nahi hain"),
        (phrase("don't"), "I don’t know"),
        (word("ordine"), "Non ho l'ordine"),
        (word("ordine"), "il numero dell’ordine"),
        (phrase("l'ordine 42"), "l’ordine 42 è qui"),
        (phrase("ordine 42"), "l'ordine 42"),
        (word("accord"), "D’accord, merci"),
        (word("istanbul"), "İSTANBUL'da oturuyorum"),
        (word("ahmet"), "Ahmet'in kartı"),
        (word("iade"), "İADE'yi istiyorum"),
        (word("aldim"), "ben ALDIM"),
        (word("aldım"), "ben aldim"),
        (word("customer"), "the customer's card"),
        (word("dsouza"), "this is D'Souza"),
        (word("souza"), "this is D’Souza"),
        (word("email"), "send an e-mail"),
        (word("emails"), "by E‑Mail please"),
        (joined("e-mail"), "my email"),
        (joined("e-mail"), "my e mail"),
        (joined("follow-ups"), "a followup"),
        (word("rahul"), "that is R-A-H-U-L"),
        (word("covid19"), "COVID-19"),
        (word("zloty"), "sto złotych złoty"),
    ],
)
async def test_it_is_found_however_it_is_spelled(asked: Expression, said: str) -> None:
    store = await stored(call(1, "something else", said))
    assert turns_found(await find(store, asked)) == {"call-1": {1}}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (phrase("refund"), "refunded"),
        (word("फीस"), "फीसदी"),
        (word("का"), "काम के"),
        (phrase("late fee"), "fee late"),
        (phrase("返金"), "金返"),
        (word("1500"), "15000"),
        (word("don"), "I don't know"),
        (word("1020"), "10-20"),
        (word("email"), "e - mail"),
        (phrase("email"), "e-mail"),
    ],
)
async def test_it_is_not_found_where_it_is_not_said(asked: Expression, said: str) -> None:
    assert (await find(await stored(call(1, said)), asked)).hits == 0


async def test_the_turn_that_says_more_of_the_alternatives_is_the_best() -> None:
    store = await stored(call(1, "refund", "fee", "late fee refund", "late fee"))
    assert (await find(store, either("refund", "fee", "late"))).page[0].turns == (2, 3, 0, 1)


async def test_a_place_that_is_gone_is_said_to_be_gone() -> None:
    store = await stored(*(call(number, "refund", "return") for number in range(3)))
    sought = StoreSearch(either("refund", "return"), "any", Filters())
    row = (await store.search.find(sought, 1)).page[0].row
    await store.write.save([call(2, "hello")], NOW)
    with pytest.raises(LookupError):
        await store.search.find(sought, 1, row)
    newest_alone = StoreSearch(word("refund"), "any", Filters())
    assert turns_found(await store.search.find(newest_alone, 9, row)) == {"call-1": {0}, "call-0": {0}}
    await store.write.delete("call-2")
    with pytest.raises(LookupError):
        await store.search.find(newest_alone, 9, row)


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
async def test_a_slip_names_what_was_perhaps_meant(meant: str, typed: str) -> None:
    store = await stored(call(1, f"{meant} and something altogether different"))
    assert list(await store.search.similar(Term((typed,), "word"))) == [meant]


async def test_what_is_no_longer_said_is_not_said() -> None:
    store = await stored(call(1, "lawyer"), call(2, "lawyers"))
    await store.write.delete("call-1")
    assert not await store.search.occurs(Term(("lawyer",), "phrase"))
    assert await store.search.occurs(Term(("lawyer",), "word"))


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, data=st.data())
@in_a_loop
async def test_a_term_is_said_where_it_is_found(
    calls: list[Conversation], expression: Expression, role: Role, data: st.DataObject
) -> None:
    store = await stored(*calls)
    narrowed = data.draw(st.just(Filters()) | filters(calls))
    for term in expression.none_of:
        hits = (await find(store, Expression(((term,),)), role, narrowed)).hits
        assert await store.search.occurs(term, role, narrowed) == bool(hits)
    await store.close()


async def test_longer_words_come_shortest_first_and_not_what_was_found() -> None:
    store = await stored(call(1, "pay pays paypal payroll-x repay"), call(2, "환불을 환불이요 환 불"))
    assert list(await store.search.longer(Term(("pay",), "word"))) == ["paypal", "payroll"]
    assert list(await store.search.longer(Term(("환불",), "word"))) == ["환불을", "환불이요"]
    assert list(await store.search.longer(Term(("p",), "word"))) == []


@pytest.mark.parametrize("typed", ["a", "zz", "返", "x" * 400, "\U0001e900" * 30])
async def test_what_has_no_spelling_to_vary_has_nothing_near(typed: str) -> None:
    assert list(await (await stored(call(1, "a ab zzz 金 xyz"))).search.similar(Term((typed,), "word"))) == []


async def test_transcripts_are_those_with_turns_that_match() -> None:
    store = await stored(call(1, "hello"), call(2), Conversation("call-3", started_at=NOW), call(4, "hello"))
    assert await store.search.count_transcripts(Filters()) == 2
    assert await store.search.count_transcripts(Filters(since=NOW + timedelta(minutes=2))) == 1
