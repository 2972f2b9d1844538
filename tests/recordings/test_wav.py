import struct
import tracemalloc
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.recordings import WavFigures, read_figures

PCM, A_LAW, MU_LAW, EXTENSIBLE = 1, 6, 7, 0xFFFE
RATE = 8000


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def fmt(encoding: int = PCM, channels: int = 1, rate: int = RATE, bits: int = 16, extension: bytes = b"") -> bytes:
    frame = channels * bits // 8 & 0xFFFF
    per_second = rate * frame & 0xFFFFFFFF
    return chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate, per_second, frame, bits) + extension)


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks))


def figures(content: bytes) -> WavFigures | None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.wav")
        path.write_bytes(content)
        return read_figures(path)


def known(content: bytes) -> WavFigures:
    found = figures(content)
    assert found is not None
    return found


def pcm16(*parts: tuple[int, float], channels: int = 1) -> bytes:
    """For each part (level, seconds): that many samples, the level in the last channel and zero in the others."""
    return b"".join(
        struct.pack(f"<{channels}h", *[0] * (channels - 1), level) * round(seconds * RATE) for level, seconds in parts
    )


SPEECH_PAUSE_SPEECH = ((9000, 1.0), (0, 1.5), (-9000, 1.0), (3, 0.5))


def test_length_form_and_silence_are_exact() -> None:
    assert figures(riff(fmt(), chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH)))) == WavFigures(
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
        (MU_LAW, 8, b"\x00", b"\xff"),
        (MU_LAW, 8, b"\x80", b"\x7f"),
        (A_LAW, 8, b"\x2a", b"\xd5"),
        (A_LAW, 8, b"\xaa", b"\x55"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_encoding_tells_loud_from_quiet(
    encoding: int, bits: int, loud: bytes, quiet: bytes, wrapped: bool
) -> None:
    guid = struct.pack("<HHIH", 22, bits, 4, encoding) + bytes.fromhex("000000001000800000aa00389b71")
    header = fmt(EXTENSIBLE, bits=bits, extension=guid) if wrapped else fmt(encoding, bits=bits)
    audio = loud * RATE + quiet * RATE + loud * RATE * 2
    assert figures(riff(header, chunk(b"data", audio))) == WavFigures(4.0, 1, RATE, 0.25, 1.0, 2.0)


@pytest.mark.parametrize(("level", "share"), [(184, 1.0), (-184, 1.0), (185, 0.0), (-185, 0.0), (-32768, 0.0)])
def test_the_threshold_is_45_db_below_full_scale(level: int, share: float) -> None:
    assert known(riff(fmt(), chunk(b"data", pcm16((level, 1.0))))).silence_share == share


@pytest.mark.parametrize(("code", "share"), [(0xF0, 1.0), (0xEC, 1.0), (0xEB, 0.0), (0x6C, 1.0), (0x6B, 0.0)])
def test_mu_law_is_judged_by_the_level_it_stands_for(code: int, share: float) -> None:
    # G.711: 0xEC and 0x6C stand for 180 of 32768, 0xEB and 0x6B, one step louder, for 196.
    assert known(riff(fmt(MU_LAW, bits=8), chunk(b"data", bytes([code]) * RATE))).silence_share == share


@pytest.mark.parametrize(("code", "share"), [(0xDE, 1.0), (0x5E, 1.0), (0xDF, 1.0), (0xD9, 0.0), (0x59, 0.0)])
def test_a_law_is_judged_by_the_level_it_stands_for(code: int, share: float) -> None:
    # G.711: 0xDE and 0x5E stand for 184 of 32768, 0xDF for 168, 0xD9 and 0x59, one step louder, for 200.
    assert known(riff(fmt(A_LAW, bits=8), chunk(b"data", bytes([code]) * RATE))).silence_share == share


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_one_loud_channel_ends_the_silence_of_all(channels: int) -> None:
    audio = pcm16(*SPEECH_PAUSE_SPEECH, channels=channels)
    found = figures(riff(fmt(channels=channels), chunk(b"data", audio)))
    assert found == WavFigures(4.0, channels, RATE, 0.5, 1.0, 2.5)


def test_one_click_makes_its_window_of_20_ms_loud_and_no_other() -> None:
    found = known(riff(fmt(), chunk(b"data", pcm16((0, 0.51), (9000, 1 / RATE), (0, 0.489875)))))
    assert found == WavFigures(1.0, 1, RATE, 0.98, 0.0, 0.5)


def test_of_equally_long_silences_the_first_is_named() -> None:
    found = known(riff(fmt(), chunk(b"data", pcm16((0, 1.0), (9000, 1.0), (0, 1.0)))))
    assert (found.longest_silence_from_seconds, found.longest_silence_to_seconds) == (0.0, 1.0)


def test_a_short_last_window_counts_for_what_it_is() -> None:
    found = known(riff(fmt(), chunk(b"data", pcm16((9000, 0.5), (0, 0.505)))))
    assert found == WavFigures(1.005, 1, RATE, 0.505 / 1.005, 0.5, 1.005)


def test_without_silence_no_longest_silence_is_named() -> None:
    assert known(riff(fmt(), chunk(b"data", pcm16((9000, 1.0))))) == WavFigures(1.0, 1, RATE, 0.0, None, None)


def test_a_wav_without_audio_lasts_no_time() -> None:
    assert known(riff(fmt(), chunk(b"data", b""))) == WavFigures(0.0, 1, RATE, 0.0, None, None)


def test_other_chunks_are_passed_over_and_odd_ones_end_at_an_even_place() -> None:
    audio = chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH))
    content = riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"1234"), chunk(b"note", b"x"), audio)
    assert figures(content + chunk(b"LIST", b"data" * 500)) == WavFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 70_000])
