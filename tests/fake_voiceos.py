"""VoiceOS' API, served for tests, and the host of its recordings.

async with FakeVoiceOs() as api, FakeAudioHost(api.recordings) as audio:
    api.add(voiceos_call(1, started_at))
    api.audio_url = audio.url
"""

from collections.abc import Mapping
from urllib.parse import unquote

from formant_mcp.demo.apis.api import Response
from formant_mcp.demo.apis.voiceos import FILES, VoiceOsApi, VoiceOsFiles
from tests.fake_api import FakeApi
from tests.fake_http import LoopbackServer, Reply, Request


class FakeVoiceOs(FakeApi, VoiceOsApi):
    """VoiceOS' API, served. Recordings are at `audio_url` or, if that is empty, on this server."""

    def respond(self, request: Request) -> Response:
        self.audio_url = self.audio_url or self.url
        recording = self.recording_of(unquote(request.path.removeprefix(FILES)))
        if request.path.startswith(FILES) and recording is not None:
            return Response(body=recording, media_type=self.recording_type)
        return super().respond(request)


class FakeAudioHost(LoopbackServer):
    """Another host, with the recordings at signed addresses; see `VoiceOsFiles`."""

    def __init__(self, recordings: Mapping[str, bytes], media_type: str = "audio/mpeg") -> None:
        super().__init__()
        self.files = VoiceOsFiles(recordings.get, media_type)

    def answer(self, request: Request) -> Reply:
        return Reply.of(self.files.respond(request))
