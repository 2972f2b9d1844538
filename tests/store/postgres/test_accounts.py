"""Many accounts and providers in one database: none sees anything of another."""

import asyncio
from collections.abc import Callable

import pytest

from formant_mcp.filters import Filters
from formant_mcp.members import Member
from formant_mcp.store.postgres.schema import MIGRATIONS
from tests.store.files import calls
from tests.store.oracle import NOW
from tests.store.postgres.stores import answers, ask, everything, open_at

pytestmark = pytest.mark.anyio

OWNERS = (("alpha", "key", "service"), ("beta", "another key", "service"), ("gamma", "key of gamma", "another service"))


async def test_accounts_that_do_everything_at_once_are_answered_as_if_each_were_alone(
    database: str, new_database: Callable[[], str]
) -> None:
    stores = {name: await open_at(database, key, service) for name, key, service in OWNERS}
    together = await asyncio.gather(*(everything(store, name) for name, store in stores.items()))
    for (name, key, service), shared in zip(OWNERS, together, strict=True):
        alone = await open_at(new_database(), key, service)
        assert await everything(alone, name) == shared
        assert await answers(stores[name], name) == shared[2:]
        await alone.close()
    assert len({await store.identity() for store in stores.values()}) == len(OWNERS)
    for store in stores.values():
        await store.close()


async def test_a_members_token_is_of_its_account_alone(database: str) -> None:
    one, two = await open_at(database, "one"), await open_at(database, "two")
    token = await one.members.add(Member("anna", frozenset()), None, NOW)
    assert token
    assert await one.members.use(token, NOW)
    assert await two.members.use(token, NOW) is None
    await one.close()
    await two.close()


async def test_a_new_key_of_a_stored_account_finds_its_conversations(database: str) -> None:
    for key, takes_over, count in (("old", False, 3), ("other", False, 0), ("new", True, 0)):
        store = await open_at(database, key, takes_over=takes_over)
        if key == "old":
            await store.write.save(calls(3), NOW)
        assert await store.read.count(Filters()) == count
        await store.close()


async def test_keys_that_are_new_at_once_get_accounts_of_their_own(database: str) -> None:
    keys = [f"key {n % 4}" for n in range(12)]
    stores = await asyncio.gather(*(open_at(database, key) for key in keys))
    assert len(await ask(database, "SELECT 1 FROM formant_mcp.accounts")) == 4
    assert await ask(database, "SELECT number FROM formant_mcp.version") == [(len(MIGRATIONS),)]
    for store in stores:
        await store.close()
