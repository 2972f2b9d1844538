"""Details that the provider does not give of calls it lists: each fails alone and waits, and the note says why."""

from datetime import timedelta

import pytest

from tests import faults
from tests.calls import conversation, conversation_id
from tests.faults import Fault
from tests.server_harness import NOW, Account, Assistant

pytestmark = pytest.mark.anyio

COUNT, BROKEN = 20, 10
ALWAYS = 1_000_000
GIVES_NONE: list[tuple[Fault, str]] = [
    (faults.failing(404), "not found at the provider"),
    (faults.failing(403), "this API key lacks permission (403)"),
    (faults.failing(422), "the API refused the request (422)"),
    (faults.failing(400), "the API refused the request (400)"),
    (faults.wrong_shape, "the response's field 'data' is not an object"),
]


@pytest.fixture
def account(account: Account) -> Account:
    account.api.conversations = [conversation(n, NOW - timedelta(days=2, hours=n)) for n in range(COUNT)]
    return account


def break_details(account: Account, kind: Fault, count: int = BROKEN) -> None:
    for n in range(count):
        account.api.fault(f"/{conversation_id(n)}", ALWAYS, kind)


async def details_asked(account: Account, assistant: Assistant, **arguments: object) -> tuple[int, str]:
    """How many details a search asked for, and its note."""
    account.pass_time(seconds=1)
    before = len(account.api.requests)
    answer = await assistant.ask("search_transcripts", query="hello", **arguments)
    asked = [request for request in account.api.requests[before:] if request.path != "/v1/conversations"]
    return len(asked), str(answer.coverage.get("note", ""))


@pytest.mark.parametrize(("kind", "why"), GIVES_NONE)
async def test_they_are_left_alone_for_a_while_and_the_note_says_why(account: Account, kind: Fault, why: str) -> None:
    break_details(account, kind)
    expected = f"10 of 20 matching conversations could not be loaded: {why}. A later question retries them."
    async with account.connect() as assistant:
        assert await details_asked(account, assistant) == (COUNT, expected)
        assert await details_asked(account, assistant) == (0, expected)
        answer = await assistant.ask("search_transcripts", query="hello")
        assert not answer.coverage["complete"]
        account.pass_time(hours=2)
        assert await details_asked(account, assistant) == (BROKEN, expected)


@pytest.mark.parametrize(("kind", "why"), GIVES_NONE)
async def test_reading_one_says_that_it_is_listed(account: Account, kind: Fault, why: str) -> None:
    break_details(account, kind, 1)
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(0), conversation_id(1)])
    assert [error["message"] for error in answer.rows("errors")] == [
        f"Listed, but the provider has no details: {why}. Retry; if it persists, report it to the provider."
    ]
    assert answer.ids() == [conversation_id(1)]


@pytest.mark.parametrize(("kind", "why"), GIVES_NONE)
async def test_a_list_with_results_says_it_too(account: Account, kind: Fault, why: str) -> None:
    break_details(account, kind)
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", summary_mode="include")
    assert answer.coverage["note"] == (
        f"10 of 20 calls shown could not be loaded: {why}. A later question retries them."
    )


async def test_one_new_call_that_may_not_be_read_leaves_all_others_answered(account: Account) -> None:
    async with account.connect() as assistant:
        assert await details_asked(account, assistant) == (COUNT, "")
        account.pass_time(seconds=6)
        account.api.add(conversation(100, NOW - timedelta(days=1)))
        account.api.fault(f"/{conversation_id(100)}", ALWAYS, 403)
        asked, note = await details_asked(account, assistant)
    assert asked == 1
    assert note.startswith("1 of 21 matching conversations could not be loaded: this API key lacks permission (403).")


@pytest.mark.parametrize("count", [COUNT, 3])
async def test_a_key_that_may_read_no_details_is_an_error_until_it_may(account: Account, count: int) -> None:
    account.api.conversations = account.api.conversations[:count]
    is_refused = True
    account.api.fault(lambda request: is_refused and request.path != "/v1/conversations", ALWAYS, 403)
    async with account.connect() as assistant:
        for _ in range(2):
            account.pass_time(seconds=1)
            assert "key lacks permission (403)." in await assistant.refused("search_transcripts", query="hello")
            assert (await assistant.ask("list_conversations")).coverage["complete"]
        is_refused = False
        assert await details_asked(account, assistant) == (count, "")


async def test_a_refused_key_is_an_error_with_everything_stored(account: Account) -> None:
    async with account.connect() as assistant:
        await details_asked(account, assistant)
        account.pass_time(seconds=6)
        account.api.add(conversation(100, NOW - timedelta(days=1)))
        account.api.fault(f"/{conversation_id(100)}", ALWAYS, 401)
        assert "The key was refused." in await assistant.refused("search_transcripts", query="hello")


async def test_where_every_request_for_details_is_refused_no_argument_is_blamed(account: Account) -> None:
    break_details(account, faults.failing(422), COUNT)
    async with account.connect() as assistant:
        _, note = await details_asked(account, assistant)
    assert "Check the arguments" not in note
    assert "The API refused the request (422)" in note
