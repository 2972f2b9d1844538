"""Members and their tokens: who is found by a token, until when, and what the file holds of it."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.members import Member
from formant_mcp.store.members import Members
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
INSTANT = timedelta(milliseconds=1)
ANNA = Member("anna", frozenset({"7", "Agent, 8"}))
Servers = tuple[Members, Members]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
async def servers(path: Path) -> AsyncGenerator[Servers]:
    """The members as two servers on one store see them."""
    stores = [await open_store(path) for _ in range(2)]
    yield stores[0].members, stores[1].members
    for store in stores:
        await store.close()


async def token_of(members: Members, member: Member = ANNA) -> str:
    token = await members.add(member, None, NOW)
    assert token
    return token


async def test_a_token_finds_its_member_with_their_agents_at_every_server(servers: Servers) -> None:
    token = await token_of(servers[0])
    assert await servers[1].use(token, NOW) == ANNA
    bob = await token_of(servers[0], Member("bob"))
    assert await servers[1].use(bob, NOW) == Member("bob")


async def test_a_token_has_the_prefix_and_256_random_bits_that_fit_a_header(servers: Servers) -> None:
    tokens = {await token_of(servers[0], Member(f"member-{n}")) for n in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"fmcp_[A-Za-z0-9_-]{43}", token) for token in tokens)


async def test_no_other_text_finds_anybody(servers: Servers) -> None:
    token = await token_of(servers[0])
    for other in ("", "fmcp_", token[:-1], token + "A", token.lower(), token.removeprefix("fmcp_"), "anna"):
        assert await servers[0].use(other, NOW) is None


@pytest.mark.file_store
async def test_the_file_holds_no_token(servers: Servers, path: Path) -> None:
    token = await token_of(servers[0])
    await servers[0].use(token, NOW)
    files = [file.read_bytes() for file in path.parent.iterdir()]
    assert any(b"anna" in content for content in files)
    assert not any(token.removeprefix("fmcp_").encode() in content for content in files)


async def test_a_revoked_token_is_refused_at_once_by_other_servers(servers: Servers) -> None:
    one, two = servers
    token = await token_of(one)
    assert await two.use(token, NOW) == ANNA
    assert await one.revoke("anna", NOW)
    assert await two.use(token, NOW) is None
    assert not await two.revoke("anna", NOW)
    assert not await two.revoke("nobody", NOW)


async def test_a_token_is_accepted_until_the_instant_it_expires(servers: Servers) -> None:
    token = await servers[0].add(ANNA, NOW + HOUR, NOW)
    assert token
    assert await servers[0].use(token, NOW + HOUR - INSTANT) == ANNA
    assert await servers[0].use(token, NOW + HOUR) is None


async def test_a_name_has_one_active_token(servers: Servers) -> None:
    one, two = servers
    token = await token_of(one)
    assert await two.add(Member("anna"), None, NOW) is None
    assert await one.use(token, NOW) == ANNA
    assert await two.add(Member("Anna"), None, NOW)  # another name


async def test_of_two_who_add_a_name_at_the_same_time_one_gets_a_token(servers: Servers) -> None:
    tokens = await asyncio.gather(*(members.add(ANNA, None, NOW) for members in servers * 5))
    assert len([token for token in tokens if token]) == 1


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_name_can_be_added_again_when_its_token_has_ended_which_stays_refused(
    servers: Servers, ending: str
) -> None:
    members = servers[0]
    old = await members.add(ANNA, NOW + HOUR, NOW)
    assert old
    await members.use(old, NOW)
    if ending == "revoked":
        await members.revoke("anna", NOW)
    new = await members.add(Member("anna", frozenset({"9"})), None, NOW + HOUR)
    assert new
    assert await members.use(old, NOW) is None
    (stored,) = await members.all()
    assert (stored.created_at, stored.expires_at, stored.last_used_at) == (NOW + HOUR, None, None)
    assert await members.use(new, NOW + HOUR) == Member("anna", frozenset({"9"}))


async def test_all_members_are_listed_with_their_states(servers: Servers) -> None:
    members = servers[0]
    await members.add(Member("carl"), None, NOW)
    await members.add(Member("bob"), NOW + HOUR, NOW)
    await members.add(ANNA, None, NOW)
    await members.revoke("anna", NOW + INSTANT)
    at = NOW + HOUR
    assert [(stored.member.name, stored.state(at)) for stored in await servers[1].all()] == [
        ("anna", "revoked"), ("bob", "expired"), ("carl", "active")
    ]  # fmt: skip


async def test_the_last_use_is_written_once_an_hour(servers: Servers) -> None:
    members = servers[0]
    token = await token_of(members)
    written = list[object]()
    for used_at in (NOW, NOW + HOUR - INSTANT, NOW + HOUR, NOW + 2 * HOUR - INSTANT):
        await members.use(token, used_at)
        written += [stored.last_used_at for stored in await members.all()]
    assert written == [NOW, NOW, NOW + HOUR, NOW + HOUR]


@pytest.mark.file_store  # opens the file to make it refuse
async def test_a_store_that_cannot_be_written_locks_nobody_out(servers: Servers, path: Path) -> None:
    token = await token_of(servers[0])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await servers[0].use(token, NOW) == ANNA
    (stored,) = await servers[0].all()
    assert stored.last_used_at is None
