"""The kind of a file by its first bytes."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.audio import BEGINNING_BYTES, KINDS, is_document, kind_of
from tests.audio import SAMPLES, sample, wav

DOCUMENTS = [
    '{"status": "processing"}',
    '  \n{"error": "nicht verfügbar"}',
    "[]",
    '<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "\n<!doctype html><title>Sign in</title>",
    "Recording not ready",
    "録音はまだ準備できていません",
    "null",
    "RIFF is not ready",
    "ID3",
]


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_sample_files_are_of_the_kind_in_their_name(path: Path) -> None:
    kind = kind_of(path.read_bytes()[:BEGINNING_BYTES])
    assert kind == KINDS[path.suffix]
    assert not is_document(path.read_bytes()[:BEGINNING_BYTES])


@pytest.mark.parametrize(
    ("beginning", "ending"),
    [
        (wav((0, 1)), ".wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", ".wav"),
        (b"BW64\xff\xff\xff\xffWAVEds64", ".wav"),
        (b"ID3\x04\0\0\0\0\0\0" + sample("bare.mp3"), ".mp3"),
        (b"ID3\x03\0\0\0\0\x0f\x7f" + bytes(2000), ".mp3"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + sample("flac.flac"), ".flac"),
        (b"\xff\xfb\x90\x64" + bytes(413), ".mp3"),
        (b"\0\0\0\x20ftypisom", ".m4a"),
        (b"\0\0\0\x20ftyp3gp5", ".3gp"),
        (b"OggS\0\x02" + bytes(22) + b"Speex   1.2", ".spx"),
        (b"#!AMR-WB\n\x04", ".awb"),
        (b"FORM\0\0\1\0AIFC", ".aiff"),
        (b"caff\0\1\0\0desc", ".caf"),
        (b"riff.\x91\xcf\x11\xa5\xd6", ".w64"),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", ".wma"),
    ],
)
def test_every_signature_gives_its_file_ending(beginning: bytes, ending: str) -> None:
    assert kind_of(beginning) == KINDS[ending]


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0AVI LIST",
        b"FORM\0\0\0\0ILBM",
        b"ID3\x04\0\0\xff\0\0\0",
        b"\xff\xfb",
        b"\xff\xff\xff\xff" * 100,  # silence in raw mu-law
        b"\xff\xfb\xf0\x00" + bytes(400),  # no such bitrate
        b"\xff\xfb\x0c\x00" + bytes(400),  # no such sample rate
        b"\xff\xeb\x90\x00" + bytes(400),  # no such version
        b"\xff\xf1\x6c\x40\x2c\xbf\xfc" + bytes(400),  # one AAC header by chance
        b"\xff\xfd\x90\x00" + bytes(600),  # one layer II header by chance
        '{"status": "processing"}'.encode("utf-16"),
    ],
)
def test_bytes_that_only_resemble_audio_are_no_kind(beginning: bytes) -> None:
    assert kind_of(beginning) is None


@pytest.mark.parametrize("text", DOCUMENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_text_is_a_document_in_any_encoding(text: str, encoding: str) -> None:
    beginning = text.encode(encoding)
    assert kind_of(beginning) is None
    if text.isascii() or encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert is_document(beginning)


def test_a_document_may_be_latin_1_or_cut_within_a_character() -> None:
    assert is_document("Aufzeichnung nicht verfügbar".encode("latin-1"))
    assert is_document(("ü" * 3000).encode()[:4095])


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08\0", b"\x89PNG\r\n\x1a\n\0", bytes(range(256)), b"\xd5" * 100, b"\0"]
)
def test_other_bytes_are_neither_audio_nor_a_document(content: bytes) -> None:
    assert kind_of(content) is None
    assert not is_document(content)


@given(st.text(min_size=1))
def test_printable_text_is_a_document_unless_it_has_an_audio_signature(text: str) -> None:
    beginning = "".join(character for character in text if character.isprintable() or character == "\n").encode(
        errors="ignore"
    )
    if beginning and kind_of(beginning) is None:
        assert is_document(beginning)
    else:
        assert beginning[:4] in (b"", b"fLaC", b"caff", b"OggS", b"RIFF", b"FORM", b"#!AM") or beginning[4:8] == b"ftyp"


@given(st.binary(max_size=5000))
def test_mpeg_needs_an_id3_tag_or_a_sync_word(content: bytes) -> None:
    kind = kind_of(content)
    if kind and kind.media_type in ("audio/mpeg", "audio/aac"):
        (sync,) = struct.unpack(">H", content[:2])
        assert content.startswith(b"ID3") or sync & 0xFFE0 == 0xFFE0
