"""A reader who may see only some agents reads what a store with just these agents' conversations has."""

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.filters import NEWEST, DetailRequest, Filters, Role
from formant_mcp.models import Conversation, Unreadable
from formant_mcp.store import Store
from formant_mcp.store.aggregates import DAY, DURATION, Grouping
from formant_mcp.store.engine import TABLES
from formant_mcp.store.limits import Limit
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import Expression, Term
from tests.examples import examples, is_thorough
from tests.in_a_loop import in_a_loop
from tests.store.files import call_saying, stored
from tests.store.oracle import AGENTS, NOW, conversations, filters, orders
from tests.store.search_oracle import EXPRESSIONS, ROLES, TURNS

pytestmark = pytest.mark.anyio

AGENT_SETS = st.frozensets(st.sampled_from([*AGENTS, "nobody's"]), min_size=1, max_size=3)
PATHS = ("intent", "csat", "language.primary", "a", "tags")
ZONE = "Asia/Kolkata"
LIKE_SQL = ("a'b", "a''b", 'a"b', "a\\", "\\'", "?", "$1", "$conversations", "${x}", "$$", "x') OR ('1'='1", "--", "ü")
NEVER_STORED = ("", "a\0b", "\ud800")


@st.composite
def calls_of(draw: st.DrawFn) -> Conversation:
    call = draw(conversations())._replace(turns=draw(TURNS), has_detail=True)
    return call._replace(unreadable=Unreadable(turns=draw(st.integers(0, 2))))


# Two calls with one start may come in any order.
CALLS = st.lists(calls_of(), max_size=10, unique_by=(lambda call: call.conversation_id, lambda call: call.started_at))


async def stores(calls: list[Conversation], agents: frozenset[str]) -> tuple[Store, Store]:
    """The same calls for a reader who may see these agents, and a store with no others."""
    whole = await stored(*calls)
    return whole.limited_to(agents), await stored(*(call for call in calls if call.agent_id in agents))


async def figures(store: Store, wanted: Filters) -> list[object]:
    """What the store counts and sums."""
    read, by = store.read, Grouping((), ZONE)
    groupings = ("status",), ("agent_id", DAY), ("results.intent",), ("results.tags", "status"), ()
    return [
        await read.counts(wanted, [DetailRequest(wanted)], NOW),
        await read.count(Filters()),
        await read.count_seen(wanted.agent_id),
        await read.unreadable(wanted),
        await read.count_not_compared(wanted, "csat", "number"),
        await store.search.count_transcripts(wanted),
        await store.aggregates.count_by(wanted, *(by.by(*names) for names in groupings)),
        [await store.aggregates.numbers(wanted, by.by("status"), name) for name in (DURATION, "results.csat")],
        await store.aggregates.span(wanted),
        [await store.aggregates.field(wanted, path, "mixed", 5) for path in PATHS],
        await store.aggregates.paths(wanted, NOW),
    ]


async def values(store: Store) -> list[object]:
    """The values that exist; of a value in several cases, any of these is named."""
    read = store.read
    columns = ("agent_id", "status", "failure_reason", "direction", "user_id")
    return [
        [[value.casefold() for value in values] for values in (await read.distinct(*columns)).values()],
        await read.agents(),
        await read.agent_names(AGENTS),
        await store.aggregates.paths(),
        [await read.largest(path) for path in PATHS],
        await read.ids_with_prefix("call-", 20),
        await read.has_details(),
    ]


async def rows_of(store: Store, calls: Collection[Conversation]) -> list[object]:
    """What the store has of each of these calls."""
    read, ids = store.read, sorted(call.conversation_id for call in calls)
    return [
        await read.get(ids),
        await read.shortest_prefixes(ids, 6),
        [(await read.turn_count(name), await read.turns(name, 0, 9)) for name in ids],
        await read.unreadable_among(ids),
        await read.needing_refresh(ids, NOW),
    ]


@settings(max_examples=examples(2 if is_thorough() else 1))
@given(calls=CALLS, agents=AGENT_SETS, data=st.data())
@in_a_loop
async def test_the_limit_equals_a_store_without_the_others(
    calls: list[Conversation], agents: frozenset[str], data: st.DataObject
) -> None:
    wanted, order = data.draw(filters(calls)), data.draw(orders)
    limited, own = await stores(calls, agents)
    assert await figures(limited, wanted) == await figures(own, wanted)
    assert await values(limited) == await values(own)
    assert await rows_of(limited, calls) == await rows_of(own, calls)
    pages = [[call for _, call in await store.read.page(wanted, order, 20)] for store in (limited, own)]
    assert pages[0] == pages[1]


