"""The domain: what a conversation is, whichever system it came from.

Times are aware datetimes in UTC, durations seconds. `None` means "not known" or "there is none". Texts are clean: one
line, without control, zero-width or bidirectional characters (see `clean`).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

Outcome = Literal["success", "failure"] | None

AGENT_WORDS = frozenset({"agent", "bot", "assistant", "ai"})
CONTACT_WORDS = frozenset({"contact", "human", "customer", "user", "caller", "callee", "client"})

# White space and separators become a space; what is invisible or steers direction goes: C0/C1 controls, soft hyphen,
# joiners, bidirectional marks, fillers, variation selectors, tags, lone surrogates, private use, non-characters.
_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def clean(text: str) -> str:
    """One line of what can be seen: white space folded, invisible and direction-changing characters removed."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance. `role` is `agent`, `contact` or as sent; `seconds` count from the start of the call."""

    index: int
    role: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What the provider sent of one conversation and nobody here could understand.

    `transcripts`: 1 where a transcript was sent that gave no words at all. `turns`: turns of a readable transcript
    whose words were not found, and items of its list that are no turn. `results`: values of the results not kept.
    `speakers`: turns of which it is not known whether the agent or the contact speaks. `fields`: names of the
    conversation's own fields (see `formant_mcp.filters.FIELDS`).
    """

    transcripts: int = 0
    turns: int = 0
    results: int = 0
    speakers: int = 0
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Conversation:
    """One voice call between an agent and a contact, as far as it is known.

    `direction`: `inbound`, `outbound`, `web`, or as sent; only where the provider says it.
    `outcome`: `success` for an ended call that connected and ended normally, `failure` for one that ended otherwise,
    None while it runs or where it cannot be told. `ended` is False while a call is queued or running.
    `has_detail`: transcript and results were part of what was read (either may still be None: not there yet).
    `failure_reason_known`: what was read is the last word on the failure reason, even if it is empty.
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
    has_detail: bool = False
    unreadable: Unreadable = Unreadable()


def never_connected(conversation: Conversation, turn_count: int | None) -> bool:
    """Whether a call is over and nobody was ever on the line, so that it has no recording and no transcript.

    Only where the provider's own words leave no doubt: it ended without success, without a duration and without a turn.
    """
    said_something = bool(turn_count or conversation.turns)
    failed = conversation.ended and conversation.outcome == "failure"
    return failed and not conversation.duration_seconds and not said_something


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a provider's list, in the provider's order.

    `row_count` is how many rows it carried, `unreadable` how many of those could not be read as a conversation,
    `total` how many conversations the provider says the list has.
    """

    conversations: tuple[Conversation, ...]
    row_count: int
    has_more: bool
    total: int | None = None
    unreadable: int = 0

    def more_after(self, offset: int) -> bool:
        """Whether the list goes on behind this page, which began at row `offset`, by either of the provider's words."""
        return self.row_count > 0 and (self.has_more or (self.total or 0) > offset + self.row_count)
