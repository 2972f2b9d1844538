"""Recordings of every provider: their first bytes decide the type, whatever the answer declares."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.audio import BEGINNING_BYTES, UNKNOWN, kind_of
from formant_mcp.errors import (
    FormantError,
    NotFoundError,
)
from tests.audio import SAMPLES, chunk, fmt, riff, sample
from tests.examples import examples
from tests.provider_apis import received
from tests.providers.recording_source import (
    ID,
    SOUND,
    SOURCES,
    answer,
    save,
    saved_or_error,
    source_for,
)

pytestmark = pytest.mark.anyio

# Answers of providers where there is no recording (yet): status, type, body.
NOTHING: list[tuple[int, str, bytes]] = [
    (200, "audio/wav", b""),
    (200, "audio/wav", b" \n"),
    (200, "audio/mpeg", bytes(5000)),
    (200, "audio/wav", riff(fmt(), chunk(b"data", b""))),
    (200, "audio/wav", b'{"error":{"type":"not_found","message":"Recording not ready"}}'),
    (200, "audio/wav", b'\xef\xbb\xbf\n{"status": "processing", "data": {"progress": 7}}'),
    (200, "application/octet-stream", b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'),
    (200, "", b'{"status":"processing"}'),
    (200, "audio/mpeg", '{"status":"processing"}'.encode("utf-16")),
    (200, "text/html", b"<!doctype html><title>Sign in</title>"),
    (200, "audio/wav", b"Recording not ready"),
    (200, "audio/wav", b"RIFF but only a text"),
    (200, "application/json", b"null"),
    (200, "application/json", b"[]"),
    (200, "application/json", b'{"recording_url": null, "url": ""}'),
    (200, "application/json", b'{"recording_url": 7}'),
    (200, "application/json", b"[" * 100_000),
    (202, "application/json", b'{"status":"processing"}'),
    (204, "", b""),
    (206, "audio/wav", SOUND[:500]),
    (404, "application/json", b'{"error": {"type": "not_found"}}'),
    (409, "audio/wav", SOUND),
    (300, "text/html", b""),
    (304, "audio/wav", b""),
    (410, "application/json", b"{}"),
    (422, "application/json", b'{"detail": []}'),
    (425, "text/plain", b"Too early"),
]


@pytest.mark.parametrize("provider", SOURCES)
@pytest.mark.parametrize("declared", ["audio/wav", "audio/mpeg", "text/html", "application/json", "Audio/X; q=1", ""])
async def test_the_first_bytes_decide_the_type_of_a_recording(provider: str, declared: str):
    for path in SAMPLES.iterdir():
        content = path.read_bytes()
        source = source_for(lambda request, content=content: answer(200, declared, content), provider=provider)
        kind = kind_of(content[:BEGINNING_BYTES])
        assert kind
        assert await received(source, ID) == (kind.media_type, content)


@pytest.mark.parametrize("provider", SOURCES)
@pytest.mark.parametrize("nothing", NOTHING)
async def test_an_answer_without_a_recording_is_not_saved(
    provider: str, nothing: tuple[int, str, bytes], tmp_path: Path
):
    source = source_for(lambda request: answer(*nothing), provider=provider)

    with pytest.raises(NotFoundError) as caught:
        await save(source, tmp_path)

    expected = "is no longer available" if nothing[0] == 410 else "is not available yet, or there is none"
    assert f"The recording of {ID} {expected}" in caught.value.message
    assert caught.value.hint
    assert not os.listdir(tmp_path)


async def test_bytes_that_are_neither_audio_nor_text_are_saved_unchanged(tmp_path: Path):
    saved = await save(source_for(lambda request: answer(200, "audio/x-strange", b"\x1f\x8b\x08\0\1")), tmp_path)

    assert (saved.path.name, saved.kind, saved.path.read_bytes()) == (f"{ID}.bin", UNKNOWN, b"\x1f\x8b\x08\0\1")


async def test_a_recording_that_begins_in_small_chunks_is_typed():
    async def chunks() -> AsyncIterator[bytes]:
        for byte in sample("bare.mp3"):
            yield bytes([byte])

    source = source_for(lambda request: httpx.Response(200, content=chunks()))
    assert await received(source, ID) == ("audio/mpeg", sample("bare.mp3"))


@settings(max_examples=examples(0.6))
@given(
    st.sampled_from([*(200, 203) * 8, 201, 202, 204, 206, 300, 400, 401, 403, 404, 409, 410, 418, 422, 425, 500]),
    st.sampled_from(["audio/wav", "audio/mpeg", "application/json", "text/html", "application/octet-stream", ""]),
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
        st.tuples(st.sampled_from([path.read_bytes()[:64] for path in SAMPLES.iterdir()]), st.binary(max_size=60)).map(
            b"".join
        ),
        st.sampled_from([body for _, _, body in NOTHING]),
    ),
)
def test_any_answer_is_saved_unchanged_or_an_error_without_a_file(status: int, declared: str, body: bytes):
    source = source_for(lambda request: answer(status, declared, body))
    with TemporaryDirectory() as folder:
        saved = saved_or_error(source, Path(folder))
        names = [path.name for path in Path(folder).iterdir()]
        if isinstance(saved, FormantError):
            assert saved.hint
            assert names == []
        else:
            assert status in (200, 201, 203)
            assert names == [saved.path.name]
            assert saved.path.read_bytes() == body
            assert saved.path.suffix == (kind_of(body[:BEGINNING_BYTES]) or UNKNOWN).ending
