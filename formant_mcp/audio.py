"""Recognizes audio files by their first bytes, whatever a header or a name says.

Sources are the formats' own documents: RFC 2361 (RIFF/WAVE), EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64),
ISO/IEC 11172-3 and 13818-7 (MPEG audio frames, ADTS), ID3v2.4, ISO/IEC 14496-12 (`ftyp`), RFC 3533 and 7845
(Ogg, Opus), RFC 9639 (FLAC), RFC 9559 (Matroska), RFC 4867 (AMR), Apple's AIFF and CAF, Sun's AU, Microsoft's ASF.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

BEGINNING_BYTES = 4096  # enough to see two MPEG frames, the longest of which has 1,728 bytes


@dataclass(frozen=True, slots=True)
class AudioKind:
    """A kind of audio file: its media type and its file name ending."""

    media_type: str
    ending: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of MPEG audio: its size in bytes, and the samples per channel."""

    size: int
    samples: int
    sample_rate: int
    channels: int


_MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".mp2": "audio/mpeg",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
    ".3gp": "audio/3gpp",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".spx": "audio/ogg",
    ".oga": "audio/ogg",
    ".webm": "audio/webm",
    ".mka": "audio/matroska",
    ".amr": "audio/amr",
    ".awb": "audio/amr-wb",
    ".aiff": "audio/aiff",
    ".au": "audio/basic",
    ".caf": "audio/x-caf",
    ".w64": "audio/x-w64",
    ".wma": "audio/x-ms-wma",
    ".bin": "application/octet-stream",
}
KINDS = {ending: AudioKind(media_type, ending) for ending, media_type in _MEDIA_TYPES.items()}
WAV, MP3, UNKNOWN = KINDS[".wav"], KINDS[".mp3"], KINDS[".bin"]

_MAGIC = (
    (b"fLaC", ".flac"),
    (b"#!AMR-WB\n", ".awb"),
    (b"#!AMR\n", ".amr"),
    (b".snd\0", ".au"),
    (b"caff\0", ".caf"),
    (b"riff.\x91\xcf\x11", ".w64"),
    (b"0&\xb2u\x8ef\xcf\x11", ".wma"),
)
_WAV_FAMILY = (b"RIFF", b"RF64", b"BW64", b"RIFX")
_OGG_CODECS = ((b"OpusHead", ".opus"), (b"Speex   ", ".spx"), (b"\x7fFLAC", ".oga"))

# Kilobits a second by the header's index: layers III and II of MPEG-1, then both layers of MPEG-2 and 2.5.
_BITRATES = {
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 0): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_AAC_SAMPLE_RATES = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP = (b"<", b"{", b"[")


def kind_of(beginning: bytes) -> AudioKind | None:
    """The kind of the file that starts with these bytes; None if it is not a supported audio format."""
    ending = next((ending for magic, ending in _MAGIC if beginning.startswith(magic)), "") or _ending_in(beginning)
    return KINDS[ending] if ending else _mpeg_kind(beginning)


def _ending_in(beginning: bytes) -> str:
    """The file name ending for containers that hold more than one kind of audio."""
    start, form = beginning[:4], beginning[8:12]
    if start in _WAV_FAMILY and form == b"WAVE":
        return ".wav"
    if start == b"FORM" and form in (b"AIFF", b"AIFC"):
        return ".aiff"
    if beginning[4:8] == b"ftyp":
        return ".3gp" if form.startswith(b"3g") else ".m4a"
    if start == b"OggS":
        return next((ending for mark, ending in _OGG_CODECS if mark in beginning[28:40]), ".ogg")
    if start == b"\x1aE\xdf\xa3":
        return ".mka" if b"matroska" in beginning[:80] else ".webm"
    return ""


def is_document(beginning: bytes) -> bool:
    """Whether these are the first bytes of a text in any usual encoding: an error, a web page, JSON."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        even = beginning[: len(beginning) // 2 * 2]
        return not _CONTROL.search(even.decode("utf-16", errors="replace").encode())
    if beginning[1:2] == b"\0" or beginning[:1] == b"\0":  # UTF-16 without its mark: every second byte is zero
        beginning = beginning.replace(b"\0", b"", len(beginning) // 2)
    if _CONTROL.search(beginning):
        return False
    if beginning.removeprefix(codecs.BOM_UTF8).lstrip().startswith(_MARKUP):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)  # a character may be cut off at the end
    except UnicodeDecodeError:
        return sum(byte < 0x80 for byte in beginning) > len(beginning) * 0.7  # ISO 8859 and its kin
    return True


def tag_bytes(beginning: bytes) -> int:
    """The length of the ID3v2 tag at the start of these bytes, 0 if there is none."""
    sizes = beginning[6:10]
    if beginning[:3] != b"ID3" or len(sizes) < 4 or beginning[3] == 0xFF or max(sizes) > 0x7F:
        return 0
    return 10 + (sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3])


def mpeg_frame(header: bytes) -> Frame | None:
    """The frame of layer II or III with that header of 4 bytes, None if it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or bitrate in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return None
    kilobits = _BITRATES[(3, layer) if version == 3 else (0, 0)][bitrate - 1]
    samples = 1152 if version == 3 or layer == 2 else 576
    sample_rate = _SAMPLE_RATES[version][rate]
    size = samples // 8 * kilobits * 1000 // sample_rate + (header[2] >> 1 & 1)
    return Frame(size, samples, sample_rate, 1 if header[3] >> 6 == 3 else 2)


def adts_frame(header: bytes) -> Frame | None:
    """The frame of AAC with that ADTS header of 7 bytes, None if it is not one."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    samples = 1024 * ((header[6] & 3) + 1)
    channels = (header[2] & 1) << 2 | header[3] >> 6
    return Frame(size, samples, _AAC_SAMPLE_RATES[header[2] >> 2 & 15], channels) if size > 7 else None


def _mpeg_kind(beginning: bytes) -> AudioKind | None:
    """MPEG audio: a tag, or a frame with a plausible header; two frames for layers where one may occur by chance."""
    if tag := tag_bytes(beginning):
        return kind_of(beginning[tag:]) or MP3
    if mpeg_frame(beginning):
        if beginning[1] >> 1 & 3 == 1:
            return MP3
        return KINDS[".mp2"] if _goes_on(beginning, mpeg_frame) else None
    return KINDS[".aac"] if _goes_on(beginning, adts_frame) else None


def _goes_on(beginning: bytes, frame_of: Callable[[bytes], Frame | None]) -> bool:
    """Whether a frame starts here and, if the bytes go that far, another one after it."""
    frame = frame_of(beginning)
    rest = beginning[frame.size :] if frame else b""
    return frame is not None and frame.size <= len(beginning) and (len(rest) < 7 or frame_of(rest) is not None)
