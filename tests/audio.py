"""Audio for tests: WAV files built by hand, and a second of tone in other formats.

The files in `SAMPLES` were made with FFmpeg 9 (`-f lavfi -i sine=frequency=400:sample_rate=8000:duration=1 -bitexact`
and the codec that each is named after). `bare.mp3` has neither tag nor Xing header, `opus.opus` two channels.
"""

import struct
from pathlib import Path

SAMPLES = Path(__file__).parent / "recordings" / "samples"
RATE = 8000


def chunk(name: bytes, data: bytes, size: int | None = None, padding: bytes = b"\0") -> bytes:
    """A chunk, by default of its true size and padded to an even one."""
    return name + struct.pack("<I", len(data) if size is None else size) + data + padding * (len(data) % 2)


def fmt(encoding: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, extension: bytes = b"") -> bytes:
    """A format chunk."""
    frame = channels * bits // 8 & 0xFFFF
    per_second = rate * frame & 0xFFFFFFFF
    return chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate, per_second, frame, bits) + extension)


def riff(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    """A file of these chunks."""
    return chunk(form, b"WAVE" + b"".join(chunks), size)


def pcm16(*parts: tuple[int, float], channels: int = 1) -> bytes:
    """For each part (level, seconds): that many samples, the level in the last channel and zero in the others."""
    return b"".join(
        struct.pack(f"<{channels}h", *[0] * (channels - 1), level) * round(seconds * RATE) for level, seconds in parts
    )


def wav(*parts: tuple[int, float]) -> bytes:
    """A file of one channel of 16 bits, 8,000 samples a second: each part (level, seconds)."""
    return riff(fmt(), chunk(b"data", pcm16(*parts)))


def sample(name: str) -> bytes:
    """The bytes of a file in `SAMPLES`."""
    return (SAMPLES / name).read_bytes()
