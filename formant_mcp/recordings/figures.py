"""Measures audio files: length, channels, sample rate and, of WAV files, silence."""

import os
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from formant_mcp.audio import KINDS, MP3, WAV, AudioKind, adts_frame, mpeg_frame, tag_bytes
from formant_mcp.recordings.wav import SAMPLE_RATES, AudioFigures, measure_wav

_MOST_SECONDS = 7 * 86_400
_MOST_CHANNELS = 64
_MOST_READS = 200_000  # an hour of any format takes a tenth of them; a hostile file would take minutes
_LEAST_UNDERSTOOD = 0.95  # of a file of frames: a file with more damage is not measured
_BUFFER_BYTES = 1 << 16
_LENGTH_HEADERS = (b"Xing", b"Info", b"VBRI")  # in a first frame, which is then silent and not counted
_END_TAGS = (b"TAG", b"APETAGEX")
_AAC = KINDS[".aac"]
_FRAMED = frozenset([MP3, KINDS[".mp2"], _AAC])
_READ_BY_TINYTAG = frozenset(
    [WAV, *(KINDS[ending] for ending in (".m4a", ".3gp", ".flac", ".ogg", ".opus", ".oga", ".spx", ".aiff", ".wma"))]
)


def measure(path: Path, kind: AudioKind) -> AudioFigures | None:
    """The figures of the file at `path`; None if its format is not supported, or does not say its length.

    Raises:
        OSError: the file cannot be opened or read. No content of a file raises anything.
    """
    if kind in _FRAMED:
        return _measure_frames(path, kind)
    figures = measure_wav(path) if kind == WAV else None
    return figures or (_read_by_tinytag(path) if kind in _READ_BY_TINYTAG else None)


def _measure_frames(path: Path, kind: AudioKind) -> AudioFigures | None:
    """Reads frame by frame: a header with the length may be missing, and an estimate may be far off."""
    frame_of = adts_frame if kind == _AAC else mpeg_frame
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        position = 0
        while tag := tag_bytes(file.read(10)):
            position = file.seek(position + tag)
        begins, seconds, first = position, 0.0, None
        while frame := frame_of(beginning := _read_frame_start(file, position)):
            if first or not any(mark in beginning for mark in _LENGTH_HEADERS):
                seconds += frame.samples / frame.sample_rate
            first = first or frame
            position += frame.size
        audio_bytes = os.fstat(file.fileno()).st_size - begins
    is_whole = beginning.startswith(_END_TAGS) or position - begins >= _LEAST_UNDERSTOOD * audio_bytes
    return AudioFigures(seconds, first.channels or None, first.sample_rate) if first and is_whole else None


def _read_frame_start(file: BinaryIO, position: int) -> bytes:
    """The first bytes of a frame, including a header with the length if there is one."""
    file.seek(position)
    return file.read(48)


class _FewReads(BufferedReader):
    """A file that ends after a limited number of reads, so that a damaged one is not searched endlessly."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as from any file.

        Raises:
            EOFError: there were too many reads.
        """
        self.reads += 1
        if self.reads > _MOST_READS:
            raise EOFError
        return super().read(size)


def _read_by_tinytag(path: Path) -> AudioFigures | None:
    from tinytag import TinyTag, TinyTagException  # only when needed: start-up is measured

    with _FewReads(FileIO(path)) as file:
        try:
            tag = TinyTag.get(file_obj=file, tags=False)
        except TinyTagException:
            return None
    if not tag.duration or not 0 < tag.duration <= _MOST_SECONDS:
        return None
    channels = tag.channels if tag.channels and tag.channels <= _MOST_CHANNELS else None
    return AudioFigures(tag.duration, channels, tag.samplerate if tag.samplerate in SAMPLE_RATES else None)
