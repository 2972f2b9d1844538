"""Whatever a provider sends or somebody asks for: it is saved, with everything beside it, and found as in a file."""

import random
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import timedelta

import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NEWEST, DetailRequest, Filters
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store import Store
from formant_mcp.store.aggregates import DAY, Grouping
from formant_mcp.store.postgres.full_text import to_tsvector
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import parse_query
from tests.examples import some
from tests.store.files import call_saying, calls, open_store
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.stores import ask, delete_everything, open_at

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(hours=1)
FIELDS = ("agent_id", "agent_name", "contact_number", "user_id", "direction", "failure_reason", "trace_id", "status")


def noise(count: int, alphabet: str) -> str:
    """A text that cannot be compressed."""
    return "".join(random.Random(count).choices(alphabet, k=count))


LATIN = "".join(map(chr, range(0x61, 0x7B))) + "".join(map(chr, range(0x30, 0x3A)))
HAN = "".join(map(chr, range(0x4E00, 0x9000)))
GREEK = "ΐΰ" + "".join(
    map(chr, range(0x3B1, 0x3CA))
)  # the first two have three times as many bytes when they are folded
HOSTILE = {
    "NUL": "a\0b",
    "another NUL": "a\0\0b",
    "lone surrogates": "a\ud800b\udfff",
    "quotes and backslashes": "it's \"so\" \\ % $1 $conversations ? {} ' \\' E'\\x'",
    "as long as ids may be": noise(256, LATIN),
    "over the limit of an index": noise(3_000, LATIN),
    "the same with one other letter": noise(3_000, LATIN)[:-1] + "!",
    "three bytes a letter": noise(2_000, HAN),
    "longer when folded": noise(600, GREEK[:2] + LATIN),
    "very long": noise(100_000, LATIN),
}
LONGER = HOSTILE | {"a megabyte": noise(1_000_000, LATIN)}


@pytest.fixture
def database(shared_database: str) -> Generator[str]:
    """The address of a database without an account."""
    yield shared_database
    delete_everything(shared_database)


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Store]:
    """An empty store that counts days."""
    store = await open_at(database)
    await store.aggregates.count_by(Filters(), Grouping((DAY,), "Europe/Berlin"))
    yield store
    await store.close()


def call_with(text: str) -> Conversation:
    """A call that has the text wherever a provider may send one."""
    return Conversation(
        text,
        **dict.fromkeys(FIELDS, text),
        started_at=NOW,
        ended=True,
        failure_reason_known=True,
        has_detail=True,
        results={text: text, "list": [text, {text: text}]},
        turns=(Turn(0, text, text), Turn(1, "agent", f"before {text} after")),
        unreadable=Unreadable(turns=1, fields=frozenset({"status"})),
    )


@pytest.mark.parametrize("text", some(LONGER.values(), 3), ids=some(LONGER, 3))
async def test_it_is_saved_with_the_others_and_found_by_its_id(store: Store, database: str, text: str) -> None:
    call, read, state = call_with(text), store.read, store.sync_state
    for at in (NOW, LATER):  # the second time nothing has changed
        before = await store.write.save([*calls(2), call], at)
        assert set(before) == (set() if at is NOW else {"call-0", "call-1", text})
    await store.write.save([call._replace(status=f"{text} ended", has_detail=False, turns=None, results=None)], LATER)
    assert await counts_are_right(database)
    assert await read.count(Filters()) == 3
    assert set(await read.get([text])) == {text}
    assert await read.needing_refresh([text, "call-1"], LATER) == []
    assert await read.turn_count(text) == 2
    assert [turn.index for turn in await read.turns(text, 0, 9)] == [0, 1]
    assert await read.count(Filters(agent_id=text)) == 1
    assert await read.count_seen(text, LATER) == 1
    assert await read.agent_names([text])
    assert await read.details_to_fetch(DetailRequest(Filters()), LATER) == []
    assert len(await read.page(Filters(), NEWEST, 5)) == 3
    assert await read.shortest_prefixes([text], 2)
    await read.ids_with_prefix(text, 5)
    await store.write.mark_failed(text, text, LATER)
    await store.write.mark_missing(text, LATER)
    assert await read.missing_among([text], NOW) == [text]
    await store.write.delete(text)
    assert await read.count(Filters()) == 2
    assert await counts_are_right(database)
    await state.update(text, total=3)
    assert (await state.list_state(text)).total == 3
    assert await state.lease([text, "free"], "one", NOW, timedelta(seconds=5)) == [text, "free"]
    assert await state.lease([text, "free"], "two", NOW, timedelta(seconds=5)) == []
    await state.release([text], "one")
    assert await state.lease([text, "free"], "two", NOW, timedelta(seconds=5)) == [text]


