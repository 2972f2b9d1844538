"""A store whose file or journal was damaged anywhere: every question ends in an answer or in a new store, never in the
same error for ever. (A flipped byte within a text is beyond what SQLite notices; none of these seeds has one.)"""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from formant_mcp.store.sqlite import connection
from tests.hardening.damage import DAMAGES, Seen, an_account, questioned, whole_store
from tests.server_harness import KEY

pytestmark = [pytest.mark.hardening, pytest.mark.anyio, pytest.mark.file_store]

SEEDS_OF_A_TEST = 10
KEPT = ("", "-wal")


async def after(damage: str, seeds: range, folder: Path) -> dict[int, Seen]:
    """What assistants learn after each of these damages."""
    account = an_account(folder)
    whole, begun = folder / "whole", account.now
    whole.mkdir()
    name = f"{account.settings({}).account(KEY)}.sqlite"  # as in the data folder, where no other program's file is
    right = await whole_store(account, whole / name)
    seen = dict[int, Seen]()
    for seed in seeds:
        path = folder / str(seed) / name
        path.parent.mkdir()
        for suffix in KEPT:
            shutil.copyfile(whole / f"{name}{suffix}", f"{path}{suffix}")
        if "journal" not in damage:
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        account.now = begun
        DAMAGES[damage](random.Random(f"{damage} {seed}"), path)
        seen[seed] = await questioned(account, path, right)
        shutil.rmtree(path.parent)
    return seen


def unexplained(seen: dict[int, Seen]) -> dict[int, list[str]]:
    """The errors that do not say that a new store was created, and stores that never answered again."""
    found = {seed: [text for text in one.errors if not says_what_was_done(text)] for seed, one in seen.items()}
    for seed, one in seen.items():
        found[seed] += [] if one.is_well else ["never answered again"]
    return {seed: texts for seed, texts in found.items() if texts}


def says_what_was_done(text: str) -> bool:
    return "damaged-… and a new one was created. Retry." in text


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_every_damage_ends_in_answers_or_in_a_new_store(tmp_path: Path, damage: str, part: int) -> None:
    seen = await after(damage, range(part * SEEDS_OF_A_TEST, (part + 1) * SEEDS_OF_A_TEST), tmp_path)
    assert unexplained(seen) == {}
    assert {seed: one.wrong for seed, one in seen.items() if one.wrong} == {}
    print(
        f"{damage}: {sum(bool(one.errors) for one in seen.values())} said so, {sum(map(changed, seen.values()))} silent"
    )


def changed(seen: Seen) -> bool:
    return bool(seen.wrong)


async def test_the_check_reports_errors_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(error: Exception, database: sqlite3.Connection) -> bool:
        return False

    monkeypatch.setattr(connection, "is_damage", never)
    assert unexplained(await after("many bytes", range(2), tmp_path))
