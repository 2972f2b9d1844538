"""`save_recording`: the audio on disk, and what its header and level tell."""

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.errors import RequestTimedOut
from formant_mcp.query.arguments import Arguments, Text
from formant_mcp.query.gather import Call, Coverage
from formant_mcp.query.transcripts import find, find_id
from formant_mcp.recordings import SavedRecording
from formant_mcp.source import Recording
from formant_mcp.sync.lists import ListNeed
from formant_mcp.tools.answers import SavedAnswer, Silence, coverage_answer
from formant_mcp.tools.text import clock, head
from formant_mcp.tools.tool import Reply, Tool


class SaveArguments(Arguments):
    """Whose recording."""

    conversation_id: Text = Field(min_length=1, description="Whole, or a unique beginning of at least 6 characters.")


async def _run(app: App, arguments: SaveArguments, call: Call) -> Reply:
    asked = arguments.conversation_id
    conversation_id = find_id(app.gathering, asked) or await find(app.gathering, call, asked)

    async def save(recording: Recording) -> SavedRecording:
        return await app.recordings.save(conversation_id, recording)

    saved = await app.gathering.sync.bring_recording(conversation_id, save, call.seconds_left)
    if saved is None:
        raise RequestTimedOut("The recording is still being received; nothing is lost.", "Ask again in a moment.")
    knowledge = app.gathering.sync.knowledge(ListNeed(), call.asked_at)
    coverage = Coverage(matched=1, known=knowledge.known, total=knowledge.total, complete=True, as_of=call.asked_at)
    structure = SavedAnswer(coverage=coverage_answer(coverage, app.zone), path=str(saved.path), bytes=saved.bytes)
    figures = saved.figures
    if figures:
        structure.seconds = round(figures.seconds, 3)
        structure.channels = figures.channels
        structure.sample_rate = figures.sample_rate
        structure.silence_share = round(figures.silence_share, 4)
        if figures.longest_silence_from_seconds is not None and figures.longest_silence_to_seconds is not None:
            structure.longest_silence = Silence(
                from_seconds=round(figures.longest_silence_from_seconds, 2),
                to_seconds=round(figures.longest_silence_to_seconds, 2),
            )
    return Reply(
        "\n".join([*head(coverage, app.zone, what="conversations: its recording"), *_lines(structure, saved)]),
        structure,
    )


def _lines(answer: SavedAnswer, saved: SavedRecording) -> list[str]:
    lines = [f"{'already there' if saved.existed else 'saved'}: {answer.path} ({answer.bytes:,} bytes)"]
    if answer.seconds is None:
        return [*lines, "no figures: not a WAV file that can be read"]
    lines.append(
        f"{answer.seconds:g} s · {answer.channels} channel(s) · {answer.sample_rate} Hz"
        f" · silence {100 * (answer.silence_share or 0):.1f} %"
    )
    silence = answer.longest_silence
    if silence:
        lines.append(
            f"longest silence {silence.to_seconds - silence.from_seconds:.2f} s,"
            f" {clock(silence.from_seconds)}–{clock(silence.to_seconds)}"
            f" ({silence.from_seconds:g}–{silence.to_seconds:g} s)"
        )
    return lines


SAVE_RECORDING = Tool(
    name="save_recording",
    title="Save a recording",
    description=(
        "Saves a call's recording as a file below the recordings folder and tells path, size, length, channels,"
        " sample rate, share of silence and the longest silence. Nobody listened: say nothing of tone or emotion."
    ),
    arguments=SaveArguments,
    answer=SavedAnswer,
    run=_run,
    is_read_only=False,
)
