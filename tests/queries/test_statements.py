"""How many SQL statements a query takes just after the list was checked."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.account import Account
from formant_mcp.queries.conversations import ListQuery
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.search import SearchQuery
from formant_mcp.sync import Sync
from tests.queries.static_provider import StaticProvider, ticking
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

OF_AN_AGENT = Filters(agent_id="7", since=NOW - timedelta(days=1))
SAID = ("late fee refund", "I want a refund", "no")


class Statements(list[str]):
    """The queries that connections opened from now on run."""

    def add(self, sql: str) -> None:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            self.append(sql)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    statements, connect = Statements(), sqlite3.connect

    def traced(database: str, *, isolation_level: None, check_same_thread: bool, uri: bool) -> sqlite3.Connection:
        connection = connect(database, isolation_level=isolation_level, check_same_thread=check_same_thread, uri=uri)
        connection.set_trace_callback(statements.add)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return statements


def calls(count: int) -> list[Conversation]:
    return [
        Conversation(
            f"call-{n:03}",
            agent_id="7",
            status="completed",
            outcome="success",
            started_at=NOW - timedelta(hours=n),
            turns=tuple(Turn(index, "contact", text) for index, text in enumerate(SAID)),
            results={"intent": "dispute"},
        )
        for n in range(count)
    ]


async def loaded() -> Account:
    store = await open_store(None)
    return Account(Sync(StaticProvider(calls(60)), store, ticking()), store)


def context() -> RequestContext:
    return RequestContext(NOW + timedelta(days=61), 60)


# What was listed before, the filters of the query, and how many statements it may take: an agent is one to find.
@pytest.mark.parametrize(
    ("listed", "filters", "most"),
    [(Filters(), Filters(), 6), (Filters(), OF_AN_AGENT, 7), (OF_AN_AGENT, OF_AN_AGENT, 7)],
)
async def test_a_list_takes_few_statements(
    statements: Statements, listed: Filters, filters: Filters, most: int
) -> None:
    account, query = await loaded(), ListQuery(filters, "all")
    await account.list_conversations(context(), ListQuery(listed, "all"))
    await account.list_conversations(context(), query)
    statements.clear()
    page = await account.list_conversations(context(), query)
    assert page.rows
    assert len(statements) <= most, "\n".join(statements)
    await account.aclose()


async def test_a_list_of_nothing_takes_few_statements_too(statements: Statements) -> None:
    account, query = await loaded(), ListQuery(replace(OF_AN_AGENT, status=("failed",)), "all")
    await account.list_conversations(context(), query)
    statements.clear()
    page = await account.list_conversations(context(), query)
    assert (page.coverage.matched, page.existing["status"].values) == (0, ["completed"])
    assert len(statements) <= 8, "\n".join(statements)
    await account.aclose()


@pytest.mark.parametrize(
    ("listed", "filters"), [(Filters(), Filters()), (Filters(), OF_AN_AGENT), (OF_AN_AGENT, OF_AN_AGENT)]
)
@pytest.mark.parametrize("text", ["refund", "refund OR fee", "late refund", '"late fee" OR refund -no'])
async def test_a_search_takes_few_statements(
    statements: Statements, listed: Filters, filters: Filters, text: str
) -> None:
    account, query = await loaded(), SearchQuery(filters, text, "all")
    await account.search(context(), SearchQuery(listed, text, "all"))
    await account.search(context(), query)
    statements.clear()
    result = await account.search(context(), query)
    assert result.hits
    assert len(statements) <= 10, "\n".join(statements)
    await account.aclose()
