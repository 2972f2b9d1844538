"""The sample account as any provider sends it: the provider's own client and its API, in this process."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.sample_api import InProcess, SampleApi
from formant_mcp.demo.sample_elevenlabs import SampleElevenLabs, SampleVoiceable
from formant_mcp.demo.sample_formant import SampleFormant
from formant_mcp.demo.sample_voiceos import SampleVoiceOs
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.registry import PROVIDERS

DEMO_KEY = "sample"
_ADDRESS = "https://api.example.com"  # no request leaves this process


class _OpenApi(Protocol):
    def __call__(self, calls: Iterable[SampleCall], now: Callable[[], datetime]) -> SampleApi: ...


APIS: Mapping[str, _OpenApi] = {
    "formant": SampleFormant,
    "elevenlabs": SampleElevenLabs,
    "voiceable": SampleVoiceable,
    "voiceos": SampleVoiceOs,
}


def open_demo(provider: str, now: Callable[[], datetime]) -> AnyProvider:
    """The sample account as that provider would send it."""
    api = APIS[provider](sample_calls(now()), now)
    return PROVIDERS[provider].client()(_ADDRESS, DEMO_KEY, transport=InProcess(api.respond))
