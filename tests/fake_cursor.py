"""The cursor family's APIs, served for tests.

async with FakeElevenLabs() as api:
    api.add(elevenlabs_call(1, started_at))
    api.empty_pages = True
"""

from formant_mcp.demo.apis.elevenlabs import CursorApi, ElevenLabsApi, VoiceableApi
from tests.calls import Row
from tests.cursor_calls import elevenlabs_detail, voiceable_detail
from tests.fake_api import FakeApi


class FakeCursorFamily(FakeApi, CursorApi):
    """Either API of the family."""


class FakeElevenLabs(FakeCursorFamily, ElevenLabsApi):
    """ElevenLabs' API, served; its details are those of `tests.cursor_calls`."""

    def detail_of(self, row: Row) -> Row:
        return elevenlabs_detail(row)


class FakeVoiceable(FakeCursorFamily, VoiceableApi):
    """Voiceable's API, served; its details are those of `tests.cursor_calls`."""

    def detail_of(self, row: Row) -> Row:
        return voiceable_detail(row)
