"""Recordings of sample calls: 8 kHz WAV, one tone while the agent speaks, a higher one while the contact does.

Most are 16-bit PCM mono; some are u-law or A-law (formats 7 and 6 of the WAVE registry, RFC 2361), some stereo with the
agent on the left. Calls longer than half an hour are always u-law. Between turns there is a faint line hum.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from formant_mcp.demo.calls import SampleCall

SAMPLE_RATE = 8000
_PCM, _A_LAW, _U_LAW = 1, 6, 7
_BLOCK_SAMPLES = SAMPLE_RATE // 10
_LONG_SECONDS = 1800

# Pitches and loudness; each pitch has whole periods in a block, so that blocks join without a click.
_AGENT, _CONTACT, _HUM = (200, 8000.0), (320, 6000.0), (50, 12.0)


@dataclass(frozen=True, slots=True)
class _Form:
    """The encoding of a recording."""

    code: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * (2 if self.code == _PCM else 1)


def wav_size(call: SampleCall) -> int:
    """How many bytes `wav_of` returns."""
    form = _form_of(call)
    return len(_header(form, 0)) + _frames(call) * form.frame_bytes


def wav_of(call: SampleCall) -> Iterator[bytes]:
    """The recording of a call that connected, as long as the call, in chunks."""
    form = _form_of(call)
    left = _frames(call) * form.frame_bytes
    yield _header(form, _frames(call))
    for sound in chain(_sounds(call, form), repeat(_block(form, _HUM, _HUM) * 10)):
        if left <= 0:
            return
        yield sound[:left]
        left -= len(sound)


def _form_of(call: SampleCall) -> _Form:
    if (call.duration_seconds or 0) > _LONG_SECONDS:
        return _Form(_U_LAW, 1)
    number = zlib.crc32(call.conversation_id.encode())
    code = (_PCM, _PCM, _PCM, _PCM, _PCM, _PCM, _U_LAW, _A_LAW)[number % 8]
    return _Form(code, 2 if number // 8 % 6 == 0 else 1)


def _frames(call: SampleCall) -> int:
    return round((call.duration_seconds or 0) * SAMPLE_RATE)


def _header(form: _Form, frames: int) -> bytes:
    """RIFF header; formats other than PCM have an extension size and a `fact` chunk."""
    rate = SAMPLE_RATE * form.frame_bytes
    bits = form.frame_bytes * 8 // form.channels
    body = struct.pack("<HHIIHH", form.code, form.channels, SAMPLE_RATE, rate, form.frame_bytes, bits)
    fact = b""
    if form.code != _PCM:
        body += struct.pack("<H", 0)
        fact = struct.pack("<4sII", b"fact", 4, frames)
    size = frames * form.frame_bytes
    chunks = struct.pack("<4sI", b"fmt ", len(body)) + body + fact + struct.pack("<4sI", b"data", size)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + size, b"WAVE") + chunks


def _sounds(call: SampleCall, form: _Form) -> Iterator[bytes]:
    """The call's sounds in order, in tenths of a second, up to the end of its last turn."""
    hum = _block(form, _HUM, _HUM)
    speech = {
        "agent": _block(form, _AGENT, _HUM) * 3 + hum,
        "contact": _block(form, _HUM, _CONTACT) * 2 + hum,
    }
    at = 0
    for turn in call.turns:
        begins, ends = round(turn.seconds * 10), round(turn.end_seconds * 10)
        yield hum * (begins - at)
        burst = speech[turn.role]
        yield (burst * (ends - begins))[: (ends - begins) * len(hum)]
        at = ends


def _block(form: _Form, left: tuple[int, float], right: tuple[int, float]) -> bytes:
    """A tenth of a second: both parties on one channel (the louder is heard), or one on each."""
    if form.channels == 1:
        return _encoded(_tone(*max(left, right, key=lambda tone: tone[1])), form.code)
    frames = zip(_tone(*left), _tone(*right), strict=True)
    return _encoded([sample for frame in frames for sample in frame], form.code)


def _tone(pitch: int, loudness: float) -> list[int]:
    period = SAMPLE_RATE // pitch
    wave = [round(loudness * math.sin(math.tau * step / period)) for step in range(period)]
    return wave * (_BLOCK_SAMPLES // period)


def _encoded(samples: list[int], code: int) -> bytes:
    if code == _PCM:
        return struct.pack(f"<{len(samples)}h", *samples)
    law = _u_law if code == _U_LAW else _a_law
    return bytes(map(law, samples))


def _u_law(sample: int) -> int:
    """ITU-T G.711, 14 bits to 8."""
    biased = min(abs(sample >> 2), 8158) + 33
    exponent = biased.bit_length() - 6
    mantissa = biased >> (exponent + 1) & 15
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF


def _a_law(sample: int) -> int:
    """ITU-T G.711, 13 bits to 8."""
    size = (sample if sample >= 0 else ~sample) >> 4
    exponent = max(size.bit_length() - 4, 0)
    mantissa = size >> max(exponent - 1, 0) & 15
    return ((0x80 if sample >= 0 else 0) | exponent << 4 | mantissa) ^ 0x55
