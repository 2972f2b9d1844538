"""Who owns a store's file: nobody until something is saved; later only a proven new key is accepted as well."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.errors import ConfigurationError
from formant_mcp.filters import Filters
from formant_mcp.store.sqlite.owner import Owner, read_owner
from tests.store.files import calls, open_store, write_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


async def test_opening_claims_no_owner_and_the_first_save_does(path: Path) -> None:
    mistyped = await open_store(path, "mistyped")
    await mistyped.close()
    assert read_owner(path) is None
    right = await open_store(path, "right")
    await right.write.save(calls(1), NOW)
    await right.close()
    assert read_owner(path) == Owner("service", frozenset({"right"}), ("call-0",))
    with pytest.raises(ConfigurationError, match="another account"):
        await open_store(path, "mistyped")


async def test_a_file_without_conversations_can_be_claimed_by_another_key_and_loses_its_list_states(path: Path) -> None:
    store = await open_store(path)
    await store.sync_state.update("", last_full_scan_at=NOW)
    assert read_owner(path) is None
    same, other = await open_store(path), await open_store(path, "other", "another service")
    assert (await other.sync_state.list_state("")).last_full_scan_at is None
    await other.write.save(calls(1), NOW)
    assert read_owner(path) == Owner("another service", frozenset({"other"}), ("call-0",))
    for opened in (store, same):
        with pytest.raises(ConfigurationError, match="another account"):
            await opened.write.save(calls(1), NOW)
        await opened.close()
    await other.close()


async def test_an_account_without_conversations_keeps_its_list_states(path: Path) -> None:
    store = await open_store(path)
    await store.sync_state.update("", last_full_scan_at=NOW)
    await store.close()
    store = await open_store(path)
    assert (await store.sync_state.list_state("")).last_full_scan_at == NOW
    await store.close()


async def test_the_first_to_save_to_a_new_file_owns_it(path: Path) -> None:
    first, second = await open_store(path, "one"), await open_store(path, "two")
    await first.write.save(calls(1), NOW)
    with pytest.raises(ConfigurationError, match="another account"):
        await second.write.save(calls(2), NOW)
    assert await first.read.count(Filters()) == 1
    await first.close()
    await second.close()


async def test_a_key_that_takes_over_is_accepted_from_then_on_beside_the_old_one(path: Path) -> None:
    await write_store(path, 3)
    with pytest.raises(ConfigurationError):
        await open_store(path, "new")
    await (await open_store(path, "new", verified_by="key")).close()
    for key in ("new", "key"):
        store = await open_store(path, key)
        assert await store.read.count(Filters()) == 3
        await store.close()


async def test_a_key_cannot_take_over_the_file_of_another_service(path: Path) -> None:
    await write_store(path, 3)
    with pytest.raises(ConfigurationError):
        await open_store(path, "new", "another service", verified_by="key")


async def test_a_file_of_an_older_version_gets_its_service_when_its_own_key_opens_it(path: Path) -> None:
    await write_store(path, 3)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM meta WHERE name = 'service'")
        database.commit()
    await (await open_store(path)).close()
    owner = read_owner(path)
    assert owner
    assert owner.service == "service"


@pytest.mark.parametrize(("count", "ages"), [(1, [0]), (3, [0, 1, 2]), (41, [0, 20, 40, 10, 30, 5])])
async def test_the_owners_sample_has_conversations_of_several_ages(path: Path, count: int, ages: list[int]) -> None:
    store = await open_store(path)
    await store.write.save(
        [conversation._replace(started_at=NOW - timedelta(days=n)) for n, conversation in enumerate(calls(count))], NOW
    )
    await store.close()
    owner = read_owner(path)
    assert owner
    assert list(owner.sample) == [f"call-{age}" for age in ages]


def test_a_file_that_is_no_store_has_no_owner(path: Path) -> None:
    assert read_owner(path) is None
    path.write_bytes(b"something else entirely")
    assert read_owner(path) is None
    assert path.read_bytes() == b"something else entirely"
