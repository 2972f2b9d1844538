"""`kill -9` at random moments of syncing, searching and migrating: the store opens, is whole, and the next pass
completes it to exactly what the provider has."""

import asyncio
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from formant_mcp.errors import FormantError
from tests.fake_formant import FakeFormant
from tests.hardening.crash_process import (
    dying_while_saving,
    forked,
    migrating_in_pieces,
    pass_over,
    saving_in_pieces,
    searching,
    syncing,
)
from tests.hardening.crash_stores import Rows, as_older, contents, problems, sent, states, stored
from tests.sync.sync_harness import ended_calls

pytestmark = [
    pytest.mark.hardening,
    pytest.mark.file_store,
    pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there"),
]

CALLS, GONE = 30, 4
KILLS = 17
PARTS = range(4)
MOST_TRIALS = 5 * KILLS
OLDER = (1, 3, 5, 8, 9, 12, 15)
LATER = timedelta(minutes=10)  # the leases of a killed server have run out
Work = Callable[[str, Path], None]


@dataclass
class Account:
    """An account, the stores that a server may find at its start, and what a whole store has."""

    api: FakeFormant
    folder: Path
    starts: list[Path | None] = field(default_factory=list["Path | None"])
    right: dict[str, Rows] = field(default_factory=dict[str, Rows])

    def begin(self, path: Path, start: Path | None) -> None:
        """Puts a store in place, or none."""
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        if start:
            shutil.copyfile(start, path)

    def whole(self, name: str) -> Path:
        """A store into which everything is loaded."""
        path = self.folder / name
        assert asyncio.run(pass_over(self.api.url, path))
        return path

    def wrong_after(self, path: Path) -> list[str]:
        """What is wrong with a store that a killed server left, before and after the next pass."""
        if found := problems(path):
            return found
        try:
            if not asyncio.run(pass_over(self.api.url, path, LATER)):
                return [f"the next pass did not complete {states(path)}"]
        except (FormantError, sqlite3.Error) as error:
            return [str(error)]
        now = contents(path)
        wrong = [name for name, rows in self.right.items() if rows != now[name]]
        wrong += [] if stored(path) == sent(self.api) else ["not what the provider sent"]
        return wrong + problems(path) + [str(file) for file in path.parent.glob("*.damaged-*")]


@contextmanager
def an_account(folder: Path, *, older: bool) -> Generator[Account]:
    """An account of a few calls; servers find nothing or half of it and calls that are gone, or a store of an `older`
    version with the same."""
    with FakeFormant.in_thread() as api:
        account, now = Account(api, folder), ended_calls(CALLS)
        api.conversations = [*now[CALLS // 2 :], *ended_calls(GONE, first=1_000)]
        before = account.whole("before.sqlite")
        api.conversations = now
        account.right = contents(account.whole("whole.sqlite"))
        account.starts = [None, before]
        if older:
            account.starts = [as_older(folder / f"{version}.sqlite", version, before) for version in OLDER]
        yield account


def killed(
    account: Account, work: Work, rng: random.Random, kills: int = KILLS, *, by_itself: bool = False
) -> list[str]:
    """Kills that many servers, each at a random moment of its work or `by_itself`; what was wrong then."""
    path, url, wrong, count = account.folder / "killed" / "store.sqlite", account.api.url, list[str](), 0
    path.parent.mkdir()
    longest = dict[Path | None, float]()
    for start in (account.starts[0], *account.starts):  # the first process that is forked loads the program
        account.begin(path, start)
        began, process = monotonic(), forked(work, url, path)
        process.join()
        longest[start] = monotonic() - began
    for trial in range(MOST_TRIALS):
        start = account.starts[trial % len(account.starts)]
        account.begin(path, start)
        began, process = monotonic(), forked(work, url, path)
        process.join(None if by_itself else rng.uniform(0, longest[start]))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            longest[start] = min(longest[start], monotonic() - began)  # the machine was busier when it was measured
            continue
        count += 1
        wrong += account.wrong_after(path)
        if count == kills:
            return wrong
    raise AssertionError(f"only {count} were killed before their end")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("work", [syncing, searching])
def test_a_server_killed_at_any_moment_leaves_a_store_that_the_next_completes(
    tmp_path: Path, work: Work, part: int
) -> None:
    with an_account(tmp_path, older=False) as account:
        assert killed(account, work, random.Random(f"{work.__name__} {part}")) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_server_killed_while_it_migrates_leaves_a_store_that_the_next_completes(tmp_path: Path, part: int) -> None:
    with an_account(tmp_path, older=True) as account:
        assert killed(account, syncing, random.Random(f"migrating {part}")) == []


def test_a_server_killed_between_two_statements_leaves_no_call_in_part(tmp_path: Path) -> None:
    with an_account(tmp_path, older=False) as account:
        assert killed(account, dying_while_saving, random.Random(1), kills=2, by_itself=True) == []


@pytest.mark.parametrize(("work", "older"), [(saving_in_pieces, False), (migrating_in_pieces, True)])
def test_the_check_reports_what_is_saved_in_pieces(tmp_path: Path, work: Work, older: bool) -> None:
    with an_account(tmp_path, older=older) as account:
        assert killed(account, work, random.Random(1), kills=10, by_itself=work is saving_in_pieces)


def test_the_check_reports_a_store_that_is_damaged(tmp_path: Path) -> None:
    with an_account(tmp_path, older=False) as account:
        path = account.whole("damaged.sqlite")
        content = bytearray(path.read_bytes())
        content[5 * 4096 : 6 * 4096] = b"\x5a" * 4096
        path.write_bytes(content)
        assert account.wrong_after(path)