@settings(max_examples=examples(2 if is_thorough() else 1))
@given(calls=CALLS, agents=AGENT_SETS, expression=EXPRESSIONS, role=ROLES, data=st.data())
@in_a_loop
async def test_a_search_finds_and_suggests_nothing_of_the_others(
    calls: list[Conversation], agents: frozenset[str], expression: Expression, role: Role, data: st.DataObject
) -> None:
    query = StoreSearch(
        expression, role, data.draw(st.just(Filters()) | filters(calls)), any_spelling=data.draw(st.booleans())
    )
    terms = [term for terms in expression.all_of for term in terms]
    found: list[list[object]] = []
    for store in await stores(calls, agents):
        page, search = await store.search.find(query, 20), store.search
        hits = [(match.conversation, match.turns, match.by_spelling) for match in page.page]
        found.append([page.hits, page.conversations, hits, page.alternatives, await search.has_hits(query)])
        found[-1] += [page.exact, page.spellings]
        found[-1] += [(await search.similar(term), await search.longer(term)) for term in terms]
    assert found[0] == found[1]


@pytest.mark.parametrize("table", ["conversations", "turns", "result_values", "unreadable", "agents", "daily_counts"])
async def test_a_table_has_no_row_of_the_others(table: str) -> None:
    calls = [
        call_saying(n, "one")._replace(agent_id=agent, results={"csat": n}, unreadable=Unreadable(turns=1))
        for n, agent in enumerate(("1", "2", None, "1"))
    ]
    limited, own = await stores(calls, frozenset({"1"}))
    counts: list[object] = []
    for store in (limited, own):
        await store.aggregates.count_by(Filters(), Grouping(("status",), ZONE))  # counts by day, from now on
        counts.append(
            await store.database.read(
                lambda connection: connection.rows(f"SELECT count(*) FROM ${table}"),
                store.visible_agents,
            )
        )
    assert counts[0] == counts[1] != [(0,)]


async def test_turns_of_the_others_are_not_read_by_their_row() -> None:
    calls = [call_saying(n, "one", "two")._replace(agent_id=str(n)) for n in (1, 2)]
    whole = await stored(*calls)
    rows = {call.agent_id: row for row, call in await whole.read.page(Filters(), NEWEST, 9)}
    limited = whole.limited_to(frozenset({"1"}))
    windows = await limited.read.windows([(row, 0, 9) for row in rows.values()])
    assert list(windows) == [rows["1"]]
    assert await limited.read.transcripts(list(rows.values())) == windows
    with pytest.raises(LookupError):
        await limited.read.page(Filters(), NEWEST, 9, rows["2"])


async def test_words_of_the_others_are_not_suggested_however_many_there_are() -> None:
    said = call_saying(1, "refundable refunding")._replace(agent_id="1")
    others = call_saying(2, *(f"refund{n:05} refunde" for n in range(1_500)))._replace(agent_id="2")
    store = (await stored(said, others)).limited_to(frozenset({"1"}))
    term = Term(("refund",), "word")
    assert await store.search.longer(Term(("refund",), "phrase")) == ["refunding", "refundable"]
    assert set(await store.search.similar(term)) <= {"refundable", "refunding"}
    assert "refundable" in await store.search.similar(Term(("refundible",), "word"))


@pytest.mark.parametrize("agent", LIKE_SQL)
async def test_an_id_is_never_read_as_sql(agent: str) -> None:
    calls = [Conversation("call-own", agent_id=agent), Conversation("call-other", agent_id="1"), Conversation("none")]
    store = (await stored(*calls)).limited_to(frozenset({agent, *NEVER_STORED}))
    assert await store.read.ids_with_prefix("call", 9) == ["call-own"]
    assert await store.read.agents() == {agent: None}
    assert await store.search.has_hits(StoreSearch(Expression(((Term(("x",), "word"),),)), "any", Filters())) is False


@pytest.mark.parametrize("agent", NEVER_STORED)
async def test_an_id_that_no_conversation_can_have_shows_nothing(agent: str) -> None:
    store = (await stored(Conversation("call-1", agent_id="1"), Conversation("call-2"))).limited_to(frozenset({agent}))
    assert await store.read.counts(Filters(), [], NOW) == await (await stored()).read.counts(Filters(), [], NOW)
    assert await values(store) == await values(await stored())


def test_every_table_has_a_limit_or_none_of_a_conversations_data() -> None:
    assert set(Limit(frozenset({"1"}), "conversations AS visible", repr).of_tables("row_id")) == set(TABLES)


async def test_a_reader_has_a_name_of_the_store_for_each_set_of_agents() -> None:
    store = await stored(call_saying(1, "one"))
    sets = [frozenset[str](), *map(frozenset, (["1"], ["2"], ["1", "2"], ["1 2"], ["1' '2"], ["1, 2"]))]
    names = [await store.limited_to(agents).identity() for agents in sets]
    assert len(set(names)) == len(sets)
    assert names[0] == await store.identity()
    assert names[3] == await store.limited_to(frozenset({"2", "1"})).identity()
