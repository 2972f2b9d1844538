"""What a question costs the store just after the list was checked: a few statements, all of them counted."""

import sqlite3
from datetime import timedelta

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.account import Account
from formant_mcp.queries.conversations import ListQuery
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.search import SearchQuery
from formant_mcp.sync import Sync
from tests.queries.static_source import Told, ticking
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

OF_AN_AGENT = Filters(agent_id="7", since=NOW - timedelta(days=1))
SAID = ("late fee refund", "I want a refund", "no")


class Statements(list[str]):
    """The queries that connections made from now on are asked; not those of the index of words itself."""

    def add(self, sql: str) -> None:
        is_query = sql.lstrip().startswith(("SELECT", "WITH"))
        if is_query and "'main'.'spoken" not in sql:
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
    return Account(Sync(Told(calls(60)), store, ticking()), store)


def context() -> RequestContext:
    return RequestContext(NOW + timedelta(days=61), 60)


# What was listed before, what the question is about, and how many statements that may take: of an account whose whole
# list is not known yet, the state of two lists is read.
@pytest.mark.parametrize(
    ("listed", "asked", "most"),
    [(Filters(), Filters(), 9), (Filters(), OF_AN_AGENT, 10), (OF_AN_AGENT, OF_AN_AGENT, 12)],
)
async def test_a_list_takes_a_few_statements(
    statements: Statements, listed: Filters, asked: Filters, most: int
) -> None:
    account, question = await loaded(), ListQuery(asked, "all")
    await account.list_conversations(context(), ListQuery(listed, "all"))
    await account.list_conversations(context(), question)
    statements.clear()
    page = await account.list_conversations(context(), question)
    assert page.rows
    assert len(statements) <= most, "\n".join(statements)
    await account.aclose()


@pytest.mark.parametrize(
    ("listed", "asked", "most"),
    [(Filters(), Filters(), 14), (Filters(), OF_AN_AGENT, 14), (OF_AN_AGENT, OF_AN_AGENT, 16)],
)
@pytest.mark.parametrize("query", ["refund", "refund OR fee", "late refund", '"late fee" OR refund -no'])
async def test_a_search_takes_a_few_statements(
    statements: Statements, listed: Filters, asked: Filters, most: int, query: str
) -> None:
    account, question = await loaded(), SearchQuery(asked, query, "all")
    await account.search(context(), SearchQuery(listed, query, "all"))
    await account.search(context(), question)
    statements.clear()
    found = await account.search(context(), question)
    assert found.hits
    assert len(statements) <= most, "\n".join(statements)
    await account.aclose()