@pytest.mark.parametrize("text", some(HOSTILE.values(), 3), ids=some(HOSTILE, 3))
async def test_a_call_with_a_short_id_and_such_values_is_saved_again(store: Store, database: str, text: str) -> None:
    pair = [call_with(text)._replace(conversation_id=name) for name in ("one", "two")]
    await store.write.save(pair, NOW)
    await store.write.save([pair[0]._replace(agent_name="new"), pair[1]._replace(status=f"{text} ended")], LATER)
    await store.write.save(pair, LATER)
    assert await counts_are_right(database)
    await store.write.delete("one", "two")
    assert await counts_are_right(database)


@pytest.mark.parametrize("text", some(HOSTILE.values(), 3), ids=some(HOSTILE, 3))
async def test_calls_whose_long_keys_begin_alike_stay_apart(store: Store, database: str, text: str) -> None:
    both = [call_with(text), call_with(f"{text}2")]
    await store.write.save(both, NOW)
    await store.write.save([call._replace(user_id="a") for call in both], LATER)
    assert await store.read.count(Filters()) == 2
    assert await store.read.count(Filters(agent_id=text)) == 1
    assert len(await store.read.agents()) == 2
    await store.write.delete(f"{text}2")
    assert set(await store.read.get([call.conversation_id for call in both])) == {text}
    assert await counts_are_right(database)


SAID: dict[str, Callable[[], str]] = {
    "20,000 words": lambda: " ".join(f"word{n}" for n in range(20_000)),
    "2 MB of words": lambda: " ".join(noise(100, LATIN[:26]) + str(n) for n in range(20_000)),
    "Chinese": lambda: " ".join(noise(400, HAN) + str(n) for n in range(500)),
    "one word again": lambda: "again " * 200_000,
    "a word of 2 MB": lambda: noise(2_000_000, LATIN),
    "operators": lambda: "it's a \\ backslash, 'quoted' \"twice\" :* & | ! <-> (a) \\' '' \\\\ " * 10,
}


@pytest.mark.parametrize("said", some(SAID.values(), 4), ids=some(SAID, 4))
async def test_a_turn_is_saved_and_found_by_its_first_words(store: Store, said: Callable[[], str]) -> None:
    call = call_saying(1, f"first {said()} the last", "second turn")
    await store.write.save([call, call_saying(2, "first of another")], NOW)
    assert await store.read.turns("call-1", 0, 9) == list(call.turns or ())
    for query, count in (("first", 2), ("second", 1), ('"second turn"', 1), ("seco*", 1)):
        found = await store.search.find(StoreSearch(parse_query(query), "any", Filters()), 10)
        assert found.conversations == count
    await store.write.save([call._replace(turns=None)], LATER)
    found = await store.search.find(StoreSearch(parse_query("second"), "any", Filters()), 10)
    assert found.conversations == 0


@pytest.mark.parametrize(
    "query",
    [
        "it's",
        "back\\slash",
        "o'neil",
        "'",
        "\\",
        "x' | 'y",
        "a:*b",
        '"it\'s so"',
        "don't*",
        "\0",
        "\ud800",
        "ſ",
        "x" * 3_000,
    ],
)
async def test_a_question_with_special_characters_is_answered_as_in_a_file(store: Store, query: str) -> None:
    file = await open_store(None)
    said = ["It's so, o'neil said.", "A back\\slash 'x' | y", "don't, don't", "a:*b", "x" * 3_000, "straße ſ"]
    for each in (store, file):
        await each.write.save([call_saying(n, text) for n, text in enumerate(said)], NOW)
    try:
        search = StoreSearch(parse_query(query), "any", Filters())
    except InvalidRequestError:
        return
    first, second = await store.search.find(search, 10), await file.search.find(search, 10)
    assert [match.conversation for match in first.page] == [match.conversation for match in second.page]


async def test_words_after_the_last_position_are_all_at_it(database: str) -> None:
    words = ["a"] * 16_382 + ["b", "c", "d"]
    counted = " ".join(f"'3/{word}':{position}A" for position, word in enumerate(words, 1))
    same = await ask(database, "SELECT %s::tsvector = %s::tsvector", to_tsvector(3, "agent", words), counted)
    assert same == [(True,)]
