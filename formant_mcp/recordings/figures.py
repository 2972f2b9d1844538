"""What a recording says about a call without anybody listening, as far as its form tells it cheaply."""

from pathlib import Path

from formant_mcp.audio import KINDS, MP3, WAV, AudioKind
from formant_mcp.recordings.wav import SAMPLE_RATES, AudioFigures, measure_wav

_MOST_SECONDS = 7 * 86_400
_MOST_CHANNELS = 64
_READ_BY_TINYTAG = frozenset(
    [
        WAV,
        MP3,
        *(
            KINDS[ending]
            for ending in (".mp2", ".m4a", ".3gp", ".flac", ".ogg", ".opus", ".oga", ".spx", ".aiff", ".wma")
        ),
    ]
)


def measure(path: Path, kind: AudioKind) -> AudioFigures | None:
    """The figures of the file at `path`; None where its form is not known here, or does not say its length.

    Raises:
        OSError: the file cannot be opened or read. No content of a file raises anything.
    """
    figures = measure_wav(path) if kind == WAV else None
    return figures or (_tagged(path) if kind in _READ_BY_TINYTAG else None)


def _tagged(path: Path) -> AudioFigures | None:
    from tinytag import TinyTag, TinyTagException  # only where it is needed: start-up is measured

    with path.open("rb") as file:
        try:
            tag = TinyTag.get(file_obj=file, tags=False)
        except TinyTagException:
            return None
    if not tag.duration or not 0 < tag.duration <= _MOST_SECONDS:
        return None
    channels = tag.channels if tag.channels and tag.channels <= _MOST_CHANNELS else None
    return AudioFigures(tag.duration, channels, tag.samplerate if tag.samplerate in SAMPLE_RATES else None)
