"""Which source answers: one line a provider."""

from collections.abc import Callable
from datetime import datetime

from formant_mcp.settings import Settings
from formant_mcp.source import ConversationSource
from formant_mcp.sources.formant import FormantSource
from formant_mcp.sources.sample.calls import sample_calls
from formant_mcp.sources.sample.formant_api import SampleFormantTransport

SAMPLE_KEY = "sample"


def open_source(settings: Settings, key: str) -> ConversationSource:
    """The configured provider's API."""
    return FormantSource(settings.address, key)


def open_sample(settings: Settings, now: Callable[[], datetime]) -> ConversationSource:
    """The sample account: the same client over an API in this process."""
    return FormantSource(settings.address, SAMPLE_KEY, transport=SampleFormantTransport(sample_calls(now()), now))
