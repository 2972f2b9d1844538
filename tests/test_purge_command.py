"""`formant-mcp purge`: what it says, what it deletes, and what it never touches."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from formant_mcp.app import utc_now
from formant_mcp.members import Member
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from tests import command
from tests.calls import many
from tests.command import Done
from tests.fake_formant import FakeFormant
from tests.server_harness import KEY
from tests.stdio_process import MOST_SECONDS, calling, said, started
from tests.store.files import call_saying, never
from tests.store.oracle import NOW

pytestmark = pytest.mark.file_store

SECRET = "marmalade"
Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `formant-mcp purge` with these arguments; there is no network, and the address answers nobody."""

    def run_command(*arguments: str, **others: str) -> Done:
        given = {"FORMANT_API_KEY": KEY, "FORMANT_STORE": "", "FORMANT_BASE_URL": "http://127.0.0.1:9"}
        return command.run(tmp_path, "purge", *arguments, **given | others)

    return run_command


def fill(folder: Path, key: str = KEY, **settings: str) -> Path:
    """A store of that key, with calls, words and a member; beside it recordings of two of its calls."""
    given = Settings.model_validate({"base_url": "http://127.0.0.1:9"} | settings)
    path = folder / f"{given.account(key)}.sqlite"

    async def write() -> None:
        store = await Store.open(path, AccountKey(given.service(), given.account(key)), never)
        await store.write.save([call_saying(number, f"{SECRET} {number}") for number in range(3)], NOW)
        await store.members.add(Member("anna", frozenset()), None, NOW)
        await store.close()

    asyncio.run(write())
    return path


def save_recordings(folder: Path) -> list[Path]:
    """Recordings of two stored calls, then one of a call that is not stored, and a file of somebody else."""
    folder.mkdir(exist_ok=True)
    first, second, ninth = (
        f"{name}-{sha256(name.encode()).hexdigest()[:16]}" for name in ("call-1", "call-2", "call-9")
    )
    names = [f"{first}.wav", f"{first}-2.wav", f"{second}.mp3", f"{ninth}.wav", "notes.txt"]
    for name in names:
        (folder / name).write_bytes(b"RIFF")
    return [folder / name for name in names]


def test_everything_of_the_account_is_deleted_and_nothing_else(run: Run, data: Path, tmp_path: Path) -> None:
    own, other = fill(data), fill(data, key="another-key")
    damaged = own.with_name(f"{own.name}.damaged-20261121T101112131415")
    damaged.write_text(SECRET)
    *recordings, of_other, notes = save_recordings(tmp_path / "recordings")
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "calls.csv").write_text("conversation_id")
    done = run("--yes")
    assert (done.status, done.out) == (0, "")
    for words in (
        "3 conversations (3 with their words), 1 member's token",
        "recordings of its calls: 3 files, 12 bytes",
    ):
        assert words in done.error
    assert "damaged copies of it: 1 file, 9 bytes" in done.error
    assert f"Not deleted: 1 export in {tmp_path / 'exports'}" in done.error
    assert SECRET not in done.error
    assert KEY not in done.error
    assert not any(path.exists() for path in (own, damaged, *recordings))
    assert other.exists()
    assert of_other.exists()
    assert notes.exists()
    assert run("--yes").error.startswith("Nothing is stored for this key.")


def test_a_link_in_the_stores_place_is_named_and_nothing_is_deleted(run: Run, data: Path, tmp_path: Path) -> None:
    store = fill(data)
    target = store.rename(tmp_path / "elsewhere.sqlite")
    store.symlink_to(target)
    recordings = save_recordings(tmp_path / "recordings")
    done = run("--yes")
    assert done.status == 1
    assert "is a symbolic link, which is not followed, so it was left as it is. Delete it yourself." in done.error
    assert SECRET.encode() in target.read_bytes()
    assert all(path.exists() for path in recordings)


def test_the_keys_own_store_is_deleted_though_its_header_is_damaged(run: Run, data: Path) -> None:
    store = fill(data)
    store.write_bytes(bytes(16) + store.read_bytes()[16:])
    assert run("--yes").status == 0
    assert not store.exists()


