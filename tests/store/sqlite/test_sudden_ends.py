"""A full disk, a process killed while it saves: what was stored before stays, and nothing is stored in part."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.filters import Filters
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.reader import Reader
from formant_mcp.store.sqlite.database import SqliteDatabase
from formant_mcp.store.writer import Writer
from tests.examples import some
from tests.store.files import calls, never, open_store
from tests.store.oracle import NOW

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]

MEGABYTE = 1 << 20

# Saves ten calls, then begins to save forty large ones, more than is kept in memory, and is killed at the thirtieth.
KILLED_WHILE_SAVING = """
import asyncio, os, signal, sys
from pathlib import Path
from formant_mcp.store import AccountKey
from formant_mcp.store import Store
from tests.store.files import calls
from tests.store.oracle import NOW

def due(conversation, read_at):
    if conversation.conversation_id == "call-39" and conversation.results["note"][0] == "y":
        os.kill(os.getpid(), signal.SIGKILL)

async def save():
    store = await Store.open(Path(sys.argv[1]), AccountKey("service", "key"), due)
    await store.write.save(calls(10), NOW)
    large = [[call._replace(results={"note": letter * 300_000}) for call in calls(50)] for letter in "xy"]
    await asyncio.gather(*(store.write.save(some, NOW) for some in large))  # one after the other, in one transaction

asyncio.run(save())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root on Linux alone")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_store_that_cannot_grow_keeps_its_contents_and_saves_again_when_it_can(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "store.sqlite", AccountKey("service", "key"))
    read, write = Reader(database), Writer(database, never, lambda conversation: {})
    await write.save(calls(20), NOW)
    pages = await database.write(lambda connection: connection.rows("PRAGMA page_count")[0][0])
    await database.write(lambda connection: connection.rows(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreError, match="full"):
        await write.save(calls(100), NOW)
    assert await read.count(Filters()) == 20
    assert await read.turn_count("call-19") == 20
    await database.write(lambda connection: connection.rows("PRAGMA max_page_count = 1000000"))
    await write.save(calls(100), NOW)
    assert await read.count(Filters()) == 100
    await database.close()


async def test_conversations_saved_before_the_disk_was_full_can_be_read(small_disk: Path) -> None:
    store = await open_store(small_disk / "store.sqlite")
    with pytest.raises(StoreError, match="full") as raised:
        await fill(store)
    assert "FORMANT_STORE" in raised.value.hint
    saved = await store.read.count(Filters())
    assert saved
    assert saved % 10 == 0
    assert await store.identity()
    await store.close()
    store = await open_store(small_disk / "store.sqlite")
    assert await store.read.count(Filters()) == saved
    assert await store.read.turn_count(f"call-{saved - 1}") == 20
    await store.close()


async def fill(store: Store) -> None:
    """Saves ten calls at a time without end."""
    for first in count(0, 10):
        await store.write.save(calls(first + 10)[first:], NOW)


async def test_opening_on_a_nearly_full_disk_succeeds_or_raises_that_the_disk_is_full(small_disk: Path) -> None:
    messages: list[str] = []
    for room in some(range(0, MEGABYTE, 8192), 5):
        (small_disk / "other").write_bytes(bytes(2 * MEGABYTE - room))
        try:
            await (await open_store(small_disk / "store.sqlite")).close()
        except StoreError as error:
            messages.append(error.message)
        (small_disk / "other").unlink()
        await (await open_store(small_disk / "store.sqlite")).close()
        for file in small_disk.iterdir():
            file.unlink()
    assert 5 < len(messages) < 100
    assert not [message for message in messages if "disk of the local store is full" not in message]


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
async def test_a_process_killed_while_saving_leaves_whole_conversations_only(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    project = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_SAVING, str(path)], cwd=project, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.with_name("store.sqlite-wal").stat().st_size > 10 * MEGABYTE  # it had begun to write
    store = await open_store(path)
    ids = await store.read.ids_with_prefix("call-", 100)
    assert len(ids) == 10
    assert {await store.read.turn_count(call_id) for call_id in ids} == {20}
    assert (await store.read.get(ids))["call-7"].results == {"csat": 2}
    await store.write.save(calls(50), NOW)
    assert await store.read.count(Filters()) == 50
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
