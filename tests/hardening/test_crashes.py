"""`kill -9` at random moments of syncing: the store opens, is whole, and the next pass completes it."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

from formant_mcp.store.sqlite.schema import MIGRATIONS
from tests.fake_formant import FakeFormant
from tests.store.files import open_store
from tests.sync.sync_harness import ended_calls

pytestmark = [
    pytest.mark.hardening,
    pytest.mark.anyio,
    pytest.mark.file_store,
    pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there"),
]

ROOT = Path(__file__).parents[2]
CALLS = 60
TRIALS_OF_A_TEST = 20
LONGEST_SECONDS = 1.6  # of which the program needs about half to start


def start(url: str, path: Path) -> "subprocess.Popen[bytes]":
    """A server in a process of its own, which loads everything."""
    command = [sys.executable, "-m", "tests.sync.sync_process", url, str(path), "account"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def killed_after(seconds: float, url: str, path: Path) -> int:
    """Kills a server after that time; returns how it ended."""
    process = start(url, path)
    sleep(seconds)
    process.kill()
    return process.wait()


def problems(path: Path) -> list[str]:
    """What SQLite's checks find in a store."""
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        with closing(sqlite3.connect(path)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'turns_fts'").fetchone():
                database.execute("INSERT INTO turns_fts (turns_fts) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return found


async def complete(url: str, path: Path) -> tuple[int, int]:
    """Lets a server finish; returns how many conversations and transcripts are stored."""
    process = start(url, path)
    assert await asyncio.to_thread(process.wait, 60) == 0
    store = await open_store(path, "account")
    ids = await store.read.ids_with_prefix("", 10 * CALLS)
    turns = [await store.read.turn_count(name) for name in ids]
    await store.close()
    return len(ids), sum(map(bool, turns))


@pytest.mark.parametrize("part", range(10))
async def test_a_server_killed_at_any_moment_leaves_a_store_that_the_next_completes(tmp_path: Path, part: int) -> None:
    path, rng, ends = tmp_path / "store.sqlite", random.Random(part), list[int]()
    async with FakeFormant() as api:
        api.conversations = ended_calls(CALLS)
        for _ in range(TRIALS_OF_A_TEST):
            ends.append(await asyncio.to_thread(killed_after, rng.uniform(0.3, LONGEST_SECONDS), api.url, path))
            assert problems(path) == []
            if rng.random() < 0.2:  # start over: the moments of creating a store
                for file in tmp_path.glob("store.sqlite*"):
                    file.unlink()
        assert await complete(api.url, path) == (CALLS, CALLS)
    assert problems(path) == []
    assert list(tmp_path.glob("*.damaged-*")) == []
    assert ends.count(-signal.SIGKILL) > TRIALS_OF_A_TEST // 4


async def test_the_check_reports_a_store_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await (await open_store(path)).close()
    content = bytearray(path.read_bytes())
    content[5 * 4096 : 6 * 4096] = b"\x5a" * 4096
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert problems(path)
