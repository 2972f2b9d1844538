"""Measures WAV files: length, channels, sample rate, silence.

The format is RIFF/WAVE as in "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991) and
its revision 3.0 of 1994 (format tags, extensible form), and its 64-bit form of EBU Tech 3306 and ITU-R BS.2088; A-law
and mu-law are those of ITU-T G.711, floating point is IEEE 754 with full scale at 1.

The definition of silence is our own, not a standard's: audio is split into windows of 20 ms, and a window is silent if
no sample of any channel is louder than -45 dBFS (0.56 % of full scale): above line noise, below soft speech.
"""

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import BinaryIO

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_FORMS = (b"RIFF", b"RF64", b"BW64")
_SIZE_UNKNOWN = (0, 0xFFFFFFFF)  # what a writer that cannot go back leaves in the header
_WINDOWS_PER_SECOND = 50
_QUIET_SHARE = 10 ** (-45 / 20)
_QUIET = int(32768 * _QUIET_SHARE)  # the loudest quiet sample, where full scale is 32768
_FLOAT_BYTES_COMPARED = 3  # the upper ones: sign, exponent and 12 bits of a double's fraction
# Names of chunks that may come before the audio, to recognize the start of one if its place is in doubt.
_NAMES = frozenset(
    re.findall(b"....", b"datafmt factLISTJUNKjunkFLLRPAD bextiXMLcue smplinstPEAKds64ID3 id3 cartaxmlchnaSAUR")
)
_BLOCK_BYTES = 1 << 18

# Outside these limits a header is damaged or hostile; within them time and memory are bounded.
SAMPLE_RATES = range(1_000, 1_000_001)
_MOST_WINDOW_BYTES = 1 << 23
_MOST_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class AudioFigures:
    """The figures of one recording; None for what its format does not say.

    `silence_share` is the silent part of the whole, 0 to 1, and measured in WAV files only. The longest silence (the
    first, if several are equally long) is in seconds from the start; both ends are None if there is none.
    """

    seconds: float
    channels: int | None
    sample_rate: int | None
    silence_share: float | None = None
    longest_silence_from_seconds: float | None = None
    longest_silence_to_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Format:
    """How samples are encoded; `width`: bytes of a sample."""

    encoding: int
    channels: int
    sample_rate: int
    width: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.width

    @property
    def window_frames(self) -> int:
        return self.sample_rate // _WINDOWS_PER_SECOND


def measure_wav(path: Path) -> AudioFigures | None:
    """The figures of the WAV file at `path`; None if it is not a WAV file, or in an unsupported encoding.

    Supported are PCM of 8, 16, 24 and 32 bits, floating point of 32 and 64, A-law and mu-law. If the file is truncated,
    or its header was written before the length was known, the audio that is there counts. The file is read in blocks.

    Raises:
        OSError: the file cannot be opened or read. No content of a file raises anything.
    """
    with path.open("rb") as file:
        audio = _find_audio(file)
        if audio is None:
            return None
        form, audio_bytes = audio
        return _figures(form, *_silent_windows(file, form, audio_bytes))


