"""Whose a store's file is: a new one is nobody's until something is saved, and only a proven new key is let in."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.errors import ConfigurationError
from formant_mcp.filters import Filters
from formant_mcp.store.owner import Owner, read_owner
from tests.store.files import calls, open_store, write_store
from tests.store.oracle import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_opening_claims_nothing_and_saving_does(path: Path) -> None:
    mistyped = open_store(path, "mistyped")
    mistyped.close()
    assert read_owner(path) is None
    right = open_store(path, "right")
    right.write.save(calls(1), NOW)
    right.close()
    assert read_owner(path) == Owner("service", frozenset({"right"}), ("call-0",))
    with pytest.raises(ConfigurationError, match="another account"):
        open_store(path, "mistyped")


def test_a_file_without_conversations_is_the_next_keys_and_forgets_what_was_known_of_the_list(path: Path) -> None:
    store = open_store(path)
    store.ledger.update("", complete_at=NOW)
    assert read_owner(path) is None
    same, other = open_store(path), open_store(path, "other", "another service")
    assert other.ledger.scope("").complete_at is None
    other.write.save(calls(1), NOW)
    assert read_owner(path) == Owner("another service", frozenset({"other"}), ("call-0",))
    for each in (store, same):
        with pytest.raises(ConfigurationError, match="another account"):
            each.write.save(calls(1), NOW)
        each.close()
    other.close()


def test_an_account_without_conversations_keeps_what_it_knows_of_the_list(path: Path) -> None:
    store = open_store(path)
    store.ledger.update("", complete_at=NOW)
    store.close()
    store = open_store(path)
    assert store.ledger.scope("").complete_at == NOW
    store.close()


def test_of_two_that_open_a_new_file_the_first_to_save_has_it(path: Path) -> None:
    first, second = open_store(path, "one"), open_store(path, "two")
    first.write.save(calls(1), NOW)
    with pytest.raises(ConfigurationError, match="another account"):
        second.write.save(calls(2), NOW)
    assert first.read.count(Filters()) == 1
    first.close()
    second.close()


def test_a_key_that_takes_over_is_let_in_from_then_on_and_the_old_one_stays(path: Path) -> None:
    write_store(path, 3)
    with pytest.raises(ConfigurationError):
        open_store(path, "new")
    open_store(path, "new", takes_over=True).close()
    for key in ("new", "key"):
        store = open_store(path, key)
        assert store.read.count(Filters()) == 3
        store.close()


def test_no_key_takes_over_another_services_file(path: Path) -> None:
    write_store(path, 3)
    with pytest.raises(ConfigurationError):
        open_store(path, "new", "another service", takes_over=True)


def test_a_file_of_an_older_version_says_its_service_once_its_own_key_opens_it(path: Path) -> None:
    write_store(path, 3)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM meta WHERE name = 'service'")
        database.commit()
    open_store(path).close()
    owner = read_owner(path)
    assert owner
    assert owner.service == "service"


@pytest.mark.parametrize(("count", "ages"), [(1, [0]), (3, [0, 1, 2]), (41, [0, 20, 40, 10, 30, 5])])
def test_the_sample_is_of_several_ages(path: Path, count: int, ages: list[int]) -> None:
    store = open_store(path)
    store.write.save([replace(each, started_at=NOW - timedelta(days=n)) for n, each in enumerate(calls(count))], NOW)
    store.close()
    owner = read_owner(path)
    assert owner
    assert list(owner.sample) == [f"call-{age}" for age in ages]


def test_what_is_no_store_has_no_owner(path: Path) -> None:
    assert read_owner(path) is None
    path.write_bytes(b"something else entirely")
    assert read_owner(path) is None
    assert path.read_bytes() == b"something else entirely"
