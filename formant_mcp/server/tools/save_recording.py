"""`save_recording`: saves a call's audio as a file, and measures it."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from formant_mcp.app import App
from formant_mcp.audio import UNKNOWN, WAV, AudioKind
from formant_mcp.providers.base import Recording
from formant_mcp.queries.arguments import Arguments, ConversationId
from formant_mcp.queries.loader import RequestContext
from formant_mcp.recordings import AudioFigures, SavedRecording
from formant_mcp.server.tools.schemas import SavedAnswer, Silence, coverage_answer
from formant_mcp.server.tools.text import LINK_NOTE, coverage_lines, format_mmss, format_seconds
from formant_mcp.server.tools.tool import Reply, Tool
from formant_mcp.sizes import counted

_LEAST_SHARE = 0.9  # of its call; a shorter recording is reported
_NOT_WAV = "that needs PCM in a WAV file"


class SaveArguments(Arguments):
    """Which recording."""

    conversation_id: ConversationId = Field(
        min_length=1, description="Whole, or a unique beginning of at least 6 characters."
    )


async def _run(app: App, arguments: SaveArguments, context: RequestContext) -> Reply:
    conversation_id = await app.account.find_id(context, arguments.conversation_id)

    async def save(recording: Recording) -> SavedRecording:
        return await app.recordings.save(conversation_id, recording)

    saved = await app.account.recording(context, conversation_id, save)
    figures = saved.figures
    if figures and figures.silence_share is not None:
        share = round(figures.silence_share, 4)
        await app.account.keep_figures(context, conversation_id, _longest_silence(figures), share)
    notes = [_shortfall(saved.figures, await app.account.duration_seconds(conversation_id))]
    path = str(saved.path)
    if app.publish:
        path = app.publish(saved.path)
        notes.append(LINK_NOTE)
    note = " ".join(filter(None, notes))
    coverage = replace(await app.account.recording_coverage(context), note=note)
    structured = SavedAnswer(
        coverage=coverage_answer(coverage, app.zone), path=path, bytes=saved.bytes, **_figures(saved.figures)
    )
    lines = coverage_lines(coverage, app.zone, what="Recording of 1 conversation")
    return Reply("\n".join([*lines, *_lines(structured, saved)]), structured)


def _shortfall(figures: AudioFigures | None, call_seconds: float | None) -> str:
    """A note if the recording is shorter than its call by more than a tenth, else ''."""
    if figures is None or not call_seconds or figures.seconds >= _LEAST_SHARE * call_seconds:
        return ""
    own, call, missing = map(format_seconds, (figures.seconds, call_seconds, call_seconds - figures.seconds))
    return f"The recording is {own} s, the call {call} s: {missing} s shorter."


def _longest_silence(figures: AudioFigures) -> float:
    """Seconds; 0 if there is no silence."""
    since, to = figures.longest_silence_from_seconds, figures.longest_silence_to_seconds
    return 0.0 if since is None or to is None else round(to - since, 2)


def _figures(figures: AudioFigures | None) -> dict[str, Any]:
    """The figures as the answer has them."""
    if figures is None:
        return {}
    since, to = figures.longest_silence_from_seconds, figures.longest_silence_to_seconds
    return {
        "seconds": round(figures.seconds, 3),
        "channels": figures.channels,
        "sample_rate": figures.sample_rate,
        "silence_share": None if figures.silence_share is None else round(figures.silence_share, 4),
        "longest_silence": None
        if since is None or to is None
        else Silence(from_seconds=round(since, 2), to_seconds=round(to, 2)),
    }


def _lines(answer: SavedAnswer, saved: SavedRecording) -> list[str]:
    lines = [f"{'already there' if saved.existed else 'saved'}: {answer.path} ({answer.bytes:,} bytes)"]
    if answer.seconds is None:
        return [*lines, _without_figures(saved.kind)]
    parts = [
        f"{answer.seconds:g} s",
        counted(answer.channels, "channel") if answer.channels else "",
        f"{answer.sample_rate} Hz" if answer.sample_rate else "",
        f"silence not measured: {_NOT_WAV}"
        if answer.silence_share is None
        else f"silence {100 * answer.silence_share:.1f} %",
    ]
    lines.append(" · ".join(part for part in parts if part))
    silence = answer.longest_silence
    if silence:
        lines.append(
            f"longest silence {silence.to_seconds - silence.from_seconds:.2f} s,"
            f" {format_mmss(silence.from_seconds)}–{format_mmss(silence.to_seconds)}"
            f" ({silence.from_seconds:g}–{silence.to_seconds:g} s)"
        )
    return lines


def _without_figures(kind: AudioKind) -> str:
    if kind == WAV:
        return "no audio statistics: not a supported WAV file"
    if kind == UNKNOWN:
        return "no audio statistics: not a supported audio format"
    return f"no audio statistics: {kind.media_type} is saved, but not measured"


SAVE_RECORDING = Tool(
    name="save_recording",
    title="Save a recording",
    description=(
        "Saves a call's recording as a file in the recordings folder and reports path, size, length, channels,"
        " sample rate and, of a WAV file, share of silence and the longest silence. The audio is measured, not"
        " listened to: do not describe tone or emotion."
    ),
    arguments=SaveArguments,
    answer=SavedAnswer,
    run=_run,
    is_read_only=False,
)
