import os
import re
import resource
import stat
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.audio import KINDS, MP3, WAV, AudioKind
from formant_mcp.errors import NotFoundError, StoreError
from formant_mcp.providers.base import Recording
from formant_mcp.recordings import AudioFigures, RecordingsFolder, SavedRecording
from tests.audio import wav
from tests.examples import examples

ID = "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1"
SILENT_SECOND = wav((0, 1))


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


def save(
    folder: Path, conversation_id: str = ID, content: bytes = SILENT_SECOND, kind: AudioKind = WAV
) -> SavedRecording:
    return anyio.run(RecordingsFolder(folder).save, conversation_id, Recording(kind, chunked(content)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_recording_is_saved_unchanged_and_measured(tmp_path: Path) -> None:
    saved = save(tmp_path)
    assert saved == SavedRecording(
        path=tmp_path / f"{ID}.wav",
        kind=WAV,
        bytes=len(SILENT_SECOND),
        figures=AudioFigures(1.0, 1, 8000, 1.0, 0.0, 1.0),
        existed=False,
    )
    assert saved.path.read_bytes() == SILENT_SECOND
    assert list(tmp_path.iterdir()) == [saved.path]


def test_the_first_save_makes_folder_and_file_private_to_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "recordings"
    RecordingsFolder(folder)
    assert not folder.parent.exists()
    saved = save(folder)
    assert [mode(folder.parent), mode(folder), mode(saved.path)] == [0o700, 0o700, 0o600]


def test_a_relative_folder_gives_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert save(Path("calls")).path == tmp_path / "calls" / f"{ID}.wav"


@pytest.mark.parametrize("ending", sorted(KINDS))
def test_the_file_ending_is_that_of_the_kind(tmp_path: Path, ending: str) -> None:
    saved = save(tmp_path, content=b"not a WAV file", kind=KINDS[ending])
    assert (saved.path.name, saved.figures) == (ID + ending, None)


def test_saved_finds_recordings_by_conversation_id(tmp_path: Path) -> None:
    folder = RecordingsFolder(tmp_path / "calls")
    ids = [ID, "call.7", "CALL", "call-2", "x" * 300, "missing"]

    def saved() -> dict[str, tuple[AudioKind, int]]:
        return anyio.run(folder.saved, ids)

    assert saved() == {}
    for number, call_id in enumerate(ids[:-1]):
        save(tmp_path / "calls", call_id, b"a" * (number + 1), MP3 if number % 2 else WAV)
    save(tmp_path / "calls", "somebody else's", b"a")
    (tmp_path / "calls" / "missing.wav").symlink_to(tmp_path)
    (tmp_path / "calls" / "missing.txt").write_bytes(b"mine")
    assert saved() == {call_id: (MP3 if number % 2 else WAV, number + 1) for number, call_id in enumerate(ids[:-1])}


def test_saved_returns_the_newest_of_several_recordings_of_a_call(tmp_path: Path) -> None:
    for seconds, content in enumerate((b"one", b"three", b"seven..")):
        os.utime(save(tmp_path, content=content).path, (seconds, seconds))
    assert anyio.run(RecordingsFolder(tmp_path).saved, [ID]) == {ID: (WAV, 7)}


def test_the_same_bytes_are_not_written_again(tmp_path: Path) -> None:
    first = save(tmp_path)
    os.utime(first.path, (1, 1))
    again = save(tmp_path)
    assert (again.path, again.existed, again.figures) == (first.path, True, first.figures)
    assert again.path.stat().st_mtime == 1
    assert list(tmp_path.iterdir()) == [first.path]


def test_different_bytes_get_a_numbered_name_and_are_found_again(tmp_path: Path) -> None:
    names = [save(tmp_path, content=content).path.name for content in (b"one", b"two", b"six", b"two")]
    assert names == [f"{ID}.wav", f"{ID}-2.wav", f"{ID}-3.wav", f"{ID}-2.wav"]
    assert [(tmp_path / name).read_bytes() for name in names[:3]] == [b"one", b"two", b"six"]


@pytest.mark.parametrize("target", ["elsewhere", "missing"])
def test_a_link_at_the_files_path_is_neither_followed_nor_replaced(tmp_path: Path, target: str) -> None:
    outside, folder = tmp_path / target, tmp_path / "recordings"
    (tmp_path / "elsewhere").write_bytes(SILENT_SECOND)
    folder.mkdir()
    (folder / f"{ID}.wav").symlink_to(outside)
    saved = save(folder)
    assert (saved.path, saved.existed) == (folder / f"{ID}-2.wav", False)
    assert (folder / f"{ID}.wav").readlink() == outside
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "recordings"]


def test_a_folder_at_the_files_path_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{ID}.wav").mkdir()
    assert save(tmp_path).path.name == f"{ID}-2.wav"


def test_saving_without_hard_links_takes_only_a_free_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    saves = [save(tmp_path, content=content) for content in (b"one", b"two", b"one")]
    assert [saved.existed for saved in saves] == [False, False, True]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        f"{ID}.wav": b"one",
        f"{ID}-2.wav": b"two",
    }


