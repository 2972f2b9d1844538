"""Words are counted when they are saved: the sums are always those of the turns that are stored."""

import asyncio
import random
from datetime import timedelta

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import search
from formant_mcp.store.postgres import word_counts
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import parse_query
from tests.examples import each_once
from tests.store.files import call_saying
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.statements import checked
from tests.store.postgres.stores import ask, open_at

pytestmark = pytest.mark.anyio

ONE_STEM = ["refund", "payment", "refund*", "paym*", '"payment" OR payments']  # with all words of the stem
OTHERS = [
    "email",
    "refund OR payment",
    '"refund"',
    "refunde*",
    "re*",
    "absent",
    '"email"',
    '"e mail"',
    "refund -payment",
]
SAID = ("I refund the payment", "payments, refunded?", "e-mail me", "refund refunds", "a\0b \\ 'it's'", "")


def call_at(number: int, chance: random.Random) -> Conversation:
    roles = ("agent", "contact", "system")
    turns = tuple(Turn(index, chance.choice(roles), chance.choice(SAID)) for index in range(chance.randrange(6)))
    return Conversation(f"call-{number}", started_at=NOW + timedelta(minutes=number), turns=turns, has_detail=True)


async def test_whatever_is_saved_changed_deleted_and_merged_is_counted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_counts, "MERGED", 2)
    chance = random.Random(4)
    with checked(monkeypatch):
        for key in ("first", "second"):
            store = await open_at(database, key)
            for step in range(20):
                await store.write.save([call_at(chance.randrange(12), chance) for _ in range(3)], NOW)
                if step % 3 == 0:
                    await store.write.delete(*(f"call-{chance.randrange(12)}" for _ in range(3)))
            await store.close()
    assert await counts_are_right(database)
    rows = await ask(database, "SELECT account, level, count(*) FROM formant_mcp.word_counts GROUP BY 1, 2")
    assert {int(str(level)) for _, level, _ in rows} > {0, 1, 2}
    assert max(int(str(count)) for *_, count in rows) == 2


async def test_a_call_saved_twice_in_a_transaction_is_counted_as_it_is_at_the_end(database: str) -> None:
    store = await open_at(database)
    await store.write.save([call_saying(1, "first")], NOW)
    changes = [[call_saying(1, said), call_saying(2, said)] for said in ("refund", "a refund", "a payment")]
    await asyncio.gather(*(store.write.save(calls, NOW) for calls in changes))
    assert await counts_are_right(database)
    page = await store.search.find(StoreSearch(parse_query("payment"), "any", Filters()), 100)
    assert (page.hits, page.conversations) == (2, 2)
    await store.close()


async def test_transcripts_beyond_what_is_counted_at_once_are_counted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_counts, "_COUNTED_AT_ONCE", 3)
    store, chance = await open_at(database), random.Random(7)
    await store.write.save([call_at(number, chance) for number in range(30)], NOW)
    await store.write.save([call_at(number, chance) for number in range(20, 40)], NOW)
    assert await counts_are_right(database)
    await store.write.delete(*(f"call-{number}" for number in range(35)))
    assert await counts_are_right(database)
    await store.close()


@pytest.mark.parametrize(("query", "role"), each_once([*ONE_STEM, *OTHERS], ["any", "agent", "contact"]))
async def test_kept_counts_are_those_of_the_hits(
    shared_database: str, query: str, role: search.Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, chance = await open_at(shared_database, f"{query} of {role}"), random.Random(5)
    await store.write.save([call_at(number, chance) for number in range(30)], NOW)
    counted = await store.search.find(StoreSearch(parse_query(query), role, Filters()), 100)
    monkeypatch.setattr(search, "_MAX_RANKED", -1)
    kept = await store.search.find(StoreSearch(parse_query(query), role, Filters()), 100)
    assert (kept.hits, kept.conversations) == (counted.hits, counted.conversations)
    assert kept.hits == sum(len(match.turns) for match in kept.page)
    await store.close()


@pytest.mark.parametrize("query", ONE_STEM)
async def test_no_turns_are_read_to_count_all_words_of_a_stem(
    shared_database: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_at(shared_database, f"counted {query}")
    await store.write.save([call_at(number, random.Random(number)) for number in range(30)], NOW)
    with checked(monkeypatch) as sent:
        page = await store.search.find(StoreSearch(parse_query(query), "any", Filters()), 100)
    assert page.hits > len(page.page) > 0
    assert [statement for statement in sent if "count(DISTINCT" in statement] == []
    await store.close()


async def test_a_reader_limited_to_agents_gets_their_counts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MAX_RANKED", -1)
    store = await open_at(database)
    theirs, others = (call_saying(n, "a refund")._replace(agent_id=f"agent {n}") for n in (1, 2))
    await store.write.save([theirs, others], NOW)
    limited = store.limited_to(frozenset({"agent 1"}))
    page = await limited.search.find(StoreSearch(parse_query("refund"), "any", Filters()), 100)
    assert (page.hits, page.conversations) == (1, 1)
    await store.close()


async def test_other_spellings_of_a_word_are_counted_too(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PROBED", 0)
    store = await open_at(database)
    await store.write.save([call_saying(1, "paisa", "paisa paise"), call_saying(2, "पैसा")], NOW)
    page = await store.search.find(StoreSearch(parse_query("paisa"), "any", Filters(), any_spelling=True), 100)
    assert (page.hits, page.conversations, page.exact) == (3, 2, (2, 1))
    await store.close()


@pytest.mark.parametrize(("spelled", "are_few"), [(3, True), (4, False)])
async def test_only_a_twentieth_of_spelled_hits_is_counted_without_the_exact_ones(
    database: str, spelled: int, are_few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_PROBED", 0)
    store = await open_at(database)
    others = [call_saying(number, "paise") for number in range(1, spelled)]
    await store.write.save([call_saying(0, *["paisa"] * 60, "paise"), *others], NOW)
    with checked(monkeypatch) as sent:
        page = await store.search.find(StoreSearch(parse_query("paisa"), "any", Filters(), any_spelling=True), 100)
    assert (page.hits, page.conversations, page.exact) == (60 + spelled, spelled, (60, 1))
    assert any("count(DISTINCT" in statement for statement in sent) is not are_few
    await store.close()


async def test_turns_of_a_store_that_did_not_count_are_counted(database: str) -> None:
    chance = random.Random(6)
    for key in ("first", "second"):
        store = await open_at(database, key)
        await store.write.save([call_at(number, chance) for number in range(30)], NOW)
        await store.close()
    await ask(database, "ALTER TABLE formant_mcp.turns RENAME COLUMN lexemes TO words")
    await ask(database, "DROP TABLE formant_mcp.word_counts, formant_mcp.signals, formant_mcp.phrases")
    await ask(database, "ALTER TABLE formant_mcp.words DROP COLUMN spelling")
    await ask(database, "DROP INDEX formant_mcp.conversations_failed")
    await ask(database, "ALTER TABLE formant_mcp.members DROP COLUMN redacts")
    await ask(database, "UPDATE formant_mcp.version SET number = 1")
    store = await open_at(database)
    assert await counts_are_right(database)
    await store.write.save([call_at(number, chance) for number in range(20, 40)], NOW)
    assert await counts_are_right(database)
    await store.close()