def test_a_header_that_does_not_know_its_length_gives_what_is_there(size: int) -> None:
    content = riff(fmt(), chunk(b"data", pcm16(*SPEECH_PAUSE_SPEECH), size))
    assert figures(content) == WavFigures(4.0, 1, RATE, 0.5, 1.0, 2.5)


def test_a_file_that_was_cut_off_gives_the_whole_frames_that_are_there() -> None:
    whole = riff(fmt(channels=2), chunk(b"data", pcm16((9000, 2.0), channels=2)))
    assert figures(whole[: 44 + RATE * 4 + 3]) == WavFigures(1.0, 2, RATE, 0.0, None, None)


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
        riff(fmt(encoding=2), chunk(b"data", bytes(100))),
        riff(fmt(bits=12), chunk(b"data", bytes(100))),
        riff(fmt(channels=0), chunk(b"data", bytes(100))),
        riff(fmt(rate=0), chunk(b"data", bytes(100))),
        riff(fmt(rate=0xFFFFFFFF), chunk(b"data", bytes(100))),
        riff(fmt(channels=0xFFFF, rate=1_000_000), chunk(b"data", bytes(100))),
        riff(*[chunk(b"junk", b"")] * 20_000, fmt(), chunk(b"data", bytes(100))),
    ],
)
def test_what_is_no_readable_wav_has_no_figures(content: bytes) -> None:
    assert figures(content) is None


def test_a_long_file_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(riff(fmt(), chunk(b"data", pcm16((9000, 600.0), (0, 600.0)))))
    tracemalloc.start()
    try:
        found = read_figures(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == WavFigures(1200.0, 1, RATE, 0.5, 600.0, 1200.0)
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
        st.sampled_from([b"data", b"fmt ", b"LIST"]),
        st.binary(max_size=200),
        st.none() | st.integers(0, 2**32 - 1),
    ),
)


@given(st.binary(max_size=300) | st.lists(CHUNKS, max_size=4).map(lambda parts: riff(*parts)), st.integers(0, 40))
def test_no_bytes_whatever_raise(content: bytes, cut: int) -> None:
    found = figures(content[: len(content) - cut])
    assert found is None or 0 <= found.silence_share <= 1


@given(
    st.lists(st.tuples(st.sampled_from([0, 184, 185, -185, -32768]), st.integers(1, 400)), max_size=12),
    st.integers(1, 3),
    st.sampled_from([8000, 11025, 1001]),
)
def test_the_figures_are_those_of_a_plain_count(parts: list[tuple[int, int]], channels: int, rate: int) -> None:
    samples = [level for level, frames in parts for level in [level] * frames * channels]
    found = known(riff(fmt(channels=channels, rate=rate), chunk(b"data", struct.pack(f"<{len(samples)}h", *samples))))

    frames, window = len(samples) // channels, rate // 50
    edges = [*range(0, frames, window), frames]
    silent = [
        (start, end)
        for start, end in pairwise(edges)
        if all(abs(x) < 184.3 for x in samples[start * channels : end * channels])
    ]
    assert found.seconds == frames / rate
    assert found.silence_share == (sum(end - start for start, end in silent) / frames if frames else 0)
    assert (found.longest_silence_from_seconds is None) == (not silent)
