"""For a member, another agent's call is one that does not exist, also where something fails; at every provider."""

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from mcp import MCPError

from formant_mcp.members import Member
from tests.calls import conversation, conversation_id
from tests.faults import Fault, html_502
from tests.provider_apis import PROVIDERS, ProviderFixture
from tests.questions import Question, answer
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

OWN, OTHER, UNLISTED_OWN, UNLISTED_OTHER, UNKNOWN = 1, 2, 3, 4, 5
DAY = timedelta(days=1)
ASKED = (
    Question("tool", "list_conversations", {}),
    Question("tool", "list_conversations", {"agent_id": "124"}),
    Question("tool", "list_conversations", {"agent_id": "124", "status": "completed"}),
    Question("tool", "list_conversations", {"since": "3d", "limit": 3}),
    Question("tool", "list_conversations", {"agent_id": "123", "order_by": "oldest", "summary_mode": "include"}),
    Question("tool", "search_transcripts", {"query": "payment"}),
    Question("tool", "summarize_results", {"group_by": ["agent_id", "status"]}),
    Question("tool", "summarize_results", {}),
    Question("tool", "find_changes", {}),
    Question("tool", "get_transcripts", {"conversation_ids": [conversation_id(n) for n in (0, 1, 99)]}),
    Question("resource", f"formant://conversations/{conversation_id(1)}/recording", {}),
    Question("resources", "", {}),
    Question("completion", "conversation_id", {"typed": ""}),
    Question("completion", "agent_id", {"typed": ""}),
)


@pytest.fixture
def account(account: Account) -> Account:
    """A call of the member's agent and one of another's, and later one more of each."""
    account.api.add(conversation(OWN, NOW - 2 * DAY, 123))
    account.api.add(conversation(OTHER, NOW - 3 * DAY, 124))
    account.member = Member("asha", frozenset({"123"}))
    return account


def add_more(account: Account) -> None:
    account.api.add(conversation(UNLISTED_OWN, NOW - 4 * DAY, 123))
    account.api.add(conversation(UNLISTED_OTHER, NOW - 5 * DAY, 124))


async def said_of(assistant: Assistant, n: int) -> list[str]:
    """What a member learns of a call by its id, without the id."""
    name = conversation_id(n)
    reply = await assistant.client.call_tool("get_transcripts", {"conversation_ids": [name]})
    said = [reply.model_dump_json()]
    saved = await assistant.client.call_tool("save_recording", {"conversation_id": name})
    said.append(saved.model_dump_json())
    for ending in ("", "/transcript", "/recording"):
        try:
            said.append(
                (await assistant.client.read_resource(f"formant://conversations/{name}{ending}")).model_dump_json()
            )
        except MCPError as error:
            said.append(str(error))
    return [part.replace(name, "this id") for part in said]


@pytest.mark.parametrize("fault", [None, html_502])
async def test_another_agents_call_answers_as_one_that_does_not_exist(account: Account, fault: Fault | None) -> None:
    for n in (OWN, OTHER):
        account.api.recordings[conversation_id(n)] = b"RIFF"
    store = str(account.folder / "store.sqlite")
    account.member, member = None, account.member
    async with account.connect(store=store) as assistant:
        await assistant.ask("search_transcripts", query="payment")
    account.member = member
    async with account.connect(store=store) as assistant:
        add_more(account)
        if fault:
            with account.failing(fault):
                said = [await said_of(assistant, n) for n in (UNKNOWN, OTHER, UNLISTED_OTHER)]
        else:
            said = [await said_of(assistant, n) for n in (UNKNOWN, OTHER, UNLISTED_OTHER, OTHER)]
            own = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(UNLISTED_OWN)])
            assert own.ids() == [conversation_id(UNLISTED_OWN)]
    assert all(other == said[0] for other in said)
    assert not list(account.folder.glob("recordings/*"))


async def numbers_of_faults(account: Account) -> Answer:
    """A member's answer from a list of all agents that has a row nobody can read."""
    account.api.add({"conversation_id": None, "agent_id": 124})
    store = str(account.folder / "store.sqlite")
    account.member, member = None, account.member
    async with account.connect(store=store) as assistant:
        assert "1 row of the list" in (await assistant.ask("list_conversations")).text
    account.member = member
    async with account.connect(store=store) as assistant:
        return await assistant.ask("list_conversations")


async def test_faults_of_the_whole_list_are_said_without_a_number(account: Account) -> None:
    answer = await numbers_of_faults(account)
    assert answer.coverage["complete"] is False
    assert answer.coverage["total"] == answer.coverage["known"] == answer.coverage["matched"] == 1
    assert "The provider's list has faults, so conversations may be missing." in answer.text
    assert "row of the list" not in answer.text


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_at_every_provider_the_answers_are_those_of_an_account_with_just_their_agents(
    account: Account, provider: ProviderFixture
) -> None:
    answers: list[list[list[str]]] = []
    for agents, member in (((123, 124, None), account.member), ((123,), None)):
        account.member = member
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(provider.opened())
            for n in range(12):
                agent, status = (123, 124, None)[n % 3], ("completed", "busy")[n % 2]
                if agent in agents:
                    opened.api.add(provider.call(n, NOW - (n + 2) * DAY / 4, agent, status))
            assistant = await stack.enter_async_context(account.connect_to(opened.source, provider.name))
            answers.append([await answer(assistant, question) for question in ASKED])
    for question, its, theirs in zip(ASKED, *answers, strict=True):
        assert its == theirs, question
