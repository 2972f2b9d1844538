"""Keys and a store: a refused key claims nothing, a rotated key takes over, another account's key sees nothing."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client

from formant_mcp.app import App, LazyApp, open_account, open_members
from formant_mcp.errors import ConfigurationError
from formant_mcp.members import Member
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings
from tests.calls import conversation
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.faults import Fault, html_502, wrong_shape
from tests.provider_apis import no_wait
from tests.server_harness import NOW, Assistant

pytestmark = pytest.mark.anyio
COUNT = 20  # so that two missing ones are few


@pytest.fixture
def api() -> Generator[FakeFormant]:
    with FakeFormant.in_thread() as api:
        api.conversations = [conversation(n, NOW - timedelta(days=2, hours=n)) for n in range(COUNT)]
        api.key = "first"
        yield api


@pytest.fixture(params=["fixed", "default"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the store is: at the user's own path, or in the data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return str(tmp_path / "store.sqlite") if request.param == "fixed" else ""


@asynccontextmanager
async def connected(api: FakeFormant, key: str, store: str, hours_later: int = 0) -> AsyncGenerator[Assistant]:
    settings = Settings.model_validate({"api_key": key, "base_url": api.url, "store": store, "timezone": "UTC"})

    async def open_() -> App:
        source = FormantProvider(settings.address, key, sleep=no_wait)
        try:
            return await open_account(settings, source, key, lambda: NOW + timedelta(hours=hours_later))
        except BaseException:
            await source.aclose()
            raise

    words = PROVIDERS["formant"]
    async with Client(build_server(LazyApp(open_), instructions(settings, words), words)) as client:
        yield Assistant(client)


async def read_everything(api: FakeFormant, key: str, store: str, hours_later: int = 0) -> list[str]:
    """The paths that a query for every transcript requests from the API."""
    before = len(api.requests)
    async with connected(api, key, store, hours_later) as assistant:
        answer = await assistant.ask("search_transcripts", query="hello")
        assert answer.coverage["complete"]
        assert answer.coverage["known"] == len(api.conversations)
    return [request.path for request in api.requests[before:]]


async def test_a_mistyped_key_does_not_claim_the_store(api: FakeFormant, store: str) -> None:
    async with connected(api, "frist", store) as assistant:
        assert "The key was refused." in await assistant.refused("list_conversations")
    assert len(await read_everything(api, "first", store)) > COUNT


async def test_a_rotated_key_continues_with_the_stored_calls(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    api.key = "second"
    requests = await read_everything(api, "second", store)
    details = [path for path in requests if path != "/v1/conversations"]
    assert len(details) == 1  # the check; nothing is fetched a second time
    again = await read_everything(api, "second", store)
    assert [path for path in again if path != "/v1/conversations"] == []


async def test_a_rotated_key_is_accepted_even_if_the_newest_calls_were_deleted(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    api.key = "second"
    for row in api.conversations[:3]:
        api.remove(api.id_of(row))
    requests = await read_everything(api, "second", store, hours_later=25)
    assert len([path for path in requests if path != "/v1/conversations"]) == 2


@pytest.mark.parametrize("kind", some([403, 422, wrong_shape], 2))
async def test_a_rotated_key_is_accepted_even_if_one_checked_call_has_no_detail(
    api: FakeFormant, store: str, kind: int | Fault
) -> None:
    await read_everything(api, "first", store)
    api.key = "second"
    api.fault("/v1/conversations/", 1, kind)
    assert len(await read_everything(api, "second", store, hours_later=1)) > 2


async def test_a_store_of_an_account_without_calls_can_be_claimed_by_another_key(
    api: FakeFormant, tmp_path: Path
) -> None:
    store, calls = str(tmp_path / "store.sqlite"), api.conversations
    api.conversations = []
    assert await read_everything(api, "first", store)
    api.conversations, api.key = calls, "second"
    async with connected(api, "frist", store) as assistant:
        assert "The key was refused." in await assistant.refused("list_conversations")
    await read_everything(api, "second", store)
    api.key = "first"
    api.conversations = []
    async with connected(api, "first", store) as assistant:
        assert "another account" in await assistant.refused("list_conversations")


async def test_another_accounts_key_cannot_read_the_store(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    api.key = "foreign"
    api.conversations = [conversation(100, NOW - timedelta(days=3))]
    if store:
        async with connected(api, "foreign", store) as assistant:
            refused = await assistant.refused("search_transcripts", query="hello")
            assert "FORMANT_STORE names the store of another account" in refused
    else:
        assert len(await read_everything(api, "foreign", store)) == 6 + 2  # the check, its own list and its own call


async def test_a_refused_key_cannot_read_the_store(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    async with connected(api, "wrong", store) as assistant:
        assert "The key was refused." in await assistant.refused("search_transcripts", query="hello")


async def test_a_new_key_is_not_judged_while_the_api_fails(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    api.key = "second"
    api.fault("/v1/conversations/", 5, html_502)
    async with connected(api, "second", store) as assistant:
        assert "The API failed (502)." in await assistant.refused("list_conversations")
        assert (await assistant.ask("list_conversations")).coverage["known"] == COUNT


async def test_a_rotated_keys_members_are_found_once_the_provider_has_confirmed_the_key(
    api: FakeFormant, store: str
) -> None:
    await read_everything(api, "first", store)
    old, new = (
        Settings.model_validate({"api_key": key, "base_url": api.url, "store": store}) for key in ("first", "2nd")
    )
    async with open_members(old) as members:
        await members.add(Member("anna"), None, NOW)
    with pytest.raises(ConfigurationError, match=r"Check the key\. Run `formant-mcp sync` once"):
        async with open_members(new):
            pass
    api.key = "2nd"
    await read_everything(api, "2nd", store, 1)
    async with open_members(new) as members:
        assert [stored.member.name for stored in await members.all()] == ["anna"]


async def test_members_can_be_added_before_the_first_call_is_stored(api: FakeFormant, store: str) -> None:
    settings = Settings.model_validate({"api_key": "first", "base_url": api.url, "store": store})
    async with open_members(settings) as members:
        token = await members.add(Member("anna"), None, NOW)
    assert token
    await read_everything(api, "first", store)
    async with open_members(settings) as members:
        assert await members.use(token, NOW) == Member("anna")


async def test_members_of_another_accounts_store_are_refused(api: FakeFormant, store: str) -> None:
    await read_everything(api, "first", store)
    other = Settings.model_validate({"api_key": "first", "provider": "voiceos", "base_url": api.url, "store": store})
    if store:
        with pytest.raises(ConfigurationError, match="another account"):
            async with open_members(other):
                pass
    else:
        async with open_members(other) as members:
            assert await members.all() == []
