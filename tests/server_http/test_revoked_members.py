"""A name that gets a new token after its old one: what was the old token's stays out of the new one's hands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue

from formant_mcp.app import LazyApp, open_members
from formant_mcp.members import Member
from formant_mcp.server.access import Verifier
from formant_mcp.server.limits import Limits
from formant_mcp.settings import Settings
from formant_mcp.store.members import Members
from tests.calls import conversation
from tests.http_process import PING, HttpServer, in_thread, initialize, post, session_of
from tests.server_harness import NOW, Account


@pytest.fixture
def settings(account: Account, tmp_path: Path) -> Settings:
    """Of an account with calls of two agents, in a store that the commands and the server share."""
    account.api.conversations = [conversation(number, NOW, agent) for number, agent in enumerate([100, 101])]
    return account.settings({"store": str(tmp_path / "store.sqlite")})


def of_members(settings: Settings, act: Callable[[Members], Awaitable[str | bool | None]]) -> str:
    """Does that with the members, as a command does: in a process of its own."""

    async def open_and_act() -> str:
        async with open_members(settings) as members:
            return str(await act(members))

    return asyncio.run(open_and_act())


def add(settings: Settings, agents: str = "") -> dict[str, str]:
    """Gives anna a token; returns the header with it."""
    anna = Member("anna", frozenset(agents.split()))
    return {"Authorization": f"Bearer {of_members(settings, lambda members: members.add(anna, None, NOW))}"}


def revoke(settings: Settings) -> None:
    """Revokes anna's token."""
    of_members(settings, lambda members: members.revoke("anna", NOW))


def export(server: HttpServer, headers: dict[str, str]) -> str:
    """Exports all calls; returns the link."""
    arguments: JsonValue = {"format": "csv"}
    answer = post(server.url, "tools/call", headers, name="export_conversations", arguments=arguments)
    return answer.json()["result"]["structuredContent"]["path"]


def test_links_and_sessions_are_of_the_token_and_not_of_the_next_one_of_its_name(
    account: Account, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="formant_mcp.audit")
    verifier = Verifier(LazyApp(account.opening(settings)).app)
    with in_thread(account, verifier=verifier, store=settings.store) as server:
        old = add(settings)
        link, other, session = export(server, old), export(server, old), session_of(initialize(server.url, old))
        assert httpx.post(f"{server.url}/mcp", json=PING, headers=session | old).status_code == 200
        assert httpx.get(other, headers=old).text.count("\n") == 3
        revoke(settings)
        new = add(settings, agents="100")
        assert httpx.get(link, headers=old).status_code == 401
        assert httpx.get(link, headers=new).status_code == 404
        assert httpx.post(f"{server.url}/mcp", json=PING, headers=session | new).status_code == 404
        assert httpx.get(export(server, new), headers=new).text.count("\n") == 2
    assert "anna export_conversations: complete, 1 conversations" in caplog.text
    for headers in (old, new):
        assert headers["Authorization"].removeprefix("Bearer fmcp_") not in caplog.text


def test_a_new_token_begins_with_all_requests_of_a_minute(account: Account, settings: Settings) -> None:
    verifier = Verifier(LazyApp(account.opening(settings)).app)
    limits = Limits(requests_per_minute=2)
    with in_thread(account, verifier=verifier, limits=limits, store=settings.store) as server:
        old = add(settings)
        statuses = [post(server.url, "tools/list", old).status_code for _ in range(3)]
        revoke(settings)
        statuses += [post(server.url, "tools/list", add(settings)).status_code]
    assert statuses == [200, 200, 429, 200]