def test_a_recording_that_breaks_off_leaves_no_file_and_raises_its_error(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"RIFF"
        assert [(name[0], name[-5:]) for name in os.listdir(tmp_path)] == [(".", ".part")]
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError, match="gone"):
        anyio.run(RecordingsFolder(tmp_path).save, ID, Recording(WAV, broken()))
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_save_leaves_no_file(tmp_path: Path) -> None:
    async def cancelled() -> bool:
        with anyio.CancelScope() as scope:

            async def chunks() -> AsyncIterator[bytes]:
                yield b"RIFF"
                scope.cancel()
                await checkpoint()

            await RecordingsFolder(tmp_path).save(ID, Recording(WAV, chunks()))
        return scope.cancelled_caught

    assert anyio.run(cancelled)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def files_limited_to(size: int) -> Generator[None, None, None]:
    """Behaves as a full disk: a write succeeds up to a size, in part, and then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_store_error_and_leaves_no_file(tmp_path: Path) -> None:
    with files_limited_to(len(SILENT_SECOND) - 20), pytest.raises(StoreError) as caught:
        save(tmp_path)
    assert str(caught.value) == (
        f"The recording cannot be saved in {tmp_path}: its disk is full."
        " Free some space, or set FORMANT_RECORDINGS_DIR to another folder and restart the server."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_at_the_folders_path_is_a_store_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "recordings").write_bytes(b"mine")
    with pytest.raises(StoreError, match="is a file, not a folder") as caught:
        save(tmp_path / "recordings" / below)
    assert "FORMANT_RECORDINGS_DIR" in caught.value.hint
    assert (tmp_path / "recordings").read_bytes() == b"mine"


def test_a_folder_without_permissions_is_a_store_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("permissions do not apply to this user")
    with pytest.raises(StoreError, match="permission denied"):
        save(tmp_path)


def test_a_plain_id_is_the_file_name_and_any_other_gets_a_hash(tmp_path: Path) -> None:
    ids = ["conv_01jx.a", "../../etc/passwd", "नमस्ते", "CON", "nul.x", "", ".", "..", ".hidden", "call-2", "a" * 200]
    names = [save(tmp_path, conversation_id).path.stem for conversation_id in ids]
    assert [re.sub("-[0-9a-f]{16}$", "-#", name) for name in names] == [
        "conv_01jx.a",
        "_._.._etc_passwd-#",
        "______-#",
        "_CON-#",
        "_nul.x-#",
        "_-#",
        "_-#",
        "_.-#",
        "_hidden-#",
        "call-2-#",
        "a" * 63 + "-#",
    ]


AWKWARD = st.one_of(
    st.text(st.sampled_from("aA.-_2/\\: é\0\ud800")), st.sampled_from(["con", "CON", "com1.x", "x" * 120]), st.text()
)


@settings(max_examples=examples(0.5))  # it waits for the disk
@given(AWKWARD, AWKWARD)
def test_ids_never_share_a_file_or_leave_the_folder(one: str, other: str) -> None:
    with TemporaryDirectory() as place:
        own_name = save(Path(place, "first"), one).path.stem
        folder = Path(place, "recordings")
        ids = {one, other, one.swapcase(), f"{one}-2", own_name}
        saves = [save(folder, call_id, content) for call_id in ids for content in (b"1", b"2")]
        names = [saved.path.name for saved in saves]
        assert len({name.lower() for name in names}) == len(saves) == 2 * len(ids)
        assert not any(saved.existed for saved in saves)
        assert sorted(names) == sorted(path.name for path in folder.iterdir())
        for name in names:
            assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name)
            assert not re.match(r"(con|prn|aux|nul|com\d|lpt\d)\.", name, re.IGNORECASE)
