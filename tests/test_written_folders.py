"""The folders of recordings and exports: private under every umask, and refused where others could replace files."""

import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from formant_mcp.audio import WAV
from formant_mcp.errors import StoreError
from formant_mcp.exports import ExportsFolder, Table
from formant_mcp.providers.base import Recording
from formant_mcp.queries.export import ExportedCall
from formant_mcp.recordings import RecordingsFolder

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")]

Save = Callable[[Path], Awaitable[Path]]


async def chunks() -> AsyncIterator[bytes]:
    yield b"RIFF"


async def pages() -> AsyncIterator[Sequence[ExportedCall]]:
    yield []


async def save_recording(folder: Path) -> Path:
    return (await RecordingsFolder(folder).save("call-1", Recording(WAV, chunks()))).path


async def save_export(folder: Path) -> Path:
    table = Table("csv", frozenset(), (), ZoneInfo("UTC"))
    return (await ExportsFolder(folder).save(table, pages(), "calls")).path


@pytest.fixture(params=[save_recording, save_export])
def save(request: pytest.FixtureRequest) -> Save:
    """Saves a file in a folder."""
    return request.param


@pytest.fixture(params=[0, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Generator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
async def test_every_folder_and_file_is_private_under_every_umask(tmp_path: Path, save: Save) -> None:
    folder = tmp_path / "one" / "two"
    path = await save(folder)
    assert [mode(file) for file in (folder.parent, folder, path)] == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("exists", [True, False])
async def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path, save: Save, exists: bool) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    if exists:
        outside.mkdir()
    folder.symlink_to(outside)
    with pytest.raises(StoreError, match="is a symbolic link") as refused:
        await save(folder)
    assert "_DIR to another folder" in refused.value.hint
    assert set(tmp_path.rglob("*")) == {folder, *([outside] if exists else [])}


async def test_links_above_the_folder_are_the_users_own(tmp_path: Path, save: Save) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    assert (await save(tmp_path / "home" / "folder")).is_file()


@pytest.mark.parametrize(("bits", "accepted"), [(0o777, False), (0o1777, True), (0o755, True)], ids=str)
async def test_a_folder_that_everybody_may_write_to_is_refused(
    tmp_path: Path, save: Save, bits: int, accepted: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(bits)
    if accepted:
        assert mode(await save(folder)) == 0o600
    else:
        with pytest.raises(StoreError, match="Everybody may write") as refused:
            await save(folder)
        assert "chmod o-w" in refused.value.hint
        assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives folders away")
async def test_a_folder_of_another_user_is_refused(tmp_path: Path, save: Save) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(StoreError, match="belongs to another user"):
        await save(folder)
    assert list(folder.iterdir()) == []
