"""Where the store's file lies: what is not ours is never touched, no link is followed, and no place is used where
others could replace the file."""

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from formant_mcp.errors import StoreError
from formant_mcp.filters import Filters
from formant_mcp.store.sqlite.owner import read_owner
from formant_mcp.store.store import read_owners
from tests.examples import some
from tests.store.files import calls, open_store, set_aside, write_store
from tests.store.oracle import NOW

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.file_store,
    pytest.mark.skipif(sys.platform == "win32", reason="no such modes there"),
]

NOBODY = 65534
Snapshot = dict[str, tuple[int, bytes | str]]


@pytest.fixture(params=[0, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Generator[None]:
    """A user whose new files have no mode, the usual one, or one for everybody, unless a program prevents it."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> Snapshot:
    """All that is in a folder: modes, and what is in each file or where each link points."""
    return {
        str(file.relative_to(folder)): (
            file.lstat().st_mode,
            str(file.readlink()) if file.is_symlink() else file.read_bytes() if file.is_file() else "",
        )
        for file in folder.rglob("*")
    }


def text(path: Path) -> None:
    path.write_text("dear diary\n" * 1_000)


def short_text(path: Path) -> None:
    path.write_text("dear diary")


def database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE diary (words TEXT)")
        other.execute("INSERT INTO diary VALUES ('dear diary')")
        other.commit()


def database_with_a_version(path: Path) -> None:
    database(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")


def database_in_wal_mode(path: Path) -> None:
    database(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")


def database_in_use(path: Path) -> None:
    """As another program has it open, with everything in its journal."""
    with closing(sqlite3.connect(path.with_name("original"))) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE diary (words TEXT)")
        other.commit()
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(f"original{suffix}"), f"{path}{suffix}")
    path.with_name("original").unlink()


def damaged_database(path: Path) -> None:
    database(path)
    path.write_bytes(path.read_bytes()[:100] + b"\x5a" * 8_092)


def encrypted_database(path: Path) -> None:
    path.write_bytes(b"\x93\x05\xe1\x77" * 4_096)


def encrypted_after_the_header(path: Path) -> None:
    database(path)
    path.write_bytes(path.read_bytes()[:32] + b"\x93\x05\xe1\x77" * 4_096)


def image_that_begins_with_zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 3_000_000 + b"dear diary")


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    except PermissionError:
        pytest.skip("only root makes devices")


OTHERS = [
    text, short_text, database, database_with_a_version, database_in_wal_mode, database_in_use, damaged_database,
    encrypted_database, encrypted_after_the_header, image_that_begins_with_zeros, folder, pipe, device,
]  # fmt: skip


@pytest.mark.parametrize("make", OTHERS)
async def test_what_is_not_ours_is_refused_and_never_touched(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    for file in path.parent.iterdir():
        file.chmod(0o644)
    before = everything(path.parent)
    assert read_owner(path) is None
    assert read_owners(path.with_name("another.sqlite"), with_others=True) == []
    assert everything(path.parent) == before
    with pytest.raises(StoreError, match=r"was left as it is|is not a file") as refused:
        await open_store(path)
    assert "FORMANT_STORE" in refused.value.hint
    assert everything(path.parent) == before


def nothing(path: Path) -> None:
    path.touch()


def database_without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as empty:
        empty.execute("VACUUM")


@pytest.mark.parametrize("make", [nothing, database_without_tables])
async def test_a_file_with_nothing_in_it_becomes_a_private_store(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    path.chmod(0o644)
    store = await open_store(path)
    await store.write.save(calls(1), NOW)
    await store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert mode(path) == 0o600


@pytest.mark.parametrize("length", some([15, 60, 99, 100, 512, 5_000, -4_096], 3))
async def test_a_store_cut_short_is_set_aside(path: Path, length: int) -> None:
    await write_store(path)
    cut = path.read_bytes()[:length]
    path.write_bytes(cut)
    await (await open_store(path)).close()
    assert [copy.read_bytes() for copy in set_aside(path)] == [cut]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("target", ["store", "text", "missing"])
async def test_a_link_in_the_place_of_a_file_is_refused_and_not_followed(
    tmp_path: Path, path: Path, suffix: str, target: str
) -> None:
    outside = tmp_path / "outside"
    if target == "store":
        await write_store(outside, 1)
    elif target == "text":
        outside.write_text("dear diary")
    if suffix:
        await write_store(path, 1)
    path.parent.mkdir(exist_ok=True)
    path.with_name(path.name + suffix).symlink_to(outside)
    before = everything(tmp_path)
    if not suffix:
        assert read_owner(path) is None
    with pytest.raises(StoreError, match="is a symbolic link") as refused:
        await open_store(path)
    assert "FORMANT_STORE" in refused.value.hint
    assert everything(tmp_path) == before


@pytest.mark.parametrize("exists", [True, False])
async def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path, path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "outside").mkdir()
    path.parent.symlink_to(tmp_path / "outside")
    before = everything(tmp_path)
    with pytest.raises(StoreError, match="is a symbolic link") as refused:
        await open_store(path)
    assert "FORMANT_STORE" in refused.value.hint
    assert everything(tmp_path) == before


async def test_links_above_the_folder_are_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    path = tmp_path / "home" / "data" / "store.sqlite"
    await write_store(path, 3)
    store = await open_store(path)
    assert await store.read.count(Filters()) == 3
    await store.close()


@pytest.mark.parametrize(("bits", "accepted"), [(0o777, False), (0o702, False), (0o1777, True), (0o755, True)], ids=str)
async def test_a_folder_is_refused_where_anybody_may_replace_the_file(path: Path, bits: int, accepted: bool) -> None:
    path.parent.mkdir()
    path.parent.chmod(bits)
    if accepted:
        await write_store(path, 1)
    else:
        with pytest.raises(StoreError, match="Everybody may write") as refused:
            await open_store(path)
        assert "chmod o-w" in refused.value.hint
        assert list(path.parent.iterdir()) == []
    assert mode(path.parent) == bits


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("whose", ["", "store.sqlite", "store.sqlite-journal"])
async def test_what_another_user_has_put_there_is_refused(path: Path, whose: str) -> None:
    await write_store(path, 1)
    theirs = path.parent / whose
    theirs.touch()
    os.chown(theirs, NOBODY, NOBODY)
    before = everything(path.parent)
    with pytest.raises(StoreError, match="belongs to another user"):
        await open_store(path)
    assert everything(path.parent) == before


@pytest.mark.usefixtures("umask")
async def test_every_folder_and_file_that_is_created_is_private_under_every_umask(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "store.sqlite"
    store = await open_store(path)
    await store.write.save(calls(1), NOW)
    modes = {file.name: mode(file) for file in tmp_path.rglob("*")}
    files = ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"]
    assert modes == dict.fromkeys(["one", "two"], 0o700) | dict.fromkeys(files, 0o600)
    await store.close()
