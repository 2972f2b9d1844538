"""The domain models: conversations and their parts, whichever provider they are from.

Times are aware datetimes in UTC, durations are in seconds. `None` means "unknown" or "none". Texts are clean: one line,
without control, zero-width or bidirectional characters (see `clean`).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

Outcome = Literal["success", "failure"] | None

AGENT_WORDS = frozenset({"agent", "bot", "assistant", "ai"})
CONTACT_WORDS = frozenset({"contact", "human", "customer", "user", "caller", "callee", "client"})

# White space and separators become a space; invisible and direction-changing characters are removed: C0/C1 controls,
# soft hyphen, joiners, bidirectional marks, fillers, variation selectors, tags, lone surrogates, private use,
# non-characters.
_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def clean(text: str) -> str:
    """One line of visible text: white space folded, invisible and direction-changing characters removed."""
    if text.isascii() and text.isprintable() and "  " not in text:  # nearly every text, and much faster
        return text.strip(" ")
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance. `role` is `agent`, `contact` or as sent; `seconds` count from the start of the call.

    `end_seconds`: when it ends; only if the provider says so. `interrupted`: the provider's own flag for a turn that
    the other side cut short.
    """

    index: int
    role: str
    text: str
    seconds: float | None = None
    end_seconds: float | None = None
    interrupted: bool | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Counts of what the provider sent for one conversation and could not be read.

    `transcripts`: 1 if a transcript was sent that gave no words at all. `turns`: turns of a readable transcript without
    readable words, and items of its list that are not turns. `results`: values of the results that were lost.
    `speakers`: turns whose speaker could not be identified as agent or contact. `fields`: names of the conversation's
    own fields (see `formant_mcp.filters.FIELDS`).
    """

    transcripts: int = 0
    turns: int = 0
    results: int = 0
    speakers: int = 0
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Conversation:
    """One voice call between an agent and a contact. What was not sent, or could not be read, is None.

    `direction`: `inbound`, `outbound`, `web`, or as sent; only if the provider has it.
    `outcome`: `success` for an ended call that connected and ended normally, `failure` for one that ended otherwise,
    None while it runs or if it cannot be determined. `ended` is False while a call is queued or running.
    `has_detail`: the response included transcript and results (either may still be None: not ready yet).
    `failure_reason_known`: the failure reason is final, even if it is empty.
    `tool_errors`: how many tool calls failed; only if the transcript has their results.
    """

    conversation_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    contact_number: str | None = None
    user_id: str | None = None
    direction: str | None = None
    status: str | None = None
    outcome: Outcome = None
    ended: bool = True
    failure_reason: str | None = None
    failure_reason_known: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    trace_id: str | None = None
    results: dict[str, JsonValue] | None = None
    turns: tuple[Turn, ...] | None = None
    tool_errors: int | None = None
    has_detail: bool = False
    unreadable: Unreadable = Unreadable()


def never_connected(conversation: Conversation, turn_count: int | None) -> bool:
    """Whether a call ended without ever connecting, so that it has no recording and no transcript.

    True only if there is no doubt: it failed, and has no duration and no turns.
    """
    has_turns = bool(turn_count or conversation.turns)
    has_failed = conversation.ended and conversation.outcome == "failure"
    return has_failed and not conversation.duration_seconds and not has_turns


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a provider's list, in the provider's order.

    `row_count`: rows of the page. `unreadable`: rows that could not be read as a conversation. `total`: conversations
    in the list according to the provider.
    """

    conversations: tuple[Conversation, ...]
    row_count: int
    has_more: bool
    total: int | None = None
    unreadable: int = 0

    def more_after(self, offset: int) -> bool:
        """Whether there is more after this page, which started at row `offset`, by `has_more` or by `total`."""
        return self.row_count > 0 and (self.has_more or (self.total or 0) > offset + self.row_count)