def _find_audio(file: BinaryIO) -> tuple[_Format, int] | None:
    """Seeks to the first sample; returns the format, and how many bytes of whole frames follow."""
    riff_header = file.read(12)
    if riff_header[:4] not in _FORMS or riff_header[8:] != b"WAVE":
        return None
    file_bytes = os.fstat(file.fileno()).st_size
    form: _Format | None = None
    long_size = 0  # of the audio, where 32 bits are too few for it
    for _ in range(_MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        name, size = struct.unpack("<4sI", header)
        start = file.tell()
        if name == b"data":
            there = file_bytes - start
            audio_bytes = min((long_size if size in _SIZE_UNKNOWN else size) or there, there)
            return form and (form, audio_bytes - audio_bytes % form.frame_bytes)
        if name == b"fmt ":
            form = _parse_format(file.read(min(size, 40)))
        elif name == b"ds64":
            long_size = int.from_bytes(file.read(min(size, 16))[8:], "little")
        file.seek(start + size)
        if size % 2:
            _skip_padding(file)
    return None


def _skip_padding(file: BinaryIO) -> None:
    """Skips the padding byte, unless the next chunk starts here already: not every writer adds the byte."""
    start = file.tell()
    following = file.read(9)
    left = os.fstat(file.fileno()).st_size - start
    here, padded = (_likeness(following[place : place + 8], left) for place in (0, 1))
    is_padded = padded > here or (padded == here and following[:1] == b"\0")
    file.seek(start + is_padded)


def _likeness(header: bytes, left: int) -> int:
    """How much it resembles a chunk's header: 2 for a usual name, 1 for a possible name and size, else 0."""
    name = header[:4]
    if name in _NAMES:
        return 2
    return int(name.isascii() and name.decode("ascii").isprintable() and int.from_bytes(header[4:], "little") < left)


def _parse_format(chunk: bytes) -> _Format | None:
    if len(chunk) < 16:
        return None
    encoding, channels, sample_rate, bits = struct.unpack("<HHI6xH", chunk[:16])
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = int.from_bytes(chunk[24:26], "little")  # the subformat's GUID begins with the encoding it wraps
    if encoding in (_A_LAW, _MU_LAW):
        width = 1
    elif bits in _BITS.get(encoding, ()):
        width = bits // 8
    else:
        return None
    form = _Format(encoding, channels, sample_rate, width)
    plausible = channels and sample_rate in SAMPLE_RATES
    return form if plausible and form.window_frames * form.frame_bytes <= _MOST_WINDOW_BYTES else None


def _silent_windows(file: BinaryIO, form: _Format, audio_bytes: int) -> tuple[bytes, int]:
    """One byte per window, 1 if it is silent; and how many frames there were (the last window may be short)."""
    find_quiet = _quiet_finder(form)
    window_samples = form.window_frames * form.channels
    window_bytes = window_samples * form.width
    block_bytes = max(_BLOCK_BYTES // window_bytes, 1) * window_bytes
    silent, left = bytearray(), audio_bytes
    while block := file.read(min(block_bytes, left)):
        left -= len(block)
        quiet = find_quiet(block)
        silent.extend(
            quiet.find(0, start, start + window_samples) < 0 for start in range(0, len(quiet), window_samples)
        )
    return bytes(silent), (audio_bytes - left) // form.frame_bytes


def _quiet_finder(form: _Format) -> Callable[[bytes], bytes]:
    """A function that turns a block of audio into one byte per sample: zero if it is loud, else it is quiet.

    It works on whole blocks by `translate` and `and`s of big integers, without a Python loop over samples.
    """
    width = form.width
    if width == 1:
        magnitude = {_PCM: _pcm8_magnitude, _A_LAW: _a_law_magnitude, _MU_LAW: _mu_law_magnitude}[form.encoding]
        table = bytes(magnitude(code) <= _QUIET for code in range(256))
        return lambda block: block.translate(table)

    tables = _float_tables(width) if form.encoding == _FLOAT else _pcm_tables()

    def find_quiet(block: bytes) -> bytes:
        upper_bytes = (block[width - 1 - place :: width].translate(table) for place, table in enumerate(tables))
        quiet = reduce(int.__and__, (int.from_bytes(quiet_bytes, "little") for quiet_bytes in upper_bytes))
        return quiet.to_bytes(len(block) // width, "little")

    return find_quiet


def _pcm_tables() -> list[bytes]:
    """For the two upper bytes of a sample, the highest first: both share a bit if the sample is quiet.

    The high byte is 0 in small positive samples (bit 1), 255 in small negative ones (bit 2); the low byte decides in
    both cases whether the sample is small enough.
    """
    low_table = bytes((low <= _QUIET) | (low >= 256 - _QUIET) << 1 for low in range(256))
    return [bytes([1, *[0] * 254, 2]), low_table]


def _float_tables(width: int) -> list[bytes]:
    """The same for floating point, whose bits without the sign are ordered like the numbers.

    Bit n is left if the bytes before the nth equal those of the threshold and the nth is smaller; in the last byte,
    smaller or equal.
    """
    limit = struct.pack(">f" if width == 4 else ">d", _QUIET_SHARE)[:_FLOAT_BYTES_COMPARED]
    tables: list[bytes] = []
    for place, most in enumerate(limit):
        before, this, after = (1 << place) - 1, 1 << place, 0b111 & -2 << place
        is_last = place == len(limit) - 1
        table = bytearray()
        for code in range(256):
            byte = code if place else code & 0x7F
            smaller = byte < most or (is_last and byte == most)
            table.append(before | this * smaller | after * (byte == most))
        tables.append(bytes(table))
    return tables


def _pcm8_magnitude(code: int) -> int:
    # One step is -42 dBFS, coarser than the threshold: the steps next to zero may be silence, and count as silence.
    return max(abs(code - 128) - 1, 0) << 8


def _mu_law_magnitude(code: int) -> int:
    exponent, mantissa = divmod(~code & 0x7F, 16)
    return ((mantissa << 3) + 132 << exponent) - 132


def _a_law_magnitude(code: int) -> int:
    exponent, mantissa = divmod((code ^ 0x55) & 0x7F, 16)
    return (mantissa << 4) + 8 if exponent == 0 else (mantissa << 4) + 264 << exponent - 1


def _figures(form: _Format, silent: bytes, frames: int) -> AudioFigures:
    rate, window = form.sample_rate, form.window_frames
    runs = re.finditer(rb"\x01+", silent)
    longest = max(runs, key=lambda run: run.end() - run.start(), default=None)
    missing = len(silent) * window - frames if silent.endswith(b"\x01") else 0
    return AudioFigures(
        seconds=frames / rate,
        channels=form.channels,
        sample_rate=rate,
        silence_share=(silent.count(1) * window - missing) / frames if frames else 0.0,
        longest_silence_from_seconds=longest.start() * window / rate if longest else None,
        longest_silence_to_seconds=min(longest.end() * window, frames) / rate if longest else None,
    )
