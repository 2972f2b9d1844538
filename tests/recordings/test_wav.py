import struct
import tracemalloc
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.recordings.wav import AudioFigures, measure_wav
from tests.audio import RATE, chunk, fmt, pcm16, riff

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


def figures(content: bytes) -> AudioFigures | None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.wav")
        path.write_bytes(content)
        return measure_wav(path)


def figures_of(content: bytes) -> AudioFigures:
    measured = figures(content)
    assert measured is not None
    return measured


SPEECH_PAUSE_SPEECH = ((9000, 1.0), (0, 1.5), (-9000, 1.0), (3, 0.5))


def test_length_format_and_silence_are_exact() -> None:
    assert figures(riff(fmt(), chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH)))) == AudioFigures(
        seconds=4.0,
        channels=1,
        sample_rate=8000,
        silence_share=0.5,
        longest_silence_from_seconds=1.0,
        longest_silence_to_seconds=2.5,
    )


@pytest.mark.parametrize(
    ("encoding", "bits", "loud", "quiet"),
    [
        (PCM, 8, b"\xc0", b"\x80"),
        (PCM, 8, b"\x40", b"\x7f"),
        (PCM, 16, b"\x00\x80", b"\xff\xff"),
        (PCM, 24, b"\xff\xff\x7f", b"\x90\x01\x00"),
        (PCM, 24, b"\x00\x00\x80", b"\x90\xf0\xff"),
        (PCM, 32, b"\x00\x00\x00\x80", b"\x00\x00\xff\xff"),
        (FLOAT, 32, struct.pack("<f", 0.5), struct.pack("<f", -0.005)),
        (FLOAT, 32, struct.pack("<f", -0.006), struct.pack("<f", 0.0)),
        (FLOAT, 32, struct.pack("<f", float("nan")), struct.pack("<f", -0.0)),
        (FLOAT, 64, struct.pack("<d", -1.5), struct.pack("<d", 1e-300)),
        (FLOAT, 64, struct.pack("<d", 0.00563), struct.pack("<d", -0.00562)),
        (MU_LAW, 8, b"\x00", b"\xff"),
        (MU_LAW, 8, b"\x80", b"\x7f"),
        (A_LAW, 8, b"\x2a", b"\xd5"),
        (A_LAW, 8, b"\xaa", b"\x55"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_silence_is_measured_in_every_encoding(
    encoding: int, bits: int, loud: bytes, quiet: bytes, wrapped: bool
) -> None:
    guid = struct.pack("<HHIH", 22, bits, 4, encoding) + bytes.fromhex("000000001000800000aa00389b71")
    header = fmt(EXTENSIBLE, bits=bits, extension=guid) if wrapped else fmt(encoding, bits=bits)
    audio = loud * RATE + quiet * RATE + loud * RATE * 2
    assert figures(riff(header, chunk(b"data", audio))) == AudioFigures(4.0, 1, RATE, 0.25, 1.0, 2.0)


@pytest.mark.parametrize(("level", "share"), [(184, 1.0), (-184, 1.0), (185, 0.0), (-185, 0.0), (-32768, 0.0)])
def test_the_silence_threshold_is_45_db_below_full_scale(level: int, share: float) -> None:
    assert figures_of(riff(fmt(), chunk(b"data", pcm16((level, 1.0))))).silence_share == share


@pytest.mark.parametrize(("code", "share"), [(0xF0, 1.0), (0xEC, 1.0), (0xEB, 0.0), (0x6C, 1.0), (0x6B, 0.0)])
def test_silence_in_mu_law_is_measured_by_decoded_level(code: int, share: float) -> None:
    # G.711: 0xEC and 0x6C decode to 180 of 32768; 0xEB and 0x6B, one step louder, to 196.
    assert figures_of(riff(fmt(MU_LAW, bits=8), chunk(b"data", bytes([code]) * RATE))).silence_share == share


@pytest.mark.parametrize(("code", "share"), [(0xDE, 1.0), (0x5E, 1.0), (0xDF, 1.0), (0xD9, 0.0), (0x59, 0.0)])
def test_silence_in_a_law_is_measured_by_decoded_level(code: int, share: float) -> None:
    # G.711: 0xDE and 0x5E decode to 184 of 32768, 0xDF to 168; 0xD9 and 0x59, one step louder, to 200.
    assert figures_of(riff(fmt(A_LAW, bits=8), chunk(b"data", bytes([code]) * RATE))).silence_share == share


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_silence_needs_all_channels_quiet(channels: int) -> None:
    audio = pcm16(*SPEECH_PAUSE_SPEECH, channels=channels)
    measured = figures(riff(fmt(channels=channels), chunk(b"data", audio)))
    assert measured == AudioFigures(4.0, channels, RATE, 0.5, 1.0, 2.5)


def test_a_click_ends_silence_only_in_its_window_of_20_ms() -> None:
    measured = figures_of(riff(fmt(), chunk(b"data", pcm16((0, 0.51), (9000, 1 / RATE), (0, 0.489875)))))
    assert measured == AudioFigures(1.0, 1, RATE, 0.98, 0.0, 0.5)


def test_the_longest_silence_is_the_first_of_equally_long_ones() -> None:
    measured = figures_of(riff(fmt(), chunk(b"data", pcm16((0, 1.0), (9000, 1.0), (0, 1.0)))))
    assert (measured.longest_silence_from_seconds, measured.longest_silence_to_seconds) == (0.0, 1.0)


def test_a_short_last_window_counts_by_its_length() -> None:
    measured = figures_of(riff(fmt(), chunk(b"data", pcm16((9000, 0.5), (0, 0.505)))))
    assert measured == AudioFigures(1.005, 1, RATE, 0.505 / 1.005, 0.5, 1.005)


def test_a_recording_without_silence_has_no_longest_silence() -> None:
    assert figures_of(riff(fmt(), chunk(b"data", pcm16((9000, 1.0))))) == AudioFigures(1.0, 1, RATE, 0.0, None, None)


def test_a_wav_without_audio_is_zero_seconds_long() -> None:
    assert figures_of(riff(fmt(), chunk(b"data", b""))) == AudioFigures(0.0, 1, RATE, 0.0, None, None)


def test_other_chunks_are_skipped_and_odd_ones_are_padded() -> None:
    audio = chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH))
    content = riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"1234"), chunk(b"note", b"x"), audio)
    assert figures(content + chunk(b"LIST", b"data" * 500)) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


