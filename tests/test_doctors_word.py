"""What `formant-mcp doctor` says of a place is what the server does there: it uses it, or refuses it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from formant_mcp.audio import WAV
from formant_mcp.errors import StoreError
from formant_mcp.providers.base import Recording
from formant_mcp.recordings import RecordingsFolder
from formant_mcp.settings import Settings
from formant_mcp.store import AccountKey, Store
from tests import command
from tests.server_harness import KEY
from tests.store.files import never
from tests.test_doctor import is_wrong, line

pytestmark = [pytest.mark.file_store, pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")]

ADDRESS = "http://127.0.0.1:9"
NOBODY = 65534
Make = Callable[[Path], None]


def with_mode(bits: int) -> Make:
    def make(folder: Path) -> None:
        folder.mkdir()
        folder.chmod(bits)

    return make


def missing(_: Path) -> None:
    pass


def link(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir()
    folder.symlink_to(folder.with_name("elsewhere"))


def dangling_link(folder: Path) -> None:
    folder.symlink_to(folder.with_name("nowhere"))


def file(folder: Path) -> None:
    folder.write_text("a file")


def of_another(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)


USED: dict[str, Make] = {
    **{oct(bits): with_mode(bits) for bits in (0o700, 0o755, 0o775, 0o2775, 0o1777)},
    "missing": missing,
}
REFUSED: dict[str, Make] = {
    **{oct(bits): with_mode(bits) for bits in (0o777, 0o702, 0o2777)},
    **{make.__name__: make for make in (link, dangling_link, file, of_another)},
}
PLACES = USED | REFUSED


def is_refused(work: Coroutine[None, None, object]) -> bool:
    try:
        asyncio.run(work)
    except StoreError:
        return True
    return False


async def open_store(path: Path) -> None:
    settings = Settings.model_validate({"base_url": ADDRESS})
    await (await Store.open(path, AccountKey(settings.service(), settings.account(KEY)), never)).close()


async def save_recording(folder: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"RIFF"

    await RecordingsFolder(folder).save("call-1", Recording(WAV, chunks()))


def doctor(tmp_path: Path, **variables: str) -> command.Done:
    given = {"FORMANT_API_KEY": "", "FORMANT_BASE_URL": ADDRESS}
    return command.run(tmp_path, "doctor", **given | variables)


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_is_wrong_for_the_store_exactly_where_the_server_refuses_it(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "data"
    PLACES[place](folder)
    path = folder / "store.sqlite"
    before = is_wrong(doctor(tmp_path, FORMANT_STORE=str(path)), "store")
    assert list(tmp_path.rglob("store.sqlite")) == []
    assert is_refused(open_store(path)) is (place in REFUSED)
    after = doctor(tmp_path, FORMANT_STORE=str(path))
    assert [before, is_wrong(after, "store")] == [place in REFUSED] * 2
    assert not is_wrong(after, "privacy")
    assert "FORMANT_STORE" in line(after, "store") or place not in REFUSED


@pytest.mark.parametrize("setting", ["recordings", "exports"])
@pytest.mark.parametrize("place", PLACES)
def test_a_folder_is_wrong_for_files_exactly_where_the_server_refuses_it(
    tmp_path: Path, place: str, setting: str
) -> None:
    folder = tmp_path / "folder"
    PLACES[place](folder)
    done = doctor(tmp_path, **{f"FORMANT_{setting.upper()}_DIR": str(folder)})
    assert is_wrong(done, setting) is (place in REFUSED)
    assert is_refused(save_recording(folder)) is (place in REFUSED)
    assert f"FORMANT_{setting.upper()}_DIR" in line(done, setting) or place not in REFUSED


@pytest.mark.parametrize(
    ("bits", "words"),
    [(0o600, ""), (0o400, ""), (0o640, "read"), (0o644, "read"), (0o620, "written to"), (0o666, "written to")],
)
def test_a_key_that_others_may_read_or_replace_is_wrong_and_used_all_the_same(
    tmp_path: Path, bits: int, words: str
) -> None:
    key = tmp_path / "key"
    key.write_text("a-key")
    key.chmod(bits)
    done = doctor(tmp_path, FORMANT_API_KEY_FILE=str(key))
    assert is_wrong(done, "key") is bool(words)
    assert (words in line(done, "key") and f"Run `chmod 600 {key}`." in line(done, "key")) or not words
    assert is_wrong(done, "address")  # which is only called with a key
    assert not is_wrong(doctor(tmp_path, FORMANT_API_KEY="a-key", FORMANT_API_KEY_FILE=str(key)), "key")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("make", [link, dangling_link, of_another, with_mode(0o700)])
def test_what_is_in_the_place_of_a_store_or_journal_and_not_ours_is_wrong(
    tmp_path: Path, suffix: str, make: Make
) -> None:
    path = tmp_path / "data" / "store.sqlite"
    asyncio.run(open_store(path))
    if not suffix:
        path.unlink()
    make(path.with_name(path.name + suffix))
    assert is_wrong(doctor(tmp_path, FORMANT_STORE=str(path)), "store")
    assert is_refused(open_store(path))
