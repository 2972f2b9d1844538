"""Leases, which divide work between servers, and the states of lists."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.store.sync_state import ListState, SyncState
from tests.store.files import open_store
from tests.store.oracle import NOW

pytestmark = pytest.mark.anyio

SPAN = timedelta(seconds=5)
Servers = tuple[SyncState, SyncState]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncGenerator[Servers]:
    """The sync states of two servers on one store."""
    stores = [await open_store(tmp_path / "store.sqlite") for _ in range(2)]
    yield stores[0].sync_state, stores[1].sync_state
    for store in stores:
        await store.close()


async def test_a_lease_has_one_holder(servers: Servers) -> None:
    one, two = servers
    assert await one.lease(["list:"], "one", NOW, SPAN) == ["list:"]
    assert await two.lease(["list:"], "two", NOW, SPAN) == []


async def test_leasing_several_names_returns_the_free_ones(servers: Servers) -> None:
    one, two = servers
    await one.lease(["b"], "one", NOW, SPAN)
    assert await two.lease(["a", "b", "c"], "two", NOW, SPAN) == ["a", "c"]


@pytest.mark.file_store
async def test_a_lease_expires_when_its_span_is_over_and_not_before(servers: Servers) -> None:
    one, two = servers
    await one.lease(["a"], "one", NOW, SPAN)
    assert await two.lease(["a"], "two", NOW + SPAN - timedelta(milliseconds=1), SPAN) == []
    assert await two.lease(["a"], "two", NOW + SPAN, SPAN) == ["a"]
    assert await one.lease(["a"], "one", NOW + SPAN, SPAN) == []


@pytest.mark.file_store
async def test_a_holder_extends_its_lease_by_leasing_again(servers: Servers) -> None:
    one, two = servers
    await one.lease(["a"], "one", NOW, SPAN)
    assert await one.lease(["a"], "one", NOW + SPAN / 2, SPAN) == ["a"]
    assert await two.lease(["a"], "two", NOW + SPAN, SPAN) == []
    assert await two.lease(["a"], "two", NOW + SPAN * 3 / 2, SPAN) == ["a"]


async def test_only_the_holder_can_release_a_lease(servers: Servers) -> None:
    one, two = servers
    await one.lease(["a", "b"], "one", NOW, SPAN)
    await two.release(["a"], "two")
    assert await two.lease(["a"], "two", NOW, SPAN) == []
    await one.release(["a"], "one")
    assert await two.lease(["a", "b"], "two", NOW, SPAN) == ["a"]


async def test_a_list_that_was_never_read_has_an_initial_state(servers: Servers) -> None:
    assert await servers[0].list_state("7") == ListState("7")


async def test_updating_a_list_state_keeps_other_fields_and_is_seen_by_other_servers(servers: Servers) -> None:
    one, two = servers
    await one.update("7", total=41, list_order="newest", checked_at=NOW, covered_from=NOW - SPAN)
    await two.update("7", last_full_scan_at=NOW, covered_from=None, scan_position=3)
    await one.update("", total=99)
    state = ListState("7", "newest", 41, checked_at=NOW, last_full_scan_at=NOW, scan_position=3)
    assert await one.list_state("7") == await two.list_state("7") == state
    assert await two.list_state("") == ListState("", total=99)


async def test_raise_to_keeps_the_greater_value(servers: Servers) -> None:
    one, two = servers
    await one.raise_to("7", covered_until=NOW, unreadable=2, ends_early=False)
    await two.raise_to("7", covered_until=NOW - SPAN, checked_at=NOW, unreadable=1, ends_early=True)
    assert await one.list_state("7") == ListState("7", covered_until=NOW, checked_at=NOW, unreadable=2, ends_early=True)


async def test_updating_an_unknown_field_is_refused(servers: Servers) -> None:
    with pytest.raises(ValueError, match="totl"):
        await servers[0].update("7", totl=3)
