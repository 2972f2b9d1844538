"""Each provider's own words, for what assistants are told before they ask."""

from dataclasses import dataclass

from formant_mcp.settings import Provider


@dataclass(frozen=True, slots=True)
class ProviderWording:
    """Examples of statuses and of conditions on results, what `user_id` takes, and what else to know."""

    statuses: str
    results: str
    user_id: str
    note: str

    def fill(self, text: str) -> str:
        """The text with `{statuses}`, `{results}` and `{user_id}` in this provider's words."""
        filled = text.replace("{statuses}", self.statuses).replace("{results}", self.results)
        return filled.replace("{user_id}", self.user_id)


_CURSOR_FAMILY = ProviderWording(
    statuses="failed, in-progress",
    results="data.intent=dispute, data.csat<=2, evaluation.polite=failure, data.amount missing",
    user_id="Exactly this user id.",
    note="Results: summary, data.<id> (collected), evaluation.<id>, each with its rationale. Success and"
    " failure are the provider's verdict; unknown is neither. Numbers and user ids stand in a call's details only.",
)
VOCABULARIES: dict[Provider, ProviderWording] = {
    "formant": ProviderWording(
        statuses="busy, no_answer",
        results="intent=dispute, csat<=2, language.primary=hi, promised_amount missing",
        user_id="This provider has none: leave it empty.",
        note="The provider allows about 50 requests a minute.",
    ),
    "elevenlabs": _CURSOR_FAMILY,
    "voiceable": _CURSOR_FAMILY,
    "voiceos": ProviderWording(
        statuses="started, queued",
        results="cost.total>0.2, type=web_call, ended_reason=unknown, cost.telephony missing",
        user_id="This provider has none: leave it empty.",
        note="Results: type, ended_reason, cost.total and the cost of each part, in USD. Turns have no times.",
    ),
}
