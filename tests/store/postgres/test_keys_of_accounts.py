"""Which account of a database a key belongs to."""

import pytest

from formant_mcp.filters import Filters
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.engine import Owner
from formant_mcp.store.store import read_owners
from tests.store.files import calls, never
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio


async def count(address: str, account: AccountKey) -> int:
    store = await Store.open(address, account, never)
    return await store.read.count(Filters())


async def test_a_key_finds_its_account_again_and_no_other_key_does(database: str) -> None:
    store = await Store.open(database, AccountKey("service", "key"), never)
    await store.write.save(calls(3), NOW)
    assert await count(database, AccountKey("service", "key")) == 3
    assert await count(database, AccountKey("service", "mistyped")) == 0


async def test_a_verified_key_is_admitted_to_the_account_of_the_other(database: str) -> None:
    store = await Store.open(database, AccountKey("service", "key"), never)
    await store.write.save(calls(3), NOW)
    assert await count(database, AccountKey("service", "new", verified_by="key")) == 3
    assert await count(database, AccountKey("service", "new")) == 3


async def test_owners_are_the_accounts_that_have_conversations(database: str) -> None:
    await Store.open(database, AccountKey("service", "empty"), never)
    store = await Store.open(database, AccountKey("service", "key"), never)
    await store.write.save(calls(3), NOW)
    owners = [owner for _, owner in read_owners(database, with_others=False)]
    assert owners == [Owner("service", frozenset({"key"}), ("call-2", "call-1", "call-0"))]
