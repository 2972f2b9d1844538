"""A store whose file or journal was damaged anywhere: every question ends in an answer or in a new store, never in the
same error for ever. (A flipped byte may leave another value, which nobody can tell from a right one.)"""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from formant_mcp.store.sqlite import connection
from formant_mcp.store.sqlite.inspection import check_integrity, inspect_file
from formant_mcp.store.sqlite.owner import read_owner
from formant_mcp.store.sqlite.removal import remove_if_free
from tests.hardening.damage import DAMAGES, Seen, an_account, questioned, whole_store
from tests.server_harness import KEY, Account

pytestmark = [pytest.mark.hardening, pytest.mark.anyio, pytest.mark.file_store]

SEEDS_OF_A_TEST = 10
KEPT = ("", "-wal")
MAY_LEAVE_ANOTHER_VALUE = ("a byte", "bytes")


async def after(damage: str, seeds: range, folder: Path) -> dict[int, Seen]:
    """What assistants learn after each of these damages."""
    account = an_account(folder)
    begun, seen = account.now, dict[int, Seen]()
    right = await whole_store(account, whole(account, folder))
    for seed, path in damaged(whole(account, folder), damage, seeds):
        account.now = begun
        seen[seed] = await questioned(account, path, right)
    return seen


def whole(account: Account, folder: Path) -> Path:
    """Where the store is without damage, named as in the data folder, where no other program's file is."""
    (folder / "whole").mkdir(exist_ok=True)
    return folder / "whole" / f"{account.settings({}).account(KEY)}.sqlite"


def damaged(whole: Path, damage: str, seeds: range) -> Iterator[tuple[int, Path]]:
    """A copy of the store after each of these damages."""
    for seed in seeds:
        path = whole.parent.parent / str(seed) / whole.name
        path.parent.mkdir()
        for suffix in KEPT:
            shutil.copyfile(f"{whole}{suffix}", f"{path}{suffix}")
        if "journal" not in damage:
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        DAMAGES[damage](random.Random(f"{damage} {seed}"), path)
        yield seed, path
        shutil.rmtree(path.parent)


def unexplained(seen: dict[int, Seen]) -> dict[int, list[str]]:
    """The errors that do not say that a new store was created, and stores that never answered again."""
    found = dict[int, list[str]]()
    for seed, one in seen.items():
        errors = [text for text in one.errors if not text.startswith("not in the text")]  # another value, shown escaped
        found[seed] = [text for text in errors if not says_what_was_done(text)]
        found[seed] += [] if one.is_well or errors != one.errors else ["never answered again"]
    return {seed: texts for seed, texts in found.items() if texts}


def says_what_was_done(text: str) -> bool:
    return "damaged-… and a new one was created. Retry." in text


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_every_damage_ends_in_answers_or_in_a_new_store(tmp_path: Path, damage: str, part: int) -> None:
    seen = await after(damage, range(part * SEEDS_OF_A_TEST, (part + 1) * SEEDS_OF_A_TEST), tmp_path)
    assert unexplained(seen) == {}
    wrong = {seed: one.wrong for seed, one in seen.items() if one.wrong}
    assert damage in MAY_LEAVE_ANOTHER_VALUE or wrong == {}
    print(f"{damage}: {sum(bool(one.errors) for one in seen.values())} said so, {len(wrong)} silent")


@pytest.mark.parametrize("damage", DAMAGES)
async def test_whoever_lists_the_stores_learns_of_the_damage_and_may_delete_them(tmp_path: Path, damage: str) -> None:
    account = an_account(tmp_path)
    await whole_store(account, whole(account, tmp_path))
    problems = Counter[str]()
    for _, path in damaged(whole(account, tmp_path), damage, range(40)):
        facts = inspect_file(path)
        problems[(facts and facts.problem) or check_integrity(path, 60)] += 1
        read_owner(path)
        assert remove_if_free(path) or damage in ("header", "first page")  # it has a byte by which nobody may write
    assert set(problems) <= {"", "damaged", "cannot be read", "written by a newer version of formant-mcp"}
    assert damage not in ("many bytes", "most pages") or problems["damaged"] > 30


async def test_the_check_reports_errors_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(error: Exception, database: sqlite3.Connection) -> bool:
        return False

    monkeypatch.setattr(connection, "is_damage", never)
    assert unexplained(await after("many bytes", range(2), tmp_path))
