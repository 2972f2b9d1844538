"""The index finds exactly the turns that plain Python finds, whatever was saved, changed or deleted."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.filters import Filters, Role
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store, search, vocabulary
from formant_mcp.store.search import MatchedConversation, MatchPage, StoreSearch
from formant_mcp.store.sqlite.schema import MIGRATIONS
from formant_mcp.text_search.query import Expression, parse_query
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.store.files import call_saying, open_store, stored
from tests.store.oracle import NOW, conversations, filters, matches, sort_value
from tests.store.search_oracle import (
    EXPRESSIONS,
    ROLES,
    SPELLED_EXPRESSIONS,
    SPELLED_TEXTS,
    TURNS,
    Spelled,
    alternatives_said,
    distance_of,
    either,
    is_hit,
    phrase,
    said_in,
    spelled_in,
    word,
)

pytestmark = pytest.mark.anyio


def calls_of(turns: st.SearchStrategy[tuple[Turn, ...]]) -> st.SearchStrategy[list[Conversation]]:
    def saying(call: Conversation, said: tuple[Turn, ...]) -> Conversation:
        return call._replace(turns=said, has_detail=True)

    calls = st.builds(saying, conversations(), turns)
    return st.lists(calls, max_size=6, unique_by=lambda conversation: conversation.conversation_id)


CALLS = calls_of(TURNS)


async def find(store: Store, expression: Expression, role: Role = "any", among: Filters | None = None) -> MatchPage:
    return await store.search.find(StoreSearch(expression, role, among or Filters()), 100)


def turns_found(result: MatchPage) -> dict[str, set[int]]:
    return turns_of(result.page)


def turns_of(matches: Sequence[MatchedConversation]) -> dict[str, set[int]]:
    return {match.conversation.conversation_id: set(match.turns) for match in matches}


async def all_pages(
    store: Store, request: StoreSearch, count: int
) -> tuple[list[MatchPage], list[MatchedConversation]]:
    """The pages of a search, each of so many conversations, and what they list together."""
    pages = [await store.search.find(request, count)]
    while pages[-1].page:
        assert len(pages[-1].page) <= count
        pages.append(await store.search.find(request, count, pages[-1].page[-1].place))
    return pages, [match for page in pages for match in page.page]


def expected(
    calls: Sequence[Conversation], request: StoreSearch, spelled: Spelled | None = None
) -> dict[str, set[int]]:
    """The turns that are hits, of the calls that have some."""
    hits = {
        conversation.conversation_id: {
            turn.index for turn in conversation.turns or () if is_hit(turn, request.expression, request.role, spelled)
        }
        for conversation in calls
        if matches(conversation, request.filters)
    }
    return {name: indexes for name, indexes in hits.items() if indexes}


@pytest.mark.parametrize(("many", "continuations"), [(1, 0), (5_000, 100)])
@settings(max_examples=examples(2))
@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, data=st.data())
@in_a_loop
async def test_search_finds_the_turns_that_the_oracle_finds(
    many: int, continuations: int, calls: list[Conversation], expression: Expression, role: Role, data: st.DataObject
) -> None:
    request = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    store = await stored(*calls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MANY", many)
        patch.setattr(vocabulary, "_MAX_CONTINUATIONS", continuations)
        result = await store.search.find(request, 100)
    assert turns_found(result) == expected(calls, request)
    assert result.hits == sum(len(match.turns) for match in result.page)
    assert result.conversations == len(result.page)
    await store.close()


@pytest.mark.parametrize(("ranked", "probed"), [(20_000, 300), (-1, 300), (-1, 0), (1, 300)])
@settings(max_examples=examples(1))
@given(
    searched=st.tuples(CALLS, EXPRESSIONS) | st.tuples(calls_of(said_in(SPELLED_TEXTS)), SPELLED_EXPRESSIONS),
    role=ROLES,
    count=st.integers(1, 4),
    data=st.data(),
)
@in_a_loop
async def test_other_spellings_add_their_hits_after_the_exact_ones_the_nearest_first(
    ranked: int,
    probed: int,
    searched: tuple[list[Conversation], Expression],
    role: Role,
    count: int,
    data: st.DataObject,
) -> None:
    calls, expression = searched
    store = await stored(*calls)
    exact = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    request = replace(exact, any_spelling=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MAX_RANKED", ranked)
        patch.setattr(search, "_PROBED", probed)
        (first, *_), listed = await all_pages(store, exact, count)
        pages, listed_by_any = await all_pages(store, request, count)
    assert listed_by_any[: len(listed)] == listed
    by_spelling = listed_by_any[len(listed) :]
    assert all(match.by_spelling for match in by_spelling)
    spelled = spelled_in((turn for call in calls for turn in call.turns or ()), expression)
    every, hits = expected(calls, request, spelled), expected(calls, exact)
    for page in pages:
        assert (page.hits, page.conversations) == (sum(map(len, every.values())), len(every))
        assert page.exact == (first.hits, first.conversations) == (sum(map(len, hits.values())), len(hits))
    by_id = {conversation.conversation_id: conversation for conversation in calls}
    turns_at: dict[tuple[int, str], set[int]] = {}
    for name, indexes in every.items():
        for turn in by_id[name].turns or ():
            if turn.index in indexes - hits.get(name, set()):
                distance = distance_of(turn, expression, role, spelled)
                turns_at.setdefault((distance, name), set()).add(turn.index)
    found = {(match.step - 1, match.conversation.conversation_id): set(match.turns) for match in by_spelling}
    assert found == turns_at
    assert len(by_spelling) == len(found)
    places: list[tuple[int, int, float]] = []
    for match in by_spelling:
        call = by_id[match.conversation.conversation_id]
        turns = [turn for turn in call.turns or () if turn.index in match.turns]
        score = alternatives_said(turns, expression, nearer_than(match.step, spelled)) if ranked == 20_000 else 0
        started = call.started_at.timestamp() if call.started_at else -1e18
        places.append((-match.step, score, 0 if ranked == 1 else started))
    if ranked == 1:
        places = [(step, 0, 0) for step, *_ in places]
    assert places == sorted(places, reverse=True)
    assert await store.search.has_hits(request) == bool(every)
    await store.close()


def nearer_than(step: int, spelled: Spelled) -> Spelled:
    return {term: {word: n for word, n in words.items() if n < step} for term, words in spelled.items()}


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES)
@in_a_loop
async def test_matches_with_more_alternatives_come_first_then_the_newest(
    calls: list[Conversation], expression: Expression, role: Role
) -> None:
    store = await stored(*calls)
    by_id = {conversation.conversation_id: conversation for conversation in calls}
    places: list[tuple[int, float | str]] = []
    for match in (await find(store, expression, role)).page:
        turns = [turn for turn in by_id[match.conversation.conversation_id].turns or () if turn.index in match.turns]
        places.append(
            (
                alternatives_said(turns, expression),
                sort_value(by_id[match.conversation.conversation_id], "started_at") or 0.0,
            )
        )
        best_first = sorted(turns, key=lambda turn: (-alternatives_said([turn], expression), turn.index))
        assert list(match.turns) == [turn.index for turn in best_first]
    assert places == sorted(places, reverse=True)
    await store.close()


@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, count=st.integers(1, 3), data=st.data())
@in_a_loop
async def test_paging_lists_each_conversation_once(
    calls: list[Conversation], expression: Expression, role: Role, count: int, data: st.DataObject
) -> None:
    store = await stored(*calls)
    request = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    page = (await store.search.find(request, count)).page
    listed = list(page)
    while page:
        page = (await store.search.find(request, count, page[-1].row)).page
        listed += page
    assert listed == list((await store.search.find(request, 100)).page)
    await store.close()


@pytest.mark.parametrize("probed", [0, 1, 300])
@settings(max_examples=examples(1))
@given(calls=CALLS, expression=EXPRESSIONS, role=ROLES, count=st.integers(1, 3), data=st.data())
@in_a_loop
async def test_too_many_hits_to_rank_are_ordered_newest_first(
    probed: int, calls: list[Conversation], expression: Expression, role: Role, count: int, data: st.DataObject
) -> None:
    store = await stored(*calls)
    request = StoreSearch(expression, role, data.draw(st.just(Filters()) | filters(calls)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MAX_RANKED", -1)
        patch.setattr(search, "_PROBED", probed)
        result = await store.search.find(request, count)
        page = result.page
        listed = list(page)
        while page:
            page = (await store.search.find(request, count, page[-1].row)).page
            listed += page
    hits = expected(calls, request)
    assert {match.conversation.conversation_id: set(match.turns) for match in listed} == hits
    assert (result.hits, result.conversations) == (sum(map(len, hits.values())), len(hits))
    by_id = {conversation.conversation_id: conversation for conversation in calls}
    started = [sort_value(by_id[match.conversation.conversation_id], "started_at") or 0.0 for match in listed]
    assert started == sorted(started, reverse=True)
    await store.close()


@given(first=TURNS, then=st.none() | TURNS, expression=EXPRESSIONS)
@in_a_loop
async def test_the_index_follows_changed_and_deleted_transcripts(
    first: tuple[Turn, ...], then: tuple[Turn, ...] | None, expression: Expression
) -> None:
    changed, kept = call_saying(1), call_saying(2, "late refund fee", "café 返金")
    store = await stored(changed._replace(turns=first), kept)
    if then is None:
        await store.write.delete(changed.conversation_id)
    else:
        await store.write.save([changed._replace(turns=then)], NOW)
    request = StoreSearch(expression, "any", Filters())
    assert turns_found(await find(store, expression)) == expected([changed._replace(turns=then), kept], request)
    await store.close()


@pytest.mark.file_store
async def test_a_store_of_version_1_gets_an_index(tmp_path: Path) -> None:
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
    ("expression", "said"),
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
        (word("e-mail"), "my email"),
        (word("e-mail"), "my e mail"),
        (word("follow-ups"), "a followup"),
        (word("rahul"), "that is R-A-H-U-L"),
        (word("covid19"), "COVID-19"),
        (word("zloty"), "sto złotych złoty"),
    ],
)
async def test_search_finds_other_spellings_and_forms(expression: Expression, said: str) -> None:
    store = await stored(call_saying(1, "something else", said))
    assert turns_found(await find(store, expression)) == {"call-1": {1}}


@pytest.mark.parametrize(
    ("expression", "said"),
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
async def test_search_does_not_find_other_words(expression: Expression, said: str) -> None:
    assert (await find(await stored(call_saying(1, said)), expression)).hits == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("paisa", "मेरा पैसा"),
        ("paisa", "do paise"),
        ("पैसा", "Paisa do"),
        ("vakil", "my wakeel"),
        ("wakeel", "वकील से बात"),
        ("वकील", "vakil"),
        ("loan", "मेरा लोन"),
        ("लोन", "a loan"),
        ("refund loan", "refund लोन"),
    ],
)
async def test_a_word_is_found_in_another_spelling(query: str, said: str) -> None:
    store, expression = await stored(call_saying(1, "something else", said)), parse_query(query)
    (match,) = (await store.search.find(StoreSearch(expression, "any", Filters(), any_spelling=True), 9)).page
    assert (match.turns, match.by_spelling) == ((1,), True)
    assert (await find(store, expression)).hits == 0


@pytest.mark.parametrize(
    "query", ['"paisa"', '"do paisa"', "paisa -paisa", "pais*", "do -paisa", "paisa-vasool", "papa"]
)
async def test_only_a_word_by_itself_is_found_in_another_spelling(query: str) -> None:
    store = await stored(call_saying(1, "do पैसा vasool", "do paisa" if query == "do -paisa" else "मिल"))
    found = await store.search.find(StoreSearch(parse_query(query), "any", Filters(), any_spelling=True), 9)
    assert turns_found(found) == ({"call-1": {0}} if query == "do -paisa" else {})
    assert found.spellings == {}


async def test_a_word_saved_without_its_key_is_found_in_another_spelling() -> None:
    store = await stored(call_saying(1, "मेरा पैसा"))
    await store.database.write(lambda connection: connection.update("words", "spelling = NULL", "true", [[]]))
    found = await store.search.find(StoreSearch(word("paisa"), "any", Filters(), any_spelling=True), 9)
    assert turns_found(found) == {"call-1": {0}}


async def test_of_a_short_word_the_nearest_spelling_that_anybody_says_is_searched() -> None:
    store = await stored(call_saying(1, "काल"), call_saying(2, "कल"))
    kal = StoreSearch(word("kal"), "any", Filters(), any_spelling=True)
    assert turns_found(await store.search.find(kal, 9)) == {"call-2": {0}}
    await store.write.delete("call-2")
    assert turns_found(await store.search.find(kal, 9)) == {"call-1": {0}}
    await store.close()


async def test_turns_with_more_alternatives_come_first() -> None:
    store = await stored(call_saying(1, "refund", "fee", "late fee refund", "late fee"))
    assert (await find(store, either("refund", "fee", "late"))).page[0].turns == (2, 3, 0, 1)


async def test_a_page_after_a_match_that_is_gone_is_an_error() -> None:
    store = await stored(*(call_saying(number, "refund", "return") for number in range(3)))
    request = StoreSearch(either("refund", "return"), "any", Filters())
    row = (await store.search.find(request, 1)).page[0].row
    await store.write.save([call_saying(2, "hello")], NOW)
    with pytest.raises(LookupError):
        await store.search.find(request, 1, row)
    newest_alone = StoreSearch(word("refund"), "any", Filters())
    assert turns_found(await store.search.find(newest_alone, 9, row)) == {"call-1": {0}, "call-0": {0}}
    await store.write.delete("call-2")
    with pytest.raises(LookupError):
        await store.search.find(newest_alone, 9, row)