def test_without_a_terminal_it_must_be_said_on_the_command_line(run: Run, data: Path) -> None:
    store = fill(data)
    refused = run()
    assert (refused.status, refused.out) == (2, "")
    assert refused.error.endswith(
        "Nothing was deleted: there is no terminal to confirm it in. Add --yes to do it without asking.\n"
    )
    assert store.exists()


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_at_a_terminal_only_a_yes_deletes(
    run: Run, data: Path, answer: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    store = fill(data)
    monkeypatch.setattr("sys.stdin", Terminal())
    done = run()
    assert done.status == status
    assert "Delete all of this? [y/N] " in done.error
    assert store.exists() is (status == 1)


def test_other_stores_are_deleted_by_name_or_all_but_the_keys_own(run: Run, data: Path) -> None:
    own, first, second = [fill(data, key=key) for key in (KEY, "first-key", "second-key")]
    orphan = data / f"{'0' * 24}.sqlite.damaged-20261121T101112131415"
    orphan.write_text(SECRET)
    unknown = run("--store", "nobody", "--yes")
    assert unknown.status == 2
    assert first.name in unknown.error
    both = run("--all", "--store", first.stem, "--yes")
    assert (both.status, both.error) == (2, "--all and --store name different stores. Use only one of them.\n")
    assert run("--store", first.stem, "--yes").status == 0
    assert [own.exists(), first.exists(), second.exists()] == [True, False, True]
    assert run("--all", "--yes").status == 0
    assert [own.exists(), second.exists(), orphan.exists()] == [True, False, False]
    assert run("--all", "--yes").error.startswith("There is no other store.")


def test_what_is_no_store_of_this_program_is_never_touched(run: Run, data: Path, tmp_path: Path) -> None:
    fill(data)
    foreign = data / "music.sqlite"
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    text, link = data / "notes.sqlite", data / "link.sqlite"
    text.write_text("SQLite is a database")
    target = fill(tmp_path, key="elsewhere")
    link.symlink_to(target)
    renamed = data / "photos.damaged-yesterday"
    renamed.write_text("mine")
    before = {path: path.read_bytes() for path in (foreign, text, target, renamed)}
    assert run("--all", "--yes").status == 0
    assert run("--yes").status == 0
    assert {path: path.read_bytes() for path in before} == before
    assert link.is_symlink()
    for named in (foreign, text):
        done = run("--yes", FORMANT_STORE=str(named))
        assert done.error.startswith("Nothing is stored for this key.")
    done = run("--yes", FORMANT_STORE=str(target))
    assert done.status == 1
    assert "another account" in done.error
    assert {path: path.read_bytes() for path in before} == before


def test_what_is_not_stored_on_disk_needs_no_purge(run: Run, tmp_path: Path) -> None:
    assert run("--yes", FORMANT_STORE=":memory:").error.startswith("Nothing is stored for this key.")
    demo = run("--demo", "--yes")
    assert (demo.status, "in memory only" in demo.error) == (0, True)
    no_key = run("--yes", FORMANT_API_KEY="")
    assert no_key.status == 1
    assert "--store" in no_key.error


def test_a_running_server_loads_again_what_its_next_question_needs(tmp_path: Path, data: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.conversations = many(30, utc_now(), timedelta(days=2))
        given = {"FORMANT_API_KEY": KEY, "FORMANT_STORE": "", "FORMANT_BASE_URL": api.url}
        with started(tmp_path, seconds=MOST_SECONDS, **given) as server:
            server.shake_hands()
            server.send(calling(2, "list_conversations", limit=1))
            assert "30 of 30 conversations match" in said(server.receive())
            done = command.run_in_child(tmp_path, "purge", "--yes", **given)
            assert done.status == 0, done.error
            (path,) = data.glob("*.sqlite")  # the server has it open
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as store:
                assert store.execute("SELECT count(*) FROM conversations").fetchone() == (0,)
            api.conversations = many(20, utc_now(), timedelta(days=2))
            server.send(calling(3, "list_conversations", limit=1))
            answer = server.receive()
            assert "20 of 20 conversations match; complete" in said(answer), json.dumps(answer)


def test_a_key_that_is_refused_leaves_no_store(tmp_path: Path, data: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.key = "another"
        given = {"FORMANT_API_KEY": KEY, "FORMANT_STORE": "", "FORMANT_BASE_URL": api.url}
        with started(tmp_path, seconds=MOST_SECONDS, **given) as server:
            server.shake_hands()
            server.send(calling(2, "list_conversations"))
            assert "The key was refused." in said(server.receive())
            server.close_stdin()
            assert server.ends() == 0
        assert list(data.iterdir()) == []
        done = command.run(tmp_path, "sync", **given)
        assert (done.status, "refused" in done.error) == (1, True)
        assert list(data.iterdir()) == []
        api.key = KEY
        assert command.run(tmp_path, "sync", **given).status == 0  # an account without calls
        assert len(list(data.iterdir())) == 1
