"""`save_recording`, asked as an assistant asks."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.audio import chunk, riff, sample, wav
from tests.calls import conversation, conversation_id
from tests.server_harness import NOW, Account, Answer, in_both_eras
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
CALL = conversation_id(1)


RECORDING = wav((9000, 1), (0, 0.5), (9000, 1), (0, 1.5), (9000, 2))


def saved(answer: Answer) -> bytes:
    """What is in the file."""
    return Path(str(answer.structure["path"])).read_bytes()


@pytest.fixture
def account(account: Account) -> Account:
    """A call with a recording, and one without."""
    account.api.add(conversation(1, NOW - timedelta(days=2), duration_seconds=6))
    account.api.add(conversation(2, NOW - timedelta(days=2)))
    account.api.recordings[CALL] = RECORDING
    return account


@in_both_eras
async def test_the_answer_has_the_path_and_the_statistics_of_the_audio(account: Account) -> None:
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
    assert answer.text.startswith("Recording of 1 conversation (1 known); complete as of 2026-11-21 10:42 +05:30.")
    assert answer.structure["path"] == by_beginning.structure["path"]


@pytest.mark.parametrize(
    ("content", "ending", "figures", "said"),
    [
        (sample("bare.mp3"), ".mp3", {"seconds": 1.152, "channels": 1, "sample_rate": 8000}, "silence not measured"),
        (sample("adpcm.wav"), ".wav", {"seconds": 1, "channels": 1, "sample_rate": 8000}, "silence not measured"),
        (sample("amr.3gp"), ".3gp", {"seconds": 1}, "1 s · silence not measured: that needs PCM in a WAV file"),
        (sample("amr.amr"), ".amr", {}, "no audio statistics: audio/amr is saved, but not measured"),
        (riff(chunk(b"data", bytes(9))), ".wav", {}, "no audio statistics: not a supported WAV file"),
        (b"\1\2\3\4", ".bin", {}, "no audio statistics: not a supported audio format"),
    ],
)
async def test_what_is_no_pcm_is_saved_with_what_its_form_says(
    account: Account, content: bytes, ending: str, figures: dict[str, float], said: str
) -> None:
    account.api.recordings[CALL] = content
    account.api.conversations = [{**account.api.conversations[1], "duration_seconds": 1}]
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert saved(answer) == content
    assert str(answer.structure["path"]).endswith(f"{CALL}{ending}")
    assert {
        name: value for name, value in answer.structure.items() if name not in ("coverage", "path", "bytes")
    } == figures
    assert said in answer.text
    assert "not a supported WAV file" not in answer.text or ending == ".wav"


@pytest.mark.parametrize(
    ("call_seconds", "note"),
    [
        (420, "The recording is 6 s, the call 420 s: 414 s shorter."),
        (6.7, "The recording is 6 s, the call 6.7 s: 0.7 s shorter."),
        (6.6, None),
        (5, None),
        (0, None),
    ],
)
async def test_a_recording_shorter_than_its_call_says_so(
    account: Account, call_seconds: float, note: str | None
) -> None:
    started = NOW - timedelta(days=2)
    account.api.conversations = [conversation(1, started, duration_seconds=call_seconds, end_timestamp=None)]
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert answer.coverage.get("note") == note
    assert answer.coverage["complete"] is True


async def test_a_compressed_recording_shorter_than_its_call_says_so_too(account: Account) -> None:
    account.api.recordings[CALL] = sample("opus.opus")
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert answer.coverage["note"] == "The recording is 1 s, the call 6 s: 5 s shorter."


async def test_once_a_recording_is_ready_it_has_the_calls_own_name(account: Account) -> None:
    async with account.connect() as assistant:
        for early in (b"", b'{"status": "processing"}', b"<html>", riff(chunk(b"data", b"")), bytes(100)):
            account.api.recordings[CALL] = early
            error = await assistant.refused("save_recording", conversation_id=CALL)
            assert "is not available yet" in error
        account.api.recordings[CALL] = RECORDING
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert Path(str(answer.structure["path"])).name == f"{CALL}.wav"


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("seconds", [None, 0])
async def test_a_call_that_never_connected_is_said_to_have_no_recording(
    account: Account, is_listed: bool, seconds: int | None
) -> None:
    account.api.add(conversation(4, NOW - timedelta(days=2), status="busy", duration_seconds=seconds))
    async with account.connect() as assistant:
        if is_listed:
            await assistant.ask("list_conversations")
        error = await assistant.refused("save_recording", conversation_id=conversation_id(4))
    assert error.startswith(f"The call {conversation_id(4)} never connected (busy), so it has no recording.")


async def test_a_recording_that_is_there_is_saved_whatever_the_call_is_said_to_be(account: Account) -> None:
    account.api.add(conversation(4, NOW - timedelta(days=2), status="busy"))
    account.api.recordings[conversation_id(4)] = RECORDING
    async with account.connect() as assistant:
        answer = await assistant.ask("save_recording", conversation_id=conversation_id(4))
    assert saved(answer) == RECORDING


@pytest.mark.parametrize("status", ["failed", "completed", "something_new"])
async def test_a_call_that_may_have_connected_is_not_said_to_be_without_recording(
    account: Account, status: str
) -> None:
    row = conversation(4, NOW - timedelta(days=2), status=status, duration_seconds=None, end_timestamp=None)
    account.api.add(row, detail={**row, "transcript": [{"role": "agent", "message": "Hello?"}]})
    async with account.connect() as assistant:
        read = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(4)])
        error = await assistant.refused("save_recording", conversation_id=conversation_id(4))
    assert "recording_uri" in read.rows()[0]
    assert f"The recording of {conversation_id(4)} is not available yet, or there is none." in error


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (conversation_id(2), "is not available yet, or there is none. Retry some minutes after the call's end"),
        (
            conversation_id(3),
            f"No conversation {conversation_id(3)} in this account. list_conversations gives the ids.",
        ),
        ("e36853de", f"Ambiguous id prefix: {CALL}, {conversation_id(2)}. Use a longer prefix."),
        ("../../etc/passwd", 'No conversation "../../etc/passwd" in this account.'),
        ("..", "Invalid conversation_id"),
    ],
)
async def test_what_cannot_be_saved_is_said(account: Account, asked: str, said: str) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        assert said in await assistant.refused("save_recording", conversation_id=asked)
    assert not list(account.folder.rglob("*.wav"))


async def test_a_recording_that_takes_longer_than_the_call_goes_on_coming(account: Account) -> None:
    async with account.connect(call_seconds=1) as assistant:
        await assistant.ask("list_conversations")
        account.api.gate.shut()
        error = await assistant.refused("save_recording", conversation_id=CALL)
        assert error == (
            "The recording has not been received in full within this call's time; the server keeps trying."
            " Retry in a moment."
        )
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


async def test_what_was_measured_of_the_audio_is_a_signal_of_its_call(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("save_recording", conversation_id=CALL)
        wanted = ["signals.recording_gap_seconds>=1.5", "signals.recording_silence_share<0.5"]
        answer = await assistant.ask("list_conversations", results=wanted)
        transcript = await assistant.ask("get_transcripts", conversation_ids=[CALL])
    assert CALL in answer.text
    assert "Measured for 1 of 2 calls, those with a recording that was saved" in answer.text
    assert "recording_gap_seconds=1.5, recording_silence_share=0.3333" in transcript.text


async def test_a_recording_is_saved_where_the_details_of_its_call_cannot_be_had(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        account.api.fault(lambda request: request.path.endswith(CALL), 9, 403)
        answer = await assistant.ask("save_recording", conversation_id=CALL)
    assert saved(answer) == RECORDING
