"""The words that are known and named: those that are said by the calls that exist for a reader, and no others."""

from collections.abc import Iterable, Iterator

import pytest

from formant_mcp.filters import NO_FILTERS
from formant_mcp.models import Conversation
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store import Store, vocabulary
from formant_mcp.store.engine import Connection
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import Expression, Term, parse_query
from tests.store.files import call_saying, stored
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio


def search_for(query: str) -> StoreSearch:
    return StoreSearch(parse_query(query), "any", NO_FILTERS, any_spelling=True)


async def known_words(store: Store) -> list[str]:
    sql = "SELECT word FROM $words ORDER BY word"
    return [str(row[0]) for row in await store.database.read(lambda connection: connection.rows(sql))]


def of_agent(agent: str, number: int, *texts: str) -> Conversation:
    return call_saying(number, *texts)._replace(agent_id=agent)


async def test_words_go_with_the_last_call_that_says_them() -> None:
    store = await stored(call_saying(1, "Kavitha ka refund, e-mail"), call_saying(2, "bye Kavita, refunds?"))
    assert {"kavitha", "ka", "e-mail", "refund", "kavita", "refunds"} <= {*await known_words(store)}
    await store.write.delete("call-1")
    assert await known_words(store) == ["bye", "kavita", "refunds"]
    await store.write.save([call_saying(2, "hello Kavita")], NOW)
    assert await known_words(store) == ["hello", "kavita"]
    await store.write.save([call_saying(3, "bye"), call_saying(2, "hello")], NOW)
    assert await known_words(store) == ["bye", "hello"]
    await store.write.delete("call-2", "call-3")
    assert await known_words(store) == []
    await store.write.save([call_saying(4, "bye Kavitha")], NOW)  # what a connection remembers is gone, too
    assert await known_words(store) == ["bye", "kavitha"]
    await store.close()


async def test_words_of_many_calls_deleted_at_once_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_FORGOTTEN_AT_ONCE", 1)
    store = await stored(call_saying(1, "my paise"), call_saying(2, "paisaa"))
    await store.write.delete("call-1")
    matches = await store.search.find(search_for("paisa"), 10)
    words = {"paise", *(word for words in matches.spellings.values() for word in words)}
    assert await store.search.nameable(sorted(words)) == ["paisaa"]
    await store.write.save([call_saying(3, "hello")], NOW)
    await store.close()


async def test_no_word_may_be_named_that_only_a_hidden_address_has() -> None:
    store = await stored(call_saying(1, "mail ravi@example.com"), call_saying(2, "my paise, paisaa"))
    search = store.redacted(Redactor(KINDS)).search
    for query, named in (("ravee", []), ("paisa", ["paisaa", "paise"])):
        matches = await search.find(search_for(query), 10)
        words = [word for words in matches.spellings.values() for word in words]
        assert matches.conversations == 1
        assert await store.search.nameable(words) == words != []
        assert sorted(await search.nameable(words)) == named
    await store.close()


@pytest.mark.parametrize(("said", "hits"), [("write me an e mail", 0), ("write me an e-mail", 1), ("an email", 1)])
async def test_what_other_agents_write_as_one_word_matches_nothing_of_a_limited_reader(said: str, hits: int) -> None:
    others = of_agent("2", 2, "an e-mail, a follow-up")
    whole, own = await stored(of_agent("1", 1, said), others), await stored(of_agent("1", 1, said))
    limited = whole.limited_to(frozenset({"1"}))
    for query in ("email", "emails", '"email"', "-x email", "followup"):
        found = [await store.search.find(search_for(query), 10) for store in (limited, own)]
        assert found[0].forms == found[1].forms
        assert found[0].hits == found[1].hits
    assert (await limited.search.find(search_for("email"), 10)).hits == hits
    assert (await whole.search.find(search_for("email"), 10)).conversations == 2
    await whole.close()
    await own.close()


@pytest.mark.parametrize("few", [1, 10_000])
async def test_longer_words_are_those_of_a_limited_readers_agents(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_FEW_HITS", few)
    calls = [of_agent("1", 1, "payroll paypal, pay-out", "payroll"), of_agent("1", 2, "payment")]
    others = of_agent("2", 3, " ".join(f"pay{number}" for number in range(200)))
    whole, own = await stored(*calls, others), await stored(*calls)
    limited = whole.limited_to(frozenset({"1"}))
    assert await limited.search.longer(Term(("pay",), "word")) == ["paypal", "payment", "payroll"]
    for typed in ("pay", "payrol", "pa"):
        term = Term((typed,), "word")
        assert await limited.search.longer(term) == await own.search.longer(term)
        assert await limited.search.similar(term) == await own.search.similar(term)
    await whole.close()
    await own.close()


async def test_no_statement_is_for_words_of_other_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await stored(of_agent("1", 1, "payroll"), of_agent("2", 2, " ".join(f"pay{n}" for n in range(500))))
    limited, looked_for, said = store.limited_to(frozenset({"1"})), list[str](), vocabulary.said

    def noted(connection: Connection, words: Iterable[str]) -> Iterator[str]:
        looked_for.extend(words := list(words))
        return said(connection, words)

    monkeypatch.setattr(vocabulary, "said", noted)
    assert await limited.search.longer(Term(("pay",), "word")) == ["payroll"]
    assert await limited.search.similar(Term(("paymoll",), "word")) == ["payroll"]
    assert len(looked_for) < 10
    await store.close()


async def test_joined_words_of_a_limited_readers_agents_are_found() -> None:
    store = (await stored(of_agent("1", 1, "e-mail"), of_agent("2", 2, "x"))).limited_to(frozenset({"1"}))
    found = await store.search.find(StoreSearch(Expression(((Term(("email",), "word"),),)), "any", NO_FILTERS), 10)
    assert found.forms == {Term(("email",), "word"): {"email", "e-mail"}}
    await store.close()
