"""Stores in a PostgreSQL database, and all that a store can do."""

import asyncio
from datetime import timedelta
from typing import cast

import psycopg

from formant_mcp.filters import NEWEST, DetailRequest, Filters
from formant_mcp.members import Member
from formant_mcp.models import Conversation, Turn, Unreadable
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.aggregates import DAY, Grouping
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import Term, parse_query
from tests.store.files import never
from tests.store.oracle import NOW

_TABLES_OF_ACCOUNTS = """
    SELECT table_name FROM information_schema.columns WHERE table_schema = 'formant_mcp' AND column_name = 'account'
"""
SPAN = timedelta(seconds=5)
Rows = list[tuple[object, ...]]


async def open_at(address: str, key: str = "key", service: str = "service") -> Store:
    """A store in that database, of the account of that key."""
    return await Store.open(address, AccountKey(service, key), never)


def name_in(address: str) -> str:
    """The database's name."""
    return address.partition("@/")[2].partition("?")[0]


async def ask(address: str, query: str, *parameters: object) -> Rows:
    """The rows of a query on a connection of its own; none of a command."""
    return await asyncio.to_thread(ask_now, address, query, *parameters)


def ask_now(address: str, query: str, *parameters: object) -> Rows:
    """The same, at once."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), parameters or None)
        return cast(Rows, cursor.fetchall()) if cursor.description else []


def delete_everything(address: str) -> None:
    """Deletes all accounts with their rows: much cheaper than a new database."""
    with psycopg.connect(address, autocommit=True) as connection:
        tables = connection.execute(_TABLES_OF_ACCOUNTS).fetchall()
        connection.execute("; ".join(f"DELETE FROM formant_mcp.{table}" for (table,) in tables).encode())


def speaking(name: str, count: int = 6) -> list[Conversation]:
    """Calls of one account: all accounts have the same ids, and each its own name in what is said."""
    return [
        Conversation(
            f"call-{n}",
            agent_id=f"agent {n % 2} of {name}",
            agent_name=name,
            contact_number=f"+49 151 {len(name)}{n:05}",
            user_id=name,
            status=f"{name} {n % 3}",
            direction="inbound",
            failure_reason=f"{name} failed" if n % 2 else None,
            failure_reason_known=True,
            started_at=NOW + timedelta(minutes=n),
            ended=True,
            duration_seconds=float(len(name) * n),
            has_detail=True,
            results={"said": name, "score": len(name) + n},
            turns=tuple(Turn(turn, ("agent", "contact")[turn % 2], f"{name} says hello {turn}") for turn in range(4)),
        )
        for n in range(count)
    ]


async def everything(store: Store, name: str = "alpha") -> list[object]:
    """Saves, changes, deletes and leases; returns what each question about the store is answered then."""
    calls, later, state = speaking(name), NOW + timedelta(hours=1), store.sync_state
    await store.write.save(calls, NOW)
    await asyncio.gather(*(store.write.save([call], later) for call in calls[:4]))
    await store.write.save([calls[1]._replace(status="changed", turns=calls[1].turns and calls[1].turns[:2])], later)
    await store.write.save([Conversation("partial", results={"said": name}, unreadable=Unreadable(turns=2))], NOW)
    await store.write.delete("call-0")
    await store.write.mark_missing("call-2", later)
    await store.write.mark_failed("call-3", name, later)
    await store.write.invalidate_details(["call-4"])
    await store.write.delete_unseen(f"agent 1 of {name}", NOW)
    await state.update(name, total=len(name))
    await state.update("", total=len(name), checked_at=NOW)
    await state.raise_to("", covered_until=later)
    taken = await state.lease(["list:"], name, NOW, SPAN), await state.lease(["list:"], "another", NOW, SPAN)
    await store.members.add(Member(name, frozenset({name})), None, NOW)
    identity = await store.identity()
    assert identity == await store.identity()
    return [*taken, *await answers(store, name)]


async def answers(store: Store, name: str) -> list[object]:
    """What each question about the store is answered; no question changes it."""
    read, find, counts = store.read, store.search, store.aggregates
    all_, later, ids = Filters(), NOW + timedelta(hours=1), [f"call-{n}" for n in range(6)]
    by = Grouping(("agent_id", "status"), "Europe/Berlin")
    found = [await find.find(StoreSearch(parse_query(query), "any", all_), 20) for query in (name, "hello", "hel*")]
    return [
        await read.get(ids),
        await read.ids_with_prefix("call", 10),
        await read.shortest_prefixes(ids, 2),
        await read.agent_names([f"agent 1 of {name}", "agent 1 of beta", "agent 1 of alpha"]),
        await read.agents(),
        await read.turn_count("call-1"),
        await read.turns("call-1", 0, 10),
        [call for _, call in await read.page(all_, NEWEST, 10)],
        await read.count(Filters(status=("changed",))),
        await read.counts(all_, [DetailRequest(all_)], later),
        await read.details_to_fetch(DetailRequest(all_), later),
        await read.waiting(NOW),
        await read.missing_among(ids, NOW),
        await read.unreadable(all_),
        await read.failures(DetailRequest(all_, whole=True), NOW),
        [[(match.conversation, match.turns) for match in page.page] for page in found],
        await find.similar(Term((f"{name}s",), "word")),
        await find.count_transcripts(all_),
        await counts.count_by(all_, by, by.by("results.said"), by.by(DAY)),
        await counts.numbers(all_, by, "results.score"),
        await counts.paths(),
        await counts.field(all_, "said", "text", 5),
        await counts.span(all_),
        await store.sync_state.list_state(""),
        await store.sync_state.list_states("", "alpha", "beta"),
        [stored.member for stored in await store.members.all()],
    ]
