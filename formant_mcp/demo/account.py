"""The sample account in any provider's shape: the provider's own client, over its API in this process."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Protocol

import httpx

from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.elevenlabs_api import SampleElevenLabsTransport
from formant_mcp.demo.formant_api import SampleFormantTransport
from formant_mcp.demo.voiceos_api import SampleVoiceOsTransport
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.elevenlabs import VoiceableProvider
from formant_mcp.providers.registry import PROVIDERS

DEMO_KEY = "sample"
_ADDRESS = "https://api.example.com"  # no request leaves this process


class _Api(Protocol):
    def __call__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> httpx.AsyncBaseTransport: ...


APIS: Mapping[str, _Api] = {
    "formant": SampleFormantTransport,
    "elevenlabs": SampleElevenLabsTransport,
    "voiceable": partial(
        SampleElevenLabsTransport, path=VoiceableProvider.conversations_path, key_header=VoiceableProvider.key_header
    ),
    "voiceos": SampleVoiceOsTransport,
}


def open_demo(provider: str, now: Callable[[], datetime]) -> AnyProvider:
    """The sample account as that provider would send it."""
    return PROVIDERS[provider].client()(_ADDRESS, DEMO_KEY, transport=APIS[provider](sample_calls(now()), now))
