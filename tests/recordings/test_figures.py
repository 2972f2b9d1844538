"""Figures of recordings other than PCM WAV files."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.audio import BEGINNING_BYTES, KINDS, WAV, kind_of
from formant_mcp.recordings import AudioFigures
from formant_mcp.recordings.figures import measure
from tests.audio import SAMPLES, chunk, fmt, riff, sample, wav


def measured(content: bytes) -> AudioFigures | None:
    kind = kind_of(content[:BEGINNING_BYTES])
    assert kind
    with TemporaryDirectory() as folder:
        path = Path(folder, "call")
        path.write_bytes(content)
        return measure(path, kind)


@pytest.mark.parametrize(
    ("name", "channels", "rate"),
    [
        ("tagged.mp3", 1, 8000),
        ("bare.mp3", 1, 8000),
        ("layer2.mp2", 1, 16000),
        ("adts.aac", 1, 8000),
        ("aac.m4a", 1, 8000),
        ("amr.3gp", None, None),
        ("flac.flac", 1, 8000),
        ("vorbis.ogg", 1, 8000),
        ("opus.opus", 2, 48000),
        ("aiff.aiff", 1, 8000),
        ("adpcm.wav", 1, 8000),
    ],
)
def test_files_other_than_pcm_have_length_channels_and_rate_but_no_silence(
    name: str, channels: int | None, rate: int | None
) -> None:
    figures = measured(sample(name))
    assert figures
    assert 0.99 <= figures.seconds <= 1.16  # an MP3 ends with its last whole frame
    assert figures == AudioFigures(figures.seconds, channels, rate)


def silent_mp3(*bit_rates: int, rate: int = 44_100) -> bytes:
    """A frame of MPEG-1 layer III for each of these bit rates, in kilobits per second."""
    index = {32: 1, 64: 5, 128: 9, 320: 14}
    headers = (b"\xff\xfb" + bytes([index[bit_rate] << 4, 0xC4]) for bit_rate in bit_rates)
    return b"".join(
        header.ljust(144_000 * bit_rate // rate, b"\0") for header, bit_rate in zip(headers, bit_rates, strict=True)
    )


def test_mp3_frames_of_different_sizes_are_counted() -> None:
    figures = measured(silent_mp3(*[32] * 500, *[320] * 1_000))
    assert figures
    assert round(figures.seconds, 3) == round(1_500 * 1152 / 44_100, 3)


@pytest.mark.parametrize("around", [(b"", b""), (b"ID3\3\0\0\0\0\0\x0a" + bytes(10), b""), (b"", b"TAG" + bytes(125))])
def test_tags_around_the_frames_are_not_counted(around: tuple[bytes, bytes]) -> None:
    begins, ends = around
    figures = measured(begins + silent_mp3(*[64] * 10) + ends)
    assert figures
    assert (round(figures.seconds, 3), figures.channels, figures.sample_rate) == (0.261, 1, 44_100)


@pytest.mark.parametrize("damage", [bytes(50_000), b"\xff" * 50_000, b"\xff\xe0" * 25_000])
def test_a_damaged_mp3_file_has_no_figures(damage: bytes) -> None:
    assert measured(silent_mp3(*[64] * 10) + damage) is None


@pytest.mark.parametrize("name", ["amr.amr", "opus.webm", "opus.mka", "ulaw.au", "flac.oga"])
def test_formats_that_do_not_state_their_length_have_no_figures(name: str) -> None:
    assert measured(sample(name)) is None


def test_a_wav_file_is_measured_with_its_silence() -> None:
    assert measured(wav((9000, 1), (0, 1))) == AudioFigures(2.0, 1, 8000, 0.5, 1.0, 2.0)
    assert measured(riff(chunk(b"data", bytes(100)))) is None


def test_impossible_channels_and_rates_are_left_out() -> None:
    figures = measured(riff(fmt(encoding=0x11, channels=200, rate=10, bits=4), chunk(b"data", bytes(100))))
    assert figures is None or (figures.channels, figures.sample_rate) == (None, None)


@given(st.sampled_from(sorted(path.name for path in SAMPLES.iterdir())), st.data())
def test_damaged_files_never_raise_and_take_under_two_seconds(name: str, data: st.DataObject) -> None:
    content = bytearray(sample(name))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(12, min(400, len(content) - 1)))
        content[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    damaged = bytes(content[: data.draw(st.integers(12, len(content)))])
    kind = kind_of(damaged[:BEGINNING_BYTES]) or WAV
    with TemporaryDirectory() as folder:
        path = Path(folder, "call")
        path.write_bytes(damaged)
        began = time.process_time()
        figures = measure(path, kind)
    assert time.process_time() - began < 2
    assert figures is None or figures.seconds >= 0


@given(st.binary(max_size=300), st.sampled_from(sorted(KINDS)))
def test_any_bytes_never_raise(content: bytes, ending: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "call")
        path.write_bytes(content)
        figures = measure(path, KINDS[ending])
    assert figures is None or figures.seconds >= 0
