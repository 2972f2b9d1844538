"""An agent by its id, its name, or as answers print it, on an empty store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.queries.agents import for_agent
from formant_mcp.queries.conversations import ConversationPage, ListQuery, list_conversations
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from tests import faults
from tests.fake_api import FakeApi
from tests.provider_apis import ELEVENLABS, FORMANT, ProviderFixture
from tests.sync.sync_harness import NOON, SECONDS, Clock

pytestmark = pytest.mark.anyio

NAMES = {"agent_1": "Priya", "agent_2": "Late fee reminders", "agent_3": "Twins", "agent_4": "twins"}
CALLS = 130  # more than a page


class AgentAccount:
    """An account of one provider, for queries by agent."""

    def __init__(self, loader: Loader, api: FakeApi, clock: Clock) -> None:
        self._loader, self.api, self._clock = loader, api, clock

    async def ask(self, agent: str, seconds: float = SECONDS) -> ConversationPage:
        call = RequestContext(self._clock.now(), seconds)
        query = ListQuery(Filters(agent_id=agent), agent)
        return await for_agent(
            self._loader,
            call,
            query.filters,
            lambda filters: list_conversations(self._loader, call, replace(query, filters=filters)),
        )

    async def ask_by_id(self, agent_id: str) -> ConversationPage:
        """The same with an agent's id, which is not resolved."""
        call = RequestContext(self._clock.now(), SECONDS)
        return await list_conversations(self._loader, call, ListQuery(Filters(agent_id=agent_id), agent_id))

    @property
    def lists(self) -> int:
        """How often a list was requested."""
        return sum(request.path.endswith("/conversations") for request in self.api.requests)


@asynccontextmanager
async def account(provider: ProviderFixture = ELEVENLABS) -> AsyncGenerator[AgentAccount]:
    async with provider.opened() as opened:
        ids = list(NAMES)
        for n in range(CALLS):
            agent = ids[n % len(ids)]
            fields = {"agent_id": agent, "agent_name": NAMES[agent]} if provider is ELEVENLABS else {}
            opened.api.add(provider.call(n, NOON - n * timedelta(minutes=1)) | fields)
        clock, store = Clock(), await Store.open(None, AccountKey("service", "account"), next_refresh_at)
        sync = Sync(opened.source, store, clock.now)
        try:
            yield AgentAccount(Loader(sync, store), opened.api, clock)
        finally:
            await sync.aclose()
            await store.close()


def agents(listing: ConversationPage) -> set[str | None]:
    return {row.conversation.agent_id for row in listing.rows}


@pytest.mark.parametrize(
    ("agent", "meant"),
    [
        ("agent_1", "agent_1"),
        ("Priya", "agent_1"),
        ("priya", "agent_1"),
        ("Priya (agent_1)", "agent_1"),
        ("agent_1 (33 calls)", "agent_1"),
        ("agent agent_1", "agent_1"),
        ("late FEE reminders", "agent_2"),
        ("Late fee…", "agent_2"),
    ],
)
async def test_an_agent_is_found_by_any_text_that_answers_print_on_an_empty_store(agent: str, meant: str) -> None:
    async with account() as opened:
        listing = await opened.ask(agent)
        assert agents(listing) == {meant}
        assert listing.coverage.complete
        again = await opened.ask(agent)
    of_this_agent = -(-(CALLS - list(NAMES).index(meant)) // len(NAMES))
    assert again.coverage.matched == listing.coverage.matched == of_this_agent


@pytest.mark.parametrize(
    ("provider", "agent"), [(ELEVENLABS, "agent_1"), (FORMANT, "123")], ids=["elevenlabs", "formant"]
)
async def test_an_id_costs_no_requests_beyond_its_own_list(provider: ProviderFixture, agent: str) -> None:
    async with account(provider) as opened:
        await opened.ask_by_id(agent)
        cost = opened.lists
    async with account(provider) as opened:
        assert agents(await opened.ask(agent)) == {agent}
        assert opened.lists == cost


async def test_an_ambiguous_name_is_refused_with_the_ids_of_those_agents() -> None:
    async with account() as opened:
        with pytest.raises(InvalidRequestError, match="agent_id: several agents have this name: agent_3, agent_4"):
            await opened.ask("Twins")


async def test_several_agents_at_once_are_refused_with_a_hint() -> None:
    async with account() as opened:
        for several in ("agent_1, agent_2", "Priya,agent_2"):
            with pytest.raises(InvalidRequestError, match="agent_id takes one agent") as refused:
                await opened.ask(several)
            assert "group_by=agent_id" in refused.value.hint


@pytest.mark.parametrize(
    ("agent", "suggestion"), [("Prya", "Priya (agent_1)"), ("agent_11", "Priya (agent_1)"), ("nobody at all", "")]
)
async def test_an_unknown_agent_matches_nothing_and_the_existing_agents_are_named(agent: str, suggestion: str) -> None:
    async with account() as opened:
        listing = await opened.ask(agent)
    assert (listing.coverage.matched, listing.coverage.complete) == (0, True)
    existing = listing.existing["agent_id"]
    assert existing.values == [f"{name} ({agent_id})" for agent_id, name in NAMES.items()]
    assert suggestion in existing.suggestion


async def test_an_unknown_name_is_refused_with_the_number_of_calls_listed_so_far() -> None:
    async with account() as opened:
        opened.api.fault("cursor=", 1, faults.slow(60))
        with pytest.raises(
            InvalidRequestError, match=r"agent_id: no agent has this .* among the \d+ calls listed so far"
        ):
            await opened.ask("Nobody at all", seconds=0)
