"""What a recording says about a call without anybody listening, as far as its form tells it cheaply."""

import os
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from formant_mcp.audio import KINDS, MP3, WAV, AudioKind, adts_frame, mpeg_frame, tag_bytes
from formant_mcp.recordings.wav import SAMPLE_RATES, AudioFigures, measure_wav

_MOST_SECONDS = 7 * 86_400
_MOST_CHANNELS = 64
_MOST_READS = 200_000  # an hour of any form takes a tenth of them; a hostile file would take minutes
_LEAST_UNDERSTOOD = 0.95  # of a file of frames: what was cut or damaged further is not measured
_BUFFER_BYTES = 1 << 16
_LENGTH_HEADERS = (b"Xing", b"Info", b"VBRI")  # in a first frame, which then is silent and not counted
_END_TAGS = (b"TAG", b"APETAGEX")
_AAC = KINDS[".aac"]
_FRAMED = frozenset([MP3, KINDS[".mp2"], _AAC])
_READ_BY_TINYTAG = frozenset(
    [WAV, *(KINDS[ending] for ending in (".m4a", ".3gp", ".flac", ".ogg", ".opus", ".oga", ".spx", ".aiff", ".wma"))]
)


def measure(path: Path, kind: AudioKind) -> AudioFigures | None:
    """The figures of the file at `path`; None where its form is not known here, or does not say its length.

    Raises:
        OSError: the file cannot be opened or read. No content of a file raises anything.
    """
    if kind in _FRAMED:
        return _measure_frames(path, kind)
    figures = measure_wav(path) if kind == WAV else None
    return figures or (_read_by_tinytag(path) if kind in _READ_BY_TINYTAG else None)


def _measure_frames(path: Path, kind: AudioKind) -> AudioFigures | None:
    """Goes from frame to frame: a header with the length may be missing, and an estimate may be far from it."""
    frame_of = adts_frame if kind == _AAC else mpeg_frame
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        place = 0
        while tag := tag_bytes(file.read(10)):
            place = file.seek(place + tag)
        begins, seconds, first = place, 0.0, None
        while frame := frame_of(beginning := _at(file, place)):
            if first or not any(mark in beginning for mark in _LENGTH_HEADERS):
                seconds += frame.samples / frame.sample_rate
            first = first or frame
            place += frame.size
        audio_bytes = os.fstat(file.fileno()).st_size - begins
    is_whole = beginning.startswith(_END_TAGS) or place - begins >= _LEAST_UNDERSTOOD * audio_bytes
    return AudioFigures(seconds, first.channels or None, first.sample_rate) if first and is_whole else None


def _at(file: BinaryIO, place: int) -> bytes:
    """The bytes of a frame up to where a header with the length is."""
    file.seek(place)
    return file.read(48)


class _FewReads(BufferedReader):
    """A file that ends after so many reads, so that no damaged one is searched without end."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        self.reads += 1
        if self.reads > _MOST_READS:
            raise EOFError
        return super().read(size)


def _read_by_tinytag(path: Path) -> AudioFigures | None:
    from tinytag import TinyTag, TinyTagException  # only where it is needed: start-up is measured

    with _FewReads(FileIO(path)) as file:
        try:
            tag = TinyTag.get(file_obj=file, tags=False)
        except TinyTagException:
            return None
    if not tag.duration or not 0 < tag.duration <= _MOST_SECONDS:
        return None
    channels = tag.channels if tag.channels and tag.channels <= _MOST_CHANNELS else None
    return AudioFigures(tag.duration, channels, tag.samplerate if tag.samplerate in SAMPLE_RATES else None)
