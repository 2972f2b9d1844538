"""The providers: one entry each, with everything that differs except for requests and JSON.

A client is imported when it is opened, so that the tools can be listed without an HTTP library.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from formant_mcp.analysis.signals import Need
from formant_mcp.errors import ConfigurationError

if TYPE_CHECKING:
    from formant_mcp.providers.rest import OpenProvider


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProviderSpec:
    """What the rest of the program needs to know about a provider.

    `addresses`: by FORMANT_REGION, or one for all regions under ''; empty if each account has its own.
    `server_side_filters`: the filters that its list accepts; `statuses`: the values accepted if `status` is one of
    them; `transient_statuses`: statuses that a conversation does not keep. `unsupported_filters`: filters on fields
    that it does not have; `unmeasured`: what signals need and it never sends. `detail_only_fields`: fields that are in
    details but never in list rows. `max_queue_time`: how long before its start a conversation may be created, if the
    list is filtered by creation time.
    `documented_per_minute`: how many requests a minute its documentation says it allows, if it says so.
    `recording_type`: the usual media type. `example_statuses`, `example_conditions` and `note` are for assistants.
    """

    title: str
    client: "Callable[[], OpenProvider]"
    addresses: Mapping[str, str]
    server_side_filters: frozenset[str]
    unsupported_filters: frozenset[str] = frozenset()
    unmeasured: frozenset[Need] = frozenset()
    detail_only_fields: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    transient_statuses: frozenset[str] = frozenset()
    max_queue_time: timedelta = timedelta()
    documented_per_minute: int | None = None
    recording_type: str = "audio/mpeg"
    example_statuses: str
    example_conditions: str
    note: str

    def address(self, region: str) -> str:
        """Its address in a region, '' if it has none."""
        return self.addresses.get(region, self.addresses.get("", ""))

    def check_address(self, address: str) -> None:
        """Refuses to go on without an address.

        Raises:
            ConfigurationError: it has none of its own, and none is set.
        """
        if not address:
            raise ConfigurationError(
                f"{self.title} has no address of its own.", "Set FORMANT_BASE_URL to the one your account was given."
            )

    def fill(self, text: str) -> str:
        """A text with `{statuses}` and `{results}` in this provider's words."""
        return text.replace("{statuses}", self.example_statuses).replace("{results}", self.example_conditions)


def _formant() -> "OpenProvider":
    from formant_mcp.providers.formant import FormantProvider

    return FormantProvider


def _elevenlabs() -> "OpenProvider":
    from formant_mcp.providers.elevenlabs import ElevenLabsProvider

    return ElevenLabsProvider


def _voiceable() -> "OpenProvider":
    from formant_mcp.providers.elevenlabs import VoiceableProvider

    return VoiceableProvider


def _voiceos() -> "OpenProvider":
    from formant_mcp.providers.voiceos import VoiceOsProvider

    return VoiceOsProvider


_ELEVENLABS = ProviderSpec(
    title="ElevenLabs",
    client=_elevenlabs,
    addresses={"": "https://api.elevenlabs.io"},
    server_side_filters=frozenset({"agent_id", "since", "until", "call_successful", "user_id"}),
    unmeasured=frozenset({"ends"}),
    detail_only_fields=frozenset({"contact_number", "user_id"}),
    example_statuses="failed, in-progress",
    example_conditions="data.intent=dispute, data.csat<=2, evaluation.polite=failure, data.amount missing",
    note="Results: summary, data.<id> (collected), evaluation.<id>, each with its rationale. Success and failure are"
    " the provider's verdict; unknown is neither. Numbers and user ids are in a call's details only.",
)
PROVIDERS: Mapping[str, ProviderSpec] = {
    "formant": ProviderSpec(
        title="Formant",
        client=_formant,
        addresses={"global": "https://api.voice.formantai.com", "india": "https://api.in.voice.formantai.com"},
        server_side_filters=frozenset({"agent_id"}),
        unsupported_filters=frozenset({"user_id", "direction"}),
        unmeasured=frozenset({"tool results"}),
        documented_per_minute=50,
        recording_type="audio/wav",
        example_statuses="busy, no_answer",
        example_conditions="intent=dispute, csat<=2, language.primary=hi, promised_amount missing",
        note="The provider allows about 50 requests a minute.",
    ),
    "elevenlabs": _ELEVENLABS,
    "voiceable": replace(
        _ELEVENLABS,
        title="Voiceable",
        client=_voiceable,
        addresses={},
        detail_only_fields=_ELEVENLABS.detail_only_fields | {"direction"},
    ),
    "voiceos": ProviderSpec(
        title="VoiceOS",
        client=_voiceos,
        addresses={"": "https://api.voiceos.io"},
        server_side_filters=frozenset({"since", "until", "call_successful", "status"}),
        unsupported_filters=frozenset({"user_id"}),
        unmeasured=frozenset({"ends", "ends or flags", "tool results"}),
        statuses=frozenset({"started", "ended", "queued"}),
        transient_statuses=frozenset({"started", "queued"}),
        max_queue_time=timedelta(days=1),  # our guess: a call is created when it is queued, and may start much later
        example_statuses="started, queued",
        example_conditions="cost.total>0.2, type=web_call, ended_reason=unknown, cost.telephony missing",
        note="Results: type, ended_reason, cost.total and the cost of each part, in USD. Turns have no times.",
    ),
}
