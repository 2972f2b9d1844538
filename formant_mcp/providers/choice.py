"""Which source answers: one line a provider."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

import httpx

from formant_mcp.demo.calls import sample_calls
from formant_mcp.demo.elevenlabs_api import SampleElevenLabsTransport
from formant_mcp.demo.formant_api import SampleFormantTransport
from formant_mcp.demo.voiceos_api import SampleVoiceOsTransport
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.elevenlabs import ELEVENLABS, VOICEABLE, CursorFamilySource
from formant_mcp.providers.formant import FormantProvider
from formant_mcp.providers.voiceos import VoiceOsProvider
from formant_mcp.settings import Provider, Settings

SAMPLE_KEY = "sample"
_SAMPLE_ADDRESS = "https://api.example.com"  # no request leaves this process


class _Open(Protocol):
    def __call__(
        self, base_url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> AnyProvider: ...


_SOURCES: dict[Provider, _Open] = {
    "formant": FormantProvider,
    "elevenlabs": partial(CursorFamilySource, ELEVENLABS),
    "voiceable": partial(CursorFamilySource, VOICEABLE),
    "voiceos": VoiceOsProvider,
}
_SAMPLES = {
    "formant": SampleFormantTransport,
    "elevenlabs": SampleElevenLabsTransport,
    "voiceable": partial(SampleElevenLabsTransport, path=VOICEABLE.conversations, key_header=VOICEABLE.key_header),
    "voiceos": SampleVoiceOsTransport,
}


def open_source(settings: Settings, key: str) -> AnyProvider:
    """The configured provider's API.

    Raises:
        ConfigurationError: the provider has no address of its own, and none is set.
    """
    return _SOURCES[settings.provider](settings.address, key)


def open_sample(settings: Settings, now: Callable[[], datetime]) -> AnyProvider:
    """The sample account in the configured provider's shape: the same client over an API in this process."""
    transport = _SAMPLES[settings.provider](sample_calls(now()), now)
    return _SOURCES[settings.provider](_SAMPLE_ADDRESS, SAMPLE_KEY, transport=transport)