SPEECH = chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH))
INFO = b"INFOISFT\x05\0\0\0abcde"


@pytest.mark.parametrize(
    "between",
    [
        (chunk(b"LIST", INFO, padding=b""),),
        (chunk(b"LIST", INFO, padding=b"x"),),
        (chunk(b"LIST", INFO, padding=b""), chunk(b"LIST", INFO)),
        (chunk(b"LIST", INFO, padding=b""), chunk(b"note", b"x", padding=b"")),
        (chunk(b"note", b"x", padding=b""), chunk(b"memo", b"12345", padding=b""), chunk(b"fact", b"1234")),
        (chunk(b"note", b"x"), chunk(b"memo", b"12345")),
        (chunk(b"LIST", INFO), chunk(b"note", b"x", padding=b"")),
        (chunk(b"JUNK", b"data\x10\0\0\0x"), chunk(b"JUNK", b"fmt", padding=b"")),
    ],
)
def test_chunks_are_found_with_and_without_padding(between: tuple[bytes, ...]) -> None:
    assert figures(riff(fmt(), *between, SPEECH)) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)
    assert figures(riff(*between, fmt(), SPEECH)) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 64_000])
@pytest.mark.parametrize("long_size", [64_000, 0, 2**63, 70_000])
def test_the_64_bit_format_is_measured(form: bytes, size: int, long_size: int) -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, long_size, 32_000, 0))
    audio = chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH), size)
    content = riff(ds64, fmt(), audio, form=form, size=0xFFFFFFFF)
    assert figures(content) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


def test_chunks_after_the_audio_of_the_64_bit_format_are_not_measured() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 64_000, 32_000, 0))
    audio = chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH), 0xFFFFFFFF)
    content = riff(ds64, fmt(), audio, chunk(b"LIST", b"data" * 500), form=b"RF64", size=0xFFFFFFFF)
    assert figures(content) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


@given(st.lists(st.floats(width=32), max_size=400), st.sampled_from([32, 64]))
def test_silence_in_floating_point_is_measured_sample_by_sample(samples: list[float], bits: int) -> None:
    rate, packed = 1000, b"".join(struct.pack("<f" if bits == 32 else "<d", sample) for sample in samples)
    measured = figures_of(riff(fmt(FLOAT, rate=rate, bits=bits), chunk(b"data", packed)))
    windows = [samples[start : start + 20] for start in range(0, len(samples), 20)]
    # -45 dBFS is 0.0056234; samples within a hundredth of a decibel of it may go either way.
    sure = [len(window) for window in windows if all(abs(x) <= 0.005623 for x in window)]
    possible = [len(window) for window in windows if all(abs(x) <= 0.005630 for x in window)]
    assert measured.silence_share is not None
    assert sum(sure) <= round(measured.silence_share * len(samples)) <= sum(possible)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 70_000])
