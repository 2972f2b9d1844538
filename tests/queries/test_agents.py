"""An agent by its id, its name, or as answers print it, on a store that knows nothing yet."""

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
from tests.fake_api import FakeApi
from tests.provider_apis import ELEVENLABS, FORMANT, ProviderFixture
from tests.sync.sync_harness import NOON, SECONDS, Clock

pytestmark = pytest.mark.anyio

NAMES = {"agent_1": "Priya", "agent_2": "Late fee reminders", "agent_3": "Twins", "agent_4": "twins"}
CALLS = 130  # more than a page


class AskedAccount:
    """An account of one provider, asked for the calls of an agent."""

    def __init__(self, loader: Loader, api: FakeApi, clock: Clock) -> None:
        self._loader, self.api, self._clock = loader, api, clock

    async def ask(self, agent: str, seconds: float = SECONDS) -> ConversationPage:
        call = RequestContext(self._clock.now(), seconds)
        question = ListQuery(Filters(agent_id=agent), agent)
        return await for_agent(
            self._loader,
            call,
            question.filters,
            lambda filters: list_conversations(self._loader, call, replace(question, filters=filters)),
        )

    async def ask_plainly(self, agent_id: str) -> ConversationPage:
        """The same where it is clear that it is an id."""
        call = RequestContext(self._clock.now(), SECONDS)
        return await list_conversations(self._loader, call, ListQuery(Filters(agent_id=agent_id), agent_id))

    @property
    def lists(self) -> int:
        """How often the list was asked for."""
        return sum(each.path.endswith("/conversations") for each in self.api.requests)


@asynccontextmanager
async def account(provider: ProviderFixture = ELEVENLABS) -> AsyncGenerator[AskedAccount]:
    async with provider.opened() as opened:
        ids = list(NAMES)
        for n in range(CALLS):
            agent = ids[n % len(ids)]
            fields = {"agent_id": agent, "agent_name": NAMES[agent]} if provider is ELEVENLABS else {}
            opened.api.add(provider.call(n, NOON - n * timedelta(minutes=1)) | fields)
        clock, store = Clock(), await Store.open(None, AccountKey("service", "account"), next_refresh_at)
        sync = Sync(opened.source, store, clock.now)
        try:
            yield AskedAccount(Loader(sync, store), opened.api, clock)
        finally:
            await sync.aclose()
            await store.close()


def agents(listing: ConversationPage) -> set[str | None]:
    return {row.conversation.agent_id for row in listing.rows}


@pytest.mark.parametrize(
    ("asked", "meant"),
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
async def test_an_agent_is_found_by_what_answers_print_on_a_store_that_knows_nothing(asked: str, meant: str) -> None:
    async with account() as here:
        listing = await here.ask(asked)
        assert agents(listing) == {meant}
        assert listing.coverage.complete
        again = await here.ask(asked)
    of_this_agent = -(-(CALLS - list(NAMES).index(meant)) // len(NAMES))
    assert again.coverage.matched == listing.coverage.matched == of_this_agent


@pytest.mark.parametrize(
    ("provider", "agent"), [(ELEVENLABS, "agent_1"), (FORMANT, "123")], ids=["elevenlabs", "formant"]
)
async def test_an_id_costs_no_more_than_its_own_list(provider: ProviderFixture, agent: str) -> None:
    async with account(provider) as here:
        await here.ask_plainly(agent)
        cost = here.lists
    async with account(provider) as here:
        assert agents(await here.ask(agent)) == {agent}
        assert here.lists == cost


async def test_a_name_that_several_agents_have_names_their_ids() -> None:
    async with account() as here:
        with pytest.raises(InvalidRequestError, match="agent_id: several agents have this name: agent_3, agent_4"):
            await here.ask("Twins")


async def test_several_agents_at_once_are_refused_with_what_to_do() -> None:
    async with account() as here:
        for several in ("agent_1, agent_2", "Priya,agent_2"):
            with pytest.raises(InvalidRequestError, match="agent_id takes one agent") as refused:
                await here.ask(several)
            assert "group_by=agent_id" in refused.value.hint


@pytest.mark.parametrize(
    ("asked", "guess"), [("Prya", "Priya (agent_1)"), ("agent_11", "Priya (agent_1)"), ("nobody at all", "")]
)
async def test_an_agent_that_there_is_not_answers_nothing_and_names_those_that_there_are(
    asked: str, guess: str
) -> None:
    async with account() as here:
        listing = await here.ask(asked)
    assert (listing.coverage.matched, listing.coverage.complete) == (0, True)
    existing = listing.existing["agent_id"]
    assert existing.values == [f"{name} ({agent_id})" for agent_id, name in NAMES.items()]
    assert guess in existing.suggestion


async def test_a_name_is_not_denied_before_all_calls_are_listed() -> None:
    async with account() as here:
        with pytest.raises(
            InvalidRequestError, match=r"agent_id: no agent has this .* among the 0 calls listed so far"
        ):
            await here.ask("Late fee reminders", seconds=0)
