"""`save_recording`, asked as an assistant asks."""

import asyncio
import struct
from datetime import timedelta
from pathlib import Path

import pytest

from tests.calls import conversation, conversation_id
from tests.serving import NOW, Account, Answer
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
CALL = conversation_id(1)


def wav(*stretches: tuple[float, int]) -> bytes:
    """8,000 samples a second of one channel of 16 bits: so many seconds at such a level."""
    samples = b"".join(struct.pack("<h", level) * int(8000 * seconds) for seconds, level in stretches)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


RECORDING = wav((1, 9000), (0.5, 0), (1, 9000), (1.5, 0), (2, 9000))


def saved(answer: Answer) -> bytes:
    """What is in the file."""
    return Path(str(answer.structure["path"])).read_bytes()


@pytest.fixture
def account(account: Account) -> Account:
    """A call with a recording, and one without."""
    account.api.add(conversation(1, NOW - timedelta(days=2)))
    account.api.add(conversation(2, NOW - timedelta(days=2)))
    account.api.recordings[CALL] = RECORDING
    return account


async def test_it_says_where_the_file_is_and_what_its_sound_tells(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        answer = await assistant.ask("save_recording", conversation_id=CALL)
        again = await assistant.ask("save_recording", conversation_id=CALL[:-2])
    assert_same_answer(SNAPSHOTS / "recording.txt", answer, account.folder)
    assert saved(answer) == RECORDING
    assert "already there: " in again.text
    assert again.structure == answer.structure


async def test_the_first_question_of_all_can_be_for_a_recording(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=CALL)
        by_beginning = await assistant.ask("save_recording", conversation_id="e36853de-9cbb-441e-ad75-000000000001")
    assert answer.text.startswith("1 of 1 conversations: its recording; complete as of 2026-11-21 10:42 +05:30.")
    assert answer.structure["path"] == by_beginning.structure["path"]


async def test_what_is_no_wav_is_saved_without_figures(account: Account) -> None:
    account.api.recordings[CALL] = b"RIFF but cut off"
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert set(answer.structure) == {"coverage", "path", "bytes"}
    assert "no figures: not a WAV file that can be read" in answer.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (conversation_id(2), "is not available yet, or there is none. Ask again some minutes after the call's end"),
        (
            conversation_id(3),
            f"No conversation {conversation_id(3)} in this account. list_conversations gives the ids.",
        ),
        ("e36853de", f"Several conversations begin so: {CALL}, {conversation_id(2)}. Give more of the id."),
        ("../../etc/passwd", "No conversation ../../etc/passwd in this account."),
        ("..", "conversation_id is not an id"),
    ],
)
async def test_what_cannot_be_saved_is_said(account: Account, asked: str, said: str) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        assert said in await assistant.refused("save_recording", conversation_id=asked)
    assert not list(account.folder.rglob("*.wav"))


async def test_a_recording_that_takes_longer_than_the_call_goes_on_coming(account: Account) -> None:
    async with account.connect(call_seconds=0.5) as assistant:
        await assistant.ask("list_conversations")
        account.api.gate.shut()
        error = await assistant.refused("save_recording", conversation_id=CALL)
        assert error == "The recording is still being received; nothing is lost. Ask again in a moment."
        account.api.gate.open()
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert answer.structure["bytes"] == len(RECORDING)
    assert sum(request.path.endswith("/recording") for request in account.api.requests) == 1


async def test_a_folder_that_cannot_be_written_to_is_said(account: Account) -> None:
    (account.folder / "recordings").write_text("a file is in the way")
    async with account.connect() as assistant:
        error = await assistant.refused("save_recording", conversation_id=CALL)
        await assistant.ask("list_conversations")
    assert "something on that path is a file, not a folder" in error
    assert "FORMANT_RECORDINGS_DIR" in error


async def test_two_at_once_write_one_file(account: Account) -> None:
    async with account.connect() as assistant:
        asked = [assistant.ask("save_recording", conversation_id=CALL) for _ in range(2)]
        first, second = await asyncio.gather(*asked)
    assert first.structure == second.structure
    assert len(list((account.folder / "recordings").iterdir())) == 1