def test_a_wrong_length_in_the_header_is_ignored(size: int) -> None:
    content = riff(fmt(), chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH), size))
    assert figures(content) == AudioFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


def test_a_truncated_file_is_measured_by_its_whole_frames() -> None:
    whole = riff(fmt(channels=2), chunk(b"data", pcm16((9000, 2.0), channels=2)))
    assert figures(whole[: 44 + RATE * 4 + 3]) == AudioFigures(1.0, 2, RATE, 0.0, None, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"ID3\x04" + bytes(100),
        riff(),
        riff(fmt()),
        riff(chunk(b"data", bytes(100)), fmt()),
        riff(chunk(b"fmt ", bytes(14)), chunk(b"data", bytes(100))),
        riff(fmt(encoding=FLOAT, bits=16), chunk(b"data", bytes(100))),
        riff(fmt(encoding=2), chunk(b"data", bytes(100))),
        riff(fmt(bits=12), chunk(b"data", bytes(100))),
        riff(fmt(channels=0), chunk(b"data", bytes(100))),
        riff(fmt(rate=0), chunk(b"data", bytes(100))),
        riff(fmt(rate=0xFFFFFFFF), chunk(b"data", bytes(100))),
        riff(fmt(channels=0xFFFF, rate=1_000_000), chunk(b"data", bytes(100))),
        riff(*[chunk(b"junk", b"")] * 20_000, fmt(), chunk(b"data", bytes(100))),
    ],
)
def test_an_unreadable_wav_has_no_figures(content: bytes) -> None:
    assert figures(content) is None


def test_a_long_file_is_not_loaded_whole_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(riff(fmt(), chunk(b"data", pcm16((9000, 600.0), (0, 600.0)))))
    tracemalloc.start()
    try:
        measured = measure_wav(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert measured == AudioFigures(1200.0, 1, RATE, 0.5, 600.0, 1200.0)
    assert peak < path.stat().st_size / 10


CHUNKS = st.one_of(
    st.builds(
        fmt,
        st.sampled_from([PCM, A_LAW, MU_LAW, EXTENSIBLE, 3]),
        st.integers(0, 0xFFFF),
        st.sampled_from([0, 1, 999, 1000, 8000, 11025, 48000, 1_000_000, 0xFFFFFFFF // 0xFFFF]),
        st.sampled_from([0, 8, 16, 24, 32, 64]),
        st.binary(max_size=24),
    ),
    st.builds(
        chunk,
        st.sampled_from([b"data", b"fmt ", b"LIST", b"ds64"]),
        st.binary(max_size=200),
        st.none() | st.integers(0, 2**32 - 1),
        st.sampled_from([b"", b"\0", b"x"]),
    ),
)


def file_of(form: bytes, chunks: list[bytes]) -> bytes:
    return riff(*chunks, form=form)


FILES = st.builds(file_of, st.sampled_from([b"RIFF", b"RF64"]), st.lists(CHUNKS, max_size=4))


@given(st.binary(max_size=300) | FILES, st.integers(0, 40))
def test_any_bytes_never_raise(content: bytes, cut: int) -> None:
    measured = figures(content[: len(content) - cut])
    assert measured is None or 0 <= (measured.silence_share or 0) <= 1


@given(
    st.lists(st.tuples(st.sampled_from([0, 184, 185, -185, -32768]), st.integers(1, 400)), max_size=12),
    st.integers(1, 3),
    st.sampled_from([8000, 11025, 1001]),
)
def test_figures_equal_a_plain_count(parts: list[tuple[int, int]], channels: int, rate: int) -> None:
    samples = [level for level, frames in parts for level in [level] * frames * channels]
    measured = figures_of(
        riff(fmt(channels=channels, rate=rate), chunk(b"data", struct.pack(f"<{len(samples)}h", *samples)))
    )

    frames, window = len(samples) // channels, rate // 50
    edges = [*range(0, frames, window), frames]
    silent = [
        (start, end)
        for start, end in pairwise(edges)
        if all(abs(x) < 184.3 for x in samples[start * channels : end * channels])
    ]
    assert measured.seconds == frames / rate
    assert measured.silence_share == (sum(end - start for start, end in silent) / frames if frames else 0)
    assert (measured.longest_silence_from_seconds is None) == (not silent)
