"""Providers whose API answers for one recording as a test says."""

from pathlib import Path

import anyio
import httpx

from formant_mcp.errors import FormantError
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.elevenlabs import ElevenLabsProvider
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.voiceos import VoiceOsProvider
from formant_mcp.recordings import RecordingsFolder, SavedRecording
from tests.audio import wav
from tests.provider_apis import KEY, no_wait
from tests.providers.cursors import Handler

ID = "0f8d4c1e"
API = "https://api.example.test"
ELSEWHERE = "https://recordings.example.com/0f8d4c1e.mp3?X-Signature=a%2Fb%3D"
SOUND = wav((9000, 1))
SOURCES = {
    "formant": FormantProvider,
    "elevenlabs": ElevenLabsProvider,
    "voiceos": VoiceOsProvider,
}
REDIRECTS = [301, 302, 303, 307, 308]


def source_for(handler: Handler, base_url: str = API, provider: str = "formant") -> AnyProvider:
    return SOURCES[provider](base_url, KEY, transport=httpx.MockTransport(handler), sleep=no_wait)


def pointing(address: object, recording: httpx.Response | None = None, base_url: str = API) -> AnyProvider:
    """A provider whose API answers with that address; every other request gets the recording."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(f"/conversations/{ID}/recording"):
            return httpx.Response(200, json={"recording_url": address})
        assert recording is not None, f"{request.url} may not be requested"
        return recording

    return source_for(handle, base_url)


def answer(status: int, media_type: str, body: bytes) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"Content-Type": media_type} if media_type else {})


async def save(source: AnyProvider, folder: Path) -> SavedRecording:
    async with source.open_recording(ID) as recording:
        return await RecordingsFolder(folder).save(ID, recording)


def saved_or_error(source: AnyProvider, folder: Path) -> SavedRecording | FormantError:
    try:
        return anyio.run(save, source, folder)
    except FormantError as error:
        return error
